"""Every public parameter that is a duration, a moment or a zone takes all their forms alike."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any, get_type_hints
from zoneinfo import ZoneInfo

import pendulum
import pytest
from prefect import Task
from pydantic import BaseModel, SecretStr, TypeAdapter

import barrack_tasks
import barrack_tasks.flows
from barrack_tasks import BarrackCredentials
from barrack_tasks.api import BarrackValidationError
from barrack_tasks.api.models import Snapshot
from barrack_tasks.api.operations import OPERATIONS
from barrack_tasks.api.resources.base import make_call
from barrack_tasks.plans import Retention, Timetable
from barrack_tasks.plans.inputs import Given
from barrack_tasks.plans.timetable.zone_names import zone_of
from barrack_tasks.sandbox import Sandbox

NOVEMBER = pendulum.datetime(2026, 11, 1)
THREE_DAYS = [
    timedelta(days=3),
    pendulum.duration(hours=72),
    NOVEMBER.add(days=3) - NOVEMBER,
    "72h",
    "3 days",
    "PT72H",
    "P3D",
    259_200,
]
MOMENT = datetime(2026, 11, 2, 8, tzinfo=UTC)
MOMENTS = [
    MOMENT,
    MOMENT.astimezone(ZoneInfo("Europe/Berlin")),
    pendulum.datetime(2026, 11, 2, 9, tz="Europe/Berlin"),
    "2026-11-02T08:00:00Z",
    "2026-11-02T09:00+01:00",
]
DAYS = [date(2026, 11, 2), pendulum.date(2026, 11, 2), "2026-11-02", MOMENT, MOMENTS[2]]
ZONES = ["Europe/Berlin", "europe/berlin", ZoneInfo("Europe/Berlin")]
ZONES += [pendulum.timezone("Europe/Berlin")]


def models(base: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for model in base.__subclasses__():
        if model.__module__.startswith("barrack_tasks."):
            yield model
        yield from models(model)


def annotated_spans() -> dict[str, Any]:
    """Parameters of flows, and keys of what people write, that are durations."""
    hints = {
        f"{name}({parameter}=)": hint
        for name in barrack_tasks.flows.__all__
        for parameter, hint in get_type_hints(
            getattr(barrack_tasks.flows, name).fn, include_extras=True
        ).items()
        if parameter != "return"
    } | {
        f"{model.__name__}.{name}": hint
        for model in models(Given)
        for name, hint in get_type_hints(model, include_extras=True).items()
    }
    return {where: hint for where, hint in hints.items() if is_span(hint)}


def is_span(hint: Any) -> bool:
    schema = str(hint)
    return "timedelta" in schema and "list[" not in schema and "ClassVar" not in schema


@pytest.mark.parametrize("where", SPANS := annotated_spans())
def test_durations_of_flows_and_of_what_they_are_given(where: str) -> None:
    read = TypeAdapter(SPANS[where]).validate_python
    for form in THREE_DAYS:
        assert read(form) == timedelta(days=3), form
        assert type(read(form)) is timedelta, form
    with pytest.raises(ValueError, match="is not a duration; write '8h'"):
        read("soon")


def called_spans() -> Iterator[tuple[str, str]]:
    """Functions and tasks that Prefect does not read the parameters of."""
    for name in barrack_tasks.__all__:
        function = getattr(barrack_tasks, name)
        function = getattr(function, "fn", function)
        if not inspect.isclass(function) and callable(function):
            for parameter in inspect.signature(function).parameters.values():
                if "timedelta" in str(parameter.annotation):
                    yield name, parameter.name


def call(name: str, **given: Any) -> None:
    """Call as far as the parameters are read: there is no such account, and no server."""
    function = getattr(barrack_tasks, name)
    if name == "keep_awake":
        with function("alpha", **given):
            return
    if name == "create_when_available":
        want = {"gpu_model": "L40", "claim": {"name": "alpha", "image_id": "1"}}
        function("no-such-account", want, **given)
    elif name == "ask_approval":
        function("May it?", **given)
    else:
        nobody = BarrackCredentials(api_key=SecretStr("none"), base_url="http://127.0.0.1:9")
        function.fn(nobody, "alpha", **given)


def test_all_functions_with_durations_are_known() -> None:
    assert {name for name, _ in called_spans()} == {
        *("ask_approval", "with_approval", "create_when_available", "keep_awake"),
        *("lease_instance", "extend_lease", "wake"),
    }


@pytest.mark.parametrize(
    ("name", "parameter"),
    [
        one
        for one in called_spans()
        # These are handed on, to `ask_approval` and to `lease_instance`.
        if one not in (("with_approval", "timeout"), ("wake", "for_"))
    ],
)
def test_durations_of_functions_are_read_before_anything_is_done(name: str, parameter: str) -> None:
    with pytest.raises(ValueError, match="'soon' is not a duration; write '8h'"):
        call(name, **{parameter: "soon"})


WITH_MOMENTS = [name for name, operation in OPERATIONS.items() if "start" in operation.query]


@pytest.mark.parametrize("name", WITH_MOMENTS)
@pytest.mark.parametrize("parameter", ["start", "end"])
def test_moments_of_operations(name: str, parameter: str) -> None:
    ids = dict.fromkeys(OPERATIONS[name].path_parameters, "1")
    for form in MOMENTS:
        sent = make_call(name, {**ids, parameter: form}).query
        assert sent == {parameter: MOMENT}, form
        assert type(sent[parameter]) is datetime, form
    with pytest.raises(BarrackValidationError, match=f"{parameter}: 'soon' is not a moment"):
        make_call(name, {**ids, parameter: "soon"})


def test_moments_of_tasks_are_those_of_operations() -> None:
    assert {
        name
        for name in barrack_tasks.__all__
        if isinstance(task := getattr(barrack_tasks, name), Task)
        and "start" in inspect.signature(task).parameters
    } == set(WITH_MOMENTS)


TIMETABLE = Timetable.parse("Mon-Fri 08:00-20:00 Europe/Berlin, Sat -22:00 UTC")
ASKED: list[Callable[[Any], Any]] = [
    TIMETABLE.is_on,
    TIMETABLE.wish,
    TIMETABLE.next_change,
    TIMETABLE.previous_change,
    TIMETABLE.last_boundary,
    TIMETABLE.warnings,
    lambda moment: list(TIMETABLE.boundaries(moment, "2026-11-09")),
    lambda moment: list(TIMETABLE.windows("2026-11-01", moment)),
    lambda moment: TIMETABLE.duration_on("2026-11-01", moment),
]


@pytest.mark.parametrize("ask", ASKED)
def test_moments_of_timetables(ask: Callable[[Any], Any]) -> None:
    for form in MOMENTS:
        assert ask(form) == ask(MOMENT), form
    with pytest.raises(ValueError, match="is not a moment"):
        ask("soon")


def test_days_of_timetables() -> None:
    for day in DAYS:
        assert str(TIMETABLE.without([day])).count("except 2026-11-02") == 2, day
    with pytest.raises(ValueError, match="is not a day"):
        TIMETABLE.without(["soon"])


def test_the_moment_of_retention() -> None:
    old = Snapshot(id="1", name="a", status="SUCCESS", created_at=MOMENT - timedelta(days=9))
    new = Snapshot(id="2", name="b", status="SUCCESS", created_at=MOMENT + timedelta(days=9))
    keep = Retention(last=1, daily=0, weekly=0, monthly=0)
    for form in MOMENTS:
        assert keep.split([old, new], form) == ([old, new], []), form


@pytest.mark.parametrize("zone", ZONES)
def test_zones_of_flows_and_retention(zone: Any) -> None:
    assert Retention(zone=zone).zone == "Europe/Berlin"
    for name in ("enforce_budget", "report_costs", "watch_gpu_stock"):
        hints = get_type_hints(getattr(barrack_tasks.flows, name).fn, include_extras=True)
        assert zone_of(TypeAdapter(hints["zone"]).validate_python(zone)).key == "Europe/Berlin"


@pytest.mark.parametrize(("start", "history"), list(zip(MOMENTS, THREE_DAYS, strict=False)))
def test_the_clock_of_a_sandbox(start: Any, history: Any) -> None:
    with Sandbox(fleet=0, speed=0, start=start, history=history, latency="0 s") as sandbox:
        assert sandbox.now() == MOMENT
        sandbox.advance(history)
        assert sandbox.now() == MOMENT + timedelta(days=3)
