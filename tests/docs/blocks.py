"""The fenced blocks of the pages that people read.

Run as a program, it executes Python blocks as a person would who copies each of them into a fresh
session: it reads a JSON list of `[place, text]` and writes a JSON object of errors by place.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import json
import re
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_FENCE = re.compile(r"^ *```([^\n`]*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """A fenced block: where it stands, its language, what cannot run here and why, its text."""

    place: str
    language: str
    by_hand: str
    text: str


def blocks() -> Iterator[Block]:
    """All blocks of all pages, in the order in which they are read."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for found in _FENCE.finditer(text):
            language, _, mark = found[1].partition(" ")
            line = text.count("\n", 0, found.start()) + 1
            spoken = "sh" if language == "bash" else language
            yield Block(f"{page.relative_to(ROOT)}:{line}", spoken, mark, found[2])


def errors_of(wanted: list[tuple[str, str]]) -> dict[str, str]:
    """What each of some Python blocks raised, each in a namespace of its own."""
    found = {}
    for place, text in wanted:
        names = {"__name__": "__docs__"}
        try:
            flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
            code = compile(text, place, "exec", flags=flags, dont_inherit=True)
            if code.co_flags & inspect.CO_COROUTINE:
                asyncio.run(eval(code, names))  # noqa: S307
            else:
                exec(code, names)  # noqa: S102
        except BaseException:  # noqa: BLE001
            found[place] = traceback.format_exc()
        print("ran", place, file=sys.stderr, flush=True)  # noqa: T201
    return found


if __name__ == "__main__":
    wanted = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    Path(sys.argv[2]).write_text(json.dumps(errors_of(wanted)), encoding="utf-8")
