"""One reading of one OpenAPI document."""

from __future__ import annotations

from collections.abc import Mapping

from barrack_tasks.api.dialect.builtin import builtin
from barrack_tasks.api.operations import OPERATIONS
from barrack_tasks.dialects.learn.actions import by_word, machines
from barrack_tasks.dialects.learn.beyond import look_beyond, parents, told_by_lists
from barrack_tasks.dialects.learn.calls import PARAMETER, Wired, wired_operations
from barrack_tasks.dialects.learn.document import Document
from barrack_tasks.dialects.learn.envelopes import choose_envelopes, error_envelope
from barrack_tasks.dialects.learn.fields import Mapper
from barrack_tasks.dialects.learn.likeness import CERTAIN, certainty_of, name_likeness
from barrack_tasks.dialects.learn.lookups import ask_lookups
from barrack_tasks.dialects.learn.operations import Candidate, Found, match_operations
from barrack_tasks.dialects.learn.pairing import Pairs
from barrack_tasks.dialects.learn.result import AnswerOption, Learned
from barrack_tasks.dialects.learn.schema import Schemas
from barrack_tasks.dialects.learn.settings import (
    Said,
    auths,
    base_urls,
    paging,
    query_names,
    relative_server,
    request_id_header,
)

WHOLE = 10
"""Operations of a document that must be matched before those that are not there are called so."""
FEW = 3
"""Titles of the reference that a document must have to be of this API."""
CORE = frozenset({"list_instances", "get_instance", "create_instance", "get_gpu_stock"})
"""Operations of which this API has one at least."""


