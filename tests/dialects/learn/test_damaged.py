"""Whatever is put in: one clear sentence, or a result; never a traceback, never half a file."""

from __future__ import annotations

import contextlib
import copy
import json
import random
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from barrack_tasks.api.dialect import builtin, load_dialect
from barrack_tasks.api.dialect.loading import merged
from barrack_tasks.api.errors import BarrackConfigurationError
from barrack_tasks.dialects.learn import LearnError, dialect_text, learn_openapi, write_dialect
from barrack_tasks.sandbox.http.openapi import document
from tests.dialects.learn.helpers import dialect
from tests.thinning import some_slow

ROOT: dict[str, Any] = json.loads(json.dumps(document(dialect("camel"))))
TEXT = json.dumps(ROOT).encode()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "empty"),
        (b" \n\t ", "empty"),
        (b"\xff\xfe\x00", "UTF-8|damaged|empty|neither"),
        (b"\x80\x81", "not text"),
        (b"<!doctype html><title>Docs</title>", "HTML"),
        (b"hello", "it is not an object"),
        (b"[1, 2]", "it is not an object"),
        (b"{}", "openapi: 3.x"),
        (b'{"swagger": "2.0", "paths": {}}', "describes no operations"),
        (b'{"openapi": "3.0.0"}', "no operations"),
        (b'{"openapi": "3.0.0", "paths": []}', "no operations"),
        (b'{"openapi": {"a": 1}, "paths": {"/x": {}}}', "openapi: 3.x"),
        (b"a: [1", "neither JSON nor YAML in line"),
        (b"a: !!python/object/apply:os.system [echo]", "neither JSON nor YAML"),
        (b"[" * 100_000, "nested too deeply|neither JSON nor YAML"),
        (b'{"a":' * 100_000, "nested too deeply|neither JSON nor YAML"),
        (b"- " * 100_000, "nested too deeply|neither JSON nor YAML"),
        (b"a: &a [*a]", "&a is an anchor; write out"),
        (b"a: 1\na: 2", "line 2, column 1: the key 'a' is given twice"),
        (b'{"a": ' + b"9" * 5000 + b"}", "the number has 5000 characters"),
        ('{"openapi": "3.0.0"}'.encode("utf-16"), "UTF-16; save it in UTF-8"),
        (TEXT[: len(TEXT) // 2], "neither|damaged"),
    ],
)
def test_one_clear_sentence(data: bytes, said: str) -> None:
    with pytest.raises(LearnError, match=said) as caught:
        learn_openapi(data)
    assert isinstance(caught.value, BarrackConfigurationError)
    assert caught.value.__cause__ is None
    assert "\n" not in caught.value.message


def _learn(root: Any) -> Any:
    return learn_openapi(json.dumps(root).encode())


def test_references_in_circles_and_out_of_the_document() -> None:
    root = copy.deepcopy(ROOT)
    schemas = root["components"]["schemas"]
    schemas["Loop"] = {"$ref": "#/components/schemas/Loop"}
    schemas["A"] = {"allOf": [{"$ref": "#/components/schemas/B"}]}
    schemas["B"] = {"allOf": [{"$ref": "#/components/schemas/A"}]}
    schemas["VMFlavor"]["properties"]["self"] = {"$ref": "#/components/schemas/VMFlavor"}
    schemas["UserVM"]["properties"]["peer"] = {"$ref": "#/components/schemas/UserVM"}
    schemas["VMImage"] = {"$ref": "https://elsewhere.example/x.json#/Image"}
    schemas["VolumeAttachment"] = {"$ref": "#/components/nowhere"}
    learned = _learn(root)
    notes = " ".join(learned.notes)
    for said in ("is circular", "points outside the document", "points to nothing"):
        assert said in notes
    assert learned.report().operations.certain == 68
    merged(learned.dialect(), "x.yaml")


