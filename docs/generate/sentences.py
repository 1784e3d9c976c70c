"""Collect every sentence that people may read into docs/sentences.md, to be read in one sitting.

Sentences are the strings of the product that hold words and are no documentation, no name and no
pattern. What is filled in stands as `{...}`.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
DOCUMENT = ROOT / "docs" / "sentences.md"
HEAD = """# Sentences

Every sentence of the product that people may read: errors, reports, messages, and the command line.
`python -m docs.generate.sentences` writes this page, and a test compares it with the code.
"""
_WORDS = re.compile(r"[A-Za-z]{2,}[,;:]? [A-Za-z{(']")
_NOT_FOR_PEOPLE = re.compile(r"\\[dws]|\(\?|^\s*(select|import|from) |</|\{\{")
_LEARNED = ("dialects/learn/synonyms.py", "dialects/learn/words.py", "barrack_tasks/__init__.py")
"""What others write in their documents, and names."""


def text_of(node: ast.AST) -> str | None:
    """The text of a string, with `{...}` for what is filled in; None if it is no string."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        return "".join(
            part.value if isinstance(part, ast.Constant) else "{...}" for part in node.values
        )
    return None


def sentences(source: str) -> Iterator[str]:
    """The sentences in a module, in order."""
    tree = ast.parse(source)
    inside: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            inside |= {id(part) for part in ast.walk(node) if part is not node}
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            inside.add(id(node.value))  # documentation
    found = [
        (node.lineno, node.col_offset, text)
        for node in ast.walk(tree)
        if id(node) not in inside and (text := text_of(node)) is not None
    ]
    for _, _, text in sorted(found):
        plain = " ".join(text.split())
        if _WORDS.search(plain) and not _NOT_FOR_PEOPLE.search(plain):
            yield plain


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    files = [
        *sorted((ROOT / "barrack_tasks").rglob("*.py")),
        *sorted((ROOT / "flows").glob("*.py")),
    ]
    for path in files:
        place = path.relative_to(ROOT).as_posix()
        if place.endswith(_LEARNED):
            continue
        found = list(dict.fromkeys(sentences(path.read_text())))
        if found:
            parts.append(f"\n## {place}\n")
            parts += [f"- `{one.replace('`', chr(39))}`" for one in found]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    text = page()
    DOCUMENT.write_text(text)
    sys.stdout.write(f"{DOCUMENT.relative_to(ROOT)}: {text.count(chr(10) + '- ')} sentences\n")
