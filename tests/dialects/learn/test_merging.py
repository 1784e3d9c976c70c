"""Evidence grows: what places agree on is certain, and what they contradict is asked."""

from __future__ import annotations

import json
import stat
from contextlib import suppress
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from barrack_tasks.api.dialect.loading import merged
from barrack_tasks.dialects.learn import (
    Learned,
    LearnError,
    Match,
    evidence_text,
    learn_evidence,
    learn_openapi,
    learn_samples,
    meaning_of,
    read_evidence,
)
from barrack_tasks.dialects.learn.merging import together
from barrack_tasks.dialects.learn.swagger import as_openapi
from barrack_tasks.dialects.needs import NEEDS
from tests.cli.test_learn import run
from tests.dialects.learn.helpers import dialect, furnished, served

ADDRESS = "https://api.barrack.ai/v1"
MACHINE = {
    "id": "BRK-1A2B3CD",
    "name": "a",
    "status": "ACTIVE",
    "region": "CANADA-1",
    "gpu_model": "A40",
    "gpu_count": 1,
    "hourly_price": "1.00",
    "currency": "USD",
    "created_at": "2026-01-01T00:00:00Z",
}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    with furnished(dialect("builtin")) as sandbox:
        root: dict[str, Any] = json.loads(served(sandbox))
    root["servers"] = [{"url": ADDRESS}]
    return root


def bytes_of(root: dict[str, Any]) -> bytes:
    return json.dumps(root).encode()


def vague(document: dict[str, Any]) -> dict[str, Any]:
    """The same without the titles that tell which operation is which."""
    root = deepcopy(document)
    root["paths"] = {p.replace("/instances", "/machines"): i for p, i in root["paths"].items()}
    for item in root["paths"].values():
        for operation in item.values():
            operation.update(summary="", operationId="", tags=[])
    return root


def answers(
    machine: dict[str, Any] = MACHINE, base: str = ADDRESS, noun: str = "instances"
) -> Learned:
    return learn_samples(
        [
            ("GET", f"{base}/{noun}", 200, ["x-api-key"], {"instances": [machine]}),
            ("GET", f"{base}/{noun}/BRK-1A2B3CD", 200, ["x-api-key"], {"instance": machine}),
        ],
        source="dashboard.har",
    )


def wires(learned: Learned) -> dict[str, Any]:
    return {what: match.wire for what, match in learned.matches.items()}


def test_a_second_place_makes_certain_what_was_likely(document: dict[str, Any]) -> None:
    alone = learn_openapi(bytes_of(vague(document)), source="reference.json")
    what = "operations.list_instances"
    assert alone.matches[what].certainty == "likely"
    both = learn_evidence([*alone.evidence, *answers(noun="machines").evidence])
    assert both.matches[what].certainty == "certain"
    assert "reference.json" in both.matches[what].reason
    assert "dashboard.har" in both.matches[what].reason
    assert both.matches["operations.stop_instance"].wire == (
        alone.matches["operations.stop_instance"].wire
    )
    assert yaml.safe_load(dialect_of(both)) == both.dialect()


def dialect_of(learned: Learned) -> str:
    text = yaml.safe_dump(learned.dialect())
    merged(yaml.safe_load(text), "learned.yaml")
    return text


def test_what_contradicts_each_other_is_asked_with_both_places(document: dict[str, Any]) -> None:
    first = learn_openapi(bytes_of(document), source="reference.json")
    what = "schemas.UserVM.status"
    assert first.matches[what].certainty == "certain"
    other = {**{k: v for k, v in MACHINE.items() if k != "status"}, "vm_status": "ACTIVE"}
    second = answers(other)
    assert second.matches[what].wire == "vm_status"
    both = learn_evidence([*first.evidence, *second.evidence])
    question = both.open[what]
    assert what not in both.matches
    assert "reference.json" in question.text
    assert "dashboard.har" in question.text
    assert {c.wire for c in question.candidates} == {"status", "vm_status"}
    both.answer(what, "vm_status")
    later = learn_evidence([*both.evidence])
    later.recall(both.answers)
    assert what not in later.open
    assert later.dialect()["schemas"]["UserVM"]["status"] == "vm_status"


