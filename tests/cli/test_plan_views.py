"""How a plan is shown, without a server."""

from __future__ import annotations

import io
import json
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from barrack_tasks.cli.applying import Foreseen, Plan, duration_of
from barrack_tasks.cli.config.changes import ABSENT, PlannedChange, ValueChange
from barrack_tasks.cli.config.checking import Config
from barrack_tasks.cli.plan_views import PlanView, as_markdown, show, view_of
from barrack_tasks.cli.screen import Screen
from barrack_tasks.plans.report import Report, Row

ROOT = Path(__file__).resolve().parents[2]
EVIL = "x\n+ forged | `b` [bold]<b>"


def row(name: str, before: str | None, now: str | None, outcome: str = "planned") -> Row:
    return Row.model_validate(
        {
            "instance_id": f"BRK-{name}",
            "instance": name,
            "was": "ACTIVE",
            "did": ("hibernate instance",) if outcome == "planned" else (),
            "now": "ACTIVE",
            "outcome": outcome,
            "hourly_before": before,
            "hourly_now": now,
            "currency": "USD",
            "why": "its timetable wants it down until tomorrow morning at eight o'clock",
        }
    )


def plan() -> Plan:
    report = Report(
        flow="follow_schedule",
        dry_run=True,
        rows=(row(EVIL, "2.00", "0.01"), row("a-machine-with-a-long-name", "20", "0.01")),
        notes=("a note",),
    )
    return Plan(
        Config(name="team-a"),
        {},
        (
            PlannedChange("a/new", "create", (ValueChange("parameter days", ABSENT, 7),), {}),
            PlannedChange(
                "b/old",
                "change",
                (
                    ValueChange("parameter select", ["a"], ["b"]),
                    ValueChange("paused", True, False, by_hand=True, kept=True),
                ),
                {},
            ),
            PlannedChange("c/gone", "remove"),
            PlannedChange("d/same", "none"),
        ),
        titles={"b/old": f"flow/{EVIL}"},
        others=("flow/by-hand",),
        foreseen=(
            Foreseen("e", "flow/e", "timetables", True, report),
            Foreseen("f", "flow/f", "drills", False, problem="its dry run failed: no key"),
        ),
    )


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> str:
    """The plan on a terminal of 80 columns."""
    screen = Screen()
    screen._width = 80
    screen.file = io.StringIO()
    show(screen, plan())
    return screen.file.getvalue()


def test_a_plan_says_old_and_new_and_what_was_changed_by_hand(shown: str) -> None:
    assert "+ a/new is created" in shown
    assert "parameter days: 7" in shown
    assert '    parameter select:\n      - "a"\n      + "b"\n' in shown
    assert "paused: true was set by hand and stays; the file says false" in shown
    assert "- c/gone is removed" in shown
    assert "d/same" not in shown
    assert "To create: 1, to change: 1, to remove: 1; 1 value was changed by hand." in shown


def test_a_plan_says_what_flows_would_do_and_the_money(shown: str) -> None:
    assert "flow/e (armed), if it ran now:" in shown
    assert (
        "The account would cost 21.98 USD an hour less, which is 16045.40 USD a month if it stays "
        in shown
    )
    assert "What it would do is not known: its dry run failed: no key" in shown


def test_what_ends_again_is_not_projected_as_if_it_stayed() -> None:
    report = Report(flow="x", dry_run=True, rows=(row("drill-a", "0", "6.00"),))
    lasts, runs = duration_of(
        "drills", {"timeout": "20m"}, [{"cron": "0 4 * * 1", "timezone": "UTC", "active": False}]
    )
    seen = Foreseen("d", "flow/d", "drills", True, report, lasts=lasts, runs=runs)
    assert (seen.hourly, seen.once, seen.monthly) == (Decimal(6), Decimal(2), Decimal(8))
    assert duration_of("stock", {"expires": "8h", "wants": []}, []) == (timedelta(hours=8), 1)
    assert duration_of("timetables", {}, [{"interval": 300}]) == (None, 1)
    text = as_markdown(Plan(Config(), {}, (), foreseen=(seen,)))
    assert "for 20 min at most, which is 2.00 USD a run; it runs 4 times a month" in text
    assert view_of(Plan(Config(), {}, (), foreseen=(seen,))).now[0].once == Decimal(2)


def test_a_reason_is_said_once_whomever_it_is_about(shown: str) -> None:
    assert shown.count("its timetable wants it down") == 1
    assert "  all 2: its timetable wants it down" in shown


def test_no_name_forges_a_line_of_a_plan(shown: str) -> None:
    assert not any(line.startswith("+ forged") for line in shown.splitlines())
    told = as_markdown(plan())
    assert "<b>" not in told
    assert "\n+ forged" not in told


def test_a_table_of_a_plan_breaks_no_name_at_80_columns(shown: str) -> None:
    assert "a-machine-with-a-long-name" in shown


def test_a_plan_for_programs_is_as_its_schema_says() -> None:
    view = view_of(plan())
    again = PlanView.model_validate_json(view.model_dump_json())
    assert again == view
    assert again.now[0].hourly == Decimal("-21.98")
    assert [one.action for one in again.changes] == ["create", "change", "remove"]


def test_the_published_schema_of_plans_is_up_to_date() -> None:
    published = json.loads((ROOT / "docs" / "plan.schema.json").read_text())
    assert published == PlanView.model_json_schema(mode="serialization")
