"""The URL of a notifier carries a token or a password, which is a secret as well."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prefect import flow
from prefect.blocks.notifications import CustomWebhookNotificationBlock, SlackWebhook
from prefect.client.orchestration import get_client
from pydantic import SecretStr

from barrack_tasks import BarrackCredentials
from barrack_tasks.api import BarrackConfigurationError
from barrack_tasks.runtime.notify import AppriseUrl, find_notifiers, tell
from barrack_tasks.sandbox import Sandbox
from flows.hibernate import hibernate
from tests.conftest import free_port
from tests.flows.receivers import mailbox, webhook
from tests.security.places import files_with, frames_with, holds, settled, told_by_server


def token() -> str:
    return f"tok{uuid.uuid4().hex}"


def save(block: Any) -> str:
    name = f"n-{uuid.uuid4().hex[:8]}"
    block.save(name, _sync=True)
    return name


def custom(address: str, secret: str) -> Any:
    """Prefect tells the URL of such a block in clear, and so a token goes into its `secrets`."""
    return CustomWebhookNotificationBlock(
        name="hook",
        url=f"{address}/{{{{token}}}}",
        json_data={"text": "{{body}}"},
        secrets={"token": secret},
    )


BLOCKS: dict[str, Callable[[str, int], Any]] = {
    "a webhook that refuses": lambda secret, port: custom(f"http://127.0.0.1:{port}", secret),
    "a webhook that is not there": lambda secret, _: custom(
        f"http://127.0.0.1:{free_port()}", secret
    ),
    "a service of Apprise that refuses": lambda secret, port: AppriseUrl(
        url=SecretStr(f"json://user:{secret}@127.0.0.1:{port}/{secret}")
    ),
    "a mail server that is not there": lambda secret, _: AppriseUrl(
        url=SecretStr(
            f"mailto://user:{secret}@127.0.0.1:{free_port()}?from=a@example.com&to=b@example.com"
        )
    ),
}


@pytest.mark.parametrize("kind", BLOCKS)
def test_one_that_cannot_be_told_is_named_and_its_token_is_not(
    kind: str, prefect_server: str, prefect_home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    secret = token()
    caplog.set_level(logging.DEBUG)
    for logger in ("httpx", "httpcore", "urllib3", "apprise"):
        caplog.set_level(logging.DEBUG, logger=logger)
    with webhook() as kept:
        kept.status = 500
        name = save(BLOCKS[kind](secret, int(kept.url.split(":")[2].split("/")[0])))

        @flow
        def work() -> dict[str, str]:
            notifiers = find_notifiers([name])
            return tell(notifiers, [name], "a subject", "a body")

        failed = work()
    assert list(failed) == [name]
    settled(prefect_server)
    kinds = ("logs", "events", "flow_runs")
    told = [kind for kind in kinds if holds(told_by_server(prefect_server, kind), secret)]
    assert (told, holds(caplog.text, secret), holds(str(failed), secret)) == ([], False, False)
    assert files_with(secret, prefect_home) == []


def test_what_goes_over_the_wire_is_logged_again_afterwards(prefect_server: str) -> None:
    def now() -> list[tuple[bool, int]]:
        found = [logging.getLogger(name) for name in ("httpx", "httpcore", "apprise")]
        return [(logger.disabled, logger.level) for logger in found]

    before = now()
    name = save(custom(f"http://127.0.0.1:{free_port()}", "x"))
    tell(find_notifiers([name]), [name], "a", "b")
    assert now() == before


def test_a_block_that_cannot_be_loaded_shows_nothing_of_itself(prefect_server: str) -> None:
    secret = token()
    name = save(SlackWebhook(url=SecretStr("https://hooks.slack.com/services/T/B/x")))
    with get_client(sync_client=True) as client:
        found: Any = client.read_block_document_by_name(name, "slack-webhook")
        path: Any = f"/block_documents/{found.id}"
        data = {"url": {"value": secret}, "notify_type": [secret]}
        client.request("PATCH", path, json={"data": data, "merge_existing_data": False})
    with pytest.raises(BarrackConfigurationError, match="cannot be loaded") as caught:
        find_notifiers([name])
    SlackWebhook.delete(name, _sync=True)  # type: ignore[call-arg]
    assert not holds(str(caught.value), secret)
    assert caught.value.__context__ is None
    assert frames_with(caught.value, secret) == []


@pytest.mark.parametrize("shape", ["url", "in a text", "as a whole", "no text"])
def test_a_url_in_place_of_a_name_is_not_stored_and_not_repeated(
    shape: str, prefect_server: str, cloud: Callable[..., Sandbox]
) -> None:
    secret = token()
    url = f"https://hooks.example.com/{secret}"
    shapes: dict[str, Any] = {
        "url": [url],
        "in a text": [f"team {url}"],
        "as a whole": url,
        "no text": [{"url": url}],
    }
    notify = shapes[shape]
    sandbox = cloud()
    account = BarrackCredentials(api_key=sandbox.api_key, base_url=sandbox.url)
    with pytest.raises(BarrackConfigurationError, match="notify: number 1 is no name") as caught:
        hibernate(select=["a"], notify=notify, credentials=account)
    assert not holds(str(caught.value), secret)
    assert not holds(told_by_server(prefect_server, "flow_runs"), secret)


def test_a_mail_is_sent_as_before(prefect_server: str) -> None:
    with mailbox() as (kept, port):
        url = f"mailto://127.0.0.1:{port}?from=a@example.com&to=b@example.com&mode=insecure"
        name = save(AppriseUrl(url=SecretStr(url)))
        assert tell(find_notifiers([name]), [name], "a subject", "a body") == {}
        assert [subject for subject, _ in kept.received] == ["a subject"]
