"""Notes of requests that are about to be sent: only who wrote one may withdraw it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from barrack_tasks.api import BarrackNotPermittedError
from barrack_tasks.runtime.leases import Hold
from barrack_tasks.server.variables import Records, key_of_id


@dataclass
class Notes:
    """What this attempt has noted of its requests, where every worker sees it.

    A request that came to nothing needs no note. But an attempt that was stopped for longer than
    its lease wakes to find its own request unsent and a later one, of whoever went on, under the
    same name: that its own was not sent does not mean that nothing was made. So a note is
    withdrawn only while its key is held, and only if it stands as this attempt wrote it. What
    stood before it stands again then, for the request that it is about may have taken effect.

    Args:
        prefix: of the records.
        hold: of the attempt.
    """

    prefix: str
    hold: Hold
    _own: dict[str, Any] = field(default_factory=dict)
    _before: dict[str, Any] = field(default_factory=dict)

    def put(self, keys: Iterable[str], value_of: Callable[[str, Any], Any]) -> None:
        """Note something under each key.

        Args:
            keys: by which it is remembered.
            value_of: what is noted under a key, given what stands there; it names the attempt.
                None to note nothing.
        """
        with Records(self.prefix) as records:
            known = records.all()
            for key in keys:
                before = known.get(f"{self.prefix}{key_of_id(key)}")
                value = value_of(key, before)
                if value is None:
                    continue
                records.put(key_of_id(key), value)
                self._own[key], self._before[key] = value, before

    def withdraw(self, key: str, held: str) -> None:
        """Withdraw what was noted under a key, for nothing came of it.

        Args:
            key: by which it is remembered.
            held: what must be held for that; while it is not, the note stays.
        """
        if key not in self._own:
            return
        try:
            self.hold.check(held)
        except BarrackNotPermittedError:
            return
        name = key_of_id(key)
        with Records(self.prefix) as records:
            if records.some([name]).get(name) == self._own[key]:
                if self._before[key] is None:
                    records.drop(name)
                else:
                    records.put(name, self._before[key])
        self.settled(key)

    def settled(self, key: str) -> None:
        """What was noted under a key stands for good, or was completed."""
        self._own.pop(key, None)
        self._before.pop(key, None)
