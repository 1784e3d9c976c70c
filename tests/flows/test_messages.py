"""What people receive: one message a run, in a mailbox, at a webhook and in a chat."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email import message_from_bytes
from email.header import decode_header, make_header
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from pydantic import SecretStr

from barrack_tasks.controllers.reports import WorkFailed
from barrack_tasks.runtime.health import Blind
from barrack_tasks.runtime.notify import AppriseUrl, find_notifiers, tell
from barrack_tasks.sandbox import Sandbox
from flows.hibernate import hibernate
from flows.report_costs import report_costs
from flows.verify_snapshots import verify_snapshots
from flows.watch_balance import watch_balance
from flows.watch_gpu_stock import watch_gpu_stock
from tests.conftest import free_port
from tests.flows.conftest import account_of, fleet
from tests.flows.receivers import Mailbox, Webhook, webhook
from tests.flows.test_verify_snapshots import BAD, with_snapshots

Cloud = Callable[..., Sandbox]


@contextmanager
def saved(block: Any) -> Iterator[str]:
    name = f"m-{uuid.uuid4().hex[:8]}"
    block.save(name, _sync=True)
    yield name


@pytest.fixture
def chat(prefect_server: str) -> Iterator[tuple[Webhook, str]]:
    """What Apprise sends to a webhook of its own kind, with the severity in it."""
    with webhook() as kept:
        url = kept.url.replace("http://", "json://")
        with saved(AppriseUrl(url=SecretStr(url))) as name:
            yield kept, name


@pytest.fixture
def slack(prefect_server: str) -> Iterator[tuple[Webhook, str]]:
    """A webhook that takes one text, as Slack and those like it do."""
    with (
        webhook() as kept,
        saved(
            CustomWebhookNotificationBlock(
                name="chat", url=kept.url, json_data={"text": "{{body}}"}
            )
        ) as name,
    ):
        yield kept, name


def test_a_first_look_at_the_stock_is_one_message(
    cloud: Cloud, chat: tuple[Webhook, str], tmp_path: Any
) -> None:
    kept, name = chat
    sandbox = cloud(fleet=0)
    account = account_of(sandbox)
    watch_gpu_stock([{"gpu_model": "*"}], notify=[name], history=tmp_path, credentials=account)
    [message] = kept.received
    assert message["type"] == "info"
    lines = message["message"].splitlines()
    *news, whose, run = lines
    assert message["title"] == f"Barrack: {len(news)} updates"
    assert len(news) > 9
    assert all(line.startswith("in stock: 1x ") for line in news)
    assert whose == f"Account: {account.account}"
    assert run.startswith("Run: http")


def test_alerts_of_one_run_are_one_message_that_repeats_nothing(
    cloud: Cloud, chat: tuple[Webhook, str]
) -> None:
    kept, name = chat
    sandbox = fleet(cloud, "20", "alpha", "beta")
    account = account_of(sandbox)
    lines = [{"runway": "72h"}, {"runway": "48h"}, {"amount": "50"}]
    watch_balance(thresholds=lines, notify=[name], credentials=account)
    [message] = kept.received
    assert message["type"] == "warning"
    assert message["title"] == "Barrack balance: 3 alerts"
    told = message["message"].splitlines()
    assert len(told) == len(set(told))
    assert sum("below the line of" in line for line in told) == 3
    assert not any(message["title"] in line for line in told)
    watch_balance(thresholds=lines[:1], notify=[name], credentials=account)
    [one] = kept.received[1:]
    assert "below the line of 72 h" in one["title"]
    assert "below the line of" not in one["message"], "the body does not repeat the title"


def test_a_failure_has_its_severity_its_account_and_the_run(
    cloud: Cloud, chat: tuple[Webhook, str]
) -> None:
    kept, name = chat
    sandbox = fleet(cloud, "500", "alpha")
    sandbox.set_instance_status(sandbox.state()["instances"][0]["id"], "ERROR")
    account = account_of(sandbox)
    with pytest.raises(WorkFailed):
        hibernate(select=["alpha"], notify=[name], credentials=account)
    [message] = kept.received
    assert (message["type"], message["title"]) == ("failure", "Barrack hibernate failed")
    what, whose, where = message["message"].splitlines()
    assert "alpha: it is in ERROR" in what, "a name is written as it is"
    assert whose == f"Account: {account.account}"
    assert where.startswith("Run: http")
    assert "/runs/flow-run/" in where


@pytest.mark.slow
def test_a_first_drill_that_fails_is_one_message(cloud: Cloud, chat: tuple[Webhook, str]) -> None:
    kept, name = chat
    _, account = with_snapshots(cloud, "alpha", "beta")
    probe = {"command": BAD, "within": "0.2s"}
    with pytest.raises(WorkFailed):
        verify_snapshots(["*"], at_most=2, probe=probe, notify=[name], credentials=account)
    [message] = kept.received
    assert message["type"] == "failure"
    assert message["title"] == "Barrack verify_snapshots failed (and 1 more message)"
    assert "Also: proof: " in message["message"]


def test_a_run_with_names_in_vain_and_a_failure_and_a_blind_guard_is_one_message(
    cloud: Cloud, chat: tuple[Webhook, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, name = chat
    sandbox = fleet(cloud, "500", "alpha")
    sandbox.set_instance_status(sandbox.state()["instances"][0]["id"], "ERROR")
    account = account_of(sandbox)
    blind = Blind(uuid.uuid4().hex, "watch_balance/x has completed no run", ())
    monkeypatch.setattr("barrack_tasks.runtime.health.blind_guards", lambda *_, **__: [blind])
    monkeypatch.setenv("PREFECT__RUNTIME__DEPLOYMENT__ID", str(uuid.uuid4()))
    with pytest.raises(WorkFailed):
        hibernate(select=["alpha"], protect=["gone"], notify=[name], credentials=account)
    [message] = kept.received
    assert (message["type"], message["title"]) == (
        "failure",
        "Barrack hibernate failed (and 2 more messages)",
    )
    assert "alpha: it is in ERROR" in message["message"]
    assert "Also: hibernate: names in its lists match nothing (1)" in message["message"]
    assert "Also: a guard is blind\nwatch_balance/x has completed no run." in message["message"]


def test_an_alarm_takes_a_blind_guard_along(
    cloud: Cloud, chat: tuple[Webhook, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, name = chat
    account = account_of(fleet(cloud, "20", "alpha", "beta"))
    blind = Blind(uuid.uuid4().hex, "watch_balance/x has completed no run", ())
    monkeypatch.setattr("barrack_tasks.runtime.health.blind_guards", lambda *_, **__: [blind])
    watch_balance(thresholds=[{"runway": "72h"}], notify=[name], credentials=account)
    [message] = kept.received
    assert message["title"] == "Barrack: a guard is blind (and 1 more message)"
    assert "Also: balance: " in message["message"]


@pytest.mark.slow
def test_what_a_single_look_brings_and_refuses_is_one_message(
    cloud: Cloud, chat: tuple[Webhook, str], tmp_path: Any
) -> None:
    kept, name = chat
    sandbox = cloud(fleet=0)
    account = account_of(sandbox)
    refusal = {"status": 403, "message": "You have reached the limit of 8 GPUs"}
    sandbox.fault("status", operation="create_instance", count=None, **refusal)
    want = {"gpu_model": "L40", "claim": {"name": "train", "image_id": "1"}}
    with pytest.raises(WorkFailed):
        watch_gpu_stock([want], notify=[name], history=tmp_path, credentials=account)
    [message] = kept.received
    assert (message["type"], message["title"]) == (
        "failure",
        "Barrack watch_gpu_stock failed (and 1 more message)",
    )
    assert "in stock: " in message["message"]
    assert "limit of 8 GPUs" in message["message"]
    assert "API key" not in message["message"]


def test_a_chat_that_shows_no_subject_gets_it_in_the_text(slack: tuple[Webhook, str]) -> None:
    kept, name = slack
    assert tell(find_notifiers([name]), [name], "a subject", "a body") == {}
    assert kept.received == [{"text": "a subject\na body"}]


class Letters(Mailbox):
    """Mails as they came: their parts by kind."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[dict[str, str]] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        mail = message_from_bytes(envelope.content)
        found = {"subject": str(make_header(decode_header(mail["Subject"])))}
        for part in mail.walk():
            content = part.get_payload(decode=True)
            if isinstance(content, bytes):
                found[part.get_content_type()] = content.decode(errors="replace")
        self.parts.append(found)
        return await super().handle_DATA(server, session, envelope)


