"""A timetable does not put to rest what somebody has leased, or what still works."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from barrack_tasks import BarrackCredentials, lease_instance, release_lease
from barrack_tasks.controllers.leases import change_leases
from barrack_tasks.plans.forgotten.leases import Lease
from barrack_tasks.plans.steps import Reason
from barrack_tasks.sandbox import Sandbox
from flows.end_expired import end_expired
from flows.follow_schedule import follow_schedule
from tests.flows.conftest import account_of, states
from tests.flows.test_follow_schedule import long_ago, reasons, rule

Cloud = Callable[..., Sandbox]


def follow(account: BarrackCredentials, **more: Any) -> Any:
    return follow_schedule(rules=rule(), credentials=account, **more)


def test_what_somebody_has_leased_is_left_up_until_it_is_released(cloud: Cloud) -> None:
    sandbox = long_ago(cloud)
    for name in ("leased", "free"):
        sandbox.seed_instance(name, gpu_model="L40")
    account = account_of(sandbox)
    lease_instance(account, "leased", for_="4h", owner="ann")
    told = reasons(follow(account))
    assert told["leased"] == ("skipped", Reason.LEASED)
    assert states(sandbox) == {"leased": "ACTIVE", "free": "HIBERNATED"}
    release_lease(account, "leased", owner="ann")
    follow(account)
    assert states(sandbox)["leased"] == "HIBERNATED"


@pytest.mark.slow
def test_strict_counts_against_people_too(cloud: Cloud) -> None:
    sandbox = long_ago(cloud)
    sandbox.seed_instance("leased", gpu_model="L40")
    account = account_of(sandbox)
    lease_instance(account, "leased", for_="4h", owner="ann")
    follow(account, strict=True)
    assert states(sandbox) == {"leased": "HIBERNATED"}


@pytest.mark.slow
def test_a_probe_that_is_down_puts_a_rest_off_and_only_until_the_limit(cloud: Cloud) -> None:
    sandbox = long_ago(cloud)
    sandbox.seed_instance("train", gpu_model="L40")
    account = account_of(sandbox)
    down = {"probes": [{"probe": "prometheus", "url": "http://127.0.0.1:1"}], "at_most": "6h"}
    report = follow(account, idleness=down)
    [row] = report.rows
    assert row.reason is Reason.WORKS
    assert "it is not known whether it is at work" in row.why
    assert states(sandbox) == {"train": "ACTIVE"}
    # The timetable wanted it at rest an hour ago.
    follow(account, idleness={**down, "at_most": "50m"})
    assert states(sandbox) == {"train": "HIBERNATED"}


def test_the_end_of_a_lease_is_put_off_while_nobody_knows_whether_it_works(cloud: Cloud) -> None:
    sandbox = cloud(fleet=0, seed=8611)
    id_ = sandbox.seed_instance("train", gpu_model="L40")
    account = account_of(sandbox)
    ended = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=2)
    lease = Lease(id_, "train", "ann", ended, warned=ended - timedelta(hours=1))
    change_leases(account.account, lambda _: [lease])
    down = {"probes": [{"probe": "prometheus", "url": "http://127.0.0.1:1"}], "at_most": "6h"}
    [row] = end_expired(idleness=down, credentials=account).rows
    assert "it is not known whether it is at work" in row.why
    end_expired(idleness={**down, "at_most": "1h"}, credentials=account)
    sandbox.advance(600)
    assert states(sandbox) == {"train": "HIBERNATED"}
