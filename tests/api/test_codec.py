"""The codec: what the wire says becomes the library's words and back, and nothing is lost."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barrack_tasks.api import models as m
from barrack_tasks.api.dialect import Codec, Dialect, builtin
from barrack_tasks.api.dialect.codec import dig, kind_of, steps_of
from barrack_tasks.api.models import Model, Request, rules
from barrack_tasks.sandbox.http import wire

PLAIN = Codec(builtin())
ODD = Dialect(
    schemas={
        "UserVM": {
            "status": "state.word",
            "region": "environment.region",
            "name": "environment.label",
            "hourly_price": "price",
        },
        "VMFlavor": {"gpu_model": "gpu.model", "gpu_count": "gpu.count"},
        "ListUserVMsResponse": {"instances": "", "pagination": "meta"},
        "DeploymentRequest": {"gpu_model": "flavor.gpu", "gpu_count": "flavor.count"},
        "DeleteScriptsRequest": {"script_ids": "."},
        "UpdateScriptRequest": {"content": "body.text", "name": "body.title"},
    },
    words={
        "VMStatus": {"running": "ACTIVE", "up": "ACTIVE", "asleep": "HIBERNATED"},
        "GpuCountEnum": {"one": "1"},
        "RegionEnum": {"ca": "CANADA-1"},
    },
)
CODEC = Codec(ODD)


def read(model: type[Model], value: Any, codec: Codec = CODEC) -> Any:
    return model.model_validate(codec.decode(model, value))


# Reading


def test_names_and_words_are_translated_at_any_depth() -> None:
    found = read(
        m.UserVM,
        {
            "id": 7,
            "state": {"word": "asleep"},
            "environment": {"region": "ca", "label": "alpha"},
            "price": "1.19",
            "flavor": {"gpu": {"model": "L40", "count": "one"}, "vcpus": 2},
        },
    )
    assert (found.id, found.name, found.region) == ("7", "alpha", m.RegionEnum.CANADA_1)
    assert found.status is m.VMStatus.HIBERNATED
    assert found.hourly_price == Decimal("1.19")
    assert (found.flavor.gpu_model, found.flavor.gpu_count, found.flavor.vcpus) == ("L40", 1, 2)
    assert found.unknown == {}


def test_what_is_not_named_is_kept_beside_what_is() -> None:
    found = read(
        m.UserVM,
        {
            "id": 7,
            "state": {"word": "running", "since": "now", "deep": {"x": 1}},
            "environment": {"region": "ca", "label": "alpha", "id": 3},
            "mood": ["good"],
        },
    )
    assert found.unknown == {
        "state": {"since": "now", "deep": {"x": 1}},
        "environment": {"id": 3},
        "mood": ["good"],
    }


def test_words_that_nobody_knows_are_kept() -> None:
    about = {"id": 1, "environment": {"label": "a", "region": "moon"}, "state": {"word": "dozing"}}
    found = read(m.UserVM, about)
    assert (found.status, found.region) == ("dozing", "moon")
    assert not found.status.known


def test_a_word_of_the_models_own_is_understood_too() -> None:
    about = {"id": 1, "environment": {"label": "a"}, "state": {"word": "SHUTOFF"}}
    assert read(m.UserVM, about).status is m.VMStatus.SHUTOFF


def test_a_list_that_is_the_answer_itself() -> None:
    one = {"id": 1, "environment": {"label": "a"}, "state": {"word": "up"}}
    found = read(m.ListUserVMsResponse, [one, {**one, "id": 2}])
    assert [x.id for x in found.instances] == ["1", "2"]
    assert found.pagination is None


@pytest.mark.parametrize("value", [None, 7, "text", True, [], [1], {"state": 7}, {"state": None}])
def test_what_has_another_shape_is_refused_by_the_model_and_breaks_nothing(value: Any) -> None:
    with pytest.raises(ValueError, match="validation error"):
        read(m.UserVM, value)


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)
NAMES = st.sampled_from(
    ["id", "name", "status", "state", "word", "environment", "region", "flavor", "gpu", "volumes"]
)


@given(st.recursive(JSON, lambda inner: st.dictionaries(NAMES, inner, max_size=6)))
def test_no_answer_breaks_it(value: Any) -> None:
    for codec in (CODEC, PLAIN):
        for model in (m.UserVM, m.ListUserVMsResponse, m.ErrorResponse, m.VMDetailsResponse):
            decoded = codec.decode(model, value)
            json.dumps(decoded)


@given(st.dictionaries(st.text(min_size=1, max_size=8), JSON, max_size=6))
def test_unknown_fields_are_kept_as_they_are(more: dict[str, Any]) -> None:
    known = {"id": "1", "name": "a", "status": "ACTIVE"}
    more = {k: v for k, v in more.items() if k not in m.UserVM.model_fields}
    found = read(m.UserVM, {**more, **known}, PLAIN)
    assert found.unknown == more


# Writing


def write(request: Request, codec: Codec = CODEC) -> Any:
    return json.loads(json.dumps(codec.encode(request)))


def test_a_request_is_written_under_the_wires_names_and_words() -> None:
    asked = m.DeploymentRequest(
        name="alpha",
        region=m.RegionEnum.CANADA_1,
        gpu_model=m.GpuModelEnum("L40"),
        gpu_count=m.GpuCountEnum.ONE,
        image_id="1",
        security_rules=[
            m.VMSecurityRuleRequest(
                protocol=m.ProtocolEnum.TCP, port_range_min=22, port_range_max=22
            )
        ],
    )
    written = write(asked)
    assert written["region"] == "ca"
    assert written["flavor"] == {"gpu": "L40", "count": "one"}
    assert written["security_rules"][0]["port_range_min"] == 22
    assert "volume_id" not in written, "what was not given is not sent"
    assert "volume_ids" not in written
    assert write(asked, PLAIN)["gpu_count"] == 1


def test_a_request_that_is_a_list() -> None:
    assert write(m.DeleteScriptsRequest(script_ids=["1", "2"])) == ["1", "2"]
    assert write(m.DeleteScriptsRequest(script_ids=["1"]), PLAIN) == {"script_ids": ["1"]}


def test_fields_that_share_an_object() -> None:
    asked = m.UpdateScriptRequest(name="a", content="b", description="c")
    assert write(asked) == {"body": {"text": "b", "title": "a"}, "description": "c"}


def test_values_of_a_query() -> None:
    moment = datetime(2026, 11, 25, 8, 30, tzinfo=UTC)
    for value, written in [
        (moment, "2026-11-25T08:30:00+00:00"),
        (Decimal("1.10"), "1.10"),
        (m.VMStatus.HIBERNATED, "asleep"),
        (m.VMStatus("PAUSED"), "PAUSED"),
        (m.GpuCountEnum.ONE, "one"),
        (7, 7),
        (0.25, 0.25),
        (True, True),
        ("x", "x"),
        (["a", m.VMStatus.HIBERNATED], ["a", "asleep"]),
        ({"k": m.VMStatus.HIBERNATED}, {"k": "asleep"}),
    ]:
        assert CODEC.encode_value(None, value) == written


def test_of_several_words_the_first_is_written() -> None:
    assert CODEC.encode_value(None, m.VMStatus.ACTIVE) == "running"


# Against the server's own reading, which shares nothing with it

PATHS = st.sampled_from(["a", "b", "a1.b", "a1.c", "x.y.z", "x.y.w", "q", "r.s"])


@given(st.lists(PATHS, min_size=4, max_size=4, unique=True), st.booleans(), st.data())
def test_client_and_server_agree_in_any_dialect(
    paths: list[str], with_words: bool, data: st.DataObject
) -> None:
    fields = ["id", "name", "status", "size_gb"]
    words = {"SnapshotStatus": {"ok": "SUCCESS", "new": "CREATING"}} if with_words else {}
    dialect = Dialect(
        schemas={
            "Snapshot": dict(zip(fields, paths, strict=True)),
            "CreateSnapshotRequest": {"name": paths[0], "instance_id": paths[1]},
        },
        words=words,
    )
    snapshot = m.Snapshot(
        id=data.draw(st.text("0123456789abc", min_size=1, max_size=4).map(lambda x: f"s{x}")),
        name=data.draw(st.text(min_size=1, max_size=5)),
        status=data.draw(st.sampled_from(list(m.SnapshotStatus))),
        size_gb=data.draw(st.none() | st.integers(0, 99)),
    )
    codec = Codec(dialect)
    assert (
        read(m.Snapshot, json.loads(json.dumps(wire.write(dialect, snapshot))), codec) == snapshot
    )
    asked = m.CreateSnapshotRequest(name="a name", instance_id="BRK-1", is_image=True)
    sent = wire.read_body(dialect, m.CreateSnapshotRequest, write(asked, codec))
    assert m.CreateSnapshotRequest.model_validate(sent) == asked


# Its parts


def test_steps_and_what_lies_there() -> None:
    assert [steps_of(path) for path in ("", ".", "a", "a.b")] == [(), (), ("a",), ("a", "b")]
    value = {"a": {"b": None}}
    assert dig(value, ()) is value
    assert dig(value, ("a", "b"), 1) is None
    assert dig(value, ("a", "c"), 1) == 1
    assert dig([1], ("a",), 1) == 1


@pytest.mark.parametrize(
    ("annotation", "kind"),
    [
        (str, (None, False)),
        (m.VMStatus | None, (m.VMStatus, False)),
        (list[m.UserVM], (m.UserVM, True)),
        (list[m.UserVM] | None, (m.UserVM, True)),
        (dict[str, Any], (None, False)),
        (str | int, (None, False)),
        (rules.OfferedGpuCount, (m.GpuCountEnum, False)),
        (rules.Ids, (None, True)),
    ],
)
def test_kinds(annotation: Any, kind: Any) -> None:
    assert kind_of(annotation) == kind
