"""Plain Python functions that are called when an event is emitted in this process."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from types import TracebackType
from typing import Any

_log = logging.getLogger(__name__)
_hooks: list[Hook] = []
_lock = threading.Lock()


@dataclass(frozen=True)
class Happening:
    """What a hook is told: the event, the resource's id and name, its instance, the payload.

    And the account, as `BarrackCredentials.account` calls it; None where it is not known.
    """

    event: str
    id: str
    name: str
    instance: str | None = None
    payload: Mapping[str, Any] = field(default_factory=dict)
    account: str | None = None


class Hook:
    """A function that is called for events. Remove it, or use it as a context manager."""

    def __init__(self, pattern: str, call: Callable[[Happening], Any]) -> None:
        self.pattern = pattern
        self.call = call

    def remove(self) -> None:
        """Call it no more."""
        with _lock:
            if self in _hooks:
                _hooks.remove(self)

    def __enter__(self) -> Hook:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.remove()


def on(pattern: str, call: Callable[[Happening], Any]) -> Hook:
    """Call a function for each event that this process emits. For notebooks and scripts.

    It is called in the thread that emits. One that raises is logged and disturbs neither the
    flow nor other functions.

    Args:
        pattern: an event's name, or a glob such as `barrack.instance.*`.
        call: takes a `Happening`.

    Returns:
        A handle: `remove()` it, or use it in a `with` block.

    Example:
        >>> with on("barrack.instance.hibernated", lambda h: print(h.name)):
        ...     hibernate(select=["*"])
    """
    hook = Hook(pattern, call)
    with _lock:
        _hooks.append(hook)
    return hook


def call_hooks(happening: Happening) -> None:
    """Call the functions that asked for an event."""
    with _lock:
        asked = [h for h in _hooks if fnmatchcase(happening.event, h.pattern)]
    for hook in asked:
        try:
            hook.call(happening)
        except Exception:  # noqa: BLE001 - whatever it raises disturbs nothing
            _log.exception("a function for %s failed at %s", hook.pattern, happening.event)
