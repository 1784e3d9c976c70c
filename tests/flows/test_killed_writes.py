"""SIGKILL after each record that a run writes to the Prefect server, and then another run."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from barrack_tasks import BarrackCredentials, lease_instance
from barrack_tasks.controllers.leases import change_leases, read_leases
from barrack_tasks.plans.forgotten.leases import warned
from barrack_tasks.sandbox import Sandbox
from tests.flows.conftest import account_of, effects, states
from tests.flows.killing import WRITE, ended, start_in_process
from tests.flows.receivers import Webhook

Cloud = Callable[..., Sandbox]
LOCK = 3
"""Seconds for which the lock of a killed run keeps the next one out."""
pytestmark = pytest.mark.slow


def killed_after_each_write(
    flow: str,
    arguments: dict[str, Any],
    prepare: Callable[[], Sandbox],
    judge: Callable[[Sandbox], bool],
    server: str,
) -> None:
    """Kill a run after its first write, its second and so on, and run it until all is done."""
    for last in range(1, 100):
        sandbox = prepare()
        environment = {
            **sandbox.env,
            "PREFECT_API_URL": server,
            "BARRACK_LOCK_SECONDS": str(LOCK),
        }
        killed = {**environment, WRITE: str(last)}
        code, _ = ended(*start_in_process(flow, killed, arguments))
        for _ in range(40):
            ended(*start_in_process(flow, environment, arguments))
            sandbox.advance(300)
            if judge(sandbox):
                break
            time.sleep(LOCK / 4)
        else:
            pytest.fail(f"a run that was killed after write {last} is not made up for")
        sandbox.stop()
        if code == 0:
            assert last > 3, "the run writes so often"
            return
        assert code == -9


def test_the_end_of_a_lease(cloud: Cloud, prefect_server: str) -> None:
    accounts: list[BarrackCredentials] = []

    def prepare() -> Sandbox:
        start = datetime.now(UTC) - timedelta(days=1)
        sandbox = cloud(fleet=0, seed=8451, start=start, speed=0)
        for name in ("over", "mine"):
            sandbox.seed_instance(name, gpu_model="L40")
        accounts.append(account := account_of(sandbox))
        now = sandbox.now()
        lease_instance(account, "mine", for_="30d", owner="ann")
        over = lease_instance(account, "over", for_="1h", owner="bob")
        change_leases(account.account, lambda _: [warned(over, over.until, now)])
        sandbox.advance(2 * 3600)
        return sandbox

    def judge(sandbox: Sandbox) -> bool:
        assert len(effects(sandbox, "hibernate_instance")) <= 1
        kept = {one.name for one in read_leases(accounts[-1].account)}
        assert "mine" in kept
        return states(sandbox) == {"over": "HIBERNATED", "mine": "ACTIVE"} and kept == {"mine"}

    killed_after_each_write("end_expired", {}, prepare, judge, prefect_server)


def test_a_notice(cloud: Cloud, hook: tuple[Webhook, str], prefect_server: str) -> None:
    receiver, block = hook
    rule = {"select": ["scratch-*"], "longer_than": "8h", "then": "hibernate"}

    def prepare() -> Sandbox:
        receiver.received.clear()
        start = datetime.now(UTC) - timedelta(days=2)
        sandbox = cloud(fleet=0, seed=8452, start=start, speed=0)
        sandbox.seed_instance("scratch-1", gpu_model="L40")
        sandbox.advance(9 * 3600)
        return sandbox

    def judge(sandbox: Sandbox) -> bool:
        assert len(receiver.received) <= 2, "an alarm twice is better than none"
        assert effects(sandbox, "create_snapshot") == [], "not before the grace is over"
        return bool(receiver.received)  # a run that is not alone tells nothing yet

    arguments = {"rules": [rule], "default_lease": "8h", "notify": [block], "dry_run": False}
    killed_after_each_write("reap_forgotten", arguments, prepare, judge, prefect_server)
