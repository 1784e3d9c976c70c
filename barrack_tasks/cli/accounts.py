"""Which account a command is about, and what it can be asked."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

from barrack_tasks.api import Barrack, BarrackConfigurationError
from barrack_tasks.api.dialect import load_dialect
from barrack_tasks.api.transport.retries import RetryPolicy
from barrack_tasks.cli.servers import known_server
from barrack_tasks.cli.up import BLOCK

if TYPE_CHECKING:
    from barrack_tasks.server.credentials import BarrackCredentials

IMPATIENT = RetryPolicy(attempts=2, longest_wait=1.0, timeout=10.0, deadline=15.0)
"""For what only looks while a person waits: an API that is away is told within seconds."""


def account_named(name: str | None, there: bool) -> BarrackCredentials:
    """The account of a block; without a name the environment's, else that of `barrack up`.

    Args:
        name: of a saved block.
        there: whether a Prefect server answers, which has the block that `barrack up` saved.
    """
    from barrack_tasks.server.credentials import BarrackCredentials

    if name is not None:
        return BarrackCredentials.resolve(name)
    try:
        return BarrackCredentials.from_environment()
    except BarrackConfigurationError:
        if not there:
            raise
        return BarrackCredentials.resolve(BLOCK)


@contextmanager
def leasing_account(name: str | None) -> Iterator[BarrackCredentials]:
    """The account, while a Prefect server answers, which keeps what people say of machines.

    Args:
        name: see `account_named`.

    Raises:
        ServerAwayError: none is known, or it does not answer.
    """
    with known_server() as server:
        if not server.answers:
            raise server.away()
        yield account_named(name, True)


def has_key() -> bool:
    """Whether the environment names an account."""
    return bool(os.environ.get("BARRACK_API_KEY", "").strip())


def client_from_environment(retry: RetryPolicy | None = None) -> Barrack:
    """A client of the account that the environment names, made without Prefect.

    Args:
        retry: how stubborn it is; as flows are, if not given.

    Raises:
        BarrackConfigurationError: `BARRACK_API_KEY` is not set.
    """
    if not has_key():
        raise BarrackConfigurationError(
            "set BARRACK_API_KEY to your key (dashboard, API Keys page) and try again"
        )
    dialect = os.environ.get("BARRACK_DIALECT")
    return Barrack(
        os.environ["BARRACK_API_KEY"].strip(),
        os.environ.get("BARRACK_BASE_URL") or None,
        retry=retry,
        dialect=load_dialect(dialect) if dialect else None,
    )


def account_to_look_at(credentials: str | None) -> AbstractContextManager[Barrack]:
    """A client of the account that a command looks at, which tells soon that nothing answers.

    Args:
        credentials: name of a saved block. Without one it is the environment's account, which
            needs no Prefect, and without that the block that `barrack up` has saved.

    Raises:
        BarrackConfigurationError: no account is known, or no block has this name.
    """
    return _account(credentials, IMPATIENT)


def account_to_act_on(credentials: str | None) -> AbstractContextManager[Barrack]:
    """The same, as patient as flows are."""
    return _account(credentials, None)


@contextmanager
def _account(credentials: str | None, retry: RetryPolicy | None) -> Iterator[Barrack]:
    if credentials is None and has_key():
        with client_from_environment(retry) as client:
            yield client
        return
    with known_server() as server:
        if not server.answers and credentials is None:
            raise BarrackConfigurationError(
                "no account is known; set BARRACK_API_KEY to your key (dashboard, API Keys page)"
            )
        if not server.answers:
            raise server.away(f"the block {credentials!r} cannot be read without a Prefect server")
        from barrack_tasks.server.credentials import BarrackCredentials

        yield BarrackCredentials.find(credentials or BLOCK).get_client(retry)
