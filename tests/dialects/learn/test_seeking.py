"""A probe finds the document of an API itself: reads only, of one host, the key only if asked."""

from __future__ import annotations

import json
from collections.abc import Callable
from urllib.parse import urlsplit

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from barrack_tasks.api.dialect.loading import merged
from barrack_tasks.dialects.learn import LearnError, evidence_text, probe
from barrack_tasks.dialects.learn.candidates import is_safe
from barrack_tasks.dialects.learn.seeking import beside, linked
from tests.dialects.learn.helpers import KEY, dialect, everything, furnish, furnished, served
from tests.thinning import some_slow

HOST = "https://api.example"


@pytest.fixture(scope="module")
def document() -> bytes:
    """A document of the API, whose paths no probe would guess."""
    with furnished(dialect("builtin")) as sandbox:
        root = json.loads(served(sandbox))
    root["servers"] = [{"url": f"{HOST}/v9"}]
    root["paths"] = {p.replace("/instances", "/boxes"): item for p, item in root["paths"].items()}
    return json.dumps(root).encode()


Answer = Callable[[httpx.Request], httpx.Response | None]


def probed(answer: Answer, url: str = HOST) -> tuple[str, list[httpx.Request]]:
    """What can be seen of what was learned, and all that was asked."""
    asked: list[httpx.Request] = []

    def send(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return answer(request) or httpx.Response(404, json={"message": "none"})

    learned = probe(url, KEY, send=send)
    assert {r.url.host for r in asked} == {urlsplit(url).hostname}
    assert {r.method for r in asked} == {"GET"}
    assert len(asked) <= 60
    text = everything(learned) + evidence_text(learned.evidence)
    assert KEY not in text
    return text, asked


def has_key(request: httpx.Request) -> bool:
    return KEY in str(request.headers.raw) + str(request.url)


@pytest.mark.parametrize(
    "place",
    some_slow(
        ["/openapi.json", "/openapi.yaml"], ["/swagger.json", "/api-docs", "/v1/openapi.json"]
    ),
)
def test_the_document_is_found_in_the_usual_places(place: str, document: bytes) -> None:
    def answer(request: httpx.Request) -> httpx.Response | None:
        return httpx.Response(200, content=document) if request.url.path == place else None

    text, asked = probed(answer, f"{HOST}/v1" if place.startswith("/v1") else HOST)
    assert f"the document at {HOST}{place} was read" in text
    assert "/boxes/{instance_id}/hibernate" in text
    [found] = [r for r in asked if r.url.path == place]
    assert not has_key(found)


def test_where_the_document_says_that_lists_are_is_asked(document: bytes) -> None:
    machine = {"id": "BRK-1A2B3CD", "name": "a", "status": "ACTIVE"}

    def answer(request: httpx.Request) -> httpx.Response | None:
        if request.url.path == "/openapi.json":
            return httpx.Response(200, content=document)
        if request.url.path == "/v9/boxes":
            return httpx.Response(200, json={"instances": [machine]})
        return None

    text, asked = probed(answer)
    assert has_key(next(r for r in asked if r.url.path == "/v9/boxes"))
    assert f"{HOST} shows the same" in text


def test_a_page_says_where_the_document_is(document: bytes) -> None:
    page = '<script>SwaggerUIBundle({url: "/specs/openapi.json"})</script>'

    def answer(request: httpx.Request) -> httpx.Response | None:
        if request.url.path == "/docs":
            return httpx.Response(200, content=page.encode())
        if request.url.path == "/specs/openapi.json":
            return httpx.Response(200, content=document)
        return None

    text, _ = probed(answer)
    assert f"the document at {HOST}/specs/openapi.json was read" in text


@pytest.mark.parametrize(
    ("location", "is_read"),
    [
        ("/specs/openapi.json", True),
        (f"{HOST}/specs/openapi.json", True),
        ("https://evil.example/openapi.json", False),
        ("//evil.example/openapi.json", False),
        ("http://api.example/openapi.json", False),
        ("https://api.example@evil.example/openapi.json", False),
        ("/openapi.json", False),
    ],
)
def test_a_redirect_is_followed_on_the_same_host_only(
    location: str, is_read: bool, document: bytes
) -> None:
    def answer(request: httpx.Request) -> httpx.Response | None:
        if request.url.path == "/openapi.json":
            return httpx.Response(302, headers={"location": location})
        if request.url.path == "/specs/openapi.json":
            return httpx.Response(200, content=document)
        if request.url.path == "/regions":
            return httpx.Response(200, json={"regions": [{"name": "CANADA-1"}]})
        return None

    text, asked = probed(answer)
    assert ("was read" in text) == is_read
    assert len([r for r in asked if r.url.path == "/openapi.json"]) == 1


def test_a_document_that_asks_for_the_key_gets_it(document: bytes) -> None:
    def answer(request: httpx.Request) -> httpx.Response | None:
        if not has_key(request):
            return httpx.Response(401, json={"message": "who are you"})
        if request.url.path == "/openapi.json":
            return httpx.Response(200, content=document)
        if request.url.path == "/regions":
            return httpx.Response(200, json={"regions": [{"name": "CANADA-1"}]})
        return None

    text, asked = probed(answer)
    assert "was read" in text
    assert [has_key(r) for r in asked if r.url.path == "/openapi.json"] == [False, True]


@pytest.mark.parametrize(
    "content",
    [b"{" * 100, b"", b"<html><a href='openapi.json", b"[1]", b" " * 6_000_000, KEY.encode()],
)
def test_what_is_no_document_is_left_alone(content: bytes) -> None:
    def answer(request: httpx.Request) -> httpx.Response | None:
        if request.url.path == "/regions":
            return httpx.Response(200, json={"regions": [{"name": "CANADA-1"}]})
        return httpx.Response(200, content=content)

    text, _ = probed(answer)
    assert "was read" not in text


def test_a_document_that_shows_the_key_is_not_read(document: bytes) -> None:
    def answer(request: httpx.Request) -> httpx.Response | None:
        if request.url.path == "/regions":
            return httpx.Response(200, json={"regions": [{"name": "CANADA-1"}]})
        if request.url.path == "/openapi.json":
            shown = document.replace(b'"Stop instance"', json.dumps(f"Stop {KEY}").encode())
            return httpx.Response(200, content=shown)
        return None

    text, _ = probed(answer)
    assert "shows the key" in text


def test_where_nothing_is_nothing_is_learned() -> None:
    with pytest.raises(LearnError, match="nothing could be learned"):
        probed(lambda _: None)


@pytest.mark.parametrize("name", ["camel", "upstream"])
def test_from_an_address_alone_every_flow_can_run(name: str) -> None:
    with furnished(dialect(name)) as sandbox:
        furnish(sandbox)
        root = "http://" + sandbox.url.split("/")[2]
        before = len(sandbox.requests())
        learned = probe(root, sandbox.api_key)
        asked = sandbox.requests()[before:]
        assert len(asked) <= 60
        assert all(is_safe(request["path"]) for request in asked)
    report = learned.report()
    cannot = [flow for flow, told in report.flows.items() if not told.can_run]
    assert cannot == []
    assert not [what for what in learned.open if what.startswith("operations.")]


@pytest.mark.parametrize("auth", [{"header": "x-token"}, {"query": "api_key"}])
def test_the_document_tells_how_the_key_is_shown(auth: dict[str, str]) -> None:
    with furnished(merged({"auth": auth}, "other.yaml")) as sandbox:
        furnish(sandbox)
        before = len(sandbox.requests())
        learned = probe("http://" + sandbox.url.split("/")[2], sandbox.api_key)
        asked = sandbox.requests()[before:]
    assert len(asked) <= 60
    assert learned.dialect()["auth"] == auth
    assert not [what for what in learned.open if what.startswith("operations.")]
    was_read = "paging" in learned.matches and any("shows the same" in m.reason
               for m in learned.matches.values())  # fmt: skip
    assert was_read == ("header" in auth), "a probe puts no key into an address"


@given(st.text(max_size=60), st.sampled_from(['"', "'", "("]))
def test_links_lead_to_the_same_host(link: str, quote: str) -> None:
    page = f"<a href={quote}{link}/openapi.json{quote}> {link}openapi"
    for target in [*linked(page, f"{HOST}/docs/x"), beside(link, HOST)]:
        assert not target or target.startswith(f"{HOST}/") or target == HOST
        assert "@" not in target.partition("://")[2].partition("/")[0]
