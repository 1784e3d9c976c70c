"""The Prefect server that a command speaks with."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from barrack_tasks.server.account_names import normalised


@dataclass(frozen=True)
class Server:
    """Where the server is said to be, and whether it answers there."""

    url: str | None
    answers: bool

    @property
    def absence(self) -> str:
        """What to say where it does not answer."""
        if self.url:
            return f"Prefect: nothing answers at {self.url}."
        return "Prefect: no server is known; `barrack up` starts one."


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


@contextmanager
def known_server() -> Iterator[Server]:
    """The server that the environment names, else the one that `barrack up` has started."""
    from prefect.settings import PREFECT_API_URL

    from barrack_tasks.server.services import Services, answers

    services = Services()
    named, own = PREFECT_API_URL.value(), services.url
    url = own if named is None or is_same_server(str(named), own) else str(named)
    if not url:
        yield Server(None, False)
        return
    with spoken_with(services.environment(url)):
        yield Server(url, answers(url))


@contextmanager
def spoken_with(environment: Mapping[str, str]) -> Iterator[None]:
    """Have Prefect speak with a server; see `Services.environment`."""
    from prefect import settings

    told = {getattr(settings, k): v for k, v in environment.items() if k.startswith("PREFECT_")}
    before = dict(os.environ)
    os.environ.update(environment)
    try:
        with settings.temporary_settings(told):
            yield
    finally:
        os.environ.clear()
        os.environ.update(before)
