"""What things cost, and reports that nothing from outside can break."""

from __future__ import annotations

import asyncio
import html
import re
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import ValidationError

from barrack_tasks.api.models import CurrencyEnum, VMStatus
from barrack_tasks.api.models.instances import PENDING_ADDRESS
from barrack_tasks.api.models.text import one_line
from barrack_tasks.plans.memory import Memory, Target
from barrack_tasks.plans.money.balance import BalanceReport
from barrack_tasks.plans.money.bill import Bill, Charge, Thing
from barrack_tasks.plans.money.cost_report import CostReport
from barrack_tasks.plans.power.drive_report import rows_of
from barrack_tasks.plans.power.snapshot_then_report import rows_planned
from barrack_tasks.plans.prices import hourly_cost
from barrack_tasks.plans.report import COLUMNS, Report, Row, effect_of, escape, failures, money
from barrack_tasks.plans.snapshots.drill_report import DrillReport
from barrack_tasks.plans.steps import Wait
from tests.plans.worlds import NOW, account, intent, vm

NASTY = [
    "a|b",
    "<script>alert(1)</script>",
    "`code`",
    "*bold* _em_ ~~gone~~",
    "[link](javascript:alert(1))",
    "![image](http://evil)",
    "back\\slash \\| pipe",
    "two\nlines\r\nthree\u2028four\x0bfive",
    "# head",
    "&lt;b&gt; &amp; &#124;",
    "---",
]


def row(**more: Any) -> Row:
    fields = {
        "instance_id": "BRK-1",
        "instance": "alpha",
        "was": "ACTIVE",
        "now": "HIBERNATED",
        "outcome": "done",
        **more,
    }
    return Row(**fields)


# Costs


@pytest.mark.parametrize("status", [*VMStatus, VMStatus("PAUSED"), VMStatus("")])
def test_what_a_state_costs(status: VMStatus) -> None:
    price = {
        "ACTIVE": Decimal("2.50"),
        "SHUTOFF": Decimal("2.50"),
        "HIBERNATED": Decimal("0.01"),
        "PAUSED": None,
        "": None,
    }
    expected = price.get(str(status), Decimal(0))
    assert hourly_cost(vm(status=status)) == expected
    if status:
        assert hourly_cost(vm(), status) == expected


def test_what_hibernation_costs_in_each_currency() -> None:
    found = {c: hourly_cost(vm(currency=c), VMStatus.HIBERNATED) for c in [*CurrencyEnum, None]}
    assert found == {
        "USD": Decimal("0.01"),
        "EUR": Decimal("0.01"),
        "INR": Decimal("1.00"),
        None: None,
    }
    assert hourly_cost(vm(currency="GBP", status="HIBERNATED")) is None
    assert hourly_cost(vm(hourly_price=None)) is None


@pytest.mark.parametrize(
    ("amount", "currency", "shown"),
    [
        (Decimal("2.5"), "USD", "2.50 USD"),
        (Decimal("0"), "EUR", "0.00 EUR"),
        (Decimal("1234567.891"), "INR", "1234567.89 INR"),
        (Decimal("0.1") * 3, "USD", "0.30 USD"),
        (Decimal("1e3"), None, "1000.00"),
        (Decimal("-0.004"), "USD", "0.00 USD"),
        (Decimal("-0.00"), None, "0.00"),
        (Decimal("-0.01"), "USD", "-0.01 USD"),
        (None, "USD", "?"),
    ],
)
def test_money(amount: Decimal | None, currency: str | None, shown: str) -> None:
    assert money(amount, currency) == shown


# Escaping


_ESCAPED = re.compile(r"\\([\\`*\[\]|~#_])")
"""A sign that a backslash makes plain."""


def shown_as(escaped: str) -> str:
    """What markdown makes of escaped text."""
    return html.unescape(_ESCAPED.sub(r"\1", escaped))


def without_escaped(text: str) -> str:
    """What is left of markdown that may still have a meaning."""
    return re.sub(r"&(?:lt|gt|amp|#124);", "", _ESCAPED.sub("", text))


def flat(text: str) -> str:
    return " ".join(text.split())


