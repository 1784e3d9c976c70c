"""`barrack arm` and `barrack disarm`: whether a deployment acts, and runs by itself."""

from __future__ import annotations

import json as json_text
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from barrack_tasks.cli.answers import ArmingShown, PreviewOfRunShown
from barrack_tasks.cli.inputs import AsJson
from barrack_tasks.cli.recurrence import runs_when
from barrack_tasks.cli.running import jsonable
from barrack_tasks.cli.screen import Screen
from barrack_tasks.cli.servers import known_server
from barrack_tasks.plans.durations import said
from barrack_tasks.plans.report import Report, effect_of, money

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

    from barrack_tasks.cli.deployments import Deployed


def arm(deployments: list[str], /, *, yes: bool = False, json: AsJson = False) -> int:
    """Let deployments act: `dry_run` is false, and their schedules are on.

    Shows first what each would do now, by a dry run with its own parameters, what that changes in
    what the account costs an hour, and when it runs next; then it asks. All other parameters stay
    as they are on the server.

    Parameters
    ----------
    deployments
        Names of deployments, such as verify-snapshots; `barrack status` shows them.
    yes
        Do not ask.
    json
        Show JSON instead of text. Nobody is asked then: without --yes nothing is changed.
    """
    return _set(Screen(), deployments, True, yes, json)


def disarm(deployments: list[str], /, *, json: AsJson = False) -> int:
    """Make deployments dry runs: `dry_run` is true, and their schedules are off.

    All other parameters stay as they are on the server, and runs that began go on.

    Parameters
    ----------
    deployments
        Names of deployments, such as verify-snapshots; `barrack status` shows them.
    json
        Show JSON instead of text.
    """
    return _set(Screen(), deployments, False, True, json)


def _set(screen: Screen, names: list[str], armed: bool, yes: bool, as_json: bool) -> int:
    with known_server() as server:
        if not server.answers:
            raise server.away()
        from prefect.client.orchestration import get_client

        from barrack_tasks.cli.arming import called, set_armed
        from barrack_tasks.cli.deployments import read_deployed

        with get_client(sync_client=True) as client:
            wanted = called(names, read_deployed(client))
            if as_json:
                screen.print_json(
                    [_set_one(client, one, armed, yes) for one in wanted], list[ArmingShown]
                )
                return 0 if yes else 1
            if not yes and not screen.can_ask():
                return 1
            for one in wanted if armed else []:
                _show(screen, client, one)
            if not yes and not screen.agrees(f"Arm {', '.join(d.full_name for d in wanted)}?"):
                screen.print("Nothing was changed.")
                return 1
            for one in wanted:
                set_armed(client, one, armed)
                # This reports what the server has now, not what was requested.
                [now] = called([one.full_name], read_deployed(client))
                told = _armed(client, now) if armed else _disarmed(client, now)
                screen.print(told)
    return 0


def _set_one(client: SyncPrefectClient, one: Deployed, armed: bool, yes: bool) -> ArmingShown:
    """Arm or disarm a deployment if somebody agreed, and say what it would do, as JSON has it."""
    from barrack_tasks.cli.arming import called, has_dry_run, next_run, previews, set_armed
    from barrack_tasks.cli.deployments import read_deployed
    from barrack_tasks.cli.run import shown_of

    before = previews(client, one) if armed else []
    if yes:
        set_armed(client, one, armed)
    [now] = called([one.full_name], read_deployed(client))
    dry = now.parameters.get("dry_run")
    is_on = any(schedule["active"] for schedule in now.schedules) and not now.paused
    return ArmingShown(
        deployment=now.full_name,
        armed=dry is not True if has_dry_run(client, now) else None,
        changed=yes,
        next_run=next_run(client, now, datetime.now(UTC)) if is_on else None,
        previews=tuple(
            PreviewOfRunShown(
                parameters=jsonable(dict(seen.parameters)),
                report=None if seen.report is None else shown_of(seen.report.flow, seen.report),
                problem=seen.problem or None,
            )
            for seen in before
        ),
    )


def _show(screen: Screen, client: SyncPrefectClient, one: Deployed) -> None:
    """What a deployment would do now, with which parameters, and when it runs next."""
    from barrack_tasks.cli.arming import next_run, previews

    now = datetime.now(UTC)
    due = next_run(client, one, now)
    when = f"{due.astimezone(UTC):%Y-%m-%d %H:%M} UTC, in {said(due - now)}" if due else None
    screen.print(f"{one.full_name}", style="bold")
    screen.print(f"  runs next: {when or 'when somebody starts it'}")
    for preview in previews(client, one):
        for name, value in preview.parameters.items():
            shown = json_text.dumps(value, ensure_ascii=False, default=str)
            screen.print(f"  {name}: {shown}")
        if preview.report is None:
            screen.print(f"  What it would do now is not known: {preview.problem}")
        else:
            _show_report(screen, preview.report)


def _show_report(screen: Screen, report: Report) -> None:
    if not report.rows:
        screen.print("  It would do nothing now.")
    else:
        cells = []
        for row in report.rows:
            did = f"{row.outcome}: {', '.join(row.did)}" if row.did else row.outcome
            before = money(row.hourly_before, None)
            after = money(row.hourly_now, row.currency)
            cost = after if row.hourly_before == row.hourly_now else f"{before} -> {after}"
            cells.append((row.instance, row.was, did, cost, row.why))
        screen.print_rows("", ("what", "is", "would", "an hour", "why"), cells)
        screen.print(f"  {_effect(report)}")
    for note in report.notes:
        screen.print(f"  {note}")


def _effect(report: Report) -> str:
    change, unknown = effect_of(report)
    if not change and not unknown:
        return "It would not change what the account costs an hour."
    more = "more" if change >= 0 else "less"
    amount = money(abs(change), report.currency)
    end = f", not counting {unknown} of unknown price" if unknown else ""
    return f"It would make the account cost {amount} an hour {more}{end}."


def _armed(client: SyncPrefectClient, one: Deployed) -> str:
    from barrack_tasks.cli.arming import has_dry_run

    how = "acts" if has_dry_run(client, one) else "has no dry run"
    times = " and ".join(runs_when(s) for s in one.schedules if s["active"])
    return f"{one.full_name} {how}, and runs {times or 'when somebody starts it'}."


def _disarmed(client: SyncPrefectClient, one: Deployed) -> str:
    from barrack_tasks.cli.arming import acting_runs, has_dry_run

    dry = has_dry_run(client, one)
    how = "is a dry run" if dry else "has no dry run"
    off = {0: "runs when somebody starts it", 1: "its schedule is off"}
    told = f"{one.full_name} {how}, and {off.get(len(one.schedules), 'its schedules are off')}"
    going = acting_runs(client, one) if dry else 0
    if going:
        runs = "1 run" if going == 1 else f"{going} runs"
        told += f"; {runs}, already started or scheduled, will still act"
    return f"{told}."
