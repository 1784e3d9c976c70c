"""What Prefect asks of any block holds for those of this library; a block keeps its secret."""

from __future__ import annotations

import pickle
import uuid
from pathlib import Path
from typing import Any

import cloudpickle
import httpx
import pytest
from prefect.blocks.abstract import CredentialsBlock, NotificationBlock
from prefect.blocks.core import Block
from prefect.testing.standard_test_suites import BlockStandardTestSuite
from pydantic import SecretStr

from barrack_tasks import AppriseUrl, BarrackCredentials
from barrack_tasks.api import BarrackConfigurationError
from barrack_tasks.api.dialect import DialectError, load_dialect, read_dialect, text_of_dialect
from barrack_tasks.api.dialect.loading import LARGEST_TEXT
from barrack_tasks.runtime.notify import register_blocks
from barrack_tasks.sandbox import Sandbox
from tests.conftest import PREFECT_AUTH
from tests.flows.receivers import mailbox

ROOT = Path(__file__).parents[2]
DIALECTS = sorted((ROOT / "docs" / "dialects").glob("*.yaml"))
SECRET = "hunter2"


class _Suite(BlockStandardTestSuite):
    def test_its_example_is_not_made_up_by_prefect(self, block: type[Block]) -> None:
        assert block.get_code_example() in (block.__doc__ or "").replace("\n    " + " " * 4, "\n")


class TestBarrackCredentials(_Suite):
    @pytest.fixture
    def block(self) -> type[Block]:
        return BarrackCredentials

    def test_it_is_a_credentials_block(self, block: type[Block]) -> None:
        assert issubclass(block, CredentialsBlock)


class TestAppriseUrl(_Suite):
    @pytest.fixture
    def block(self) -> type[Block]:
        return AppriseUrl

    def test_it_is_a_notification_block(self, block: type[Block]) -> None:
        assert issubclass(block, NotificationBlock)


def save(block: Any) -> str:
    name = f"b-{uuid.uuid4().hex[:8]}"
    block.save(name, overwrite=True, _sync=True)
    return name


def run_example(kind: type[Block], name: str) -> None:
    """Run the example that the Prefect UI shows, with the name of a block."""
    example = kind.get_code_example() or ""
    code = example.partition("```python\n")[2].partition("```")[0]
    exec(code.replace("BLOCK_NAME", name), {})  # noqa: S102


def test_the_example_of_an_account_runs(
    account: BarrackCredentials, capsys: pytest.CaptureFixture[str]
) -> None:
    run_example(BarrackCredentials, save(account))
    shown = capsys.readouterr().out
    assert [name for name in ("alpha", "beta", "gamma") if name in shown] == [
        "alpha",
        "beta",
        "gamma",
    ]


def test_the_example_of_a_notifier_runs(prefect_server: str) -> None:
    with mailbox() as (kept, port):
        url = f"mailto://127.0.0.1:{port}?from=g@example.com&to=t@example.com&mode=insecure"
        run_example(AppriseUrl, save(AppriseUrl(url=SecretStr(url))))
        [(_, text)] = kept.received
    assert "train-1" in text


def test_the_types_are_offered_with_their_pictures_once_they_are_registered(
    prefect_server: str,
) -> None:
    register_blocks()
    for kind in (BarrackCredentials, AppriseUrl):
        address = f"{prefect_server}/block_types/slug/{kind.get_block_type_slug()}"
        told = httpx.get(address, auth=PREFECT_AUTH).raise_for_status().json()
        assert told["logo_url"] == str(kind._logo_url)
        assert told["code_example"] == kind.get_code_example()


# What leaves the process


def test_a_saved_notifier_is_pickled_as_a_reference(prefect_server: str) -> None:
    url = f"json://user:{SECRET}@localhost"
    notifier = AppriseUrl(url=SecretStr(url))
    save(notifier)
    for dump in (pickle.dumps, cloudpickle.dumps):
        made = dump(notifier)
        assert SECRET.encode() not in made
        again = pickle.loads(made)  # noqa: S301
        assert again.url.get_secret_value() == url


