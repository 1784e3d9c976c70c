"""`barrack notify`: channels are saved, listed and tried without a line of code."""

from __future__ import annotations

import json

import pytest

from tests.cli.test_learn import run
from tests.flows.receivers import webhook


def test_a_channel_is_saved_listed_and_told(
    prefect_server: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with webhook() as hook:
        url = hook.url.replace("http://", "json://")
        assert run("notify", "add", "cli-team", url) == 0
        shown = capsys.readouterr()
        assert url not in shown.out + shown.err
        assert run("notify", "add", "cli-team", url) == 2
        assert "pass --overwrite" in capsys.readouterr().err
        assert run("notify", "add", "cli-team", url, "--overwrite") == 0
        capsys.readouterr()
        assert run("notify", "ls", "--json") == 0
        rows = json.loads(capsys.readouterr().out)
        assert {"name": "cli-team", "type": "apprise-url", "problem": None} in rows
        assert run("notify", "test", "cli-team") == 0
        assert capsys.readouterr().out == "cli-team was told.\n"
        [told] = hook.received
        assert "Barrack: a test message" in json.dumps(told)
        hook.status = 500
        assert run("notify", "test", "cli-team") == 1
        assert "cli-team could not be told" in capsys.readouterr().out


@pytest.mark.parametrize("url", ["nonsense", "gopher://x", ""])
def test_what_is_no_channel_is_not_saved_and_not_repeated(
    url: str,
    prefect_server: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("sys.stdin", None)
    assert run("notify", "add", "cli-odd", url) == 2
    [sentence] = capsys.readouterr().err.splitlines()
    assert sentence.startswith("barrack: ")
    assert not url or url not in sentence


def test_a_name_that_is_not_saved_is_said_with_those_that_are(
    prefect_server: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("notify", "test", "nobody") == 2
    told = capsys.readouterr().err
    assert "no notification block is called 'nobody'" in told
    assert "`barrack notify add` saves one" in told
