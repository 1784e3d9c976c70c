"""enforce_budget and report_costs against a real Prefect server and a real local cloud."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client

from barrack_tasks import BarrackCredentials, lease_instance, set_owner
from barrack_tasks.controllers.admission import read_means
from barrack_tasks.controllers.leases import read_leases
from barrack_tasks.controllers.money.bills import spent_since
from barrack_tasks.controllers.money.funds import read_funds
from barrack_tasks.controllers.money.seen import read_sightings
from barrack_tasks.plans.forgotten.owners import NOBODY
from barrack_tasks.plans.money.burn import Burn, burn_of
from barrack_tasks.plans.money.caps import Caps, today_of
from barrack_tasks.plans.selection import SelectionError
from barrack_tasks.sandbox import Sandbox
from flows.end_expired import end_expired
from flows.enforce_budget import enforce_budget
from flows.report_costs import report_costs
from flows.watch_balance import watch_balance
from tests.flows.conftest import account_of, fleet, states
from tests.flows.receivers import sentences, subjects
from tests.thinning import some_slow

Cloud = Callable[..., Sandbox]


@pytest.fixture(autouse=True)
def _the_clouds_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Alarms are told by the clock of the sandbox, which is put forward."""
    clock: dict[str, Any] = {}
    monkeypatch.setattr("barrack_tasks.controllers.money.budgets.now", lambda: clock["of"].now())
    monkeypatch.setattr(f"{__name__}.CLOCK", clock)


CLOCK: dict[str, Any] = {}
MARCH = datetime(2026, 3, 10, tzinfo=UTC)


def at(sandbox: Sandbox) -> Sandbox:
    CLOCK["of"] = sandbox
    return sandbox


@pytest.mark.slow
def test_a_cap_on_the_burn_hibernates_as_few_as_needed(cloud: Cloud, hook: Any) -> None:
    kept, name = hook
    sandbox = at(fleet(cloud, "5000", "alpha", "beta", speed=60))
    how: dict[str, Any] = {"notify": [name], "credentials": account_of(sandbox)}
    cap = [{"per": "hour", "hard": 3}]
    assert enforce_budget(cap, **how).rows == ()
    sandbox.seed_instance("gamma", gpu_model="L40")
    dry = enforce_budget(cap, dry_run=True, priority=["gamma"], **how)
    assert [(r.instance, r.outcome) for r in dry.rows] == [("gamma", "planned")]
    assert kept.received == []
    report = enforce_budget(cap, priority=["gamma"], **how)
    assert [(r.instance, r.now) for r in report.rows] == [("gamma", "HIBERNATED")]
    assert "Going to hibernate gamma." in kept.received[0]["body"]
    assert enforce_budget(cap, **how).rows == ()
    assert len(kept.received) == 2, "crossed and over"


def test_spending_comes_from_the_bills_and_a_restart_forgets_nothing(
    cloud: Cloud,
    hook: Any,
) -> None:
    kept, name = hook
    sandbox = at(fleet(cloud, "5000", "team-a", "team-b", start=MARCH))
    how: dict[str, Any] = {"notify": [name], "credentials": account_of(sandbox)}
    # 1.19 an hour each.
    budgets = [{"per": "day", "soft": 10, "hard": 20, "names": ["team-a"]}]
    assert enforce_budget(budgets, **how).told[0].startswith("team-a per day: 0.00 USD spent, and")
    sandbox.advance(9 * 3600)
    report = enforce_budget(budgets, **how)
    assert report.budgets[0]["spent"] == "10.71 USD"
    assert report.budgets[0]["forecast"] == "28.56 USD"
    sandbox.advance(8 * 3600)
    sandbox.set_speed(60)
    report = enforce_budget(budgets, **how)
    assert [r.instance for r in report.rows] == ["team-a"]
    assert states(sandbox) == {"team-a": "HIBERNATED", "team-b": "ACTIVE"}
    said = [s for s in sentences(kept) if "over: " not in s and "limit" in s]
    assert [("soft" in s, "hard limit is 20.00 USD;" in s) for s in said[1:3]] == [
        (True, False),
        (False, True),
    ]