@pytest.mark.parametrize(
    "block",
    [
        BarrackCredentials(api_key=SECRET),
        AppriseUrl(url=SecretStr(f"json://user:{SECRET}@localhost")),
    ],
    ids=["an account", "a notifier"],
)
def test_a_block_that_is_not_saved_refuses_in_one_sentence(block: Block) -> None:
    for dump in (pickle.dumps, cloudpickle.dumps):
        with pytest.raises(BarrackConfigurationError, match="not saved") as caught:
            dump(block)
        assert "save" in str(caught.value)
        assert SECRET not in str(caught.value)


# The text of a dialect


@pytest.mark.parametrize("file", DIALECTS, ids=[file.stem for file in DIALECTS])
def test_the_text_of_a_dialect_says_what_its_file_says(file: Path, tmp_path: Path) -> None:
    text = text_of_dialect(str(file))
    dialect = read_dialect(text)
    assert dialect == load_dialect(file)
    assert dialect.is_from_file, "an address in it counts no more than that of a file"
    assert text_of_dialect(text) == text
    bare = tmp_path / "learned"
    bare.write_text(file.read_text())
    assert read_dialect(text_of_dialect(str(bare))) == load_dialect(bare)


def test_the_text_of_a_toml_file_stays_toml(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('envelope = "data"\n')
    dialect = read_dialect(text_of_dialect(str(file)))
    assert (dialect.name, dialect.envelope) == ("mine", "data")
    for given in ("envelope: data\n", '{"envelope": "data"}'):
        assert read_dialect(given).envelope == "data"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("envelop: data\n", "envelop"),
        ("a: [\n", "this is not YAML"),
        ("# mine.toml\nenvelope: data\n", "mine.toml is not TOML"),
        ("envelope: data\ncodec: os:system\n", "only a file may name a codec"),
        ("base_url: http://example.com\n", "can be read on the network"),
        ("#" * LARGEST_TEXT + "\n", "leave out what is as in the built-in"),
        ("- a\n", "must hold a table"),
        ("a: \0\n", "this is not YAML|is not YAML"),
    ],
)
def test_a_text_that_cannot_be_used_is_not_saved(text: str, said: str) -> None:
    account = BarrackCredentials(api_key=SECRET, dialect=text)
    with pytest.raises(DialectError, match=said):
        save(account)


def test_a_path_is_read_when_the_block_is_saved(sandbox: Sandbox, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("request_id_header: x-mine\n")
    with pytest.raises(DialectError, match="cannot be read"):
        save(BarrackCredentials(api_key=SECRET, dialect=str(tmp_path / "not-there.yaml")))
    here = BarrackCredentials(api_key=sandbox.api_key, base_url=sandbox.url, dialect=str(file))
    name = save(here)
    file.unlink()
    there = BarrackCredentials.find(name)
    assert there.dialect == "# mine.yaml\nrequest_id_header: x-mine\n"
    dialect = there.get_client().dialect
    assert (dialect.name, dialect.request_id_header) == ("mine", "x-mine")


def test_a_path_that_an_earlier_release_kept_goes_on_working(
    prefect_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "old.yaml"
    file.write_text("request_id_header: x-old\n")
    old = BarrackCredentials(api_key=SECRET, dialect=str(file))
    with monkeypatch.context() as earlier:
        earlier.setattr(BarrackCredentials, "_dialect_to_keep", lambda _, dialect: dialect)
        name = save(old)
    there = BarrackCredentials.find(name)
    assert there.dialect == str(file)
    assert there.get_client().dialect.request_id_header == "x-old"
    # On another machine, which has no such file, the block can still be changed.
    file.unlink()
    there.protect = ["prod-*"]
    there.save(name, overwrite=True, _sync=True)  # type: ignore[call-arg]
    assert BarrackCredentials.find(name).dialect == str(file)
