"""Flows run for real: against a Prefect server and a sandbox, both over HTTP."""

from __future__ import annotations

import inspect
import os
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext, SettingsContext, get_settings_context
from prefect.exceptions import PrefectHTTPStatusError
from prefect.settings import PREFECT_LOGGING_TO_API_ENABLED

from barrack_tasks import BarrackCredentials
from barrack_tasks.api.dialect import Dialect, load_dialect
from barrack_tasks.api.transport.caller import RetryPolicy
from barrack_tasks.api.transport.exchange import Exchange
from barrack_tasks.runtime.notify import AppriseUrl
from barrack_tasks.sandbox import Sandbox
from barrack_tasks.server.events import account_resource
from tests.flows.killing import demand_permits
from tests.flows.receivers import Mailbox, Webhook, mailbox, webhook

QUICK = 120
"""Sandbox seconds per real second: a snapshot takes about one real second."""
DIALECTS = Path(__file__).resolve().parents[2] / "docs" / "dialects"
DIALECT = os.environ.get("BARRACK_TEST_DIALECT", "built-in")
"""The dialect that all flow tests speak; `make test-dialects` runs them in each."""


def dialect_file(name: str) -> str | None:
    """The file of one of the dialects that ship as examples; None for the built-in one."""
    return None if name == "built-in" else str(DIALECTS / f"{name}.yaml")


def spoken(name: str = DIALECT) -> Dialect | None:
    """The dialect that a sandbox is to speak."""
    file = dialect_file(name)
    return load_dialect(file) if file else None


@pytest.fixture
def cloud(prefect_server: str) -> Iterator[Callable[..., Sandbox]]:
    """Starts sandboxes that end with the test."""
    running: list[Sandbox] = []

    def start(**how: Any) -> Sandbox:
        # A port may be given out again, and what is remembered belongs to address and key.
        own = {"api_key": f"key-{uuid.uuid4().hex[:8]}", "dialect": spoken()}
        sandbox = Sandbox(**{"speed": QUICK, "balance": "5000", "fleet": 3, **own, **how})
        sandbox.start()
        running.append(sandbox)
        return sandbox

    yield start
    for sandbox in running:
        sandbox.stop()


def account_of(sandbox: Sandbox, url: str | None = None, **more: Any) -> BarrackCredentials:
    """Credentials of a sandbox, which is reached at its own address or at another."""
    file = dialect_file(sandbox.dialect.name)
    return BarrackCredentials(
        api_key=sandbox.api_key, base_url=url or sandbox.url, **{"dialect": file, **more}
    )


def effects(sandbox: Sandbox, operation: str) -> list[dict[str, Any]]:
    """What the cloud's ledger says an operation did."""
    return [entry for entry in sandbox.ledger() if entry["operation"] == operation]


@pytest.fixture(autouse=True)
def _dialect_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    file = dialect_file(DIALECT)
    if file:
        monkeypatch.setenv("BARRACK_DIALECT", file)


def _in_a_flow_of_ours() -> bool:
    run = FlowRunContext.get()
    return run is not None and run.flow is not None and run.flow.fn.__module__.startswith("flows.")