def test_what_was_deleted_stays_on_the_bill(cloud: Cloud) -> None:
    sandbox = at(fleet(cloud, "5000", "alpha", "beta", start=MARCH))
    account = account_of(sandbox)
    budgets = [{"per": "month", "hard": 9000}]
    enforce_budget(budgets, credentials=account)
    sandbox.advance(10 * 3600)
    client = account.get_client()
    client.instances.delete(next(i.id for i in client.instances.list() if i.name == "beta"))
    sandbox.advance(10 * 3600)
    report = enforce_budget(budgets, credentials=account)
    spent = Decimal(5000) - Decimal(sandbox.state()["balance"])
    assert report.budgets[0]["spent"] == f"{spent:.2f} USD"


def asked(sandbox: Sandbox, action: Callable[[], Any]) -> int:
    """How many bills the cloud was asked for meanwhile."""
    before = len(sandbox.requests())
    action()
    new = sandbox.requests()[before:]
    return sum(str(r["operation"]).endswith("_billing") for r in new)


def delete(sandbox: Sandbox, account: BarrackCredentials, name: str) -> None:
    client = account.get_client()
    client.instances.delete(next(i.id for i in client.instances.list() if i.name == name))
    sandbox.advance(60)


@pytest.mark.slow
def test_bills_are_asked_for_once_and_then_for_what_is_new(cloud: Cloud) -> None:
    sandbox = at(fleet(cloud, "5000", "team-1", "team-3", "other", start=MARCH))
    account = account_of(sandbox)
    budgets = [{"per": "month", "hard": 900, "names": ["team-*"]}]

    def tick() -> int:
        return asked(sandbox, lambda: enforce_budget(budgets, credentials=account))

    sandbox.advance(60)
    assert [tick(), tick()] == [2, 0]
    sandbox.advance(2 * 3600)
    delete(sandbox, account, "team-1")
    sandbox.seed_instance("team-2", gpu_model="L40")
    sandbox.advance(60)
    assert set(states(sandbox)) == {"other", "team-2", "team-3"}
    assert [tick(), tick()] == [2, 0], "what is gone, to its end, and what is new"
    sandbox.advance(3600)
    report = enforce_budget(budgets, credentials=account)
    assert report.budgets[0]["spent"] == "7.24 USD", "121, 183 and 61 minutes"
    costs = []
    assert asked(sandbox, lambda: costs.append(report_costs(days=5, credentials=account))) == 1
    assert asked(sandbox, lambda: costs.append(report_costs(days=5, credentials=account))) == 0
    assert costs[0].bill.total == costs[1].bill.total
    assert costs[0].bill.total == Decimal(5000) - Decimal(sandbox.state()["balance"])


@pytest.mark.slow
def test_what_is_gone_for_ever_keeps_its_last_known_cost_and_is_told_as_missing(
    cloud: Cloud,
) -> None:
    sandbox = at(fleet(cloud, "5000", "alpha", "beta", start=MARCH))
    account = account_of(sandbox)
    sandbox.advance(10 * 3600)
    assert report_costs(days=5, credentials=account).bill.total == Decimal("23.80")
    sandbox.advance(3600)
    delete(sandbox, account, "beta")
    sandbox.fault("status", operation="get_instance_billing", status=404, count=None)
    costs: list[Any] = []

    def look() -> int:
        return asked(sandbox, lambda: costs.append(report_costs(days=5, credentials=account)))

    assert look() == 1
    sandbox.advance(600)
    assert [look(), look()] == [1, 0], "settled once the API has said it twice, minutes apart"
    for report in costs:
        [missing] = report.bill.missing
        assert missing.startswith("instance beta: ")
        assert missing.endswith("UTC counts: 11.90 USD")
    beta = [sum(c.cost for c in r.bill.charges if c.thing.name == "beta") for r in costs]
    assert beta == [Decimal("11.90")] * 3


