"""The operation table agrees with the reference, and its parts with each other."""

from __future__ import annotations

import csv
import typing
from collections.abc import Iterator
from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from barrack_tasks.api import BarrackValidationError
from barrack_tasks.api import models as m
from barrack_tasks.api.dialect import builtin
from barrack_tasks.api.operations import (
    OPERATIONS,
    PARAMETERS,
    ByAbsence,
    ByChange,
    ByContents,
    ByName,
    ByState,
    NeverRepeat,
    Operation,
    Repeat,
)
from barrack_tasks.api.resources import Instances, Volumes
from barrack_tasks.api.transport.exchange import Call

DATA = Path(__file__).parent.parent / "data"
ROWS = list(csv.DictReader((DATA / "barrack-operations.csv").open()))
SCHEMAS = (DATA / "barrack-schemas.txt").read_text().split()
ALL = list(OPERATIONS.values())

# The reference names no schema in these places; the names are this library's own.
OWN_REQUESTS = {"delete_scripts": "DeleteScriptsRequest"}
OWN_RESPONSES = {
    "list_snapshots": "ListSnapshotsResponse",
    "delete_script": "MessageResponse",
    "delete_scripts": "MessageResponse",
}
# The reference names `Snapshot`, which is taken to stand under `snapshot` [I]: a bare one would
# put its own status where an answer has its.
WRAPPED = {"get_snapshot": "GetSnapshotResponse"}


def by_name(operation: Operation[Any]) -> str:
    return operation.name


def of_kind(kind: type) -> list[Operation[Any]]:
    return [operation for operation in ALL if isinstance(operation.lost, kind)]


# The reference


def test_every_row_is_an_operation_and_no_other() -> None:
    assert list(OPERATIONS) == [row["task"] for row in ROWS]
    assert len(ROWS) == 68


@pytest.mark.parametrize("row", ROWS, ids=[row["task"] for row in ROWS])
def test_operation_agrees_with_its_row(row: dict[str, str]) -> None:
    operation = OPERATIONS[row["task"]]
    assert operation.name == row["task"]
    assert operation.title == row["operation"]
    assert operation.group == row["group"]
    assert operation.method == row["method"]
    assert operation.method_is == row["method_is"]
    assert operation.path == row["path_inferred"]
    assert operation.path_is == "inferred"
    asked = row["request_schema"] or OWN_REQUESTS.get(operation.name)
    assert (operation.request.__name__ if operation.request else None) == asked
    answered = WRAPPED.get(operation.name) or row["response_schema"]
    assert operation.response.__name__ == (answered or OWN_RESPONSES[operation.name])


def test_exceptions_are_exceptions() -> None:
    rows = {row["task"]: row for row in ROWS}
    assert not any(rows[name]["request_schema"] for name in OWN_REQUESTS)
    assert not any(rows[name]["response_schema"] for name in OWN_RESPONSES)
    for name, wrapper in WRAPPED.items():
        wrapped = getattr(m, wrapper).model_fields[OPERATIONS[name].result].annotation
        assert wrapped.__name__ == rows[name]["response_schema"]


def test_no_two_operations_share_method_and_path() -> None:
    assert len({(operation.method, operation.path) for operation in ALL}) == len(ALL)


@pytest.mark.parametrize("operation", ALL, ids=by_name)
def test_builtin_dialect_says_how_it_goes_on_the_wire(operation: Operation[Any]) -> None:
    wire = builtin().operations[operation.name]
    assert (wire.method, wire.path) == (operation.method, operation.path)
    assert set(wire.query) == set(operation.query)


def test_windows_of_billing_are_called_alike() -> None:
    windows = [operation for operation in ALL if "start" in operation.query]
    assert len(windows) == 5
    for operation in windows:
        assert builtin().operations[operation.name].query == {"start": "from", "end": "to"}
    for schema in ("BillingSummary", "VolumeBillingSummary", "UsageSummaryResponse"):
        assert builtin().schemas[schema] == {"start": "from", "end": "to"}


@pytest.mark.parametrize("schema", sorted(builtin().schemas))
def test_builtin_dialect_renames_only_what_there_is(schema: str) -> None:
    assert set(builtin().schemas[schema]) <= set(getattr(m, schema).model_fields)


# The schemas


