"""Models: they read what they do not know, keep amounts exact, and refuse typing errors."""

from __future__ import annotations

import copy
import importlib
import json
import pickle
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from barrack_tasks.api import models as m

KINDS = [kind for name in m.__all__ if isinstance(kind := getattr(m, name), type)]
OPEN_ENUMS = [k for k in KINDS if issubclass(k, m.OpenEnum) and k is not m.OpenEnum]
REQUESTS = [k for k in KINDS if issubclass(k, m.Request) and k is not m.Request]
MODELS = [k for k in KINDS if issubclass(k, m.Model) and k is not m.Model]


def test_the_surface_is_what_is_said_to_be() -> None:
    assert len(m.__all__) == len(set(m.__all__))
    module = importlib.import_module("barrack_tasks.api.models")
    assert all(hasattr(module, name) for name in m.__all__)


# Open enums


def known_by(kind: type[m.OpenEnum], word: str) -> bool:
    return any(member.value.casefold() == word.casefold() for member in kind)


@pytest.mark.parametrize("kind", OPEN_ENUMS)
@given(word=st.text(min_size=1))
def test_enums_keep_words_they_do_not_know(kind: type[m.OpenEnum], word: str) -> None:
    member = kind(word)
    assert isinstance(member, kind)
    assert isinstance(member, str)
    assert member.known is known_by(kind, word)
    if not member.known:
        assert member == word
        assert str(member) == f"{member}" == member.value == member.name == word
        assert hash(member) == hash(word)
        assert member == kind(word)
        assert len(kind) == len(kind.__members__)


@pytest.mark.parametrize("kind", OPEN_ENUMS)
def test_enums_know_their_words_in_any_case(kind: type[m.OpenEnum]) -> None:
    for member in kind:
        assert member.known
        assert kind(member.value.upper()) is kind(member.value.lower()) is member
        assert str(member) == member.value


@pytest.mark.parametrize("kind", OPEN_ENUMS)
@pytest.mark.parametrize("value", [None, 1, 1.5, ["ACTIVE"]])
def test_enums_take_words_only(kind: type[m.OpenEnum], value: Any) -> None:
    with pytest.raises(ValueError, match="is not a valid"):
        kind(value)


def test_words_that_nobody_knows_can_be_copied_stored_and_sent() -> None:
    member = m.VMStatus("PAUSED")
    assert pickle.loads(pickle.dumps(member)) == member  # noqa: S301
    assert copy.deepcopy(member) == member
    assert json.dumps(member) == '"PAUSED"'
    answer = m.VMResponse(id="BRK-1", status=member)
    assert json.loads(answer.model_dump_json())["status"] == "PAUSED"
    again = m.VMResponse.model_validate_json(answer.model_dump_json())
    assert isinstance(again.status, m.VMStatus)
    assert again == answer


@given(st.integers())
def test_counts_keep_numbers_they_do_not_know(count: int) -> None:
    member = m.GpuCountEnum(count)
    assert member == count
    assert member.known is (count in (1, 2, 4, 8, 10))
    if count >= 0:
        assert m.GpuCountEnum(str(count)) == count  # type: ignore[arg-type]


@pytest.mark.parametrize("value", ["", "many", "-1", "1.5", None])
def test_counts_take_whole_numbers_only(value: Any) -> None:
    with pytest.raises(ValueError, match="is not a valid"):
        m.GpuCountEnum(value)


def test_states_of_things() -> None:
    assert [s for s in m.VMStatus if s.is_stable] == ["ACTIVE", "SHUTOFF", "HIBERNATED", "DELETED"]
    assert m.VMStatus("PAUSED").is_transitional
    assert not m.VMStatus.ERROR.is_transitional
    assert [s for s in m.SnapshotStatus if s.is_ready] == ["SUCCESS", "available"]
    assert [s for s in m.ImageStatus if s.is_ready] == ["SUCCESS", "available"]
    assert [s for s in m.VolumeStatus if s.is_ready] == ["available", "in-use"]
    for kind in (m.SnapshotStatus, m.ImageStatus):
        assert [s for s in kind if s.is_failed] == ["FAILED", "ERROR"]
    assert [s for s in m.VolumeStatus if s.is_failed] == ["error"]
    for status in (m.SnapshotStatus("x"), m.ImageStatus("x"), m.VolumeStatus("x")):
        assert not status.is_ready
        assert not status.is_failed


