"""What to claim of the stock that is there, exactly as much as is wanted."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from barrack_tasks.api.models import UserVM, VMStatus
from barrack_tasks.plans.making import Making
from barrack_tasks.plans.money.caps import Proposed
from barrack_tasks.plans.steps import Reason, Step
from barrack_tasks.plans.stock.sources import source_of
from barrack_tasks.plans.stock.wants import (
    Option,
    Place,
    Want,
    family_of,
    place_of,
    wanted_names,
)

PriceOf = Callable[[Place, str | None], Decimal | None]
"""What a configuration costs an hour in a tier; in the dearest, if none is named."""


class Refusal(NamedTuple):
    """Why something is not claimed."""

    code: str
    """What programs compare: another code is another reason, whatever the figures are."""
    why: str
    reason: Reason | None = None


@dataclass(frozen=True)
class Attempt:
    """A request that claims something, and what the guard must know of it."""

    want: int
    step: Step
    place: Place
    price: Decimal | None

    @property
    def asked(self) -> Proposed:
        """The instance, as the guard judges it."""
        return Proposed(
            self.step.subject,
            self.place.gpu_model,
            self.place.gpu_count,
            self.place.region,
            comes_back=self.step.operation == "restore_instance",
            price=self.price,
        )

    def making(self, asked: datetime) -> Making:
        """The request, as one that is sent at a moment of the cloud's clock."""
        boots_from = "snapshot" if self.step.operation == "restore_snapshot" else None
        hardware = (self.place.gpu_model, self.place.gpu_count)
        return Making(self.step.subject, asked, boots_from, hardware, self.place.region)


SHUNNED_FOR = timedelta(minutes=10)
"""So long a place is left alone for a want after the API refused it there."""


@dataclass(frozen=True)
class Shunned:
    """A place that the API refused, for what is claimed under one name: why, and until when.

    Without a `place` it is left alone everywhere: the API refuses whoever asks.
    """

    claim: str
    place: Place | None
    refusal: Refusal
    until: datetime


def shunned(claim: str, place: Place | None, why: str, code: str, now: datetime) -> Shunned:
    """Leave a place alone for a while, and say so.

    Args:
        claim: see `claim_of`.
        place: where it was refused; None for everywhere.
        why: the API's sentence.
        code: what the refusal is called; another code is another reason.
        now: zone-aware.
    """
    until = now + SHUNNED_FOR
    what = "this claim" if place is None else str(place)
    said = f"{why.rstrip('.')}. It is not asked again for {what} before {until:%H:%M} UTC"
    return Shunned(claim, place, Refusal(code, said), until)


def claim_of(want: Want) -> str:
    """What a claim is called from run to run: the name that it makes or brings back."""
    claim = want.claim
    return "" if claim is None else claim.name or claim.instance or ""


def in_error(name: str) -> Refusal:
    """Why nothing is claimed under the name of an instance that is in ERROR."""
    return Refusal(
        "in-error",
        f"{name} is in ERROR and keeps its name, so nothing else is claimed for it; look at it, "
        "and delete it to have it claimed again",
        Reason.IN_ERROR,
    )


Against = Callable[[Attempt, Sequence[Attempt]], Refusal | None]


@dataclass
class Choice:
    """What to ask for now."""

    attempts: list[Attempt] = field(default_factory=list)
    refused: dict[str, tuple[Attempt, Refusal]] = field(default_factory=dict)
    """The best that is there for a name, and why that will not do; nothing else does either."""
    missed: dict[str, Refusal] = field(default_factory=dict)
    """Names for which nothing is there, and why."""


@dataclass
class Claims:
    """What this run did about claims that the API does not tell."""

    made: dict[str, tuple[int, str]] = field(default_factory=dict)
    """Which want each instance that this run claimed is for, and its id, by name."""
    elsewhere: set[str] = field(default_factory=set)
    """Names that somebody else has taken."""
    asked: set[str] = field(default_factory=set)
    """Names that were asked for in this look, whatever came of it."""
    told: set[str] = field(default_factory=set)
    """Instances that were announced."""
    refused: dict[str, Refusal] = field(default_factory=dict)
    """What the guard or the API said against a name, the last time."""
    missed: dict[str, Refusal] = field(default_factory=dict)
    """Why the last look did not ask for a name, or asked in vain."""


