"""Log lines: whatever a name holds, one message is one line of plain text."""

from __future__ import annotations

import logging
from collections.abc import MutableMapping
from typing import Any

from prefect.logging import get_run_logger as _get_run_logger

from barrack_tasks.api.models.text import one_line

_LONGEST = 4_000


class _OneLine(logging.LoggerAdapter[Any]):
    def log(self, level: int, msg: object, *args: Any, **named: Any) -> None:
        if self.isEnabledFor(level):
            named["stacklevel"] = named.get("stacklevel", 1) + 1
            said = str(msg) % args if args else str(msg)
            super().log(level, "%s", one_line(said, _LONGEST), **named)

    def process(
        self, msg: Any, kwargs: MutableMapping[str, Any]
    ) -> tuple[Any, MutableMapping[str, Any]]:
        return msg, kwargs


def get_logger(name: str) -> logging.LoggerAdapter[Any]:
    r"""The logger of a module, whose messages are one line each, without control characters.

    Example:
        >>> get_logger(__name__).warning("%s is gone", "gpu-1\nERROR forged")
    """
    return _OneLine(logging.getLogger(name), {})


def get_run_logger() -> logging.LoggerAdapter[Any]:
    """As Prefect's own: the logger of the flow or task that runs; its messages are one line each.

    Raises:
        prefect.exceptions.MissingContextError: neither a flow nor a task runs.
    """
    return _OneLine(_get_run_logger(), {})
