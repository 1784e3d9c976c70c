"""How lists of the API's models show themselves, and that they are lists all the same."""

from __future__ import annotations

import copy
import html
import json
import pickle
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from barrack_tasks.api import Barrack
from barrack_tasks.api.models import Balance, CurrencyEnum, Price, Snapshot, UserVM
from barrack_tasks.api.models.shown import Chart, Lines, Listing, Page, Shown, Table, escape
from barrack_tasks.sandbox import Sandbox

NASTY = ["a|b", "<img src=x onerror=a()>", "*b* _c_", "x\ny\x1b[2J", "[x](javascript:a)", "`q`"]


def vm(name: str = "train_1", **more: Any) -> UserVM:
    known = {"id": "BRK-1", "status": "ACTIVE", "hourly_price": "2.5", "currency": "USD"}
    return UserVM(name=name, **{**known, **more})


def test_a_list_of_instances_is_a_table_with_the_sum_first() -> None:
    found = Listing([vm(), vm("beta", status="HIBERNATED"), vm("gamma")])
    summary = "3 instances: 2 ACTIVE, 1 HIBERNATED."
    for shown in (str(found), found._repr_markdown_(), found._repr_html_()):
        assert 0 < shown.index(summary) < shown.index("train_1")
        assert "2.50 USD" in shown
        assert "UserVM(" not in shown
    assert "|" not in str(found)
    assert "<table>" in found._repr_html_()
    assert found.records()[0]["hourly_price"] == Decimal("2.5")
    assert str(Listing([])) == "Nothing is there."


@given(st.lists(st.integers()))
def test_it_is_a_list_in_all_else(numbers: list[int]) -> None:
    found = Listing(numbers)
    assert found == numbers
    assert isinstance(found, list)
    assert json.dumps(found) == json.dumps(numbers)
    assert repr(found) == repr(numbers)
    for again in (pickle.loads(pickle.dumps(found)), copy.deepcopy(found)):  # noqa: S301
        assert again == numbers
        assert type(again) is Listing
    assert TypeAdapter(list[int]).validate_python(found) == numbers
    assert (
        TypeAdapter(list[int]).dump_json(found)
        == json.dumps(numbers, separators=(",", ":")).encode()
    )


def test_a_frame_needs_pandas_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"needs pandas.*pip install pandas.*records\(\)"):
        Listing([vm()]).to_frame()


def test_a_frame_has_a_row_for_each() -> None:
    pandas = pytest.importorskip("pandas")
    frame = Listing([vm(), vm("beta")]).to_frame()
    assert isinstance(frame, pandas.DataFrame)
    assert list(frame["name"]) == ["train_1", "beta"]


@pytest.mark.parametrize("nasty", NASTY)
def test_no_name_is_markup_and_no_name_breaks_a_table(nasty: str) -> None:
    plain, found = Listing([vm("x"), vm()]), Listing([vm(nasty), vm()])
    shown = found._repr_html_()
    assert shown.count("<") == plain._repr_html_().count("<")
    assert html.escape("<img") in shown or "<img" not in nasty
    assert found._repr_markdown_().count("\n") == plain._repr_markdown_().count("\n")
    assert found._repr_markdown_().count("|") == plain._repr_markdown_().count("|")
    assert len(str(found).splitlines()) == len(str(plain).splitlines())
    for one in (vm(nasty)._repr_html_(), vm(nasty)._repr_markdown_()):
        assert "<img" not in one
        assert "\x1b" not in one


def test_a_model_alone_shows_the_fields_that_it_has() -> None:
    shown = vm(public_ip="203.0.113.7", new_field="said")._repr_html_()
    for text in ("train_1", "203.0.113.7", "new field", "said", "2.50 USD"):
        assert text in shown
    assert "private ip" not in shown


def test_a_balance_is_printed_as_an_amount() -> None:
    left = Balance(amount=Decimal("4986.768334"), currency=CurrencyEnum("USD"))
    assert str(left) == "4986.77 USD"
    assert str(left.model_copy(update={"amount": Decimal("-0.004")})) == "0.00 USD"


def test_a_console_shows_the_page_of_a_report_that_has_a_repr_of_its_own() -> None:
    from IPython.lib.pretty import pretty

    @dataclass(frozen=True)
    class Report(Shown):
        total: int

        def page(self) -> Page:
            return Page("Costs", f"{self.total} USD was spent.")

    class Narrower(Report):
        pass

    assert pretty(Report(3)) == pretty(Narrower(3)) == "Costs\n3 USD was spent."
    assert repr(Report(3)).endswith("Report(total=3)")


def test_what_is_far_below_a_cent_is_not_shown_as_nothing() -> None:
    prices = [
        Price(resource_type="volume", hourly=amount, currency="USD")
        for amount in ("0.000137", "0", "-0.00", "2.5")
    ]
    text = str(Listing(prices))
    assert "4 prices." in text
    for amount in ("0.000137 USD", "0.00 USD", "2.50 USD"):
        assert amount in text
    assert "-0.00" not in text


def test_columns_are_few_and_aligned() -> None:
    snapshots = [
        Snapshot(id=str(n), name=f"s-{'x' * n}", status="SUCCESS", size_gb=10**n) for n in (1, 5)
    ]
    text = str(Listing(snapshots)).splitlines()
    head, _, first, second = text[3:]
    assert head.split() == ["name", "status", "size", "gb", "id"], "what is empty is left out"
    assert len(first) == len(second)
    assert first.index("SUCCESS") == second.index("SUCCESS")


def test_lists_of_the_client_show_themselves() -> None:
    with (
        Sandbox(fleet=2) as sandbox,
        Barrack(api_key=sandbox.api_key, base_url=sandbox.url) as client,
    ):
        for found in (client.regions.list(), client.gpu_stocks.list(), client.pricing.list()):
            assert isinstance(found, list)
            assert isinstance(found, Sequence)
            assert "<table>" in Listing(found)._repr_html_()
            assert type(found) is Listing


def test_a_page_is_the_same_in_three_ways() -> None:
    chart = Chart("<svg/>", "a [chart]")
    page = Page("t_x", "Sum.", (Table(("a", "b"), (("1", ""), ("22", ""))), Lines(("n",)), chart))
    assert page.markdown() == "## t_x\n\n**Sum.**\n\n| a |\n| ---: |\n| 1 |\n| 22 |\n\n- n"
    assert page.artifact().startswith(page.markdown())
    assert page.artifact().endswith(f"![a \\[chart\\]]({chart.source})")
    assert f'src="{chart.source}"' in page.html()
    assert page.text() == "t_x\nSum.\n\n a\n--\n 1\n22\n\n- n"
    assert escape("get_gpu_stock") == "get_gpu_stock"


def calls_of(show: Callable[[], object]) -> int:
    """How many functions are called for it, whatever machine it runs on."""
    counted = 0

    def count(_: object, event: str, __: object) -> None:
        nonlocal counted
        counted += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        show()
    finally:
        sys.setprofile(None)
    return counted


@pytest.mark.parametrize("show", ["artifact", "markdown", "html", "text"])
def test_ten_times_the_rows_cost_ten_times_the_work(show: str) -> None:
    few, many = (
        Page("x", parts=(Table(("name", "why"), (("alpha", "a long reason " * 9),) * count),))
        for count in (20, 200)
    )
    assert calls_of(getattr(many, show)) < 11 * calls_of(getattr(few, show))
