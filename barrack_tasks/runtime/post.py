"""The post of a run: what the same people are to hear goes out as one message."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from prefect.blocks.abstract import NotificationBlock

from barrack_tasks.runtime.notify import Severity, is_told, tell

_WORST_FIRST: tuple[Severity, ...] = ("failure", "warning", "success", "info")
_LIBRARY = re.compile(r"^Barrack:? ")
Sent = Callable[[Mapping[str, str]], None]


@dataclass(frozen=True)
class Item:
    """One thing that people are to be told.

    Attributes:
        to: who is told, by the names of their blocks.
        subject: is told as one line.
        body: may have several lines.
        severity: in the words of Apprise.
        picture: an SVG that is attached to mails.
        sent: called once it was told, with those that could not be told, each with the reason.
    """

    to: Mapping[str, NotificationBlock]
    subject: str
    body: str = ""
    severity: Severity = "info"
    picture: str = ""
    sent: Sent = lambda _: None


class Post:
    """What a run has to tell, until it is sent.

    What is not urgent waits for the end of the run. What is urgent is sent at once, and takes all
    that waits with it.

    Args:
        account: what the account is called; stands below each message.
        look: adds what else is to be told, such as guards that are blind; called when a message
            is about to be sent for the first time, and at the end.
    """

    def __init__(self, account: str = "", look: Callable[[Post], None] | None = None) -> None:
        self._account = account
        self._look = look
        self._has_looked = False
        self._items: list[Item] = []
        self.has_failure = False
        """Whether it was added that the run has failed."""

    def add(self, item: Item) -> None:
        """Keep it until `send`; what nobody is to be told counts as told."""
        if item.to:
            self._items.append(item)
        else:
            item.sent({})

    def send(self) -> dict[str, str]:
        """Tell everybody all that waits, in one message each; those that could not be told."""
        if self._items and not self._has_looked:
            self._look_now()
        items, self._items = self._items, []
        failed: dict[str, str] = {}
        for names, together in _by_people(items):
            to = {name: item.to[name] for item in together for name in names if name in item.to}
            one = digest(together)
            failed |= tell(
                to,
                list(names),
                one.subject,
                one.body,
                severity=one.severity,
                account=self._account,
                picture=one.picture,
            )
        for item in items:
            item.sent({name: why for name, why in failed.items() if name in item.to})
        return failed

    def close(self) -> None:
        """Send what is left at the end of the run."""
        self._look_now()
        self.send()

    def _look_now(self) -> None:
        self._has_looked = True
        if self._look is not None:
            self._look(self)


def digest(items: Sequence[Item]) -> Item:
    """Several things as one: the worst is its subject, and the others follow below.

    Example:
        >>> digest([Item({}, "Barrack: a"), Item({}, "Barrack b failed", "why")]).subject
        'Barrack b failed (and 1 more message)'
    """
    first, *others = sorted(items, key=lambda item: _WORST_FIRST.index(item.severity))
    if not others:
        return first
    more = f"{len(others)} more message{'s' if others[1:] else ''}"
    parts = [first.body, *(f"Also: {_LIBRARY.sub('', o.subject)}\n{o.body}" for o in others)]
    picture = next((item.picture for item in items if item.picture), "")
    lines = "\n\n".join(part.strip("\n") for part in parts if part.strip("\n")).split("\n")
    said = set(lines)
    body = "\n".join(one for one in lines if one == _as_told(one) or _as_told(one) not in said)
    return Item(first.to, f"{first.subject} (and {more})", body, first.severity, picture)


def _as_told(line: str) -> str:
    """A line as a message of its own has it, which is no note of another one."""
    return line.removeprefix("Note: ")


def _by_people(items: Sequence[Item]) -> list[tuple[tuple[str, ...], list[Item]]]:
    """Items by those who are told the same ones, so that each of them gets one message."""
    names = dict.fromkeys(name for item in items for name in item.to)
    found: dict[tuple[int, ...], list[str]] = {}
    for name in names:
        own = tuple(
            n for n, item in enumerate(items) if name in item.to and is_told(name, item.severity)
        )
        if own:
            found.setdefault(own, []).append(name)
    return [(tuple(people), [items[n] for n in own]) for own, people in found.items()]
