"""Each example of the table in docs/first-ten-minutes.md, spoken by client and sandbox.

The two read a dialect with code of their own. What the client sees must be the same in every
dialect, while what goes over the wire is not.
"""

from __future__ import annotations

import json
import logging
import re
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from barrack_tasks.api import (
    Barrack,
    BarrackConfigurationError,
    BarrackError,
    BarrackNotFoundError,
    Dialect,
)
from barrack_tasks.api.dialect import Codec, DialectError, load_dialect
from barrack_tasks.api.models import GetSnapshotResponse, Snapshot, SnapshotStatus
from barrack_tasks.api.operations import OPERATIONS
from barrack_tasks.api.transport.elsewhere import MISSED_FOR, Elsewhere
from barrack_tasks.api.transport.exchange import Call
from barrack_tasks.dialects.doctor import checkup
from barrack_tasks.sandbox import Sandbox
from tests.api.helpers import client_of

PAGE = Path(__file__).resolve().parents[2] / "docs" / "first-ten-minutes.md"
ROW = re.compile(r"^\| (?P<says>[^|]+) \| `(?P<yaml>[^|]+)` \|$", re.MULTILINE)
EXAMPLES = {
    m["says"]: m["yaml"]
    for m in ROW.finditer(PAGE.read_text())
    if re.match(r"\{?[a-z]+: ", m["yaml"])
}
START = datetime(2026, 3, 1, 12, tzinfo=UTC)
TOLD = {"id", "name", "status", "region", "gpu_model", "gpu_count", "hourly_price", "currency"}
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIO0mJ6x0iQ8y5bXb0w3n6l8s8G4m1qk0m0oQ4mGJr1Zx one"

OTHER_KEY = KEY.replace("mJ6x0", "mJ6x1")


class Shouting(Codec):
    """A codec of a user: this wire spells the names of instances in capitals."""

    def decode(self, model: Any, wire: Any) -> Any:
        """As ever, but for the name."""
        canonical = super().decode(model, wire)
        if model.__name__ == "UserVM":
            canonical = {**canonical, "name": canonical["name"].upper()}
        return canonical


def in_dialect(text: str, folder: Path) -> Dialect:
    file = folder / "example.yaml"
    file.write_text(text)
    return load_dialect(file)


def started(dialect: Dialect | None, key: str = "key-1") -> Sandbox:
    sandbox = Sandbox(fleet=5, speed=0.001, seed=3, api_key=key, dialect=dialect, start=START)
    sandbox.start()
    return sandbox


def second(moment: datetime | None) -> datetime | None:
    return moment.astimezone(UTC).replace(microsecond=0) if moment else None


def walk(sandbox: Sandbox, client: Barrack) -> dict[str, Any]:
    """What a caller sees of everything that the examples are about."""
    first = client.instances.list()
    machines = list(first)
    one, two = machines[0].id, machines[1].id
    key = client.ssh_keys.create(name="one", public_key=KEY)
    seen: dict[str, Any] = {
        "machines": [m.model_dump(include=TOLD) for m in machines],
        "made": [second(m.created_at) for m in machines],
        "stock": [s.model_dump() for s in client.gpu_stocks.list()],
        "balance": client.balance.get().model_dump(),
    }
    snapshot = client.snapshots.create(instance_id=one, name="kept", is_image=False)
    seen["snapshot"] = (snapshot.name, snapshot.instance_id, snapshot.is_image)
    seen["taken"] = second(snapshot.created_at)
    sandbox.advance(3600)
    client.instances.stop(two)
    sandbox.advance(3600)
    seen["stopped"] = client.instances.get(two).status
    client.instances.hibernate(one)
    sandbox.advance(3600)
    seen["hibernated"] = client.instances.get(one).status
    image = client.os_images.list()[0]
    made = client.instances.create(
        name="made", region=machines[0].region, gpu_model="RTX-A6000", image_id=image.id,
        ssh_key_id=key.id,
    )  # fmt: skip
    seen["copies"] = [(s.id, s.name, s.instance_id) for s in client.snapshots.list()]
    seen["its copies"] = [s.name for s in client.snapshots.list(instance_id=two)]
    seen["copy"] = client.snapshots.get(snapshot.id).name
    own = client.images.create(name="own", snapshot_id=snapshot.id)
    seen["own images"] = [(i.id == own.id, i.name) for i in client.images.list()]
    seen["made as"] = client.instances.get(made.id).model_dump(include=TOLD - {"id"})
    seen["made with"] = client.instances.get(made.id).ssh_key
    walls = [client.firewalls.create(name=n, region=machines[0].region) for n in ("a", "b")]
    seen["wall"] = client.firewalls.get(walls[0].id).name
    client.firewalls.delete(walls[1].id)
    client.ssh_keys.delete(client.ssh_keys.create(name="two", public_key=OTHER_KEY).id)
    seen["left"] = (
        [w.name for w in client.firewalls.list()],
        [k.name for k in client.ssh_keys.list()],
    )
    with pytest.raises(BarrackNotFoundError):
        client.instances.get("BRK-NOTHERE")
    with pytest.raises(BarrackNotFoundError):
        client.snapshots.get("NOTHERE")
    return seen