def test_paths_are_compared_from_one_address(document: dict[str, Any]) -> None:
    root = deepcopy(document)
    root["servers"] = [{"url": "https://api.barrack.ai"}]
    root["paths"] = {f"/v1{path}": item for path, item in root["paths"].items()}
    first = learn_openapi(bytes_of(root), source="reference.json")
    second = answers()
    assert second.matches["base_url"].wire == ADDRESS
    both = learn_evidence([*first.evidence, *second.evidence])
    assert both.matches["base_url"].wire == "https://api.barrack.ai"
    assert both.matches["operations.list_instances"].wire["path"] == "/v1/instances"
    assert not [w for w in both.open if w.startswith("operations.") or w == "base_url"]


def test_a_document_without_an_address_is_where_the_answers_came_from(
    document: dict[str, Any],
) -> None:
    root = {k: v for k, v in document.items() if k != "servers"}
    first = learn_openapi(bytes_of(root), source="reference.json")
    assert "base_url" not in first.matches
    both = learn_evidence([*first.evidence, *answers().evidence])
    assert both.matches["base_url"].wire == ADDRESS
    assert "base_url" not in both.open


def test_another_address_is_asked(document: dict[str, Any]) -> None:
    first = learn_openapi(bytes_of(document), source="reference.json")
    both = learn_evidence([*first.evidence, *answers(base="https://other.example/v1").evidence])
    assert {c.wire for c in both.open["base_url"].candidates} == {
        ADDRESS,
        "https://other.example/v1",
    }
    assert next(both.questions(["hibernate"])).what == "base_url"


def test_an_envelope_that_one_place_has_otherwise_is_no_contradiction(
    document: dict[str, Any],
) -> None:
    wrapped = learn_samples(
        [("GET", f"{ADDRESS}/instances", 200, ["x-api-key"], {"data": {"instances": [MACHINE]}})],
        source="dashboard.har",
    )
    assert wrapped.matches["envelope"].wire == "data"
    first = learn_openapi(bytes_of(document), source="reference.json")
    both = learn_evidence([*first.evidence, *wrapped.evidence])
    assert "envelope" not in both.open
    assert both.matches["operations.stop_instance"].wire == (
        first.matches["operations.stop_instance"].wire
    )


def test_the_same_again_changes_nothing(document: dict[str, Any]) -> None:
    first = learn_openapi(bytes_of(document), source="reference.json")
    again = learn_evidence([*first.evidence, *first.evidence])
    assert wires(again) == wires(first)
    copy = learn_openapi(bytes_of(document), source="copy.json")
    both = learn_evidence([*first.evidence, *copy.evidence])
    assert wires(both) == wires(first)
    assert set(both.open) == set(first.open)


def test_an_answer_about_an_operation_counts_for_every_place(document: dict[str, Any]) -> None:
    root = vague(document)
    node = root["paths"].pop("/machines/{instance_id}/hibernate")
    root["paths"]["/machines/{instance_id}/freeze_it"] = node
    first = learn_openapi(bytes_of(root), source="reference.json")
    both = learn_evidence([*first.evidence, *answers(noun="machines").evidence])
    both.recall(
        {
            "operations.hibernate_instance": {
                "method": "POST",
                "path": "/machines/{instance_id}/freeze_it",
            }
        }
    )
    assert "operations.hibernate_instance" not in both.open
    assert both.report().flows["hibernate"].can_run


# What is kept of earlier runs


def har(folder: Path) -> str:
    def entry(path: str, body: Any) -> dict[str, Any]:
        headers = [{"name": "x-api-key", "value": "key-4711-abcdef"}]
        request = {"method": "GET", "url": f"{ADDRESS}{path}", "headers": headers}
        content = {"mimeType": "application/json", "text": json.dumps(body)}
        return {"request": request, "response": {"status": 200, "content": content, "headers": []}}

    file = folder / "dashboard.har"
    entries = [entry("/machines", {"instances": [{**MACHINE, "mystery": "key-4711-abcdef"}]})]
    file.write_text(json.dumps({"log": {"entries": entries}}))
    return str(file)


