"""What a check-up found."""

from __future__ import annotations

from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict

from barrack_tasks.api.models.shown import Page, Shown, Table
from barrack_tasks.api.models.text import one_line

Kind = Literal["missing", "unseen", "unknown", "type", "word", "sense"]
Verdict = Literal[
    "works", "differs", "path not found", "refused", "unreadable", "cannot be reached", "not tried"
]
State = Literal["ready", "not ready", "unknown"]


class Difference(BaseModel):
    """One place in which an answer is not what the dialect says.

    By kind: a required field is `missing`; an optional field is `unseen` while strangers stand
    beside it, so it may go by another name; a field is `unknown`; a value is of another
    `type`; a `word` of an enum is new; a value can be read, but makes no `sense`. `line` is
    what to write into a dialect file, if that can correct it.
    """

    model_config = ConfigDict(frozen=True)

    kind: Kind
    schema_name: str
    field: str
    seen: str = ""
    line: str = ""

    def __str__(self) -> str:
        place = f"{self.schema_name}.{self.field}"
        text = {
            "missing": f"{place} is missing",
            "unseen": f"{place} is not there",
            "unknown": f"{place} is not known to this release",
            "type": f"{place} cannot be read: {self.seen}",
            "word": f"{place} has the new word {self.seen!r}",
            "sense": f"{place} makes no sense: it is {self.seen}"
            if self.field in ("hourly_price", "hourly", "id")
            else f"{place} makes no sense: it {self.seen}",
        }[self.kind]
        return one_line(f"{text}; write {self.line}" if self.line else text)


class Finding(BaseModel):
    """How one operation fared."""

    model_config = ConfigDict(frozen=True)

    operation: str
    verdict: Verdict
    said: str = ""
    differences: tuple[Difference, ...] = ()

    @property
    def is_trouble(self) -> bool:
        """Whether flows that need the operation cannot rely on it."""
        if self.verdict not in ("works", "differs", "not tried"):
            return True
        return any(d.kind in ("missing", "type", "sense") for d in self.differences)


class Readiness(BaseModel):
    """Whether one thing that the flows need is in order."""

    model_config = ConfigDict(frozen=True)

    topic: str
    state: State
    said: str


class DoctorReport(Shown, BaseModel):
    """What a check-up found, by operation, and whether the account is ready for the flows."""

    model_config = ConfigDict(frozen=True)

    dialect: str
    base_url: str
    findings: tuple[Finding, ...]
    readiness: tuple[Readiness, ...]

    @property
    def ok(self) -> bool:
        """Whether every operation that could be tried works, and nothing is not ready."""
        return not any(f.is_trouble for f in self.findings) and not any(
            r.state == "not ready" for r in self.readiness
        )

    @property
    def all_green(self) -> bool:
        """Whether not even a harmless difference was seen."""
        return self.ok and not any(f.differences for f in self.findings)

    def records(self) -> list[dict[str, Any]]:
        """One dict for each operation: what was found, as texts."""
        return [
            {
                "operation": finding.operation,
                "verdict": finding.verdict,
                "what": _what(finding),
            }
            for finding in self.findings
        ]

    def page(self) -> Page:
        """What is shown: whether all is in order, what is not first, then all operations."""
        trouble = [f for f in self.findings if f.is_trouble]
        lacking = [r for r in self.readiness if r.state == "not ready"]
        works = sum(f.verdict == "works" for f in self.findings)
        summary = (
            f"{works} of {len(self.findings)} operations work as expected, {len(trouble)} cannot "
            f"be relied on, and {len(lacking)} of {len(self.readiness)} requirements are not met."
        )
        # What somebody must act on stands first.
        findings = sorted(self.findings, key=lambda f: not f.is_trouble)
        rows = tuple((f.operation, str(f.verdict), _what(f)) for f in findings)
        ready = tuple((r.topic, str(r.state), r.said) for r in self.readiness)
        tables = (Table(("requirement", "state", "what"), ready),)
        return Page("doctor", summary, (*tables, Table(("operation", "verdict", "what"), rows)))

    @property
    def lines(self) -> tuple[str, ...]:
        """What to write into a dialect file, each line once."""
        found = [d.line for f in self.findings for d in f.differences if d.line]
        return tuple(dict.fromkeys(found))

    @property
    def file(self) -> str:
        """What to write into a dialect file, as it is written: each section once.

        What only a person can know stands in it as `<what it is>`.
        """
        whole: dict[str, Any] = {}
        for line in self.lines:
            _pour(whole, yaml.safe_load(line))
        text: str = yaml.safe_dump(whole, sort_keys=False, allow_unicode=True)
        return text if whole else ""


def _pour(into: dict[str, Any], more: dict[str, Any]) -> None:
    for key, value in more.items():
        if isinstance(value, dict):
            _pour(into.setdefault(key, {}), value)
        else:
            into[key] = value


def _what(finding: Finding) -> str:
    return "; ".join(filter(None, [finding.said, *map(str, finding.differences)]))
