"""A cloud that speaks otherwise in every way a dialect can say."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from barrack_tasks.api.dialect import Auth, Dialect, OperationWire, Paging, builtin
from barrack_tasks.sandbox import Sandbox
from tests.sandbox.conftest import KEY, Api

FOREIGN = Dialect(
    name="foreign",
    base_url="https://cloud.example/api/v2",
    auth=Auth(header="Authorization", scheme="Bearer"),
    envelope="result.payload",
    error_envelope="fault",
    request_id_header="X-Trace",
    paging=Paging(style="offset", offset="skip", page_size="take"),
    operations={
        "list_instances": OperationWire(
            method="POST", path="/machines/search", query={"status": "phase", "region": "zone"}
        ),
        "get_instance": OperationWire(
            method="GET",
            path="/machines/{instance_id}",
            path_parameters={"instance_id": "machineId"},
        ),
        "stop_instance": OperationWire(method="PUT", path="/machines/{instance_id}:halt"),
        "list_snapshots": OperationWire(method="GET", path="/copies", envelope=""),
        "create_snapshot": OperationWire(method="PUT", path="/copies"),
        "list_regions": OperationWire(method="GET", path="/zones", envelope="data"),
        "unheard_of": OperationWire(method="GET", path="/unheard-of"),
    },
    schemas={
        "ListUserVMsResponse": {"instances": "machines", "pagination": "."},
        "Pagination": {"total": "stats.count"},
        "UserVM": {"id": "meta.uid", "name": "meta.title", "region": "zone", "status": "phase"},
        "VMDetailsResponse": {"instance": "."},
        "VMInstance": {"id": "uid"},
        "RegionsResponse": {"regions": "."},
        "CreateSnapshotRequest": {"instance_id": "source.machine", "name": "source.title"},
        "ErrorResponse": {"message": "text", "error_reason": "code", "errors": "fields"},
        "Snapshot": {"instance_id": "of"},
    },
    words={
        "VMStatus": {"running": "ACTIVE", "parked": "SHUTOFF", "halting": "STOPPING"},
        "SnapshotStatus": {"copying": "CREATING"},
        "RegionEnum": {"north": "NORWAY-1"},
    },
)


@pytest.fixture
def foreign() -> Iterator[tuple[Sandbox, httpx.Client]]:
    with Sandbox(api_key=KEY, speed=0, fleet=0, dialect=FOREIGN, settings={"jitter": 0}) as sandbox:
        headers = {"authorization": f"Bearer {KEY}"}
        with httpx.Client(base_url=sandbox.url, headers=headers) as http:
            yield sandbox, http


def test_lists(foreign: tuple[Sandbox, httpx.Client]) -> None:
    sandbox, http = foreign
    assert sandbox.url.endswith("/api/v2")
    one = sandbox.seed_instance("one", region="NORWAY-1")
    two = sandbox.seed_instance("two", status="SHUTOFF")
    answer = http.post("/machines/search", params={"skip": 1, "take": 1})
    assert answer.headers["x-trace"]
    payload = answer.json()["result"]["payload"]
    assert payload["status"] is True
    assert (payload["offset"], payload["page_size"], payload["stats"]) == (1, 1, {"count": 2})
    (shown,) = payload["machines"]
    assert shown["meta"] == {"uid": two, "title": "two"}
    assert shown["phase"] == "parked"
    assert not {"id", "name", "region", "status"} & set(shown)
    found = http.post("/machines/search", params={"phase": "running", "zone": "north"}).json()
    assert [x["meta"]["uid"] for x in found["result"]["payload"]["machines"]] == [one]


def test_objects_and_actions(foreign: tuple[Sandbox, httpx.Client]) -> None:
    sandbox, http = foreign
    id_ = sandbox.seed_instance("one", region="NORWAY-1")
    body = http.get(f"/machines/{id_}").json()["result"]["payload"]
    assert (body["uid"], body["region"], body["billing"]["currency"]) == (id_, "north", "USD")
    stopped = http.put(f"/machines/{id_}:halt").json()["result"]["payload"]
    assert stopped["instance"] == {"id": id_, "status": "halting"}
    regions = http.get("/zones").json()["data"]
    assert [r["name"] for r in regions] == ["CANADA-1", "north", "US-1"]


def test_bodies(foreign: tuple[Sandbox, httpx.Client]) -> None:
    sandbox, http = foreign
    id_ = sandbox.seed_instance("one")
    made = http.put("/copies", json={"source": {"machine": id_, "title": "s"}}).json()
    snapshot = made["result"]["payload"]["snapshot"]
    assert (snapshot["of"], snapshot["status"]) == (id_, "copying")
    assert http.get("/copies").json()["snapshots"][0]["of"] == id_
    refused = http.put("/copies", json={"instance_id": id_, "name": "t"})
    assert refused.status_code == 422
    assert set(refused.json()["fault"]["fields"]) == {"source.machine", "source.title"}


def test_refusals(foreign: tuple[Sandbox, httpx.Client]) -> None:
    _, http = foreign
    assert http.get("/machines/none").json()["fault"]["code"] == "not_found"
    assert http.get("/unheard-of").status_code == 404
    answer = http.post("/machines/search", headers={"authorization": KEY})
    assert answer.status_code == 401
    assert answer.json()["fault"]["code"] == "invalid_api_key"


def _with(paging: Paging) -> Dialect:
    return builtin().model_copy(update={"paging": paging})


def test_cursor_paging_survives_deletions() -> None:
    with Sandbox(api_key=KEY, speed=0, fleet=0, dialect=_with(Paging(style="cursor"))) as sandbox:
        api = Api(sandbox)
        ids = [sandbox.seed_instance(f"vm-{n}") for n in range(5)]
        first = api.ok("GET", "/instances", page_size=2)
        sandbox.set_instance_status(ids[1], "DELETED")
        cursor = first["pagination"]["next_cursor"]
        second = api.ok("GET", "/instances", page_size=2, cursor=cursor)
        cursor = second["pagination"]["next_cursor"]
        third = api.ok("GET", "/instances", page_size=2, cursor=cursor)
        seen = [x["id"] for body in (first, second, third) for x in body["instances"]]
        assert seen == ids
        assert third["pagination"] == {"page_size": 2, "next_cursor": None}
        api.no(422, "GET", "/instances", cursor="nonsense")


def test_pages_from_zero_and_no_pages() -> None:
    paging = Paging(style="page", page="p", first_page=0)
    with Sandbox(api_key=KEY, speed=0, fleet=3, dialect=_with(paging)) as sandbox:
        body = Api(sandbox).ok("GET", "/instances", p=1, page_size=2)
        assert len(body["instances"]) == 1
        assert body["pagination"]["page"] == 1
    with Sandbox(api_key=KEY, speed=0, fleet=150, dialect=_with(Paging(style="none"))) as sandbox:
        body = Api(sandbox).ok("GET", "/instances", page=2, page_size=-1)
        assert len(body["instances"]) == 150
        assert body["pagination"] is None


def test_a_dialect_goes_to_a_process_too() -> None:
    with Sandbox(api_key=KEY, speed=0, fleet=1, dialect=FOREIGN, process=True) as sandbox:
        answer = httpx.post(
            sandbox.url + "/machines/search", headers={"authorization": f"Bearer {KEY}"}
        )
        assert len(answer.json()["result"]["payload"]["machines"]) == 1
