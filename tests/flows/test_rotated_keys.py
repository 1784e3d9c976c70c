"""A new key of the same account: leases, notices, owners and what was seen of machines stay."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from barrack_tasks import BarrackCredentials, keep_awake, lease_instance, set_owner
from barrack_tasks.controllers.leases import read_leases
from barrack_tasks.controllers.owners import read_owners
from barrack_tasks.sandbox import Sandbox
from flows.end_expired import end_expired
from flows.reap_forgotten import reap_forgotten
from tests.flows.conftest import QUICK, account_of, named, saved_hook, states
from tests.flows.receivers import Webhook
from tests.thinning import some_slow

Cloud = Callable[..., Sandbox]


def rotate(sandbox: Sandbox) -> None:
    """Be the person who makes a new key on the dashboard; the old one does not work any more."""
    app: Any = sandbox._server.config.app  # type: ignore[union-attr]
    sandbox.api_key = f"key-{uuid.uuid4().hex}"
    app._auth_value = f"{sandbox.dialect.auth.scheme} {sandbox.api_key}".strip()
    app._api_key = sandbox.api_key


@pytest.mark.parametrize("way", some_slow(["two blocks"], ["block", "environment"]))
def test_what_is_known_of_machines_outlives_a_new_key(
    way: str, cloud: Cloud, hook: tuple[Webhook, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    start = datetime.now(UTC) - timedelta(days=1)
    sandbox = cloud(fleet=0, seed=8441, start=start, speed=0)
    for name in ("scratch-1", "mine", "training"):
        sandbox.seed_instance(name, gpu_model="L40")
    blocks, (receiver, channel) = [named(), named()], hook

    def give_key() -> list[str | None]:
        """What runs are given from now on as credentials, one after the other."""
        if way == "environment":
            for variable, value in sandbox.env.items():
                monkeypatch.setenv(variable, value)
            monkeypatch.setenv("BARRACK_ACCOUNT", blocks[0])
            return [None, None]
        for name in blocks if way == "two blocks" else blocks[:1]:
            account_of(sandbox).save(name, overwrite=True, _sync=True)  # type: ignore[call-arg]
        return [blocks[0], blocks[1] if way == "two blocks" else blocks[0]]

    rules = [{"select": ["scratch-*"], "longer_than": "8h", "then": "hibernate"}]
    first, second = give_key()
    with saved_hook() as (anns, own):
        end_expired(credentials=first)
        account = BarrackCredentials.find(second)
        set_owner(account, "mine", owner="ann", team="vision", tell=own)
        lease_instance(account, "mine", for_="10h", owner="ann")
        sandbox.advance(9 * 3600)
        how: dict[str, Any] = {"rules": rules, "notify": [channel], "dry_run": False}
        reap_forgotten(**how, credentials=first)
        assert len(receiver.received) == 1
        with keep_awake("training", credentials=first) as awake:
            before = account.account
            rotate(sandbox)
            # This program still has the old key, which the cloud refuses.
            assert awake.renew()
            first, second = give_key()
            account = BarrackCredentials.find(second)
            end_expired(credentials=first)
            assert account.account == before
            kept = {(one.name, one.person) for one in read_leases(before)}
            assert {("mine", "ann"), ("training", awake.lease.person)} <= kept
            assert [one.team for one in read_owners(before)] == ["vision"]
            sandbox.advance(1800)
            reap_forgotten(**how, credentials=second)
            assert len(receiver.received) == 1, "people were told before"
            assert awake.renew()
        assert {one.name for one in read_leases(before)} == {"mine"}
        sandbox.advance(1900)
        sandbox.set_speed(QUICK)
        reap_forgotten(**how, credentials=first)
        sandbox.set_speed(0)
        assert states(sandbox)["scratch-1"] == "HIBERNATED", "the grace went on"
        end_expired(credentials=second)
        assert ["mine" in str(message) for message in anns.received] == [True]
        sandbox.advance(1000)
        end_expired(credentials=first)
        sandbox.advance(600)
    assert states(sandbox) == {
        "scratch-1": "HIBERNATED",
        "mine": "HIBERNATED",
        "training": "ACTIVE",
    }