@given(st.text() | st.sampled_from(NASTY))
def test_what_is_escaped_shows_as_itself_and_control_characters_by_number(text: str) -> None:
    assert shown_as(escape(text)) == one_line(flat(text))
    assert escape(text).isprintable()
    numbers = escape(text).replace("&#124;", "")
    assert "&#" not in numbers, "Prefect's page shows a number as a number"


@given(st.text() | st.sampled_from(NASTY) | st.text("|<>`*_[]()\\~#&;!\n\r\t ax", max_size=30))
def test_what_is_escaped_means_nothing_in_markdown_or_html(text: str) -> None:
    bare = without_escaped(escape(text))
    # Inside a word of ASCII letters and digits an underscore is no mark of markdown.
    bare = re.sub(r"(?<=[A-Za-z0-9])_(?=[A-Za-z0-9])", "", bare)
    assert not set(bare) & set("\\`*_[]|~#<>&\n\r")


@pytest.mark.parametrize("nasty", NASTY)
def test_no_name_breaks_the_table(nasty: str) -> None:
    report = Report(
        flow="snapshot_before_stop",
        rows=(row(instance=nasty, why=nasty, snapshot=nasty, was=nasty, did=(nasty,)),),
        notes=(nasty,),
    )
    lines = report.markdown().split("\n")
    assert lines[0] == "## snapshot_before_stop"
    table = len(COLUMNS) + 1
    assert [line.count("|") for line in lines] == [
        0,
        0,
        0,
        0,
        table,
        table,
        table,
        0,
        0,
    ]
    assert "<" not in report.markdown().replace("<br/>", "")
    shown = report._repr_html_()
    assert html.escape(one_line(nasty)) in shown
    assert nasty not in shown or html.escape(nasty) == nasty
    assert len(str(report).splitlines()) == len(lines) - 1, "a terminal has no blank second line"


# Reports


def test_a_report_as_markdown() -> None:
    report = Report(
        flow="snapshot_before_stop",
        dry_run=True,
        rows=(
            row(
                did=("snapshot", "hibernate"),
                snapshot="alpha-x",
                hourly_before=Decimal("2.5"),
                hourly_now=Decimal("0.01"),
                currency="USD",
            ),
            row(instance="beta", outcome="failed", now="ACTIVE", why="no"),
        ),
        notes=("a note",),
    )
    assert report.markdown() == (
        "## snapshot_before_stop (dry run: nothing was changed)\n\n"
        "**Nothing would be changed: of 2 instances, 1 was left alone and 1 was in trouble.**\n\n"
        "| instance | state | done | an hour | why | snapshot |\n"
        "| --- | --- | --- | ---: | --- | --- |\n"
        "| alpha | ACTIVE → HIBERNATED | snapshot, hibernate | 2.50 → 0.01 USD |  | alpha-x |\n"
        "| beta | ACTIVE | failed | ? | no |  |\n"
        "\n- a note"
    )
    assert all(len(cells) == len(COLUMNS) for cells in report.cells())


def test_no_column_of_a_page_in_the_ui_is_cut_off_where_words_can_be_broken() -> None:
    why = "newest ready; last 1; daily 2026-11-29; weekly 2026-W48; monthly 2026-11 " * 3
    one = row(instance="train-1", why=why.strip(), snapshot="train-1-20261128T130919Z")
    *_, line = Report(flow="prune_snapshots", rows=(one,)).markdown().splitlines()
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[4].replace("<br/>", " ") == why.strip()
    widest = [max(map(len, cell.split("<br/>"))) for cell in cells]
    assert sum(widest) + 3 * len(cells) <= 116
    short = Report(flow="prune_snapshots", rows=(row(why="newest ready"),)).markdown()
    assert "<br/>" not in short


def test_what_is_made_and_what_is_only_planned_has_one_state() -> None:
    made, planned = row(was="-", now="ACTIVE"), row(was="snapshot SUCCESS", now="-")
    cells = Report(flow="restore_from_snapshot", rows=(made, planned)).cells()
    assert [cell[1] for cell in cells] == ["ACTIVE", "snapshot SUCCESS"]


