"""Restoring snapshots: what the flow needs of the account before, while and after."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from barrack_tasks.api import BarrackError
from barrack_tasks.api.models import Snapshot, UserVM
from barrack_tasks.api.models.rules import check_instance_name
from barrack_tasks.credentials import BarrackCredentials
from barrack_tasks.events import emit
from barrack_tasks.guard import caps_of, read_means, rulings
from barrack_tasks.holds import Hold
from barrack_tasks.observing import observe, with_stock
from barrack_tasks.plans.guard import Asked, Caps, Means
from barrack_tasks.plans.memory import Memory
from barrack_tasks.plans.restoring import Restoring, key_of, restored_names
from barrack_tasks.plans.restoring_report import Restored
from barrack_tasks.plans.stock.claims import Expiry
from barrack_tasks.plans.world import World
from barrack_tasks.stock_memory import add_expiries

PROFILE_UNKNOWN = (
    "Whether the profile is complete (full name, billing address, postal code, country) is not "
    "known before: no operation tells."
)


def begin(
    hold: Hold, snapshot: Snapshot, name: str | None, instances: Sequence[UserVM], dry_run: bool
) -> Restoring:
    """Choose the name of the new instance, and hold it, so that no other run takes it.

    A run that was cut off has held its name already, and what it made is this run's own.
    """
    source = next((i for i in instances if i.id == snapshot.instance_id), None)
    taken = {i.name for i in instances}
    if name is not None:
        return Restoring(snapshot, name, source, resumed=key_of(name) in hold.inherited)
    for candidate in restored_names(snapshot):
        if key_of(candidate) in hold.inherited:
            return Restoring(snapshot, candidate, source, resumed=True)
        if candidate not in taken and (dry_run or not hold.claim({key_of(candidate): candidate})):
            return Restoring(snapshot, candidate, source)
    raise AssertionError("names do not end")


def with_problems(
    account: BarrackCredentials,
    all_of_them: Iterable[Restoring],
    caps: Caps | Mapping[str, Any] | None,
) -> list[Restoring]:
    """The same, each with everything that stands against it, found before anything is sent."""
    against = caps_of(account, caps)
    try:
        means = read_means(account, against)
    except BarrackError as error:
        why = f"balance and costs cannot be read, so nothing may begin: {error}"
        return [replace(one, problems=(why,)) for one in all_of_them]
    found = []
    for one in all_of_them:
        problems, means = _problems(one, against, means)
        found.append(replace(one, problems=problems))
    return found


def _problems(one: Restoring, caps: Sequence[Caps], means: Means) -> tuple[tuple[str, ...], Means]:
    problems = []
    try:
        check_instance_name(one.name)
    except ValueError as error:
        problems.append(f"invalid name format: {error}")
    source = one.source
    if source is None:
        limited = [c for c in caps if c.model_dump(exclude_none=True, exclude={"instances"})]
        if limited:
            problems.append(
                "the instance is gone, and no operation tells which GPU the snapshot needs, so "
                "the caps cannot be judged"
            )
        ruling = rulings([Caps()], Asked(one.name, "?", 1, "?"), Decimal(0), means)
        return (*problems, *ruling.refused), means
    region = str(one.snapshot.region or source.region)
    asked = Asked(one.name, str(source.gpu_model), int(source.gpu_count or 1), region)
    price = means.tariff.of(asked.gpu_model, asked.gpu_count, region) or source.hourly_price
    if price is None:
        return (*problems, "its price cannot be read"), means
    ruling = rulings(caps, asked, price, means)
    problems += ruling.unattended("approve")
    if not problems:
        means = replace(means, burn=means.burn + price)
    return tuple(problems), means


def look(account: BarrackCredentials, all_of_them: Sequence[Restoring], memory: Memory) -> World:
    """The account now, with its stock; what was made and is missing is asked for by id."""
    made = [memory.made[one.key] for one in all_of_them if memory.made.get(one.key)]
    snapshots = {one.key: one.snapshot.id for one in all_of_them}
    world = observe(account, made, snapshots)
    waiting = any(one.key not in memory.made for one in all_of_them)
    return with_stock(account, world) if waiting else world


def tell_of(
    account: BarrackCredentials,
    restored: Iterable[Restored],
    expires: timedelta | None,
    on_expiry: str,
    now: datetime,
) -> None:
    """Emit the events, and note when what was made is to end."""
    ends = []
    for one in restored:
        payload: dict[str, Any] = {
            "snapshot": one.snapshot,
            "new": one.id,
            "old": one.old_id,
            "address": one.address,
            "hourly_price": None if one.hourly_price is None else str(one.hourly_price),
            "currency": one.currency,
            "billed_since": one.billed_since.isoformat() if one.billed_since else None,
            "seconds": None if one.took is None else int(one.took.total_seconds()),
        }
        related = {"new": one.id, **({"old": one.old_id} if one.old_id else {})}
        emit(
            "barrack.snapshot.restored",
            one.snapshot_id,
            one.snapshot,
            related=related,
            payload=payload,
        )
        if expires is not None:
            ends.append(Expiry(one.id, one.name, now + expires, on_expiry))
    if ends:
        add_expiries(account.account, ends)