# Ids, money, times

MINIMAL: list[tuple[type[BaseModel], dict[str, Any]]] = [
    (m.UserVM, {"name": "alpha", "status": "ACTIVE"}),
    (m.Snapshot, {"name": "alpha", "status": "SUCCESS"}),
    (m.VolumeResponse, {"name": "alpha"}),
    (m.FirewallResponse, {"name": "alpha"}),
    (m.AttachedFirewall, {"name": "alpha"}),
    (m.SSHKeyResponse, {"name": "alpha"}),
    (m.Script, {"name": "alpha"}),
    (m.OSImage, {"name": "alpha"}),
    (m.Image, {"name": "alpha"}),
    (m.AIModel, {}),
    (m.AITransaction, {"cost": "1", "created_at": "2026-01-01T00:00:00Z"}),
]


@pytest.mark.parametrize(("kind", "others"), MINIMAL)
def test_ids_are_numbers_or_strings_and_read_alike(
    kind: type[BaseModel], others: dict[str, Any]
) -> None:
    by_number = kind.model_validate({"id": 17, **others})
    assert by_number == kind.model_validate({"id": "17", **others})
    assert by_number.model_dump()["id"] == "17"
    with pytest.raises(ValidationError):
        kind.model_validate({"id": True, **others})


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_amounts_are_exact(amount: Decimal) -> None:
    for written in (amount, str(amount)):
        balance = m.Balance.model_validate({"amount": written, "currency": "USD"})
        assert isinstance(balance.amount, Decimal)
        assert balance.amount == amount
    text = balance.model_dump_json()
    assert m.Balance.model_validate_json(text).amount == amount


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_an_amount_that_comes_as_a_number_is_read_by_its_text(amount: float) -> None:
    record = m.VolumeBillingRecord.model_validate({"start": 0, "cost": amount})
    assert record.cost == Decimal(repr(amount))


def test_cents_add_up() -> None:
    wire = json.loads('{"transactions": [' + ",".join(
        '{"id": 1, "cost": 0.1, "created_at": "2026-01-01T00:00:00Z"}' for _ in range(3)
    ) + "]}")  # fmt: skip
    history = m.UsageHistoryResponse.model_validate(wire)
    assert sum(t.cost for t in history.transactions) == Decimal("0.3")


@pytest.mark.parametrize("amount", ["", "much", None, [], "1,50"])
def test_what_is_no_amount(amount: Any) -> None:
    with pytest.raises(ValidationError):
        m.Balance.model_validate({"amount": amount, "currency": "USD"})


@given(st.datetimes(timezones=st.none() | st.just(UTC)))
def test_times_have_a_zone(moment: datetime) -> None:
    script = m.Script.model_validate({"id": 1, "name": "boot", "created_at": moment.isoformat()})
    assert script.created_at == moment.replace(tzinfo=UTC)


def test_a_conversation_may_be_dated_in_seconds() -> None:
    reply = m.ChatCompletionsResponse.model_validate({"created": 1767225600, "choices": []})
    assert reply.created == datetime(2026, 1, 1, tzinfo=UTC)


# Answers


@pytest.mark.parametrize(("kind", "others"), MINIMAL)
def test_fields_that_nobody_knows_are_kept(kind: type[m.Model], others: dict[str, Any]) -> None:
    thing = kind.model_validate({"id": 1, **others, "colour": "green"})
    assert thing.unknown == {"colour": "green"}
    assert thing.colour == "green"  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", MODELS)
def test_answers_do_not_change(kind: type[m.Model]) -> None:
    assert kind.model_config["frozen"]
    assert kind.model_config["extra"] == "allow"


def test_a_bare_script_stands_beside_its_message() -> None:
    wire = {"status": True, "message": "Created", "id": 4, "name": "boot", "content": "#!/bin/sh"}
    script = m.Script.model_validate(wire)
    assert (script.id, script.name) == ("4", "boot")
    assert script.unknown == {"status": True, "message": "Created"}
    key = m.SSHKeyResponse.model_validate({"status": True, "id": 4, "name": "laptop"})
    assert key.unknown == {"status": True}


def test_protocols_are_words_or_objects() -> None:
    wire = {"protocols": ["tcp", {"name": "udp", "description": "User Datagram"}, "quic"]}
    protocols = m.GetSupportedProtocolsResponse.model_validate(wire).protocols
    assert [p.name for p in protocols] == ["tcp", "udp", "quic"]
    assert [p.name.known for p in protocols] == [True, True, False]


