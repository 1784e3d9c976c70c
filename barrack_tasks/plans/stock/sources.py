"""What a claim brings back: where that can be, and whether it can be at all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from barrack_tasks.api.models import Snapshot, UserVM
from barrack_tasks.plans.money.caps import Caps
from barrack_tasks.plans.report import money
from barrack_tasks.plans.selection import is_named
from barrack_tasks.plans.snapshots.restore import find_snapshot, hardware_needed
from barrack_tasks.plans.stock.wants import Place, Want, why_not_allowed, why_not_ended

Hardware = tuple[str, int]
"""GPU model and count."""


def source_of(want: Want, instances: Iterable[UserVM]) -> UserVM | None:
    """The hibernated instance that a claim is to restore."""
    claim = want.claim
    if claim is None or claim.how != "restore":
        return None
    wanted = [claim.instance or ""]
    return next((i for i in instances if is_named(i.id, i.name, wanted)), None)


def ready_snapshot(want: Want, snapshots: Sequence[Snapshot], now: datetime) -> Snapshot:
    """The snapshot that a claim names; `now` is this moment, by the cloud's clock.

    Raises:
        ValueError: there is none, naming the nearest; or it cannot be restored now.
    """
    asked = want.claim.snapshot_id if want.claim else None
    found = find_snapshot(asked or "", snapshots, now)
    if not found.status.is_ready:
        raise ValueError(f"the snapshot {found.name} is {found.status}, and not ready to restore")
    return found


def place_of_snapshot(
    snapshot: Snapshot,
    instances: Iterable[UserVM],
    seen: Callable[[], Mapping[str, Hardware]],
) -> Place:
    """What a snapshot restores to: the configuration that it was taken of, in its region.

    Args:
        snapshot: as it is.
        instances: all of the account.
        seen: configurations that are remembered, by instance; asked only if nothing else tells.

    Raises:
        ValueError: nothing tells.
    """
    source = next((i for i in instances if i.id == snapshot.instance_id), None)
    hardware = hardware_needed(snapshot, source, seen)
    region = snapshot.region or (source.region if source else None)
    if hardware is None or region is None:
        raise ValueError(
            f"nothing tells which GPU the snapshot {snapshot.name} restores to, or where, so "
            "neither price nor caps can be judged"
        )
    return Place(str(region), *hardware)


def check_place(
    want: Want,
    what: str,
    place: Place,
    price: Decimal | None,
    currency: str,
    caps: Sequence[Caps] = (),
    unable: frozenset[Hardware] = frozenset(),
) -> None:
    """Refuse a claim whose only place is not wanted, not allowed, or costs too much.

    Args:
        want: the want.
        what: that is brought back, for a person.
        place: the only one where it can be.
        price: what that costs an hour.
        currency: of the price.
        caps: whose regions and GPU models count.
        unable: flavors that do not count, for they cannot hibernate.

    Raises:
        ValueError: see above.
    """
    if why := why_not_allowed(place, caps) or why_not_ended(place, unable):
        raise ValueError(f"{what} comes back as {place}, and {why}")
    fitting = [option for option in want.options if option.fits(place)]
    if not fitting:
        wanted = ", else ".join(str(option) for option in want.options)
        raise ValueError(f"{what} comes back as {place}, and wanted is {wanted}")
    limits = [option.max_price for option in fitting if option.max_price is not None]
    if price is not None and len(limits) == len(fitting) and price > max(limits):
        raise ValueError(
            f"{what} comes back as {place} for {money(price, currency)} an hour, and the limit is "
            f"{money(max(limits), currency)}"
        )
