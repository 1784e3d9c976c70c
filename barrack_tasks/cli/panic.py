"""`barrack panic`: hibernate everything that is not protected, now."""

from __future__ import annotations

import json as json_text
import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from rich.text import Text

from barrack_tasks.api import Barrack
from barrack_tasks.api.models import UserVM
from barrack_tasks.api.models.text import one_line
from barrack_tasks.cli.accounts import client_from_environment
from barrack_tasks.cli.answers import PanicShown
from barrack_tasks.cli.inputs import AsJson, Minutes
from barrack_tasks.cli.panicking import hibernate_everything, is_at_rest, targets_of
from barrack_tasks.cli.screen import Display, Screen
from barrack_tasks.plans.prices import hourly_cost
from barrack_tasks.plans.report import money
from barrack_tasks.plans.selection import check_protect, named_in_vain
from barrack_tasks.plans.steps import Finished, Next


def panic(
    *,
    yes: bool = False,
    protect: list[str] | None = None,
    minutes: Minutes = 30,
    json: AsJson = False,
) -> int:
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
    json
        Show lines of JSON. Nobody is asked then: without --yes nothing is done.
    """
    screen = Screen()
    with client_from_environment() as client, Display(screen) as show:
        say = _JsonLines(show) if json else _Words(screen, show)
        code = _panic(client, say, yes, protect or [], timedelta(minutes=minutes))
    if show.hangs:
        # The interpreter would wait for the output for ever, or abort, and tell another code.
        os._exit(code)
    return code


class _Words:
    """Says what happens on a screen, for people."""

    def __init__(self, screen: Screen, show: Display) -> None:
        self._screen, self._show = screen, show

    def __call__(self, line: str) -> None:
        self._show(line)

    def warn(self, line: str) -> None:
        self._show(lambda: Text(one_line(line), style="yellow"))

    def fleet(self, instances: Sequence[UserVM], protected: frozenset[str]) -> None:
        self._show(lambda: _table(self._screen, instances, protected))

    def agrees(self, question: str) -> bool:
        return self._show.is_done() and self._screen.agrees(question)

    def end(self, text: str, left: Sequence[UserVM] = (), ok: bool = True) -> None:
        self._show(lambda: Text(one_line(text), style="red" if left else ""))


class _JsonLines:
    """Says what happens as lines of JSON, for programs; nobody is asked."""

    def __init__(self, show: Display) -> None:
        self._show = show

    def _line(self, **values: Any) -> None:
        line = json_text.dumps(PanicShown(**values).model_dump(mode="json"))
        self._show(lambda: Text(line))

    def __call__(self, line: str) -> None:
        self._line(kind="told", text=line)

    warn = __call__

    def fleet(self, instances: Sequence[UserVM], protected: frozenset[str]) -> None:
        for one in instances:
            self._line(
                kind="instance",
                text=_what_happens(one, protected),
                id=one.id,
                name=one.name,
                status=str(one.status),
                hourly=hourly_cost(one),
                currency=_currency_of([one]),
            )

    def agrees(self, question: str) -> bool:
        self(f"{question} Pass --yes to answer that.")
        return False

    def end(self, text: str, left: Sequence[UserVM] = (), ok: bool = True) -> None:
        self._line(
            kind="end",
            text=text,
            ok=ok and not left,
            left=tuple(i.name for i in left),
            hourly=_burn_of(left),
            currency=_currency_of(left),
        )


def _panic(
    client: Barrack, say: _Words | _JsonLines, yes: bool, protect: list[str], timeout: timedelta
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
        say.warn(f"BARRACK_PROTECT: {one.text}")
    say.fleet(instances, protected)
    if not todo:
        say.end("Nothing is left to hibernate.")
        return 0
    if not yes and not say.agrees(f"Hibernate {len(todo)} of {len(instances)} instances now?"):
        say.end("Nothing was done.", ok=False)
        return 1
    plan = hibernate_everything(client, targets, never, timeout, say)
    return _conclude(say, plan, {i.id: i for i in instances})


def _names(given: Iterable[str]) -> list[str]:
    return [name.strip() for name in given if name.strip()]


def _what_happens(instance: UserVM, protected: frozenset[str]) -> str:
    if instance.id in protected:
        return "left alone: protected"
    return "nothing to do" if is_at_rest(instance.status) else "hibernate"


def _table(screen: Screen, instances: Iterable[UserVM], protected: frozenset[str]) -> Text:
    rows = [
        (
            one.name,
            str(one.status),
            money(hourly_cost(one), _currency_of([one])),
            _what_happens(one, protected),
        )
        for one in instances
    ]
    columns = ("instance", "state", "an hour", "what happens")
    return Text("\n").join(screen.lines_of("", columns, rows))


def _conclude(say: _Words | _JsonLines, plan: Mapping[str, Next], before: dict[str, UserVM]) -> int:
    left = [
        before[id_]
        for id_, next_ in plan.items()
        if not isinstance(next_, Finished) or next_.outcome == "failed"
    ]
    if left:
        say.end(_what_is_left(left), left)
        return 1
    done = sum(isinstance(n, Finished) and n.outcome == "done" for n in plan.values())
    say.end(f"Done: {done} hibernated; no unprotected instance is left running.")
    return 0


def _burn_of(left: Iterable[UserVM]) -> Decimal:
    return sum((i.hourly_price or Decimal(0) for i in left), Decimal(0))


def _currency_of(instances: Iterable[UserVM]) -> str | None:
    return next((str(i.currency) for i in instances if i.currency), None)


def _what_is_left(left: Sequence[UserVM]) -> str:
    least = "at least " if any(i.hourly_price is None for i in left) else ""
    names = ", ".join(i.name for i in left)
    burn = money(_burn_of(left), _currency_of(left))
    return f"NOT hibernated, and burning {least}{burn} an hour: {names}"