def wire_of(sandbox: Sandbox, heard: list[tuple[str, bytes]]) -> str:
    asked = [(r["method"], r["path"], r["query"], r["body"]) for r in sandbox.requests()]
    return json.dumps([asked, [(n, b.decode()) for n, b in heard]], default=str)


@pytest.fixture(scope="module")
def plain() -> tuple[dict[str, Any], str]:
    sandbox = started(None)
    try:
        with client_of(sandbox) as client, client.listening() as heard:
            return walk(sandbox, client), wire_of(sandbox, heard)
    finally:
        sandbox.stop()


def test_the_page_has_examples() -> None:
    assert len(EXAMPLES) >= 18


@pytest.mark.parametrize("says", EXAMPLES)
def test_a_caller_sees_the_same_in_every_dialect(
    says: str, plain: tuple[dict[str, Any], str], tmp_path: Path
) -> None:
    dialect = in_dialect(EXAMPLES[says], tmp_path)
    sandbox = started(dialect)
    try:
        with client_of(sandbox, dialect=dialect) as client, client.listening() as heard:
            seen = walk(sandbox, client)
            spoken = wire_of(sandbox, heard)
            report = checkup(client)
    finally:
        sandbox.stop()
    assert report.file == "", "the doctor would change what is right"
    assert not [str(d) for finding in report.findings for d in finding.differences]
    expected, ours = plain
    if dialect.codec:
        assert [m["name"] for m in seen["machines"]] == [
            m["name"].upper() for m in expected["machines"]
        ]
        return
    for thing, told in expected.items():
        assert seen[thing] == told, thing
    if not {"auth"} & set(yaml.safe_load(EXAMPLES[says])):
        assert spoken != ours, "the example changes nothing on the wire"


def test_a_key_in_the_address_is_not_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    dialect = in_dialect("auth: {query: api_key}", tmp_path)
    sandbox = started(dialect, key="key-of-nobody-4711")
    try:
        with caplog.at_level(logging.DEBUG), client_of(sandbox, dialect=dialect) as client:
            assert len(list(client.instances.list())) == 5
    finally:
        sandbox.stop()
    assert any("/instances" in record.getMessage() for record in caplog.records)
    assert "key-of-nobody-4711" not in caplog.text


