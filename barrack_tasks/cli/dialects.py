"""`barrack dialect show` and `barrack dialect diff`."""

from __future__ import annotations

import os
from pathlib import Path

import yaml
from cyclopts import App

from barrack_tasks.api.dialect import Dialect, builtin, load_dialect
from barrack_tasks.api.dialect.loading import differences
from barrack_tasks.cli.answers import EntryShown
from barrack_tasks.cli.inputs import AsJson
from barrack_tasks.cli.screen import Screen

dialect_app = App(name="dialect", help="Show how this library speaks to the API.")


def _in_force(file: Path | None) -> tuple[Dialect, str]:
    named = file or os.environ.get("BARRACK_DIALECT")
    return (load_dialect(named), str(named)) if named else (builtin(), "built-in")


@dialect_app.command
def show(file: Path | None = None, *, everything: bool = False, json: AsJson = False) -> None:
    """Print the dialect in use, and where each entry comes from.

    Parameters
    ----------
    file
        A dialect file; the one that BARRACK_DIALECT names, if not given.
    everything
        Also print the operations and fields that are as in the built-in dialect.
    json
        Show JSON instead of a table.
    """
    dialect, source = _in_force(file)
    theirs = differences(dialect)
    console = Screen()
    found = [
        EntryShown(entry=place, value=value, source=source if place in theirs else "built-in")
        for place, value in _entries((), dialect.model_dump(mode="json"))
        if place in theirs or everything or "." not in place
    ]
    if json:
        console.print_json(found, list[EntryShown])
        return
    rows = [
        (one.entry, yaml.safe_dump(one.value).strip().removesuffix("\n..."), one.source)
        for one in found
    ]
    console.print_rows(f"Dialect {dialect.name}", ("entry", "value", "from"), rows)


@dialect_app.command
def diff(file: Path | None = None) -> int:
    """Print how a dialect differs from the built-in one. Exits 1 if it does.

    Parameters
    ----------
    file
        A dialect file; the one that BARRACK_DIALECT names, if not given.
    """
    dialect, _ = _in_force(file)
    console = Screen()
    found = differences(dialect)
    for place, (ours, theirs) in found.items():
        console.print(f"{place}: {ours!r} -> {theirs!r}")
    console.print(f"{len(found)} entries differ from the built-in dialect")
    return 1 if found else 0


def _entries(place: tuple[str, ...], value: object) -> list[tuple[str, object]]:
    if isinstance(value, dict) and value:
        return [e for k, v in value.items() for e in _entries((*place, str(k)), v)]
    return [(".".join(place), value)]
