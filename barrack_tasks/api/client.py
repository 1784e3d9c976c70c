"""The client: one account, its connections, one method for each operation."""

from __future__ import annotations

import math
import re
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from datetime import datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy
from types import TracebackType
from typing import Any, Self

import httpx
from pydantic import SecretStr

from barrack_tasks.api import resources
from barrack_tasks.api.dialect import Dialect, builtin, own_address
from barrack_tasks.api.errors import BarrackConfigurationError
from barrack_tasks.api.operations import OPERATIONS
from barrack_tasks.api.resources.base import make_call
from barrack_tasks.api.transport import network
from barrack_tasks.api.transport.addresses import checked_url, is_loopback
from barrack_tasks.api.transport.body import ACCEPTED
from barrack_tasks.api.transport.bounds import DEFAULT, Bounds
from barrack_tasks.api.transport.caller import Caller, RetryPolicy
from barrack_tasks.api.transport.exchange import Call, Exchange
from barrack_tasks.api.transport.pacing import Pacer, RetryBudget, elapsed
from barrack_tasks.api.version import VERSION


class Barrack:
    """A client of the Barrack API. Safe to share between threads.

    Args:
        api_key: the key from the dashboard's API Keys page.
        base_url: where the API is; the dialect's, if not given. It must be given where a dialect
            file names another host than the built-in one.
        header_name: header that carries the key; the dialect's, if not given.
        requests_per_second: send no faster than this; None sends as fast as it may.
        max_concurrency: requests under way at once, over all threads.
        retry: how stubborn to be; see `RetryPolicy`.
        dialect: how to speak to this API; the built-in reading, if not given.
        bounds: how much to take in; see `Bounds`.
        allow_http: send the key in clear to a `http://` address on another machine. If not given,
            the environment's `BARRACK_ALLOW_HTTP=1` allows it.

    Raises:
        BarrackConfigurationError: no key, or an address that cannot be one or is not safe.

    Example:
        >>> with Barrack(api_key) as client:
        ...     for instance in client.instances.list():
        ...         print(instance.name, instance.status)
    """

    def __init__(
        self,
        api_key: str,
        base_url: str | None = None,
        *,
        header_name: str | None = None,
        requests_per_second: float | None = None,
        max_concurrency: int = 64,
        retry: RetryPolicy | None = None,
        dialect: Dialect | None = None,
        bounds: Bounds | None = None,
        allow_http: bool | None = None,
        clock: Callable[[], float] = elapsed,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.base_url = "unknown"
        key, complaint = _key_of(api_key)
        del api_key  # so that no traceback that shows locals shows it
        if complaint:
            raise BarrackConfigurationError(complaint)
        dialect = dialect or builtin()
        if header_name:
            auth = dialect.auth.model_copy(update={"header": header_name, "query": ""})
            dialect = dialect.model_copy(update={"auth": auth})
        _check_auth(dialect)
        _check_limits(requests_per_second, max_concurrency)
        self.dialect = dialect
        self.base_url = checked_url(base_url or own_address(dialect), allow_http)
        bounds = bounds or DEFAULT
        self._pools = _pools(self.base_url, max_concurrency)
        self._exchange = Exchange(self._pools, dialect, self.base_url, key, clock, bounds)
        self._call = Caller(
            self._exchange,
            retry or RetryPolicy(),
            Pacer(requests_per_second, max_concurrency, clock, sleep),
            RetryBudget(),
            dialect.paging,
            clock,
            sleep,
            bounds,
            dialect,
        )
        self._make_resources()

    def _make_resources(self) -> None:
        self._pages: Callable[[Call], Iterator[Any]] = self._call.items
        parts = (self._call, self._pages)
        self.balance = resources.Balance(*parts)
        self.gpu_stocks = resources.GpuStocks(*parts)
        self.gpu_specs = resources.GpuSpecs(*parts)
        self.regions = resources.Regions(*parts)
        self.pricing = resources.Pricing(*parts)
        self.instances = resources.Instances(*parts)
        self.snapshots = resources.Snapshots(*parts)
        self.os_images = resources.OsImages(*parts)
        self.images = resources.Images(*parts)
        self.ssh_keys = resources.SshKeys(*parts)
        self.scripts = resources.Scripts(*parts)
        self.volumes = resources.Volumes(*parts)
        self.firewalls = resources.Firewalls(*parts)
        self.ai = resources.Ai(*parts)

    def guarded(self, permit: Callable[[], float]) -> Barrack:
        """The same client, which asks before it changes anything.

        `permit` is called before each single sending of a request that changes something,
        repetitions included, and again when the connection is there and the first byte would go
        out. It gives the seconds for which it may be relied on, or raises
        `BarrackNotPermittedError`; then nothing is sent. Connections and limits are shared.
        """
        twin = copy(self)
        twin._call = self._call.guarded(permit)
        twin._make_resources()
        return twin

    def now(self) -> datetime:
        """The cloud's time, by the `Date` of its last answer; this machine's, before the first.

        Ages of what is in the cloud are told by it, for the clocks of two machines may differ by
        minutes.
        """
        return self._exchange.now()

    def perform(self, operation: str, /, **arguments: Any) -> Any:
        """Carry out any operation by its name; what the resource's method would return.

        Paged operations give a list.

        Example:
            >>> client.perform("hibernate_instance", instance_id="BRK-A1B2C3D")
        """
        if operation not in OPERATIONS:
            raise BarrackConfigurationError(f"there is no operation named {operation!r}")
        call = make_call(operation, arguments)
        if call.operation.paged:
            return list(self._pages(call))
        answer = self._call(call)
        return getattr(answer, call.operation.result) if call.operation.result else answer

    @contextmanager
    def listening(self) -> Iterator[list[tuple[str, bytes]]]:
        """Collect, for the length of the block, the bodies of successes as they came.

        Gives a list that fills with pairs of an operation's name and a body. Of all threads that
        share the client: meant for looking at an API, not for work.
        """
        heard: list[tuple[str, bytes]] = []
        self._exchange.listener = lambda name, body: heard.append((name, body))
        try:
            yield heard
        finally:
            self._exchange.listener = None

    def close(self) -> None:
        """Close the connections. The client cannot be used after that."""
        for pool in self._pools:
            pool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Barrack(base_url={self.base_url!r})"


_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


def _key_of(api_key: str) -> tuple[SecretStr, str]:
    """The key, and what is wrong with it; nothing, if it can be one."""
    if not isinstance(api_key, str):
        return SecretStr(""), f"the API key must be text, not {type(api_key).__name__}"
    key = SecretStr(api_key.strip())
    if not key.get_secret_value():
        return key, "the API key is empty; set BARRACK_API_KEY"
    if not all("!" <= character <= "~" for character in key.get_secret_value()):
        return key, (
            "the API key holds characters that no key has (spaces, line breaks or non-ASCII); "
            "copy it again from the dashboard's API Keys page"
        )
    return key, ""


def _check_auth(dialect: Dialect) -> None:
    header, scheme, query = dialect.auth.header, dialect.auth.scheme, dialect.auth.query
    if query and not _HEADER.fullmatch(query):
        raise BarrackConfigurationError(
            f"the parameter of the API key cannot be called {query!r}; use a name such as api_key"
        )
    if not _HEADER.fullmatch(header):
        raise BarrackConfigurationError(
            f"the header of the API key cannot be called {header!r}; use a name such as x-api-key"
        )
    if not (scheme.isascii() and scheme.isprintable()):
        raise BarrackConfigurationError(
            f"the scheme before the API key cannot be {scheme!r}; use a word such as Bearer"
        )


def _check_limits(requests_per_second: float | None, max_concurrency: int) -> None:
    if requests_per_second is not None and not 0 < requests_per_second < math.inf:
        raise BarrackConfigurationError(
            f"requests_per_second must be more than 0, or None for no limit; "
            f"got {requests_per_second}"
        )
    if max_concurrency < 1:
        raise BarrackConfigurationError(f"max_concurrency must be 1 or more; got {max_concurrency}")


MOST_POOLS = 16
"""Pools that the connections of a client are spread over at most."""


def _pools(base_url: str, max_concurrency: int) -> list[httpx.Client]:
    """One entry for each connection, taken in turn from several small pools."""
    count = min(MOST_POOLS, max_concurrency)
    # Keeping every connection alive avoids httpcore closing one that a request waits for.
    size = -(-max_concurrency // count)
    limits = httpx.Limits(max_connections=size, max_keepalive_connections=size)
    tls = httpx.create_ssl_context()  # reading the certificates takes longer than all the rest
    pools = [http_client(base_url, limits, tls) for _ in range(count)]
    return [pools[number % count] for number in range(max_concurrency)]


def http_client(
    base_url: str, limits: httpx.Limits, tls: ssl.SSLContext | None = None
) -> httpx.Client:
    """A client for one address: no proxy to this machine, no cookies, no redirects.

    `network.within` holds for its connections.

    Raises:
        BarrackConfigurationError: the proxy that the environment names cannot be used.
    """
    headers = {
        "user-agent": f"prefect-barrack/{VERSION}",
        "accept": "application/json",
        "accept-encoding": ACCEPTED,
    }
    no_cookies = CookieJar(DefaultCookiePolicy(allowed_domains=[]))
    # With a transport of its own a client asks no proxy, and none is on the way to this machine.
    verify = tls or True
    own = is_loopback(base_url)
    transport = httpx.HTTPTransport(limits=limits, verify=verify) if own else None
    try:
        client = httpx.Client(
            verify=verify,
            limits=limits,
            headers=headers,
            cookies=no_cookies,
            transport=transport,
            follow_redirects=False,
        )
    except (ImportError, ValueError, httpx.InvalidURL):
        pass  # its text may hold the password of a proxy
    else:
        network.limit(client)
        return client
    raise BarrackConfigurationError(
        "the proxy that the environment names cannot be used; correct HTTP_PROXY, HTTPS_PROXY and "
        "ALL_PROXY to look like http://proxy.example:3128"
    )
