"""Write docs/reference.md from the docstrings of the tasks and the operation table."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from itertools import groupby
from pathlib import Path
from typing import Any, Self

import docstring_parser
from prefect import Task
from prefect.blocks.core import Block

import barrack_tasks
from barrack_tasks.api.operations import (
    OPERATIONS,
    ByAbsence,
    ByChange,
    ByContents,
    ByName,
    ByState,
    Lost,
    NeverRepeat,
    Operation,
    Repeat,
)

TARGET = Path(__file__).resolve().parent.parent.parent / "docs" / "reference.md"

HEAD = """\
# Reference

Every operation of the API as a Prefect task. This page is written by `docs/generate/reference.py`
from the docstrings of the client's methods and the operation table; change those.

Tasks are synchronous. They are called alike in flows, in async flows, in notebook cells and
outside of flows; inside a flow `.submit` and `.map` run them in threads. The first parameter is the
account: a `BarrackCredentials`, the name of a saved one, or None for the environment. It may be
left out if all else is passed by name: `list_instances()`,
`get_instance(instance_id="BRK-A1B2C3D")`. `.map` takes one account for all its calls:
`get_instance.map(account, ids)`. The same operations are there without Prefect: `Barrack(api_key)`
from `barrack_tasks.api` has a method for each.

What else `from barrack_tasks import ...` gives is listed under [Exports](#exports).

Beside what is listed with it, any task can raise what any request can come to:
`BarrackAuthenticationError`, `BarrackRateLimitedError`, `BarrackServerError`,
`BarrackTransportError`, `BarrackTimeoutError`, `BarrackResponseError`. All are `BarrackError`s, and
`took_effect` says whether something may have changed.

The name of every operation is public. *Documented* is one whose HTTP method is public as well,
*inferred* one whose method is this library's reading. Paths and field names are inferred
throughout: those shown are the built-in dialect's.
Types such as `VolumeResponse` are from `barrack_tasks.api.models`.
"""


@dataclass(frozen=True)
class Docs:
    """A task's docstring, taken apart."""

    summary: str
    details: str
    parameters: dict[str, str]
    returns: str
    errors: dict[str, str]
    example: str
    provenance: str

    @classmethod
    def of(cls, task: Any) -> Self:
        """Read a docstring in Google's style that ends with a line on where it is known from."""
        text, _, provenance = (inspect.getdoc(task.fn) or "").strip().rpartition("\n\n")
        parsed = docstring_parser.parse(text, docstring_parser.DocstringStyle.GOOGLE)
        returns = parsed.returns
        return cls(
            summary=_one_line(parsed.short_description),
            details=_one_line(parsed.long_description),
            parameters={p.arg_name: _one_line(p.description) for p in parsed.params},
            returns=_one_line(returns.description if returns else None),
            errors={r.type_name or "": _one_line(r.description) for r in parsed.raises},
            example="\n".join(
                line.strip().removeprefix(">>> ").removeprefix("... ")
                for example in parsed.examples
                for line in (example.snippet or example.description or "").splitlines()
            ),
            provenance=_one_line(provenance),
        )


class Trail:
    """Stands in for an account, and keeps which of its client's methods a task calls."""

    def __init__(self) -> None:
        self.path: list[str] = []
        self.given: tuple[tuple[Any, ...], dict[str, Any]] = ((), {})

    def get_client(self) -> Self:
        return self

    def __getattr__(self, name: str) -> Self:
        self.path.append(name)
        return self

    def __call__(self, *args: Any, **kwargs: Any) -> list[Any]:
        self.given = (args, kwargs)
        return []


def client_call(task: Any, **arguments: Any) -> tuple[str, tuple[Any, ...], dict[str, Any]]:
    """The method of the client that a task calls, such as `volumes.list`, and what with."""
    trail = Trail()
    needed = inspect.signature(task.fn).parameters.values()
    task.fn(trail, **{p.name: arguments.get(p.name, p.name) for p in list(needed)[1:]})
    return ".".join(trail.path), *trail.given


def reference() -> str:
    """The whole page."""
    groups = [
        (group, list(operations))
        for group, operations in groupby(OPERATIONS.values(), lambda o: o.group)
    ]
    parts = [HEAD, *_contents(groups)]
    for group, operations in groups:
        parts += [f"## {group}\n", *(_section(operation) for operation in operations)]
    parts += ["## Exports\n", *_exports()]
    return "\n".join(parts).rstrip() + "\n"


def _contents(groups: list[tuple[str, list[Operation[Any]]]]) -> Iterator[str]:
    yield "| group | tasks |\n| --- | --- |"
    for group, operations in groups:
        yield f"| {group} | {', '.join(f'[{o.name}](#{o.name})' for o in operations)} |"
    yield ""


def _exports() -> Iterator[str]:
    """What the top level gives besides the operations: what it is, and where its home is."""
    yield "Names that `from barrack_tasks import ...` gives besides the tasks above.\n"
    yield "| name | what it is | home | meaning |\n| --- | --- | --- | --- |"
    for name in barrack_tasks.__all__:
        if name not in OPERATIONS:
            thing = getattr(barrack_tasks, name)
            text = inspect.getdoc(getattr(thing, "fn", thing)) or ""
            meaning = _one_line(text.partition("\n\n")[0]).replace("|", r"\|")
            home = f"barrack_tasks.{barrack_tasks.HOMES[name]}"
            yield f"| `{name}` | {_kind(thing)} | `{home}` | {meaning} |"


def _kind(thing: Any) -> str:
    if not isinstance(thing, type):
        return "task" if isinstance(thing, Task) else "function"
    if issubclass(thing, Block):
        return "block"
    return "error" if issubclass(thing, Exception) else "model"


def _section(operation: Operation[Any]) -> str:
    task = getattr(barrack_tasks, operation.name)
    docs = Docs.of(task)
    method, _, _ = client_call(task)
    text = [f"### {operation.name}", "```text\n" + _signature(task) + "\n```", docs.summary]
    if docs.details:
        text.append(docs.details)
    text.append(_parameters(task, docs))
    text.append(f"**Returns** {docs.returns}")
    text.append("**Raises**\n\n" + "\n".join(f"- `{e}`: {why}" for e, why in docs.errors.items()))
    text.append(f"**Example**\n\n```python by-hand=id\n{docs.example}\n```")
    text.append(
        "\n".join(
            [
                f'- Barrack\'s "{operation.title}": `{operation.method} {operation.path}` '
                f"[built-in]{_query(operation)}. Without Prefect: `client.{method}()`.",
                f"- If the answer is lost: {when_lost(operation.lost)}",
                f"- {docs.provenance}",
            ]
        )
    )
    return "\n\n".join(text) + "\n"


def _query(operation: Operation[Any]) -> str:
    names = ", ".join(f"`{name}`" for name in operation.query)
    return f", query {names}" if names else ""


def _signature(task: Any) -> str:
    signature = inspect.signature(task.fn)
    parts: list[str] = []
    for parameter in signature.parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and "*" not in parts:
            parts.append("*")
        default = "" if parameter.default is parameter.empty else f"={_default(parameter)}"
        parts.append(parameter.name + default)
    back = f" -> {_type(signature.return_annotation)}"
    line = f"{task.fn.__name__}({', '.join(parts)}){back}"
    if len(line) <= 88:
        return line
    inside = "".join(f"    {part},\n" for part in parts)
    return f"{task.fn.__name__}(\n{inside}){back}"


def _parameters(task: Any, docs: Docs) -> str:
    rows = ["| parameter | type | default | |", "| --- | --- | --- | --- |"]
    for parameter in inspect.signature(task.fn).parameters.values():
        default = "" if parameter.default is parameter.empty else f"`{_default(parameter)}`"
        kind = _type(parameter.annotation).replace("|", r"\|")
        rows.append(
            f"| `{parameter.name}` | `{kind}` | {default} | {docs.parameters[parameter.name]} |"
        )
    return "\n".join(rows)


def _type(annotation: str) -> str:
    return annotation.replace("m.", "")


def _default(parameter: inspect.Parameter) -> str:
    value = parameter.default
    return repr(value.value if isinstance(value, Enum) else value)


def when_lost(rule: Lost) -> str:
    """What the client does when a request's answer does not come, as a sentence."""
    match rule:
        case Repeat(changes=False):
            return "sent again, since it changes nothing."
        case Repeat():
            return "sent again, since the second time changes nothing more."
        case ByName(look):
            return f"looked for by its name with `{look}`; sent again only if it is not there."
        case ByState(reached, look):
            states = " or ".join(f"`{state}`" for state in sorted(reached))
            return f"`{look}` tells; it happened if the state is {states}, else it is sent again."
        case ByAbsence(None):
            return "sent again; if the thing is not found then, it happened."
        case ByAbsence(look):
            return f"`{look}` tells; it happened if the thing is not there, else it is sent again."
        case ByContents(look):
            return f"`{look}` tells; it happened if what was sent is there, else it is sent again."
        case ByChange(field, look):
            return (
                f"`{look}` tells; it happened if `{field}` is not what it was before, else it is "
                "sent again."
            )
        case NeverRepeat():
            return "never sent again; the error's `took_effect` is None, and the caller decides."


def _one_line(text: str | None) -> str:
    return " ".join((text or "").split())


if __name__ == "__main__":
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text(reference(), encoding="utf-8")
    print(f"wrote {TARGET}")
