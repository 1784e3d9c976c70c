"""A key that is passed in place of a block's name, or in any other wrong place, stays out."""

from __future__ import annotations

import copy
import importlib
import io
import json
import logging
import os
import pickle
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cloudpickle
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prefect import Flow, flow, task
from prefect.client.orchestration import get_client
from prefect.utilities.schema_tools.validation import is_valid
from pydantic import BaseModel, SecretStr, ValidationError

from barrack_tasks import BarrackCredentials, get_credit_balance, list_instances
from barrack_tasks.api import BarrackConfigurationError
from barrack_tasks.sandbox import Sandbox
from flows.hibernate import hibernate
from flows.watch_account import watch_account
from tests.conftest import asked
from tests.security.places import ROOT, files_with, frames_with, holds, settled, told_by_server

NAMES = sorted(p.stem for p in (ROOT / "flows").glob("*.py") if p.stem != "__init__")


def fresh() -> str:
    """A key that looks just like the name of a block."""
    return f"brk-{uuid.uuid4().hex}"


def a_flow(name: str) -> Flow[Any, Any]:
    found = getattr(importlib.import_module(f"flows.{name}"), name)
    assert isinstance(found, Flow)
    return found


@pytest.fixture
def printed() -> Iterator[io.StringIO]:
    """What Prefect's loggers and all others say, however little they are asked to say."""
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    watched = [logging.getLogger(), logging.getLogger("prefect"), logging.getLogger("httpx")]
    for logger in watched:
        logger.addHandler(handler)
    yield text
    for logger in watched:
        logger.removeHandler(handler)


WRONG: dict[str, Callable[[str], dict[str, Any]]] = {
    "in place of a name": lambda key: {"credentials": key},
    "with blanks around it": lambda key: {"credentials": f" {key}\n"},
    "as the fields of a block": lambda key: {"credentials": {"api_key": key}},
    "as the fields of a block of its type": lambda key: {
        "credentials": {"api_key": key, "block_type_slug": "barrack-credentials"}
    },
    "in a list": lambda key: {"credentials": [key]},
    "as bytes": lambda key: {"credentials": key.encode()},
    "as a secret": lambda key: {"credentials": SecretStr(key)},
    "as a reference": lambda key: {"credentials": {"$ref": key}},
    "as an id": lambda key: {"credentials": {"$ref": {"block_document_id": key}}},
    "as a slug": lambda key: {
        "credentials": {"$ref": {"block_document_slug": f"barrack-credentials/{key}"}}
    },
    "under a name of another parameter": lambda key: {"api_key": key},
    "as a switch": lambda key: {"dry_run": key},
}


@pytest.mark.parametrize("shape", WRONG)
def test_a_flow_refuses_it_before_a_run_is_there_and_repeats_it_nowhere(
    shape: str, prefect_server: str, printed: io.StringIO
) -> None:
    key = fresh()
    with pytest.raises(Exception) as caught:  # noqa: PT011 - whatever it is, it shows no key
        watch_account(**WRONG[shape](key))
    assert not holds(f"{caught.value!r} {caught.value} {printed.getvalue()}", key)
    if shape != "as a switch":  # of which nobody can know that it is a key
        assert frames_of_library(caught.value, key) == []
        assert not holds(told_by_server(prefect_server, "flow_runs"), key)


def frames_of_library(error: BaseException, key: str) -> list[str]:
    """Frames of this library alone: Prefect's own were given the parameters."""
    return [frame for frame in frames_with(error, key) if "/barrack_tasks/" in frame]


