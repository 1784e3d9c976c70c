"""Every flow that tells people, when several things happen at once: one message a run for each.

One machine is broken, two that are to rest are refused, the money runs out, a list names what is
gone, and a guard is blind. A webhook and a mail server receive what the run tells.

The one exception is what must be told before the act: whoever warns of a rest first, and then
finds that the rest fails, tells that as well.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from barrack_tasks import flows as given
from barrack_tasks import lease_instance
from barrack_tasks.controllers.reports import WorkFailed
from barrack_tasks.runtime.alerts import NobodyTold
from barrack_tasks.runtime.health import Blind
from barrack_tasks.runtime.notify import AppriseUrl
from barrack_tasks.sandbox import Sandbox
from tests.flows.conftest import account_of
from tests.flows.receivers import webhook
from tests.flows.test_messages import letters, saved
from tests.flows.test_verify_snapshots import snapshot

Cloud = Callable[..., Sandbox]
GONE = ["gone"]
CALLS: dict[str, dict[str, Any]] = {
    "end_expired": {"warning": "12h"},
    "enforce_budget": {
        "budgets": [{"per": "month", "soft": 1, "hard": 2}, {"per": "day", "soft": 1, "hard": 2}],
        "enforce_at_once": True,
        "protect": GONE,
    },
    "follow_schedule": {"rules": [{"select": ["*"], "timetable": "never"}], "protect": GONE},
    "hibernate": {"select": ["*"], "protect": GONE},
    "prune_snapshots": {"select": ["*"], "retention": {"last": 1}, "protect": GONE},
    "publish_image": {"source": "alpha", "family": "base"},
    "reap_forgotten": {
        "rules": [{"select": ["*"], "longer_than": "1m", "then": "hibernate"}],
        "grace": "1s",
        "protect": GONE,
        "dry_run": False,
    },
    "report_costs": {"days": 14},
    "restore": {"select": ["*"], "protect": GONE},
    "restore_from_snapshot": {"snapshot": ["latest:alpha", "latest:beta"]},
    "snapshot_before_stop": {"select": ["*"], "protect": GONE},
    "verify_snapshots": {"select": ["*"], "at_most": 2},
    "watch_balance": {
        "thresholds": [
            {"runway": "720h", "actions": ["alert", "hibernate"]},
            {"runway": "480h", "actions": ["alert", "hibernate"]},
        ],
        "select": ["*"],
        "protect": GONE,
    },
    "watch_gpu_stock": {
        "wants": [
            {"gpu_model": "L40", "claim": {"name": "one", "image_id": "1"}},
            {"gpu_model": "H100*"},
        ],
    },
}
WARNS_BEFORE_IT_ACTS = {"end_expired", "enforce_budget", "reap_forgotten", "watch_balance"}
REFUSED = (
    *("hibernate_instance", "create_snapshot", "delete_snapshot", "create_image"),
    *("restore_snapshot", "restore_instance", "create_instance"),
)


def test_every_flow_that_tells_people_is_here() -> None:
    every = {name for name in given.__all__ if "notify" in _parameters(name)}
    assert every == set(CALLS)


def _parameters(name: str) -> set[str]:
    return set(getattr(given, name).parameters.properties)


@pytest.mark.slow
@pytest.mark.parametrize("name", CALLS)
def test_a_run_in_which_much_happens_at_once_is_one_message(
    name: str, cloud: Cloud, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sandbox = cloud(fleet=0, balance="200")
    account = account_of(sandbox)
    ids = {one: sandbox.seed_instance(one, gpu_model="L40") for one in ("alpha", "beta", "gamma")}
    for one in ("alpha", "beta", "alpha"):
        snapshot(sandbox, account, one, ids[one])
    sandbox.advance(20 * 3600)
    sandbox.set_instance_status(ids["gamma"], "ERROR")
    if name == "end_expired":
        lease_instance(account, "alpha", for_="1h", owner="ann")
        lease_instance(account, "beta", for_="8h", owner="ben")
        sandbox.advance(2 * 3600)
    for operation in REFUSED:
        sandbox.fault("status", operation=operation, status=403, count=None)
    blind = Blind(uuid.uuid4().hex, "watch_balance/x has completed no run", ())
    monkeypatch.setattr("barrack_tasks.runtime.health.blind_guards", lambda *_, **__: [blind])
    monkeypatch.setenv("PREFECT__RUNTIME__DEPLOYMENT__ID", str(uuid.uuid4()))
    how = {**CALLS[name], "credentials": account}
    if name == "watch_gpu_stock":
        how["history"] = tmp_path
    with webhook() as chat, letters() as (mails, mail):
        url = SecretStr(chat.url.replace("http://", "json://"))
        with saved(AppriseUrl(url=url)) as hook:
            try:
                getattr(given, name)(**how, notify=[hook, mail])
            except (WorkFailed, NobodyTold) as error:
                failed: Exception | None = error
            else:
                failed = None
    told = [(one["title"], one["message"], one["type"]) for one in chat.received]
    assert [one["subject"] for one in mails.parts] == [title for title, _, _ in told]
    assert told, "at the least the guard that is blind"
    most = 2 if name in WARNS_BEFORE_IT_ACTS and failed else 1
    assert len(told) <= most, told
    assert sum("a guard is blind" in f"{title}\n{body}" for title, body, _ in told) == 1
    for title, body, severity in told:
        assert severity in ("info", "warning", "failure")
        assert "Account: " in body
        assert "Run: http" in body
        lines = [line for line in body.splitlines() if line]
        assert len(lines) == len(set(lines)), body
        assert title.removesuffix(".") not in {line.removesuffix(".") for line in lines}
        assert "-0.00" not in title + body
        assert not re.search(r"\b(Alpha|Beta|Gamma)\b", title + body)
    if isinstance(failed, WorkFailed):
        assert told[-1][2] == "failure"
        assert "injected fault" in told[-1][1] or "is in ERROR" in told[-1][1], (
            "what failed is told"
        )
