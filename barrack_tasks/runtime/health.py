"""What the Prefect server tells of guards that are blind."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from itertools import islice
from typing import Any

from prefect.blocks.abstract import NotificationBlock
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import VariableCreate, VariableUpdate
from prefect.context import FlowRunContext
from prefect.exceptions import ObjectAlreadyExists
from prefect.server.schemas.schedules import CronSchedule, IntervalSchedule, RRuleSchedule
from prefect.utilities.asyncutils import run_coro_as_sync
from pydantic import TypeAdapter

from barrack_tasks.api import BarrackConfigurationError
from barrack_tasks.plans.health import (
    MISSED,
    UnfinishedRun,
    blind_from,
    blindness,
    why_it_hangs,
)
from barrack_tasks.plans.names import PREFIX, TAG
from barrack_tasks.runtime.leases import intent_of
from barrack_tasks.runtime.notify import find_notifiers
from barrack_tasks.runtime.post import Item, Post
from barrack_tasks.server.events import get_run_logger
from barrack_tasks.server.runs import deployment_of_run
from barrack_tasks.server.variables import Records

COMPLETED = "Completed"
"""The state of a run that did its work. One that stood aside for another is `SKIPPED`."""
SKIPPED = "Skipped"
_EXCEPTION = re.compile(r"^(?:Flow|Task) run encountered an exception: (?:[A-Z]\w+: )?")
_NOT_ENDED = ["SCHEDULED", "PENDING", "RUNNING", "PAUSED", "CANCELLING"]
_ENDED = ["COMPLETED", "FAILED", "CRASHED", "CANCELLED"]
_TOLD = "barrack_blind_"
_TELLING = timedelta(minutes=2)
"""So long another run is given to tell of what it has found."""
_SCHEDULE: TypeAdapter[Any] = TypeAdapter(IntervalSchedule | CronSchedule | RRuleSchedule)

Log = logging.Logger | logging.LoggerAdapter[Any]


@dataclass(frozen=True)
class Blind:
    """A guard that has not completed for too long."""

    key: str
    """The same for as long as it is blind."""
    text: str
    notify: tuple[str, ...]
    """Who is told of what it watches."""


def due_after(
    schedules: Iterable[Mapping[str, Any]], moment: datetime, count: int
) -> list[datetime]:
    """The next times at which any of these schedules runs, the first ones in order.

    Args:
        schedules: in the form of Prefect's API.
        moment: zone-aware.
        count: at most so many.
    """
    found: set[datetime] = set()
    for schedule in schedules:
        times = _SCHEDULE.validate_python(schedule)
        found.update(run_coro_as_sync(times.get_dates(count, start=moment)) or [])
    return list(islice(sorted(found), count))


def blind_guards(client: SyncPrefectClient, but: str | None = None) -> list[Blind]:
    """The guards that run on a schedule and are blind; costs two requests while all is well.

    Args:
        client: of the server.
        but: id of a deployment that is left out: that of the run which looks, and completes now.
    """
    answer = client.request(
        "POST",
        "/deployments/filter",
        json={
            "deployments": {"tags": {"all_": [TAG, "guard"]}},
            "flows": {"name": {"like_": PREFIX}},
            "limit": 200,
        },
    )
    now = _moment_of(answer.headers.get("date"))
    on = {
        one["id"]: one
        for one in answer.json()
        if one["id"] != but and not one["paused"] and any(s["active"] for s in one["schedules"])
    }
    completed = _last_completed(client, on)
    found = []
    for id_, one in on.items():
        active = [s for s in one["schedules"] if s["active"]]
        # One that was just switched on, or set to other times, gets as long as any other.
        last = max([*(_read(s["updated"]) for s in active), *completed.get(id_, [])])
        ends = blind_from(last, due_after([s["schedule"] for s in active], last, MISSED))
        if ends is not None and now > ends:
            flow = client.request("GET", "/flows/{id}", path_params={"id": one["flow_id"]})
            name = flow.json()["name"]
            if name.startswith(PREFIX):  # what is asked for only has to contain it
                found.append(_blind(client, f"{name}/{one['name']}", one, last, now))
    return found


def _last_completed(client: SyncPrefectClient, ids: Iterable[str]) -> dict[str, list[datetime]]:
    """When a run of each deployment last completed, if one ever has.

    What all have in common is read at once; one that runs rarely, or never has, is asked for again
    without those that were found.
    """
    found: dict[str, list[datetime]] = {}
    missing = list(ids)
    while missing:
        limit = 4 * len(missing)
        runs = runs_of(
            client, missing, {"state": {"name": {"any_": [COMPLETED]}}}, "END_TIME_DESC", limit
        )
        for run in runs:
            found.setdefault(run["deployment_id"], [_read(run["end_time"])])
        missing = [id_ for id_ in missing if id_ not in found] if len(runs) == limit else []
    return found


def runs_of(
    client: SyncPrefectClient,
    deployments: Sequence[str],
    which: Mapping[str, Any],
    order: str,
    limit: int,
) -> list[dict[str, Any]]:
    """Runs of some deployments, as Prefect's API tells them."""
    body = {
        "deployments": {"id": {"any_": list(deployments)}},
        "flow_runs": dict(which),
        "sort": order,
        "limit": limit,
    }
    found: list[dict[str, Any]] = client.request("POST", "/flow_runs/filter", json=body).json()
    return found