@pytest.mark.parametrize("place", ["select", "notify", "protect", "timeout"])
@pytest.mark.parametrize("known", ["environment", "block"])
def test_a_key_that_is_known_is_refused_in_any_parameter(
    place: str, known: str, prefect_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, name = fresh(), f"n-{uuid.uuid4().hex[:8]}"
    if known == "environment":
        monkeypatch.setenv("BARRACK_API_KEY", key)
    else:
        save(BarrackCredentials(api_key=key), name)
    account = None if known == "environment" else name
    value: Any = key if place == "timeout" else [f"x {key}"]
    with pytest.raises(BarrackConfigurationError, match=f"{place} holds an API key") as caught:
        hibernate(**{"select": ["a"], "credentials": account, place: value})
    assert not holds(str(caught.value), key)
    assert not holds(told_by_server(prefect_server, "flow_runs"), key)


def save(account: BarrackCredentials, name: str) -> BarrackCredentials:
    account.save(name, overwrite=True, _sync=True)  # type: ignore[call-arg]
    return account


def test_what_prefect_stores_of_a_run_is_looked_at_whoever_starts_it(prefect_server: str) -> None:
    key = fresh()
    for options in ({}, {"name": "another"}, {"retries": 1}):
        with pytest.raises(BarrackConfigurationError) as caught:
            watch_account.with_options(**options).serialize_parameters({"credentials": key})
        assert not holds(str(caught.value), key)


# Runs that are started over Prefect's API


@pytest.mark.parametrize("name", NAMES)
def test_the_form_of_a_flow_offers_saved_blocks_and_nothing_else(name: str) -> None:
    schema: Any = a_flow(name).parameters.model_dump_for_openapi()
    text = json.dumps(schema)
    assert "api_key" not in text
    assert "barrack-credentials" in text
    others = {k: v for k, v in schema["properties"].items() if k == "credentials"}
    only = {"type": "object", "properties": others, "definitions": schema["definitions"]}
    id_ = str(uuid.uuid4())
    meant: list[Any] = [
        None,
        "team-a",
        {"$ref": id_},
        {"$ref": {"block_document_id": id_}},
        {"$ref": {"block_document_slug": "barrack-credentials/team-a"}},
    ]
    key = "Brk_0f9a"
    wrong: list[Any] = [
        key,
        {"api_key": key},
        {"api_key": key, "block_type_slug": "barrack-credentials"},
        {},
        [key],
        7,
        {"$ref": key},
        {"$ref": {"block_document_id": key}},
        {"$ref": {"block_document_id": id_}, "api_key": key},
        {"$ref": {"block_document_id": id_, "api_key": key}},
        {"$ref": {"block_document_slug": f"secret/{key}"}},
    ]
    assert [v for v in meant if not is_valid({"credentials": v}, only)] == []
    assert [v for v in wrong if is_valid({"credentials": v}, only)] == []


@pytest.fixture(scope="module")
def deployment(prefect_server: str) -> str:
    """A deployment of `watch_account`; its id."""
    with get_client(sync_client=True) as client:
        flow_id = client.create_flow(watch_account)
        return str(
            client.create_deployment(
                flow_id,
                name=f"d-{uuid.uuid4().hex[:8]}",
                entrypoint="flows.watch_account.watch_account",
                parameter_openapi_schema=watch_account.parameters.model_dump_for_openapi(),
                enforce_parameter_schema=True,
            )
        )


def create_run(server: str, deployment: str, **parameters: Any) -> httpx.Response:
    body = {"parameters": parameters, "state": {"type": "PENDING"}}
    return asked("POST", f"{server}/deployments/{deployment}/create_flow_run", body=body)


def execute(run: str, **env: str) -> str:
    """Run it as a worker does, in a process of its own; what that printed."""
    done = subprocess.run(
        [sys.executable, "-m", "prefect", "flow-run", "execute", run],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PREFECT_LOGGING_LEVEL": "DEBUG", **env},
    )
    return done.stdout + done.stderr


def test_the_server_stores_no_fields_of_a_block(prefect_server: str, deployment: str) -> None:
    key = fresh()
    answer = create_run(prefect_server, deployment, credentials={"api_key": key})
    assert answer.status_code == 409
    assert not holds(told_by_server(prefect_server, "flow_runs"), key)


@pytest.mark.slow
def test_a_key_that_the_server_took_for_a_name_is_taken_out_of_the_run_again(
    prefect_server: str, deployment: str
) -> None:
    key = fresh()
    run = create_run(prefect_server, deployment, credentials=key).raise_for_status().json()["id"]
    said = execute(run)
    found = asked("GET", f"{prefect_server}/flow_runs/{run}").json()
    assert found["state"]["type"] == "FAILED", said
    assert "no saved Barrack Credentials block" in found["state"]["message"]
    assert found["parameters"] == {}
    settled(prefect_server)
    kinds = ("flow_runs", "task_runs", "logs", "events", "artifacts")
    shown = [kind for kind in kinds if holds(told_by_server(prefect_server, kind), key)]
    assert shown == []
    assert not holds(said, key)


@pytest.mark.slow
def test_a_reference_to_a_saved_block_is_an_account(
    prefect_server: str, deployment: str, cloud: Callable[..., Sandbox]
) -> None:
    sandbox = cloud()
    block = save(BarrackCredentials(api_key=sandbox.api_key, base_url=sandbox.url), fresh()[:12])
    reference = {"$ref": {"block_document_id": str(block._block_document_id)}}
    answer = create_run(prefect_server, deployment, credentials=reference).raise_for_status()
    said = execute(answer.json()["id"])
    found = asked("GET", f"{prefect_server}/flow_runs/{answer.json()['id']}").json()
    assert found["state"]["type"] == "COMPLETED", said
    assert not holds(said, sandbox.api_key)


# What leaves the process


def test_a_saved_block_is_pickled_as_a_reference(prefect_server: str) -> None:
    key = fresh()
    account = save(BarrackCredentials(api_key=key, protect=["a"]), f"n-{key[-8:]}")
    for made in (pickle.dumps(account), cloudpickle.dumps(account), pickle.dumps([account])):
        assert not holds(made, key)
    for kept in (
        loads(pickle.dumps(account)),
        loads(cloudpickle.dumps(account)),
    ):
        assert kept == account
        assert kept.account == account.account
    resolved = BarrackCredentials.resolve(f"n-{key[-8:]}")
    assert loads(pickle.dumps(resolved)).account == resolved.account
    assert copy.deepcopy(account) == copy.copy(account) == account.model_copy() == account


def loads(made: bytes) -> Any:
    return pickle.loads(made)  # noqa: S301 - it was made a moment ago


def balance_of(account: BarrackCredentials) -> float:
    return float(get_credit_balance.fn(account).amount)


@pytest.mark.slow
def test_another_process_loads_the_block(cloud: Callable[..., Sandbox]) -> None:
    sandbox = cloud()
    account = BarrackCredentials(api_key=sandbox.api_key, base_url=sandbox.url)
    save(account, f"n-{uuid.uuid4().hex[:8]}")
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        assert pool.submit(balance_of, account).result(timeout=60) > 0


def test_what_is_not_saved_is_not_pickled_and_works_in_this_process(
    cloud: Callable[..., Sandbox],
) -> None:
    sandbox = cloud(api_key=fresh())
    account = BarrackCredentials(api_key=sandbox.api_key, base_url=sandbox.url)
    for dump in (pickle.dumps, cloudpickle.dumps):
        with pytest.raises(BarrackConfigurationError, match="not saved as a block") as caught:
            dump(account)
        assert not holds(str(caught.value), sandbox.api_key)
    assert copy.deepcopy(account) == account

    @task
    def of_somebody(own: BarrackCredentials, number: int) -> int:
        return number

    @flow
    def work(own: BarrackCredentials) -> list[int]:
        list_instances.submit(own).result()
        return [of_somebody(own, 1), *of_somebody.map([own, own], [2, 3]).result()]

    assert work(account) == [1, 2, 3]


def test_a_guarded_account_is_not_pickled_without_its_guard(prefect_server: str) -> None:
    account = save(BarrackCredentials(api_key=fresh()), f"n-{uuid.uuid4().hex[:8]}")
    with pytest.raises(BarrackConfigurationError, match="bound to a running flow"):
        pickle.dumps(account.under(lambda: 1.0))


def test_a_block_that_is_gone_is_a_sentence(prefect_server: str) -> None:
    name = f"n-{uuid.uuid4().hex[:8]}"
    made = pickle.dumps(save(BarrackCredentials(api_key=fresh()), name))
    BarrackCredentials.delete(name, _sync=True)  # type: ignore[call-arg]
    with pytest.raises(BarrackConfigurationError, match="it was deleted"):
        loads(made)


def test_a_reference_does_not_lead_to_another_address(prefect_server: str) -> None:
    name = f"n-{uuid.uuid4().hex[:8]}"
    here = save(BarrackCredentials(api_key=fresh(), base_url="https://one.invalid"), name)
    made = pickle.dumps(here)
    save(BarrackCredentials(api_key=fresh(), base_url="https://two.invalid"), name)
    with pytest.raises(BarrackConfigurationError, match="another address"):
        loads(made)


@pytest.mark.parametrize("given", ["key", "account", "bytes", "too many", "named"])
def test_delay_stores_no_key(given: str, prefect_server: str, prefect_home: Path) -> None:
    key = fresh()
    account = BarrackCredentials(api_key=key)
    wrong: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
        "key": ((key,), {}),
        "account": ((account,), {}),
        "bytes": ((key.encode(),), {}),
        "too many": ((None, key), {}),
        "named": ((), {"credentials": key}),
    }
    arguments, named = wrong[given]
    with pytest.raises((BarrackConfigurationError, TypeError)) as caught:
        get_credit_balance.delay(*arguments, **named)
    assert not holds(str(caught.value), key)
    assert files_with(key, prefect_home) == []