def test_bad_input_is_one_sentence_before_anything_is_done(cloud: Cloud) -> None:
    sandbox = at(fleet(cloud, "5000", "alpha"))
    account = account_of(sandbox)
    with pytest.raises(ValueError, match="nearest is Europe/Berlin"):
        enforce_budget([{"per": "day", "hard": 1}], zone="Europe/Berln", credentials=account)
    with pytest.raises(ValueError, match=r"it burns 1.19 USD: raise it"):
        enforce_budget([{"per": "hour", "hard": 1}], credentials=account)
    with pytest.raises(ValueError, match=r"must end in .csv or .json"):
        report_costs(save_to=Path("costs.xlsx"), credentials=account)
    assert not [r for r in sandbox.requests() if r["method"] != "GET"]


def test_the_report_adds_up_to_what_the_cloud_took(cloud: Cloud, tmp_path: Path) -> None:
    sandbox = at(fleet(cloud, "5000", "alpha", "beta", "gamma", start=MARCH))
    account = account_of(sandbox)
    client = account.get_client()
    ids = {i.name: i.id for i in client.instances.list()}
    client.volumes.create("data", 500, "CANADA-1", "Cloud-SSD")
    client.snapshots.create(ids["alpha"], "alpha-saved")
    sandbox.advance(5 * 3600)
    sandbox.set_instance_status(ids["beta"], "SHUTOFF")
    sandbox.set_instance_status(ids["gamma"], "HIBERNATED")
    sandbox.advance(26 * 3600)
    file = tmp_path / "costs.json"
    report = report_costs(days=5, save_to=file, credentials=account)
    spent = Decimal(5000) - Decimal(sandbox.state()["balance"])
    assert report.bill.total == spent
    assert report.month_so_far == spent
    assert Decimal(json.loads(file.read_text())["total"]) == spent
    assert report.bill.saved_by_hibernation == Decimal("1.18") * 26
    assert report.bill.wasted_by_stopping == Decimal("1.18") * 26
    assert list(report.bill.by("day")) == ["2026-03-10", "2026-03-11"]
    left = timedelta(days=31) - timedelta(hours=9 * 24 + 31)
    assert (
        report.month_forecast == spent + report.burn_hourly * Decimal(left.total_seconds()) / 3600
    )
    assert {r["kind"] for r in report.records()} == {"instance", "volume", "snapshot"}


def test_the_artifact_has_tables_and_a_chart_that_carries_itself(cloud: Cloud) -> None:
    sandbox = at(fleet(cloud, "5000", "al_pha", start=MARCH))
    sandbox.advance(40 * 3600)
    account = account_of(sandbox)
    report_costs(days=3, credentials=account)
    with get_client(sync_client=True) as client:
        key = f"barrack-costs-{account.account}"
        wanted = {"artifacts": {"key": {"any_": [key]}}, "sort": "CREATED_DESC", "limit": 1}
        [artifact] = client.request("POST", "/artifacts/filter", json=wanted).json()
    text = artifact["data"]
    assert "al_pha" in text
    assert "&#95;" not in text
    [data] = re.findall(r"data:image/svg\+xml;base64,([A-Za-z0-9+/=]+)", text)
    svg = base64.b64decode(data).decode()
    assert svg.lstrip().startswith("<svg")
    assert "ACTIVE" in svg
    assert "<script" not in svg


@pytest.mark.slow
def test_what_a_budget_and_the_costs_do_not_need_does_not_stop_them(
    cloud: Cloud, hook: Any
) -> None:
    kept, name = hook
    sandbox = at(fleet(cloud, "5000", "alpha"))
    account = account_of(sandbox)
    client = account.get_client()
    client.volumes.create("data", 500, "CANADA-1", "Cloud-SSD")
    sandbox.advance(3600)
    whole = report_costs(days=1, credentials=account)
    sandbox.fault("status", operation="list_volumes", count=None, status=404)
    report = report_costs(days=1, credentials=account)
    assert any("list_volumes" in missing for missing in report.bill.missing)
    assert {r["kind"] for r in report.records()} == {r["kind"] for r in whole.records()}
    sandbox.set_speed(120)
    cap = [{"per": "hour", "hard": 1}]
    kept_to = enforce_budget(cap, enforce_at_once=True, notify=[name], credentials=account)
    assert [(r.instance, r.now) for r in kept_to.rows] == [("alpha", "HIBERNATED")]
    assert any("list_volumes" in sentence for sentence in sentences(kept))