class Learner:
    """One reading of one document.

    `complete` says whether the document describes the whole API: what it lacks does not exist
    then.
    """

    def __init__(
        self,
        document: Document,
        learned: Learned,
        *,
        complete: bool,
        source_url: str | None = None,
    ) -> None:
        self.document = document
        self.learned = learned
        self.complete = complete
        self.source_url = source_url
        self.answered: Mapping[str, str | None] = {}
        self.schemas = Schemas(document)
        self.mapper = Mapper()
        self.wired = machines(by_word(wired_operations(document, self.schemas)))

    def run(self) -> Learned:
        """Read everything."""
        learned = self.learned
        found = match_operations(self.wired, self.mapper, self.answered)
        whole = self.complete and found.alike >= WHOLE
        matched = {n: (OPERATIONS[n], c.wired) for n, c in found.matched.items()}
        main, chosen = choose_envelopes(self.mapper, matched)
        pairs = Pairs(self.mapper, self.schemas, learned)
        for name, (operation, wired) in matched.items():
            if wired.answer is not None and name in chosen:
                pairs.pair(operation.response, wired.answer.at(chosen[name]), wired.place)
            if operation.request is not None and wired.asked is not None:
                pairs.pair(operation.request, wired.asked, wired.place)
        self._settings(found, main)
        self._errors(pairs)
        pairs.by_name()
        self._operations(found, chosen, main or (), whole)
        pairs.merge(absent_is_known=whole)
        look_beyond(learned, self.mapper, matched, chosen)
        if "create_instance" in matched:
            ask_lookups(learned, self.mapper, matched["create_instance"][1], self.wired)
        if whole:
            there = {(w.method, PARAMETER.sub("{}", w.path)) for w in self.wired}
            learned.elsewhere = frozenset(
                name
                for name, ours in builtin().operations.items()
                if (ours.method, PARAMETER.sub("{}", ours.path)) not in there
            )
        learned.recognised = self._is_barrack(found, pairs.distinctive)
        if not learned.recognised:
            learned.doubt()
        learned.notes += self.document.notes
        return learned

    def _is_barrack(self, found: Found, distinctive: int) -> bool:
        """Whether there is enough that no other API has."""
        if not self.complete:
            return bool(found.matched)
        titled = sum(c.score >= CERTAIN for c in found.matched.values())
        core = bool(CORE & set(found.matched))
        return (
            (core and (titled >= FEW or found.alike >= WHOLE))
            or (titled >= 1 and distinctive >= 2)
            or distinctive >= 2 * FEW
        )

    # Operations

    def _operations(
        self, found: Found, chosen: dict[str, tuple[str, ...]], main: tuple[str, ...], whole: bool
    ) -> None:
        learned = self.learned
        for name, candidate in found.matched.items():
            wire = wire_of(name, candidate.wired)
            if name in chosen and chosen[name] != main:
                wire["envelope"] = ".".join(chosen[name])
            learned.add(f"operations.{name}", wire, candidate.reason, candidate.score)
            self._query(name, candidate.wired)
        for name, candidates in found.open.items():
            self._ask(name, candidates)
        for name in found.absent:
            if whole:
                reason = "the document has no such operation"
                if name in found.unsayable:
                    place = found.unsayable[name]
                    reason = f"{place} may be it, but a dialect cannot express it"
                    learned.notes.append(f"operations.{name}: {reason}")
                learned.add(f"operations.{name}", None, reason, 1.0)
            else:
                learned.unseen[f"operations.{name}"] = "the evidence shows no such operation"

    def _ask(self, name: str, candidates: list[Candidate]) -> None:
        self.learned.ask(
            f"operations.{name}",
            f"Which operation is {OPERATIONS[name].title!r} ({name})?",
            tuple(AnswerOption(wire_of(name, c.wired), c.reason, c.score) for c in candidates),
            risky=OPERATIONS[name].changes,
        )

    def _query(self, name: str, wired: Wired) -> None:
        names = self.paging_names
        operation = OPERATIONS[name]
        said = query_names(operation.query, wired, names)
        for ours in operation.query:
            what = f"operations.{name}.query.{ours}"
            if ours in said:
                self.learned.add(what, said[ours].value, said[ours].reason, said[ours].score)
            elif self.complete:
                self.learned.unseen[what] = "the operation takes no such parameter"

    # All else

    def _settings(self, found: Found, main: tuple[str, ...] | None) -> None:
        learned, document = self.learned, self.document
        self._said("base_url", base_urls(document, self.source_url))
        if "base_url" not in learned.matches and "base_url" not in learned.open:
            path = relative_server(document)
            where = f", only that it lies under {path}" if path else ""
            learned.unseen["base_url"] = f"the evidence does not give the address{where}"
            learned.notes.append(learned.unseen["base_url"])
        self._said("auth", auths(document))
        header = request_id_header(self.wired)
        if header is not None:
            self._said("request_id_header", [header])
        if main is not None:
            learned.add("envelope", ".".join(main), "where most answers have their body", 0.97)
        lists = [c.wired for n, c in found.matched.items() if OPERATIONS[n].paged]
        paged = paging(lists, self.complete)
        self.paging_names = paged.names if paged else frozenset()
        if paged is not None:
            learned.add("paging", paged.paging, paged.reason, paged.score)

    def _said(self, what: str, said: list[Said]) -> None:
        if not said:
            return
        best = said[0]
        if len(said) > 1 and best.score - said[1].score < 0.04 and best.value != said[1].value:
            candidates = tuple(AnswerOption(s.value, s.reason, s.score) for s in said)
            self.learned.ask(what, f"Which is the {what}?", candidates)
        else:
            self.learned.add(what, best.value, best.reason, best.score)

    def _errors(self, pairs: Pairs) -> None:
        found = error_envelope(self.mapper, self.wired)
        if found is None:
            return
        steps, schema, named = found
        reason = (
            "where error answers have ErrorResponse"
            if named
            else "where error answers have their message"
        )
        self.learned.add("error_envelope", ".".join(steps), reason, 0.97 if named else 0.8)
        pairs.pair_error(schema)


def wire_of(name: str, wired: Wired) -> dict[str, object]:
    """How an operation goes on the wire, with this library's names in its path."""
    operation = OPERATIONS[name]
    above = parents(operation, wired.in_path) or ()
    lists = told_by_lists(operation, wired.in_path)
    ours, theirs = [*lists, *operation.path_parameters, *above], list(wired.in_path)
    names: dict[str, str] = {}
    free = list(theirs)
    for position, parameter in enumerate(ours):
        if position >= len(theirs):
            break
        best = max(free, key=lambda n: name_likeness("Path", parameter, n).score)
        if certainty_of(name_likeness("Path", parameter, best).score) == "guess":
            best = theirs[position] if theirs[position] in free else free[0]
        names[parameter] = best
        free.remove(best)
    path = wired.path
    for parameter, wire in names.items():
        path = path.replace(f"{{{wire}}}", f"{{\0{parameter}\0}}", 1)
    return {
        "method": wired.method,
        "path": path.replace("\0", ""),
        "path_parameters": {k: v for k, v in names.items() if k != v},
        **({"parents": lists} if lists else {}),
        **({"body": dict(wired.body)} if wired.body else {}),
    }
