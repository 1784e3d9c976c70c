"""What a deployment becomes when a new release is applied over what people changed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Literal

_NOTHING = object()
_ACTS = ("parameter credentials", "parameter dry_run", "schedules")
_TRIGGER = "trigger "

Another = Literal["refuse", "beside", "move"]
"""What becomes of deployments that belong to another account."""


class AnotherAccountError(Exception):
    """The deployments belong to another account, and nobody said what is to become of them."""


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


def suffix_for(
    account: str, block: str, owners: Collection[str | None], has_own: bool, another: Another
) -> str:
    """What is added to the names of an account's deployments; nothing, where there is one account.

    Args:
        account: whose deployments are applied.
        block: name of its block.
        owners: accounts of the deployments that are there under plain names; None for one that
            cannot be told.
        has_own: whether deployments that are named for the block are there.
        another: what is to become of those that belong to another account.

    Raises:
        AnotherAccountError: some do, and `another` is `refuse`.

    Example:
        >>> suffix_for("teamb", "team-b", {"teama"}, False, "beside")
        '-team-b'
    """
    if another != "move" and has_own:
        return f"-{block}"
    if all(owner == account for owner in owners) or another == "move":
        return ""
    if another == "beside":
        return f"-{block}"
    raise AnotherAccountError


def handed_over(new: Mapping[str, Any], there: Mapping[str, Any]) -> dict[str, Any]:
    """What is in force when another account takes a deployment over.

    What was armed for one account is not armed for another: whether it acts, and when, is as the
    release says it again.

    Args:
        new: what the release says, by name.
        there: what is in force for the account before.
    """
    kept = {k: v for k, v in there.items() if k not in _ACTS and not k.startswith(_TRIGGER)}
    given = {k: v for k, v in new.items() if k in _ACTS or k.startswith(_TRIGGER)}
    return {**kept, **given}