def test_a_bill_that_cannot_be_read_is_named_and_told(cloud: Cloud, hook: Any) -> None:
    kept, name = hook
    sandbox = at(fleet(cloud, "5000", "alpha", "beta"))
    account = account_of(sandbox)
    sandbox.fault("status", operation="get_instance_billing", status=403, count=1)
    report = report_costs(days=1, credentials=account)
    assert len(report.bill.missing) == 1
    sandbox.fault("status", operation="get_instance_billing", status=403, count=None)
    enforce_budget([{"per": "day", "hard": 900}], notify=[name], credentials=account)
    assert "cannot be read: instance" in kept.received[0]["subject"]


@pytest.mark.slow
def test_two_deployments_with_budgets_of_their_own_do_not_disturb_each_other(
    cloud: Cloud, hook: Any
) -> None:
    kept, name = hook
    sandbox = at(fleet(cloud, "5000", "a1", "b1", speed=60))
    how: dict[str, Any] = {"notify": [name], "credentials": account_of(sandbox)}
    capped = [{"per": "hour", "hard": "1.5", "names": ["a*"]}]
    watched = [{"per": "hour", "soft": 1, "names": ["b*"]}]
    enforce_budget(capped, **how)
    enforce_budget(watched, **how)
    sandbox.seed_instance("a2", gpu_model="L40")
    assert [r.outcome for r in enforce_budget(capped, **how).rows] == ["done"]
    enforce_budget(watched, **how)
    assert sum("b* per hour" in s for s in subjects(kept)) == 1


@pytest.mark.slow
def test_two_deployments_with_other_limits_for_the_same_are_told_once_each(
    cloud: Cloud, hook: Any
) -> None:
    kept, name = hook
    sandbox = at(fleet(cloud, "5000", "alpha", start=MARCH))
    how: dict[str, Any] = {"notify": [name], "credentials": account_of(sandbox)}

    def tick() -> list[str]:
        before = len(kept.received)
        for soft in (10, 20):
            enforce_budget([{"per": "day", "soft": soft}], **how)
        return [one["subject"].partition("limit is ")[2] for one in kept.received[before:]]

    told = []
    for hours in (0, 9, 1, 6, 1):  # at 1.19 an hour: 0, 10.71, 11.90, 19.04 and 20.23
        sandbox.advance(hours * 3600)
        told += [tick(), tick()]
    ten, twenty = (
        [f"{limit}.00 USD; 28.56 USD at the end of the day if nothing changes"]
        for limit in (10, 20)
    )
    assert told == [[], [], ten, [], [], [], [], [], twenty, []]


@pytest.mark.slow
def test_the_tighter_of_two_deployments_enforces_although_the_other_keeps_its_own(
    cloud: Cloud,
) -> None:
    sandbox = at(fleet(cloud, "5000", "a1", "a2", speed=60))
    how: dict[str, Any] = {"credentials": account_of(sandbox)}
    tight, wide = [{"per": "hour", "hard": 3}], [{"per": "hour", "hard": 4}]
    for _ in range(2):
        assert enforce_budget(tight, **how).rows == enforce_budget(wide, **how).rows == ()
    sandbox.seed_instance("a3", gpu_model="L40")
    assert enforce_budget(wide, **how).rows == ()
    assert [r.outcome for r in enforce_budget(tight, **how).rows] == ["done"]


