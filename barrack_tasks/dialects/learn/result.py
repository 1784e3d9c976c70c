"""What was learned: matches with reasons, open questions, and the dialect they make."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from barrack_tasks.api.dialect.builtin import builtin
from barrack_tasks.api.dialect.loading import DialectError, merged
from barrack_tasks.api.dialect.reading import UnreadableError, read_yaml
from barrack_tasks.api.operations import OPERATIONS
from barrack_tasks.api.transport.addresses import is_in_clear
from barrack_tasks.dialects.learn.calls import place_of
from barrack_tasks.dialects.learn.document import LearnError
from barrack_tasks.dialects.learn.likeness import Certainty, certainty_of
from barrack_tasks.dialects.learn.report import Figures, FlowReport, LearnReport
from barrack_tasks.dialects.needs import NEEDS, TOLD_IN, Needs, told_by_parents

CLEAR = 0.1
"""How much better than the second best the candidate must be that `yes` takes."""

LEAST = 0.5
"""The score that a candidate must have at least for `yes` to take it."""


@dataclass(frozen=True)
class Match:
    """One thing that was learned.

    Attributes:
        what: its place in a dialect file, such as `schemas.UserVM.status`.
        wire: what stands there; None says that the wire has no such thing.
        reason: why, for people.
        certainty: `certain`, `likely`, or `guess` for what was taken without a clear reason.
    """

    what: str
    wire: Any
    reason: str
    certainty: Certainty


@dataclass(frozen=True)
class AnswerOption:
    """One answer to a question."""

    wire: Any
    reason: str
    score: float
    label: str = ""

    @property
    def shown(self) -> str:
        """The answer, for people."""
        if self.label:
            return self.label
        if self.wire is None:
            return "nothing"
        if isinstance(self.wire, Mapping) and "path" in self.wire:
            place = place_of(self.wire.get("method", ""), self.wire["path"], self.wire.get("body"))
            return place.strip()
        if isinstance(self.wire, Mapping):
            return ", ".join(f"{k}: {v}" for k, v in self.wire.items())
        return str(self.wire)


@dataclass(frozen=True)
class Question:
    """A match that is open.

    `candidates` are the answers that the evidence suggests, the likeliest first; there may be
    none.
    """

    what: str
    text: str
    candidates: tuple[AnswerOption, ...] = ()
    risky: bool = False
    """Whether a wrong answer could change the wrong thing: `yes` does not take it."""

    @property
    def clear(self) -> AnswerOption | None:
        """The candidate that is clearly the best, if there is one."""
        scores = [c.score for c in self.candidates]
        if (
            not scores
            or self.risky
            or scores[0] < LEAST
            or (len(scores) > 1 and scores[0] - scores[1] < CLEAR)
        ):
            return None
        return self.candidates[0]


@dataclass
class Learned:
    """A dialect in the making.

    Example:
        >>> learned = learn_openapi(Path("openapi.json").read_bytes())
        >>> for question in learned.questions():
        ...     learned.answer(question, 0)
        >>> dialect = merged(learned.dialect(), "learned.yaml")
    """

    name: str
    matches: dict[str, Match] = field(default_factory=dict)
    open: dict[str, Question] = field(default_factory=dict)
    unseen: dict[str, str] = field(default_factory=dict)
    """What the evidence says nothing about, with the reason; stays as the built-in dialect is."""
    notes: list[str] = field(default_factory=list)
    elsewhere: frozenset[str] = frozenset()
    """Operations that are not where the built-in dialect has them, wherever they are."""
    answers: dict[str, Any] = field(default_factory=dict)
    """What a person has answered, by question; it outlives new evidence."""
    evidence: tuple[Any, ...] = field(default=(), repr=False)
    """What it was learned from, an `ApiEvidence` for each place."""
    again: Callable[[Mapping[str, str | None]], Learned] | None = None
    """Learns anew with answers for operations: what one is tells what lies in its answer."""
    recognised: bool = True
    """Whether the evidence looks like Barrack's API at all."""

    def add(self, what: str, wire: Any, reason: str, score: float) -> None:
        """Keep a match."""
        self.matches[what] = Match(what, wire, reason, certainty_of(score))

    def ask(
        self, what: str, text: str, candidates: tuple[AnswerOption, ...] = (), risky: bool = False
    ) -> None:
        """Keep a question."""
        self.open[what] = Question(what, text, candidates, risky)

    def questions(self, flows: Iterable[str] | None = None) -> Iterator[Question]:
        """What is open: those first that let the most flows run.

        A flow counts for more the fewer things it still waits for, and for nothing if it lacks
        something that the API does not have.

        Args:
            flows: only what one of these flows needs, or what says where the API is.
        """
        order = ("base_url", "auth", "operations", "paging", "currency", "prices", "words")
        wanted = NEEDS if flows is None else {name: NEEDS[name] for name in flows}
        told = _told_elsewhere(self)
        worth: dict[str, float] = {}
        for name, need in wanted.items():
            flow = _flow_report(self, need, told)
            worth[name] = 0.0 if flow.lacking else 1 / max(1, len(flow.open))

        def place(question: Question) -> tuple[int, float, int, int]:
            first = question.what.split(".")[0]
            rank = order.index(first) if first in order else len(order)
            waiting = [name for name, need in wanted.items() if _is_of(question.what, need)]
            unlocks = sum(worth[name] for name in waiting)
            return (0 if rank < 2 else 1, -unlocks, -len(waiting), rank)

        for question in sorted(self.open.values(), key=place):
            if (
                flows is None
                or question.what in ("base_url", "auth")
                or any(_is_of(question.what, need) for need in wanted.values())
            ):
                yield question

    def waiting_for(self, question: Question) -> list[str]:
        """The flows that wait for the answer to a question."""
        return [name for name, need in NEEDS.items() if _is_of(question.what, need)]

    def answer(
        self, question: Question | str, choice: int | str | Mapping[str, Any] | None
    ) -> None:
        """Answer a question.

        Args:
            question: the question, or its `what`.
            choice: the number of a candidate from 0 on, or what stands on the wire: for an
                operation `"POST /machines/{instance_id}/stop"`, with what every request of it holds
                behind that, such as `{action: stop}`. None: the wire has no such thing.

        Raises:
            LearnError: there is no such question or candidate, or the answer cannot be.
        """
        what = question if isinstance(question, str) else question.what
        asked = self.open.get(what)
        if asked is None:
            raise LearnError(f"{what} is not an open question")
        wire: Any = choice
        if isinstance(choice, int) and not isinstance(choice, bool):
            if not 0 <= choice < len(asked.candidates):
                raise LearnError(f"{what} has {len(asked.candidates)} candidates, not {choice + 1}")
            wire = asked.candidates[choice].wire
        elif isinstance(choice, str) and what.startswith("operations.") and what.count(".") == 1:
            method, path, body = (*choice.split(maxsplit=2), "", "")[:3]
            wire = {"method": method.upper(), "path": path, **_said_besides(what, body)}
        merged(_content(self.name, [Match(what, wire, "answered", "certain")]), "the answer")
        self.recall({what: wire})

    def recall(self, answers: Mapping[str, Any]) -> None:
        """Take answers that were given before, as far as anything is asked or said of them.

        Raises:
            LearnError: one cannot be.
        """
        for what, wire in answers.items():
            merged(_content(self.name, [Match(what, wire, "answered", "certain")]), "an answer")
        self.answers.update(answers)
        of_operations = {
            what.split(".")[1]: _place_of(wire)
            for what, wire in self.answers.items()
            if what.startswith("operations.") and what.count(".") == 1
        }
        if self.again is not None and any(what.startswith("operations.") for what in answers):
            fresh = self.again(of_operations)
            self.matches, self.open, self.unseen = fresh.matches, fresh.open, fresh.unseen
            self.notes, self.recognised = fresh.notes, fresh.recognised
        for what, wire in self.answers.items():
            found = self.matches.get(what)
            if found is None or found.wire != wire or what in self.open:
                self.matches[what] = Match(what, wire, "answered", "certain")
            self.open.pop(what, None)

    def open_unsayable(self) -> None:
        """Turn what was learned and no dialect file can say into questions."""
        for what, reason in _refused(self.name, list(self.matches.values())).items():
            del self.matches[what]
            self.ask(what, f"What is {what}? A dialect file cannot say what was found: {reason}.")

    def take_clear(self) -> None:
        """Answer every question that has one candidate clearly the best, and no risk."""
        if not self.recognised:
            return
        for question in list(self.questions()):
            best = question.clear
            if best is not None:
                match = Match(question.what, best.wire, f"the best guess: {best.reason}", "guess")
                self.matches[question.what] = match
                del self.open[question.what]
        self.open_unsayable()

    def doubt(self) -> None:
        """Turn all that was matched into questions: the evidence is of something else."""
        for match in list(self.matches.values()):
            if match.wire is not None and match.reason != "answered":
                reason = f"{match.reason}; but the rest does not look like Barrack's API"
                candidate = AnswerOption(match.wire, reason, 0.5)
                self.ask(match.what, f"What is {match.what}?", (candidate,), risky=True)
            del self.matches[match.what]

    def dialect(self) -> dict[str, Any]:
        """What a dialect file says: only what differs from the built-in dialect."""
        content = _content(self.name, list(self.matches.values()))
        # Where the whole API is known, what is open is not where the built-in dialect has it.
        elsewhere = dict.fromkeys(n for n in self.elsewhere if f"operations.{n}" in self.open)
        if elsewhere:
            content["operations"] = {**content.get("operations", {}), **elsewhere}
        if is_in_clear(content.get("base_url", "")):
            del content["base_url"]  # no dialect file may say it; BARRACK_BASE_URL can
        return {key: content[key] for key in _ORDER if key in content}

    def reasons(self) -> dict[str, Match]:
        """For each entry of the dialect, by its place there, why it is there."""
        return dict(self.matches)

    def report(self, needs: Mapping[str, Needs] = NEEDS) -> LearnReport:
        """Figures, what is open, and which flows can run."""
        return _report(self, needs)


