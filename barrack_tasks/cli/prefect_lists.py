"""What commands show of a Prefect server: deployments, runs, their logs, and events."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from prefect.client.orchestration import SyncPrefectClient, get_client

from barrack_tasks import flows
from barrack_tasks.api import BarrackConfigurationError
from barrack_tasks.api.models.text import one_line
from barrack_tasks.cli.answers import (
    ANSWERS,
    DeploymentShown,
    EventShown,
    LogShown,
    RunShown,
)
from barrack_tasks.cli.deployments import read_deployed
from barrack_tasks.cli.listing import Filter
from barrack_tasks.cli.recurrence import runs_when
from barrack_tasks.cli.screen import Screen
from barrack_tasks.cli.servers import known_server
from barrack_tasks.plans.durations import said
from barrack_tasks.plans.names import PREFIX, TAG, nearest
from barrack_tasks.runtime.health import COMPLETED, reason_of, runs_of

_LEVELS = ((50, "CRITICAL"), (40, "ERROR"), (30, "WARNING"), (20, "INFO"))
_PAGE = 200


@contextmanager
def server_client() -> Iterator[SyncPrefectClient]:
    """A client of the Prefect server that is known.

    Raises:
        ServerAwayError: none is known, or it does not answer.
    """
    with known_server() as server:
        if not server.answers:
            raise server.away()
        with get_client(sync_client=True) as client:
            yield client


def list_of_server(screen: Screen, kind: str, only: Filter, limit: int, as_json: bool) -> int:
    """Show the deployments or the runs that a server knows of this library.

    Raises:
        SelectionError: a name means none of them.
        ServerAwayError: no server answers.
    """
    now = datetime.now(UTC)
    with server_client() as client:
        if kind == "deployments":
            deployments = only.chosen(read_deployments(client), "deployment")
            shown: Sequence[Any] = deployments
            table, spare = deployment_cells(deployments, now), ["schedule"]
        else:
            # What is chosen by a name or a state is looked for among more than are shown.
            most = _PAGE if only.names or only.states else limit
            runs = only.chosen(read_runs(client, most), "run")[:limit]
            shown, table, spare = runs, run_cells(runs, now), ["deployment", "seconds"]
    if as_json:
        screen.print_json(list(shown), ANSWERS[f"ls {kind}"])
    elif shown:
        screen.print_rows("", *table, spare)
    else:
        screen.print(f"There are no such {kind}.")
    return 0


def read_deployments(client: SyncPrefectClient) -> list[DeploymentShown]:
    """All deployments of this library that a server has."""
    found = []
    for one in read_deployed(client):
        dry = one.parameters.get("dry_run")
        is_on = any(s["active"] for s in one.schedules) and not one.paused
        times = [runs_when(s) for s in one.schedules if s["active"]] if is_on else []
        off = "off" if one.schedules else "on demand"
        did = {"state": {"name": {"any_": [COMPLETED]}}}
        waits = {"state": {"type": {"any_": ["SCHEDULED"]}}}
        completed = runs_of(client, [one.id], did, "END_TIME_DESC", 1)
        due = runs_of(client, [one.id], waits, "EXPECTED_START_TIME_ASC", 1)
        found.append(
            DeploymentShown(
                id=one.id,
                name=one.full_name,
                armed=None if dry is None else not dry,
                schedule=" and ".join(times) or off,
                last_completed=_moment(completed[0]["end_time"] if completed else None),
                next_run=_moment(due[0]["expected_start_time"] if due else None),
            )
        )
    return found


def deployment_cells(
    rows: Sequence[DeploymentShown], now: datetime
) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Columns and cells of deployments, each by its own name if no other has it."""
    columns = ("deployment", "armed", "next run", "last completed", "schedule")
    count = Counter(_own_name(one.name) for one in rows)
    words = {None: "-", True: "ARMED", False: "dry"}
    return columns, [
        (
            _own_name(one.name) if count[_own_name(one.name)] == 1 else one.name,
            words[one.armed],
            _due(one.next_run, now),
            f"{said(abs(now - one.last_completed))} ago" if one.last_completed else "never",
            one.schedule,
        )
        for one in rows
    ]


def _own_name(name: str) -> str:
    return name.rpartition("/")[2]


def _due(moment: datetime | None, now: datetime) -> str:
    if moment is None:
        return "-"
    span = said(abs(now - moment))
    return f"due {span} ago" if moment < now else f"in {span}"


def read_runs(client: SyncPrefectClient, limit: int) -> list[RunShown]:
    """The newest runs of the flows of this library, and none that only waits for its time.

    Args:
        client: of the server.
        limit: at most so many, up to 200.
    """
    body = {
        "flows": {"name": {"any_": _flows()}},
        "flow_runs": {"state": {"type": {"not_any_": ["SCHEDULED"]}}},
        "sort": "EXPECTED_START_TIME_DESC",
        "limit": min(limit, _PAGE),
    }
    runs = client.request("POST", "/flow_runs/filter", json=body).json()
    return _runs_shown(client, runs)


