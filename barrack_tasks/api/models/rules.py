"""Rules of names and numbers that are checked before anything goes on the wire."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator

INSTANCE_NAME_LENGTH = (2, 30)
SNAPSHOT_NAME_LENGTH = (1, 50)
_INSTANCE_NAME_STRANGER = re.compile(r"[^A-Za-z0-9 _.\-]")


def check_instance_name(name: str) -> str:
    """Return the name, or raise ValueError with the rule it breaks [D]."""
    least, most = INSTANCE_NAME_LENGTH
    if not least <= len(name) <= most:
        raise ValueError(f"must be {least} to {most} characters long, got {len(name)}: {name!r}")
    stranger = _INSTANCE_NAME_STRANGER.search(name)
    if stranger:
        raise ValueError(
            f"may hold letters, digits, spaces, '-', '_' and '.'; "
            f"got {stranger.group()!r} at position {stranger.start() + 1} of {name!r}"
        )
    return name


def check_snapshot_name(name: str) -> str:
    """Return the name, or raise ValueError with the rule it breaks [D]."""
    least, most = SNAPSHOT_NAME_LENGTH
    if not least <= len(name) <= most:
        raise ValueError(f"must be {least} to {most} characters long, got {len(name)}: {name!r}")
    return name


InstanceName = Annotated[str, AfterValidator(check_instance_name)]
SnapshotName = Annotated[str, AfterValidator(check_snapshot_name)]
