"""Small records that every worker sees, kept as Prefect variables."""

from __future__ import annotations

import hashlib
import os
import ssl
import threading
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple, TypeVar

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import VariableCreate, VariableUpdate
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound, PrefectHTTPStatusError
from prefect.settings import (
    PREFECT_API_AUTH_STRING,
    PREFECT_API_KEY,
    PREFECT_API_SSL_CERT_FILE,
    PREFECT_API_TLS_INSECURE_SKIP_VERIFY,
    PREFECT_API_URL,
)
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

MOST_CHARACTERS = 4_500
"""So much JSON fits into one record; Prefect's own limit is 5,000 characters."""
_PAGE = 200
_FIRST_WAIT, _LONGEST_WAIT = 0.05, 8.0
_PATIENCE = 60.0
A = TypeVar("A")


class Stamped(NamedTuple):
    """A record, and when the Prefect server last wrote it, by its own clock."""

    value: Any
    written: datetime


class _BusyError(Exception):
    """The server could not write at this moment."""


def _raise_if_busy(response: httpx.Response) -> None:
    """An SQLite server answers 503 when another write came between its own read and write.

    That passes in milliseconds, and Prefect's client would wait seconds.
    """
    if response.status_code == httpx.codes.SERVICE_UNAVAILABLE and not (
        {"retry-after", "prefect-maintenance"} & response.headers.keys()
    ):
        raise _BusyError(f"the Prefect server answered {response.status_code}")


def key_of_id(id_: str) -> str:
    """A name for the record of one thing: a variable's name takes no capitals."""
    return hashlib.blake2s(id_.encode(), digest_size=8).hexdigest()


def _verification() -> dict[str, Any]:
    """How Prefect's client checks the server's certificate, with what it reads for that kept.

    It reads all certificates of all authorities anew for each client, which takes longer than
    most requests.
    """
    if PREFECT_API_TLS_INSECURE_SKIP_VERIFY.value():
        return {}
    return {"verify": _trust(PREFECT_API_SSL_CERT_FILE.value() or None)}


@cache
def _trust(file: str | None) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=file) if file else httpx.create_ssl_context()


def _client() -> SyncPrefectClient:
    """A client of the Prefect API that is set now; the same one each time, in one process.

    Each new one connects anew, and first asks the server for a token that most do not use.
    """
    url = PREFECT_API_URL.value()
    if not url:  # the address of a temporary server, which may end before this process does
        return _new_client()
    login = (PREFECT_API_AUTH_STRING.value(), PREFECT_API_KEY.value())
    with _lock:
        kept = _clients.get(os.getpid())
        if kept is None or kept[0] != (url, login):
            client = _new_client()
            client.__enter__()  # never left, so that whoever leaves it last does not close it
            kept = _clients[os.getpid()] = ((url, login), client)
        return kept[1]


def _new_client() -> SyncPrefectClient:
    hooks = {"event_hooks": {"response": [_raise_if_busy]}}
    return get_client(sync_client=True, httpx_settings={**hooks, **_verification()})


_lock = threading.Lock()
_clients: dict[int, tuple[Any, SyncPrefectClient]] = {}
"""By process: what its client was made for, and the client."""


