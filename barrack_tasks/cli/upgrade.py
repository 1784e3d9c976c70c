"""What a deployment becomes when a new release is applied over what people changed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Literal

from barrack_tasks.plans.names import flow_name

_NOTHING = object()
_ACTS = ("parameter credentials", "parameter dry_run", "schedules")
_TRIGGER = "trigger "

_STANCES = ("dry", "armed")
FORMER = {
    "watch_balance": "guard",
    "enforce_budget": "guard",
    "follow_schedule": "office-hours",
    "watch_account": "changes",
    "watch_gpu_stock": "look",
    "report_costs": "daily",
    "prune_snapshots": "nightly",
    "verify_snapshots": "drill",
    "end_expired": "ends",
    "doctor": "weekly",
    "snapshot_before_stop": "on-demand",
    "hibernate": "on-demand",
    "restore_from_snapshot": "on-demand",
    "publish_image": "on-demand",
    "restore": "on-demand",
}
"""The deployments of earlier releases, by their flows, which had the names of their functions."""

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


def successor_of(flow: str, name: str) -> tuple[str, str] | None:
    """Flow and name of the deployment that takes the place of one of an earlier release.

    Args:
        flow: as Prefect calls it.
        name: of the deployment; for a second account it ends with the name of its block.

    Returns:
        None if no earlier release made a deployment of such a name.

    Example:
        >>> successor_of("watch_balance", "guard-team-b")
        ('barrack-watch-balance', 'watch-balance-team-b')
    """
    before = FORMER.get(flow)
    if before is None or (name != before and not name.startswith(f"{before}-")):
        return None
    return flow_name(flow), flow.replace("_", "-") + name.removeprefix(before)


def with_stance(tags: Iterable[str], dry_run: object) -> list[str]:
    """The tags of a deployment, of which `dry` or `armed` says how its `dry_run` stands.

    Args:
        tags: as they are; without either of the two, the flow has no dry run.
        dry_run: the deployment's parameter; None if it gives none, so that its runs act.

    Example:
        >>> with_stance(["barrack", "dry"], False)
        ['barrack', 'armed']
    """
    given = list(tags)
    rest = [tag for tag in given if tag not in _STANCES]
    return rest if rest == given else [*rest, "dry" if dry_run is True else "armed"]