def inside(annotation: Any) -> Iterator[type]:
    """Models and enums that an annotation speaks of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel | Enum):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from inside(argument)


def reachable() -> set[type]:
    """Models and enums that requests and answers are made of."""
    found: set[type] = set()
    waiting: list[type] = [x for o in ALL for x in (o.request, o.response) if x is not None]
    while waiting:
        kind = waiting.pop()
        if kind in found:
            continue
        found.add(kind)
        if issubclass(kind, BaseModel):
            for info in kind.model_fields.values():
                waiting.extend(inside(info.annotation))
    return found


def name_of(kind: type) -> str:
    return kind.__name__


KINDS = sorted(reachable(), key=name_of)


def test_reference_has_126_schemas() -> None:
    assert len(SCHEMAS) == len(set(SCHEMAS)) == 126


@pytest.mark.parametrize("name", SCHEMAS)
def test_schema_is_a_model_or_an_enum(name: str) -> None:
    kind = getattr(m, name)
    assert issubclass(kind, BaseModel | Enum)
    assert kind.__name__ == name
    assert name in m.__all__


def test_every_schema_belongs_to_an_operation() -> None:
    unused = set(SCHEMAS) - {kind.__name__ for kind in reachable()}
    # The body of a refusal belongs to every operation, and so to no row of the table.
    assert unused == {"ErrorResponse"}


def test_every_public_model_belongs_to_an_operation() -> None:
    bases = {m.Answer, m.Model, m.OpenEnum, m.OpenIntEnum, m.Request, m.StockCount}
    public = {getattr(m, name) for name in m.__all__}
    kinds = {kind for kind in public if isinstance(kind, type)} - bases
    assert kinds - reachable() == {m.ErrorResponse}


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_an_empty_shell(kind: type) -> None:
    if issubclass(kind, Enum):
        assert list(kind)
        return
    assert kind.__doc__
    assert issubclass(kind, BaseModel)
    own = set(kind.model_fields) - set(m.Answer.model_fields)
    if not own:
        assert issubclass(kind, m.Answer)
        for operation in ALL:
            if operation.response is kind:
                assert operation.result == ""
                assert operation.changes


# The parts of the table


@pytest.mark.parametrize("operation", ALL, ids=by_name)
def test_result_is_a_field_of_the_answer(operation: Operation[Any]) -> None:
    if operation.result:
        assert operation.result in operation.response.model_fields
    if operation.paged:
        fields = operation.response.model_fields
        assert typing.get_origin(fields[operation.result].annotation) is list
        assert m.Pagination in inside(fields["pagination"].annotation)
        (item,) = inside(fields[operation.result].annotation)
        assert issubclass(item, BaseModel)
        assert item.model_fields["id"].is_required()


@pytest.mark.parametrize("operation", ALL, ids=by_name)
def test_parameters_are_documented(operation: Operation[Any]) -> None:
    for parameter in (*operation.path_parameters, *operation.query):
        assert PARAMETERS[parameter].endswith(".")


def test_no_parameter_is_documented_that_there_is_not() -> None:
    used = {p for operation in ALL for p in (*operation.path_parameters, *operation.query)}
    assert set(PARAMETERS) == used


@pytest.mark.parametrize("operation", ALL, ids=by_name)
def test_path_and_body_do_not_share_a_name(operation: Operation[Any]) -> None:
    fields = set(operation.request.model_fields) if operation.request else set()
    assert not fields & {*operation.path_parameters, *operation.query}


def test_path_parameters_are_in_order() -> None:
    assert OPERATIONS["remove_firewall_rule"].path_parameters == ("firewall_id", "rule_id")
    assert OPERATIONS["list_regions"].path_parameters == ()


# Lost answers


@pytest.mark.parametrize("operation", ALL, ids=by_name)
def test_place_to_look_at_can_be_asked(operation: Operation[Any]) -> None:
    look = getattr(operation.lost, "look", None)
    if look is None:
        return
    looked = OPERATIONS[look]
    assert not looked.changes
    assert looked.request is None
    fields = set(operation.request.model_fields) if operation.request else set()
    assert set(looked.path_parameters) <= {*operation.path_parameters, *fields}


@pytest.mark.parametrize("operation", of_kind(ByName), ids=by_name)
def test_creates_are_looked_for_in_a_list_of_named_things(operation: Operation[Any]) -> None:
    assert isinstance(operation.lost, ByName)
    looked = OPERATIONS[operation.lost.look]
    assert looked.paged
    (item,) = inside(looked.response.model_fields[looked.result].annotation)
    assert issubclass(item, BaseModel)
    assert {"id", "name", "created_at"} <= set(item.model_fields)
    assert operation.request is not None
    assert operation.request.model_fields["name"].is_required()
    # What is found there can stand in for the answer that was lost.
    seen = item.model_validate({"id": 7, "name": "alpha", "status": "READY"})
    answer = {operation.result: seen.model_dump()} if operation.result else seen.model_dump()
    made = operation.response.model_validate(answer)
    result = getattr(made, operation.result) if operation.result else made
    assert (result.id, result.name) == ("7", "alpha")


@pytest.mark.parametrize("operation", of_kind(ByAbsence), ids=by_name)
def test_deletes_are_deletes(operation: Operation[Any]) -> None:
    assert operation.method == "DELETE"


def test_every_delete_is_looked_for_by_absence() -> None:
    assert of_kind(ByAbsence) == [operation for operation in ALL if operation.method == "DELETE"]


@pytest.mark.parametrize("operation", of_kind(ByChange), ids=by_name)
def test_toggles_show_in_a_field(operation: Operation[Any]) -> None:
    assert isinstance(operation.lost, ByChange)
    looked = OPERATIONS[operation.lost.look]
    (seen,) = inside(looked.response.model_fields[looked.result].annotation)
    assert issubclass(seen, BaseModel)
    assert operation.lost.field in seen.model_fields


def test_what_is_never_repeated() -> None:
    assert [o.name for o in of_kind(NeverRepeat)] == ["reboot_instance", "chat"]


def test_reads_change_nothing_and_all_else_does() -> None:
    posted_reads = {"quote_price", "list_snapshot_images"}
    for operation in ALL:
        is_read = operation.method == "GET" or operation.name in posted_reads
        assert operation.changes is not is_read, operation.name


def test_a_replacement_is_a_change_by_whatever_method() -> None:
    operation = OPERATIONS["update_script"]
    assert operation.lost == Repeat(changes=True)
    assert operation.changes
    assert replace(operation, method="POST").changes


@pytest.mark.parametrize("operation", of_kind(ByState), ids=by_name)
def test_actions_end_in_a_state(operation: Operation[Any]) -> None:
    assert isinstance(operation.lost, ByState)
    assert any(state.is_stable for state in operation.lost.reached)
    assert any(state.is_transitional for state in operation.lost.reached)


# Looking at contents

SSH = {
    "direction": "ingress",
    "ethertype": "IPv4",
    "protocol": "tcp",
    "port_range_min": 22,
    "port_range_max": 22,
    "remote_ip_prefix": "203.0.113.0/24",
}


def found(name: str, sent: dict[str, Any], answer: dict[str, Any]) -> Any:
    """What is found of a request, by way of the models, as its operation's answer."""
    operation = OPERATIONS[name]
    assert isinstance(operation.lost, ByContents)
    assert operation.request is not None
    body = operation.request.model_validate(
        {k: v for k, v in sent.items() if k not in operation.path_parameters}
    )
    fields = {k: getattr(body, k) for k in type(body).model_fields}
    path = {p: sent[p] for p in operation.path_parameters}
    looked = OPERATIONS[operation.lost.look].response.model_validate(answer)
    thing = operation.lost.found({**path, **fields}, looked)
    if thing is None:
        return None
    if not operation.result:
        assert thing is True
        return True
    content = thing.model_dump() if isinstance(thing, m.Model) else thing
    return getattr(operation.response.model_validate({operation.result: content}), operation.result)


