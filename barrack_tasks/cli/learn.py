"""`barrack learn`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console

from barrack_tasks.api import BarrackConfigurationError
from barrack_tasks.api.learning import (
    Learned,
    LearnError,
    Question,
    learn_har,
    learn_openapi,
    probe,
    write_dialect,
)
from barrack_tasks.cli.screen import Screen


def learn(
    *,
    out: Path,
    openapi: Path | None = None,
    probe_url: Annotated[str | None, Parameter(name="--probe")] = None,
    from_har: Path | None = None,
    yes: bool = False,
    overwrite: bool = False,
) -> int:
    """Learn how your account's API is spoken, and write it as a dialect file.

    Exactly one of --openapi, --probe and --from-har says where from. What is not sure is asked on
    a terminal, or left open and listed. Ends with 0 if snapshot_before_stop can run with it.

    Parameters
    ----------
    out
        The dialect file to write, .yaml; name it in BARRACK_DIALECT afterwards.
    openapi
        The API reference, exported as an OpenAPI document (JSON or YAML, 3.0 or 3.1).
    probe_url
        Ask the API at this address: reads only, at most 60 requests, with BARRACK_API_KEY.
    from_har
        A recording that a browser made of the dashboard (HAR); secrets in it are not kept.
    yes
        Take a candidate without asking where it is clearly the best and nothing hangs on it.
    overwrite
        Replace the file if it is there already.
    """
    console = Screen()
    asks = sys.stdin.isatty() and sys.stdout.isatty()
    if out.exists() and not overwrite:
        overwrite = asks and _agrees(f"{out} is there already. Replace it?")
        if not overwrite:
            raise LearnError(f"{out} is there already; say --overwrite to replace it")
    learned = _learn(openapi, probe_url, from_har, yes)
    if asks:
        for question in list(learned.questions()):
            _ask(console, learned, question)
    report = learned.report()
    for line in report.lines():
        console.print(line, markup=False, soft_wrap=True)
    if not report.recognised:
        console.print("Nothing was written.")
        return 1
    write_dialect(learned, out, overwrite=overwrite)
    console.print(f"\nWritten: {out}. Next:\n  export BARRACK_DIALECT={out}\n  barrack doctor")
    return 0 if report.flows["snapshot_before_stop"].can_run else 1


def _learn(
    openapi: Path | None, probe_url: str | None, from_har: Path | None, yes: bool
) -> Learned:
    given = [source for source in (openapi, probe_url, from_har) if source is not None]
    if len(given) != 1:
        raise LearnError("say exactly one of --openapi FILE, --probe ADDRESS and --from-har FILE")
    if openapi is not None:
        return learn_openapi(_read(openapi), yes=yes)
    if from_har is not None:
        return learn_har(_read(from_har), yes=yes)
    key = os.environ.get("BARRACK_API_KEY", "").strip()
    if not key:
        raise BarrackConfigurationError("--probe needs your key in BARRACK_API_KEY")
    return probe(str(probe_url), key, yes=yes)


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise LearnError(f"{file} cannot be read: {error.strerror or error}") from None


def _agrees(question: str) -> bool:
    return input(f"{question} [y/N] ").strip().casefold() in ("y", "yes")


def _ask(console: Console, learned: Learned, question: Question) -> None:
    """Ask one question; an empty answer leaves it open."""
    console.print(f"\n{question.text}", markup=False, soft_wrap=True)
    for number, candidate in enumerate(question.candidates, 1):
        console.print(f"  {number}. {candidate.shown}  ({candidate.reason})", markup=False)
    while True:
        said = input("number, what stands on the wire, - if there is none, or Enter to leave: ")
        said = said.strip()
        if not said:
            return
        try:
            choice: int | str | None = None if said == "-" else said
            if said.isdigit():
                choice = int(said) - 1
            learned.answer(question, choice)
        except LearnError as error:
            console.print(str(error), markup=False)
        else:
            return