@pytest.fixture(autouse=True)
def _what_other_tests_left_is_not_told(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All tests share one server, and leave ends and guards there that nobody runs any more."""
    monkeypatch.setattr("barrack_tasks.controllers.reports.told_of_left_ends", lambda *_, **__: [])
    if not request.module.__name__.endswith("test_blind_guards"):
        monkeypatch.setattr("barrack_tasks.runtime.health.blind_guards", lambda *_, **__: [])


@pytest.fixture(autouse=True)
def _log_lines_stay_here(request: pytest.FixtureRequest) -> Iterator[None]:
    """Log lines are sent to the server only where a test looks through all that the server keeps.

    To send them costs as much as a fifth of a run; that they arrive is tested in `tests/cli`.
    """
    context = get_settings_context()
    looks = "prefect_home" in inspect.signature(request.function).parameters
    if looks == context.settings.logging.to_api.enabled:
        yield
        return
    # Prefect takes as long to make settings as a small flow takes to run.
    was, settings = _QUIET.get(looks, (None, None))
    if was is not context.settings:
        settings = context.settings.copy_with_update({PREFECT_LOGGING_TO_API_ENABLED: looks})
        _QUIET[looks] = (context.settings, settings)
    with SettingsContext(profile=context.profile, settings=settings):
        yield


_QUIET: dict[bool, tuple[Any, Any]] = {}
"""What settings were made of, and these, by whether log lines are sent."""


@pytest.fixture(autouse=True)
def _flows_ask_the_lease(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever a flow changes, it changes under its lease; what a test does itself it may do."""
    monkeypatch.setattr(Exchange, "_send", Exchange._send)  # as it is again after the test
    unasked = demand_permits(_in_a_flow_of_ours)
    yield
    assert not unasked, f"a flow sends without asking the lease: {', '.join(unasked)}"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients made in this test soon give up what cannot be read."""
    monkeypatch.setattr(
        "barrack_tasks.api.client.RetryPolicy", lambda: RetryPolicy(attempts=2, first_wait=0.05)
    )


def named() -> str:
    """A name for a block that no other test uses."""
    return f"n-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def hook(prefect_server: str) -> Iterator[tuple[Webhook, str]]:
    """A webhook and the name of the saved block that sends to it."""
    with saved_hook() as found:
        yield found


@contextmanager
def saved_hook() -> Iterator[tuple[Webhook, str]]:
    """A webhook and the name of the saved block that sends to it, besides the fixture's."""
    name = named()
    with webhook() as kept:
        CustomWebhookNotificationBlock(
            name="hook", url=kept.url, json_data={"subject": "{{subject}}", "body": "{{body}}"}
        ).save(name, _sync=True)  # type: ignore[call-arg]
        yield kept, name


@pytest.fixture
def mail(prefect_server: str) -> Iterator[tuple[Mailbox, str]]:
    """A mailbox and the name of the saved block that sends to it."""
    name = named()
    with mailbox() as (kept, port):
        AppriseUrl(
            url=f"mailto://127.0.0.1:{port}?from=guard@example.com&to=team@example.com&mode=insecure"
        ).save(name, _sync=True)  # type: ignore[call-arg]
        yield kept, name


def fleet(cloud: Callable[..., Sandbox], balance: str, *names: str, **how: Any) -> Sandbox:
    """Instances at 1.19 USD an hour each, and a clock that stands between two ticks."""
    sandbox = cloud(fleet=0, balance=balance, **{"speed": 0, **how})
    for name in names:
        sandbox.seed_instance(name, gpu_model="L40", gpu_count=1)
    return sandbox


def states(sandbox: Sandbox) -> dict[str, str]:
    """The state of each instance by its name, as the cloud itself knows it."""
    return {i["name"]: i["status"] for i in sandbox.state()["instances"]}


def events_about(
    resource: str, event: str = "barrack.", count: int = 1, account: str = ""
) -> list[dict[str, Any]]:
    """What the Prefect server was told of a resource, the oldest first; waits for so many.

    Two sandboxes may give the same id; an account tells their events apart.
    """
    found: list[dict[str, Any]] = []
    wanted: dict[str, Any] = {
        "filter": {"event": {"prefix": [event]}, "resource": {"id": [resource]}},
        "limit": 50,
    }
    if account:
        wanted["filter"]["related"] = {"id": [account_resource(account)]}
    with get_client(sync_client=True) as client:
        for _ in range(100):
            found = client.request("POST", "/events/filter", json=wanted).json()["events"]
            if len(found) >= count:
                break
            time.sleep(0.2)
    return sorted(found, key=lambda e: str(e["occurred"]))


def answer(flow: str, says_yes: bool, asked: list[str]) -> None:
    """Be the person whom a run of a flow asks; notes the run that asked."""
    wanted = {
        "flow_runs": {"state": {"name": {"any_": ["Paused"]}}},
        "flows": {"name": {"any_": [flow]}},
    }
    answered = {"run_input": {"approve": says_yes, "by": "somebody"}}
    with get_client(sync_client=True) as client:
        for _ in range(200):
            for run in client.request("POST", "/flow_runs/filter", json=wanted).json():
                path: Any = f"/flow_runs/{run['id']}/resume"
                try:
                    got = client.request("POST", path, json=answered).json()
                except PrefectHTTPStatusError:
                    continue
                # A run is paused a moment before its form is there, and answers are refused.
                if got["status"] == "ACCEPT":
                    asked.append(run["id"])
                    return
            time.sleep(0.1)


def rename(sandbox: Sandbox, old: str, new: str) -> None:
    """Be the person who gives an instance another name on the dashboard."""
    world = sandbox._server.config.app.world  # type: ignore[union-attr]
    [machine] = [m for m in world.machines.all() if m.name == old]
    machine.name = new