def test_an_unreadable_relationship_does_not_read_as_none() -> None:
    kind = m.SnapshotImageRelationshipResponse
    assert not kind.model_validate({"snapshot_id": 1, "images": []}).has_image
    image = {"id": 1, "name": "golden"}
    assert kind.model_validate({"snapshot_id": 1, "images": [image]}).has_image
    wires: list[dict[str, Any]] = [{"snapshot_id": 1}, {"images": []}]
    for wire in (*wires, {"snapshot_id": 1, "image": image}):
        with pytest.raises(ValidationError):
            kind.model_validate(wire)
        with pytest.raises(ValidationError):
            m.BatchSnapshotImageRelationshipResponse.model_validate({"relationships": [wire]})


def test_what_a_language_model_said() -> None:
    said = {"choices": [{"message": {"role": "assistant", "content": "Hello"}}]}
    assert m.ChatCompletionsResponse.model_validate(said).text == "Hello"
    assert m.ChatCompletionsResponse.model_validate({"choices": []}).text == ""
    silent = {"choices": [{"message": {"role": "tool", "content": None}}]}
    assert m.ChatCompletionsResponse.model_validate(silent).text == ""


def test_stock_is_counted_from_below() -> None:
    item = m.GPUStockItem.model_validate({"region": "X", "gpu_model": "L40", "available": "200+"})
    assert (item.count.at_least, item.count.is_open_ended) == (200, True)
    item = m.GPUStockItem.model_validate({"region": "X", "gpu_model": "L40", "available": 3})
    assert (item.count.at_least, item.count.is_open_ended) == (3, False)
    assert m.StockCount("plenty").at_least == 0


# Requests


@pytest.mark.parametrize("kind", REQUESTS)
def test_requests_refuse_fields_that_there_are_not(kind: type[m.Request]) -> None:
    with pytest.raises(ValidationError) as caught:
        kind.model_validate({"colour": "green"})
    errors = {error["loc"]: error["type"] for error in caught.value.errors()}
    assert errors[("colour",)] == "extra_forbidden"


@pytest.mark.parametrize("kind", REQUESTS)
def test_requests_do_not_change(kind: type[m.Request]) -> None:
    assert kind.model_config["frozen"]


def test_requests_come_through_json_unchanged() -> None:
    asked: list[m.Request] = [
        m.VMSecurityRuleRequest.model_validate({"protocol": "icmp", "ethertype": "IPv6"}),
        m.CreateVolumeRequest.model_validate(
            {"name": "data", "size_gb": 100, "region": "CANADA-1", "image_id": 7}
        ),
        m.ChatCompletionsRequest.model_validate(
            {"model": "llama", "messages": [{"role": "user", "content": "hi"}], "temperature": 0.7}
        ),
        m.DeleteScriptsRequest(script_ids=["1", "2"]),
    ]
    for request in asked:
        assert type(request).model_validate_json(request.model_dump_json()) == request


def test_a_deployment_boots_from_one_thing() -> None:
    basis = {"name": "alpha", "region": "CANADA-1", "gpu_model": "L40"}
    with pytest.raises(ValidationError, match="what to boot from; got none"):
        m.DeploymentRequest.model_validate(basis)
    with pytest.raises(ValidationError, match="got image_id and volume_id"):
        m.DeploymentRequest.model_validate({**basis, "image_id": 1, "volume_id": 2})
    rule = {"protocol": "tcp", "port_range_min": 22, "port_range_max": 22}
    asked = m.DeploymentRequest.model_validate(
        {**basis, "snapshot_id": 5, "security_rules": [rule]}
    )
    assert (asked.snapshot_id, asked.gpu_count) == ("5", 1)
    with pytest.raises(ValidationError, match="port_range_max is missing"):
        m.DeploymentRequest.model_validate(
            {**basis, "snapshot_id": 5, "security_rules": [{**rule, "port_range_max": None}]}
        )


@pytest.mark.parametrize("kind", [k for k in KINDS if issubclass(k, BaseModel | Enum)])
def test_everything_says_what_it_is(kind: type) -> None:
    assert kind.__doc__
    assert kind.__doc__.strip().endswith(".")
