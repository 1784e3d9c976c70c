"""Writing what was learned as a dialect file, whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from barrack_tasks.api.dialect.loading import merged
from barrack_tasks.api.dialect.reading import UnreadableError, read_file, read_yaml, text_of
from barrack_tasks.dialects.learn.document import LearnError
from barrack_tasks.dialects.learn.result import Learned

_WIDEST = 160
_LONGEST_KEY = 1_000
"""Characters of a key that YAML reads without a sign before it."""
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL


def write_dialect(learned: Learned, path: str | Path, *, overwrite: bool = False) -> Path:
    """Write the dialect file; each entry has its reason and certainty beside it.

    The file is there whole, or as it was before: never half-written.

    Args:
        learned: what to write.
        path: a `.yaml` or `.yml` file in a folder that exists.
        overwrite: replace the file if there is one.

    Returns:
        The path of the file.

    Raises:
        LearnError: the file is there already, or cannot be written.

    Example:
        >>> write_dialect(learned, "my-dialect.yaml")
    """
    target = Path(path).expanduser()
    if target.suffix not in (".yaml", ".yml"):
        raise LearnError(f"the dialect file {target.name!r} must end in .yaml or .yml")
    if not overwrite and target.exists():
        raise LearnError(f"the file {target} already exists; pass overwrite=True to replace it")
    write_text(target, dialect_text(learned), overwrite=overwrite)
    return target


def write_text(target: Path, text: str, *, overwrite: bool = True) -> None:
    """Write a file whole, or leave it as it was; nobody else on this machine may read it.

    Args:
        target: in a folder that exists.
        text: what it is to hold.
        overwrite: replace the file if there is one.

    Raises:
        LearnError: it is there already, or cannot be written.

    Example:
        >>> write_text(Path("my-barrack.answers.yaml"), "{}")
    """
    draft = target.with_name(f".{target.name}.{secrets.token_hex(6)}.tmp")
    try:
        with os.fdopen(os.open(draft, _NEW, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        _put(draft, target, overwrite)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise LearnError(f"the file {target} cannot be written: {reason}") from None
    finally:
        with contextlib.suppress(OSError):
            draft.unlink()


def _put(draft: Path, target: Path, overwrite: bool) -> None:
    if overwrite:
        draft.replace(target)
        return
    try:
        os.link(draft, target)  # fails if the file has appeared meanwhile
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        if target.exists():
            raise FileExistsError(17, "File exists") from None
        draft.replace(target)


def answers_text(learned: Learned) -> str:
    """What a person has answered, as the text of a YAML file."""
    note = "# Answers given to barrack learn. They are taken again when it runs again.\n"
    return note + yaml.safe_dump(learned.answers, sort_keys=True)


def read_answers(path: Path) -> dict[str, Any]:
    """Answers that were given before.

    Raises:
        LearnError: the file holds something else.
    """
    try:
        content = read_yaml(text_of(read_file(path), path.name), path.name)
    except UnreadableError as error:
        raise LearnError(f"the answers cannot be read: {error.message}") from None
    if not isinstance(content, dict):
        raise LearnError(f"{path.name} must be a table of questions and answers; delete it")
    return content


def dialect_text(learned: Learned) -> str:
    """The text of the dialect file.

    Raises:
        LearnError: what was learned cannot be said in a dialect file.
    """
    content = learned.dialect()
    lines = [
        "# A dialect learned from evidence. What is not given here is as in the built-in dialect."
    ]
    if not learned.recognised:
        lines.append("# The evidence does not look like Barrack's API: nothing was taken from it.")
    lines += _lines(learned, content, (), "")
    questions = list(learned.questions())
    if questions:
        lines += ["", "# Open: what could not be determined. None of it is in force."]
        for question in questions:
            shown = " | ".join(c.shown for c in question.candidates) or "no candidate"
            lines.append(_comment(f"{question.what}: {shown}", ""))
    lines += [_comment(f"Note: {note}", "") for note in learned.notes[:50]]
    text = "\n".join(lines) + "\n"
    if yaml.safe_load(text) != content:
        raise LearnError("what was learned cannot be written as a dialect file")
    merged(content, "the learned dialect")
    return text


def _lines(
    learned: Learned, content: Mapping[str, Any], place: tuple[str, ...], indent: str
) -> Iterator[str]:
    for key, value in content.items():
        here = (*place, str(key))
        match = learned.matches.get(".".join(here))
        why = f"  {_comment(f'{match.certainty}: {match.reason}', '')}" if match else ""
        name = _scalar(str(key))
        lead = f"{indent}{name}:" if len(name) < _LONGEST_KEY else f"{indent}? {name}\n{indent}:"
        if isinstance(value, Mapping) and value:
            yield f"{lead}{why}"
            yield from _lines(learned, value, here, f"{indent}  ")
        else:
            yield f"{lead} {_scalar(value)}{why}"


def _scalar(value: Any) -> str:
    text: str = yaml.safe_dump(value, default_flow_style=True, width=10**9, allow_unicode=False)
    return text.removesuffix("\n").removesuffix("\n...")


def _comment(text: str, indent: str) -> str:
    plain = "".join(c if c.isprintable() else " " for c in " ".join(text.split()))
    return f"{indent}# {plain if len(plain) <= _WIDEST else plain[: _WIDEST - 3] + '...'}"
