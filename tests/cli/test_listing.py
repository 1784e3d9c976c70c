"""Rows of lists: which are meant, in which order, and what is told of one instance."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prefect import flow
from prefect.client.orchestration import get_client

from barrack_tasks import flows
from barrack_tasks.api import Barrack
from barrack_tasks.api.models import BillingRecord, UserVM
from barrack_tasks.cli.answers import InstanceShown
from barrack_tasks.cli.deployments import read_deployed
from barrack_tasks.cli.listing import Filter, dearest_first, instance_shown, up_since
from barrack_tasks.cli.snapshot import taken_of
from barrack_tasks.plans.money.burn import Tariff
from barrack_tasks.plans.selection import SelectionError, Selector, select_instances
from barrack_tasks.sandbox import Sandbox
from tests.cli.test_learn import run

STATES = ("ACTIVE", "HIBERNATED", "SHUTOFF", "ERROR", "odd")
VMS = st.lists(
    st.builds(
        lambda n, state, price, region: UserVM(
            id=f"BRK-{n}", name=f"vm-{n}", status=state, hourly_price=price, region=region,
            currency="USD", gpu_model="L40",
        ),
        st.integers(0, 99),
        st.sampled_from(STATES),
        st.none() | st.decimals(0, 99, places=2),
        st.sampled_from(("CANADA-1", "US-1")),
    ),
    unique_by=lambda vm: vm.id,
)  # fmt: skip


def rows_of(instances: list[UserVM]) -> list[InstanceShown]:
    return [instance_shown(one, Tariff()) for one in instances]


@given(VMS)
def test_the_dearest_is_first_and_what_may_cost_anything_before_it(vms: list[UserVM]) -> None:
    costs = [row.hourly for row in dearest_first(rows_of(vms))]
    known = [cost for cost in costs if cost is not None]
    assert costs == [None] * (len(costs) - len(known)) + sorted(known, reverse=True)


@given(VMS, st.lists(st.sampled_from(["vm-*", "vm-1*", "BRK-7", "vm-7"]), min_size=1))
def test_a_list_means_by_names_what_a_flow_means(vms: list[UserVM], names: list[str]) -> None:
    def meant(choose: Any) -> list[str] | None:
        try:
            return sorted(one.name for one in choose())
        except SelectionError:
            return None

    listed = meant(lambda: Filter(tuple(names)).chosen(rows_of(vms), "instance"))
    assert listed == meant(lambda: select_instances(Selector(names=tuple(names)), vms))


def test_filters_are_globs_whatever_the_case() -> None:
    vms = [
        UserVM(id="1", name="a", status="ACTIVE", region="CANADA-1", gpu_model="L40"),
        UserVM(id="2", name="b", status="HIBERNATED", region="US-1", gpu_model="A40"),
    ]
    for only in (
        Filter(regions=("canada-*",)),
        Filter(models=("l40",)),
        Filter(states=("active",)),
        Filter(names=("a",), states=("act*",)),
    ):
        assert [row.name for row in only.chosen(rows_of(vms), "instance")] == ["a"]
    assert Filter(regions=("norway-1",)).chosen(rows_of(vms), "instance") == []


START = datetime(2026, 3, 1, tzinfo=UTC)


def record(start: int, end: int | None, status: str = "ACTIVE") -> BillingRecord:
    """One from minute to minute."""
    until = None if end is None else START + timedelta(minutes=end)
    return BillingRecord(
        start=START + timedelta(minutes=start), end=until, status=status, cost=Decimal(0)
    )


@pytest.mark.parametrize(
    ("records", "since"),
    [
        ([], None),
        ([record(0, None)], 0),
        ([record(0, 60), record(60, None)], 0),
        ([record(60, None), record(0, 60)], 0),
        ([record(0, 60), record(90, None)], 90),
        ([record(0, 60), record(60, 70, "HIBERNATED"), record(70, None)], 70),
        ([record(0, 60), record(60, None, "SHUTOFF")], None),
    ],
)
def test_an_instance_is_up_since_the_last_break_in_its_bill(
    records: list[BillingRecord], since: int | None
) -> None:
    assert up_since(records) == (None if since is None else START + timedelta(minutes=since))


def test_a_list_and_one_instance_need_no_prefect_and_change_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("barrack_tasks.cli.screen.width_of", lambda _: 80)
    with Sandbox(fleet=2, speed=0) as sandbox:
        for name, value in sandbox.env.items():
            monkeypatch.setenv(name, value)
        before = sandbox.ledger()
        assert run("ls") == 0
        shown = capsys.readouterr().out.splitlines()
        assert shown[0].split()[:2] == ["name", "state"]
        assert len(shown) == 4
        assert run("show", "alpha", "--json") == 0
        detail = json.loads(capsys.readouterr().out)
        assert detail["name"] == "alpha"
        assert detail["spent"] is not None
        assert run("ls", "alpha", "--state", "hibernated") == 0
        assert "There are no such instances." in capsys.readouterr().out
        assert sandbox.ledger() == before


def test_snapshots_by_hand_are_waited_for_and_what_fails_is_said() -> None:
    with Sandbox(fleet=2, speed=0) as sandbox, Barrack(sandbox.api_key, sandbox.url) as client:
        sandbox.seed_instance("asleep", gpu_model="L40", status="HIBERNATED")
        instances = sorted(client.instances.list(), key=lambda one: one.name)
        told: list[str] = []

        def taken(dry_run: bool, minutes: int = 30) -> list[tuple[str, str]]:
            clock = iter(range(0, 10_000, 60))
            found = taken_of(
                client, instances, timedelta(minutes=minutes), dry_run, told.append,
                clock=lambda: next(clock), sleep=sandbox.advance,
            )  # fmt: skip
            return [(one.instance, one.outcome) for one in found]

        assert {outcome for _, outcome in taken(dry_run=True)} == {"planned"}
        assert list(client.snapshots.list()) == []
        done = [("alpha", "done"), ("asleep", "failed"), ("beta", "done")]
        assert taken(dry_run=False) == done
        assert len(told) == 2
        assert all(one.status.is_ready for one in client.snapshots.list())
        sandbox.advance(2)
        sandbox.settings(durations={"snapshot": 36_000})
        late = taken(dry_run=False, minutes=1)
        assert {outcome for _, outcome in late} == {"failed"}


def test_deployments_of_other_peoples_flows_are_not_ours_whatever_their_tags(
    prefect_server: str,
) -> None:
    @flow(name="training")
    def training() -> None: ...

    for one in (training, flows.hibernate):
        one.to_deployment(f"listed-{one.name}", tags=["barrack", "guard"]).apply()
    with get_client(sync_client=True) as client:
        names = [one.full_name for one in read_deployed(client) if one.name.startswith("listed-")]
    assert names == ["barrack-hibernate/listed-barrack-hibernate"]