def instance(**fields: Any) -> dict[str, Any]:
    return {"instance": {"id": "BRK-1", "name": "alpha", "status": "ACTIVE", **fields}}


def firewall(**fields: Any) -> dict[str, Any]:
    return {"firewall": {"id": 3, "name": "wall", **fields}}


def rules(name: str, seen: list[dict[str, Any]]) -> Any:
    if name == "add_security_rule":
        return found(name, {"instance_id": "BRK-1", **SSH}, instance(security_rules=seen))
    return found(name, {"firewall_id": "3", **SSH}, firewall(rules=seen))


@pytest.mark.parametrize("name", ["add_security_rule", "add_firewall_rule"])
def test_a_rule_is_found_among_others(name: str) -> None:
    other = {"id": 1, **SSH, "port_range_max": 23}
    rule = rules(name, [other, {"id": 2, "status": "ACTIVE", **SSH}])
    assert (rule.id, rule.port_range_max) == ("2", 22)
    assert rules(name, [other]) is None
    assert rules(name, []) is None


@pytest.mark.parametrize("name", ["add_security_rule", "add_firewall_rule"])
@pytest.mark.parametrize(
    "other",
    [
        {"direction": "egress"},
        {"ethertype": "IPv6"},
        {"protocol": "udp"},
        {"port_range_min": 21},
        {"remote_ip_prefix": "203.0.112.0/24"},
        {"remote_ip_prefix": "anywhere"},
        {"remote_ip_prefix": None},
    ],
    ids=str,
)
def test_a_rule_about_something_else_is_not_it(name: str, other: dict[str, Any]) -> None:
    assert rules(name, [{"id": 1, **SSH, **other}]) is None


