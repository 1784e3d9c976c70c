"""Which account a command is about."""

from __future__ import annotations

import os

from barrack_tasks.api import Barrack, BarrackConfigurationError
from barrack_tasks.api.dialect import load_dialect


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