WRONG = {
    "operations: {create_snapshot: {path: '/instances/{vm}/snapshots'}}": "may hold {instance_id}",
    "schemas: {UserVM: {name: 'a[].b'}}": "schemas.UserVM.name: only a list",
    "schemas: {UserVM: {volumes: 'a[0]'}}": "schemas.UserVM.volumes: must be names joined",
    "schemas: {CreateVolumeRequest: {name: 'a..b'}}": "schemas.CreateVolumeRequest.name",
    "values: {Balance: {amount: {times: '0'}}}": "values.Balance.amount.times: must be a number",
    "values: {Balance: {amount: {time: '1'}}}": "values.Balance.amount.time: there is no such",
    "values: {Balance: {amount: {}}}": "values.Balance.amount: must say exactly one",
    "values: {Balance: {currency: {constant: YEN}}}": "values.Balance.currency: there is no",
    "values: {UserVM: {created_at: {zone: Mars/Base}}}": "values.UserVM.created_at.zone",
    "values: {UserVM: {status: {cases: [{when: {a: b}, word: OFFISH}]}}}": "values.UserVM.status",
    "values: {DeploymentRequest: {ssh_key_id: {name_of: create_script}}}": "name_of: must be",
    "values: {DeploymentRequest: {ssh_key_id: {name_of: get_pricing}}}": "things with id and name",
    "values: {DeploymentRequest: {volume_ids: {name_of: list_volumes}}}": "name_of: only the id",
    "values: {Snapshot: {is_image: {yes: [x], no: [x]}}}": "values.Snapshot.is_image",
    "operations: {get_snapshot: {parents: {instance_id: list_snapshots}}}": "write the path, too",
    "operations: {get_snapshot: {path: '/i/{instance_id}/s/{snapshot_id}'}}": "must hold {snapshot",
    "operations: {get_snapshot: {path: '/i/{x}/s/{snapshot_id}', parents: {x: list_snapshots}}}": (
        "parents.x: what list_snapshots lists has no field 'x'"
    ),
    "operations: {get_pricing: {path: '/{a}/p', parents: {a: list_instances}}}": "a list in pages",
    "operations: {get_snapshot: {path: '/i/{y}/s/{snapshot_id}', parents: {y: get_pricing_}}}": (
        "parents.y: must be an operation that lists"
    ),
    "operations: {create_instance: {lookup: {f: {path: /f, match: {gpu: gpu}}}}}": "match.gpu",
    "operations: {create_instance: {lookup: {f: {path: /f}}}}": "lookup.f.items",
    "operations: {create_instance: {lookup: {f: {path: '/{f}', items: f, match: {name: f}, "
    "take: f}}}}": "must be a path without parameters",
    "operations: {create_instance: {lookup: {f: {path: /f, items: f, match: {name: f}, take: f, "
    "paged: true}}}}\npaging: {style: cursor}": "lookup.f.paged: only counted pages",
    "operations: {create_instance: {lookup: [1]}}": "lookup: must be a table",
    "joins: {UserVM: {operation: get_pricing, match: {gpu_model: gpu_model}, "
    "take: {hourly_price: hourly}, times: name}}": "joins.UserVM.times: must be a field",
    "operations: {list_instances: {path: '/instances?mine=1'}}": "no spaces, ? or #",
    "operations: {list_instances: {path: '/instances#all'}}": "no spaces, ? or #",
    "joins: {UserVM: {operation: get_price}}": "joins.UserVM.operation",
    "joins: {UserVM: {operation: get_pricing, match: {gpu: gpu_model}, take: {}}}": "UserVM.match",
    "failure: {at: ok}": "failure.good",
    "work: {id: id, path: /works, state: s, done: [a], failed: [b]}": "work.path",
    "codec: 'os.system'": "codec: must be module:Class",
    "paging: {style: guess}": "paging.style",
}


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_is_refused_with_its_place(text: str, tmp_path: Path) -> None:
    with pytest.raises(DialectError) as refusal:
        in_dialect(f"name: x\n{text}", tmp_path)
    assert "line 2" in str(refusal.value)
    assert WRONG[text] in str(refusal.value)


FLAVORS = EXAMPLES[next(says for says in EXAMPLES if "flavor" in says)]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("where: {gpu: H9000}", "shows nothing with gpu_count 1 and gpu A40"),
        ("match: {gpu_model: gpu}", "more than one thing with gpu A40"),
        ("items: 'nowhere'", "shows no list at 'nowhere'"),
        ("path: /nowhere", "nothing at"),
    ],
)
def test_what_cannot_be_looked_up_is_refused_and_nothing_is_sent(
    more: str, said: str, tmp_path: Path
) -> None:
    spoken = in_dialect(FLAVORS, tmp_path)
    content = yaml.safe_load(FLAVORS)
    lookup = content["operations"]["create_instance"]["lookup"]["flavor_name"]
    lookup |= yaml.safe_load(f"{{{more}}}")
    other = in_dialect(yaml.safe_dump(content), tmp_path)
    sandbox = started(spoken)
    try:
        with client_of(sandbox, dialect=other) as client:
            wanted = {"region": "CANADA-1", "gpu_model": "A40", "image_id": "1"}
            with pytest.raises(BarrackError, match=said) as refusal:
                client.instances.create(name="made", **wanted)
        assert refusal.value.took_effect is False
        assert not [r for r in sandbox.requests() if r["method"] == "POST"]
    finally:
        sandbox.stop()


