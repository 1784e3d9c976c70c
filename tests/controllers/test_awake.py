"""Keeping a machine awake: for as long as the program lives and its work goes on."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from barrack_tasks import extend_lease, keep_awake, lease_instance
from barrack_tasks.controllers.awake import Awake
from barrack_tasks.controllers.leases import owner_named, read_leases
from barrack_tasks.plans.forgotten.leases import Lease
from barrack_tasks.sandbox import Sandbox
from examples.keep_awake_callbacks import HuggingFaceKeepAwake, LightningKeepAwake
from flows.end_expired import end_expired
from tests.flows.conftest import account_of, cloud, states

__all__ = ["cloud"]
Cloud = Callable[..., Sandbox]

CHILD = """
import sys, time
from barrack_tasks import keep_awake
with keep_awake("train", every="1s", ttl="20m"):
    print("kept", flush=True)
    time.sleep(600)
"""


def test_a_lease_is_renewed_while_work_goes_on_and_not_when_it_stalls(cloud: Cloud) -> None:
    now, passed = datetime.now(UTC).replace(microsecond=0), [0.0]
    lease = Lease("BRK-stalls", "train", "process 1", now)
    awake = Awake(
        lambda: f"stalls-{os.getpid()}",
        lease,
        timedelta(minutes=20),
        timedelta(minutes=30),
        lambda: now + timedelta(seconds=passed[0]),
        lambda: passed[0],
    )
    assert awake.renew()
    assert awake.lease.until == now + timedelta(minutes=20)
    passed[0] = 29 * 60
    assert awake.renew()
    awake.progress()
    passed[0] = 59 * 60
    assert awake.renew()
    passed[0] = 60 * 60
    assert not awake.renew(), "no progress for 31 minutes"
    [kept] = read_leases(f"stalls-{os.getpid()}")
    assert kept.until == now + timedelta(minutes=79), "and so it ends 20 minutes after the last"


def test_a_block_that_ends_well_gives_the_lease_back_or_puts_the_machine_to_rest(
    cloud: Cloud,
) -> None:
    sandbox = cloud(fleet=0, seed=8511)
    sandbox.seed_instance("train", gpu_model="L40")
    account = account_of(sandbox)
    with keep_awake("train", credentials=account):
        [kept] = read_leases(account.account)
        assert f" in process {os.getpid()} on " in kept.owner
        assert kept.person == owner_named(None)
    assert read_leases(account.account) == []
    lease_instance(account, "train", for_="1h", owner="ann")
    with keep_awake("train", hibernate_when_done=True, credentials=account):
        pass
    end_expired(credentials=account)
    assert states(sandbox) == {"train": "ACTIVE"}, "ann has leased it"
    with (
        pytest.raises(RuntimeError, match="the training failed"),
        keep_awake("train", credentials=account),
    ):
        raise RuntimeError("the training failed")
    now = datetime.now(UTC)
    running = [one.owner for one in read_leases(account.account) if one.runs(now)]
    assert len(running) == 2, "there is time to look at what failed"


def test_the_callbacks_of_the_example_keep_a_machine_while_a_training_runs(cloud: Cloud) -> None:
    sandbox = cloud(fleet=0, seed=8513)
    sandbox.seed_instance("train", gpu_model="L40")
    account = account_of(sandbox)
    good = LightningKeepAwake("train", credentials=account)
    good.on_fit_start(None, None)
    good.on_train_batch_end(None, None, None, 1)
    assert len(read_leases(account.account)) == 1
    good.on_fit_end(None, None)
    assert read_leases(account.account) == []
    bad = LightningKeepAwake("train", credentials=account)
    bad.on_fit_start(None, None)
    bad.on_exception(None, None, RuntimeError("out of memory"))
    assert len(read_leases(account.account)) == 1, "there is time to look"
    other = HuggingFaceKeepAwake("train", credentials=account)
    other.on_train_begin(None, None, None)
    other.on_step_end(None, None, None)
    other.on_train_end(None, None, None)
    assert len(read_leases(account.account)) == 1


@pytest.mark.slow
def test_when_the_program_is_killed_its_lease_is_renewed_no_more(
    cloud: Cloud,
) -> None:
    sandbox = cloud(fleet=0, seed=8512)
    sandbox.seed_instance("train", gpu_model="L40")
    account = account_of(sandbox)
    env = {**os.environ, **sandbox.env}
    with subprocess.Popen(
        [sys.executable, "-c", CHILD], env=env, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline().strip() == "kept"
        [first] = read_leases(account.account)
        while (renewed := read_leases(account.account)[0]).until == first.until:
            time.sleep(0.2)
        child.kill()
    assert renewed.until > first.until
    for minutes in (30, 20):
        sandbox.advance(60 * minutes)
        end_expired(credentials=account)
    sandbox.advance(600)
    assert states(sandbox) == {"train": "HIBERNATED"}


def test_work_that_ended_well_does_not_fail_because_its_lease_cannot_be_given_back(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox = cloud(fleet=0, seed=8514)
    sandbox.seed_instance("train", gpu_model="L40")
    account = account_of(sandbox)

    def away(*_: object) -> None:
        raise ConnectionError("the server is away")

    monkeypatch.setattr("barrack_tasks.controllers.awake.drop_lease", away)
    with keep_awake("train", credentials=account):
        pass
    assert len(read_leases(account.account)) == 1


def test_who_extends_a_machine_that_a_program_keeps_awake_keeps_it_after_the_program(
    cloud: Cloud,
) -> None:
    sandbox = cloud(fleet=0, seed=8515)
    sandbox.seed_instance("train", gpu_model="L40")
    account = account_of(sandbox)
    for is_released in (False, True):
        with keep_awake("train", hibernate_when_done=is_released, credentials=account):
            asked = extend_lease(account, "train", for_="8h")  # what the warning says
        running = [one for one in read_leases(account.account) if one.runs(sandbox.now())]
        assert [one.owner for one in running] == [owner_named(None)]
        assert running[0].until == asked.until


def test_a_program_goes_on_keeping_its_machine_once_its_account_is_called_otherwise(
    cloud: Cloud,
) -> None:
    sandbox, name = cloud(fleet=0, seed=8516), f"named-{uuid.uuid4().hex[:6]}"
    sandbox.seed_instance("train", gpu_model="L40")
    account = account_of(sandbox)
    with keep_awake("train", credentials=account) as awake:
        before = account.account
        # Somebody saves the block of the key, and a run takes along what was kept until then.
        account_of(sandbox).save(name, _sync=True)  # type: ignore[call-arg]
        end_expired(credentials=name)
        after = account.account
        assert after != before
        assert awake.renew()
        assert [one.key for one in read_leases(after)] == [awake.lease.key]
        assert read_leases(before) == []
    assert read_leases(after) == [], "and gives it back under the new name"
