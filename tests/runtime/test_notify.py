"""Notification blocks that could tell nobody are found before anything depends on them."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from prefect.blocks.abstract import NotificationBlock
from prefect.blocks.notifications import SlackWebhook
from pydantic import SecretStr

from barrack_tasks.api import BarrackConfigurationError
from barrack_tasks.controllers.doctor import readiness_of_notifiers
from barrack_tasks.runtime.notify import AppriseUrl, Severity, find_notifiers, tell

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


class Told(NotificationBlock):
    """Notes what it is told."""

    _block_type_slug = "told-by-a-test"
    subjects: list[str] = []

    def notify(self, body: str, subject: str | None = None, **_: object) -> None:
        self.subjects.append(str(subject))


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("team", ["info", "success", "warning", "failure"]),
        ("team:warning", ["warning", "failure"]),
        ("team:failure", ["failure"]),
    ],
)
def test_a_channel_is_told_from_its_severity_on_and_what_it_is_spared_is_no_failure(
    name: str, told: list[Severity]
) -> None:
    block = Told()
    every: list[Severity] = ["info", "success", "warning", "failure"]
    for severity in every:
        assert tell({name: block}, [name], severity, severity=severity) == {}
    assert block.subjects == told