def test_delay_of_a_saved_account_stores_its_name(prefect_server: str, prefect_home: Path) -> None:
    key = fresh()
    name = f"n-{key[-8:]}"
    account = save(BarrackCredentials(api_key=key), name)
    get_credit_balance.delay(account)
    get_credit_balance.delay(name)
    assert files_with(key, prefect_home) == []


@pytest.mark.parametrize("how", ["called", "submitted", "mapped"])
def test_a_task_that_is_called_with_too_much_does_not_repeat_it(
    how: str, prefect_server: str, printed: io.StringIO
) -> None:
    key = fresh()

    @flow
    def work() -> None:
        if how == "called":
            get_credit_balance(None, key)  # type: ignore[call-arg]
        elif how == "submitted":
            get_credit_balance.submit(None, key)  # type: ignore[call-overload]
        else:
            get_credit_balance.map([None], [key])  # type: ignore[call-overload]

    with pytest.raises(TypeError) as caught:
        work()
    assert not holds(f"{caught.value} {printed.getvalue()}", key)


# What a wrong block says

_SHAPES = st.recursive(
    st.sampled_from(["{}", "{}\n", "Bearer {}"]).map(lambda form: form.format(KEY)),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=2),
        st.dictionaries(st.sampled_from(["api_key", "value"]), inner, min_size=1, max_size=2),
        st.tuples(inner),
    ),
    max_leaves=4,
)
KEY = "brk-5e0f9a8b7c6d5e4f"


