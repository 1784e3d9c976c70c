"""The block that every task takes first."""

from __future__ import annotations

import asyncio
import copy
import json
import os
import subprocess
import sys
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prefect import flow
from prefect.blocks.core import Block
from prefect.exceptions import ParameterBindError

from barrack_tasks import (
    BarrackCredentials,
    create_when_available,
    get_credit_balance,
    get_instance,
    get_instance_by_name,
    guarded_create_instance,
    guarded_restore,
    hibernate_instance,
    list_instances,
)
from barrack_tasks.api import (
    BarrackConfigurationError,
    BarrackConflictError,
    BarrackNotFoundError,
)
from barrack_tasks.sandbox import Sandbox
from tests.conftest import asked
from tests.forks import PREFECT, run_in_fork

ROOT = Path(__file__).parent.parent.parent
KEY = "brk-9f8e7d6c5b4a-not-to-be-seen"


def save(account: BarrackCredentials, name: str) -> None:
    account.save(name, overwrite=True, _sync=True)  # type: ignore[call-arg]


# Where an account comes from


def test_a_saved_block_is_found_by_its_name(sandbox: Sandbox) -> None:
    given = BarrackCredentials(
        api_key=sandbox.api_key, base_url=sandbox.url, max_concurrency=7, protect=["prod-*"]
    )
    save(given, "team-a")
    found = BarrackCredentials.resolve("team-a")
    assert found.api_key.get_secret_value() == sandbox.api_key
    assert (found.base_url, found.max_concurrency) == (sandbox.url, 7)
    assert found.protect == ["prod-*"]
    assert found.get_client() is given.get_client()
    assert get_credit_balance(found).amount > 0
    by_name = get_credit_balance("team-a")  # type: ignore[arg-type]
    assert by_name.amount > 0, "a task takes its name as a flow does"
    assert get_credit_balance(credentials="team-a").amount > 0  # type: ignore[arg-type]
    with pytest.raises(
        BarrackConfigurationError, match="no saved Barrack Credentials block has the name"
    ):
        get_credit_balance("team-x")  # type: ignore[arg-type]


@pytest.mark.parametrize("given", [{"api_key": KEY}, [KEY], 7])
def test_a_task_refuses_what_is_no_account_in_one_sentence(given: object) -> None:
    calls = [
        lambda: list_instances(given),  # type: ignore[call-overload]
        lambda: list_instances(credentials=given),  # type: ignore[call-overload]
        lambda: list_instances.submit(given),  # type: ignore[call-overload]
        lambda: list_instances.fn(given),  # type: ignore[arg-type]
    ]
    for call in calls:
        with pytest.raises(BarrackConfigurationError, match="credentials must be a") as refused:
            call()
        assert type(given).__name__ in str(refused.value)
        assert KEY not in str(refused.value)


def test_a_saved_block_is_found_in_a_running_loop(account: BarrackCredentials) -> None:
    """As in a notebook cell."""
    save(account, "team-b")

    async def cell() -> BarrackCredentials:
        return BarrackCredentials.resolve("team-b")

    assert asyncio.run(cell()).account == account.account


