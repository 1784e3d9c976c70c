"""The manners of the server: keys, paths, headers, pages, and nonsense of all kinds."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from barrack_tasks.sandbox import Sandbox
from tests.sandbox.conftest import KEY, Api


@pytest.mark.parametrize(
    "headers", [{}, {"x-api-key": "wrong"}, {"authorization": f"Bearer {KEY}"}]
)
def test_wrong_keys_are_refused(sandbox: Sandbox, headers: dict[str, str]) -> None:
    for method, path in [("GET", "/balance"), ("POST", "/instances"), ("DELETE", "/instances/x")]:
        answer = httpx.request(method, sandbox.url + path, headers=headers)
        assert answer.status_code == 401
        assert answer.json()["status"] is False
        assert KEY not in answer.text


def test_unknown_paths_and_methods(api: Api) -> None:
    assert api.no(404, "GET", "/nothing/here")["error_reason"] == "unknown_path"
    answer = api.http.put("/instances")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, POST"
    assert answer.json()["status"] is False


def test_static_paths_come_before_templates(sandbox: Sandbox, api: Api) -> None:
    assert "count" in api.ok("GET", "/instances/hibernated")
    assert "instances" in api.ok("GET", "/snapshots/eligible-instances")


def test_ids_are_unquoted(api: Api) -> None:
    body = api.no(404, "GET", "/instances/a%2Fb%20c")
    assert "'a/b c'" in body["message"]


def test_dates_follow_the_sandbox() -> None:
    start = datetime(2031, 5, 1, 12, 0, tzinfo=UTC)
    with Sandbox(api_key=KEY, speed=0, start=start, fleet=0) as sandbox:
        api = Api(sandbox)
        one = api.http.get("/balance")
        sandbox.advance(3661)
        two = api.http.get("/balance")
    assert parsedate_to_datetime(one.headers["date"]) == start
    assert (parsedate_to_datetime(two.headers["date"]) - start).total_seconds() == 3661
    assert one.headers.get_list("date") == [one.headers["date"]]
    assert "server" not in one.headers
    assert one.headers["x-request-id"] != two.headers["x-request-id"]


def test_pages(sandbox: Sandbox, api: Api) -> None:
    ids = [sandbox.seed_instance(f"vm-{n}") for n in range(7)]
    seen: list[str] = []
    for page in (1, 2, 3, 4):
        body = api.ok("GET", "/instances", page=page, page_size=3)
        assert body["pagination"] == {"page": page, "page_size": 3, "total": 7, "pages": 3}
        seen += [x["id"] for x in body["instances"]]
    assert seen == ids
    for bad in ({"page": 0}, {"page": "x"}, {"page_size": 101}, {"page_size": 0}, {"page": "1e9"}):
        assert list(api.no(422, "GET", "/instances", **bad)["errors"]) == list(bad)


def test_bodies_that_are_not_json(api: Api) -> None:
    for content in (
        b"{",
        b"\xff\xfe",
        b"[" * 100_000,
        b"9" * 10_000,
        b'{"a":NaN',
        b"1e" + b"9" * 30,
    ):
        answer = api.http.post("/snapshots", content=content)
        assert answer.status_code in (400, 422), content[:20]
        assert answer.json()["status"] is False
    for value in ([], "x", 1, None, True):
        assert "body" in api.no(422, "POST", "/snapshots", value)["errors"] or value is None
    assert set(api.no(422, "POST", "/snapshots", {})["errors"]) == {"instance_id", "name"}


@pytest.mark.parametrize(
    "number", ["1e400", "-1e-400", "1e999999", "NaN", "Infinity", "2.5", "0e0"]
)
def test_strange_numbers_are_refused(api: Api, number: str) -> None:
    for field in ("name", "instance_id", "is_image"):
        body = f'{{"instance_id": "1", "name": "s", "{field}": {number}}}'
        answer = api.http.post("/snapshots", content=body)
        assert answer.status_code in (404, 422), (field, number)


def test_whole_numbers_may_have_a_point(api: Api) -> None:
    answer = api.http.post("/pricing", content='{"gpu_model": "L40", "gpu_count": 2.0}')
    assert answer.json()["prices"][0]["hourly"] == "2.38"


def test_unknown_fields_are_ignored(sandbox: Sandbox, api: Api) -> None:
    id_ = sandbox.seed_instance("alpha")
    api.ok("POST", "/snapshots", {"instance_id": id_, "name": "s", "colour": "blue"})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
FIELDS = st.dictionaries(
    st.sampled_from(
        ["name", "instance_id", "description", "is_image", "region", "gpu_model", "gpu_count",
         "image_id", "snapshot_id", "public_ip", "volume_ids", "security_rules", "currency"]
    ),
    JSON | st.sampled_from(["L40", "CANADA-1", "1", 1, "s1", [{"protocol": "tcp"}]]),
)  # fmt: skip


@given(
    path=st.sampled_from(["/snapshots", "/instances", "/pricing", "/snapshots/4101/restore"]),
    body=JSON | FIELDS,
)
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_no_body_breaks_the_server(api: Api, path: str, body: Any) -> None:
    content = json.dumps(body).encode()
    assert api.http.post(path, content=content).status_code < 500


@given(
    query=st.dictionaries(
        st.sampled_from(["page", "page_size", "status", "region", "instance_id", "from", "to"]),
        st.text(max_size=12) | st.integers().map(str),
    ),
    path=st.sampled_from(["/instances", "/snapshots", "/instances/{}/billing"]),
)
@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_no_query_breaks_the_server(
    sandbox: Sandbox, api: Api, query: dict[str, str], path: str
) -> None:
    known = sandbox.state()["instances"]
    id_ = known[0]["id"] if known else sandbox.seed_instance("alpha")
    assert api.http.get(path.format(id_), params=query).status_code < 500


def test_operations_without_a_handler_say_so(
    api: Api, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    from barrack_tasks.sandbox.handlers import HANDLERS

    monkeypatch.delitem(HANDLERS, "list_regions")
    assert api.no(501, "GET", "/regions")["error_reason"] == "not_implemented"


def test_a_bug_of_the_sandbox_is_an_error_response(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    from barrack_tasks.sandbox.handlers import HANDLERS

    monkeypatch.setitem(HANDLERS, "list_regions", lambda world, call: 1 / 0)
    assert api.no(500, "GET", "/regions")["error_reason"] == "bug"