def test_yaml_anchors_that_multiply() -> None:
    lines = ["a0: &a0 {x: 1}"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    lines += ["openapi: 3.0.0", "paths: {/x: {get: {responses: {200: *a11}}}}"]
    merge = ["a0: &a0 {x0: 1}"]
    merge += [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}" for n in range(1, 12)]
    for text in (lines, merge):
        with pytest.raises(LearnError, match="line 1, column 5: &a0 is an anchor"):
            learn_openapi("\n".join(text).encode())


def test_variables_of_an_address_are_filled_in_once() -> None:
    root = copy.deepcopy(ROOT)
    variables = {f"v{n}": {"default": f"{{v{n + 1}}}{{v{n + 1}}}"} for n in range(40)}
    root["servers"] = [{"url": "https://{v0}.example", "variables": variables}]
    assert "base_url" not in _learn(root).dialect()
    root["servers"] = [{"url": "https://{v}.example", "variables": {"v": {"default": "api"}}}]
    assert _learn(root).dialect()["base_url"] == "https://api.example"


def _without_names(root: Any) -> None:
    for item in root["paths"].values():
        for operation in item.values():
            operation.pop("summary", None)
            operation.pop("operationId", None)
    schemas = root["components"]["schemas"]
    text = json.dumps(root)
    for number, name in enumerate(schemas):
        text = text.replace(f'"#/components/schemas/{name}"', f'"#/components/schemas/S{number}"')
    root.update(json.loads(text))
    root["components"]["schemas"] = {f"S{n}": s for n, s in enumerate(schemas.values())}


@pytest.mark.slow
def test_three_thousand_paths_without_names_take_seconds() -> None:
    root = copy.deepcopy(ROOT)
    _without_names(root)
    for number in range(3_000):
        fields = {f"field{number}x{n}": {"type": "string"} for n in range(15)}
        said = {"content": {"application/json": {"schema": {"properties": fields}}}}
        path = (f"/machines/{{id}}/part{number}", f"/snapshots{number}")[number % 2]
        root["paths"][path] = {"get": {"responses": {"200": said}}}
    started = time.process_time()
    learned = _learn(root)
    assert time.process_time() - started < 40
    assert learned.report().operations.matched >= 40


def test_too_many_operations_are_refused() -> None:
    paths = {f"/x{n}": {"get": {}} for n in range(20_001)}
    with pytest.raises(LearnError, match="more than 20000 operations"):
        _learn({"openapi": "3.0.0", "paths": paths})


def test_schemas_that_fan_out() -> None:
    root = copy.deepcopy(ROOT)
    schemas = root["components"]["schemas"]
    names = [f"S{n}" for n in range(60)]
    for name in names:
        fields = {x: {"$ref": f"#/components/schemas/{x}"} for x in names}
        schemas[name] = {"type": "object", "properties": fields}
    schemas["UserVM"]["properties"]["s"] = {"$ref": "#/components/schemas/S0"}
    schemas["All"] = {"allOf": [{"allOf": [{"$ref": f"#/components/schemas/{n}"}]} for n in names]}
    started = time.process_time()
    assert _learn(root).report().operations.certain == 68
    assert time.process_time() - started < 10


@pytest.mark.slow
def test_a_document_of_twenty_megabytes_is_read_fast() -> None:
    root = copy.deepcopy(ROOT)
    filler = {"type": "object", "properties": {f"f{n}": {"type": "string"} for n in range(40)}}
    for number in range(9_000):
        schema = {"$ref": f"#/components/schemas/Filler{number}"}
        root["components"]["schemas"][f"Filler{number}"] = {**filler, "description": "x" * 1000}
        root["paths"][f"/things/{{id}}/part{number}"] = {
            "get": {
                "summary": f"Get part {number}",
                "responses": {"200": {"content": {"application/json": {"schema": schema}}}},
            }
        }
    del root["paths"]["/scripts"]
    data = json.dumps(root).encode()
    assert len(data) > 20_000_000
    started = time.process_time()
    assert learn_openapi(data).report().operations.certain == 65
    assert time.process_time() - started < 10


# Anything anywhere

JUNK: tuple[Any, ...] = (
    None, True, -1, "", "x", [], {}, [1], 1e308, "\ud800", "a\nb: {c", "/{x}/{x}", "/{", "/{}{}",
    {"$ref": "#"}, {"$ref": "#/paths"}, {"$ref": "#/components/schemas/UserVM"}, {"$ref": 7},
    {"type": ["object", 1, {}]}, {"properties": []}, {"enum": [{}, [], None, 1.5]},
    {"properties": {"": {}, "a.b": {}, "id": None}}, {"anyOf": [{"type": "null"}]},
    {"allOf": [{"$ref": "#/components/schemas/Snapshot"}, 3]}, {"items": {"items": {}}},
)  # fmt: skip
NAMES = ("id", "status", "x y", "/a/{id}", "a.b", "name", "{", "\u2028")


def _places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    if not isinstance(value, dict | list):
        return []
    found: list[tuple[Any, ...]] = []
    for key, item in inner:
        found.append((*at, key))
        if isinstance(item, dict | list):
            found += _places(item, (*at, key))
    return found


_SMALL = copy.deepcopy(ROOT)
_SMALL["paths"] = {
    p: i for p, i in ROOT["paths"].items() if p.startswith(("/machines", "/snapshots", "/account"))
}
PLACES = _places(_SMALL)


def _mutated(seed: int) -> Any:
    """The document with some of its places gone, renamed, or holding anything."""
    chance = random.Random(seed)
    root = copy.deepcopy(_SMALL)
    for _ in range(chance.randint(1, 30)):
        place = chance.choice(PLACES)
        target: Any = root
        with contextlib.suppress(LookupError, TypeError, AttributeError):
            for step in place[:-1]:
                target = target[step]
            match chance.randrange(4):
                case 0:
                    del target[place[-1]]
                case 1:
                    found: Any = _SMALL
                    for step in chance.choice(PLACES):
                        found = found[step]
                    target[place[-1]] = copy.deepcopy(found)
                case 2:
                    target[chance.choice(NAMES)] = target.pop(place[-1])
                case _:
                    target[place[-1]] = copy.deepcopy(chance.choice(JUNK))
    return root


@pytest.mark.parametrize("examples", some_slow([8], [40]))
def test_a_document_with_anything_in_it(examples: int) -> None:
    @given(st.integers(0, 10**9))
    @example(42093288)  # a field that no path can name
    @example(1135)  # an envelope that no path can name
    @settings(max_examples=examples)
    def run(seed: int) -> None:
        try:
            learned = _learn(_mutated(seed))
        except LearnError:
            return
        learned.take_clear()
        dialect_text(learned)
        assert str(learned.report())
        for question in list(learned.questions())[:3]:
            if question.candidates:
                learned.answer(question, 0)
        merged(learned.dialect(), "x.yaml")

    run()


@given(st.data())
@settings(max_examples=30)
def test_bytes_with_anything_in_them(data: st.DataObject) -> None:
    text = bytearray(json.dumps(_SMALL).encode())
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(0, len(text) - 1))
        text[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=4))
    try:
        merged(learn_openapi(bytes(text)).dialect(), "x.yaml")
    except LearnError:
        return