def _refused(name: str, matches: list[Match]) -> dict[str, str]:
    """Those of some matches that no dialect file can say, with the reason."""
    try:
        merged(Learned(name, {match.what: match for match in matches}).dialect(), "the evidence")
    except DialectError as error:
        if len(matches) == 1:
            return {matches[0].what: error.message}
        half = len(matches) // 2
        return {**_refused(name, matches[:half]), **_refused(name, matches[half:])}
    return {}


def _place_of(wire: Any) -> str | None:
    """Method, path and word of an answer about an operation."""
    if not isinstance(wire, Mapping):
        return None
    return place_of(str(wire.get("method")), str(wire.get("path")), wire.get("body"))


def _said_besides(what: str, text: str) -> dict[str, Any]:
    """What every request of an operation holds, as it is written behind the path."""
    if not text:
        return {}
    try:
        body = read_yaml(text, what)
    except UnreadableError as error:
        raise LearnError(error.message) from None
    return {"body": body}


_STATES = {"VMStatus": "UserVM.status", "SnapshotStatus": "Snapshot.status"}


def _is_of(what: str, need: Needs) -> bool:
    """Whether a flow waits for the answer to a question."""
    steps = what.split(".")
    match steps[0]:
        case "operations":
            tells_prices = steps[1] == "get_pricing" and "UserVM.hourly_price" in need.fields
            is_one_of = any(steps[1] in group for group in need.either)
            return steps[1] in need.operations or is_one_of or tells_prices
        case "schemas" | "values":
            place = ".".join(steps[1:])
            tells = any(TOLD_IN.get(name) == place for group in need.either for name in group)
            return place in need.fields or tells
        case "envelope":
            return True
        case "paging":
            return any(OPERATIONS[name].paged for name in need.operations)
        case "words":
            return _STATES.get(steps[1]) in need.fields
        case "currency":
            return "Balance.currency" in need.fields or "UserVM.currency" in need.fields
        case "prices":
            return "UserVM.hourly_price" in need.fields
        case "lookups":
            return "create_instance" in need.operations or "create_instance" in need.uses
    return False