def is_met(want: Want, instances: Iterable[UserVM], wants: Iterable[Want] = ()) -> bool:
    """Whether all that is wanted is there or on its way; `wants` are all of them."""
    all_of_them = list(instances)
    if want.claim is not None and want.claim.how == "restore":
        return not list(_missing(want, all_of_them, set()))
    family = family_of(want, all_of_them, wants)
    return sum(taken_by(want, one) is None for one in family) >= len(want.names)


def taken_by(want: Want, instance: UserVM) -> str | None:
    """Why an instance that has the name of what is wanted is not that; None if it is.

    It may be another configuration, or rest: what was claimed for a time and hibernated is neither
    had nor asked for again.
    """
    if want.is_met_by(instance) and VMStatus.ACTIVE in (instance.status, instance.status.leads_to):
        return None
    is_told = instance.gpu_model is not None and instance.region is not None
    what = f" {place_of(instance)}" if is_told else ""
    return f"the name is taken by {instance.name}, {instance.status}{what}"


def choose(
    wants: Sequence[Want],
    places: Mapping[Place, int],
    instances: Sequence[UserVM],
    price_of: PriceOf,
    claims: Claims,
    snapshots: Mapping[str, Place] | None = None,
    against: Against = lambda _, __: None,
) -> Choice:
    """What to ask for now, in the order of the wants.

    Stock that one attempt takes is not there for the next. As many are asked for as there are not,
    by names that nothing has. Where the best place will not do, the next best is taken.

    Args:
        wants: the best first.
        places: how many instances of each configuration can be deployed.
        instances: all of the account.
        price_of: what a configuration costs an hour in a tier.
        claims: what this run did.
        snapshots: what each snapshot restores to, by its id.
        against: why an attempt will not do, given those that were chosen before it; None if it
            will.
    """
    left = dict(places)
    taken = {*claims.made, *claims.elsewhere, *claims.asked}
    found = Choice()
    for number, want in enumerate(wants):
        only = _where(want, instances, snapshots or {})
        price = _price(want, instances, price_of)
        made = [name for name, (which, _) in claims.made.items() if which == number]
        for name in _missing(want, instances, taken, made, wants):
            fitting = list(_fitting(want, left, price, only))
            if not fitting:
                found.missed[name] = why_missed(want, places, left, only, price)
                continue
            refused: list[tuple[Attempt, Refusal]] = []
            for place in fitting:
                step = _step(want, name, place, instances)
                attempt = Attempt(number, step, place, price(place))
                why = against(attempt, found.attempts)
                if why is None:
                    _take(left, place)
                    found.attempts.append(attempt)
                    break
                refused.append((attempt, why))
            else:
                found.refused[name] = refused[0]
    return found


def _is_up(status: VMStatus) -> bool:
    return status is VMStatus.ACTIVE or status.is_waking


def _missing(
    want: Want,
    instances: Sequence[UserVM],
    taken: Collection[str],
    made: Iterable[str] = (),
    wants: Iterable[Want] = (),
) -> Iterator[str]:
    """Names of the instances that are still to be claimed for a want."""
    claim = want.claim
    if claim is None:
        return
    if claim.how == "restore":
        source = source_of(want, instances)
        is_broken = source is not None and source.status is VMStatus.ERROR
        if source and source.name not in taken and not is_broken and not _is_up(source.status):
            yield source.name
        return
    family = family_of(want, instances, wants)
    there = {i.name for i in family}
    for name in wanted_names(want, family, made):
        if name not in there and name not in taken:
            yield name


def _where(want: Want, instances: Sequence[UserVM], snapshots: Mapping[str, Place]) -> Place | None:
    """The only place that will do, if the claim is for something that exists."""
    if want.claim is not None and want.claim.how == "snapshot":
        return snapshots[want.claim.snapshot_id or ""]
    source = source_of(want, instances)
    return None if source is None else place_of(source)