class Records:
    """Reads and writes variables whose names begin with `prefix`.

    A context manager. All of a process share their connections to a Prefect API.

    Args:
        prefix: of the names.
        sleep: waits so many seconds.
    """

    def __init__(self, prefix: str, sleep: Callable[[float], None] = time.sleep) -> None:
        self._prefix = prefix
        self._again = Retrying(
            retry=retry_if_exception_type((_BusyError, httpx.TransportError)),
            wait=wait_random_exponential(_FIRST_WAIT, _LONGEST_WAIT),
            stop=stop_after_delay(_PATIENCE),
            sleep=sleep,
            reraise=True,
        )
        self._client: SyncPrefectClient | None = None

    def __enter__(self) -> Records:
        self._client = _client()
        self._client.__enter__()
        return self

    def __exit__(self, *failure: Any) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.__exit__(*failure)

    @property
    def _api(self) -> SyncPrefectClient:
        if self._client is None:
            raise RuntimeError("Records must be used inside its `with` block")
        return self._client

    def all(self) -> dict[str, Any]:
        """All records by name."""
        return {name: found.value for name, found in self.stamped().items()}

    def stamped(self) -> dict[str, Stamped]:
        """All records by name, each with when it was last written."""
        # Underscores are wildcards of SQL's LIKE: what comes too much is left out.
        found = self._like(f"{self._prefix}%")
        return {k: v for k, v in found.items() if k.startswith(self._prefix)}

    def like(self, pattern: str) -> dict[str, Any]:
        """All records by name whose names are like a pattern of SQL, whatever the prefix."""
        return {name: found.value for name, found in self._like(pattern).items()}

    def _like(self, pattern: str) -> dict[str, Stamped]:
        found = self._pages(pattern)
        while len(found) >= _PAGE:
            # A record that is deleted between two pages moves one that is not read over the edge.
            again = self._pages(pattern)
            if again.keys() <= found.keys():
                return again
            found = again
        return found

    def some(self, names: Iterable[str]) -> dict[str, Any]:
        """Those of some records that are there, by the names given, in one request."""
        full = {self._prefix + name: name for name in names}
        asked = {"variables": {"name": {"any_": list(full)}}, "limit": _PAGE}
        page = self._again(self._api.request, "POST", "/variables/filter", json=asked).json()
        return {full[item["name"]]: item["value"] for item in page if item["name"] in full}

    def change(self, name: str, value: Any) -> bool:
        """Write a record that is there; False, and nothing is written, if there is none.

        `name` may carry the prefix, here and everywhere.
        """
        return self._found(self._api.update_variable, self._update(name, value))

    def _update(self, name: str, value: Any) -> VariableUpdate:
        return VariableUpdate(name=self._full(name), value=value)

    def _full(self, name: str) -> str:
        return name if name.startswith(self._prefix) else self._prefix + name

    def _pages(self, pattern: str) -> dict[str, Stamped]:
        found: dict[str, Stamped] = {}
        wanted = {"variables": {"name": {"like_": pattern}}, "limit": _PAGE}
        offset = 0
        while True:
            asked = {**wanted, "offset": offset}
            page = self._again(self._api.request, "POST", "/variables/filter", json=asked).json()
            for item in page:
                written = datetime.fromisoformat(item["updated"])
                found[item["name"]] = Stamped(item["value"], written)
            offset += len(page)
            if len(page) < _PAGE:
                return found

    def put(self, name: str, value: Any) -> None:
        """Write a record, new or not."""
        if not self.change(name, value) and not self.create(name, value):
            self.change(name, value)

    def create(self, name: str, value: Any) -> bool:
        """Write a new record; False, and nothing is written, if there is one of that name."""
        new = VariableCreate(name=self._full(name), value=value)
        try:
            self._again(self._api.create_variable, new)
        except ObjectAlreadyExists:
            return False
        return True

    def rename(self, name: str, target: str, value: Any) -> bool:
        """Give a record another name, and a value, in one step; False if another run was faster.

        Both are full names. Nothing is written where there is a record of that name already.
        """

        def send(body: dict[str, Any]) -> None:
            path: Any = f"/variables/name/{name}"
            self._api.request("PATCH", path, json=body)

        try:
            return self._found(send, {"name": target, "value": value})
        except PrefectHTTPStatusError:
            if self.like(target):
                return False
            raise

    def drop(self, name: str) -> None:
        """Delete a record, if it is there."""
        full = self._full(name)
        self._found(self._api.delete_variable_by_name, full)

    def _found(self, action: Callable[[A], Any], argument: A) -> bool:
        """Do something with a record; False if there is none of that name."""
        try:
            self._again(action, argument)
        except ObjectNotFound:
            return False
        except PrefectHTTPStatusError as error:
            if error.response.status_code != 404:
                raise
            return False
        return True
