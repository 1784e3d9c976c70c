"""Actions that share one path and differ in a word of the request."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import pytest

from barrack_tasks.api.dialect.loading import merged
from barrack_tasks.dialects.learn import Learned, RecordedCall, learn_openapi, learn_samples
from tests.dialects.learn.helpers import client, dialect, furnished, served

ACTIONS = ("start", "stop", "reboot", "hibernate", "restore")
SHAPES = {
    "a path of actions": ("/instances/{instance_id}/actions", "post", "type"),
    "a change of the thing": ("/instances/{instance_id}", "patch", "action"),
}


@pytest.fixture(scope="module")
def plain() -> dict[str, Any]:
    with furnished(dialect("builtin")) as sandbox:
        root: dict[str, Any] = json.loads(served(sandbox))
    return root


def in_words(root: dict[str, Any], shape: str, words: dict[str, str], **schema: Any) -> Learned:
    """What is learned when the actions of the document stand in the words of one operation."""
    document = deepcopy(root)
    path, method, field = SHAPES[shape]
    for name in ACTIONS:
        del document["paths"][f"/instances/{{instance_id}}/{name}"]
    enum = {"type": "string", "enum": [*words.values(), "rename"]}
    body = {"type": "object", "properties": {field: enum, **schema.pop("properties", {})}, **schema}
    document["paths"].setdefault(path, {})[method] = {
        "summary": "Act on an instance",
        "parameters": [
            {"name": "instance_id", "in": "path", "required": True, "schema": {"type": "string"}}
        ],
        "requestBody": {"content": {"application/json": {"schema": body}}},
        "responses": {"202": {"description": "accepted"}},
    }
    return learn_openapi(json.dumps(document).encode(), yes=True)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    "words",
    [
        {name: name for name in ACTIONS},
        {"start": "POWER_ON", "stop": "POWER_OFF", "reboot": "RESTART", "hibernate": "SLEEP",
         "restore": "WAKE"},
        {"start": "powerOn", "stop": "powerOff", "reboot": "reboot", "hibernate": "hibernate",
         "restore": "resume"},
    ],
)  # fmt: skip
def test_each_word_is_an_operation(plain: dict[str, Any], shape: str, words: Any) -> None:
    learned = in_words(plain, shape, words)
    path, method, field = SHAPES[shape]
    told = merged(learned.dialect(), "learned.yaml").operations
    for name, word in words.items():
        wire = told[f"{name}_instance"]
        assert (wire.method, wire.path, wire.body) == (method.upper(), path, {field: word}), name
        assert learned.matches[f"operations.{name}_instance"].certainty == "likely"
    assert learned.report().flows["follow_schedule"].can_run
    mine = merged({**learned.dialect(), "base_url": None}, "learned.yaml")
    with furnished(mine) as sandbox, client(sandbox, mine) as barrack:
        one = next(iter(barrack.instances.list()))
        barrack.instances.hibernate(one.id)
        sent = [r["operation"] for r in sandbox.requests() if r["method"] == method.upper()]
        assert sent == ["hibernate_instance"]
        assert str(barrack.instances.get(one.id).status) == "HIBERNATING"


@pytest.mark.parametrize("shape", SHAPES)
def test_two_words_for_one_thing_are_asked(plain: dict[str, Any], shape: str) -> None:
    learned = in_words(plain, shape, {"stop": "shutdown", "off": "power_off", "start": "start"})
    path, method, field = SHAPES[shape]
    what = "operations.stop_instance"
    assert what not in learned.matches
    shown = {c.shown for c in learned.open[what].candidates}
    place = f"{method.upper()} {path}"
    assert shown == {f"{place} {{{field}: shutdown}}", f"{place} {{{field}: power_off}}"}
    learned.answer(what, f"{place} {{{field}: shutdown}}")
    assert learned.dialect()["operations"]["stop_instance"]["body"] == {field: "shutdown"}
    assert "operations.start_instance" in learned.matches, "what was known stays known"


def test_a_restore_beside_no_hibernation_is_of_something_else(plain: dict[str, Any]) -> None:
    words = {"start": "start", "stop": "stop", "restore": "restore"}
    learned = in_words(plain, "a path of actions", words)
    match = learned.matches.get("operations.restore_instance")
    assert match is None or match.wire is None


def test_a_word_that_needs_more_than_itself_is_not_taken(plain: dict[str, Any]) -> None:
    learned = in_words(
        plain,
        "a path of actions",
        {name: name for name in ACTIONS},
        properties={"reason": {"type": "string"}},
        required=["type", "reason"],
    )
    for name in ACTIONS:
        match = learned.matches.get(f"operations.{name}_instance")
        assert match is None or match.wire is None, name


def test_a_state_that_is_wished_for_is_no_action(plain: dict[str, Any]) -> None:
    words = {"start": "active", "stop": "off", "restore": "restore", "hibernate": "hibernated"}
    learned = in_words(plain, "a change of the thing", words)
    match = learned.matches.get("operations.hibernate_instance")
    assert match is None or match.wire is None


def test_words_for_another_thing_are_not_taken(plain: dict[str, Any]) -> None:
    document = deepcopy(plain)
    for name in ACTIONS:
        del document["paths"][f"/instances/{{instance_id}}/{name}"]
    schema = {"type": "object", "properties": {"type": {"type": "string", "enum": [*ACTIONS]}}}
    document["paths"]["/databases/{database_id}/actions"] = {
        "post": {
            "summary": "Act",
            "requestBody": {"content": {"application/json": {"schema": schema}}},
            "responses": {},
        }
    }
    learned = learn_openapi(json.dumps(document).encode(), yes=True)
    for name in ACTIONS:
        match = learned.matches.get(f"operations.{name}_instance")
        assert match is None or match.wire is None, name


def test_a_word_that_a_recording_shows_is_learned() -> None:
    machine = {"id": "7", "name": "one", "status": "ACTIVE", "region": "CANADA-1"}
    calls = [
        RecordedCall("GET", "https://x.example/v1/instances", 200, ("x-api-key",),
                     {"instances": [machine, {**machine, "id": "8"}]}),
        RecordedCall("GET", "https://x.example/v1/instances/7", 200, ("x-api-key",),
                     {"instance": machine}),
        RecordedCall("POST", "https://x.example/v1/instances/7/actions", 202, ("x-api-key",),
                     {}, asked={"type": "power_off"}),
    ]  # fmt: skip
    learned = learn_samples(calls)
    found = learned.matches.get("operations.stop_instance")
    assert found is not None
    assert found.wire["body"] == {"type": "power_off"}
    assert found.wire["path"].endswith("/instances/{instance_id}/actions")
