"""Waiting for stock and deploying it, for notebooks and ad-hoc runs."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from prefect.context import FlowRunContext

from barrack_tasks.api.models import UserVM
from barrack_tasks.api.models.text import one_line
from barrack_tasks.controllers.stock.run import watch
from barrack_tasks.controllers.stock.watcher import Log, StockLook, StockWatcher
from barrack_tasks.plans.durations import read_positive, said
from barrack_tasks.plans.money.caps import Caps
from barrack_tasks.plans.report import money
from barrack_tasks.plans.stock.claims import taken_by
from barrack_tasks.plans.stock.pace import Pace
from barrack_tasks.plans.stock.wants import Want, family_of, wanted_names
from barrack_tasks.server.credentials import BarrackCredentials
from barrack_tasks.server.events import get_run_logger
from barrack_tasks.tasks.base import Account


def create_when_available(
    credentials: Account,
    want: Want | Mapping[str, Any],
    *,
    timeout: float | timedelta | str = timedelta(hours=24),
    interval: float | timedelta | str = timedelta(seconds=15),
    caps: Caps | Mapping[str, Any] | None = None,
    say: Callable[[str], None] | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    sleep: Callable[[float], None] = time.sleep,
) -> list[UserVM]:
    """Wait for stock, deploy what is wanted, and return it once it is up. For notebooks.

    Args:
        credentials: the account: itself, the name of a saved one, or None for the environment.
        want: a `Want` with a claim, or a dict of its fields.
        timeout: give up after so long: seconds, a timedelta or text such as `"2h"`.
        interval: between two looks, as a rule, a second or more; a quarter while the stock moves.
        caps: what may be spent; besides the account's own.
        say: is told what happens, line by line; the run's log, or print, if not given.
        now: the clock.
        sleep: waits so many seconds.

    Returns:
        The instances, with address and price.

    Raises:
        ValueError: the want has no claim or can never be met, its name is taken, or a duration is
            too short.
        TimeoutError: not all of it could be had in time; says what was, which stays and is paid.
        BarrackError: the key was refused, or the account cannot be read.

    Example:
        >>> [machine] = create_when_available(
        ...     account,
        ...     {"gpu_model": "H100-*", "gpu_count": "8x", "max_price": 25,
        ...      "claim": {"name": "train", "image_id": "1"}},
        ...     timeout=3600,
        ... )
        >>> machine.public_ip
    """
    wanted = want if isinstance(want, Want) else Want.model_validate(dict(want))
    if wanted.claim is None:
        raise ValueError("the want has no claim: say what to deploy, claim={'name': ..., ...}")
    span, every = read_positive(timeout), read_positive(interval)
    account = BarrackCredentials.find(credentials)
    pace = Pace(every, random.random, account.requests_per_second)
    log = _Saying(say) if say else _log_or_print()
    watcher = StockWatcher(account, [wanted], caps, now, log)
    watcher.open()
    [wanted] = watcher.wants
    for instance in family_of(wanted, watcher.instances):
        if taken := taken_by(wanted, instance):
            raise ValueError(f"{taken}; give the claim another name")
    log.info("waiting for %s", ", else ".join(str(o) for o in wanted.options))
    watch(watcher, pace, now() + span, lambda look: _progress(look, log), log, now, sleep)
    there = {i.name: i for i in watcher.instances}
    family = family_of(wanted, watcher.instances)
    names = [*wanted_names(wanted, family, watcher.claims.made), *watcher.claims.made]
    if not watcher.is_done():
        # Also where it ended early, because what was deployed came up in ERROR.
        raise TimeoutError(_missed(wanted, watcher, span))
    return [there[name] for name in dict.fromkeys(names) if name in there]


def _missed(want: Want, watcher: StockWatcher, span: timedelta) -> str:
    options = ", else ".join(str(o) for o in want.options)
    made = watcher.claims.made
    text = f"{len(made)} of {want.quantity} of {options} could be had within {said(span)}"
    if made:
        text += f"; {', '.join(made)} was deployed, stays, and is paid for"
    for name, refusal in watcher.claims.refused.items():
        text += f"; {name}: {refusal.why}"
    return text


def _progress(look: StockLook, log: Log) -> None:
    for edge in look.edges:
        if edge.kind == "available":
            log.info("in stock: %s, at least %d", edge.place, edge.count)
    for _, instance in look.claimed:
        price = money(instance.hourly_price, str(instance.currency or ""))
        log.info("%s is up: %s, %s an hour", instance.name, instance.public_ip, price)


class _Saying(logging.LoggerAdapter[logging.Logger]):
    """A log that is told line by line."""

    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__(logging.getLogger(__name__), {})
        self._say = say

    def log(self, level: int, msg: object, *args: object, **_: Any) -> None:
        """Tell one line."""
        if level >= logging.INFO:
            self._say(one_line(str(msg) % args if args else str(msg)))


def _log_or_print() -> Log:
    if FlowRunContext.get() is not None:
        return get_run_logger()
    return _Saying(print)
