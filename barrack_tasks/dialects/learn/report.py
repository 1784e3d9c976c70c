"""Figures of what was learned, and which flows can run with it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Figures:
    """How many of one kind there are, by what became of them."""

    certain: int = 0
    likely: int = 0
    guessed: int = 0
    open: int = 0
    absent: int = 0
    unseen: int = 0

    @property
    def matched(self) -> int:
        """Matched for sure or likely."""
        return self.certain + self.likely

    def __str__(self) -> str:
        return (
            f"{self.certain} certain, {self.likely} likely, {self.guessed} guessed, "
            f"{self.open} open, {self.absent} not there, {self.unseen} not seen"
        )


@dataclass
class FlowReport:
    """Whether a flow can run: what the API lacks, what is still open, what rests on a guess."""

    lacking: list[str] = field(default_factory=list)
    open: list[str] = field(default_factory=list)
    guessed: list[str] = field(default_factory=list)

    @property
    def can_run(self) -> bool:
        """Whether all that the flow needs is known, or guessed."""
        return not self.lacking and not self.open


@dataclass
class LearnReport:
    """What was learned, in figures and in words."""

    operations: Figures
    fields: Figures
    words: Figures
    flows: dict[str, FlowReport]
    absent: list[str]
    open: list[str]
    notes: list[str]
    recognised: bool

    def lines(self) -> list[str]:
        """The report for people."""
        found = [] if self.recognised else ["This does not look like Barrack's API."]
        found += [
            f"operations: {self.operations}",
            f"fields:     {self.fields}",
            f"words:      {self.words}",
        ]
        for name, flow in self.flows.items():
            verdict = "can run" if flow.can_run else "cannot run yet"
            why = [f"lacks {', '.join(flow.lacking)}"] if flow.lacking else []
            why += [f"open: {', '.join(flow.open)}"] if flow.open else []
            why += [f"guessed: {', '.join(flow.guessed)}"] if flow.guessed else []
            found.append(f"{name}: {'; '.join([verdict, *why])}")
        if self.absent:
            found.append(f"not there: {', '.join(self.absent)}")
        if self.open:
            found.append(f"open: {', '.join(self.open)}")
        return [*found, *self.notes]

    def __str__(self) -> str:
        return "\n".join(self.lines())
