"""The parameters that all flows share: one type, one meaning, one default."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from barrack_tasks.plans.durations import Timeout, span_of
from barrack_tasks.plans.selection import Select, SelectionError
from barrack_tasks.runtime.notify import Notify
from barrack_tasks.server.credentials import Credentials

Protect = Annotated[
    list[str], Field(description="Names, globs and ids that are never touched.", default=[])
]
"""Never touched, whatever selects them; added to the account's own list."""


__all__ = ["Credentials", "Notify", "Protect", "Select", "SelectionError", "Timeout", "span_of"]