def test_a_later_run_adds_to_what_earlier_ones_saw(
    document: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reference, out = tmp_path / "reference.json", tmp_path / "mine.yaml"
    reference.write_bytes(bytes_of(vague(document)))
    run("learn", "--openapi", str(reference), "--out", str(out))
    before = yaml.safe_load(out.read_text())
    assert "likely" in out.read_text()
    run("learn", "--from-har", har(tmp_path), "--out", str(out), "--overwrite")
    assert "seen: reference.json, dashboard.har" in capsys.readouterr().out
    after = yaml.safe_load(out.read_text())
    assert after.get("operations") == before.get("operations")
    assert "dashboard.har shows the same" in out.read_text()
    kept = tmp_path / "mine.evidence.json"
    assert "key-4711-abcdef" not in kept.read_text() + out.read_text()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert run("learn", "--out", str(out), "--overwrite") == 0, "what was seen is enough"
    assert yaml.safe_load(out.read_text()) == after
    assert run("learn", "--out", str(out), "--overwrite", "--afresh") == 2
    assert "at least one of" in capsys.readouterr().err


def test_several_places_in_one_run(document: dict[str, Any], tmp_path: Path) -> None:
    reference, out = tmp_path / "reference.json", tmp_path / "mine.yaml"
    reference.write_bytes(bytes_of(vague(document)))
    words = ("--openapi", str(reference), "--from-har", har(tmp_path))
    assert run("learn", *words, "--out", str(out)) == 0
    assert "dashboard.har shows the same" in out.read_text()


def test_evidence_is_read_as_it_was_written(document: dict[str, Any]) -> None:
    found = [*learn_openapi(bytes_of(document)).evidence, *answers().evidence]
    again = read_evidence(evidence_text(found).encode(), "x.json")
    assert wires(learn_evidence(again)) == wires(learn_evidence(found))


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[1]", '[{"source": "a", "kind": "rumour", "root": {}}]', "[[]]", '["\\ud800"]'],
)
def test_what_is_no_evidence_is_refused(text: str) -> None:
    with pytest.raises(LearnError):
        read_evidence(text.encode(), "x.json")
    with pytest.raises(LearnError):
        learn_evidence([])


# Any claims of any places

_WIRES = st.sampled_from(["a", "b", "c", None])
_CLAIMS = st.dictionaries(
    st.sampled_from(["schemas.UserVM.name", "schemas.UserVM.status", "words.VMStatus.off"]),
    st.tuples(_WIRES, st.sampled_from(["certain", "likely", "guess"])),
)


def part(claims: dict[str, tuple[Any, Any]]) -> Learned:
    matches = {what: Match(what, wire, "why", sure) for what, (wire, sure) in claims.items()}
    return Learned("x", matches)


@given(st.lists(_CLAIMS, min_size=1, max_size=4), st.randoms())
def test_nothing_certain_is_overturned_and_the_order_decides_nothing(
    claims: list[dict[str, tuple[Any, Any]]], random: Any
) -> None:
    parts = [part(one) for one in claims]
    names = [f"place {n}" for n in range(len(parts))]
    whole = together(parts, names, "x")
    for number, one in enumerate(claims):
        for what, (wire, sure) in one.items():
            assert (what in whole.matches) != (what in whole.open)
            if sure == "certain" and what in whole.matches:
                assert whole.matches[what].wire == wire, number
            if sure == "certain" and what in whole.open:
                assert wire in [c.wire for c in whole.open[what].candidates]
    order = list(range(len(parts)))
    random.shuffle(order)
    other = together([parts[n] for n in order], [names[n] for n in order], "x")
    assert wires(other) == wires(whole)
    assert set(other.open) == set(whole.open)


# Swagger 2


