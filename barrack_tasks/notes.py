"""What `follow_schedule` remembers of instances, kept where every worker sees it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from barrack_tasks.plans.schedule import Note
from barrack_tasks.shelves import read_parts, write_all


def read_notes(account: str) -> dict[str, Note]:
    """All notes of an account, by instance id. What cannot be read is forgotten."""
    notes: dict[str, Note] = {}
    for part in read_parts(_prefix(account)):
        for id_, written in part.items():
            notes[id_] = _newer(notes.get(id_), _read(written))
    return notes


def write_notes(account: str, notes: dict[str, Note], known: set[str]) -> None:
    """Keep notes of the instances that are `known`, together with what other runs have noted."""
    merged = {id_: _newer(note, notes.get(id_)) for id_, note in read_notes(account).items()}
    merged = {**notes, **merged}
    write_all(_prefix(account), {id_: _write(merged[id_]) for id_ in merged.keys() & known})


def _prefix(account: str) -> str:
    return f"barrack_schedule_{account}_"


def _newer(one: Note | None, other: Note | None) -> Note:
    one, other = one or Note(), other or Note()
    return Note(
        settled=_later(one.settled, other.settled),
        pursued=_later(one.pursued, other.pursued),
        restores=max(one.restores, other.restores, key=len),
    )


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    if one is None or other is None:
        return one or other
    return max(one, other)


def _read(written: Any) -> Note:
    try:
        settled, pursued, restores = written
        return Note(_moment(settled), _moment(pursued), [int(r) for r in restores])
    except (TypeError, ValueError):
        return Note()


def _write(note: Note) -> list[Any]:
    return [_seconds(note.settled), _seconds(note.pursued), note.restores]


def _moment(seconds: int | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def _seconds(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp())