def test_the_sum_of_a_report_stands_first() -> None:
    saved = {"hourly_before": Decimal("2.5"), "hourly_now": Decimal("0.01"), "currency": "USD"}
    slept = row(did=("snapshot", "hibernate"), **saved)
    failed = row(instance="beta", outcome="failed", now="ACTIVE", why="no")
    report = Report(flow="hibernate", rows=(slept, slept, slept, failed))
    assert report.summary == (
        "3 of 4 instances were hibernated and 1 failed. This saves 7.47 USD an hour."
    )
    for shown in (report.markdown(), str(report), report._repr_html_(), report._repr_markdown_()):
        assert 0 < shown.index(report.summary) < shown.index("alpha")
    planned = slept.model_copy(update={"outcome": "planned", "now": "ACTIVE"})
    would = Report(flow="hibernate", dry_run=True, rows=(planned,))
    assert would.summary == "1 instance would be hibernated. This would save 2.49 USD an hour."
    back = row(did=("bring up",), was="HIBERNATED", now="ACTIVE", hourly_before=Decimal(0))
    assert Report(flow="restore", rows=(back,)).summary == (
        "1 instance was brought up. Its price is not known."
    )
    assert Report(flow="restore", rows=()).summary == "Nothing needed to be done."


def test_a_report_is_printed_in_columns_and_not_in_pipes() -> None:
    rows = (row(instance="a"), row(instance="much-longer", why="word " * 30))
    text = str(Report(flow="hibernate", rows=rows, notes=("note",)))
    assert "|" not in text
    head, rule, first, second = text.splitlines()[3:7]
    assert first.index("ACTIVE") == second.index("ACTIVE") == head.index("state")
    assert set(rule) <= {"-", " "}
    assert max(map(len, text.splitlines())) < 160


def test_a_report_gives_its_rows_as_records_and_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    report = Report(flow="x", rows=(row(), row(instance="beta")))
    assert [one["instance"] for one in report.records()] == ["alpha", "beta"]
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="needs pandas, which is not installed: run pip install"):
        report.to_frame()


def test_a_report_can_be_awaited_after_the_work() -> None:
    report = Report(flow="x", rows=())

    async def cell() -> Report:
        return await report

    assert asyncio.run(cell()) is report


def test_sums_are_exact_or_not_known() -> None:
    cheap = row(hourly_before=Decimal("0.1"), hourly_now=Decimal("0.01"), currency="EUR")
    report = Report(flow="x", rows=(row(hourly_before=Decimal(0)), cheap, cheap, cheap))
    assert report.hourly_before == Decimal("0.3")
    assert report.hourly_now is None
    assert report.currency == "EUR"
    empty = Report(flow="x", rows=())
    assert (empty.hourly_before, empty.hourly_now, empty.currency) == (0, 0, None)


def test_a_report_is_in_order_unless_an_instance_failed() -> None:
    good = [row(outcome=outcome) for outcome in ("done", "already", "skipped", "planned")]
    bad = row(outcome="failed", instance="beta", why="it is in ERROR")
    assert Report(flow="x", rows=tuple(good)).ok
    report = Report(flow="x", rows=(*good, bad))
    assert not report.ok
    assert report.failed == (bad,)
    assert failures(report.failed) == "beta: it is in ERROR"
    assert failures([bad, bad]) == "beta: it is in ERROR; beta: it is in ERROR"


def test_a_report_survives_json_and_is_not_changed() -> None:
    report = Report(flow="x", rows=(row(hourly_now=Decimal("0.010"), did=("snapshot",)),))
    assert Report.model_validate_json(report.model_dump_json()) == report
    with pytest.raises(ValidationError):
        report.rows[0].now = "ACTIVE"  # type: ignore[misc]
    with pytest.raises(ValidationError):
        row(outcome="lost")


prices = st.none() | st.decimals(0, 100, places=2)


@given(st.lists(st.tuples(prices, prices, st.sampled_from(["planned", "already", "failed"]))))
def test_the_effect_is_what_the_known_prices_change_and_says_how_many_are_not_known(
    given: list[tuple[Decimal | None, Decimal | None, Any]],
) -> None:
    rows = tuple(
        row(hourly_before=before, hourly_now=now, outcome=outcome, did=("hibernate",))
        for before, now, outcome in given
    )
    effect = effect_of(Report(flow="hibernate", rows=rows))
    known = [(b, n) for b, n, _ in given if b is not None and n is not None]
    assert effect.change == sum((n - b for b, n in known), Decimal(0))
    strange = [o for b, n, o in given if b is None or n is None]
    assert effect.unknown == strange.count("planned")


