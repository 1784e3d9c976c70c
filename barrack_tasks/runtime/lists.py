"""Lists of names that name something in vain: refused by hand, told loudly on a schedule.

A person who calls a flow can correct a name at once. A run of a deployment cannot ask anybody,
and an instance that its lists name may be gone for good reason, so it goes on and says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from prefect.blocks.abstract import NotificationBlock

from barrack_tasks.api.models import UserVM
from barrack_tasks.api.models.text import one_line
from barrack_tasks.credentials import BarrackCredentials
from barrack_tasks.plans.selection import (
    Called,
    InVain,
    Selector,
    named_in_vain,
    refuse,
    selected_in_vain,
)
from barrack_tasks.runtime.alerts import scope_of, this_deployment
from barrack_tasks.runtime.loop import Log
from barrack_tasks.runtime.notify import tell
from barrack_tasks.server.runs import deployment_of_run
from barrack_tasks.server.tables import merge_all, read_all


def is_by_hand() -> bool:
    """Whether a person called this run, and not a deployment."""
    return deployment_of_run() is None


def lists_in_vain(
    things: Iterable[Called],
    account: BarrackCredentials,
    protect: Iterable[str] = (),
    exclude: Iterable[str] = (),
    priority: Iterable[str] = (),
    select: Selector | None = None,
) -> list[InVain]:
    """What the lists that many flows take name in vain.

    Args:
        things: the instances that there are, or what else has an id and a name.
        account: whose own `protect` counts as well, but is no error: it is kept for good.
        protect: as it was given to the flow.
        exclude: as it was given.
        priority: as it was given.
        select: as it was given; None if that was refused before.
    """
    known = list(things)
    found = selected_in_vain(select, [t for t in known if isinstance(t, UserVM)])
    for name, names in (("protect", protect), ("exclude", exclude), ("priority", priority)):
        found += named_in_vain(name, names, known)
    standing = [name for name in account.protect if name not in list(protect)]
    return found + named_in_vain("protect", standing, known, standing=True)


def check_lists(
    flow: str,
    account: str,
    in_vain: Iterable[InVain],
    notifiers: Mapping[str, NotificationBlock],
    log: Log,
    by_hand: bool,
    dry_run: bool = False,
) -> tuple[str, ...]:
    """Refuse or tell what the lists of a run name in vain; notes for its report.

    Notifiers are told once of each sentence, and anew if it was not true in between.

    Args:
        flow: the flow's name.
        account: see `BarrackCredentials.account`.
        in_vain: see `named_in_vain` and `selected_in_vain`.
        notifiers: who is told.
        log: of the run.
        by_hand: whether a person called it.
        dry_run: tell nobody.

    Raises:
        SelectionError: a person called it, and a list holds an error; nothing was changed.

    Example:
        >>> in_vain = named_in_vain("exclude", exclude, instances)
        >>> notes = check_lists("follow_schedule", account, in_vain, notifiers, log, by_hand=True)
    """
    found = list(dict.fromkeys(in_vain))
    if by_hand:
        refuse(found)
    for one in found:
        log.warning(one.text)
    if not (by_hand or dry_run):
        errors = {one.key: one.text for one in found if one.is_error}
        _tell(flow, account, errors, notifiers)
    return tuple(one.text for one in found)


def _tell(
    flow: str, account: str, errors: Mapping[str, str], notifiers: Mapping[str, NotificationBlock]
) -> None:
    if not notifiers:
        return
    prefix = f"barrack_lists_{account}_{scope_of([flow, *this_deployment()], notifiers)}_"
    told = read_all(prefix)
    news = [text for key, text in errors.items() if key not in told]
    if news:
        failed = tell(
            notifiers,
            list(notifiers),
            f"Barrack {flow}: names in its lists match nothing ({len(news)})",
            "\n".join(one_line(f"{text}.") for text in news),
            severity="warning",
            account=account,
        )
        if set(failed) >= set(notifiers):
            errors = {key: text for key, text in errors.items() if key in told}
    merge_all(prefix, told, dict.fromkeys(errors, 1))
