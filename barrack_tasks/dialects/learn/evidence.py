"""Evidence of an API from several places, and what is learned from all of it together."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from barrack_tasks.api.dialect.reading import UnreadableError, read_json, text_of
from barrack_tasks.dialects.learn.analogy import fill_by_analogy
from barrack_tasks.dialects.learn.document import LARGEST, Document, LearnError
from barrack_tasks.dialects.learn.learner import Learner
from barrack_tasks.dialects.learn.merging import together
from barrack_tasks.dialects.learn.operations import owners
from barrack_tasks.dialects.learn.result import Learned

MOST_PLACES = 50
"""Places that evidence is kept of."""
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~-]{0,99}")
_PARTS = ("openapi", "servers", "security", "paths", "components")
"""What is read of a document, and so kept of it."""


@dataclass(frozen=True)
class ApiEvidence:
    """What one place shows of an API.

    Args:
        source: what the place is called, such as the name of a file or an address.
        kind: a document describes the API; a recording and a probe show some of its answers.
        root: an OpenAPI document. Of answers it is made, and holds their shapes and no values.
        url: where a document came from, for addresses that are relative to it.
        fixed: for parameters of paths that are the same in every call, such as a project, what
            stands in their place.
        known: what a probe tried out, by its place in a dialect file; None was tried in vain.
        notes: what people should know of it, a sentence each.

    Example:
        >>> ApiEvidence("reference.json", "document", {"openapi": "3.1.0", "paths": {}})
    """

    source: str
    kind: Literal["document", "recording", "probe"]
    root: Mapping[str, Any] = field(repr=False)
    url: str | None = None
    fixed: Mapping[str, str] = field(default_factory=dict)
    known: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


_TRIED = {
    "auth": "the API accepted the key this way",
    "paging": "tested, and the answers were as requested",
}


def learn_evidence(
    evidence: Iterable[ApiEvidence], *, name: str = "learned", yes: bool = False
) -> Learned:
    """Learn a dialect from all that is known of an API.

    Where two places agree, what was likely becomes certain. Where they contradict each other, both
    are named in a question; only a guess gives way.

    Args:
        evidence: of one API, the earliest first. Later evidence of a kind from a place replaces
            the earlier.
        name: what the dialect is to be called.
        yes: as for `learn_openapi`.

    Raises:
        LearnError: there is none, or some of it cannot be read.

    Example:
        >>> first = learn_openapi(Path("reference.json").read_bytes())
        >>> second = learn_har(Path("dashboard.har").read_bytes())
        >>> both = learn_evidence([*first.evidence, *second.evidence])
    """
    each = list({(one.kind, one.source): one for one in evidence}.values())
    if not each:
        raise LearnError("there is no evidence to learn from")
    return _again(each, name, yes, {})


def _again(
    each: Sequence[ApiEvidence], name: str, yes: bool, answered: Mapping[str, str | None]
) -> Learned:
    parts = [_one(one, name, answered) for one in each]
    whole = parts[0]
    if len(parts) > 1:
        whole = together(parts, [one.source for one in each], name)
    whole.open_unsayable()
    if yes:
        whole.take_clear()
    whole.evidence = tuple(each)
    whole.again = lambda said: _again(each, name, yes, said)
    return whole


def _one(evidence: ApiEvidence, name: str, answered: Mapping[str, str | None]) -> Learned:
    document = Document.of(with_fixed(evidence.root, evidence.fixed))
    for name_, count in owners(document).items():
        document.note(
            f"{count} operations lie under {{{name_}}}; if that is the same for all that you do, "
            f"give it with --fixed {name_}=VALUE"
        )
    learner = Learner(
        document,
        Learned(name),
        complete=evidence.kind == "document",
        source_url=evidence.url,
    )
    learner.answered = answered
    learned = learner.run()
    if evidence.kind != "document":
        fill_by_analogy(learned)
    for what, wire in evidence.known.items():
        if wire is None:
            learned.matches.pop(what, None)
            learned.unseen[what] = "it was tried without success"
        else:
            learned.add(what, wire, _TRIED.get(what, "tried out"), 1.0)
            learned.open.pop(what, None)
    learned.notes += evidence.notes
    return learned


def with_fixed(root: Mapping[str, Any], fixed: Mapping[str, str]) -> Mapping[str, Any]:
    """A document whose paths hold values in place of parameters that are always the same.

    Raises:
        LearnError: a value cannot stand in a path as it is.

    Example:
        >>> with_fixed({"paths": {"/p/{project}/vms": {}}}, {"project": "7"})["paths"]
        {'/p/7/vms': {}}
    """
    for name, value in fixed.items():
        if not _PLAIN.fullmatch(value):
            raise LearnError(
                f"{value!r} cannot be fixed for {name}; it may hold letters, digits, and . _ ~ -"
            )
    paths = Document.table(root.get("paths"))
    if not fixed or not paths:
        return root
    filled: dict[str, Any] = {}
    for path, item in paths.items():
        for name, value in fixed.items():
            path = path.replace(f"{{{name}}}", value)
        filled[path] = item
    return {**root, "paths": filled}


def learn_openapi(
    document: bytes | Document,
    *,
    name: str = "learned",
    source: str = "the document",
    source_url: str | None = None,
    fixed: Mapping[str, str] | None = None,
    yes: bool = False,
) -> Learned:
    """Learn a dialect from an OpenAPI document. Nothing is fetched.

    Args:
        document: the document, JSON or YAML; OpenAPI 3, or Swagger 2.
        name: what the dialect is to be called.
        source: what the document is called where it and other evidence are spoken of.
        source_url: where the document came from, for addresses that are relative to it.
        fixed: what stands in place of parameters of paths that are always the same.
        yes: take the best candidate of an open question where it is clearly the best and no
            operation that changes something hangs on it.

    Raises:
        LearnError: this is no OpenAPI document.

    Example:
        >>> learned = learn_openapi(Path("openapi.json").read_bytes())
        >>> print(learned.report())
    """
    read = document if isinstance(document, Document) else Document.read(document)
    root = {part: read.root[part] for part in _PARTS if part in read.root}
    shown = ApiEvidence(source, "document", root, source_url, fixed or {})
    return learn_evidence([shown], name=name, yes=yes)


def evidence_text(evidence: Iterable[ApiEvidence]) -> str:
    """Evidence as a text of JSON, for `read_evidence`."""
    return json.dumps([asdict(one) for one in evidence])


def read_evidence(data: bytes, source: str) -> list[ApiEvidence]:
    """The evidence that `evidence_text` wrote.

    Raises:
        LearnError: the bytes hold something else.
    """
    if len(data) > LARGEST:
        raise LearnError(f"{source} is larger than {LARGEST} bytes; delete it")
    try:
        content = read_json(text_of(data, source), source)
    except UnreadableError as error:
        raise LearnError(f"the evidence of earlier runs cannot be read: {error.message}") from None
    damaged = LearnError(f"{source} does not hold the evidence of earlier runs; delete it")
    if not isinstance(content, list) or len(content) > MOST_PLACES:
        raise damaged
    return [_read(one, damaged) for one in content]


def _read(one: Any, damaged: LearnError) -> ApiEvidence:
    table = Document.table(one)
    source, kind, url = table.get("source"), table.get("kind"), table.get("url")
    notes = Document.listed(table.get("notes"))
    if not (
        isinstance(source, str)
        and kind in ("document", "recording", "probe")
        and isinstance(url, str | None)
        and all(isinstance(note, str) for note in notes)
    ):
        raise damaged
    known = {
        what: wire
        for what, wire in Document.table(table.get("known")).items()
        if what in _TRIED and isinstance(wire, dict | None)
    }
    fixed = Document.table(table.get("fixed"))
    if not all(isinstance(value, str) and _PLAIN.fullmatch(value) for value in fixed.values()):
        raise damaged
    root = Document.of(table.get("root")).root
    return ApiEvidence(source, kind, root, url, fixed, known, tuple(notes))