def read_due(client: SyncPrefectClient, limit: int) -> list[tuple[str, datetime]]:
    """What runs next: deployments, and when.

    Args:
        client: of the server.
        limit: at most so many.
    """
    body = {
        "flows": {"name": {"any_": _flows()}},
        "deployments": {"tags": {"all_": [TAG]}},
        "flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}},
        "sort": "EXPECTED_START_TIME_ASC",
        "limit": limit,
    }
    runs = client.request("POST", "/flow_runs/filter", json=body).json()
    shown = {one.id: one for one in _runs_shown(client, runs)}
    return [
        (
            f"{shown[run['id']].flow}/{shown[run['id']].deployment}",
            datetime.fromisoformat(run["expected_start_time"]),
        )
        for run in runs
    ]


def _flows() -> list[str]:
    """What Prefect calls the flows of this library."""
    return [getattr(flows, name).name for name in flows.__all__]


def _runs_shown(client: SyncPrefectClient, runs: Sequence[Mapping[str, Any]]) -> list[RunShown]:
    of_flows = _names(client, "/flows/filter", "flows", {run["flow_id"] for run in runs})
    deployed = {run["deployment_id"] for run in runs if run["deployment_id"]}
    of_deployments = _names(client, "/deployments/filter", "deployments", deployed)
    found = []
    for run in runs:
        state = run["state"] or {}
        name = state.get("name") or "unknown"
        is_fine = name == COMPLETED or state.get("type") in ("RUNNING", "PENDING", None)
        found.append(
            RunShown(
                id=run["id"],
                name=run["name"],
                flow=of_flows.get(run["flow_id"], "unknown"),
                deployment=of_deployments.get(run["deployment_id"]),
                state=name,
                started_at=_moment(run["start_time"]),
                seconds=run["total_run_time"] if run["start_time"] else None,
                why="" if is_fine else one_line(reason_of(state)),
            )
        )
    return found


def _names(client: SyncPrefectClient, path: Any, what: str, ids: set[str]) -> dict[str, str]:
    if not ids:
        return {}
    body = {what: {"id": {"any_": sorted(ids)}}, "limit": _PAGE}
    return {one["id"]: one["name"] for one in client.request("POST", path, json=body).json()}


def run_cells(
    rows: Sequence[RunShown], now: datetime
) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Columns and cells of runs."""
    columns = ("run", "state", "flow", "started", "seconds", "deployment", "why")
    return columns, [
        (
            one.name,
            one.state,
            one.flow.removeprefix(PREFIX),
            f"{said(now - one.started_at)} ago" if one.started_at else "-",
            "-" if one.seconds is None else f"{one.seconds:.0f}",
            one.deployment or "-",
            one.why,
        )
        for one in rows
    ]


def run_called(client: SyncPrefectClient, name: str) -> RunShown:
    """The newest run of a name, or the run of an id or of the beginning of one.

    Raises:
        BarrackConfigurationError: there is none; says which are near.
    """
    runs = read_runs(client, _PAGE)
    for run in runs:
        if name in (run.name, run.id) or (len(name) >= 6 and run.id.startswith(name)):
            return run
    raise BarrackConfigurationError(
        f"no run is called {name!r} among the newest {_PAGE}; "
        f"{nearest(name, [run.name for run in runs])}"
    )


def read_logs(client: SyncPrefectClient, run: str, after: int = 0) -> list[LogShown]:
    """The lines of a run's log, in order.

    Args:
        client: of the server.
        run: its id.
        after: leave out so many lines.
    """
    found: list[LogShown] = []
    while True:
        body = {
            "logs": {"flow_run_id": {"any_": [run]}},
            "sort": "TIMESTAMP_ASC",
            "limit": _PAGE,
            "offset": after + len(found),
        }
        page = client.request("POST", "/logs/filter", json=body).json()
        found += [
            LogShown(
                at=datetime.fromisoformat(line["timestamp"]),
                level=next((word for least, word in _LEVELS if line["level"] >= least), "DEBUG"),
                text=one_line(line["message"], 4_000),
            )
            for line in page
        ]
        if len(page) < _PAGE:
            return found


def read_events(client: SyncPrefectClient, since: datetime, limit: int) -> list[EventShown]:
    """The newest events of this library since a moment, the oldest first.

    Args:
        client: of the server.
        since: zone-aware.
        limit: at most so many, up to 50.
    """
    body = {
        "filter": {
            "event": {"prefix": ["barrack."]},
            "occurred": {"since": since.isoformat()},
            "order": "DESC",
        },
        "limit": min(limit, 50),
    }
    events = client.request("POST", "/events/filter", json=body).json()["events"]
    found = [
        EventShown(
            id=event["id"],
            at=datetime.fromisoformat(event["occurred"]),
            event=event["event"],
            resource=event["resource"]["prefect.resource.id"],
            name=event["resource"].get("prefect.resource.name"),
            payload=event["payload"],
        )
        for event in events
    ]
    return found[::-1]


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
