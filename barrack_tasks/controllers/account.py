"""What `watch_account` remembers, and which of what is missing is gone."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

import httpx
from prefect.client.orchestration import get_client
from prefect.exceptions import PrefectHTTPStatusError

from barrack_tasks.api.models import VMStatus
from barrack_tasks.controllers.run import Run
from barrack_tasks.plans.account_changes import MOVED, AccountChange, Sight, View
from barrack_tasks.plans.power.evidence import Watched
from barrack_tasks.runtime import leases
from barrack_tasks.runtime.observe import confirmed_gone
from barrack_tasks.server.credentials import BarrackCredentials
from barrack_tasks.server.events import emit
from barrack_tasks.server.tables import read_all, write_all

_LATELY = timedelta(minutes=10)
_MOST_ASKED = 50
_MOVED_BY_RUNS = tuple(
    f"barrack.instance.{what}" for what in ("hibernated", "restored", "stopped", "claimed")
)
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
                labels={MOVED: change.moved} if change.moved else None,
            )


def moved_by_runs(account: str, ids: Collection[str]) -> set[str]:
    """Which instances a run of this library has in hand, or told in the last minutes it moved.

    If the events cannot be read, only what is in hand counts: a guard looks once more than it must.

    Args:
        account: whose instances they are.
        ids: of the instances that changed; nothing is asked if there are none.
    """
    if not ids:
        return set()
    moment = datetime.now(UTC)
    found = leases.held_by_runs(account, moment) & set(ids)
    wanted = {
        "event": {"name": list(_MOVED_BY_RUNS)},
        "resource": {"id": [f"barrack.instance.{one}" for one in ids][:_MOST_ASKED]},
        "occurred": {"since": (moment - _LATELY).isoformat()},
    }
    body = {"filter": wanted, "limit": _MOST_ASKED}
    with suppress(httpx.HTTPError, PrefectHTTPStatusError), get_client(sync_client=True) as client:
        events = client.request("POST", "/events/filter", json=body).json()["events"]
        named = (event["resource"]["prefect.resource.id"] for event in events)
        found |= {name.removeprefix("barrack.instance.") for name in named} & set(ids)
    return found
