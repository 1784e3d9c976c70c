"""`barrack panic`: hibernate everything that is not protected, now."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from rich.text import Text

from barrack_tasks.api import Barrack
from barrack_tasks.api.models import UserVM
from barrack_tasks.api.models.text import one_line
from barrack_tasks.cli.accounts import client_from_environment
from barrack_tasks.cli.inputs import Minutes
from barrack_tasks.cli.panicking import hibernate_everything, is_at_rest, targets_of
from barrack_tasks.cli.screen import Display, Screen
from barrack_tasks.plans.prices import hourly_cost
from barrack_tasks.plans.report import money
from barrack_tasks.plans.selection import check_protect, named_in_vain
from barrack_tasks.plans.steps import Finished, Next


def panic(*, yes: bool = False, protect: list[str] | None = None, minutes: Minutes = 30) -> int:
    """Hibernate everything that is not protected, as fast as the API allows.

    Needs BARRACK_API_KEY and nothing else: no Prefect, no server. Shows what it is going to do
    and asks once; an output that fails or hangs does not stop what was agreed to.

    Ends 0 when all of it is hibernated, 1 when something is left.

    Parameters
    ----------
    yes
        Do not ask.
    protect
        Names, globs and ids that are left alone, besides those in BARRACK_PROTECT. One that
        matches no instance is refused here; in BARRACK_PROTECT, which is permanent, it is only
        reported.
        Protection that is kept in Prefect blocks is not known to this command.
    minutes
        How long to go on at most.
    """
    screen = Screen()
    with client_from_environment() as client, Display(screen) as show:
        code = _panic(client, screen, show, yes, protect or [], timedelta(minutes=minutes))
    if show.hangs:
        # The interpreter would wait for the output for ever, or abort, and tell another code.
        os._exit(code)
    return code


def _panic(
    client: Barrack,
    screen: Screen,
    show: Display,
    yes: bool,
    protect: list[str],
    timeout: timedelta,
) -> int:
    standing = _names(os.environ.get("BARRACK_PROTECT", "").split(","))
    given = _names(protect)
    never = [*standing, *given]
    instances = list(client.instances.list())
    try:
        check_protect(given, instances)
    except ValueError as error:
        Screen(stderr=True).print(f"barrack: {error}", style="red")
        return 2
    targets, protected = targets_of(instances, never, datetime.now(UTC))
    todo = [i for i in instances if i.id not in protected and not is_at_rest(i.status)]
    for one in named_in_vain("protect", standing, instances, standing=True):
        show(_in_yellow(f"BARRACK_PROTECT: {one.text}"))
    show(lambda: _table(screen, instances, protected))
    if not todo:
        show("Nothing is left to hibernate.")
        return 0
    question = f"Hibernate {len(todo)} of {len(instances)} instances now?"
    if not yes and not (show.is_done() and screen.agrees(question)):
        show("Nothing was done.")
        return 1
    plan = hibernate_everything(client, targets, never, timeout, show)
    return _conclude(show, plan, {i.id: i for i in instances})


def _names(given: Iterable[str]) -> list[str]:
    return [name.strip() for name in given if name.strip()]


def _in_yellow(said: str) -> Callable[[], Text]:
    return lambda: Text(one_line(said), style="yellow")


def _table(screen: Screen, instances: Iterable[UserVM], protected: frozenset[str]) -> Text:
    rows = []
    for instance in instances:
        currency = str(instance.currency) if instance.currency else None
        what = "hibernate"
        if instance.id in protected:
            what = "left alone: protected"
        elif is_at_rest(instance.status):
            what = "nothing to do"
        cost = money(hourly_cost(instance), currency)
        rows.append((instance.name, str(instance.status), cost, what))
    columns = ("instance", "state", "an hour", "what happens")
    return Text("\n").join(screen.lines_of("", columns, rows))


def _conclude(show: Display, plan: Mapping[str, Next], before: dict[str, UserVM]) -> int:
    left = [
        before[id_]
        for id_, next_ in plan.items()
        if not isinstance(next_, Finished) or next_.outcome == "failed"
    ]
    if left:
        show(lambda: _what_is_left(left))
        return 1
    done = sum(isinstance(n, Finished) and n.outcome == "done" for n in plan.values())
    show(f"Done: {done} hibernated, nothing unprotected is left running.")
    return 0


def _what_is_left(left: Sequence[UserVM]) -> Text:
    burn = sum((i.hourly_price or Decimal(0) for i in left), Decimal(0))
    currency = next((str(i.currency) for i in left if i.currency), None)
    least = "at least " if any(i.hourly_price is None for i in left) else ""
    names = ", ".join(i.name for i in left)
    said = f"NOT hibernated, and burning {least}{money(burn, currency)} an hour: {names}"
    return Text(one_line(said), style="red")
