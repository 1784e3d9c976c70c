"""Write docs/flows.md, docs/errors.md and docs/environment.md from the code.

Use: python -m docs.generate.pages
"""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import docstring_parser

import barrack_tasks
import barrack_tasks.flows as flows
from barrack_tasks.api import errors

ROOT = Path(__file__).resolve().parent.parent.parent
FLOWS_HEAD = """\
# Flows

Every flow: its parameters, what it returns and what it raises. This page is written by
`docs/generate/pages.py` from the signatures and docstrings of the flows; change those.

All flows are imported in one way: `from barrack_tasks.flows import hibernate`. A parameter means
the same in every flow. The [table in the README](../README.md#find-the-flow-for-your-job) says
which flow does which job, and names the page of each subject.

A `duration` is text such as `"90s"`, `"15m"`, `"8h"` or `"2d"`, a number of seconds, or a
`timedelta`.
"""
ERRORS_HEAD = """\
# Errors

Every error that this library raises on purpose. This page is written by `docs/generate/pages.py`
from the classes; change those. All errors of requests are `BarrackError`s: catch that one, and read
its attributes `took_effect`, `status_code` and `request_id`.
"""
ENVIRONMENT_HEAD = """\
# Environment variables

Every variable of this library that it reads or sets. This page is written by
`docs/generate/pages.py`, and a test compares it with the names in the code.
[Accounts](accounts.md) says how an account is chosen and named. Settings of Prefect, such as
`PREFECT_API_URL`, are [Prefect's own](https://docs.prefect.io/v3/api-ref/settings-ref).
"""
VARIABLES = {
    "BARRACK_API_KEY": "the API key; counts where no credentials are given at all",
    "BARRACK_BASE_URL": "the address of the API; counts where no address is given; not for a "
    "saved block if `BARRACK_API_KEY` is another key than the block's, because an address belongs "
    "to its key",
    "BARRACK_DIALECT": "the path of a dialect file; counts where no dialect is given; an address "
    "in it counts only at the built-in host, any other must be in `BARRACK_BASE_URL` or the block",
    "BARRACK_ALLOW_HTTP": "`1` allows an `http://` address on another machine, to which the key "
    "goes in clear; without it only `https://` and this machine are allowed",
    "BARRACK_PROTECT": "names, globs and ids of instances, separated by commas; added to what is "
    "protected, always",
    "BARRACK_ACCOUNT": "the name of the account of `BARRACK_API_KEY`, if that key has none yet",
    "BARRACK_LOCK_SECONDS": "how long the lock of a run holds: 3 to 3600 seconds; 120 if not set",
    "BARRACK_FORKS": "set by the worker of `barrack up` for its runs, and by nobody else: where "
    "they ask the process that has everything loaded to fork for them",
    "BARRACK_LEASE_SECONDS": "what earlier releases called `BARRACK_LOCK_SECONDS`; counts where "
    "that is not set",
    "BARRACK_ADDRESS": "set by `verify_snapshots` for the command of a probe: the address of the "
    "instance that is tried",
}
_DURATIONS = re.compile(r"\b(PositiveSpan|LeaseSpan|Span|Timeout|Lifetime)\b")
_NAME = re.compile(r"\bBARRACK_[A-Z_]*[A-Z]\b")


def pages() -> dict[str, str]:
    """Each page by the name of its file in docs/."""
    return {
        "flows.md": _formatted(_page(FLOWS_HEAD, _flows())),
        "errors.md": _page(ERRORS_HEAD, _errors()),
        "environment.md": _page(ENVIRONMENT_HEAD, _variables()),
    }


