"""Every kind of fault, seen through plain HTTP, and what it did to the world."""

from __future__ import annotations

import threading
from email.utils import parsedate_to_datetime

import httpx
import pytest

from barrack_tasks.sandbox import Sandbox
from tests.sandbox.conftest import Api

BROKEN = (httpx.ReadError, httpx.RemoteProtocolError)


def _snapshots(sandbox: Sandbox) -> list[str]:
    return [x["name"] for x in sandbox.state()["snapshots"]]


@pytest.fixture
def ask(sandbox: Sandbox) -> dict[str, str]:
    return {"instance_id": sandbox.seed_instance("alpha"), "name": "s"}


@pytest.mark.parametrize(
    ("kind", "happened"), [("refuse", False), ("reset_before", False), ("reset_after", True)]
)
def test_resets(sandbox: Sandbox, api: Api, ask: dict[str, str], kind: str, happened: bool) -> None:
    sandbox.fault(kind, operation="create_snapshot")
    with pytest.raises(BROKEN):
        api.http.post("/snapshots", json=ask)
    assert _snapshots(sandbox) == (["s"] if happened else [])
    (asked,) = sandbox.requests()
    assert (asked["status"], asked["fault"]) == (None, kind)
    # Only once, and other connections are sound.
    assert api.http.post("/snapshots", json=ask).status_code == (409 if happened else 200)


@pytest.mark.parametrize(("kind", "happened"), [("timeout_before", False), ("timeout_after", True)])
def test_timeouts(
    sandbox: Sandbox, api: Api, ask: dict[str, str], kind: str, happened: bool
) -> None:
    sandbox.fault(kind, operation="create_snapshot", seconds=60)
    with pytest.raises(httpx.ReadTimeout):
        api.http.post("/snapshots", json=ask, timeout=0.1)
    assert _snapshots(sandbox) == (["s"] if happened else [])


def test_held_answers_come_in_the_end(sandbox: Sandbox, api: Api, ask: dict[str, str]) -> None:
    sandbox.fault("timeout_before", operation="create_snapshot", seconds=0.02)
    assert api.no(504, "POST", "/snapshots", ask)
    sandbox.fault("timeout_after", operation="create_snapshot", seconds=0.02)
    sandbox.fault("latency", seconds=0.02)
    assert api.ok("POST", "/snapshots", ask)


def test_statuses(sandbox: Sandbox, api: Api, ask: dict[str, str]) -> None:
    sandbox.fault("status", status=429, retry_after=2, count=2)
    for _ in range(2):
        answer = api.http.post("/snapshots", json=ask)
        assert answer.status_code == 429
        assert answer.headers["retry-after"] == "2"
        assert answer.json()["error_reason"] == "rate_limited"
    sandbox.fault("status", status=429, retry_after=7, retry_after_date=True)
    answer = api.http.get("/balance")
    then, now = (parsedate_to_datetime(answer.headers[n]) for n in ("retry-after", "date"))
    assert (then - now).total_seconds() == 7
    for status in (400, 402, 403, 500, 502, 503, 529):
        sandbox.fault("status", status=status, message="No.", error_reason="because")
        body = api.no(status, "POST", "/snapshots", ask)
        assert (body["message"], body["error_reason"]) == ("No.", "because")
    assert _snapshots(sandbox) == []


def test_error_after_the_effect(sandbox: Sandbox, api: Api, ask: dict[str, str]) -> None:
    sandbox.fault("error_after")
    api.no(500, "POST", "/snapshots", ask)
    assert _snapshots(sandbox) == ["s"]


@pytest.mark.parametrize("status", [200, 502])
def test_pages_of_html(sandbox: Sandbox, api: Api, ask: dict[str, str], status: int) -> None:
    sandbox.fault("html", status=status)
    answer = api.http.post("/snapshots", json=ask)
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("text/html")
    assert _snapshots(sandbox) == []


@pytest.mark.parametrize("kind", ["truncated", "malformed"])
def test_answers_that_are_not_json(
    sandbox: Sandbox, api: Api, ask: dict[str, str], kind: str
) -> None:
    sandbox.fault(kind)
    answer = api.http.post("/snapshots", json=ask)
    assert answer.status_code == 200
    with pytest.raises(ValueError, match=r"."):
        answer.json()
    assert _snapshots(sandbox) == ["s"]


def test_an_answer_under_a_wrong_content_type(
    sandbox: Sandbox, api: Api, ask: dict[str, str]
) -> None:
    sandbox.fault("mislabelled")
    answer = api.http.post("/snapshots", json=ask)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.json()["snapshot"]["name"] == "s"
    assert _snapshots(sandbox) == ["s"]