def _content(name: str, matches: list[Match]) -> dict[str, Any]:
    base = builtin().model_dump()
    content: dict[str, Any] = {"name": name}
    for match in matches:
        steps = match.what.split(".", 2)
        if steps[0] == "operations":
            if len(steps) == 2:
                _operation(content, base, steps[1], match.wire)
        elif steps[0] == "schemas":
            _, schema, inner = steps
            if base["schemas"].get(schema, {}).get(inner, inner) != match.wire:
                content.setdefault("schemas", {}).setdefault(schema, {})[inner] = match.wire
        elif steps[0] == "words":
            _, enum, word = steps
            if word != match.wire:
                content.setdefault("words", {}).setdefault(enum, {})[word] = match.wire
        elif steps[0] == "values":
            _, schema, inner = steps
            content.setdefault("values", {}).setdefault(schema, {})[inner] = match.wire
        elif steps[0] in ("currency", "prices", "lookups"):
            _pour(content, match.wire or {})
        elif isinstance(match.wire, Mapping):
            ours = base.get(steps[0], {})
            differs = {k: v for k, v in match.wire.items() if ours.get(k) != v}
            if differs:
                content[steps[0]] = differs
        elif match.wire is not None and base.get(steps[0]) != match.wire:
            content[steps[0]] = match.wire
    for match in matches:
        steps = match.what.split(".")
        if steps[0] == "operations" and len(steps) == 4:
            _query(content, base, steps, match.wire)
    return {key: content[key] for key in _ORDER if key in content}


_ORDER = (
    "name", "base_url", "auth", "envelope", "error_envelope", "request_id_header", "paging",
    "operations", "schemas", "words", "values", "joins",
)  # fmt: skip


