"""`barrack panic`: hibernate everything that is not protected, now."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from rich.console import Console
from rich.prompt import Confirm
from rich.table import Table

from barrack_tasks.api.models import UserVM
from barrack_tasks.cli.accounts import client_from_environment
from barrack_tasks.cli.inputs import Minutes
from barrack_tasks.panicking import AT_REST, hibernate_everything, targets_of
from barrack_tasks.plans.costs import hourly_cost
from barrack_tasks.plans.report import money
from barrack_tasks.plans.selection import check_protect
from barrack_tasks.plans.steps import Finished, Next


def panic(*, yes: bool = False, protect: list[str] | None = None, minutes: Minutes = 30) -> int:
    """Hibernate everything that is not protected, as fast as the API allows.

    Needs BARRACK_API_KEY and nothing else: no Prefect, no server. Shows what it is going to do
    and asks once. Ends 0 when all of it is hibernated, 1 when something is left.

    Parameters
    ----------
    yes
        Do not ask.
    protect
        Names, globs and ids that are left alone, besides those in BARRACK_PROTECT. Protection
        that is kept in Prefect blocks is not known here.
    minutes
        How long to go on at most.
    """
    console = Console(highlight=False)
    named = os.environ.get("BARRACK_PROTECT", "").split(",")
    never = [name.strip() for name in (*named, *(protect or [])) if name.strip()]
    with client_from_environment() as client:
        instances = list(client.instances.list())
        try:
            check_protect(never, instances)
        except ValueError as error:
            Console(stderr=True).print(f"barrack: {error}", style="red", markup=False)
            return 2
        targets, protected = targets_of(instances, never, datetime.now(UTC))
        todo = [i for i in instances if i.id not in protected and i.status not in AT_REST]
        console.print(_table(instances, protected))
        if not todo:
            console.print("Nothing is left to hibernate.")
            return 0
        question = f"Hibernate {len(todo)} of {len(instances)} instances now?"
        if not yes and not _confirmed(question, console):
            console.print("Nothing was done.")
            return 1
        plan = hibernate_everything(
            client,
            targets,
            never,
            timedelta(minutes=minutes),
            lambda line: console.print(line, markup=False, soft_wrap=True),
        )
    return _conclude(console, plan, {i.id: i for i in instances})


def _confirmed(question: str, console: Console) -> bool:
    if not sys.stdin.isatty():
        console.print("There is no terminal to ask at; say --yes to go on without asking.")
        return False
    return Confirm.ask(question, console=console, default=False)


def _table(instances: Iterable[UserVM], protected: frozenset[str]) -> Table:
    table = Table()
    for column in ("instance", "state", "an hour", "what happens"):
        table.add_column(column, overflow="fold")
    for instance in instances:
        currency = str(instance.currency) if instance.currency else None
        what = "hibernate"
        if instance.id in protected:
            what = "left alone: protected"
        elif instance.status in AT_REST:
            what = "nothing: it is at rest"
        cost = money(hourly_cost(instance), currency)
        table.add_row(instance.name, str(instance.status), cost, what)
    return table


def _conclude(console: Console, plan: Mapping[str, Next], before: dict[str, UserVM]) -> int:
    left = {
        id_: next_
        for id_, next_ in plan.items()
        if not isinstance(next_, Finished) or next_.outcome == "failed"
    }
    burn = sum((before[id_].hourly_price or Decimal(0) for id_ in left), Decimal(0))
    if left:
        names = ", ".join(before[id_].name for id_ in left)
        console.print(
            f"NOT hibernated, and burning {burn:.2f} an hour: {names}", style="red", markup=False
        )
        return 1
    done = sum(isinstance(n, Finished) and n.outcome == "done" for n in plan.values())
    console.print(f"Done: {done} hibernated, nothing unprotected is left running.")
    return 0
