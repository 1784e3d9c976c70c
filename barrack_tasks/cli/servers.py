"""The Prefect server that a command speaks with."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass


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
        return "Prefect: none is known; `barrack up` starts one."


@contextmanager
def known_server() -> Iterator[Server]:
    """The server that the environment names, else the one that `barrack up` has started."""
    from prefect.settings import PREFECT_API_URL

    from barrack_tasks.services import Services, answers

    services = Services()
    url = PREFECT_API_URL.value() or services.url
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
