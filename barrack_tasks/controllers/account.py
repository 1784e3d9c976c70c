"""What `watch_account` remembers, and which of what is missing is gone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from barrack_tasks.api.models import VMStatus
from barrack_tasks.controllers.run import Run
from barrack_tasks.credentials import BarrackCredentials
from barrack_tasks.events import emit
from barrack_tasks.plans.account_changes import AccountChange, Sight, View
from barrack_tasks.plans.power.evidence import Watched
from barrack_tasks.runtime.observe import confirmed_gone
from barrack_tasks.server.tables import read_all, write_all

_EMPTY = "nothing:"
"""Stands for an account that was looked at and is empty."""


def read_view(account: str) -> tuple[dict[str, Sight] | None, dict[str, int]]:
    """What was seen last, and the turn of each thing; None if it was never looked at."""
    view: dict[str, Sight] = {}
    turns: dict[str, int] = {}
    written = read_all(_prefix(account))
    if not written:
        return None, {}
    for key, told in written.items():
        if key == _EMPTY:
            continue
        with suppress(TypeError, ValueError):
            turn, *sight = told
            view[key], turns[key] = tuple(str(part) for part in sight), int(turn)
    return view, turns


def watched_of(account: str) -> dict[str, Watched]:
    """The state in which `watch_account` saw each instance last, by its id, and since when."""
    view, turns = read_view(account)
    return {
        key.partition(":")[2]: Watched(VMStatus(seen[1]), datetime.fromtimestamp(turns[key], UTC))
        for key, seen in (view or {}).items()
        if key.startswith("instance:")
    }


def write_view(account: str, view: View, turns: Mapping[str, int]) -> None:
    """Remember what was seen, in place of what was seen before: it is all of one account."""
    content: dict[str, Any] = {k: [turns.get(k, 0), *sight] for k, sight in view.items()}
    write_all(_prefix(account), content or {_EMPTY: [0]})


def gone_of(
    credentials: BarrackCredentials, before: View, now: View, dry_run: bool = False
) -> frozenset[str]:
    """The keys of what was seen before and is gone for good; see `confirmed_gone`."""
    client = credentials.get_client()
    ask: dict[str, Callable[[str], Any]] = {
        "instance": client.instances.get,
        "snapshot": client.snapshots.get,
        "volume": client.volumes.get,
    }

    def get(key: str) -> Any:
        kind, _, id_ = key.partition(":")
        return ask[kind](id_)

    return confirmed_gone(credentials, before.keys(), now.keys(), get, dry_run)


def event_id(account: str, change: AccountChange) -> UUID:
    """The same for the same change: one that is told again after a crash counts once."""
    told = (account, change.event, change.key, change.turn, change.instance)
    return uuid5(NAMESPACE_URL, "|".join(str(part) for part in told))


def _prefix(account: str) -> str:
    return f"barrack_view_{account}_"


def tell_of_changes(run: Run, found: Iterable[AccountChange]) -> None:
    """Log each change, and emit its event unless the run is dry."""
    for change in found:
        run.log.info("%s: %s", change.name, change.event)
        if not run.dry_run:
            emit(
                change.event,
                change.id,
                change.name,
                instance=change.instance,
                payload=change.payload,
                event_id=event_id(run.account.account, change),
            )
