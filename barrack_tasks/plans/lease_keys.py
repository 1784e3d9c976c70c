"""The keys of leases: what runs claim so that no other run works on the same thing.

An instance is claimed by its id, which is its own key.
"""

from __future__ import annotations

from collections.abc import Iterable

DRILL = "watch:drill"
"""What the one run holds that drills."""
GUARD = "guard"
"""What a run holds while it is its turn at the guard of an account."""
TOOK_OVER = "barrack-took-over-"
"""What the tag of a deployment begins with that took the place of another; its id follows."""
_SNAPSHOT = "snapshot:"
_SHARED = "shared:"


def snapshot(id_: str, shared: bool = False) -> str:
    """Of a snapshot: to delete it, or, shared with others, to restore from it."""
    return f"{_SHARED if shared else ''}{_SNAPSHOT}{id_}"


def image(id_: str) -> str:
    """Of an image."""
    return f"image:{id_}"


def restore(name: str) -> str:
    """Of the instance of this name that is to be made from a snapshot."""
    return f"restore:{name}"


def claim(name: str) -> str:
    """Of the instance of this name that is to be claimed from the stock."""
    return f"claim:{name}"


def announcement(id_: str) -> str:
    """Of telling people of a claim."""
    return f"announce:{id_}"


def watch(guard: str, scope: str) -> str:
    """Of watching: one run for each guard and scope."""
    return f"watch:{guard}:{scope}"


def deployment(id_: str, tags: Iterable[str] = ()) -> str:
    """Of a deployment that at most one run may work for.

    One that took the place of another has its key too, for what was remembered under that.

    Args:
        id_: the deployment's.
        tags: of the deployment or its run; `TOOK_OVER` and an id tells whose place it took.

    Example:
        >>> deployment("b", ["barrack", "barrack-took-over-a"])
        'deployment:a'
    """
    before = [tag.removeprefix(TOOK_OVER) for tag in sorted(tags) if tag.startswith(TOOK_OVER)]
    return f"deployment:{before[0] if before else id_}"


def rivals(key: str) -> tuple[str, ...]:
    """The keys of others that keep one from being held: of what is shared, only a claim."""
    return (key.removeprefix(_SHARED),) if key.startswith(_SHARED) else (key, _SHARED + key)


def is_of_snapshot(key: str) -> bool:
    """Whether a key is that of a snapshot, claimed or shared."""
    return key.startswith((_SNAPSHOT, _SHARED))
