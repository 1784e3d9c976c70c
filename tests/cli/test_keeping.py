"""An account is kept in a block only if its key works, and replaced only if somebody agreed."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from barrack_tasks import BarrackCredentials
from barrack_tasks.api import BarrackConfigurationError
from barrack_tasks.cli.keeping import choose, key_at_hand
from barrack_tasks.cli.up import up
from barrack_tasks.sandbox import Sandbox
from barrack_tasks.server.account_names import account_name
from tests.conftest import free_port
from tests.deployments.playing import barrack


@pytest.fixture
def sandbox(prefect_server: str) -> Iterator[Sandbox]:
    with Sandbox(fleet=1, speed=0, api_key=f"key-{uuid.uuid4().hex}") as running:
        yield running


@pytest.fixture
def name() -> str:
    return f"kept-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def says(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Keeps what the environment says; gives what was said."""

    def run(name: str, yes: bool = False, untried: bool = False, **environment: str) -> str:
        for variable in ("API_KEY", "BASE_URL", "PROTECT", "DIALECT"):
            monkeypatch.delenv(f"BARRACK_{variable}", raising=False)
        for variable, value in environment.items():
            monkeypatch.setenv(variable, value)
        console = Console(width=500)
        with console.capture() as said:
            choose(name, key_at_hand(name), yes, console, untried).keep(console)
        return said.get()

    return run


def held(name: str) -> tuple[str, str | None]:
    found = BarrackCredentials.find(name).without_environment()
    return found.api_key.get_secret_value(), found.base_url


def test_a_wrong_key_never_replaces_a_block_that_works(
    sandbox: Sandbox, name: str, says: Any
) -> None:
    assert f"{name!r}, at {sandbox.url}" in says(name, **sandbox.env)
    for yes in (False, True):
        with pytest.raises(BarrackConfigurationError, match="refused the key"):
            says(name, yes, BARRACK_API_KEY="wrong", BARRACK_BASE_URL=sandbox.url)
    assert held(name) == (sandbox.api_key, sandbox.url)


def test_a_key_that_works_replaces_another_only_if_somebody_agrees(
    sandbox: Sandbox, name: str, says: Any
) -> None:
    says(name, **sandbox.env)
    with Sandbox(fleet=0, speed=0, api_key="key-of-another") as other:
        with pytest.raises(BarrackConfigurationError, match="pass --yes to replace it"):
            says(name, **other.env)
        assert held(name) == (sandbox.api_key, sandbox.url)
        assert other.url in says(name, True, **other.env)
        assert held(name) == (other.api_key, other.url)


def test_the_same_key_is_kept_unasked_and_what_is_protected_is_added(
    sandbox: Sandbox, name: str, says: Any
) -> None:
    says(name, **sandbox.env, BARRACK_PROTECT="prod-*")
    says(name, **{**sandbox.env, "BARRACK_BASE_URL": f"{sandbox.url}/"}, BARRACK_PROTECT="db")
    says(name)
    assert BarrackCredentials.find(name).protect == ["prod-*", "db"]


def test_a_new_key_is_not_kept_for_an_address_on_this_machine_that_it_is_not_for(
    sandbox: Sandbox, name: str, says: Any
) -> None:
    says(name, **sandbox.env)
    asked = len(sandbox.requests())
    with pytest.raises(
        BarrackConfigurationError, match="does not say that the new key is for that"
    ):
        says(name, True, BARRACK_API_KEY="of-the-real-cloud")
    assert len(sandbox.requests()) == asked, "whatever listens there by now was not sent the key"
    before = held(name)
    sandbox.stop()
    with pytest.raises(BarrackConfigurationError, match="set BARRACK_BASE_URL to the address that"):
        says(name, True, BARRACK_API_KEY="of-the-real-cloud")
    assert held(name) == before


READS = ("get_credit_balance", "list_instances", "list_volumes", "list_snapshots")


def hide(sandbox: Sandbox, *reads: str) -> None:
    """Let reads answer as if their addresses were wrong."""
    for read in reads:
        sandbox.fault("status", operation=read, status=404, count=None)


