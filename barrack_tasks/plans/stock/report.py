"""What `watch_gpu_stock` saw and did."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from barrack_tasks.api.models import UserVM, VMStatus
from barrack_tasks.api.models.shown import Chart, Lines, Part, Table
from barrack_tasks.plans.durations import said
from barrack_tasks.plans.report import Report, Row, money
from barrack_tasks.plans.steps import Outcome, Reason
from barrack_tasks.plans.stock.claims import Claims, in_error, taken_by, why_missed
from barrack_tasks.plans.stock.history import Summary
from barrack_tasks.plans.stock.wants import LOST, Place, Want, family_of, wanted_names


class StockReport(Report):
    """One row for each instance that was wanted, what is in stock, and what is known of it."""

    stock: dict[str, int] = {}
    """How many instances of what is wanted can be deployed, by configuration and region."""
    summaries: tuple[Summary, ...] = ()
    looks: int = 0
    picture: str = ""
    """When there was stock, by hour of the day, as SVG."""

    @property
    def noun(self) -> str:
        """What the rows are about."""
        return "wanted instances"

    @property
    def summary(self) -> str:
        """How much of what is wanted is in stock, and what was claimed."""
        there = sum(count > 0 for count in self.stock.values())
        stock = f"{there} of {len(self.stock)} wanted configurations {_is(there)} in stock."
        return " ".join(
            [*([stock] if self.stock else []), *([super().summary] if self.rows else [])]
        )

    def parts(self) -> tuple[Part, ...]:
        """The rows, the stock, what was told, and what is known of it."""
        stock = Table(("wanted", "in stock"), tuple((k, str(v)) for k, v in self.stock.items()))
        head = ("seen so far", "times", "as a rule for", "in all", "at most")
        known = tuple(
            (str(s.place), str(s.spells), said(s.typical), said(s.total), str(s.most))
            for s in self.summaries
        )
        chart = (Chart(self.picture, HOURS_TITLE),) if self.picture else ()
        return (*super().parts(), stock, Lines(self.told), Table(head, known), *chart)


HOURS_TITLE = "In stock, by hour of the day"


def _is(count: int) -> str:
    return "is" if count == 1 else "are"


def rows_of_claims(
    wants: Sequence[Want],
    claims: Claims,
    instances: Iterable[UserVM],
    places: Mapping[Place, int],
    dry_run: Mapping[str, str],
) -> tuple[Row, ...]:
    """One row for each instance that was wanted.

    Args:
        wants: the wants.
        claims: what this run did.
        instances: of the account, as last seen.
        places: the stock, as last seen.
        dry_run: what would be claimed where, by name.
    """
    all_of_them = list(instances)
    there = {i.name: i for i in all_of_them}
    rows = []
    for number, want in enumerate(wants):
        made = [name for name, (which, _) in claims.made.items() if which == number]
        names = wanted_names(want, family_of(want, all_of_them, wants), made)
        if want.claim is not None and want.claim.instance:
            names = (want.claim.instance,)
        rows += [_row(want, name, claims, there, places, dry_run) for name in names]
    return tuple(rows)


def _row(
    want: Want,
    name: str,
    claims: Claims,
    there: Mapping[str, UserVM],
    places: Mapping[Place, int],
    dry_run: Mapping[str, str],
) -> Row:
    found = there.get(name)
    made = name in claims.made
    outcome, why, reason = _said(want, name, claims, found, places, dry_run)
    return Row(
        instance_id=claims.made[name][1] if made else found.id if found else "",
        instance=name,
        public_ip=found.address if found else None,
        was="wanted",
        did=("claim",) if made or name in dry_run else (),
        now=str(found.status) if found else "not there",
        outcome=outcome,
        why=why,
        reason=reason,
        hourly_before=Decimal(0),
        hourly_now=_hourly(name, found, made, dry_run),
        currency=str(found.currency) if found and found.currency else None,
    )


def _hourly(
    name: str, found: UserVM | None, made: bool, dry_run: Mapping[str, str]
) -> Decimal | None:
    """What a run has made an account cost more; None if it was not made, and would be."""
    if name in dry_run:
        return None
    return found.hourly_price if found and made else Decimal(0)


def _said(
    want: Want,
    name: str,
    claims: Claims,
    found: UserVM | None,
    places: Mapping[Place, int],
    dry_run: Mapping[str, str],
) -> tuple[Outcome, str, Reason | None]:
    if found is not None and found.status is VMStatus.ERROR:
        return "failed", in_error(name).why, Reason.IN_ERROR
    if name in dry_run:
        return "planned", dry_run[name], None
    if name in claims.made:
        if name in claims.told and found is not None:
            price = money(found.hourly_price, str(found.currency or ""))
            return "done", f"{found.public_ip or 'no public address'}, {price} an hour", None
        return "done", "claimed; it is not up yet", None
    if name in claims.refused:
        return "failed", claims.refused[name].why, claims.refused[name].reason
    by_name = found is not None and want.number_of(name) is not None
    if found is not None and by_name and found.status not in LOST:
        taken = taken_by(want, found)
        if taken:
            return "skipped", taken, Reason.TAKEN
        return "already", f"it is {found.status}", None
    if name in claims.elsewhere:
        return "skipped", "somebody else has it or is asking for it", Reason.HELD
    if found is not None:
        return "already", f"it is {found.status}", None
    missed = claims.missed.get(name) or why_missed(want, places, {})
    return "skipped", missed.why, missed.reason
