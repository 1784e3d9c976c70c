"""A sandbox for each test, standing still, and raw HTTP to speak to it.

The wire is written out by hand in these tests: nothing of the client is used.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from barrack_tasks.sandbox import Sandbox

KEY = "test-key"
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Trusts nobody: plain HTTP needs no certificates, and reading them all takes long."""


class Api:
    """Raw requests with the key; bodies as they came."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.http = httpx.Client(
            base_url=sandbox.url,
            headers={"x-api-key": KEY},
            trust_env=False,
            timeout=10,
            verify=NO_TLS,
        )

    def ok(self, method: str, path: str, json: Any = None, /, **query: Any) -> Any:
        """The body of an answer that must be a success."""
        answer = self.http.request(method, path, json=json, params=query or None)
        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert body["status"] is True
        assert body["message"]
        return body

    def no(self, status: int, method: str, path: str, json: Any = None, /, **query: Any) -> Any:
        """The body of an answer that must be a refusal with this status."""
        answer = self.http.request(method, path, json=json, params=query or None)
        assert answer.status_code == status, answer.text
        body = answer.json()
        assert body["status"] is False
        assert body["message"]
        assert body["error_reason"]
        return body

    def status(self, id_: str) -> str:
        """State of an instance."""
        return str(self.ok("GET", f"/instances/{id_}")["instance"]["status"])


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(api_key=KEY, speed=0, fleet=0, settings={"jitter": 0}) as running:
        yield running


@pytest.fixture
def api(sandbox: Sandbox) -> Iterator[Api]:
    api = Api(sandbox)
    yield api
    api.http.close()
