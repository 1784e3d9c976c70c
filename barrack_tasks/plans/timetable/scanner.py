"""A text with a place in it, and how to refuse it there."""

from __future__ import annotations

import re
from typing import NoReturn

from barrack_tasks.plans.timetable.errors import TimetableError

_DASHES = str.maketrans("‐‑‒–—−", "------")
_SPACE = re.compile(r"\s*")
_WORD = re.compile(r"[^\s,;]+")


class Scanner:
    """Reads a text from left to right. Typographic dashes count as plain ones."""

    def __init__(self, text: str) -> None:
        self.given = text
        self.text = text.translate(_DASHES)
        self.at = 0

    @property
    def done(self) -> bool:
        """Whether nothing but space is left."""
        return self.peek(r"$")

    def space(self) -> None:
        """Go past space."""
        match = _SPACE.match(self.text, self.at)
        self.at = match.end() if match else self.at

    def peek(self, pattern: str) -> bool:
        """Whether the pattern comes next, after space."""
        self.space()
        return re.compile(pattern).match(self.text, self.at) is not None

    def take(self, pattern: str) -> re.Match[str] | None:
        """Read the pattern if it comes next, after space."""
        self.space()
        match = re.compile(pattern).match(self.text, self.at)
        if match:
            self.at = match.end()
        return match

    def refuse(self, problem: str, start: int | None = None, end: int | None = None) -> NoReturn:
        """Refuse the text at a place; by default at the word that comes next.

        Raises:
            TimetableError: always.
        """
        if start is None:
            self.space()
            start = self.at
        if end is None:
            word = _WORD.match(self.text, start)
            end = word.end() if word else start + 1
        end = start + max(1, len(self.text[start:end].rstrip()))
        raise TimetableError(problem, self.given, start, end)
