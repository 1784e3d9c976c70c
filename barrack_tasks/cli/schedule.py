"""`barrack schedule preview`."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from cyclopts import App
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from barrack_tasks.api import Barrack, BarrackConfigurationError, BarrackError
from barrack_tasks.api.dialect.reading import read_file, read_yaml, shown, text_of
from barrack_tasks.api.models import UserVM
from barrack_tasks.api.models.text import one_line
from barrack_tasks.cli.accounts import client_from_environment
from barrack_tasks.cli.inputs import Days
from barrack_tasks.cli.screen import Screen
from barrack_tasks.plans.durations import Timeout, span_of
from barrack_tasks.plans.inputs import Given, Texts, read_each, said_of
from barrack_tasks.plans.power.evidence import Known, clock_ahead
from barrack_tasks.plans.power.preview import Forecast, forecast
from barrack_tasks.plans.power.schedule import Adopt, Policy, Rule, rule_warnings
from barrack_tasks.plans.report import money
from barrack_tasks.plans.timetable import Timetable
from barrack_tasks.plans.timetable.zones import data_in_use, zone_warnings
from barrack_tasks.plans.world import by_instance

schedule_app = App(name="schedule", help="Timetables of instances.")
_MOST_SHOWN = 6
_MOST_RULES = 1_000


@schedule_app.command
def preview(*, rules: Path, days: Days = 14) -> int:
    """Print what timetables will do in the coming days, and what they save. Changes nothing.

    With BARRACK_API_KEY set, it has a row for each instance that a rule selects; otherwise, one for
    each rule.

    Parameters
    ----------
    rules
        A YAML file: a list of rules (select, timetable, ...), or a mapping with `rules` and, as
        for follow_schedule, `exclude`, `protect`, `strict`, `catch_up` and `adopt`.
    days
        How many days ahead.
    """
    console = Screen()
    policy, protect = _read(rules)
    start = datetime.now(UTC).replace(second=0, microsecond=0)
    end = start + timedelta(days=days)
    instances: list[UserVM] = []
    if os.environ.get("BARRACK_API_KEY", "").strip():
        with client_from_environment() as client:
            instances = list(client.instances.list())
            known, unable = _known(client), _unable(client)
        found = forecast(instances, policy, start, end, known, unable, protect)
        _show_forecast(console, found, days)
        for warning in rule_warnings(policy.rules, instances, start):
            console.print(f"warning: {warning}", style="yellow")
    else:
        _show_rules(console, policy, start, end)
    _show_zones(console, policy)
    return 0


def _known(client: Barrack) -> Known:
    """What the account itself tells; notes of earlier runs are Prefect's, which is not asked."""
    try:
        snapshots = by_instance(client.snapshots.list())
    except BarrackError:
        snapshots = {}
    return Known(snapshots=snapshots, cloud_ahead=clock_ahead(client.now(), datetime.now(UTC)))


def _unable(client: Barrack) -> frozenset[tuple[str, int]]:
    from barrack_tasks.runtime.observe import unable_of  # loads Prefect, which is slow

    try:
        return unable_of(client.perform("get_gpu_specs"))
    except BarrackError:
        return frozenset()


class _File(Given):
    """What a file of rules may hold besides them: parameters of follow_schedule."""

    rules: list[Any]
    exclude: Texts = ()
    protect: Texts = ()
    strict: bool = Policy.strict
    catch_up: Timeout = Policy.catch_up
    adopt: Adopt = Policy.adopt


