"""`barrack schedule preview`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from barrack_tasks.api.models import UserVM
from barrack_tasks.plans.power.preview import forecast
from barrack_tasks.plans.power.schedule import Policy, read_rules
from barrack_tasks.sandbox import Sandbox
from tests.cli.test_learn import run

RULES = '- {select: ["al*"], timetable: "Mon-Fri 08:00-20:00 Europe/Berlin"}\n'


def test_a_forecast_adds_up_to_the_cent() -> None:
    rules = read_rules([{"select": ["*"], "timetable": "Mon-Fri 08:00-20:00 UTC"}])
    machine = UserVM(
        id="1", name="one", status="ACTIVE", hourly_price=Decimal("2.69"), currency="USD"
    )
    start = datetime(2026, 11, 2, tzinfo=UTC)
    [ahead] = forecast([machine], Policy(tuple(rules)), start, start + timedelta(days=14))
    assert ahead.on == timedelta(hours=120)
    assert ahead.cost_always == Decimal("2.69") * 336
    assert ahead.cost_with == Decimal("2.69") * 120 + Decimal("0.01") * 216
    assert ahead.saving == ahead.cost_always - ahead.cost_with
    assert len(ahead.boundaries) == 20


@pytest.mark.parametrize(
    ("timetable", "status", "more", "billed"),
    [
        ("never", "ACTIVE", {}, 0),
        ("always", "HIBERNATED", {}, 336),
        ("Mon-Fri 08:00-20:00 UTC", "HIBERNATED", {}, 112),  # first sight: not today
        ("Mon-Fri 08:00-20:00 UTC", "SHUTOFF", {}, 132),  # started on Tuesday
        ("Mon-Fri -20:00 UTC", "SHUTOFF", {}, 336),  # shutoff: leave
        ("Mon-Fri -20:00 UTC", "SHUTOFF", {"shutoff": "hibernate"}, 0),
        ("Mon-Fri 08:00-20:00 UTC", "ACTIVE", {"gpu_model": "H100-SXM5-80GB"}, 336),
        ("never", "HIBERNATED", {"gpu_model": "H100-SXM5-80GB"}, 0),
        ("never", "ERROR", {}, 336),
    ],
)
def test_the_forecast_says_what_is_done(
    timetable: str, status: str, more: dict[str, Any], billed: int
) -> None:
    """Hours billed in full, in the two weeks from a Monday noon on."""
    rule = {k: v for k, v in more.items() if k != "gpu_model"}
    model = more.get("gpu_model", "L40")
    rules = read_rules([{"select": ["*"], "timetable": timetable, **rule}])
    price = Decimal("2.69")
    machine = UserVM(
        id="1", name="one", status=status, hourly_price=price, currency="USD", gpu_model=model
    )
    start = datetime(2026, 11, 2, 12, tzinfo=UTC)
    unable = frozenset({("H100-SXM5-80GB", 1)})
    days = timedelta(days=14)
    [ahead] = forecast([machine], Policy(tuple(rules)), start, start + days, unable=unable)
    assert ahead.on == timedelta(hours=billed)
    assert ahead.cost_with == price * billed + Decimal("0.01") * (336 - billed)


def test_the_preview_shows_instances_and_saving_and_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(RULES + '- {select: ["nobody"], timetable: "always"}\n')
    assert run("schedule", "preview", "--rules", str(file)) == 0
    assert "BARRACK_API_KEY is not set" in capsys.readouterr().out
    with Sandbox(speed=0, fleet=3) as sandbox:
        for key, value in sandbox.env.items():
            monkeypatch.setenv(key, value)
        assert run("schedule", "preview", str(file)) == 1, "a rule means nothing"
        assert {r["method"] for r in sandbox.requests()} == {"GET"}
    told = capsys.readouterr().out
    assert "alpha" in told
    assert "beta" not in told
    assert "In total, the timetables save" in told
    assert "and what is saved, as if it were seen for the first time" in " ".join(told.split())
    assert "rule 2 (nobody) selects no instance now" in told
    assert "Time zone data:" in told


def test_what_is_protected_stays_as_it_is() -> None:
    rules = read_rules([{"select": ["*"], "timetable": "never"}])
    start = datetime(2026, 11, 2, 12, tzinfo=UTC)
    price = Decimal("2.69")
    machines = [
        UserVM(id=name, name=name, status=status, hourly_price=price, currency="USD")
        for name, status in (("prod-1", "ACTIVE"), ("prod-2", "HIBERNATED"), ("dev", "ACTIVE"))
    ]
    policy, days = Policy(tuple(rules)), timedelta(days=1)
    ahead = forecast(machines, policy, start, start + days, protect=["prod-*"])
    assert [one.on for one in ahead] == [days, timedelta(0), timedelta(0)]
    assert [one.verdict.why for one in ahead[:2]] == ["protected", "protected"]


def test_the_preview_reads_what_the_flow_is_given_and_is_readable_at_80_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "rules.yaml"
    rules = 'rules: [{select: ["*"], timetable: "Mon-Sun 00:00-24:00 UTC, Mon 01:00-02:00 UTC"}]\n'
    file.write_text(rules + "adopt: now\nprotect: [alpha]\nexclude: [gamma]\ncatch_up: 2h\n")
    monkeypatch.setattr("barrack_tasks.cli.screen.width_of", lambda _: 80)
    with Sandbox(speed=0, fleet=0, start=datetime.now(UTC) - timedelta(days=9)) as sandbox:
        for name in ("alpha", "beta", "gamma", "delta"):
            sandbox.seed_instance(name, gpu_model="L40", status="HIBERNATED")
        sandbox.advance(9 * 86400)
        for key, value in {**sandbox.env, "BARRACK_PROTECT": "delta"}.items():
            monkeypatch.setenv(key, value)
        assert run("schedule", "preview", "--rules", str(file)) == 1, "one part has no effect"
    told = " ".join(capsys.readouterr().out.split())
    assert "alpha stays as it is: protected" in told
    assert "delta stays as it is: protected" in told
    assert "beta comes up: " in told
    assert "gamma" not in told


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('- {select: ["a"], timetable: "Mon-Fry 08:00-20:00 UTC"}', "rule 1: timetable"),
        (RULES + "- {select: [], timetable: always}", "rule 2: select"),
        ("nothing", "must hold a list of rules"),
        ("[]", "holds no rule"),
        ("{", "rules.yaml"),
        ("rules: [{select: [a], timetable: never}]\nprotekt: [x]", "did you mean 'protect'?"),
        (
            "rules: [{select: [a], timetable: never}]\nadopt: later",
            "adopt must be one of",
        ),
    ],
)
def test_rules_that_cannot_be_read_are_refused_with_their_place(
    content: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(content)
    assert run("schedule", "preview", "--rules", str(file)) == 2
    assert says in capsys.readouterr().err