def test_stuck(sandbox: Sandbox, api: Api, ask: dict[str, str]) -> None:
    id_ = ask["instance_id"]
    sandbox.fault("stuck", operation="create_snapshot")
    api.ok("POST", "/snapshots", ask)
    sandbox.advance(86_400)
    assert api.ok("GET", "/snapshots/4101")["snapshot"]["status"] == "CREATING"
    sandbox.fault("stuck", operation="hibernate_instance")
    api.ok("POST", f"/instances/{id_}/hibernate")
    sandbox.advance(3600)
    assert api.status(id_) == "HIBERNATING"


def test_fail(sandbox: Sandbox, api: Api, ask: dict[str, str]) -> None:
    sandbox.fault("fail")
    api.ok("POST", "/snapshots", ask)
    sandbox.advance(90)
    assert api.ok("GET", "/snapshots/4101")["snapshot"]["status"] == "FAILED"
    sandbox.fault("fail", operation="stop_instance")
    api.ok("POST", f"/instances/{ask['instance_id']}/stop")
    sandbox.advance(20)
    assert api.status(ask["instance_id"]) == "ERROR"


def test_vanish(sandbox: Sandbox, api: Api, ask: dict[str, str]) -> None:
    sandbox.fault("vanish", operation="create_snapshot", seconds=100)
    api.ok("POST", "/snapshots", ask)
    sandbox.advance(99)
    assert api.ok("GET", "/snapshots/4101")["snapshot"]["status"] == "SUCCESS"
    sandbox.advance(1)
    api.no(404, "GET", "/snapshots/4101")
    sandbox.fault("vanish", operation="create_instance", seconds=10)
    deploy = {"name": "beta", "region": "CANADA-1", "gpu_model": "L40", "image_id": 1}
    id_ = api.ok("POST", "/instances", deploy)["instance"]["id"]
    sandbox.advance(10)
    api.no(404, "GET", f"/instances/{id_}")


def test_faults_pick_their_requests(sandbox: Sandbox, api: Api) -> None:
    alpha, beta = sandbox.seed_instance("alpha"), sandbox.seed_instance("beta")
    sandbox.fault("status", status=503, operation="get_instance", match="be*", count=None)
    sandbox.fault("status", status=500, operation="get_instance", match=alpha, after=1, count=1)

    def seen(id_: str) -> list[int]:
        return [api.http.get(f"/instances/{id_}").status_code for _ in range(3)]

    assert seen(beta) == [503, 503, 503]
    assert seen(alpha) == [200, 500, 200]
    assert [f["hits"] for f in sandbox.state()["faults"]] == [3, 1]
    sandbox.clear_faults()
    assert seen(beta) == [200, 200, 200]


def test_faults_match_names_in_bodies(sandbox: Sandbox, api: Api, ask: dict[str, str]) -> None:
    sandbox.fault("status", status=503, match="night*", count=None)
    assert api.http.post("/snapshots", json={**ask, "name": "nightly"}).status_code == 503
    assert api.http.post("/snapshots", json=ask).status_code == 200
    sandbox.fault("status", status=500, operation="create_snapshot", match="alpha")
    assert api.http.post("/snapshots", json=ask).status_code == 500


def test_chance_is_seeded() -> None:
    def hits(seed: int) -> list[int]:
        with Sandbox(api_key="test-key", speed=0, fleet=0, seed=seed) as sandbox:
            sandbox.fault("status", status=503, probability=0.5, count=None)
            api = Api(sandbox)
            return [api.http.get("/balance").status_code for _ in range(20)]

    assert hits(1) == hits(1)
    assert hits(1) != hits(2)
    assert set(hits(1)) == {200, 503}


def test_faults_that_cannot_be(sandbox: Sandbox) -> None:
    for how, word in [
        ({"kind": "gremlin"}, "kind"),
        ({"kind": "status"}, "status"),
        ({"kind": "html", "count": 0}, "count"),
        ({"kind": "html", "operation": "fly"}, "fly"),
        ({"kind": "html", "colour": "blue"}, "colour"),
    ]:
        with pytest.raises(ValueError, match=word):
            sandbox.fault(**how)  # type: ignore[arg-type]


def test_a_held_answer_does_not_hold_the_stop() -> None:
    with Sandbox(api_key="test-key", speed=0, fleet=0) as sandbox:
        sandbox.fault("timeout_after", seconds=3600)
        api = Api(sandbox)
        ended: list[type[BaseException]] = []

        def wait() -> None:
            try:
                api.http.get("/balance", timeout=60)
            except httpx.HTTPError as error:
                ended.append(type(error))

        thread = threading.Thread(target=wait)
        thread.start()
        while not sandbox.requests():
            pass
    thread.join(10)
    assert len(ended) == 1