# What was found, and no dialect file can say


@pytest.mark.parametrize(
    "name", ["gpu.model", "gpuModel[]", "[gpuModel]", "{gpuModel}", "^gpuModel", "/gpu/{model}"]
)
def test_a_field_that_no_path_can_name_stays_open(name: str) -> None:
    learned = learn_openapi(TEXT.replace(b'"gpuModel"', json.dumps(name).encode()), yes=True)
    question = learned.open["schemas.GPUSpec.gpu_model"]
    assert f"It seems to be called {name!r}, which no dialect file can say." in question.text
    assert "schemas.GPUSpec.gpu_model" not in learned.matches
    assert repr(name) in learned.open["schemas.VMInstance.gpu_model"].text
    dialect_text(learned)


def test_the_name_that_can_be_said_is_taken_beside_one_that_cannot() -> None:
    root = copy.deepcopy(ROOT)
    root["components"]["schemas"]["GPUSpec"]["properties"]["gpu.model.name"] = {"type": "string"}
    learned = _learn(root)
    assert learned.matches["schemas.GPUSpec.gpu_model"].wire == "gpuModel"


def test_a_parameter_that_no_address_can_hold_stays_open() -> None:
    learned = learn_openapi(TEXT.replace(b'"limit"', b'"page size"'), yes=True)
    assert "must be the name of a parameter of an address; got 'page size'" in (
        learned.open["paging"].text
    )
    assert "paging" not in learned.dialect()
    dialect_text(learned)


