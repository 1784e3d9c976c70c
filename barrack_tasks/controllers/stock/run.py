"""A watcher's run: looking again and again."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from barrack_tasks.api import BarrackAuthenticationError, BarrackError
from barrack_tasks.controllers.stock.memory import read_history, spells_now
from barrack_tasks.controllers.stock.watcher import Log, Look, StockWatcher
from barrack_tasks.plans.stock.history import Summary, summaries
from barrack_tasks.plans.stock.pace import Pace
from barrack_tasks.runtime.charts import as_image, lines_by_hour
from barrack_tasks.runtime.loop import SERVER_AWAY

_MOST_LINES = 6
_PASSING = (BarrackError, *SERVER_AWAY)


def watch(
    watcher: StockWatcher,
    pace: Pace,
    until: datetime,
    on_look: Callable[[Look], None],
    log: Log,
    now: Callable[[], datetime],
    sleep: Callable[[float], None] = time.sleep,
) -> tuple[Look | None, int]:
    """Look until everything wanted is there or the time is up; the last look, and how many.

    A stock that cannot be read is looked at again, and so it is while the Prefect server is away;
    a key that is refused ends it.
    """
    last: Look | None = None
    looks = 0
    while True:
        moved = False
        try:
            last = watcher.look()
            moved = last.moved
            on_look(last)
        except BarrackAuthenticationError:
            raise
        except _PASSING as error:
            log.warning("the stock cannot be read, and is looked at again: %s", error)
        looks += 1
        if watcher.is_done() or now() >= until:
            return last, looks
        try:
            watcher.prepare()
        except SERVER_AWAY as error:
            log.warning("the Prefect server cannot be reached: %s", error)
        left = (until - now()).total_seconds()
        sleep(max(0.0, min(pace.next_wait(moved, now()), left)))


def summary_of(
    watcher: StockWatcher, file: Path, now: datetime, zone: str
) -> tuple[tuple[Summary, ...], str]:
    """What is known of the stock of everything wanted, and a picture of its hours."""
    spells = [s for s in read_history(file) if s.place in watcher.seen]
    spells += spells_now(watcher.seen)
    since = min((s.start for s in spells), default=now)
    if since >= now:
        return (), ""
    found = tuple(summaries(spells, since, now, zone))
    most = sorted(found, key=lambda s: s.total, reverse=True)[:_MOST_LINES]
    shares = {str(s.place): s.hours for s in most}
    title = "In stock, by hour of the day"
    return found, as_image(lines_by_hour(title, shares, zone), title)