def test_what_the_api_cannot_be_told_is_refused_and_not_left_out(tmp_path: Path) -> None:
    dialect = in_dialect("schemas: {DeploymentRequest: {script_id: null, tier: null}}", tmp_path)
    sandbox = started(dialect)
    wanted = {"region": "CANADA-1", "gpu_model": "A40", "image_id": "1"}
    try:
        with client_of(sandbox, dialect=dialect) as client:
            client.instances.create(name="made", **wanted)
            with pytest.raises(BarrackConfigurationError, match=r"DeploymentRequest\.script_id"):
                client.instances.create(name="other", script_id="7", **wanted)
        assert len([r for r in sandbox.requests() if r["method"] == "POST"]) == 1
    finally:
        sandbox.stop()


def test_a_list_under_a_thing_that_is_still_there_must_be_read(tmp_path: Path) -> None:
    says = next(says for says in EXAMPLES if says.startswith("Lists lie under"))
    dialect = in_dialect(EXAMPLES[says], tmp_path)
    sandbox = started(dialect)
    try:
        with client_of(sandbox, dialect=dialect) as client:
            machines = list(client.instances.list())
            for machine in machines[:2]:
                client.snapshots.create(instance_id=machine.id, name=f"of {machine.name}")
            assert len(list(client.snapshots.list())) == 2
            sandbox.fault("status", "list_snapshots", match=machines[0].id, status=404, count=9)
            with pytest.raises(BarrackNotFoundError):
                list(client.snapshots.list())
    finally:
        sandbox.stop()


def test_a_list_is_read_again_for_what_may_be_new(tmp_path: Path) -> None:
    join = "{operation: list_instances, match: {instance_id: id}, take: {instance_name: name}}"
    dialect = in_dialect(f"joins: {{Snapshot: {join}}}", tmp_path)
    now, there, reads = [0.0], [], []
    elsewhere = Elsewhere(dialect, lambda: now[0], str)
    snapshot = Snapshot(id="s", name="copy", status=SnapshotStatus.SUCCESS, instance_id="i")
    answer = GetSnapshotResponse(snapshot=snapshot)

    def read(call: Call) -> list[Any]:
        reads.append(call.operation.name)
        return list(there)

    def told() -> str | None:
        filled = elsewhere.fill(Call(OPERATIONS["get_snapshot"]), answer, read)
        name: str | None = filled.snapshot.instance_name
        return name

    assert told() is None
    there.append(SimpleNamespace(id="i", name="train-1"))
    now[0] = MISSED_FOR
    assert told() is None, "a list is not read for each thing that it does not show"
    now[0] = MISSED_FOR + 1
    assert told() == told() == "train-1"
    assert reads == ["list_instances"] * 2


@pytest.mark.parametrize(("there", "gone"), [(["one", "two"], False), (["two"], True), ([], True)])
def test_a_thing_that_is_not_listed_any_more_has_gone(
    there: list[str], gone: bool, tmp_path: Path
) -> None:
    says = next(says for says in EXAMPLES if says.startswith("Lists lie under"))
    elsewhere = Elsewhere(in_dialect(EXAMPLES[says], tmp_path), lambda: 0.0, str)
    call = Call(OPERATIONS["list_snapshots"], above={"instance_id": "one"})
    listed = [SimpleNamespace(id=id_) for id_ in there]
    assert elsewhere.has_lost_its_parent(call, lambda _: listed) == gone


@pytest.mark.parametrize(
    ("codec", "why"),
    [("no_such_module_here:Codec", "cannot be imported"), ("json:JSONDecoder", "no class that")],
)
def test_a_codec_that_is_none_is_refused_when_the_client_is_made(
    codec: str, why: str, tmp_path: Path
) -> None:
    dialect = in_dialect(f"codec: '{codec}'", tmp_path)
    with pytest.raises(Exception, match=why):
        Barrack("key-1", dialect=dialect)


def test_a_next_address_leads_to_no_other_host(tmp_path: Path) -> None:
    dialect = in_dialect(
        "paging: {style: next, page_size: limit}\n"
        "schemas: {Pagination: {next_cursor: next, total: null, pages: null}}",
        tmp_path,
    )
    sandbox = Sandbox(fleet=230, speed=0.001, api_key="key-1", dialect=dialect)
    sandbox.start()
    try:
        with client_of(sandbox, dialect=dialect) as client, client.listening() as heard:
            assert len(list(client.instances.list())) == 230
    finally:
        sandbox.stop()
    assert b"https://elsewhere.example" in heard[0][1]
    assert len(heard) == 3