@pytest.mark.slow
def test_a_limit_that_is_refused_is_told_once_and_turns_no_other_off(
    cloud: Cloud, hook: Any
) -> None:
    kept, name = hook
    sandbox = at(fleet(cloud, "5000", "a1", "b1", speed=60))
    how: dict[str, Any] = {"notify": [name], "credentials": account_of(sandbox)}
    known = {"per": "hour", "hard": "1.5", "names": ["a*"]}
    enforce_budget([known], **how)
    sandbox.seed_instance("a2", gpu_model="L40")
    new = {"per": "hour", "hard": 1, "names": ["b*"]}
    for _ in range(2):
        with pytest.raises(ValueError, match=r"b\* per hour is 1.00 USD, and it burns 1.19 USD"):
            enforce_budget([known, new], **how)
    assert sorted(states(sandbox).values()) == ["ACTIVE", "ACTIVE", "HIBERNATED"]
    assert states(sandbox)["b1"] == "ACTIVE"
    said = [s for s in sentences(kept) if "over: " not in s and "limit" in s]
    assert len(said) == 2, "the known limit that is exceeded, and the new one"
    assert "the hard limit of b* per hour is 1.00 USD, and it burns 1.19 USD" in said[1]
    enforce_budget([known, new], enforce_at_once=True, **how)
    assert states(sandbox)["b1"] == "HIBERNATED"


def watch_hours(account: Any) -> Any:
    return enforce_budget([{"per": "hour", "soft": 90}], credentials=account)


def watch_credits(account: Any) -> Any:
    return watch_balance(credentials=account)


@pytest.mark.parametrize("look", some_slow([watch_hours], [watch_credits]))
def test_whoever_looks_notes_what_is_there_for_later_bills(
    cloud: Cloud, look: Callable[[Any], Any]
) -> None:
    sandbox = at(fleet(cloud, "5000", "alpha", "gone", start=MARCH))
    account = account_of(sandbox)
    look(account)
    sandbox.advance(10 * 3600)
    client = account.get_client()
    client.instances.delete(next(i.id for i in client.instances.list() if i.name == "gone"))
    sandbox.advance(60)
    assert set(states(sandbox)) == {"alpha"}
    report = report_costs(days=1, credentials=account)
    assert report.bill.total == Decimal(5000) - Decimal(sandbox.state()["balance"]) > 23


