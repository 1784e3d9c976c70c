"""Lists of names: a name that means nothing is refused by hand and told on a schedule."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from barrack_tasks.plans import SelectionError
from barrack_tasks.sandbox import Sandbox
from flows.enforce_budget import enforce_budget
from flows.follow_schedule import follow_schedule
from flows.hibernate import hibernate
from flows.prune_snapshots import prune_snapshots
from flows.reap_forgotten import reap_forgotten
from flows.restore import restore
from flows.snapshot_before_stop import snapshot_before_stop
from flows.verify_snapshots import verify_snapshots
from flows.watch_balance import watch_balance
from tests.flows.conftest import account_of, states

Cloud = Callable[..., Sandbox]
NEVER: dict[str, Any] = {"rules": [{"select": ["*"], "timetable": "never"}]}
CAP: dict[str, Any] = {"budgets": [{"per": "hour", "hard": 0}], "enforce_at_once": True}
CRITICAL: dict[str, Any] = {
    "thresholds": [{"amount": 1000, "actions": ["hibernate_all"]}],
    "select": ["*"],
}
LISTS: list[tuple[Any, dict[str, Any], str]] = [
    (hibernate, {"select": ["*"], "protect": ["apha"]}, "protect"),
    (hibernate, {"select": ["beta", "apha"]}, "select"),
    (snapshot_before_stop, {"select": ["*"], "protect": ["alp-*"]}, "protect"),
    (snapshot_before_stop, {"select": ["beta", "apha"]}, "select"),
    (restore, {"select": ["*"], "protect": ["apha"]}, "protect"),
    (restore, {"select": ["beta", "apha"]}, "select"),
    (prune_snapshots, {"select": ["*"], "protect": ["apha"]}, "protect"),
    (verify_snapshots, {"select": ["*"], "protect": ["apha"]}, "protect"),
    (reap_forgotten, {"default_lease": "8h", "protect": ["apha"]}, "protect"),
    (follow_schedule, {**NEVER, "exclude": ["apha"]}, "exclude"),
    (follow_schedule, {**NEVER, "protect": ["apha"]}, "protect"),
    (watch_balance, {**CRITICAL, "priority": ["apha"]}, "priority"),
    (watch_balance, {**CRITICAL, "protect": ["apha"]}, "protect"),
    (watch_balance, {**CRITICAL, "select": ["beta", "apha"]}, "select"),
    (enforce_budget, {**CAP, "priority": ["apha"]}, "priority"),
    (enforce_budget, {**CAP, "protect": ["apha"]}, "protect"),
    (enforce_budget, {"budgets": [{"per": "hour", "soft": 9, "names": ["apha"]}]}, "budgets"),
]
IDS = [f"{flow.fn.__name__}-{name}" for flow, _, name in LISTS]


@pytest.fixture
def sandbox(cloud: Cloud) -> Sandbox:
    running = cloud(fleet=0, speed=120, balance=500)
    for name in ("alpha", "beta"):
        running.seed_instance(name, gpu_model="L40")
    return running


SELECTS: list[tuple[Any, Callable[[str], dict[str, Any]]]] = [
    (hibernate, lambda text: {"select": ["alpha", text]}),
    (snapshot_before_stop, lambda text: {"select": [text], "then": "delete"}),
    (restore, lambda text: {"select": [text]}),
    (verify_snapshots, lambda text: {"select": [text]}),
    (follow_schedule, lambda text: {"rules": [{"select": [text], "timetable": "never"}]}),
    (watch_balance, lambda text: {**CRITICAL, "select": [text]}),
]


@pytest.mark.parametrize(("flow", "given"), SELECTS, ids=[flow.fn.__name__ for flow, _ in SELECTS])
def test_the_id_of_one_and_the_name_of_another_is_refused_and_nothing_is_touched(
    sandbox: Sandbox, flow: Any, given: Callable[[str], dict[str, Any]]
) -> None:
    beta = next(i["id"] for i in sandbox.state()["instances"] if i["name"] == "beta")
    sandbox.seed_instance(beta, gpu_model="L40")
    with pytest.raises(SelectionError, match=f"'{beta}' is the id of one instance, beta, and the"):
        flow(**given(beta), credentials=account_of(sandbox))
    assert changes(sandbox) == []
    assert set(states(sandbox).values()) == {"ACTIVE"}


def changes(sandbox: Sandbox) -> list[str]:
    return [e["operation"] for e in sandbox.ledger() if e["request_id"]]


@pytest.mark.parametrize(("flow", "how", "name"), LISTS, ids=IDS)
def test_a_name_that_means_nothing_is_refused_when_a_person_calls(
    sandbox: Sandbox, flow: Any, how: dict[str, Any], name: str
) -> None:
    with pytest.raises(SelectionError, match=r"nearest is alpha") as caught:
        flow(**how, credentials=account_of(sandbox))
    assert ("no instance matches" if name == "select" else f"{name}: ") in str(caught.value)
    assert changes(sandbox) == []


@pytest.mark.slow
@pytest.mark.parametrize(("flow", "how", "name"), LISTS, ids=IDS)
def test_on_a_schedule_it_is_told_and_the_rest_is_done(
    sandbox: Sandbox,
    flow: Any,
    how: dict[str, Any],
    name: str,
    hook: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept, notifier = hook
    monkeypatch.setenv("PREFECT__RUNTIME__DEPLOYMENT__ID", "9e6a4c6e-0000-4000-8000-000000000000")
    account = account_of(sandbox)
    for _ in range(2):
        report = flow(**how, notify=[notifier], dry_run=False, credentials=account)
        [note] = [n for n in report.notes if n.startswith(name)]
        assert "nearest is alpha" in note
    told = [m for m in kept.received if "names in its lists match nothing" in m["subject"]]
    assert len(told) == 1, "once, and not once a run"
    assert "alpha" in told[0]["body"]
    if flow in (hibernate, snapshot_before_stop, watch_balance, enforce_budget) and name in (
        "select",
        "priority",
    ):
        assert states(sandbox)["beta"] in ("HIBERNATED", "HIBERNATING")


def test_globs_that_match_nothing_yet_and_the_accounts_own_list_are_told_alone(
    sandbox: Sandbox,
) -> None:
    account = account_of(sandbox, protect=["apha", "prod-*"])
    report = hibernate(select=["*"], protect=["zzz*"], dry_run=True, credentials=account)
    assert [note.partition(";")[0] for note in report.notes] == [
        "protect: no instance matches 'zzz*'",
        "protect: no instance is called 'apha'",
        "protect: no instance matches 'prod-*'",
    ]
