"""Notification blocks that could tell nobody are found before anything depends on them."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from prefect.blocks.notifications import SlackWebhook
from pydantic import SecretStr

from barrack_tasks.api import BarrackConfigurationError
from barrack_tasks.controllers.doctor import readiness_of_notifiers
from barrack_tasks.runtime.notify import AppriseUrl, find_notifiers

SECRET = "hunter2"


@pytest.mark.parametrize("url", [SECRET, f"mailto://{SECRET}", f"what://{SECRET}/x", ""])
def test_a_url_that_tells_nobody_is_refused_before_it_is_saved(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(
        BarrackConfigurationError, match="its url is not one that Apprise"
    ) as caught:
        AppriseUrl(url=SecretStr(url))
    assert SECRET not in str(caught.value) + caplog.text


@pytest.fixture
def broken(prefect_server: str) -> Iterator[str]:
    """A block that Prefect saved without a word, although it can tell nobody."""
    name = f"broken-{uuid.uuid4().hex[:8]}"
    SlackWebhook(url=f"https://hooks.slack.com/{SECRET}").save(name, _sync=True)  # type: ignore[call-arg, arg-type]
    yield name
    SlackWebhook.delete(name, _sync=True)  # type: ignore[call-arg]


def test_a_flow_that_names_such_a_block_does_not_begin(
    broken: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.clear()
    with pytest.raises(BarrackConfigurationError) as caught:
        find_notifiers([broken])
    assert str(caught.value).startswith(f"notify: the block slack-webhook/{broken}: its url is")
    assert SECRET not in str(caught.value) + caplog.text


def test_the_check_up_looks_at_all_of_them(broken: str) -> None:
    row = readiness_of_notifiers()
    assert row.state == "not ready"
    assert f"the block slack-webhook/{broken}: its url is not one" in row.said
    SlackWebhook.delete(broken, _sync=True)  # type: ignore[call-arg]
    assert broken not in readiness_of_notifiers().said
    url = SecretStr("json://localhost")
    AppriseUrl(url=url).save(broken, _sync=True)  # type: ignore[call-arg]
    row = readiness_of_notifiers()
    assert (row.state, f"apprise-url/{broken}" in row.said) == ("ready", True)
    SlackWebhook(url=SecretStr("https://hooks.slack.com/x")).save(broken, _sync=True)  # type: ignore[call-arg]
