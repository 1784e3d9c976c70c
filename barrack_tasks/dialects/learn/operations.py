"""Which operation of a document is which of this library's."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from difflib import SequenceMatcher
from functools import lru_cache
from heapq import nlargest
from typing import Any

from barrack_tasks.api.operations import OPERATIONS, Operation
from barrack_tasks.dialects.learn.actions import action_of
from barrack_tasks.dialects.learn.beyond import parents, told_by_lists
from barrack_tasks.dialects.learn.calls import (
    ACTIONS,
    PARAMETER,
    Wired,
    common_prefix,
    does,
    is_unclear,
    known_paths,
    ours_does,
    place_of,
    segments_of,
)
from barrack_tasks.dialects.learn.document import Document
from barrack_tasks.dialects.learn.doubts import DOUBTED, doubt_of_operation
from barrack_tasks.dialects.learn.envelopes import answer_fit
from barrack_tasks.dialects.learn.fields import Mapper
from barrack_tasks.dialects.learn.likeness import (
    CERTAIN,
    GUESS,
    LIKELY,
    MARGIN,
    canonical,
    overlap,
    same_schema,
    words_of,
)
from barrack_tasks.dialects.learn.synonyms import split

_SMALL = frozenset(split("a an the all of for to from with your detail details available"))

_MOST_COMPARED = 40
"""Operations of a document whose answers are compared with that of one of ours."""


@dataclass(frozen=True)
class Candidate:
    """An operation of the document that may be one of ours."""

    wired: Wired
    score: float
    reason: str
    is_answered: bool = False
    """Whether a person has said so."""


@dataclass(frozen=True)
class _Outline:
    """How alike two operations are before their answers are compared."""

    path: float
    title: float
    told: bool
    score: float


@dataclass
class Found:
    """What was found: matches, open ones with their candidates, and what is not there."""

    matched: dict[str, Candidate] = field(default_factory=dict)
    open: dict[str, list[Candidate]] = field(default_factory=dict)
    absent: list[str] = field(default_factory=list)
    unsayable: dict[str, str] = field(default_factory=dict)
    """Absent ones that are there in a shape that no dialect can say, with their place."""
    doubted: set[str] = field(default_factory=set)
    """Open ones that were matched until what the document says spoke against it."""

    @property
    def alike(self) -> int:
        """How many operations of the document are like ours, whether they are taken or asked."""
        return len(self.matched) + len(self.doubted)


def match_operations(
    wired: list[Wired], mapper: Mapper, answered: Mapping[str, str | None] | None = None
) -> Found:
    """Match a document's operations with this library's: titles first, then all else.

    Args:
        wired: the operations of the document.
        mapper: of schemas.
        answered: what a person has said: for operations of ours the place of one of the
            document's, as method and path, or None if there is none.
    """
    scorer = _Scorer(wired, mapper)
    found = Found()
    taken: set[int] = set()
    said = answered or {}
    for name, place in said.items():
        if place is None:
            found.absent.append(name)
        elif (there := _at(place, wired)) is not None:
            found.matched[name] = Candidate(there, 1.0, "answered", is_answered=True)
            taken.add(id(there))
    for name, operation in OPERATIONS.items():
        if name in found.matched or name in found.absent:
            continue
        titled = [c for w in wired if (c := scorer.by_title(operation, w))]
        titled.sort(key=lambda c: -c.score)
        if len(titled) == 1 or (titled and titled[0].score - titled[1].score >= MARGIN):
            found.matched[name] = titled[0]
            taken.add(id(titled[0].wired))
        elif titled:
            found.open[name] = titled
            taken |= {id(c.wired) for c in titled}
    _settle(found)
    _doubt_namesakes(found, scorer, wired)
    rest = [w for w in wired if id(w) not in taken]
    settled = {*found.matched, *found.open, *found.absent}
    left = [o for n, o in OPERATIONS.items() if n not in settled]
    _match_rest(found, scorer, left, rest)
    _keep_chances(found, scorer, rest, said)
    _doubt_other_families(found, scorer)
    _doubt_what_is_said(found)
    return found


def _doubt_what_is_said(found: Found) -> None:
    """What a title, a description or a request speaks against is asked.

    What lies under a list that is asked is asked with it.
    """
    doubts = {
        name: doubt
        for name, candidate in found.matched.items()
        if not candidate.is_answered
        and (doubt := doubt_of_operation(name, candidate.wired)) is not None
    }
    for name, doubt in list(doubts.items()):
        stem = found.matched[name].wired.path
        for other, its in found.matched.items():
            same = OPERATIONS[other].group == OPERATIONS[name].group
            if same and its.wired.path.startswith(f"{stem}/") and not its.is_answered:
                doubts.setdefault(other, doubt)
    for name, doubt in doubts.items():
        candidate = found.matched.pop(name)
        reason = f"{candidate.reason}; but {doubt}"
        found.open[name] = [replace(candidate, reason=reason, score=DOUBTED)]
        found.doubted.add(name)


def _called(wired: Wired) -> set[tuple[str, ...]]:
    return {_gist(name) for name in (*wired.titles, wired.operation_id) if name}


def _doubt_namesakes(found: Found, scorer: _Scorer, wired: list[Wired]) -> None:
    """What is named like one of ours is asked where something else bears the title of ours.

    A list of images may be that of the system, beside a list of custom images. What lies under a
    list that is asked is asked with it.
    """
    for name, candidate in list(found.matched.items()):
        title = _gist(OPERATIONS[name].title)
        if candidate.is_answered or title in _called(candidate.wired):
            continue
        rival = next((w for w in wired if title in _called(w)), None)
        if rival is None:
            continue
        stem = candidate.wired.path
        for other, its in list(found.matched.items()):
            same = OPERATIONS[other].group == OPERATIONS[name].group
            if same and f"{its.wired.path}/".startswith(f"{stem}/") and not its.is_answered:
                del found.matched[other]
                reason = f"{its.reason}; but {rival.place} is called {OPERATIONS[name].title!r}"
                found.open[other] = [replace(its, reason=reason, score=DOUBTED)]
        titled = scorer.by_all(OPERATIONS[name], rival)
        if titled.score:
            named = f"called {OPERATIONS[name].title!r}"
            found.open[name].insert(0, replace(titled, reason=named, score=DOUBTED))


def _at(place: str, wired: list[Wired]) -> Wired | None:
    """The operation at a place, whatever its parameters are called and where its path begins."""
    method, path, body = _WORDS.match(place).groups()  # type: ignore[union-attr]
    wanted = PARAMETER.sub("{}", path)
    alike = [w for w in wired if (w.method, place_of("", "", w.body).strip()) == (method, body)]
    paths = [(PARAMETER.sub("{}", w.path), w) for w in alike]
    same = [w for path, w in paths if path == wanted]
    near = [w for path, w in paths if path.endswith(wanted) or wanted.endswith(path)]
    return same[0] if same else near[0] if len(near) == 1 else None


_WORDS = re.compile(r"(\S*) ?(\S*) ?(.*)", re.DOTALL)
"""Method, path, and what the request holds besides."""


def _keep_chances(
    found: Found, scorer: _Scorer, rest: list[Wired], said: Mapping[str, str | None]
) -> None:
    """What may be there under a name that says nothing is open, not absent."""
    taken = {id(c.wired) for c in found.matched.values()}
    free = [w for w in rest if id(w) not in taken]
    for name in [n for n in found.absent if n not in said]:
        chances = [c for w in free if (c := scorer.by_chance(OPERATIONS[name], w))]
        if chances:
            found.absent.remove(name)
            found.open[name] = sorted(chances, key=lambda c: -c.score)[:5]
            continue
        gist = _gist(OPERATIONS[name].title)
        there = next((w for w in free if any(_gist(t) == gist for t in w.titles)), None)
        if there is not None:
            found.unsayable[name] = there.place


def _settle(found: Found) -> None:
    """Two of ours with one of theirs: neither is matched, unless one is surer."""
    by_wired: dict[int, list[str]] = {}
    for name, candidate in found.matched.items():
        by_wired.setdefault(id(candidate.wired), []).append(name)
    for names in by_wired.values():
        names.sort(key=lambda n: -found.matched[n].score)
        scores = [found.matched[n].score for n in names]
        clear = len(names) == 1 or scores[0] - scores[1] >= MARGIN
        for name in names[1:] if clear else names:
            candidate = found.matched.pop(name)
            if not clear:
                found.open[name] = [candidate]


def _match_rest(
    found: Found, scorer: _Scorer, left: list[Operation[Any]], rest: list[Wired]
) -> None:
    chances = {
        o.name: sorted(
            (c for w in scorer.likeliest(o, rest) if (c := scorer.by_all(o, w)).score >= GUESS),
            key=lambda c: -c.score,
        )
        for o in left
    }
    taken: set[int] = set()
    while chances:
        free = {n: [c for c in cs if id(c.wired) not in taken] for n, cs in chances.items()}
        name = max(free, key=lambda n: free[n][0].score if free[n] else 0.0)
        candidates = free[name]
        del chances[name]
        if not candidates:
            found.absent.append(name)
            continue
        best = candidates[0]
        rivals = [c for c in candidates[1:] if best.score - c.score < MARGIN]
        rivals += [
            cs[0]
            for other, cs in free.items()
            if other != name and cs and cs[0].wired is best.wired
            and best.score - cs[0].score < MARGIN
        ]  # fmt: skip
        if best.score < LIKELY or rivals:
            found.open[name] = candidates[:5]
        else:
            found.matched[name] = best
            taken.add(id(best.wired))


def _before_parameters(path: str) -> list[str]:
    """For each parameter of a path the word before it, which says what it is the id of."""
    segments = segments_of(path)
    return [segments[n - 1] if n else "" for n, one in enumerate(segments) if one == "{}"]


_THINGS = {
    parameter: thing
    for operation in OPERATIONS.values()
    for parameter, thing in zip(
        operation.path_parameters, _before_parameters(operation.path), strict=True
    )
}
"""By parameter of ours, the word that stands before it in a path."""


_OWNERS = frozenset(
    segments_of(
        "/organizations/projects/accounts/users/teams/tenants/customers/companies/workspaces"
        "/namespaces/subscriptions/zones/regions/locations/datacenters"
    )
)
"""Whoever has things, or where they are; none of these is a thing itself."""


def owners(document: Document) -> dict[str, int]:
    """Parameters of whoever has the things, such as a project, with the operations under each.

    Only where most of the API lies under one, so that nothing can be done without it.
    """
    paths = [path for path, *_ in document.operations()]
    found = Counter(
        name
        for path in paths
        for name, word in zip(PARAMETER.findall(path), _before_parameters(path), strict=True)
        if word in _OWNERS
    )
    return {name: count for name, count in found.items() if 3 * count >= len(paths)}


def _is_of_another_thing(operation: Operation[Any], wired: Wired, above: int) -> bool:
    """Whether a parameter is the id of something else: a snapshot asked for by its instance.

    No dialect can say that, and what changes something would change the wrong thing. Of the
    parameters, so many as lists tell are not looked at.
    """
    theirs = _before_parameters(wired.reads)[above:]
    others = set(_THINGS.values())
    last = segments_of(wired.reads)[-1:]
    if (
        operation.path.endswith("}")
        and theirs
        and last == (_THINGS[operation.path_parameters[-1]],)
    ):
        return theirs[-1] != last[0]  # all firewalls of a project are not one firewall
    return any(
        (word in others and word != _THINGS[ours]) or word in _OWNERS
        for ours, word in zip(operation.path_parameters, theirs, strict=False)
    )


def _needs_more(operation: Operation[Any], wired: Wired) -> bool:
    """Whether a request needs what no caller of ours gives, or puts an old copy over a disk."""
    if operation.request is not None or wired.asked is None or wired.word:
        return False
    if operation.name == "restore_instance":
        said = {word for name in wired.asked.fields for word in canonical(words_of(name))}
        return bool(wired.asked.required or said & _COPIES)
    return operation.changes and bool(wired.asked.required)


_COPIES = frozenset(split("snapshot backup image volume"))


def _family(path: str, prefix: int) -> str:
    """The part of an API that a path belongs to, where the API has several; else nothing."""
    words: list[str] = []
    for segment in segments_of(path)[prefix:]:
        if segment == "{}":
            break
        words.append(segment)
    return words[0] if len(words) > 1 else ""


def _doubt_other_families(found: Found, scorer: _Scorer) -> None:
    """What is in another part of the API than the instances, and not certain, is asked."""
    lists = [found.matched[n] for n in ("list_instances", "get_instance") if n in found.matched]
    home = _family(lists[0].wired.reads, scorer.prefix) if lists else ""
    for name, candidate in list(found.matched.items()):
        own = _family(candidate.wired.reads, scorer.prefix)
        if home and own and own != home and candidate.score < CERTAIN:
            del found.matched[name]
            reason = f"{candidate.reason}; but the instances are under {home}"
            found.open[name] = [replace(candidate, reason=reason)]


@lru_cache(maxsize=65536)
def _plain(title: str) -> str:
    return " ".join(title.casefold().strip(" .!").split())


@lru_cache(maxsize=65536)
def _gist(title: str) -> tuple[str, ...]:
    return tuple(w for w in canonical(words_of(title)) if w not in _SMALL)


_GISTS = Counter(_gist(o.title) for o in OPERATIONS.values())


class _Scorer:
    def __init__(self, wired: list[Wired], mapper: Mapper) -> None:
        self._mapper = mapper
        self.prefix = common_prefix([w.reads for w in wired])

    def by_title(self, operation: Operation[Any], wired: Wired) -> Candidate | None:
        """A match by the words of the reference, which are known for sure."""
        if wired.word or wired.renamed:
            return None
        if any(_plain(t) == _plain(operation.title) for t in wired.titles):
            score, reason = 0.9, f"titled {operation.title!r}"
        elif words_of(wired.operation_id) == words_of(operation.name):
            score, reason = 0.85, f"operationId {wired.operation_id}"
        else:
            return None
        if not self._possible(operation, wired):
            return None
        supports = self._supports(operation, wired)
        if supports:
            score = max(score, CERTAIN)
        score = min(1.0, score + 0.01 * len(supports))
        if self._path(operation, wired) < 0.3 and not supports:
            score = LIKELY
        return Candidate(wired, score, "; ".join([reason, *supports]))

    def _supports(self, operation: Operation[Any], wired: Wired) -> list[str]:
        found: list[str] = []
        if wired.answer is not None and answer_names(operation.response.__name__, wired):
            found.append(f"answers {operation.response.__name__}")
        asked = wired.asked.names if wired.asked is not None else ()
        if operation.request and same_schema(operation.request.__name__, asked):
            found.append(f"takes {operation.request.__name__}")
        if wired.method == operation.method and self._path(operation, wired) >= 0.75:
            found.append("the path fits")
        if any(_plain(t) == _plain(operation.group) for t in wired.tags):
            found.append(f"in {operation.group!r}")
        return found

    @staticmethod
    def _possible(operation: Operation[Any], wired: Wired) -> bool:
        """Whether a dialect could say it, and whether it does nothing worse than ours."""
        lists = told_by_lists(operation, wired.in_path)
        if parents(operation, wired.in_path) is None and not lists:
            return False
        if _is_of_another_thing(operation, wired, len(lists)):
            return False
        if operation.request is not None and wired.method == "GET":
            return False
        if _needs_more(operation, wired):
            return False
        if not operation.changes and wired.method in ("DELETE", "PUT", "PATCH"):
            return False
        return operation.method == "DELETE" or wired.method != "DELETE"

    def _path(self, operation: Operation[Any], wired: Wired) -> float:
        theirs = segments_of(wired.reads)
        best = 0.0
        for ours in known_paths(operation):
            for path in {theirs, theirs[self.prefix :]}:
                if set(ours) & set(path) - {"{}"}:
                    ratio = SequenceMatcher(None, ours, path, autojunk=False).ratio()
                else:  # nothing but parameters in common
                    both = min(ours.count("{}"), path.count("{}"))
                    ratio = 0.3 * 2 * both / max(1, len(ours) + len(path))
                best = max(best, 1.0 if ours == path else 0.95 * ratio)
        return best

    def by_chance(self, operation: Operation[Any], wired: Wired) -> Candidate | None:
        """A match that cannot be ruled out."""
        if wired.word or not self._possible(operation, wired):
            return None
        if answer_names(operation.response.__name__, wired):
            return Candidate(wired, 0.35, f"answers {operation.response.__name__}")
        stem = segments_of(operation.path)[:-1]
        if ours_does(operation) & {does(wired)} & ACTIONS and not operation.request:
            theirs = segments_of(wired.reads)[self.prefix :]
            if theirs[: len(stem)] == stem and len(theirs) <= len(stem) + 2:
                return Candidate(wired, 0.4, "does the same to the same kind of thing")
        unclear = operation.changes and wired.method != "GET" and is_unclear(wired)
        unclear = unclear and len(stem) > 1
        if unclear and segments_of(wired.reads)[self.prefix :][:-1] == stem:
            return Candidate(wired, 0.3, "does something to the same kind of thing")
        return None

    def likeliest(self, operation: Operation[Any], rest: list[Wired]) -> list[Wired]:
        """Those whose paths and titles are the most alike: to compare all answers takes long."""
        words = [w for w in rest if w.word and self._fits(operation, w)]
        outlined = [(o.score, w) for w in rest if not w.word and (o := self._outline(operation, w))]
        return words + [w for _, w in nlargest(_MOST_COMPARED, outlined, key=lambda pair: pair[0])]

    def _fits(self, operation: Operation[Any], wired: Wired) -> bool:
        if wired.word and action_of(wired.word) != operation.name:
            return False
        does_it = wired.word or does(wired) in ours_does(operation)
        return bool(does_it) and self._possible(operation, wired)

    def _outline(self, operation: Operation[Any], wired: Wired) -> _Outline | None:
        if not self._fits(operation, wired):
            return None
        path = self._path(operation, wired)
        gist = _gist(operation.title)
        title = max((overlap(gist, _gist(t)) for t in wired.titles), default=0.0)
        title = max(title, overlap(_words(operation.name), _words(wired.operation_id)))
        told = bool(wired.titles or wired.operation_id)
        score = 0.4 * path + 0.25 * title if told else 0.55 * path
        score += 0.1 * (wired.method == operation.method)
        return _Outline(path, title, told, score) if score + 0.25 >= GUESS else None

    @staticmethod
    def _by_word(operation: Operation[Any], wired: Wired) -> Candidate:
        """A match by the word of an action; of a thing that is not known as ours it is asked."""
        known = _before_parameters(wired.reads)[-1] == _THINGS["instance_id"]
        is_sure = known and operation.path_parameters
        score = LIKELY + 0.05 if is_sure else LIKELY - 0.01
        return Candidate(wired, score, f"its word {wired.word!r} means the same")

    def by_all(self, operation: Operation[Any], wired: Wired) -> Candidate:
        """A match by everything that is no title."""
        nothing = Candidate(wired, 0.0, "")
        if wired.word:
            return self._by_word(operation, wired)
        outline = self._outline(operation, wired)
        if outline is None:
            return nothing
        path, title, told, score = outline.path, outline.title, outline.told, outline.score
        fit = answer_fit(self._mapper, operation, wired)
        score += 0.25 * fit
        reasons = [f"path {path:.0%} alike", f"answer {fit:.0%} alike"]
        if told:
            reasons.append(f"title {title:.0%} alike")
        if any(_gist(t) == _gist(operation.title) and _GISTS[_gist(t)] == 1 for t in wired.titles):
            score = max(score, 0.85)
        supports = [s for s in self._supports(operation, wired) if not s.startswith("a path")]
        score = min(score + 0.05 * len(supports), 0.94)
        if not told and path == 1.0 and wired.method == operation.method:
            score = max(score, LIKELY + 0.02)
        if operation.changes and title < 0.5 and path < 0.9 and not supports:
            # What changes something is not matched by a likeness of shapes.
            score = min(score, LIKELY - 0.01)
        if told and title == 0 and path < 0.9 and not supports:
            score = min(score, LIKELY - 0.01)
        if self._is_of_nothing_known(operation, wired):
            score = min(score, LIKELY - 0.01)
            reasons.append("but it does not say what it is made of")
        return replace(nothing, score=score, reason=", ".join([*reasons, *supports]))

    def _is_of_nothing_known(self, operation: Operation[Any], wired: Wired) -> bool:
        """Whether a request names nothing that ours is made of, such as an image's snapshot.

        Then it may be made of something else.
        """
        if operation.request is None or wired.asked is None or not wired.asked.fields:
            return False
        there = {*self._mapper.map(operation.request, wired.asked).found}
        there |= {*(parents(operation, wired.in_path) or ())}
        return any(
            name.endswith("_id") and info.is_required() and name not in there
            for name, info in operation.request.model_fields.items()
        )


def _words(name: str) -> tuple[str, ...]:
    return tuple(w for w in canonical(words_of(name)) if w not in _SMALL)


def answer_names(response: str, wired: Wired) -> bool:
    """Whether the answer holds, not too deep, the schema of that name."""
    return wired.answer is not None and same_schema(response, wired.answer.names_within)