def _read(file: Path) -> tuple[Policy, tuple[str, ...]]:
    """The policy, and what is protected: by the file or by BARRACK_PROTECT."""
    content: Any = read_yaml(text_of(read_file(file), shown(file)), shown(file))
    if isinstance(content, list):
        content = {"rules": content}
    if not isinstance(content, dict) or not isinstance(content.get("rules"), list):
        raise BarrackConfigurationError(
            f"{shown(file)} must hold a list of rules, such as "
            '- {select: ["train-*"], timetable: "Mon-Fri 08:00-20:00 UTC"}'
        )
    if len(content["rules"]) > _MOST_RULES:
        raise BarrackConfigurationError(
            f"{shown(file)} holds more than {_MOST_RULES} rules; let one rule select several "
            "instances"
        )
    try:
        given = _File.model_validate(content)
        found = read_each(Rule, given.rules, f"{shown(file)}, rule")
    except ValidationError as error:
        raise BarrackConfigurationError(f"{shown(file)}: {said_of(error)}") from None
    except ValueError as error:
        raise BarrackConfigurationError(str(error)) from None
    if not found:
        raise BarrackConfigurationError(f"{shown(file)} holds no rule")
    named = (name.strip() for name in os.environ.get("BARRACK_PROTECT", "").split(","))
    policy = Policy(
        tuple(found), given.exclude, given.strict, span_of(given.catch_up), adopt=given.adopt
    )
    return policy, (*given.protect, *filter(None, named))


def _show_forecast(console: Console, forecasts: list[Forecast], days: int) -> None:
    table = Table(title=f"The next {days} days, if nobody intervenes")
    columns = ("instance", "timetable", "next", "hours in full", "without", "with", "saving")
    for column in columns:
        table.add_column(column, overflow="fold")
    for one in forecasts:
        currency = str(one.instance.currency) if one.instance.currency else None
        table.add_row(
            one_line(one.instance.name),
            str(one.timetable),
            _boundaries(one.timetable, list(one.boundaries)),
            f"{one.on.total_seconds() / 3600:.1f}",
            money(one.cost_always, currency),
            money(one.cost_with, currency),
            money(one.saving, currency),
        )
    console.print(table)
    console.print("Now:")
    for one in forecasts:
        console.print(f"  {one_line(one.instance.name)} {_now(one)}")
    console.print(
        "This preview judges each instance, and what is saved, as if it were seen for the first "
        "time. follow_schedule leaves an instance that a person started or stopped alone until "
        "its next boundary; a dry run of follow_schedule takes this into account.",
    )
    savings = [one.saving for one in forecasts]
    known = [saving for saving in savings if saving is not None]
    currencies = {str(one.instance.currency) for one in forecasts if one.instance.currency}
    if known and len(currencies) == 1:
        total = sum(known, Decimal(0))
        unknown = (
            f", not counting {len(savings) - len(known)} of unknown price"
            if len(known) < len(savings)
            else ""
        )
        console.print(f"In total, the timetables save {money(total, currencies.pop())}{unknown}.")


def _now(one: Forecast) -> str:
    goals = {"up": "comes up", "down": "is put to rest", None: "stays as it is"}
    return f"{goals[one.verdict.goal]}: {one.verdict.why}"


def _show_rules(console: Console, policy: Policy, start: datetime, end: datetime) -> None:
    console.print(
        "BARRACK_API_KEY is not set, so this shows the rules only, without instances and prices."
    )
    table = Table()
    for column in ("rule", "timetable", "next", "hours up"):
        table.add_column(column, overflow="fold")
    for number, rule in enumerate(policy.rules, 1):
        on = rule.timetable.duration_on(start, end)
        boundaries = list(rule.timetable.boundaries(start, end))
        table.add_row(
            str(number),
            str(rule.timetable),
            _boundaries(rule.timetable, boundaries),
            f"{on.total_seconds() / 3600:.1f}",
        )
    console.print(table)


def _boundaries(timetable: Timetable, boundaries: list[Any]) -> str:
    zone = ZoneInfo(timetable.zones[0]) if timetable.zones else UTC
    shown = [
        f"{b.moment.astimezone(zone):%a %d %b %H:%M} {b.wish}" for b in boundaries[:_MOST_SHOWN]
    ]
    more = len(boundaries) - _MOST_SHOWN
    return "\n".join([*shown, *([f"and {more} more"] if more > 0 else [])])


def _show_zones(console: Console, policy: Policy) -> None:
    zones = sorted({zone for rule in policy.rules for zone in rule.timetable.zones})
    if not zones:
        return
    console.print(f"Time zone data: {data_in_use(zones[0])}.")
    for warning in zone_warnings(zones, datetime.now(UTC)):
        console.print(f"warning: {warning}", style="yellow")
