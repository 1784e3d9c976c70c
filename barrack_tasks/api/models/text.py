"""Text from outside, as it is shown to people.

Names and ids stay as they are where they address something. Whatever shows them, on a terminal, in
a log, in a report, in a chart or in a file, passes them through here.
"""

from __future__ import annotations


def printable(text: str) -> str:
    r"""A text without control characters: each is shown by its number.

    Line breaks stay. Marks that turn the direction of writing, separators of other kinds and what
    no encoding can write count as control characters.

    Example:
        >>> printable("a\x1b[2Jb")
        'a\\x1b[2Jb'
    """
    if text.isprintable():
        return text
    return "".join(
        sign if sign.isprintable() or sign == "\n" else sign.encode("unicode_escape").decode()
        for sign in text
    )


def one_line(text: str, most: int | None = None) -> str:
    r"""A text as one line: line breaks become spaces, control characters are shown by number.

    Args:
        text: from wherever it may be.
        most: characters to keep; what is cut off is told by an ellipsis.

    Example:
        >>> one_line("gpu-1\nERROR: all is lost\x07")
        'gpu-1 ERROR: all is lost\\x07'
    """
    if most is not None and len(text) > most:
        text = f"{text[: most - 1]}…"
    if text.isprintable():
        return text
    shown = printable(" ".join(text.split()))
    return shown if most is None or len(shown) <= most else f"{shown[: most - 1]}…"


def csv_cell(text: str) -> str:
    """A text as one line which no spreadsheet takes for a formula.

    Example:
        >>> csv_cell("=1+1")
        "'=1+1"
    """
    shown = one_line(text)
    return f"'{shown}" if shown.lstrip().startswith(_FORMULAS) else shown


_FORMULAS = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