@contextmanager
def mail_server() -> Iterator[tuple[Letters, str]]:
    """A mail server that keeps what it is sent, and the URL for Apprise."""
    kept = Letters()
    controller = Controller(kept, hostname="127.0.0.1", port=free_port())
    controller.start()
    address = f"127.0.0.1:{controller.port}"
    try:
        yield kept, f"mailto://{address}?from=a@example.com&to=b@example.com&mode=insecure"
    finally:
        controller.stop()


@contextmanager
def letters() -> Iterator[tuple[Letters, str]]:
    with mail_server() as (kept, url), saved(AppriseUrl(url=SecretStr(url))) as name:
        yield kept, name


def test_a_mail_has_text_and_html_and_names_are_no_markup(prefect_server: str) -> None:
    with letters() as (kept, name):
        body = "<b>alpha</b> costs 1.20 USD.\nbeta_1 costs 2.50 USD."
        failed = tell(
            find_notifiers([name]), [name], "Barrack: costs", body, severity="warning", account="x"
        )
    assert failed == {}
    [mail] = kept.parts
    assert mail["subject"] == "Barrack: costs"
    assert "<b>alpha" not in mail["text/html"]
    assert "&lt;b&gt;alpha&lt;/b&gt; costs 1.20 USD." in mail["text/html"]
    for sentence in ("beta_1 costs 2.50 USD.", "Account: x"):
        assert sentence in mail["text/html"]
        assert sentence in mail["text/plain"]


