"""Names: of flows and their runs in Prefect, of snapshots with their marks; the nearest of some."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from difflib import get_close_matches
from functools import lru_cache
from typing import Any

from barrack_tasks.api.models import Snapshot
from barrack_tasks.api.models.rules import SNAPSHOT_NAME_LENGTH
from barrack_tasks.api.models.text import one_line

_MARK = "Taken by prefect-barrack of instance"
_MARKED = re.compile(rf"^{_MARK} (?P<instance>\S+)")
_HARDWARE = re.compile(r"; it had (?P<count>\d+)x (?P<model>.+)$")
_STAMPED = re.compile(r"-\d{8}T\d{6}Z$")
LATEST = "latest:"
"""What a name begins with that means the newest of something."""
STAMP_LENGTH = len("-20261125T190000Z")
PREFIX = "barrack-"
"""What names of flows and keys of artifacts begin with: a workspace has other people's, too."""
TAG = "barrack"
"""Of every task, so that one concurrency limit of Prefect's can hold over all that it starts."""
RUN_NAME_LENGTH = 120
_ITEM_LENGTH = 40
_INSTANCES = "instances"
_RUNS = {
    "hibernate": ("hibernate", "select", _INSTANCES),
    "restore": ("restore", "select", _INSTANCES),
    "snapshot_before_stop": ("snapshot before {then}", "select", _INSTANCES),
    "prune_snapshots": ("prune snapshots of", "select", _INSTANCES),
    "verify_snapshots": ("verify snapshots of", "select", _INSTANCES),
    "restore_from_snapshot": ("restore from snapshot", "snapshot", "snapshots"),
    "publish_image": ("publish image {family} from", "source", _INSTANCES),
    "watch_gpu_stock": ("watch GPU stock of", "wants", "GPU models"),
    "report_costs": ("report costs for {days} d", "", ""),
}
"""What a run of a flow does, the parameter that says with what, and what that names."""


def flow_name(function: str) -> str:
    """What Prefect calls the flow that a function is.

    Example:
        >>> flow_name("watch_balance")
        'barrack-watch-balance'
    """
    return PREFIX + function.replace("_", "-")


def artifact_key(what: str, account: str) -> str:
    """The key of the artifacts that the runs of a flow leave for an account.

    Args:
        what: they are: the name of the flow's function, or another.
        account: the account's name, in lower case letters and digits.

    Example:
        >>> artifact_key("snapshot_before_stop", "teama")
        'barrack-snapshot-before-stop-teama'
    """
    return f"{flow_name(what)}-{account}"


def name_of_run(function: str, parameters: Mapping[str, Any]) -> str:
    """What a run of a flow does, in at most `RUN_NAME_LENGTH` characters.

    Args:
        function: the flow's.
        parameters: of the run, without any secret.

    Example:
        >>> name_of_run("hibernate", {"select": ["train-1", "train-2"], "dry_run": True})
        'hibernate train-1, train-2 (dry run)'
    """
    verb, about, noun = _RUNS.get(function, (function.replace("_", " "), "", ""))
    told = {name: _short(value) for name, value in parameters.items()}
    with_what = _told(_items(parameters.get(about)), noun) if about else ""
    does = re.sub(r"{(\w+)}", lambda found: told.get(found[1], "").strip(), verb)
    dry = " (dry run)" if parameters.get("dry_run") is True else ""
    return f"{does} {with_what}".strip() + dry


def _items(value: Any) -> list[str]:
    """What a parameter names: itself, its items, the GPU models of wants, or a selector's names."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, list | tuple):
        return [str(getattr(one, "gpu_model", one)) for one in value]
    parts = ("names", "ids", "regions", "models", "states")
    return [str(one) for part in parts for one in getattr(value, part, ())]


def _told(items: Sequence[str], noun: str) -> str:
    if list(items) == ["*"]:
        return f"all {noun}"
    if len(items) <= 2:
        return ", ".join(map(_short, items))
    # How many a glob means is known only once the account was read.
    is_plain = not any(sign in item for item in items for sign in "*?[")
    return f"{len(items)} {noun}" if is_plain else f"{_short(items[0])} and {len(items) - 1} more"


def _short(value: object) -> str:
    text = one_line(str(value))
    return text if len(text) <= _ITEM_LENGTH else f"{text[: _ITEM_LENGTH - 1]}…"


def nearest(asked: str, names: Sequence[str]) -> str:
    """The end of a sentence about a name that does not exist: the nearest that does.

    Example:
        >>> nearest("alhpa", ["alpha", "beta"])
        "the nearest is 'alpha'"
    """
    close = get_close_matches(asked, names, n=1, cutoff=0.6)
    if close:
        return f"the nearest is {close[0]!r}"
    return f"known are {', '.join(sorted(set(names))[:10])}" if names else "there is none at all"


@lru_cache(maxsize=1024)
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
