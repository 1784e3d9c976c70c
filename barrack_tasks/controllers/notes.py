"""What `follow_schedule` remembers of instances, kept where every worker sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any

from barrack_tasks.plans.power.evidence import Note
from barrack_tasks.plans.timetable import Boundary, Wish
from barrack_tasks.server.tables import change_all, read_all

KEPT_UNSEEN = timedelta(days=30)
"""So long a note is kept after its instance was last seen: what a list lacks may come back."""


def read_notes(account: str) -> dict[str, Note]:
    """All notes of an account, by instance id. What cannot be read is forgotten."""
    return {id_: _read(written) for id_, written in read_all(_prefix(account)).items()}


def write_notes(
    account: str, before: Mapping[str, Note], changed: Mapping[str, Note], now: datetime
) -> None:
    """Keep notes that changed, together with what other runs have noted meanwhile.

    Nothing is written if nothing is new.

    Args:
        account: see `BarrackCredentials.account`.
        before: the notes as they were read.
        changed: some of them, as they are to be.
        now: this moment, by the cloud's clock; notes of what was not seen for long are dropped.
    """
    new = {id_: note for id_, note in changed.items() if note != before.get(id_)}
    if not new:
        return

    def with_new(written: dict[str, Any]) -> dict[str, Any]:
        notes = {id_: _read(one) for id_, one in written.items()}
        notes |= {id_: _merged(before.get(id_), n, notes.get(id_)) for id_, n in new.items()}
        return {
            id_: _write(note, now)
            for id_, note in notes.items()
            if note.seen is None or now - note.seen <= KEPT_UNSEEN
        }

    change_all(_prefix(account), with_new)


def _prefix(account: str) -> str:
    return f"barrack_schedule_{account}_"


def _merged(before: Note | None, mine: Note, theirs: Note | None) -> Note:
    """What this run changed in a note, and what others changed where it did not."""
    base, other = before or Note(), theirs or Note()
    chosen = {
        f.name: getattr(mine if getattr(mine, f.name) != getattr(base, f.name) else other, f.name)
        for f in fields(Note)
    }
    if mine.settled != base.settled:
        chosen["wish"] = mine.wish  # of that boundary, and of no other
    return Note(**chosen)


def _read(written: Any) -> Note:
    try:
        settled, pursued, restores, *more = written
        (
            under,
            status,
            changed,
            asked,
            operation,
            first,
            seen,
            wish,
            decided,
            passing,
            tries,
            address,
        ) = (
            *more,
            *[None] * 12,
        )[:12]
        return Note(
            settled=_moment(settled),
            pursued=_moment(pursued),
            restores=tuple(int(r) for r in restores),
            # Earlier releases wrote the first three alone.
            under=_moment(under if more else settled),
            status=status,
            changed=_moment(changed),
            asked=_moment(asked),
            operation=operation,
            first=_moment(first),
            seen=_moment(seen),
            wish=Wish(wish) if wish else None,
            decided=Boundary(_at(decided[0]), Wish(decided[1])) if decided else None,
            passing=_moment(passing),
            tries=int(tries or 0),
            address=address,
        )
    except (LookupError, TypeError, ValueError):
        return Note()


def _write(note: Note, now: datetime) -> list[Any]:
    return [
        _seconds(note.settled),
        _seconds(note.pursued),
        list(note.restores),
        _seconds(note.under),
        note.status,
        _seconds(note.changed),
        _seconds(note.asked),
        note.operation,
        _seconds(note.first),
        _seconds(note.seen or now),
        note.wish and str(note.wish),
        note.decided and [_seconds(note.decided.moment), str(note.decided.wish)],
        _seconds(note.passing),
        note.tries,
        note.address,
    ]


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else _at(seconds)


def _at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _seconds(moment: datetime | None) -> float | None:
    if moment is None:
        return None
    seconds = moment.timestamp()
    return int(seconds) if seconds.is_integer() else seconds