def test_what_was_spent_is_mailed_with_its_chart(cloud: Cloud) -> None:
    sandbox = fleet(cloud, "5000", "alpha", "beta")
    account = account_of(sandbox)
    sandbox.advance(10 * 3600)
    rules = [{"select": ["beta"], "timetable": "never"}]
    with letters() as (kept, name):
        report = report_costs(days=14, rules=rules, notify=[name], credentials=account)
    [mail] = kept.parts
    assert mail["subject"].startswith("Barrack: 23.80 USD spent from ")
    assert "<svg" in mail["image/svg+xml"]
    assert "beta ran 10 h outside its timetable, which cost 11.90 USD" in mail["text/plain"]
    assert "alpha ran" not in mail["text/plain"]
    assert (
        "The last 7 days cost 23.80 USD, 23.80 USD more than the 7 days before." in report.summary
    )
    assert 'src="data:image/svg+xml;base64,' in report._repr_html_()
    assert report.records()


@pytest.mark.parametrize(
    ("status", "why"), [(500, "it answered with the status 500"), (None, "it cannot be reached")]
)
@pytest.mark.parametrize("kind", ["apprise", "custom"])
def test_a_notifier_that_fails_says_why_and_not_where(
    prefect_server: str, status: int | None, why: str, kind: str
) -> None:
    with webhook() as kept:
        kept.status = status or 200
        url = kept.url if status else f"http://127.0.0.1:{free_port()}/secret"
        block: Any = (
            AppriseUrl(url=SecretStr(url.replace("http", "json")))
            if kind == "apprise"
            else CustomWebhookNotificationBlock(name="c", url=url, json_data={"t": "{{body}}"})
        )
        with saved(block) as name:
            failed = tell(find_notifiers([name]), [name], "a", "b")
    assert failed[name].startswith(why)
    assert "127.0.0.1" not in failed[name]
