"""A text that cannot be read as a timetable, with the place marked."""

from __future__ import annotations

_WIDTH = 88
_BEFORE = 40


class TimetableError(ValueError):
    """A text that is not a timetable: what is wrong, where, and what to do.

    `text` is the text as given, `start` and `end` the place in it, `problem` the sentence.

    Example:
        >>> print(TimetableError("no day is called 'Foo'", "Foo 08:00-20:00 UTC", 0, 3))
        no day is called 'Foo'
          Foo 08:00-20:00 UTC
          ^^^
    """

    def __init__(self, problem: str, text: str, start: int, end: int) -> None:
        super().__init__(problem, text, start, end)
        self.problem = problem
        self.text = text
        self.start = start
        self.end = end

    def __str__(self) -> str:
        return f"{self.problem}\n{self.marked()}"

    def marked(self) -> str:
        """The text on one line, cut if it is long, and under it carets at the place."""
        shown = "".join(c if c.isprintable() else " " for c in self.text)
        start, length = self.start, max(1, self.end - self.start)
        if len(shown) > _WIDTH:
            cut = max(0, min(start - _BEFORE, len(shown) - _WIDTH))
            left = "..." if cut else ""
            right = "..." if cut + _WIDTH < len(shown) else ""
            shown = left + shown[cut : cut + _WIDTH] + right
            start = start - cut + len(left)
            length = max(1, min(length, len(shown) - start))
        return f"  {shown}\n  {' ' * start}{'^' * length}".rstrip(" ")
