"""What several places say of one API: agreement makes certain, contradiction is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from posixpath import commonpath
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel

from barrack_tasks.api import models
from barrack_tasks.api.dialect.codec import kind_of, steps_of
from barrack_tasks.api.operations import OPERATIONS
from barrack_tasks.dialects.learn.likeness import certainty_of
from barrack_tasks.dialects.learn.result import AnswerOption, Learned, Match, Question

_WORTH = {"certain": 2, "likely": 1, "guess": 0}
_SCORES = (0.5, 0.8, 1.0)
_AGREED = 0.05
"""What a candidate gains when a second place suggests it."""


@dataclass(frozen=True)
class _Said:
    """A match, and the place that says it."""

    source: str
    match: Match

    @property
    def worth(self) -> int:
        return _WORTH[self.match.certainty]


@dataclass(frozen=True)
class _View:
    """Several places that say the same."""

    said: tuple[_Said, ...]

    @property
    def wire(self) -> Any:
        return self.best.match.wire

    @property
    def best(self) -> _Said:
        return max(self.said, key=lambda one: one.worth)

    @property
    def worth(self) -> int:
        """Two that are likely and agree are certain."""
        return 2 if sum(one.worth >= 1 for one in self.said) > 1 else self.best.worth

    @property
    def names(self) -> str:
        return " and ".join(dict.fromkeys(one.source for one in self.said))

    def match(self, what: str) -> Match:
        reason = f"{self.best.source}: {self.best.match.reason}"
        others = [s.source for s in self.said if s.source != self.best.source]
        if others:
            reason += f"; {' and '.join(dict.fromkeys(others))} shows the same"
        return Match(what, _fullest(self.said), reason, certainty_of(_SCORES[self.worth]))

    def option(self) -> AnswerOption:
        reason = f"{self.names}: {self.best.match.reason}"
        return AnswerOption(_fullest(self.said), reason, _SCORES[self.best.worth])


def together(parts: Sequence[Learned], sources: Sequence[str], name: str) -> Learned:
    """What was learned from several places as one.

    Of what two places say, the same becomes surer. Where they contradict each other, both are named
    in a question; only a guess gives way. The order of the places decides nothing but the order of
    what is shown.

    Args:
        parts: what was learned from each place.
        sources: what each place is called.
        name: what the dialect is to be called.

    Example:
        >>> together([of_document, of_recording], ["reference.json", "dashboard.har"], "mine")
    """
    parts = _without_what_others_explain(_in_one_envelope(_on_one_base(parts)))
    parts = [parts[0], *(_divided_alike(part, parts[0]) for part in parts[1:])]
    whole = Learned(name)
    for what in dict.fromkeys(w for p in parts for w in (*p.matches, *p.open)):
        said = [_Said(s, p.matches[what]) for s, p in zip(sources, parts, strict=True)
                if what in p.matches]  # fmt: skip
        asked = [p.open[what] for p in parts if what in p.open]
        _decide(whole, what, _views(what, said), asked)
    _drop_what_is_told(whole)
    for part in parts:
        for what, reason in part.unseen.items():
            if what not in whole.matches and what not in whole.open:
                whole.unseen.setdefault(what, reason)
    whole.notes = list(dict.fromkeys(note for part in parts for note in part.notes))
    whole.elsewhere = frozenset().union(*(part.elsewhere for part in parts))
    whole.recognised = any(part.recognised for part in parts)
    return whole


def _decide(whole: Learned, what: str, views: list[_View], asked: list[Question]) -> None:
    views.sort(key=lambda view: -view.worth)
    if not views:
        whole.open[what] = _asked(what, [], asked)
        return
    best, *rivals = views
    rivals = [view for view in rivals if view.worth >= min(1, best.worth)]
    among = {repr(_key(what, c.wire)) for q in asked for c in q.candidates}
    doubted = asked and best.worth < 2 and repr(_key(what, best.wire)) not in among
    if rivals or doubted or (asked and best.worth == 0):
        whole.open[what] = _asked(what, [best, *rivals], asked)
    else:
        whole.matches[what] = best.match(what)


def _asked(what: str, views: list[_View], asked: list[Question]) -> Question:
    """One question of all that were asked, and of what contradicts each other."""
    found: dict[str, AnswerOption] = {repr(_key(what, v.wire)): v.option() for v in views}
    for question in asked:
        for candidate in question.candidates:
            key = candidate.label or repr(_key(what, candidate.wire))
            known = found.get(key)
            if known is None:
                found[key] = candidate
            else:
                score = min(1.0, max(known.score, candidate.score) + _AGREED)
                found[key] = replace(known, score=score)
    text = asked[0].text if asked else f"What is {what}?"
    if len(views) > 1:
        text = f"{views[0].names} and {views[1].names} disagree. {text}"
    risky = len(views) > 1 or any(question.risky for question in asked)
    candidates = sorted(found.values(), key=lambda c: -c.score)
    return Question(what, text, tuple(candidates), risky)


def _views(what: str, said: list[_Said]) -> list[_View]:
    found: list[_View] = []
    for one in said:
        for number, view in enumerate(found):
            if _same(what, view.wire, one.match.wire):
                found[number] = _View((*view.said, one))
                break
        else:
            found.append(_View((one,)))
    return found


def _key(what: str, wire: Any) -> Any:
    """What of an entry makes it another: the case of a header does not."""
    if not isinstance(wire, Mapping):
        return wire
    if what.startswith("operations."):
        return {"method": wire.get("method"), "path": wire.get("path")}
    return {k: str(v).casefold() if k == "header" else v for k, v in sorted(wire.items())}


def _same(what: str, one: Any, other: Any) -> bool:
    ours, theirs = _key(what, one), _key(what, other)
    if what == "paging" and isinstance(ours, dict) and isinstance(theirs, dict):
        return all(ours[k] == theirs[k] for k in ours.keys() & theirs.keys())
    return bool(ours == theirs)


def _fullest(said: Sequence[_Said]) -> Any:
    """The entry of the surest, with what others say besides of the same."""
    best = max(said, key=lambda one: one.worth).match.wire
    if not isinstance(best, Mapping):
        return best
    more = {k: v for one in said for k, v in one.match.wire.items() if k not in best}
    return {**more, **best}


def _drop_what_is_told(whole: Learned) -> None:
    """Questions for what another place tells: the currency, and what an instance costs."""
    for what, field in (("currency", "currency"), ("prices", "hourly_price")):
        question = whole.open.get(what)
        section = "values" if what == "currency" else "joins"
        if question is None or not question.candidates:
            continue
        schemas = {s for c in question.candidates for s in c.wire.get(section, {})}
        told = {s for s in schemas if _is_told(whole, f"schemas.{s}.{field}")}
        if told >= schemas:
            del whole.open[what]
        elif what == "currency" and told:
            options = tuple(
                replace(c, wire={section: {s: v for s, v in c.wire[section].items()
                                           if s not in told}})
                for c in question.candidates
            )  # fmt: skip
            whole.open[what] = replace(question, candidates=options)


def _is_told(whole: Learned, what: str) -> bool:
    match = whole.matches.get(what)
    return match is not None and match.wire is not None and match.certainty != "guess"


# Places that describe the same address from another point


def _operations(part: Learned) -> Iterator[tuple[str, Match]]:
    for what, match in part.matches.items():
        if what.startswith("operations.") and what.count(".") == 1 and match.wire is not None:
            yield what, match


def _base(part: Learned) -> str | None:
    match = part.matches.get("base_url")
    return str(match.wire) if match is not None else None


def _on_one_base(parts: Sequence[Learned]) -> list[Learned]:
    """The same with paths that begin at one point, as far as they are of one host."""
    parts = _with_the_base_of_others(parts)
    bases = [base for part in parts if (base := _base(part))]
    hosts = {(urlsplit(base).scheme, urlsplit(base).netloc.casefold()) for base in bases}
    if len(hosts) != 1 or len(set(bases)) < 2:
        return list(parts)
    path = commonpath([urlsplit(base).path or "/" for base in bases]).rstrip("/")
    return [_moved(part, path) for part in parts]


def _with_the_base_of_others(parts: Sequence[Learned]) -> list[Learned]:
    """A document that does not tell its address is where the answers came from."""
    known = [part for part in parts if _base(part)]
    found: list[Learned] = []
    for part in parts:
        base = None if _base(part) else next((b for k in known if (b := _seen_from(part, k))), None)
        if base is not None:
            part = _copy(part)
            part.open.pop("base_url", None)
            part.add("base_url", base, "the same operations are there", 0.8)
        found.append(part)
    return found


def _seen_from(part: Learned, other: Learned) -> str | None:
    """The address under which the paths of one are those of the other."""
    theirs = dict(_operations(other))
    found: set[str] = set()
    for what, match in _operations(part):
        if what not in theirs or theirs[what].wire["method"] != match.wire["method"]:
            continue
        whole = f"{_base(other)}{theirs[what].wire['path']}"
        if not whole.endswith(match.wire["path"]):
            return None
        found.add(whole.removesuffix(match.wire["path"]))
    return found.pop() if len(found) == 1 else None


def _moved(part: Learned, path: str) -> Learned:
    """The same with an address of this path, and what that leaves out before each path."""
    base = _base(part)
    if base is None:
        return part
    own = urlsplit(base)
    extra = own.path.rstrip("/").removeprefix(path)
    if not extra:
        return part
    part = _copy(part)

    def longer(wire: Any) -> Any:
        if isinstance(wire, Mapping) and isinstance(wire.get("path"), str):
            return {**wire, "path": extra + wire["path"]}
        return wire

    _rewrite(part, longer)
    match = part.matches["base_url"]
    part.matches["base_url"] = replace(match, wire=f"{own.scheme}://{own.netloc}{path}")
    return part


def _rewrite(part: Learned, change: Callable[[Any], Any]) -> None:
    for what, match in list(_operations(part)):
        part.matches[what] = replace(match, wire=change(match.wire))
    for what, question in part.open.items():
        options = tuple(replace(c, wire=change(c.wire)) for c in question.candidates)
        part.open[what] = replace(question, candidates=options)


def _in_one_envelope(parts: Sequence[Learned]) -> list[Learned]:
    """The same with answers unwrapped as the place does that shows the most operations."""
    main = max(parts, key=lambda part: len(list(_operations(part))))
    chosen = dict(_operations(main))
    found: list[Learned] = []
    for part in parts:
        own = _main_envelope(part)
        if part is main or (own == _main_envelope(main) and not _differ(part, main)):
            found.append(part)
            continue
        part = _copy(part)
        part.matches.pop("envelope", None)
        for what, match in list(_operations(part)):
            inside = _envelope(part_wire := match.wire, own)
            known = chosen.get(what)
            outside = inside if known is None else _envelope(known.wire, _main_envelope(main))
            if known is not None and outside != inside:
                _unwrap(part, what, inside, outside)
            part.matches[what] = replace(match, wire={**part_wire, "envelope": outside})
        found.append(part)
    return found


def _main_envelope(part: Learned) -> str:
    match = part.matches.get("envelope")
    return str(match.wire) if match is not None else ""


def _envelope(wire: Mapping[str, Any], main: str) -> str:
    return str(wire.get("envelope", main))


def _differ(part: Learned, main: Learned) -> bool:
    theirs = dict(_operations(main))
    return any(
        what in theirs
        and _envelope(match.wire, _main_envelope(part))
        != _envelope(theirs[what].wire, _main_envelope(main))
        for what, match in _operations(part)
    )


def _unwrap(part: Learned, what: str, inside: str, outside: str) -> None:
    """Fields of an answer as they are seen from another envelope, as far as they can be."""
    schema = OPERATIONS[what.split(".")[1]].response.__name__
    for place in [w for w in part.matches if w.startswith(f"schemas.{schema}.")]:
        match = part.matches.pop(place)
        if not isinstance(match.wire, str):
            continue
        steps = [s for s in (*inside.split("."), *match.wire.split(".")) if s]
        above = [s for s in outside.split(".") if s]
        if steps[: len(above)] == above:
            part.matches[place] = replace(match, wire=".".join(steps[len(above) :]) or ".")


def _divided_alike(part: Learned, main: Learned) -> Learned:
    """The same with each path divided between an object and what lies in it as elsewhere.

    `data: a` with `balance: b` inside is the same place as `data: a.b` with the object itself.
    """
    part = _copy(part)
    for what in [w for w in part.matches if w in main.matches and w.startswith("schemas.")]:
        _, schema, field = what.split(".")
        ours, theirs = part.matches[what].wire, main.matches[what].wire
        inner, many = kind_of(getattr(models, schema).model_fields[field].annotation)
        if many or inner is None or not issubclass(inner, BaseModel):
            continue
        inside = [
            place
            for name in inner.model_fields
            if (place := f"schemas.{inner.__name__}.{name}") in part.matches
            and place in main.matches
        ]
        alike = [_joined(ours, part.matches[p].wire) for p in inside]
        wanted = [_joined(theirs, main.matches[p].wire) for p in inside]
        if ours != theirs and inside and alike == wanted and None not in alike:
            for place in (what, *inside):
                wire = main.matches[place].wire
                part.matches[place] = replace(part.matches[place], wire=wire)
    return part


def _joined(outer: Any, inner: Any) -> tuple[str, ...] | None:
    if not isinstance(outer, str) or not isinstance(inner, str):
        return None
    return (*steps_of(outer), *steps_of(inner))


def _copy(part: Learned) -> Learned:
    return replace(part, matches=dict(part.matches), open=dict(part.open), unseen=dict(part.unseen))


def _without_what_others_explain(parts: Sequence[Learned]) -> list[Learned]:
    """What one place takes for another operation than a place that knows for certain."""
    certain = {
        (match.wire["method"], match.wire["path"]): what
        for part in parts
        for what, match in _operations(part)
        if match.certainty == "certain"
    }
    found: list[Learned] = []
    for part in parts:
        wrong = [
            what
            for what, match in _operations(part)
            if match.certainty != "certain"
            and certain.get((match.wire["method"], match.wire["path"]), what) != what
        ]
        if wrong:
            part = _copy(part)
        for what in wrong:
            wire = part.matches.pop(what).wire
            known = certain[wire["method"], wire["path"]]
            part.unseen[what] = f"{wire['method']} {wire['path']} is {known}"
        found.append(part)
    return found