def test_a_swagger_2_document_is_read_as_its_openapi_3_twin(document: dict[str, Any]) -> None:
    def older(node: Any) -> Any:
        if isinstance(node, dict):
            return {
                k: v.replace("#/components/schemas/", "#/definitions/") if k == "$ref" else older(v)
                for k, v in node.items()
            }
        return [older(one) for one in node] if isinstance(node, list) else node

    root = older(document)
    for item in root["paths"].values():
        for operation in item.values():
            for parameter in operation.get("parameters", []):
                parameter.update(parameter.pop("schema", {}))
            body = operation.pop("requestBody", None)
            if body:
                schema = body["content"]["application/json"]["schema"]
                given_ = {"in": "body", "name": "body", "schema": schema}
                operation.setdefault("parameters", []).append(given_)
            for answer in operation.get("responses", {}).values():
                content = answer.pop("content", None)
                if content:
                    answer["schema"] = content["application/json"]["schema"]
    old = {
        "swagger": "2.0",
        "host": "api.barrack.ai",
        "basePath": "/v1/",
        "schemes": ["https"],
        "paths": root["paths"],
        "definitions": root["components"]["schemas"],
        "securityDefinitions": root["components"]["securitySchemes"],
        "security": root.get("security"),
    }
    of_old, of_new = learn_openapi(bytes_of(old)), learn_openapi(bytes_of(document))
    assert wires(of_old) == wires(of_new)
    assert set(of_old.open) == set(of_new.open)


@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["paths", "parameters", "definitions", "$ref", "in", "body", "schema", "get",
                 "responses", "200", "host", "basePath", "schemes", "/x"]
            ),
            inner, max_size=4,
        ),
        max_leaves=12,
    )
)  # fmt: skip
def test_any_swagger_2_document_becomes_something_readable(content: Any) -> None:
    root = {"swagger": "2.0", **(content if isinstance(content, dict) else {"paths": content})}
    assert as_openapi(root)["openapi"] == "3.0.3"
    with suppress(LearnError):
        learn_openapi(bytes_of(root))


# Questions


@pytest.fixture(scope="module")
def doubtful(document: dict[str, Any]) -> Learned:
    """A document that leaves as much open as can be."""
    root = vague(document)
    for path in list(root["paths"]):
        odd = f"{path}/x".replace("/machines", "/things")
        root["paths"][odd] = root["paths"].pop(path)
    for schema in root["components"]["schemas"].values():
        schema.get("properties", {}).pop("currency", None)
    learned = learn_openapi(bytes_of(root), source="reference.json")
    return learn_evidence([*learned.evidence, *answers().evidence])


@pytest.mark.parametrize("flow", NEEDS)
def test_for_each_flow_only_what_it_needs_is_asked(flow: str, doubtful: Learned) -> None:
    asked = list(doubtful.questions([flow]))
    everything = [q.what for q in doubtful.questions()]
    assert set(everything) == set(doubtful.open)
    for question in asked:
        assert flow in doubtful.waiting_for(question) or question.what in ("base_url", "auth")
    needed = {f"operations.{name}" for name in NEEDS[flow].operations} & set(doubtful.open)
    assert needed <= {q.what for q in asked}


def test_each_candidate_says_what_it_would_mean(
    doubtful: Learned, document: dict[str, Any]
) -> None:
    questions = [*doubtful.questions(), *learn_openapi(bytes_of(vague(document))).questions()]
    assert questions
    for question in questions:
        for candidate in question.candidates:
            meaning = meaning_of(question.what, candidate.wire)
            assert meaning.endswith("."), question.what
            assert "None" not in meaning
    wire = {"method": "POST", "path": "/x/{instance_id}/off"}
    assert meaning_of("operations.stop_instance", wire) == (
        "'Stop instance' sends POST /x/{instance_id}/off. This changes something."
    )
    assert "stays unknown" in meaning_of("schemas.UserVM.region", None)
    assert "as the parameter 'api_key'" in meaning_of("auth", {"query": "api_key"})
    assert "EUR" in meaning_of(
        "currency", {"values": {"Balance": {"currency": {"constant": "EUR"}}}}
    )