# Amounts


@pytest.mark.parametrize(
    "currency", [*NASTY, "USD\n", "USD EUR", "<b>", "ＵＳＤ", "x" * 9, "U\u202eSD", "\x1b[31m"]
)
def test_what_is_no_currency_shows_as_a_question_mark(currency: str) -> None:
    assert money(Decimal("2.5"), currency) == "2.50 ?"


@pytest.mark.parametrize(
    ("currency", "shown"),
    [("USD", "2.50 USD"), ("usdt2", "2.50 usdt2"), ("", "2.50"), (None, "2.50")],
)
def test_an_amount_shows_with_its_currency(currency: str | None, shown: str) -> None:
    assert money(Decimal("2.5"), currency) == shown
    assert money(None, currency) == "?"


MARKUP = st.sampled_from([*NASTY, "<img src=x onerror=a()>", "x\n\n# FORGED", "[x](javascript:a)"])


def about_money(currency: str, name: str) -> list[str]:
    """The markdown of the reports about money, with one value wherever the API has a say."""
    one, start = Decimal(1), datetime(2026, 11, 2, tzinfo=UTC)
    balance = BalanceReport(
        flow="watch_balance",
        rows=(row(instance=name, hourly_now=one, currency=currency),),
        balance=one,
        account_currency=currency,
        burn_hourly=one,
        by_state={name: one},
        told=(name,),
    )
    thing = Thing("instance", "BRK-1", name, name, name, one)
    charge = Charge(thing, start, start + timedelta(hours=1), name, 60, one)
    bill = Bill(start, start + timedelta(days=1), currency, "UTC", (charge,), (name,))
    drills = DrillReport(flow="verify_snapshots", rows=(), ages=((name, "none", "never"),))
    costs = CostReport(bill, one, one, one, (name,))
    return [balance.markdown(), costs.markdown(), drills.markdown()]


@given(MARKUP | st.text(), MARKUP | st.text())
def test_no_value_is_markup_in_the_reports_about_money(currency: str, name: str) -> None:
    assume(one_line(name))  # a column without content is left out
    for found, plain in zip(about_money(currency, name), about_money("USD", "x"), strict=True):
        assert len(found.splitlines()) == len(plain.splitlines())
        for sign in "<>`[]~\\|*":
            bare = [without_escaped(text.replace("<br/>", " ")) for text in (found, plain)]
            counts = [text.count(sign) for text in bare]
            assert counts[0] == counts[1], sign


# News


@pytest.mark.parametrize(
    ("report", "is_news"),
    [
        (Report(flow="hibernate", rows=()), False),
        (Report(flow="hibernate", rows=(row(outcome="already", was="HIBERNATED"),)), False),
        (Report(flow="hibernate", rows=(row(did=("hibernate",)),)), True),
        (Report(flow="hibernate", rows=(row(outcome="planned", did=("hibernate",)),)), True),
        (Report(flow="hibernate", rows=(row(outcome="failed", why="no"),)), True),
        (Report(flow="hibernate", rows=(), notes=("a bill could not be read",)), True),
        (Report(flow="watch_balance", rows=(), told=("the balance is low",)), True),
    ],
)
def test_what_is_news(report: Report, is_news: bool) -> None:
    assert report.is_news is is_news


@pytest.mark.parametrize(
    ("told", "reached"),
    [("203.0.113.7", "203.0.113.7"), ("", None), (PENDING_ADDRESS, None), (None, None)],
)
def test_rows_have_id_and_address_of_an_instance(told: str | None, reached: str | None) -> None:
    one = vm(public_ip=told)
    [planned] = rows_planned(intent(one), account(one))
    [driven] = rows_of(
        [Target(one.id, one.name, NOW, one)], {one.id: Wait("")}, account(one), Memory()
    )
    for row in (planned, driven):
        assert (row.instance_id, row.public_ip) == (one.id, reached)


def test_a_note_is_shown_once() -> None:
    report = Report(flow="x", rows=(), notes=("one", "two", "one"))
    assert report.page().text().count("- one") == 1
