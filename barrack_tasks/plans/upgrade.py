"""What a deployment becomes when a new release is applied over what people changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_NOTHING = object()


def upgraded(
    new: Mapping[str, Any], last: Mapping[str, Any] | None, there: Mapping[str, Any] | None
) -> dict[str, Any]:
    """The values to apply: what somebody changed stays, what nobody touched follows the release.

    Args:
        new: what the release says, by name.
        last: what was applied last time; None if that is not known.
        there: what is in force now; None if nothing was ever applied.

    Example:
        >>> upgraded({"a": 2, "b": 2}, last={"a": 1, "b": 1}, there={"a": 1, "b": 9})
        {'a': 2, 'b': 9}
    """
    if there is None:
        return dict(new)
    # Where nothing is known of the last time, what differs from the release counts as changed.
    before = new if last is None else last
    found: dict[str, Any] = {}
    for name in (*new, *(n for n in there if n not in new)):
        was, now = before.get(name, _NOTHING), there.get(name, _NOTHING)
        value = new.get(name, _NOTHING) if now == was else now
        if value is not _NOTHING:
            found[name] = value
    return found
