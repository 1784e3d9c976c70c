"""Sentences for people who write no Python: on a command line, in a file, in a form."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

_PYTHON: tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...] = (
    (r"a `BarrackCredentials`, the name of a saved one, or None for the environment", "the name "
     "of a saved account; that of the environment, if not given"),
    (r"seconds, a timedelta,? or [`\"]+([0-9a-z]+)[`\"]+", r"a duration, such as \1"),
    (r"seconds, a timedelta, or text such as", "a duration, such as"),
    (r"\ba timedelta or `\"([^\"`]+)\"`", r"a duration, such as \1"),
    (r",? or (?:give )?a number of seconds or a timedelta", ""),
    (r"`(\w+)\(([\w=, ]*)\)` or (?:a )?dicts?(?: of these)?", lambda found: _keys_of(found[2])),
    (r"an? `\w+` or a dict", "a mapping"),
    (r"say select=\[\"\*\"\]", "write '*'"),
    (r"\bselect=\[\"\*\"\]", "'*'"),
    (r"\bin select=", "as `select`"),
    (r"give (\w+)=, (\w+)= or both", r"give `\1`, `\2` or both"),
    (r"None gives none", "without it, there is none"),
    (r"None asks no probe", "without it, no probe is asked"),
    (r"\bif None\b", "if not given"),
    (r"'(\w+)': ", r"\1: "),
)  # fmt: skip
"""Words of Python in docstrings and sentences, and what stands for them on a command line."""


def _keys_of(arguments: str) -> str:
    words = re.findall(r"\w+", arguments.replace(" or ", " "))
    keys = [f"`{word}`" for word in words]
    return f"mappings with {', '.join(keys)}"


def plainly(text: str) -> str:
    """A sentence in which values are called as people write them, and not as in Python.

    Example:
        >>> plainly("for one instance: seconds, a timedelta or `10m`")
        'for one instance: a duration, such as 10m'
    """
    for pattern, instead in _PYTHON:
        text = re.sub(pattern, instead, text)
    return text


def nearest_are(names: Sequence[str]) -> str:
    """The end of a sentence with the nearest names, of which there is at least one.

    Example:
        >>> nearest_are(["alpha"])
        'the nearest is alpha'
    """
    return f"the nearest {'is' if len(names) == 1 else 'are'} {', '.join(names)}"