class Holder(BaseModel):
    """A model of somebody's own, which holds an account."""

    account: BarrackCredentials


@given(
    shape=_SHAPES,
    field=st.sampled_from(["api_key", "max_concurrency", "requests_per_second", "protect", "caps"]),
)
def test_a_block_that_cannot_be_made_shows_nothing_of_what_it_was_given(
    shape: Any, field: str
) -> None:
    fields = {"api_key": KEY, field: shape}
    for make in (
        lambda: BarrackCredentials(**fields),
        lambda: BarrackCredentials.model_validate(fields),
        lambda: Holder(account=fields),  # type: ignore[arg-type]
    ):
        error = error_of(make)
        if error is not None:
            texts = [str(error), repr(error), repr(error.errors()), error.json()]
            assert not [text for text in texts if holds(text, KEY)]
            assert frames_of_library(error, KEY) == []
            assert error.__context__ is None


def error_of(make: Callable[[], Any]) -> ValidationError | None:
    try:
        make()
    except ValidationError as error:
        return error
    return None


def test_a_key_under_a_wrong_name_is_not_kept() -> None:
    made = BarrackCredentials(api_key="another", apikey=KEY, key=KEY)
    shown = (repr(made), str(vars(made)), made.model_dump_json(), str(made.model_dump()))
    assert not [text for text in shown if holds(text, KEY)]