def hanging(
    client: SyncPrefectClient, deployment: str, now: datetime, longest: timedelta
) -> list[str]:
    """A sentence about each run of a deployment that hangs, the oldest first.

    Args:
        client: of the server.
        deployment: its id.
        now: zone-aware.
        longest: so long a run may be at work.
    """
    which = {
        "state": {"type": {"any_": _NOT_ENDED}},
        "expected_start_time": {"before_": now.isoformat()},
    }
    found = []
    for run in runs_of(client, [deployment], which, "EXPECTED_START_TIME_ASC", 5):
        state = run["state"]
        due = _read(run["expected_start_time"])
        one = UnfinishedRun(
            run["name"], state["type"], state["name"], _read(state["timestamp"]), due
        )
        if why := why_it_hangs(one, now, longest):
            found.append(f"run {one.name} {why}")
    return found


def unfinished_runs(client: SyncPrefectClient, deployment: str) -> int:
    """How many runs of a deployment wait or are at work, at most 200."""
    which = {"state": {"type": {"any_": _NOT_ENDED}}}
    return len(runs_of(client, [deployment], which, "EXPECTED_START_TIME_ASC", 200))


def reason_of(state: Mapping[str, Any]) -> str:
    """Why a run is in its state, as one line; without the names of classes that Prefect puts first.

    Args:
        state: of a run, as the server tells it.

    Example:
        >>> reason_of({"message": "Flow run encountered an exception: ValueError: no such zone"})
        'no such zone'
    """
    return _EXCEPTION.sub("", " ".join((state.get("message") or "").split()))


def how_it_ended(client: SyncPrefectClient, deployment: str) -> str | None:
    """A sentence about the last run of a deployment that ended, unless it did its work."""
    which = {"state": {"type": {"any_": _ENDED}}}
    for run in runs_of(client, [deployment], which, "EXPECTED_START_TIME_DESC", 1):
        state = run["state"]
        if state["name"] != COMPLETED:
            message = reason_of(state)[:300]
            return f"run {run['name']} ended {state['name']}{message and f': {message}'}"
    return None


def _blind(
    client: SyncPrefectClient, title: str, one: Mapping[str, Any], last: datetime, now: datetime
) -> Blind:
    reasons = hanging(client, one["id"], now, timedelta(0))
    if ended := how_it_ended(client, one["id"]):
        reasons.append(ended)
    notify = one["parameters"].get("notify") or ()
    return Blind(
        intent_of(one["id"], last.isoformat()),
        blindness(title, last, now, reasons),
        tuple(str(name) for name in notify),
    )


def tell_of_blind_guards(post: Post) -> None:
    """Add to the post of a run the guards that are blind, for its people and for theirs.

    Each notifier is told once of each guard, whichever run finds it; a run without any leaves a
    warning in its log, once as well. A dry run tells nobody, and only logs. Never raises: a run
    that did its work does not fail of this.
    """
    run = FlowRunContext.get()
    if run is None:
        return
    log = get_run_logger()
    try:
        given = run.parameters or {}
        with get_client(sync_client=True) as client:
            blind = blind_guards(client, but=deployment_of_run())
            if blind:
                _add(
                    client, blind, given.get("notify") or (), bool(given.get("dry_run")), log, post
                )
    except Exception as error:  # noqa: BLE001 - see above
        log.info(
            "it could not be read whether the guards complete their runs: %s", type(error).__name__
        )


def _add(
    client: SyncPrefectClient,
    blind: Sequence[Blind],
    notify: Sequence[str],
    dry_run: bool,
    log: Log,
    post: Post,
) -> None:
    with Records(_TOLD) as records:
        notes = {name.removeprefix(_TOLD): value for name, value in records.all().items()}
        now = datetime.now(UTC)
        for name, note in notes.items():
            if note["guard"] not in {one.key for one in blind}:
                records.drop(name)
    for one in blind:
        if dry_run:
            log.warning("%s", one.text)
            continue
        for notifier in ("", *dict.fromkeys([*notify, *one.notify])):
            name = intent_of(one.key, notifier)
            if _is_mine(client, name, notes.get(name), one.key, now):
                _add_one(post, notifier, one, name, log, now)


def _is_mine(
    client: SyncPrefectClient, name: str, note: Mapping[str, Any] | None, key: str, now: datetime
) -> bool:
    """Whether it is this run that tells it. The note comes first, and the server takes one."""
    if note is not None:
        return not note["told"] and now - datetime.fromisoformat(note["at"]) > _TELLING
    value = {"guard": key, "at": now.isoformat(), "told": False}
    try:
        client.create_variable(VariableCreate(name=_TOLD + name, value=value))
    except ObjectAlreadyExists:
        return False
    return True


def _add_one(post: Post, notifier: str, one: Blind, name: str, log: Log, now: datetime) -> None:
    found: Mapping[str, NotificationBlock] = {}
    if notifier:
        try:
            found = find_notifiers([notifier])
        except BarrackConfigurationError as error:
            log.warning("%s", error)
            return
    else:
        log.warning("%s", one.text)

    def sent(failed: Mapping[str, str]) -> None:
        value = {"guard": one.key, "at": now.isoformat(), "told": not failed}
        try:
            with get_client(sync_client=True) as client:
                client.update_variable(VariableUpdate(name=_TOLD + name, value=value))
        except Exception as error:  # noqa: BLE001 - then another run tells it again
            log.info(
                "it could not be recorded that people were told of a blind guard: %s",
                type(error).__name__,
            )

    post.add(Item(found, "Barrack: a guard is blind", f"{one.text}.", "failure", sent=sent))


def _moment_of(date: str | None) -> datetime:
    """The server's time by its answer: all that it tells is by its own clock."""
    return parsedate_to_datetime(date) if date else datetime.now(UTC)


def _read(moment: str) -> datetime:
    return datetime.fromisoformat(moment)
