"""A request that waits to be sent is not sent when it is not asked for any more."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from barrack_tasks.plans.names import snapshot_description, snapshot_name
from barrack_tasks.runtime.leases import holding
from barrack_tasks.sandbox import Sandbox
from flows.hibernate import hibernate
from flows.snapshot_before_stop import snapshot_before_stop
from flows.verify_snapshots import verify_snapshots
from tests.flows.conftest import account_of, effects, rename, states

Cloud = Callable[..., Sandbox]


def when_asked(sandbox: Sandbox, operation: str, act: Callable[[], Any]) -> threading.Thread:
    """Somebody acts as soon as an operation was asked for."""

    def wait() -> None:
        for _ in range(3000):
            if any(r["operation"] == operation for r in sandbox.requests()):
                act()
                return
            time.sleep(0.01)

    person = threading.Thread(target=wait)
    person.start()
    return person


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flow", "operation", "more"),
    [
        (hibernate, "hibernate_instance", {}),
        (snapshot_before_stop, "delete_instance", {"then": "delete"}),
    ],
)
def test_what_is_protected_while_its_request_waits_is_left_alone(
    cloud: Cloud, flow: Any, operation: str, more: dict[str, Any]
) -> None:
    sandbox = cloud(fleet=0)
    sandbox.seed_instance("alpha", gpu_model="L40")
    sandbox.fault("status", operation=operation, status=429, retry_after=7, count=1)
    person = when_asked(sandbox, operation, lambda: rename(sandbox, "alpha", "prod-1"))
    account = account_of(sandbox, protect=["prod-*"])
    report = flow(select=["alpha"], credentials=account, **more)
    person.join()
    assert [(r.outcome, r.why) for r in report.rows] == [("skipped", "protected")]
    assert states(sandbox) == {"prod-1": "ACTIVE"}
    assert effects(sandbox, operation) == []


@pytest.mark.slow
def test_a_deletion_that_waits_is_recalled_when_somebody_works_on_the_instance(
    cloud: Cloud,
) -> None:
    sandbox = cloud(fleet=0)
    id_ = sandbox.seed_instance("alpha", gpu_model="L40")
    sandbox.fault("status", operation="delete_instance", status=429, retry_after=7, count=1)

    def by_hand() -> None:
        account_of(sandbox).get_client().instances.stop(id_)

    person = when_asked(sandbox, "delete_instance", by_hand)
    with pytest.raises(Exception, match="SHUTOFF"):
        snapshot_before_stop(select=["alpha"], then="delete", credentials=account_of(sandbox))
    person.join()
    assert states(sandbox) == {"alpha": "SHUTOFF"}
    assert effects(sandbox, "delete_instance") == []


def test_braces_in_a_name_hold_up_nobody(cloud: Cloud) -> None:
    sandbox = cloud(fleet=0)
    names = ["a{}", "b{0.name}", "c{{", "d}", *(f"plain-{n}" for n in range(20))]
    for name in names:
        sandbox.seed_instance(f"x-{names.index(name)}", gpu_model="L40")
        rename(sandbox, f"x-{names.index(name)}", name)
    report = hibernate(select=["*"], credentials=account_of(sandbox), timeout=60)
    assert {row.outcome for row in report.rows} == {"done"}


@pytest.mark.slow
def test_a_drill_deletes_its_machine_only_when_nobody_else_works_on_it(cloud: Cloud) -> None:
    sandbox = cloud(fleet=0, start=datetime(2026, 1, 2, tzinfo=UTC))
    id_ = sandbox.seed_instance("alpha", gpu_model="L40")
    account = account_of(sandbox)
    taken = snapshot_name("alpha", id_, datetime(2026, 1, 1, tzinfo=UTC))
    account.get_client().snapshots.create(id_, taken, snapshot_description(id_))
    sandbox.advance(900)
    held = threading.Event()

    def hold_it() -> None:
        with holding(account.account, "another", "another run") as hold:
            made = [i["id"] for i in sandbox.state()["instances"] if i["name"] != "alpha"]
            assert hold.claim({made[0]: "the drill's"}), "the drill holds what it has made"
            held.set()

    person = when_asked(sandbox, "restore_snapshot", lambda: (time.sleep(1.5), hold_it()))
    report = verify_snapshots(
        select=["alpha"], probe={"command": ["sh", "-c", "sleep 3"]}, credentials=account
    )
    person.join()
    assert held.is_set()
    assert [row.outcome for row in report.rows] == ["done"]
    assert states(sandbox) == {"alpha": "ACTIVE"}