def _price(
    want: Want, instances: Sequence[UserVM], price_of: PriceOf
) -> Callable[[Place], Decimal | None]:
    """What a want costs an hour, by place: what comes back costs what it says itself."""
    source = source_of(want, instances)
    known = None if source is None else source.hourly_price
    return lambda place: price_of(place, want.tier) if known is None else known


def why_missed(
    want: Want,
    places: Mapping[Place, int],
    left: Mapping[Place, int],
    only: Place | None = None,
    price_of: Callable[[Place], Decimal | None] = lambda _: None,
) -> Refusal:
    """Why nothing is there for a want.

    Args:
        want: the want.
        places: the stock.
        left: the same, without what was taken of it.
        only: the only place that will do, if there is one.
        price_of: what it costs an hour there.
    """
    fitting = [p for p, n in places.items() if n > 0 and any(o.fits(p) for o in want.options)]
    where = [p for p in fitting if only is None or p == only]
    if there := [p for p in where if left.get(p, 0) > 0]:
        unpriced = [str(p) for p in there if price_of(p) is None]
        of_it = ", ".join(unpriced)
        if len(unpriced) == len(there):
            why = f"in stock, but the price of {of_it} is not known: it may be above max_price"
            return Refusal("unpriced", why, Reason.UNPRICED)
        more = f"; the price of {of_it} is not known" if unpriced else ""
        return Refusal("too-dear", f"in stock, but not at the price{more}", Reason.TOO_DEAR)
    if where:
        return Refusal("too-few", "no more of it is in stock", Reason.OUT_OF_STOCK)
    if fitting and only is not None:
        return Refusal("elsewhere", f"in stock, but not as {only}", Reason.OUT_OF_STOCK)
    options = ", else ".join(str(option) for option in want.options)
    return Refusal("out-of-stock", f"out of stock: {options}", Reason.OUT_OF_STOCK)


def _fitting(
    want: Want,
    left: Mapping[Place, int],
    price_of: Callable[[Place], Decimal | None],
    only: Place | None,
) -> Iterator[Place]:
    """Places that are there: option by option, of each those with most in stock first."""
    for option in want.options:
        yield from sorted(
            (
                place
                for place, available in left.items()
                if available > 0
                and option.fits(place)
                and (only is None or place == only)
                and is_affordable(option, price_of(place))
            ),
            key=lambda place: (left[place], place),
            reverse=True,
        )


def is_affordable(option: Option, price: Decimal | None) -> bool:
    """Whether a price is within an option's. What is not known is not affordable."""
    return option.max_price is None or (price is not None and price <= option.max_price)


def _take(left: dict[Place, int], place: Place) -> None:
    """Take one instance out of the stock, for all counts of the same GPUs."""
    gpus = left[place] * place.gpu_count - place.gpu_count
    for other in left:
        if (other.region, other.gpu_model) == (place.region, place.gpu_model):
            left[other] = min(left[other], gpus // other.gpu_count) if gpus > 0 else 0


def _step(want: Want, name: str, place: Place, instances: Sequence[UserVM]) -> Step:
    claim = want.claim
    assert claim is not None  # noqa: S101 - only a want with a claim misses anything
    if claim.how == "restore":
        id_ = next(i.id for i in instances if i.name == name)
        return Step("restore_instance", id_, name, {"instance_id": id_})
    if claim.how == "snapshot":
        arguments = {"snapshot_id": claim.snapshot_id or "", "name": name}
        return Step("restore_snapshot", name, name, arguments)
    given = {
        "name": name,
        "region": place.region,
        "gpu_model": place.gpu_model,
        "gpu_count": place.gpu_count,
        "image_id": claim.image_id,
        "ssh_key_id": claim.ssh_key_id,
        "script_id": claim.script_id,
        "tier": claim.tier,
        "public_ip": claim.public_ip,
    }
    return Step("create_instance", name, name, {k: v for k, v in given.items() if v is not None})