def test_a_key_that_was_not_seen_working_replaces_none_unless_it_is_said_outright(
    sandbox: Sandbox, name: str, says: Any
) -> None:
    says(name, **sandbox.env)
    # Nobody can tell of the old key either, and it stays all the same.
    hide(sandbox, *READS)
    with Sandbox(fleet=0, speed=0, api_key="another") as other:
        hide(other, *READS)
        with pytest.raises(BarrackConfigurationError, match=r"is not known whether .* --untried"):
            says(name, True, **other.env)
        nobody = f"http://127.0.0.1:{free_port()}"
        with pytest.raises(BarrackConfigurationError, match="could not be tested at"):
            says(name, True, BARRACK_API_KEY="k", BARRACK_BASE_URL=nobody)
        assert held(name) == (sandbox.api_key, sandbox.url)
        assert "is not known whether" in says(name, True, True, **other.env)
        assert held(name) == (other.api_key, other.url)


@pytest.mark.parametrize("hidden", [READS[:1], READS[:3]])
def test_one_wrong_path_does_not_hide_whether_a_key_works(
    sandbox: Sandbox, name: str, says: Any, hidden: tuple[str, ...]
) -> None:
    says(name, **sandbox.env)
    hide(sandbox, *hidden)
    with pytest.raises(BarrackConfigurationError, match="refused the key"):
        says(name, True, True, BARRACK_API_KEY="wrong", BARRACK_BASE_URL=sandbox.url)
    assert held(name) == (sandbox.api_key, sandbox.url)
    with Sandbox(fleet=0, speed=0, api_key="another") as other:
        hide(other, *hidden)
        assert "is not known whether" not in says(name, True, **other.env)
        assert held(name) == (other.api_key, other.url)


def test_a_first_key_is_kept_where_wrong_paths_hide_whether_it_works(
    sandbox: Sandbox, name: str, says: Any
) -> None:
    hide(sandbox, *READS)
    assert "is not known whether" in says(name, **sandbox.env)
    assert held(name) == (sandbox.api_key, sandbox.url)


def test_up_ends_badly_with_a_wrong_key_and_saves_nothing(sandbox: Sandbox, name: str) -> None:
    told = {**sandbox.env, "BARRACK_API_KEY": "wrong"}
    done = barrack("up", "--credentials", name, **told)
    assert done.returncode == 2
    assert "refused the key" in done.stderr
    assert "Traceback" not in done.stderr
    with pytest.raises(BarrackConfigurationError):
        BarrackCredentials.find(name)


def test_a_refusal_is_one_sentence(sandbox: Sandbox, name: str, says: Any) -> None:
    """Prefect tells of each block that was read as an event, and at the end that these wait."""
    says(name, **sandbox.env)
    done = barrack("up", "--credentials", name, **{**sandbox.env, "BARRACK_API_KEY": "wrong"})
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert line.startswith("barrack: ")
    assert "refused the key" in line


def test_up_saves_nothing_where_the_deployments_belong_to_another_account(
    sandbox: Sandbox, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(file: object, account: str, credentials: str, another: str) -> None:
        assert (account, credentials) == (account_name(name), name)
        raise BarrackConfigurationError("they belong to another")

    for variable, value in sandbox.env.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setattr("barrack_tasks.cli.deployments.check_place", refuse)
    with pytest.raises(BarrackConfigurationError, match="belong to another"):
        up(credentials=name)
    assert "is saved" not in capsys.readouterr().out
    with pytest.raises(BarrackConfigurationError):
        BarrackCredentials.find(name)


def test_a_block_keeps_the_text_of_a_dialect_and_the_same_text_asks_nobody(
    sandbox: Sandbox, name: str, says: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("request_id_header: x-mine\n")
    text = f"# mine.yaml\n{file.read_text()}"
    environment = {**sandbox.env, "BARRACK_DIALECT": str(file)}
    says(name, **environment)
    assert BarrackCredentials.find(name).dialect == text
    says(name, **environment)  # would raise if it wanted to ask
    with monkeypatch.context() as earlier:
        earlier.setattr(BarrackCredentials, "_dialect_to_keep", lambda _, dialect: dialect)
        old = BarrackCredentials(api_key=sandbox.api_key, base_url=sandbox.url, dialect=str(file))
        old.save(name, overwrite=True, _sync=True)  # type: ignore[call-arg]
    monkeypatch.delenv("BARRACK_DIALECT")
    assert BarrackCredentials.find(name).dialect == str(file)
    says(name, **environment)
    assert BarrackCredentials.find(name).dialect == text, "the path of an earlier release is read"
