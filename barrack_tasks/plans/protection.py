"""What is protected: judged at each decision, by what is known at that moment.

A name that was read once says nothing of the present: instances are renamed, and a snapshot
carries the name of the day on which it was taken. Each judgement therefore looks at every name by
which a thing is known, and what cannot be judged is protected.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping
from fnmatch import translate
from functools import lru_cache

from barrack_tasks.api.models import Snapshot, UserVM


def is_protected(protect: Iterable[str], *known: str | None) -> bool:
    """Whether one of the names and ids by which a thing is known is protected.

    Letter case, spaces around a name and ways of writing an accent make no difference here:
    protection that misses by so little was meant.

    Args:
        protect: names, globs and ids.
        known: the thing's id, and all its names, past and present; None is passed over.

    Example:
        >>> is_protected(["PROD-*"], "BRK-A1B2C3D", "prod-1")
        True
    """
    if not (given := tuple(protect)):
        return False
    literal, pattern = _read(given)
    texts = (text for told in known if told for text in (told, _folded(told)))
    return any(text in literal or pattern.match(text) for text in texts)


def why_protected(
    snapshot: Snapshot, protect: Collection[str], instances: Mapping[str, UserVM]
) -> str | None:
    """Why a snapshot must stay for the sake of its instance; None if it need not.

    Args:
        snapshot: the snapshot.
        protect: names, globs and ids of instances.
        instances: all of the account as they are now, by id.

    Returns:
        A reason if the instance is protected by its id, by its name now or by the name that the
        snapshot carries, and also if no name of it is known at all while names are protected.
    """
    there = instances.get(snapshot.instance_id or "")
    names = [snapshot.instance_name, there.name if there else None]
    if is_protected(protect, snapshot.instance_id, *names):
        return "its instance is protected"
    if any(names) or all(pattern in instances for pattern in protect):
        return None
    return "it is not known what its instance was called, so it may be protected"


@lru_cache(maxsize=64)
def _read(protect: tuple[str, ...]) -> tuple[frozenset[str], re.Pattern[str]]:
    """Names, globs and ids as they are and folded; and one pattern for all of them."""
    written = frozenset(text for told in protect for text in (told, _folded(told)))
    return written, re.compile("|".join(map(translate, sorted(written))))


@lru_cache(maxsize=65_536)
def _folded(text: str) -> str:
    folded = unicodedata.normalize("NFKC", text).casefold()
    # In Turkish the dotted and the dotless i are the small letters of I with and without its dot.
    return " ".join(unicodedata.normalize("NFKC", folded.translate(_I)).split())


_I = {ord("\N{LATIN SMALL LETTER DOTLESS I}"): "i", ord("\N{COMBINING DOT ABOVE}"): None}
