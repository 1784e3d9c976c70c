"""The Prefect server that a command speaks with."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import httpx

from barrack_tasks.api.transport.addresses import host_of
from barrack_tasks.cli.failing import ServerAwayError, WrongWordsError
from barrack_tasks.server.account_names import normalised


@dataclass(frozen=True)
class Server:
    """Where the server is said to be, and what went wrong when it was asked whether it is well."""

    url: str | None
    problem: httpx.HTTPError | httpx.InvalidURL | None = None

    @property
    def answers(self) -> bool:
        """Whether there is a server, and it answers."""
        return self.url is not None and self.problem is None

    @property
    def absence(self) -> str:
        """What to say where it does not answer."""
        if self.url is None:
            return "Prefect: no server is known; `barrack up` starts one."
        if isinstance(self.problem, httpx.TransportError):
            return (
                f"Prefect: nothing answers at {self.url}; check that the server runs and that "
                f"PREFECT_API_URL is its address, or start one with `barrack up`."
            )
        return "" if self.problem is None else f"Prefect: {about(self.problem)}."

    def away(self, why: str = "") -> Exception:
        """What to raise where it does not answer.

        Args:
            why: it is needed, as the beginning of the sentence.

        Returns:
            A `WrongWordsError` if its address or its password is wrong, else a `ServerAwayError`.
        """
        is_mistake = self.problem is not None and code_about(self.problem) == MISTAKE
        said = f"{why}; {self.absence.removeprefix('Prefect: ')}" if why else self.absence
        return WrongWordsError(said) if is_mistake else ServerAwayError(said)


def is_same_server(one: str, other: str | None) -> bool:
    """Whether two addresses name one server, however they are spelt.

    Example:
        >>> is_same_server("HTTP://localhost:4200/api/", "http://127.0.0.1:4200/api")
        True
    """
    return other is not None and _spelt_alike(one) == _spelt_alike(other)


def _spelt_alike(address: str) -> str:
    """An address in one spelling, in which the name of this machine is its number."""
    shown = normalised(address)
    head, found, rest = shown.partition("://localhost")
    is_name = found and rest[:1] in ("", ":", "/")
    return f"{head}://127.0.0.1{rest}" if is_name else shown


FAILURE, MISTAKE = 1, 2


def code_about(error: httpx.HTTPError | httpx.InvalidURL) -> int:
    """The code of a command that the Prefect server failed: 2 if what a person gave is wrong.

    Example:
        >>> code_about(httpx.ConnectError("refused"))
        1
    """
    if isinstance(error, httpx.InvalidURL | httpx.UnsupportedProtocol):
        return MISTAKE
    is_refused = isinstance(error, httpx.HTTPStatusError) and error.response.status_code in (
        401,
        403,
    )
    return MISTAKE if is_refused else FAILURE


def about(error: httpx.HTTPError | httpx.InvalidURL) -> str:
    """What the Prefect server did, or did not, and what to do about it, without a full stop."""
    if isinstance(error, httpx.InvalidURL):
        return (
            f"PREFECT_API_URL is not an address ({error}); it must look like http://HOST:PORT/api"
        )
    if not isinstance(error, httpx.HTTPStatusError):
        return (
            f"the Prefect server could not be reached ({_cause(error)}); check that it runs, and "
            f"that PREFECT_API_URL is its address"
        )
    url, status = error.request.url, error.response.status_code
    where = f"{url.scheme}://{host_of(str(url))}"
    if status in (401, 403):
        return (
            f"the Prefect server at {where} does not let you in (HTTP {status}); set "
            f"PREFECT_API_AUTH_STRING to its password, as user:secret (the file that `barrack up` "
            f"names does this), PREFECT_API_KEY to a key of Prefect Cloud, or "
            f"PREFECT_CLIENT_CUSTOM_HEADERS to what a proxy before it requires"
        )
    return (
        f"the Prefect server at {where} answered {url.path} with HTTP {status}; check its log, "
        f"and that PREFECT_API_URL is the address of its API, which ends in /api"
    )


def _cause(error: httpx.HTTPError) -> str:
    return f"{type(error).__name__}: {error}".rstrip(": ")


def problem_at(url: str) -> httpx.HTTPError | httpx.InvalidURL | None:
    """Why a Prefect API does not answer; None if it does.

    Prefect's own client asks, so that every setting of it counts: keys, passwords, headers, TLS.

    Raises:
        Exception: what else Prefect's client fails with.
    """
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

    with temporary_settings({PREFECT_API_URL: url, PREFECT_CLIENT_MAX_RETRIES: 0}):
        try:
            with get_client(sync_client=True) as client:
                problem = client.api_healthcheck()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return error
    if problem is None or isinstance(problem, httpx.HTTPError | httpx.InvalidURL):
        return problem
    raise problem


@contextmanager
def known_server() -> Iterator[Server]:
    """The server that the environment names, else the one that `barrack up` has started."""
    from prefect.settings import PREFECT_API_URL

    from barrack_tasks.server.services import Services

    services = Services()
    named, own = PREFECT_API_URL.value(), services.url
    url = own if named is None or is_same_server(str(named), own) else str(named)
    if not url:
        yield Server(None)
        return
    with spoken_with(services.environment(url)):
        yield Server(url, problem_at(url))


_last: dict[str, str] = {}
"""The environment of the server that was spoken with last; empty before that."""


@contextmanager
def spoken_with_last() -> Iterator[str | None]:
    """Speak again with the server that was spoken with last; gives its address, None if none."""
    from prefect.settings import PREFECT_API_URL

    with spoken_with(dict(_last)):
        yield PREFECT_API_URL.value()


@contextmanager
def spoken_with(environment: Mapping[str, str]) -> Iterator[None]:
    """Have Prefect speak with a server; see `Services.environment`."""
    from prefect import settings

    if "PREFECT_API_URL" in environment:
        _last.clear()
        _last.update(environment)
    told = {getattr(settings, k): v for k, v in environment.items() if k.startswith("PREFECT_")}
    before = dict(os.environ)
    os.environ.update(environment)
    try:
        with settings.temporary_settings(told):
            yield
    finally:
        os.environ.clear()
        os.environ.update(before)
