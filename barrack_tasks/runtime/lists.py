"""Lists of names that name something in vain: refused by hand, told loudly on a schedule.

A person who calls a flow can correct a name at once. A run of a deployment cannot ask anybody,
and an instance that its lists name may be gone for good reason, so it goes on and says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from prefect.blocks.abstract import NotificationBlock

from barrack_tasks.api.models import UserVM
from barrack_tasks.api.models.text import one_line
from barrack_tasks.plans.selection import (
    Called,
    InVain,
    Selector,
    named_in_vain,
    refuse,
    selected_in_vain,
)
from barrack_tasks.runtime.alerts import scope_of, this_deployment
from barrack_tasks.runtime.loop import SERVER_AWAY, Log
from barrack_tasks.runtime.post import Item, Post
from barrack_tasks.server.credentials import BarrackCredentials
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
    post: Post | None = None,
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
        post: of the run; they are told when it is sent, and at once if none is given.

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
        own = post or Post(account)
        _add(own, flow, account, errors, notifiers, log)
        if post is None:
            own.send()
    return tuple(one.text for one in found)


def _add(
    post: Post,
    flow: str,
    account: str,
    errors: Mapping[str, str],
    notifiers: Mapping[str, NotificationBlock],
    log: Log,
) -> None:
    if not notifiers:
        return
    prefix = f"barrack_lists_{account}_{scope_of([flow, *this_deployment()], notifiers)}_"
    told = read_all(prefix)
    news = [text for key, text in errors.items() if key not in told]
    if not news:
        merge_all(prefix, told, dict.fromkeys(errors, 1))
        return

    def sent(failed: Mapping[str, str]) -> None:
        nobody = set(failed) >= set(notifiers)
        try:
            merge_all(prefix, told, {key: 1 for key in errors if key in told or not nobody})
        except SERVER_AWAY as error:
            log.warning("it cannot be recorded which names in lists people were told of: %s", error)

    subject = f"Barrack {flow}: names in its lists match nothing ({len(news)})"
    body = "\n".join(one_line(f"{text}.") for text in news)
    post.add(Item(notifiers, subject, body, severity="warning", sent=sent))
