"""Ten accounts in one process: what one of them waits for holds none of the others."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any
from uuid import uuid4

import pytest

from barrack_tasks.api import Barrack
from barrack_tasks.controllers.reports import WorkFailed
from barrack_tasks.sandbox import Sandbox
from flows.snapshot_before_stop import snapshot_before_stop
from tests.flows.conftest import account_of, states

ACCOUNTS = 10


@pytest.fixture
def clouds() -> Iterator[list[Sandbox]]:
    with ExitStack() as stack:
        yield [
            stack.enter_context(Sandbox(fleet=n, balance="100", api_key=f"key-{n}-{uuid4().hex}"))
            for n in range(1, ACCOUNTS + 1)
        ]


@pytest.mark.parametrize("limit", [None, 5.0])
def test_an_account_that_is_told_to_wait_holds_no_other(
    clouds: list[Sandbox], limit: float | None
) -> None:
    waits, others_are_done = threading.Event(), threading.Event()

    def sleep(_: float) -> None:
        waits.set()
        assert others_are_done.wait(60), "the others wait for this account"

    clouds[0].fault("status", status=429, retry_after=1, count=1)
    first, *others = (
        Barrack(
            cloud.api_key,
            cloud.url,
            requests_per_second=limit,
            sleep=sleep if cloud is clouds[0] else lambda _: None,
        )
        for cloud in clouds
    )
    with ThreadPoolExecutor(ACCOUNTS) as threads:
        slow = threads.submit(lambda: list(first.instances.list()))
        assert waits.wait(60), "the first account is told to wait"
        found = [list(one) for one in threads.map(lambda b: list(b.instances.list()), others)]
        assert not slow.done()
        others_are_done.set()
        assert [len(one) for one in [slow.result(), *found]] == list(range(1, ACCOUNTS + 1))
    for cloud, client in zip(clouds, [first, *others], strict=True):
        client.close()
        asked = 2 if cloud is clouds[0] else 1
        assert cloud.state()["requests"]["total"] == asked, "each asks its own cloud only"


@pytest.mark.slow
def test_a_flow_whose_cloud_is_stuck_holds_no_other_account(
    clouds: list[Sandbox], prefect_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("barrack_tasks.controllers.reports.told_of_left_ends", lambda *_, **__: [])
    first, *others = clouds
    first.fault("stuck", "create_snapshot", count=None)

    with ThreadPoolExecutor(ACCOUNTS) as threads:

        def begin(cloud: Sandbox) -> Any:
            run = contextvars.copy_context().run
            return threads.submit(run, snapshot_before_stop, ["*"], credentials=account_of(cloud))

        slow, *rest = map(begin, clouds)
        reports = [run.result() for run in rest]
        assert not slow.done()
        [alone] = first.state()["instances"]
        first.set_instance_status(alone["id"], "DELETED")
        with pytest.raises(WorkFailed):
            slow.result()
    assert [len(report.rows) for report in reports] == list(range(2, ACCOUNTS + 1))
    assert all(set(states(cloud).values()) == {"HIBERNATED"} for cloud in others)
