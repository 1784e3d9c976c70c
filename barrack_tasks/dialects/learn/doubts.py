"""What speaks against a match that names alone suggest: it is asked then, and never taken."""

from __future__ import annotations

import re

from barrack_tasks.api.operations import OPERATIONS
from barrack_tasks.dialects.learn.calls import Wired
from barrack_tasks.dialects.learn.likeness import canonical, words_of
from barrack_tasks.dialects.learn.schema import Schema
from barrack_tasks.dialects.learn.synonyms import split

DOUBTED = 0.45
"""The score of what only a person may take: it is shown, and `--yes` does not take it."""
_KEEPS = frozenset(
    split("start_instance stop_instance reboot_instance hibernate_instance restore_instance")
)
"""Operations after which the machine and its disk are still there."""
_DESTROYS = re.compile(
    r"\b(delet(?:e|es|ed|ing)|destroy(?:s|ed|ing)?|terminat(?:e|es|ed|ing)|eras(?:e|es|ed|ing)"
    r"|wip(?:e|es|ed|ing)|discard(?:s|ed|ing)?|permanent(?:ly)?|irreversibl[ey]|undone|lost"
    r"|remov(?:e|es|ed|ing)|deprovision(?:s|ed|ing)?|reinstall(?:s|ed|ing)?)\b",
    re.IGNORECASE,
)
_OTHER_THINGS = frozenset(
    split(
        "database db dbaas mysql mariadb postgre postgres postgresql redis mongodb kafka kubernete"
        " k8 cluster nodepool pod container function app application website domain bucket"
        " volume disk block storage filesystem load balancer"
    )
)
"""Things that have instances, snapshots and images too, and are no machines."""
_OF_THE_SYSTEM = re.compile(r"\b(operating systems?|(OS|system) images?)\b", re.IGNORECASE)
"""Words for images that everybody boots from, and nobody has made of a snapshot."""
_DISKS = frozenset(split("volume disk"))
_NO_DISK = frozenset(split("size gb type count format"))
"""Words of a field that tells something about a disk, and not which disk."""

_IN_PARTS = re.compile(
    r"(¢|\b(?:cents?|pence|pennies|milli\w*|micro\w*|nano\w*|minor units?|smallest units?)\b)", re.I
)
_NOT_AN_HOUR = re.compile(
    r"((?:\b(?:per|an?|each|every)|/)\s?(?:month|day|week|year|minute|second)"
    r"|\b(?:monthly|daily|weekly|yearly|annual(?:ly)?))\b",
    re.I,
)
_OWED = re.compile(r"\b(owe[sd]?|owing|due|debt|limit|outstanding|unpaid|arrears)\b", re.I)
_NOT_GIGABYTES = re.compile(r"\b((?:kilo|mega|tera)?bytes|[kmt]i?b)\b", re.I)
_OF_FIELDS: tuple[tuple[re.Pattern[str], re.Pattern[str]], ...] = (
    (re.compile(r"hourly|price|rate|cost|amount|accrued|balance$|budget"), _IN_PARTS),
    (re.compile(r"hour"), _NOT_AN_HOUR),
    (re.compile(r"^amount$|balance"), _OWED),
    (re.compile(r"_gb$"), _NOT_GIGABYTES),
)
"""For fields whose name holds the one, words of a description that say that it is another."""


def doubt_of_operation(name: str, wired: Wired) -> str | None:
    """Why an operation of a document may not be ours of that name; None if nothing says so.

    Example:
        >>> halt = Wired("/vms/{id}/stop", "POST", description="Stops the VM and deletes it.")
        >>> doubt_of_operation("stop_instance", halt)
        "its description says 'deletes'"
    """
    if wired.word:
        return None
    if name in _KEEPS:
        for text, where in ((" ".join(wired.titles), "title"), (wired.description, "description")):
            found = _DESTROYS.search(text)
            if found:
                return f"its {where} says {found[0].casefold()!r}"
    if name == "list_images" and (system := _OF_THE_SYSTEM.search(wired.description)):
        return f"its description says {system[0].casefold()!r}"
    called = {w for t in (*wired.titles, wired.operation_id, *wired.tags) for w in _words(t)}
    ours = {*_words(name), *_words(OPERATIONS[name].title), *_words(OPERATIONS[name].group)}
    known = "instance" in ours or "snapshot" in ours
    for word in sorted(_OTHER_THINGS & called - ours) if known else ():
        return f"it is about a {word}"
    if "snapshot" in ours and _is_of_a_disk(wired):
        return "the snapshot is of a disk, and of no instance"
    return None


def doubt_of_field(field: str, description: str) -> str | None:
    """Why a field of a document may not be ours of that name, by its description.

    Example:
        >>> doubt_of_field("hourly_price", "What it costs per month")
        "its description says 'per month'"
    """
    for which, unlike in _OF_FIELDS:
        found = unlike.search(description) if which.search(field) else None
        if found:
            return f"its description says {found[1].casefold()!r}"
    return None


def _is_of_a_disk(wired: Wired) -> bool:
    for schema in (wired.asked, wired.answer):
        words = [_words(name) for name in _names(schema)]
        disks = any(_DISKS & w and not _NO_DISK & w for w in words)
        if disks and not any("instance" in w for w in words):
            return True
    return False


def _names(schema: Schema | None) -> set[str]:
    if schema is None:
        return set()
    listed = [schema.items] if schema.items is not None else []
    listed += [s.items for _, s in schema.places() if s.items is not None]
    tops = [schema, *listed]
    return {step for top in tops for steps, _ in top.places() for step in steps}


def _words(text: str) -> frozenset[str]:
    return frozenset(canonical(words_of(text)))
