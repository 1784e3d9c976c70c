"""`barrack learn`."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console

from barrack_tasks.api import BarrackConfigurationError
from barrack_tasks.api.dialect import builtin
from barrack_tasks.api.dialect.address import is_builtin_host
from barrack_tasks.api.dialect.reading import read_file
from barrack_tasks.api.models.text import one_line
from barrack_tasks.api.transport.addresses import host_of, is_in_clear, is_loopback
from barrack_tasks.cli.screen import Screen
from barrack_tasks.dialects.learn import (
    ApiEvidence,
    Learned,
    LearnError,
    Question,
    answers_text,
    evidence_text,
    learn_evidence,
    learn_har,
    learn_openapi,
    meaning_of,
    probe,
    read_answers,
    read_evidence,
    write_dialect,
    write_text,
)
from barrack_tasks.dialects.learn.document import LARGEST
from barrack_tasks.dialects.needs import NEEDS


def learn(
    *,
    out: Path,
    openapi: Path | None = None,
    probe_url: Annotated[str | None, Parameter(name="--probe")] = None,
    from_har: Path | None = None,
    yes: bool = False,
    yes_to_host: str | None = None,
    plain_http: bool = False,
    overwrite: bool = False,
    for_flow: Annotated[list[str] | None, Parameter(name="--for")] = None,
    afresh: bool = False,
    fixed: list[str] | None = None,
) -> int:
    """Learn how to speak to your account's API, and write it as a dialect file.

    --openapi, --from-har and --probe say where from, one of them or several. What earlier runs
    have seen is kept beside the dialect file, as NAME.evidence.json, and what is seen now is put
    to it: what two places agree on is certain, and where they contradict each other you are
    asked. What is uncertain is asked on a terminal, the questions first that let the most flows
    run, or left open and listed. Answers are kept as NAME.answers.yaml and not asked for again.
    An address at another host than the built-in one is shown and asked about, because
    your key would be sent there. Ends with 0 if snapshot_before_stop can run.

    Parameters
    ----------
    out
        The dialect file to write, .yaml; name it in BARRACK_DIALECT afterwards.
    openapi
        The API reference, exported as an OpenAPI document (JSON or YAML, 3.0 or 3.1).
    probe_url
        Ask the API at this address: reads only, at most 60 requests, with BARRACK_API_KEY. Its
        OpenAPI document is looked for there, too.
    from_har
        A recording that a browser made of the dashboard (HAR); secrets in it are not kept.
    yes
        Take a candidate without asking where it is clearly the best and carries no risk.
    yes_to_host
        The host, such as api.example.com or 127.0.0.1:8080, that the API may be at and the key may
        be sent to. --yes does not agree to a host.
    plain_http
        Also agree to a plain http address, over which others on the network can read the key.
    overwrite
        Replace the file if it already exists.
    for_flow
        Ask only what this flow needs, such as snapshot_before_stop. May be given several times.
    afresh
        Leave out what earlier runs have seen. Answers are kept.
    fixed
        What stands in every path in place of a parameter of the document, such as
        project_id=7. May be given several times.
    """
    console = Screen()
    asks = sys.stdin.isatty() and sys.stdout.isatty()
    if out.exists() and not overwrite:
        overwrite = asks and _agrees(f"{out} already exists. Replace it?")
        if not overwrite:
            raise LearnError(f"{out} already exists; pass --overwrite to replace it")
    agrees = _Agreement(console, asks, yes_to_host, plain_http)
    unknown = [flow for flow in for_flow or [] if flow not in NEEDS]
    if unknown:
        raise LearnError(f"there is no flow {unknown[0]!r}; flows are {', '.join(sorted(NEEDS))}")
    answers, seen = out.with_suffix(".answers.yaml"), out.with_suffix(".evidence.json")
    before = read_answers(answers) if answers.exists() else {}
    earlier = [] if afresh or not seen.exists() else _earlier(seen)
    evidence = [*earlier, *_seen_now(openapi, probe_url, from_har, agrees)]
    evidence = [_fixed(one, fixed or []) for one in evidence]
    if not evidence:
        raise LearnError("pass at least one of --openapi FILE, --from-har FILE and --probe ADDRESS")
    learned = learn_evidence(evidence, yes=yes)
    learned.recall(before)
    if len(learned.evidence) > 1:
        console.print(f"seen: {', '.join(one.source for one in learned.evidence)}")
    address, reason = _address(learned)
    console.print(f"address: {address} ({reason})")
    if asks:
        skipped: set[str] = set()
        # One answer may settle others, or ask what it leaves open.
        while question := _next(learned, for_flow, skipped):
            skipped.add(question.what)
            _ask(console, learned, question)
    report = learned.report()
    for line in report.lines():
        console.print(line)
    if not report.recognised:
        console.print("Nothing was written.")
        return 1
    address, _ = _address(learned)
    if probe_url is None or host_of(address) != host_of(probe_url):
        agrees.to(address)
    write_dialect(learned, out, overwrite=overwrite)
    write_text(seen, evidence_text(learned.evidence))
    if learned.answers:
        write_text(answers, answers_text(learned))
    steps = [f"export BARRACK_DIALECT={shlex.quote(str(out))}", "barrack doctor"]
    if not is_builtin_host(address):
        steps.insert(0, f"export BARRACK_BASE_URL={shlex.quote(address)}")
    console.print(f"\nWritten: {out}. Next (your key goes to {host_of(address)}):")
    for step in steps:
        console.print(f"  {step}")
    wanted = for_flow or ["snapshot_before_stop"]
    return 0 if all(report.flows[flow].can_run for flow in wanted) else 1


def _next(learned: Learned, flows: list[str] | None, skipped: set[str]) -> Question | None:
    return next((q for q in learned.questions(flows) if q.what not in skipped), None)


def _address(learned: Learned) -> tuple[str, str]:
    """Where the API is by what was learned, and why."""
    match = learned.matches.get("base_url")
    if match is None:
        return builtin().base_url, "built-in; the evidence does not give it"
    return str(match.wire), match.reason


@dataclass(frozen=True)
class _Agreement:
    """Whether the key may be sent to a host."""

    console: Console
    asks: bool
    host: str | None
    plain_http: bool

    def to(self, address: str, *, is_typed: bool = False) -> None:
        """Ask, where it is not the built-in host.

        Raises:
            LearnError: nobody agreed, or the key could be read on the way.
        """
        if is_in_clear(address) and not self.plain_http:
            raise LearnError(
                f"{address} is plain http, over which others on the network can read your key, "
                f"so nothing was sent or written; pass --plain-http to use it anyway"
            )
        host = host_of(address)
        if is_builtin_host(address) or (is_typed and is_loopback(address)):
            return
        if self.host is not None and host and host == host_of(f"//{self.host}"):
            return
        said = f"the API is said to be at {address}, which is not the built-in {builtin().base_url}"
        if self.asks and self.host is None:
            self.console.print(f"\n{said}.")
            if _agrees(f"May your key be sent to {host}?"):
                return
            raise LearnError(f"nothing was written, because your key may not be sent to {host}")
        raise LearnError(
            f"{said}, so nothing was sent or written; pass --yes-to-host {host} if your key may "
            f"be sent there"
        )


def _earlier(file: Path) -> list[ApiEvidence]:
    return read_evidence(read_file(file, LARGEST), file.name)


def _fixed(evidence: ApiEvidence, given: list[str]) -> ApiEvidence:
    """The same with what is fixed in paths, besides what earlier runs were told."""
    more: dict[str, str] = {}
    for text in given:
        name, mark, value = text.partition("=")
        if not (name and mark and value):
            raise LearnError(f"--fixed must look like project_id=7; got {text!r}")
        more[name.strip("{}")] = value
    return replace(evidence, fixed={**evidence.fixed, **more})


def _seen_now(
    openapi: Path | None, probe_url: str | None, from_har: Path | None, agrees: _Agreement
) -> Iterator[ApiEvidence]:
    """What this run is given to see: files first, and the API itself last."""
    if openapi is not None:
        learned = learn_openapi(read_file(openapi, LARGEST), source=openapi.name)
        yield from learned.evidence
    if from_har is not None:
        learned = learn_har(read_file(from_har, LARGEST), source=from_har.name)
        yield from learned.evidence
    if probe_url is not None:
        key = os.environ.get("BARRACK_API_KEY", "").strip()
        if not key:
            raise BarrackConfigurationError("--probe needs your key in BARRACK_API_KEY")
        if host_of(probe_url):  # what is no address at all is told by the probe
            agrees.to(probe_url, is_typed=True)
        yield from probe(probe_url, key).evidence


def _agrees(question: str) -> bool:
    return input(f"{one_line(question)} [y/N] ").strip().casefold() in ("y", "yes")


def _ask(console: Console, learned: Learned, question: Question) -> None:
    """Ask one question; an empty answer leaves it open."""
    console.print(f"\n{question.text}")
    waiting = learned.waiting_for(question)
    if waiting:
        console.print(f"These flows wait for the answer: {', '.join(waiting)}.")
    for number, candidate in enumerate(question.candidates, 1):
        console.print(f"  {number}. {candidate.shown}  ({candidate.reason})")
        console.print(f"     {meaning_of(question.what, candidate.wire)}")
    while True:
        said = input("a number, the API's own text, - if the API has none, or Enter to skip: ")
        said = said.strip()
        if not said:
            return
        try:
            choice: int | str | None = None if said == "-" else said
            if said.isdigit():
                choice = int(said) - 1
            learned.answer(question, choice)
        except BarrackConfigurationError as error:
            console.print(str(error))
        else:
            return
