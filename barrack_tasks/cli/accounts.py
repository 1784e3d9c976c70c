"""Which account a command is about, and what it can be asked."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from barrack_tasks.api import Barrack, BarrackConfigurationError
from barrack_tasks.api.dialect import load_dialect
from barrack_tasks.api.transport.retries import RetryPolicy
from barrack_tasks.cli.up import BLOCK

IMPATIENT = RetryPolicy(attempts=2, longest_wait=1.0, timeout=10.0, deadline=15.0)
"""For what only looks while a person waits: an API that is away is told within seconds."""


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
    from barrack_tasks.cli.servers import known_server

    with known_server() as server:
        if not server.answers and credentials is None:
            raise BarrackConfigurationError(
                "no account is known; set BARRACK_API_KEY to your key (dashboard, API Keys page)"
            )
        if not server.answers:
            raise BarrackConfigurationError(
                f"the block {credentials!r} cannot be read without a Prefect server; "
                f"{server.absence}"
            )
        from barrack_tasks.credentials import BarrackCredentials

        yield BarrackCredentials.find(credentials or BLOCK).get_client()
