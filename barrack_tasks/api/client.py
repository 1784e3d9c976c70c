"""The client: one account, one connection pool, one method for each operation."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Self

import httpx

from barrack_tasks.api import resources
from barrack_tasks.api.caller import Caller, RetryPolicy
from barrack_tasks.api.dialect import Dialect, builtin
from barrack_tasks.api.errors import BarrackConfigurationError
from barrack_tasks.api.exchange import Call, Exchange
from barrack_tasks.api.operations import OPERATIONS
from barrack_tasks.api.pacing import Pacer, RetryBudget
from barrack_tasks.api.paging import all_items
from barrack_tasks.api.resources.base import make_call
from barrack_tasks.version import VERSION


class Barrack:
    """A client of the Barrack API. Safe to share between threads.

    Args:
        api_key: the key from the dashboard's API Keys page.
        base_url: where the API is; the dialect's, if not given.
        header_name: header that carries the key; the dialect's, if not given.
        requests_per_second: send no faster than this; None sends as fast as it may.
        max_concurrency: requests under way at once, over all threads.
        retry: how stubborn to be; see `RetryPolicy`.
        dialect: how to speak to this API; the built-in reading, if not given.

    Raises:
        BarrackConfigurationError: no key, or an address that cannot be one.

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
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if not api_key.strip():
            raise BarrackConfigurationError("the API key is empty; set BARRACK_API_KEY")
        if not api_key.strip().isascii() or any(c.isspace() for c in api_key.strip()):
            raise BarrackConfigurationError(
                "the API key holds characters that no key has (spaces or non-ASCII); copy it again"
            )
        dialect = dialect or builtin()
        if header_name:
            auth = dialect.auth.model_copy(update={"header": header_name})
            dialect = dialect.model_copy(update={"auth": auth})
        self.dialect = dialect
        self.base_url = (base_url or dialect.base_url).rstrip("/")
        _check_url(self.base_url)
        # Keeping every connection alive avoids httpcore closing one that a request waits for.
        limits = httpx.Limits(
            max_connections=max_concurrency, max_keepalive_connections=max_concurrency
        )
        self._http = httpx.Client(
            limits=limits,
            headers={"user-agent": f"prefect-barrack/{VERSION}", "accept": "application/json"},
        )
        exchange = Exchange(self._http, dialect, self.base_url, api_key.strip())
        pacer = Pacer(requests_per_second, max_concurrency, clock, sleep)
        self._call: Callable[[Call], Any] = Caller(
            exchange,
            retry or RetryPolicy(),
            pacer,
            RetryBudget(),
            lambda call: list(self._pages(call)),
            clock,
            sleep,
        )
        parts = (self._call, self._pages)
        self.balance = resources.CreditBalance(*parts)
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

    def _pages(self, call: Call) -> Iterator[Any]:
        return all_items(call, self._call, self.dialect.paging)

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

    def close(self) -> None:
        """Close the connections. The client cannot be used after that."""
        self._http.close()

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


def _check_url(url: str) -> None:
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, TypeError) as error:
        raise BarrackConfigurationError(f"base_url {url!r} is not an address: {error}") from None
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise BarrackConfigurationError(
            f"base_url {url!r} is not an address; it must look like https://api.barrack.ai/v1"
        )