def _pour(into: dict[str, Any], more: Mapping[str, Any]) -> None:
    for key, value in more.items():
        if isinstance(value, Mapping):
            if into.setdefault(key, {}) is not None:  # an operation that does not exist
                _pour(into[key], value)
        else:
            into[key] = value


def _operation(content: dict[str, Any], base: dict[str, Any], name: str, wire: Any) -> None:
    section = content.setdefault("operations", {})
    if wire is None:
        section[name] = None
        return
    ours = base["operations"].get(name, {})
    entry = {
        key: value
        for key, value in wire.items()
        if ours.get(key) != value and not (key == "path_parameters" and not value)
    }
    if entry:
        section[name] = entry
    elif not section:
        del content["operations"]


def _query(content: dict[str, Any], base: dict[str, Any], steps: list[str], wire: Any) -> None:
    _, name, _, parameter = steps
    if name not in OPERATIONS or base["operations"][name]["query"].get(parameter) == wire:
        return
    section = content.setdefault("operations", {})
    if section.get(name, {}) is not None:
        section.setdefault(name, {}).setdefault("query", {})[parameter] = wire


def _report(learned: Learned, needs: Mapping[str, Needs]) -> LearnReport:
    """Count, and hold against what the flows need."""
    told = _told_elsewhere(learned)
    figures = {"operations": Figures(), "schemas": Figures(), "words": Figures()}
    for what, match in learned.matches.items():
        section = figures.get(what.split(".")[0])
        if section is None or ".query." in what:
            continue
        if match.wire is None:
            section.absent += 1
        elif match.certainty == "certain":
            section.certain += 1
        elif match.certainty == "likely":
            section.likely += 1
        else:
            section.guessed += 1
    for group, attribute in ((learned.open, "open"), (learned.unseen, "unseen")):
        for what in group:
            section = figures.get(what.split(".")[0])
            if section is not None and ".query." not in what:
                setattr(section, attribute, getattr(section, attribute) + 1)
    return LearnReport(
        operations=figures["operations"],
        fields=figures["schemas"],
        words=figures["words"],
        flows={name: _flow_report(learned, need, told) for name, need in needs.items()},
        absent=[w for w, m in learned.matches.items() if m.wire is None and w.count(".") == 1],
        open=[q.what for q in learned.questions()],
        notes=list(learned.notes),
        recognised=learned.recognised,
    )


def _told_elsewhere(learned: Learned) -> set[str]:
    """Fields that values, joins or the paths of operations tell."""
    content = learned.dialect()
    found = {
        f"schemas.{schema}.{name}"
        for schema, entry in content.get("values", {}).items()
        for name, how in entry.items()
        if "constant" in how or "cases" in how
    }
    for schema, join in content.get("joins", {}).items():
        found |= {f"schemas.{schema}.{name}" for name in join["take"]}
    return found | known_by_path(learned)


def known_by_path(learned: Learned) -> set[str]:
    """Fields that stand in paths: of requests, and of what is listed under something."""
    found = set()
    for what, match in learned.matches.items():
        steps = what.split(".")
        if steps[0] != "operations" or len(steps) != 2 or not isinstance(match.wire, Mapping):
            continue
        request = OPERATIONS[steps[1]].request
        found |= {f"schemas.{place}" for place in told_by_parents(steps[1], match.wire)}
        for name in re.findall(r"\{([^}]*)\}", str(match.wire.get("path", ""))):
            if request is not None and name in request.model_fields:
                found.add(f"schemas.{request.__name__}.{name}")
    return found


def _flow_report(learned: Learned, need: Needs, told: set[str]) -> FlowReport:
    flow = FlowReport()
    places = [f"operations.{o}" for o in need.operations]
    places += [f"schemas.{f}" for f in need.fields]
    for place in places:
        match = learned.matches.get(place)
        if place in told:
            continue
        if match is None:
            flow.open.append(place)
        elif match.wire is None:
            flow.lacking.append(place)
        elif match.certainty == "guess":
            flow.guessed.append(place)
    for group in need.either:
        options = [_lacking_of(learned, o, told) for o in group]
        if all(options):
            may_be = [place for place in options if place not in learned.matches]
            to = flow.open if may_be else flow.lacking
            to.append(" or ".join(may_be or options))
    return flow


def _lacking_of(learned: Learned, operation: str, told: set[str]) -> str:
    """The place that keeps an operation from telling what it is needed for, or nothing."""
    needed = [f"operations.{operation}"]
    if operation in TOLD_IN:
        needed.append(f"schemas.{TOLD_IN[operation]}")
    for place in needed:
        match = learned.matches.get(place)
        if place not in told and (match is None or match.wire is None):
            return place
    return ""
