"""Names and marks of the snapshots that this library takes, and the nearest of some names."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from difflib import get_close_matches

from barrack_tasks.api.models import Snapshot
from barrack_tasks.api.models.rules import SNAPSHOT_NAME_LENGTH

_MARK = "Taken by prefect-barrack of instance"
_MARKED = re.compile(rf"^{_MARK} (?P<instance>\S+)")
_HARDWARE = re.compile(r"; it had (?P<count>\d+)x (?P<model>.+)$")
_STAMPED = re.compile(r"-\d{8}T\d{6}Z$")
LATEST = "latest:"
"""What a name begins with that means the newest of something."""
STAMP_LENGTH = len("-20261125T190000Z")


def nearest(asked: str, names: Sequence[str]) -> str:
    """The end of a sentence about a name that does not exist: the nearest that does.

    Example:
        >>> nearest("alhpa", ["alpha", "beta"])
        "the nearest is 'alpha'"
    """
    close = get_close_matches(asked, names, n=1, cutoff=0.5)
    if close:
        return f"the nearest is {close[0]!r}"
    return f"known are {', '.join(sorted(set(names))[:10])}" if names else "there is none at all"


def stamp(moment: datetime) -> str:
    """The end of a name that tells a moment.

    Example:
        >>> stamp(datetime(2026, 11, 25, 19, tzinfo=UTC))
        '-20261125T190000Z'
    """
    return moment.astimezone(UTC).strftime("-%Y%m%dT%H%M%SZ")


def is_stamped(name: str) -> bool:
    """Whether a name ends with a moment."""
    return _STAMPED.search(name) is not None


def snapshot_name(instance_name: str, instance_id: str, moment: datetime) -> str:
    """The name of the snapshot that a run of this moment takes: instance and moment.

    Fits into 50 characters. A longer instance name is cut and made distinct by a hash of the
    instance's id. The same run arrives at the same name, and so finds its own snapshot.

    Example:
        >>> snapshot_name("alpha", "BRK-A1B2C3D", datetime(2026, 11, 25, 19, tzinfo=UTC))
        'alpha-20261125T190000Z'
    """
    suffix = stamp(moment)
    room = SNAPSHOT_NAME_LENGTH[1] - len(suffix)
    if len(instance_name) <= room:
        return instance_name + suffix
    distinct = hashlib.blake2s(instance_id.encode(), digest_size=4).hexdigest()
    return f"{instance_name[: room - len(distinct) - 1]}-{distinct}{suffix}"


def snapshot_description(instance_id: str, hardware: tuple[str, int] | None = None) -> str:
    """The mark by which the library knows a snapshot as its own.

    Args:
        instance_id: of the instance that it is taken of.
        hardware: GPU model and count of that instance. A snapshot restores only to the same, and
            once the instance is gone no operation tells it any more.
    """
    had = f"; it had {hardware[1]}x {hardware[0]}" if hardware else ""
    return f"{_MARK} {instance_id} before a stop{had}"


def hardware_told_by(snapshot: Snapshot) -> tuple[str, int] | None:
    """GPU model and count that a snapshot of this library needs, if its description tells.

    Example:
        >>> text = snapshot_description("BRK-1", ("L40", 2))
        >>> hardware_told_by(Snapshot(id="1", name="a", status="SUCCESS", description=text))
        ('L40', 2)
    """
    text = snapshot.description or ""
    told = _HARDWARE.search(text) if _MARKED.match(text) else None
    return (told["model"], int(told["count"])) if told else None


def is_marked(snapshot: Snapshot) -> bool:
    """Whether this library took the snapshot, of whatever instance."""
    return is_stamped(snapshot.name) and _MARKED.match(snapshot.description or "") is not None


def is_ours(snapshot: Snapshot, instance_id: str) -> bool:
    """Whether this library took the snapshot of this instance: its mark and its name say so."""
    marked = _MARKED.match(snapshot.description or "")
    return (
        marked is not None
        and marked["instance"] == instance_id
        and snapshot.instance_id in (None, instance_id)
        and is_stamped(snapshot.name)
    )
