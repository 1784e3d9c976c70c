"""Write docs/messages.md: a message of each kind, as a mail server and webhooks received it.

It starts a Prefect server, a sandbox and the receivers in a fresh home, and ends all of it again.

Use: python -m docs.generate.messages
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

PAGE = ROOT / "docs" / "messages.md"
START = """# The messages that people receive

`python -m docs.generate.messages` writes this page: it runs flows on a local Barrack, and keeps
what a webhook, a chat and a mail server received. [Who is told](money.md#who-is-told) says how
messages are made up. Ids and addresses differ from run to run.
"""
FLEET = ("train-1", "train-2", "notebook")


class Receivers:
    """A webhook that Apprise speaks to, a chat like Slack, and a mailbox."""

    def __init__(self, hook: Any, chat: Any, mails: Any) -> None:
        self.hook, self.chat, self.mails = hook, chat, mails

    def clear(self) -> None:
        """Forget what was received so far."""
        for one in (self.hook, self.chat):
            one.received.clear()
        self.mails.parts.clear()


@contextmanager
def receivers() -> Iterator[Receivers]:
    """All of them, each with a saved block of its name: hook, team-slack and mail."""
    from apprise.plugins.slack import NotifySlack
    from pydantic import SecretStr

    from barrack_tasks import AppriseUrl
    from tests.flows.receivers import webhook
    from tests.flows.test_messages import mail_server

    with webhook() as hook, webhook() as chat, mail_server() as (mails, mail_url):
        NotifySlack.webhook_url = chat.url  # Slack's own address is written into Apprise
        urls = {
            "hook": hook.url.replace("http", "json"),
            "team-slack": f"slack://T{'1' * 8}/B{'1' * 8}/{'a' * 24}",
            "mail": mail_url,
        }
        for name, url in urls.items():
            AppriseUrl(url=SecretStr(url)).save(name, overwrite=True, _sync=True)  # type: ignore[call-arg]
        yield Receivers(hook, chat, mails)


def messages(found: Receivers) -> Iterator[tuple[str, str]]:
    """A title for each kind of message, and what was received of it, as markdown."""
    from barrack_tasks import BarrackCredentials
    from barrack_tasks.api.models import VMStatus
    from barrack_tasks.controllers.leases import lease_instance
    from barrack_tasks.controllers.reports import WorkFailed
    from barrack_tasks.flows import (
        end_expired,
        enforce_budget,
        hibernate,
        reap_forgotten,
        report_costs,
        verify_snapshots,
        watch_balance,
        watch_gpu_stock,
    )
    from barrack_tasks.runtime import health
    from barrack_tasks.runtime.state_hooks import tell_state
    from barrack_tasks.sandbox import Sandbox
    from tests.flows.test_verify_snapshots import BAD, snapshot

    told = ["hook"]
    with Sandbox(fleet=FLEET, history="30d", balance=300, speed=120) as sandbox:
        account = BarrackCredentials(api_key=sandbox.api_key, base_url=sandbox.url)
        account.save("team-a", overwrite=True, _sync=True)
        ids = {one["name"]: one["id"] for one in sandbox.state()["instances"]}

        def received(act: Callable[[], object], *, by_schedule: bool = False) -> str:
            found.clear()
            if by_schedule:
                os.environ["PREFECT__RUNTIME__DEPLOYMENT__ID"] = str(uuid.uuid4())
            try:
                with suppress(WorkFailed, ZeroDivisionError):
                    act()
            finally:
                os.environ.pop("PREFECT__RUNTIME__DEPLOYMENT__ID", None)
            return "\n\n".join(map(as_text, found.hook.received))

        lines = [{"runway": "500h"}, {"runway": "400h"}]
        yield (
            "The balance falls below two lines",
            received(lambda: watch_balance(lines, notify=told, credentials=account)),
        )
        sandbox.add_credit(100_000)
        yield (
            "It is above them again",
            received(lambda: watch_balance(lines, notify=told, credentials=account)),
        )
        budget = [{"per": "month", "soft": 1, "hard": 100_000}]
        yield (
            "Spending is above a soft limit",
            received(lambda: enforce_budget(budget, notify=told, credentials=account)),
        )
        wants = [{"gpu_model": "L40"}]
        yield (
            "GPU stock, at the first look",
            received(lambda: watch_gpu_stock(wants, notify=told, credentials=account)),
        )
        lease_instance(account, "train-1", for_="8h", owner="ann")
        yield (
            "A lease ends soon",
            received(lambda: end_expired(warning="9h", notify=told, credentials=account)),
        )
        rules = [{"select": {"states": ["ACTIVE"]}, "longer_than": "1m", "then": "hibernate"}]
        yield (
            "A machine that nobody needs",
            received(
                lambda: reap_forgotten(rules, notify=told, dry_run=False, credentials=account)
            ),
        )
        for name in ("train-1", "train-2"):
            snapshot(sandbox, account, name, ids[name])
        drill: dict[str, Any] = {"probe": {"command": BAD, "within": "0.2s"}, "select": ["*"]}
        yield (
            "A drill fails, and what it was to prove has no proof",
            received(lambda: verify_snapshots(**drill, notify=told, credentials=account)),
        )
        sandbox.set_instance_status(ids["train-2"], VMStatus.ERROR)
        blind = health.Blind(
            uuid.uuid4().hex,
            "watch_balance/watch-balance has completed no run for 45 min, and watches nothing "
            "meanwhile: run blue-heron ended Failed: the API key was refused",
            (),
        )
        kept, health.blind_guards = health.blind_guards, lambda *_, **__: [blind]  # type: ignore[assignment]
        yield (
            "A scheduled run fails, a list of it names what is gone, and a guard is blind",
            received(
                lambda: hibernate(
                    select=["train-2"], protect=["train-9"], notify=told, credentials=account
                ),
                by_schedule=True,
            ),
        )
        health.blind_guards = kept
        hooked = hibernate.with_options(on_failure=[tell_state("hook")])
        yield (
            "A state hook of your own program",
            received(lambda: hooked(select=["train-2"], credentials=account)),
        )
        found.clear()
        everybody = ["hook", "team-slack", "mail"]
        report = report_costs(days=21, notify=everybody, credentials=account)
        yield ("What was spent, at a webhook", as_text(found.hook.received[0]))
        sent = json.dumps(found.chat.received[0], indent=2, ensure_ascii=False)
        yield ("The same in a chat: the payload for Slack", f"```text\n{sent}\n```")
        mail = found.mails.parts[0]
        picture = f"{len(mail['image/svg+xml'])} characters of SVG are attached as `chart.svg`."
        yield (
            "The same as a mail",
            f"Subject: `{mail['subject']}`\n\n```text\n{mail['text/plain'].strip()}\n```\n\n"
            f"```text\n{mail['text/html'].strip()}\n```\n\n{picture}",
        )
        shown = "\n".join(str(report).splitlines()[:24])
        yield ("The same in a terminal, its first lines", f"```text\n{shown}\n```")


def as_text(message: dict[str, Any]) -> str:
    """A message as it came, with its severity in Apprise's words."""
    return f"`{message['type']}`\n\n```text\n{message['title']}\n\n{message['message']}\n```"


def main() -> None:
    """Write the page."""
    with tempfile.TemporaryDirectory() as home:
        os.environ |= {"HOME": home, "XDG_STATE_HOME": f"{home}/state"}
        os.environ["PREFECT_HOME"] = f"{home}/prefect"
        os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "180")
        os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
        from prefect.testing.utilities import prefect_test_harness

        with prefect_test_harness(server_startup_timeout=180), receivers() as found:
            parts = [f"## {title}\n\n{text}\n" for title, text in messages(found) if text]
        text = "\n".join([START, *parts])
        text = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:4200", text)
        PAGE.write_text(text, encoding="utf-8")
        print(f"wrote {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
