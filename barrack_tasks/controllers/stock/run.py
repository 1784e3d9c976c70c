"""A watcher's run: looking again and again."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

from barrack_tasks.api import BarrackAuthenticationError, BarrackError
from barrack_tasks.controllers.expiry import Ends, end_due, ends_before, said_of
from barrack_tasks.controllers.run import Run
from barrack_tasks.controllers.stock.claimed import SharedLedger
from barrack_tasks.controllers.stock.memory import (
    changed_refusals,
    history_file,
    read_history,
    read_seen,
    read_shunned,
    spells_now,
    write_seen,
    write_shunned,
)
from barrack_tasks.controllers.stock.sources import missing_of_claims
from barrack_tasks.controllers.stock.telling import Teller
from barrack_tasks.controllers.stock.watcher import Log, StockLook, StockWatcher
from barrack_tasks.plans.money.caps import Caps
from barrack_tasks.plans.stock.claims import Refusal
from barrack_tasks.plans.stock.history import Summary, summaries
from barrack_tasks.plans.stock.pace import Pace
from barrack_tasks.plans.stock.report import HOURS_TITLE, StockReport, rows_of_claims
from barrack_tasks.plans.stock.wants import Want
from barrack_tasks.runtime.charts import lines_by_hour
from barrack_tasks.runtime.leases import Hold
from barrack_tasks.runtime.loop import SERVER_AWAY, now

_MOST_LINES = 6
_PASSING = (BarrackError, *SERVER_AWAY)


class StockRun:
    """One run that watches stock: what it sees, claims, remembers and tells.

    Args:
        run: the run.
        wants: what is wanted, the best first.
        caps: what may be spent, besides the account's own.
        scope: which runs share what was told; see `scope_of_stock`.
        pace: how often it looks.
        expires: how long what is claimed lives; None without an end.
        on_expiry: how it ends.
        history: a file that keeps when there was stock; None for the usual one.
    """

    def __init__(
        self,
        run: Run,
        wants: Sequence[Want],
        caps: Caps | None,
        scope: str,
        pace: Pace,
        expires: timedelta | None,
        on_expiry: Literal["hibernate", "delete"],
        history: Path | None,
    ) -> None:
        self._run = run
        self._wants = wants
        self._caps = caps
        self._scope = scope
        self._pace = pace
        self._expires = expires
        self._on_expiry: Literal["hibernate", "delete"] = on_expiry
        self._file = history_file(run.account.account, history)
        self._seen = read_seen(run.account.account, scope)
        self._must_hibernate = expires is not None and on_expiry == "hibernate"

    def planned(self) -> StockReport:
        """What would be claimed now; nothing is changed."""
        run = self._run
        watcher = StockWatcher(
            run.account,
            self._wants,
            self._caps,
            now,
            run.log,
            self._seen,
            must_hibernate=self._must_hibernate,
            shunned=read_shunned(run.account.account),
        )
        watcher.open()
        places = watcher.stock()
        would = watcher.would_claim(places)
        return StockReport(
            flow=run.flow,
            dry_run=True,
            rows=rows_of_claims(watcher.wants, watcher.claims, watcher.instances, places, would),
            stock={str(place): count for place, count in places.items()},
            notes=missing_of_claims(run.account.get_client(), self._wants),
        )

    def work(self, hold: Hold, watch_for: timedelta, zone: str) -> StockReport:
        """Watch, claim, and tell people what is news to them, also of what failed.

        Who watches for a while tells at once what came; a single look tells all in one message.

        Args:
            hold: of the run.
            watch_for: how long; one look, if it is nothing.
            zone: of the report's hours.
        """
        run, account = self._run, self._run.account
        alarms = run.alarms("stock", self._scope)
        teller = Teller(account.account, self._scope, alarms, self._file, run.log)
        clock = account.get_client().now
        ends = Ends(account.account, self._expires, self._on_expiry, clock, hold)
        watcher = StockWatcher(
            account,
            self._wants,
            self._caps,
            now,
            run.log,
            self._seen,
            hold.claim,
            SharedLedger(account.account, ends, hold, run.log),
            must_hibernate=self._must_hibernate,
            guarded=hold.guarded,
            shunned=read_shunned(account.account),
        )

        known = dict(watcher.shunned)

        def on_look(look: StockLook) -> None:
            if watcher.shunned != known:
                write_shunned(account.account, watcher.shunned.values(), now())
                known.update(watcher.shunned)
            if watch_for:
                teller.tell_of(watcher, look, now())
            endings = end_due(account, hold, run.log, clock=lambda _: clock()).endings
            teller.told.extend(said_of(endings))

        watcher.open()
        last, looks = watch(watcher, self._pace, now() + watch_for, on_look, run.log, now)
        write_seen(account.account, self._scope, watcher.seen)
        places = dict(last.places) if last else {}
        found, picture = summary_of(watcher, self._file, now(), zone)
        rows = rows_of_claims(watcher.wants, watcher.claims, watcher.instances, places, {})
        there = {row.instance_id for row in rows if row.outcome == "already"}
        report = StockReport(
            flow=run.flow,
            rows=rows,
            stock={str(place): count for place, count in places.items()},
            summaries=found,
            looks=looks,
            picture=picture,
        )
        refused = {
            row.instance: watcher.claims.refused.get(row.instance)
            or Refusal(str(row.reason), row.why, row.reason)
            for row in report.failed
        }
        names = [row.instance for row in report.rows]
        if changed_refusals(account.account, self._scope, refused, names):
            run.add_failure(report)
        if last and not watch_for:
            teller.tell_of(watcher, last, now())
        unheard = (f"{n} could not be told: {why}" for n, why in alarms.undelivered.items())
        notes = (*unheard, *ends.told, *ends_before(account.account, there))
        return report.model_copy(update={"told": tuple(teller.told), "notes": notes})


def watch(
    watcher: StockWatcher,
    pace: Pace,
    until: datetime,
    on_look: Callable[[StockLook], None],
    log: Log,
    now: Callable[[], datetime],
    sleep: Callable[[float], None] = time.sleep,
) -> tuple[StockLook | None, int]:
    """Look until everything wanted is there or the time is up; the last look, and how many.

    A stock that cannot be read is looked at again, and so it is while the Prefect server is away;
    a key that is refused ends it.
    """
    last: StockLook | None = None
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
            log.warning("the stock cannot be read, and the run tries again: %s", error)
        looks += 1
        if watcher.is_done() or watcher.is_stuck() or now() >= until:
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
    return found, lines_by_hour(HOURS_TITLE, shares, zone)