def test_the_environment_names_one(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in sandbox.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("BARRACK_PROTECT", "prod-*, ,BRK-A1B2C3D ")
    found = BarrackCredentials.resolve(None)
    assert found.protect == ["prod-*", "BRK-A1B2C3D"]
    assert get_credit_balance(found).amount > 0


def test_nothing_passed_means_the_environment_in_every_task(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in sandbox.env.items():
        monkeypatch.setenv(name, value)
    [alpha, *_] = list_instances()

    @flow
    def submitted() -> int:
        return len(list_instances.submit().result())

    assert submitted() == len(list_instances.fn()) == len(list_instances(None)) == 3
    assert get_instance(instance_id=alpha.id).name == alpha.name
    assert get_instance_by_name(name=alpha.name).id == alpha.id
    assert hibernate_instance(instance_id=alpha.id).id == alpha.id
    sandbox.advance(3600)
    assert guarded_restore(caps=None, instance_id=alpha.id).id == alpha.id
    assert guarded_restore.with_options(name="mine").fn.__name__ == "guarded_restore"
    made = guarded_create_instance(
        caps=None, name="made", region="CANADA-1", gpu_model="L40", image_id="1"
    )
    assert made.id
    claim = {"gpu_model": "L40", "claim": {"name": "later", "image_id": "1"}}
    [later] = create_when_available(
        None,
        claim,
        timeout=7200,
        now=sandbox.now,
        sleep=sandbox.advance,
    )
    assert later.name == "later"


def test_a_call_that_leaves_out_more_than_the_account_is_refused_by_name() -> None:
    with pytest.raises(ParameterBindError, match="get_instance: missing a required argument"):
        get_instance()  # type: ignore[call-overload]
    with pytest.raises(ParameterBindError, match="'instance_id'"):
        get_instance("BRK-A1B2C3D")


def test_an_instance_is_found_by_its_name_or_the_error_says_why_not(
    sandbox: Sandbox, account: BarrackCredentials
) -> None:
    sandbox.seed_instance("twin")
    found = get_instance_by_name(account, "twin")
    assert (found.name, found.id) in [(i.name, i.id) for i in list_instances(account)]
    with pytest.raises(BarrackNotFoundError, match="no instance is called 'Twin'") as caught:
        get_instance_by_name(account, "Twin")
    assert "list_instances" in str(caught.value)


def test_a_name_that_several_instances_have_names_none(account: BarrackCredentials) -> None:
    """The sandbox gives no name twice, so the list is made up here."""
    twins = [one.model_copy(update={"name": "twin"}) for one in list_instances(account)]
    listed = SimpleNamespace(instances=SimpleNamespace(list=lambda: twins))
    holder: Any = SimpleNamespace(get_client=lambda: listed)
    with pytest.raises(BarrackConflictError, match="3 instances are called 'twin'") as several:
        get_instance_by_name.fn(holder, "twin")
    assert all(one.id in str(several.value) for one in twins)


@pytest.mark.parametrize("value", [None, "", "   "])
def test_without_any_it_says_in_one_sentence_what_to_do(
    value: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if value is None:
        monkeypatch.delenv("BARRACK_API_KEY", raising=False)
    else:
        monkeypatch.setenv("BARRACK_API_KEY", value)
    with pytest.raises(BarrackConfigurationError) as caught:
        BarrackCredentials.resolve(None)
    assert str(caught.value) == (
        "no Barrack account is known; set BARRACK_API_KEY to your key (dashboard, API Keys page), "
        "or pass as credentials a BarrackCredentials or the name of a saved one."
    )


def test_a_block_that_is_not_there_is_not_repeated_and_those_that_are_there_are_named(
    prefect_server: str,
) -> None:
    save(BarrackCredentials(api_key=KEY), "somebody")
    with pytest.raises(
        BarrackConfigurationError, match=r"saved blocks are: .*'somebody'"
    ) as caught:
        BarrackCredentials.resolve("nobody")
    assert "nobody" not in str(caught.value)


def test_anything_else_is_no_account() -> None:
    with pytest.raises(BarrackConfigurationError, match="got int"):
        BarrackCredentials.resolve(7)  # type: ignore[arg-type]


# The key is never shown


def test_no_text_of_it_shows_the_key() -> None:
    account = BarrackCredentials(api_key=KEY, base_url="https://example.invalid/v1")
    client = account.get_client()
    texts = [
        repr(account),
        str(account),
        f"{account}",
        f"{account!r:>500}",
        account.model_dump_json(),
        json.dumps(account.model_dump(mode="json")),
        str(account.model_dump()),
        account.account,
        repr(client),
        str(vars(client)),
    ]
    assert not [text for text in texts if KEY in text]


def test_it_shows_what_prefect_shows_and_makes_no_schema_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    account = BarrackCredentials(api_key=KEY, base_url="https://example.invalid/v1")
    assert account.__repr_args__() == Block.__repr_args__(account)
    monkeypatch.delattr(Block, "model_json_schema")
    monkeypatch.setattr("pydantic.BaseModel.model_json_schema", None)
    assert "https://example.invalid/v1" in repr(account)


def test_a_wrong_setting_does_not_show_the_key() -> None:
    with pytest.raises(ValueError, match="max_concurrency") as caught:
        BarrackCredentials(api_key=KEY, max_concurrency=0)
    assert KEY not in str(caught.value)


def test_the_server_keeps_the_key_sealed(prefect_server: str, prefect_home: Path) -> None:
    save(BarrackCredentials(api_key=KEY), "sealed")
    about = {"block_documents": {"block_type_id": None}, "include_secrets": False}
    shown = asked("POST", f"{prefect_server}/block_documents/filter", body=about)
    assert '"sealed"' in shown.text
    assert KEY not in shown.text
    files = [path for path in prefect_home.rglob("*") if path.is_file()]
    assert any(path.name.startswith("prefect.db") for path in files)
    assert not [path for path in files if KEY.encode() in path.read_bytes()]


# One client for all who hold equal credentials


def test_equal_credentials_share_one_client() -> None:
    one, two = (BarrackCredentials(api_key=KEY, base_url="https://one.invalid") for _ in range(2))
    assert one is not two
    assert one.get_client() is two.get_client()
    assert one.account == two.account
    assert copy.deepcopy(one).get_client() is one.get_client()


@pytest.mark.parametrize(
    "other",
    [
        {"api_key": "another-key"},
        {"base_url": "https://two.invalid"},
        {"header_name": "authorization"},
        {"requests_per_second": 3},
        {"max_concurrency": 3},
    ],
)
def test_different_credentials_have_different_clients(other: dict[str, object]) -> None:
    given: dict[str, object] = {"api_key": KEY, "base_url": "https://one.invalid"}
    one = BarrackCredentials.model_validate(given)
    two = BarrackCredentials.model_validate(given | other)
    assert one.get_client() is not two.get_client()


def test_what_is_protected_makes_no_other_client() -> None:
    one = BarrackCredentials(api_key=KEY, base_url="https://one.invalid")
    two = BarrackCredentials(api_key=KEY, base_url="https://one.invalid", protect=["prod-*"])
    assert one.get_client() is two.get_client()


# Prefect finds it


def run(*arguments: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "200", **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_block_type_can_be_registered(prefect_server: str) -> None:
    words = ("block", "register", "-m", "barrack_tasks")
    done = run_in_fork(*words, program=PREFECT, env={**os.environ, "COLUMNS": "200"})
    assert "Barrack Credentials" in done.stdout, done.stderr
    answer = asked("GET", f"{prefect_server}/block_types/slug/barrack-credentials")
    assert answer.raise_for_status().json()["name"] == "Barrack Credentials"


FIND = """
from prefect.plugins import load_prefect_collections
found = load_prefect_collections()["prefect_barrack"]
assert not isinstance(found, Exception), found
print(found.BarrackCredentials._block_type_slug)
"""


@pytest.mark.slow
def test_prefect_finds_the_collection_by_its_entry_point(tmp_path: Path) -> None:
    """As it stands in pyproject.toml, with a package's metadata around it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    [(name, value)] = project["entry-points"]["prefect.collections"].items()
    point = EntryPoint(name, value, "prefect.collections")
    assert point.load().BarrackCredentials is BarrackCredentials

    metadata = tmp_path / "prefect_barrack-0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: prefect-barrack\nVersion: 0\n")
    (metadata / "entry_points.txt").write_text(f"[prefect.collections]\n{name} = {value}\n")
    places = os.pathsep.join([str(tmp_path), str(ROOT)])
    assert run("-c", FIND, PYTHONPATH=places).strip() == "barrack-credentials"