def test_a_rule_is_found_however_it_is_said() -> None:
    asked = {"protocol": "tcp", "ethertype": "IPv6"}
    said = {
        "direction": "INGRESS",
        "ethertype": "ipv6",
        "protocol": "TCP",
        "port_range_min": 1,
        "port_range_max": 65535,
        "remote_ip_prefix": "0:0::/0",
    }
    seen = firewall(rules=[{"id": 1, **said}])
    assert found("add_firewall_rule", {"firewall_id": "3", **asked}, seen).id == "1"


def test_ports_say_nothing_about_a_protocol_without_ports() -> None:
    seen = firewall(rules=[{**SSH, "protocol": "icmp", "remote_ip_prefix": "0.0.0.0/0"}])
    assert found("add_firewall_rule", {"firewall_id": "3", "protocol": "icmp"}, seen)


def test_volumes_are_attached_when_all_are() -> None:
    sent = {"instance_id": "BRK-1", "volume_ids": [1, "2"]}
    both = instance(volumes=[{"id": 2}, {"id": 3}, {"id": "1", "name": "data"}])
    assert {volume.id for volume in found("attach_volumes", sent, both)} == {"1", "2"}
    assert found("attach_volumes", sent, instance(volumes=[{"id": 1}])) is None


def test_volumes_are_detached_when_none_is_left() -> None:
    sent = {"instance_id": "BRK-1", "volume_ids": ["1", "2"]}
    assert found("detach_volumes", sent, instance(volumes=[{"id": 3}])) is True
    assert found("detach_volumes", sent, instance(volumes=[{"id": 2}])) is None


def test_a_firewall_is_attached_when_it_is_to_all() -> None:
    sent = {"firewall_id": "3", "instance_ids": ["BRK-1", "BRK-2"]}
    one = {"id": 1, "instance": {"id": "BRK-1"}}
    two = {"id": 2, "instance": {"id": "BRK-2", "status": "ACTIVE"}}
    other = {"id": 3, "instance": {"id": "BRK-3"}}
    seen = found("attach_firewall", sent, firewall(attachments=[one, other, two]))
    assert [attachment.instance.id for attachment in seen] == ["BRK-1", "BRK-2"]
    assert found("attach_firewall", sent, firewall(attachments=[one, other])) is None


def test_a_volume_has_grown_when_it_has_the_size() -> None:
    sent = {"volume_id": "9", "size_gb": 200}

    def seen(size: int | None) -> dict[str, Any]:
        return {"volume": {"id": 9, "name": "data", "size_gb": size}}

    assert found("resize_volume", sent, seen(200)).size_gb == 200
    assert found("resize_volume", sent, seen(100)) is None
    assert found("resize_volume", sent, seen(None)) is None


def test_every_look_at_contents_is_tested_here() -> None:
    assert {operation.name for operation in of_kind(ByContents)} == {
        "add_security_rule",
        "add_firewall_rule",
        "attach_volumes",
        "detach_volumes",
        "attach_firewall",
        "resize_volume",
    }


# The methods of the client


class Sent(Exception):
    """What a method would have sent."""


def refuse(call: Call) -> Any:
    raise Sent(call)


def test_an_empty_list_that_may_be_left_out_is_left_out() -> None:
    with pytest.raises(Sent) as caught:
        Instances(refuse, refuse).create(
            "train-1", "CANADA-1", "L40", image_id="1", volume_ids=[], security_rules=()
        )
    (call,) = caught.value.args
    assert call.body.model_fields_set == {"name", "region", "gpu_model", "image_id"}


def test_an_empty_list_that_is_asked_for_is_refused() -> None:
    with pytest.raises(BarrackValidationError, match="volume_ids: must name at least one"):
        Volumes(refuse, refuse).attach("BRK-A1B2C3D", [])