def _formatted(page: str) -> str:
    """A page whose examples are formatted as all code is."""
    words = [sys.executable, "-m", "ruff", "format", "--stdin-filename", "flows.md", "-"]
    return subprocess.run(
        words, input=page, cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout


def _page(head: str, parts: Iterator[str]) -> str:
    return "\n".join([head, *parts]).rstrip() + "\n"


def _flows() -> Iterator[str]:
    for name in sorted(flows.__all__):
        yield from _flow(name, getattr(flows, name))


def _told(flow: Any) -> docstring_parser.Docstring:
    text = inspect.getdoc(flow.fn) or ""
    return docstring_parser.parse(text, docstring_parser.DocstringStyle.GOOGLE)


def _flow(name: str, flow: Any) -> Iterator[str]:
    told, signature = _told(flow), inspect.signature(flow.fn)
    yield f"## {name}\n"
    yield f"{_line(told.short_description)}\n"
    if told.long_description:
        yield f"{_line(told.long_description)}\n"
    meanings = {p.arg_name: _line(p.description) for p in told.params}
    yield "| parameter | type | default | meaning |\n| --- | --- | --- | --- |"
    for parameter in signature.parameters.values():
        needed = parameter.default is parameter.empty
        default = "" if needed else f"`{_value(parameter.default)}`"
        row = (f"`{parameter.name}`", f"`{_type(parameter.annotation, flow.fn)}`", default)
        yield f"| {' | '.join(row)} | {_cell(meanings[parameter.name])} |"
    back = told.returns
    yield f"\n**Returns** `{signature.return_annotation}`. " + _line(
        back.description if back else None
    )
    yield "\n**Raises**\n"
    yield from (f"- `{one.type_name}`: {_line(one.description)}" for one in told.raises)
    yield "\n**Example**\n\n```python by-hand=id"
    for example in told.examples:
        text = example.snippet or example.description or ""
        yield from (re.sub(r"^(>>>|\.\.\.) ?", "", line) for line in text.splitlines())
    yield "```\n"


def _type(annotation: str, function: Any) -> str:
    """An annotation as a person reads it: what is inside `Annotated`, and choices spelled out."""
    tree = ast.parse(annotation, mode="eval").body
    if isinstance(tree, ast.Subscript) and ast.unparse(tree.value) == "Annotated":
        assert isinstance(tree.slice, ast.Tuple)
        tree = tree.slice.elts[0]
    named = function.__globals__.get(ast.unparse(tree))
    if get_origin(named) is Literal:
        return f"Literal{list(get_args(named))}"
    return _cell(_DURATIONS.sub("duration", ast.unparse(tree)))


def _value(value: Any) -> str:
    """A default as a person writes it."""
    if not isinstance(value, timedelta):
        return repr(value)
    seconds = int(value.total_seconds())
    units = ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s"))
    size, unit = next(one for one in units if seconds % one[0] == 0)
    return f'"{seconds // size}{unit}"'


def _errors() -> Iterator[str]:
    yield "| error | is a | meaning | what to do |\n| --- | --- | --- | --- |"
    for name, kind in _error_types().items():
        bases = ", ".join(f"`{base.__name__}`" for base in kind.__bases__)
        meaning = _line((inspect.getdoc(kind) or "").partition("\n\n")[0])
        advice = _line(getattr(kind, "advice", ""))
        yield f"| `{name}` | {bases} | {_cell(meaning)} | {_cell(advice)} |"


def _error_types() -> dict[str, type[Exception]]:
    """Errors of requests, and those that flows name in their docstrings."""
    of_requests = {
        name: kind
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, errors.BarrackError)
    }
    named = {one.type_name for name in flows.__all__ for one in _told(getattr(flows, name)).raises}
    named.update(barrack_tasks.__all__)
    given = {kind.__name__: kind for kind in _all_below(Exception) if kind.__name__ in named}
    return of_requests | dict(sorted(given.items()))


def _all_below(kind: type[Exception]) -> Iterator[type[Exception]]:
    """Subclasses that this library has defined; the flows have loaded all of them."""
    for one in kind.__subclasses__():
        if one.__module__.startswith("barrack_tasks."):
            yield one
        yield from _all_below(one)


def variables_in_code() -> set[str]:
    """The names of all variables that stand in the texts of the code."""
    found = set()
    for folder in ("barrack_tasks", "flows"):
        for file in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found.update(_NAME.findall(node.value))
    return found


def _variables() -> Iterator[str]:
    yield "| variable | meaning |\n| --- | --- |"
    yield from (f"| `{name}` | {meaning} |" for name, meaning in VARIABLES.items())


def _line(text: str | None) -> str:
    return " ".join((text or "").split())


def _cell(text: str) -> str:
    return text.replace("|", r"\|")


if __name__ == "__main__":
    for name, text in pages().items():
        (ROOT / "docs" / name).write_text(text, encoding="utf-8")
        print(f"wrote docs/{name}")