def test_an_address_of_plain_http_is_left_out_of_the_file() -> None:
    root = {**ROOT, "servers": [{"url": "http://cloud.example/v1"}]}
    learned = _learn(root)
    assert learned.matches["base_url"].wire == "http://cloud.example/v1"
    assert "base_url" not in learned.dialect()
    assert "which no dialect file may say; set BARRACK_BASE_URL" in dialect_text(learned)
    root["servers"] += [{"url": "https://cloud.example/v1"}]
    assert _learn(root).dialect()["base_url"] == "https://cloud.example/v1"


def test_a_path_that_holds_parameters_of_the_address_is_not_taken() -> None:
    root = copy.deepcopy(ROOT)
    place = dialect("camel").operations["list_snapshots"].path
    root["paths"][f"{place}?all=1"] = root["paths"].pop(place)
    learned = _learn(root)
    assert learned.matches["operations.list_snapshots"].wire is None
    assert any(f"'{place}?all=1' has braces, spaces, ? or # in it" in n for n in learned.notes)
    dialect_text(learned)


IN_QUERY = {"type": "apiKey", "in": "query", "name": "api_key"}
IN_HEADER = {"type": "apiKey", "in": "header", "name": "x-token"}


@pytest.mark.parametrize(
    ("schemes", "auth"),
    [
        ([IN_QUERY], {"query": "api_key"}),
        ([IN_QUERY, IN_HEADER], {"header": "x-token"}),
        ([{**IN_QUERY, "name": "api key"}], None),
    ],
)
def test_a_key_in_the_address_is_learned_where_no_header_carries_it(
    schemes: list[dict[str, str]], auth: dict[str, str] | None
) -> None:
    root = copy.deepcopy(ROOT)
    root["components"]["securitySchemes"] = {f"way {n}": s for n, s in enumerate(schemes)}
    learned = _learn(root)
    assert learned.dialect().get("auth") == auth
    assert ("auth" in learned.open) == (auth is None)
    dialect_text(learned)


def test_words_that_are_longer_than_a_plain_key_of_yaml_are_written(tmp_path: Path) -> None:
    word = f"running{'_' * 2000}"
    learned = learn_openapi(TEXT.replace(b'"running"', json.dumps(word).encode()))
    assert learned.dialect()["words"]["VMStatus"][word] == "ACTIVE"
    target = write_dialect(learned, tmp_path / "mine.yaml")
    assert load_dialect(target) == merged(learned.dialect(), "mine.yaml")


# Files


def test_a_file_is_written_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learned = learn_openapi(TEXT)
    target = write_dialect(learned, tmp_path / "mine.yaml")
    text = target.read_text()
    assert "# certain: titled" in text
    assert "# likely: " in text
    assert load_dialect(target) == merged(learned.dialect(), "mine.yaml")
    with pytest.raises(LearnError, match="already exists"):
        write_dialect(learn_openapi(json.dumps(document(builtin())).encode()), target)
    assert target.read_text() == text
    write_dialect(learned, target, overwrite=True)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("barrack_tasks.dialects.learn.writing.os.fsync", full)
    for overwrite in (True, False):
        with pytest.raises(LearnError, match=r"No space|already exists"):
            write_dialect(learned, target, overwrite=overwrite)
    with pytest.raises(LearnError, match="No space"):
        write_dialect(learned, tmp_path / "other.yaml")
    assert [p.name for p in tmp_path.iterdir()] == ["mine.yaml"]
    assert target.read_text() == text
    with pytest.raises(LearnError, match="must end in"):
        write_dialect(learned, tmp_path / "mine.txt")
    with pytest.raises(LearnError, match="cannot be written"):
        write_dialect(learned, tmp_path / "no" / "mine.yaml")


def test_hostile_names_do_not_break_the_file(tmp_path: Path) -> None:
    text = TEXT.replace(b'"gpuModel"', rb'"gpu_model: x\u2028\n# y"').replace(
        b'"running"', rb'"run: {ning}\n"'
    )
    learned = learn_openapi(text)
    target = write_dialect(learned, tmp_path / "mine.yaml")
    assert load_dialect(target) == merged(learned.dialect(), "mine.yaml")