def test_a_price_that_cannot_be_read_is_told(
    cloud: Cloud, hook: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, name = hook
    sandbox = at(fleet(cloud, "5000", "alpha", "beta"))

    def without_beta(*given: Any) -> Burn:
        burn = burn_of(*given)
        costs = (replace(c, hourly=None) if c.name == "beta" else c for c in burn.costs)
        return Burn(tuple(costs))

    monkeypatch.setattr("barrack_tasks.controllers.money.funds.burn_of", without_beta)
    budgets = [{"per": "hour", "hard": 2, "names": ["beta"]}]
    enforce_budget(budgets, notify=[name], credentials=account_of(sandbox))
    assert "the price of instance beta cannot be read" in kept.received[0]["subject"]


@pytest.mark.parametrize(
    "ahead", some_slow([timedelta(days=2)], [-timedelta(days=2)]), ids=["ahead", "behind"]
)
def test_costs_are_asked_for_by_the_clouds_clock(cloud: Cloud, ahead: timedelta) -> None:
    noon = (datetime.now(UTC) + ahead).replace(hour=12, minute=0, second=0, microsecond=0)
    sandbox = fleet(cloud, "5000", "alpha", "beta", start=noon)
    account = account_of(sandbox)
    sandbox.advance(10 * 3600)
    spent = Decimal("23.80")  # two at 1.19 an hour, for ten hours
    report = report_costs(days=1, credentials=account)
    assert report.bill.total == report.month_so_far == spent
    day = enforce_budget([{"per": "day", "soft": 20}], credentials=account, dry_run=True).budgets[0]
    assert day["spent"] == "23.80 USD"
    assert day["period"] == noon.date().isoformat()
    funds = read_funds(account)
    assert spent_since(account, funds, today_of(funds.at)[0]) == spent
    means = read_means(account, [Caps(daily_budget=100)])
    assert means.spent_today == spent
    assert Decimal(2) - Decimal("0.1") < means.hours_left_today <= 2


@pytest.mark.slow
def test_a_new_limit_that_was_first_seen_blind_does_not_act_unasked(
    cloud: Cloud, hook: Any
) -> None:
    _, name = hook
    sandbox = at(fleet(cloud, "5000", "a1", start=MARCH, speed=0))
    account = account_of(sandbox)
    how: dict[str, Any] = {"notify": [name], "credentials": account}
    month, hour = [{"per": "month", "hard": 5}], [{"per": "hour", "hard": 1}]
    enforce_budget(month, dry_run=True, **how)
    assert read_sightings(account.account) == ([], {}), "a dry run remembers nothing"
    sandbox.advance(10 * 3600)
    sandbox.fault("status", operation="get_instance_billing", status=403, count=1)
    report = enforce_budget(month, **how)
    assert any("the hard limit of everything per month is new" in note for note in report.notes)
    sandbox.fault("status", operation="list_instances", status=403, count=1)
    enforce_budget(hour, **how)
    for limit in (month, hour):
        with pytest.raises(ValueError, match="until then it is not enforced"):
            enforce_budget(limit, **how)
    assert states(sandbox) == {"a1": "ACTIVE"}


@pytest.mark.slow
def test_a_budget_of_a_team_is_about_the_machines_that_are_theirs(cloud: Cloud) -> None:
    sandbox = at(fleet(cloud, "5000", "train-1", "train-2", "web", start=MARCH))
    account = account_of(sandbox)
    set_owner(account, "train-*", owner="ann", team="vision")
    budgets = [{"per": "day", "hard": 20, "team": "vision"}, {"per": "day", "soft": 900}]
    enforce_budget(budgets, credentials=account)
    client = account.get_client()
    sandbox.advance(3 * 3600)
    enforce_budget(budgets, credentials=account)
    client.instances.delete(next(i.id for i in client.instances.list() if i.name == "train-2"))
    sandbox.advance(3 * 3600)
    report = enforce_budget(budgets, credentials=account)
    assert report.budgets[0]["budget"] == "team vision per day"
    # 1.19 USD an hour: six hours of the one, and three of the other, which is gone.
    assert report.budgets[0]["spent"] == f"{Decimal('1.19') * 9:.2f} USD"
    sandbox.advance(9 * 3600)
    sandbox.set_speed(60)
    assert [r.instance for r in enforce_budget(budgets, credentials=account).rows] == ["train-1"]
    assert states(sandbox) == {"train-1": "HIBERNATED", "web": "ACTIVE"}
    with pytest.raises(SelectionError, match="the table of owners has no team 'sales'"):
        enforce_budget([{"per": "day", "hard": 20, "team": "sales"}], credentials=account)


def test_reports_and_budgets_agree_on_whose_a_machine_is_also_once_its_lease_has_ended(
    cloud: Cloud,
) -> None:
    sandbox = at(fleet(cloud, "5000", "train-1", "web", "bare", start=MARCH))
    account = account_of(sandbox)
    set_owner(account, "train-*", owner="ann", team="vision")
    lease_instance(account, "web", for_="2h", owner="ann")
    budgets = [{"per": "day", "soft": 900, "team": "vision"}]

    def spent() -> str:
        [budget] = enforce_budget(budgets, credentials=account).budgets
        by = report_costs(days=1, credentials=account).by
        assert by("owner").keys() == {"ann", NOBODY}
        assert budget["spent"] == f"{by('team')['vision']:.2f} USD"
        assert by("team")["vision"] == by("owner")["ann"]
        return str(budget["spent"])

    for hours in (2, 1, 1):
        sandbox.advance(hours * 3600)
        end_expired(credentials=account)
    assert states(sandbox)["web"] == "HIBERNATED"
    assert read_leases(account.account) == []
    # 1.19 USD an hour: four hours of the one, and three of the other, which then hibernates.
    assert Decimal(spent().split()[0]) >= Decimal("1.19") * 7
