"""`barrack schedule preview`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from cyclopts import App, Parameter
from pydantic import ValidationError
from rich.console import Console

from barrack_tasks.api import Barrack, BarrackConfigurationError, BarrackError
from barrack_tasks.api.dialect.reading import read_file, read_yaml, shown, text_of
from barrack_tasks.cli.accounts import IMPATIENT, client_from_environment, has_key
from barrack_tasks.cli.answers import ForecastShown, PreviewShown
from barrack_tasks.cli.failing import WrongWordsError
from barrack_tasks.cli.inputs import AsJson, Days
from barrack_tasks.cli.screen import Screen
from barrack_tasks.plans.durations import Timeout, span_of
from barrack_tasks.plans.inputs import Given, Texts, read_each, said_of
from barrack_tasks.plans.power.evidence import Known, clock_ahead
from barrack_tasks.plans.power.preview import Forecast, forecast
from barrack_tasks.plans.power.schedule import Adopt, Policy, Rule, rule_warnings
from barrack_tasks.plans.report import money
from barrack_tasks.plans.timetable import Boundary, Timetable
from barrack_tasks.plans.timetable.zones import data_in_use, zone_warnings
from barrack_tasks.plans.world import by_instance

schedule_app = App(name="schedule", help="Timetables of instances.")
_MOST_SHOWN = 6
_MOST_RULES = 1_000
_EXAMPLE = '- {select: ["train-*"], timetable: "Mon-Fri 08:00-20:00 UTC"}'


@schedule_app.command
def preview(
    file: Path | None = None,
    /,
    *,
    rules: Annotated[Path | None, Parameter(show=False)] = None,
    days: Days = 14,
    json: AsJson = False,
) -> int:
    """Print what timetables will do in the coming days, and what they save. Changes nothing.

    With BARRACK_API_KEY set, it has a row for each instance that a rule selects; otherwise, one for
    each rule. Ends 1 if a rule means nothing, or if a timetable hardly says what was meant.

    Parameters
    ----------
    file
        A YAML file: a list of rules (select, timetable, ...), or a mapping with `rules` and, as
        for follow_schedule, `exclude`, `protect`, `strict`, `catch_up` and `adopt`.
    rules
        The same, as earlier releases took it.
    days
        How many days ahead.
    json
        Show JSON instead of a table.
    """
    source = file or rules
    if source is None or (file and rules):
        raise WrongWordsError("name one file of rules, such as `barrack schedule preview r.yaml`")
    console = Screen()
    policy, protect = _read(source)
    start = datetime.now(UTC).replace(second=0, microsecond=0)
    end = start + timedelta(days=days)
    found: list[Forecast] = []
    if has_key():
        with client_from_environment(IMPATIENT) as client:
            instances = list(client.instances.list())
            known, unable = _known(client), _unable(client)
        found = forecast(instances, policy, start, end, known, unable, protect)
        warnings = rule_warnings(policy.rules, instances, start)
    else:
        warnings = tuple(
            f"rule {number}: {warning}"
            for number, rule in enumerate(policy.rules, 1)
            for warning in rule.timetable.warnings(start)
        )
    if json:
        console.print_json(_shown(found, days, warnings))
        return 1 if warnings else 0
    if has_key():
        _show_forecast(console, found, days)
    else:
        _show_rules(console, policy, start, end)
    for warning in warnings:
        console.print(f"warning: {warning}", style="yellow")
    _show_zones(console, policy)
    return 1 if warnings else 0


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
            f"{shown(file)} must hold a list of rules, such as {_EXAMPLE}"
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
        raise BarrackConfigurationError(
            f"{shown(file)} holds no rule; write one, such as {_EXAMPLE}"
        )
    named = (name.strip() for name in os.environ.get("BARRACK_PROTECT", "").split(","))
    policy = Policy(
        tuple(found), given.exclude, given.strict, span_of(given.catch_up), adopt=given.adopt
    )
    return policy, (*given.protect, *filter(None, named))


def _shown(forecasts: list[Forecast], days: int, warnings: tuple[str, ...]) -> PreviewShown:
    total, currency, _ = _total(forecasts)
    return PreviewShown(
        days=days,
        instances=tuple(
            ForecastShown(
                id=one.instance.id,
                name=one.instance.name,
                timetable=str(one.timetable),
                now=_GOALS[one.verdict.goal],
                why=one.verdict.why,
                next_change=one.boundaries[0].moment if one.boundaries else None,
                next_wish=str(one.boundaries[0].wish) if one.boundaries else None,
                hours_up=one.on.total_seconds() / 3600,
                cost_without=one.cost_always,
                cost_with=one.cost_with,
                saving=one.saving,
                currency=str(one.instance.currency) if one.instance.currency else None,
            )
            for one in forecasts
        ),
        saving=total,
        currency=currency,
        warnings=warnings,
    )


def _show_forecast(screen: Screen, forecasts: list[Forecast], days: int) -> None:
    if not forecasts:
        screen.print("The rules select no instance now.")
        return
    columns = ("instance", "next", "hours up", "without", "with", "saving")
    rows = []
    for one in forecasts:
        currency = str(one.instance.currency) if one.instance.currency else None
        costs = (one.cost_always, one.cost_with, one.saving)
        rows.append(
            (
                one.instance.name,
                _next(one.timetable, one.boundaries),
                f"{one.on.total_seconds() / 3600:.1f}",
                *(money(cost, currency) for cost in costs),
            )
        )
    screen.print_rows(f"The next {days} days, if nobody intervenes", columns, rows)
    screen.print_rows("Now", ("instance", "what"), [(f.instance.name, _now(f)) for f in forecasts])
    _show_timetables(screen, [(one.instance.name, one.timetable) for one in forecasts])
    screen.print(
        "This preview judges each instance, and what is saved, as if it were seen for the first "
        "time. follow_schedule leaves an instance that a person started or stopped alone until "
        "its next boundary; a dry run of follow_schedule takes this into account.",
    )
    total, currency, unknown = _total(forecasts)
    if total is not None:
        end = f", not counting {unknown} of unknown price" if unknown else ""
        screen.print(f"In total, the timetables save {money(total, currency)}{end}.")


def _total(forecasts: list[Forecast]) -> tuple[Decimal | None, str | None, int]:
    """What all timetables save, in which currency, and of how many that is not known."""
    known = [one.saving for one in forecasts if one.saving is not None]
    currencies = {str(one.instance.currency) for one in forecasts if one.instance.currency}
    if not known or len(currencies) != 1:
        return None, None, len(forecasts)
    return sum(known, Decimal(0)), currencies.pop(), len(forecasts) - len(known)


def _show_timetables(screen: Screen, things: list[tuple[str, Timetable]]) -> None:
    """Each timetable once, with the instances that it is for."""
    by_text: dict[str, list[str]] = {}
    for name, timetable in things:
        by_text.setdefault(str(timetable), []).append(name)
    screen.print("Timetables:")
    for text, names in by_text.items():
        some = ", ".join(names[:_MOST_SHOWN])
        more = f" and {len(names) - _MOST_SHOWN} more" if len(names) > _MOST_SHOWN else ""
        screen.print(f"  {text} ({some}{more})")


_GOALS = {"up": "comes up", "down": "is put to rest", None: "stays as it is"}


def _now(one: Forecast) -> str:
    return f"{_GOALS[one.verdict.goal]}: {one.verdict.why}"


def _show_rules(screen: Screen, policy: Policy, start: datetime, end: datetime) -> None:
    screen.print(
        "BARRACK_API_KEY is not set, so this shows the rules only, without instances and prices."
    )
    rows = []
    for number, rule in enumerate(policy.rules, 1):
        on = rule.timetable.duration_on(start, end)
        boundaries = list(rule.timetable.boundaries(start, end))
        hours = f"{on.total_seconds() / 3600:.1f}"
        rows.append((str(number), hours, _next(rule.timetable, boundaries), str(rule.timetable)))
    screen.print_rows("", ("rule", "hours up", "next", "timetable"), rows)


def _next(timetable: Timetable, boundaries: Sequence[Boundary]) -> str:
    """The next boundary, in the zone of its timetable."""
    if not boundaries:
        return "-"
    zone = ZoneInfo(timetable.zones[0]) if timetable.zones else UTC
    return f"{boundaries[0].moment.astimezone(zone):%a %d %b %H:%M} {boundaries[0].wish}"


def _show_zones(console: Console, policy: Policy) -> None:
    zones = sorted({zone for rule in policy.rules for zone in rule.timetable.zones})
    if not zones:
        return
    console.print(f"Time zone data: {data_in_use(zones[0])}.")
    for warning in zone_warnings(zones, datetime.now(UTC)):
        console.print(f"warning: {warning}", style="yellow")
