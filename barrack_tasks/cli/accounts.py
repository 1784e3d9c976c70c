"""Which account a command is about."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from barrack_tasks.api import Barrack, BarrackConfigurationError
from barrack_tasks.api.dialect import load_dialect
from barrack_tasks.cli.screen import Screen
from barrack_tasks.cli.servers import known_server

if TYPE_CHECKING:
    from barrack_tasks.credentials import BarrackCredentials


def account_named(name: str | None, there: bool) -> BarrackCredentials:
    """The account of a block; without a name the environment's, else that of `barrack up`.

    Args:
        name: of a saved block.
        there: whether a Prefect server answers, which has the block that `barrack up` saved.
    """
    from barrack_tasks.cli.up import BLOCK
    from barrack_tasks.credentials import BarrackCredentials

    if name is not None:
        return BarrackCredentials.resolve(name)
    try:
        return BarrackCredentials.from_environment()
    except BarrackConfigurationError:
        if not there:
            raise
        return BarrackCredentials.resolve(BLOCK)


@contextmanager
def leasing_account(screen: Screen, name: str | None) -> Iterator[BarrackCredentials | None]:
    """The account; None, and a sentence, where no Prefect server keeps what people say.

    Args:
        screen: where that is said.
        name: see `account_named`.
    """
    with known_server() as server:
        if server.answers:
            yield account_named(name, True)
        else:
            screen.print(server.absence)
            yield None


def client_from_environment() -> Barrack:
    """A client of the account that the environment names, made without Prefect.

    Raises:
        BarrackConfigurationError: `BARRACK_API_KEY` is not set.
    """
    key = os.environ.get("BARRACK_API_KEY", "").strip()
    if not key:
        raise BarrackConfigurationError(
            "set BARRACK_API_KEY to your key (dashboard, API Keys page) and try again"
        )
    dialect = os.environ.get("BARRACK_DIALECT")
    return Barrack(
        key,
        os.environ.get("BARRACK_BASE_URL") or None,
        dialect=load_dialect(dialect) if dialect else None,
    )
