"""See GPU stock first, tell people, and claim exactly as much as is wanted."""

from __future__ import annotations

import random
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator

from barrack_tasks.controllers.run import Run, barrack_flow
from barrack_tasks.controllers.stock.memory import scope_of_stock
from barrack_tasks.controllers.stock.run import StockRun
from barrack_tasks.plans import Timetable
from barrack_tasks.plans.durations import Lifetime, PositiveSpan
from barrack_tasks.plans.money.caps import Caps
from barrack_tasks.plans.power.expiry import check_end
from barrack_tasks.plans.stock.pace import Pace
from barrack_tasks.plans.stock.report import StockReport
from barrack_tasks.plans.stock.wants import Want, check_nothing_old_is_deleted, read_wants
from barrack_tasks.plans.timetable.zone_names import Zone, zone_of
from barrack_tasks.runtime.alerts import this_deployment
from barrack_tasks.runtime.parameters import Credentials, Notify

Wants = Annotated[list[Want], BeforeValidator(read_wants)]
"""A list of wants, typed or as dicts, the best first."""


@barrack_flow(name="watch_gpu_stock")
def watch_gpu_stock(
    wants: Wants,
    watch_for: PositiveSpan | None = None,
    interval: PositiveSpan = timedelta(seconds=30),
    quiet: str | None = None,
    expires: Lifetime | None = None,
    on_expiry: Literal["hibernate", "delete"] = "hibernate",
    caps: Caps | None = None,
    history: Path | None = None,
    zone: Zone = "UTC",
    notify: Notify = [],  # noqa: B006 - Prefect shows the default in its form, and copies it
    dry_run: bool = False,
    credentials: Credentials = None,
) -> StockReport:
    """Watch the GPU stock: tell what appears, and claim what is wanted.

    One look is one request, however many wants there are. It runs as a single look on a schedule,
    or watches for a while: then four times as often for ten minutes after anything moved.

    Args:
        wants: `Want(gpu_model=, gpu_count=, quantity=, max_price=, regions=, otherwise=, claim=)`
            or dicts; without a claim it is only told.
        watch_for: how long to watch; ends early when everything is claimed. One look, if None.
        interval: between two looks, as a rule; a second or more.
        quiet: a timetable such as `Mon-Sun 22:00-06:00 UTC` in which it looks a tenth as often.
        expires: claimed instances end after so long, at the next look of a run of this flow, or
            by `end_expired`.
        on_expiry: how they end. What is protected does not. What is known not to hibernate is
            not claimed with `hibernate`, and what exists and is brought back is never deleted.
        caps: what may be spent; besides the account's own.
        history: folder of the history of the stock; the user's state folder, if not given.
        zone: whose hours the history is told in.
        notify: names of notification blocks that are told of stock and of claims.
        dry_run: one look that shows what would be claimed, and which image, key or script of a
            claim does not exist, and changes nothing.
        credentials: a `BarrackCredentials`, the name of a saved one, or None for the environment.

    Returns:
        A report with one row for each instance wanted, the stock, and what is known of its hours.

    Raises:
        ParameterTypeError: a want cannot be read.
        ValueError: a model, count, region or zone does not exist, a want can never be met, a
            duration is too short, or what is brought back would be deleted.
        BarrackError: the key was refused, or the account cannot be read.
        WorkFailed: the guard or the API refused something; carries the report.

    Example:
        >>> watch_gpu_stock(
        ...     wants=[{"gpu_model": "H100-SXM5*", "gpu_count": "8x", "max_price": 25,
        ...             "otherwise": [{"gpu_model": "A100*", "gpu_count": "8x"}],
        ...             "claim": {"name": "train", "image_id": "1"}}],
        ...     watch_for="6h", notify=["team-slack"],
        ... )
    """
    run = Run.begin("watch_gpu_stock", credentials, notify, dry_run=dry_run)
    check_end(expires, on_expiry)
    check_nothing_old_is_deleted(wants, on_expiry)
    zone = zone_of(zone).key
    quiet_times = Timetable.parse(quiet) if quiet else None
    pace = Pace(interval, random.random, run.account.requests_per_second, quiet_times)
    scope = scope_of_stock(notify)
    stock = StockRun(run, wants, caps, scope, pace, expires, on_expiry, history)
    if dry_run:
        return run.conclude(stock.planned())
    with run.holding() as hold:
        if hold.claim(this_deployment()):
            note = "another run of this deployment watches at this moment"
            return run.stand_aside(StockReport(flow=run.flow, rows=(), notes=(note,)))
        report = stock.work(hold, watch_for or timedelta(0), zone)
    return run.conclude(report, silent=True)  # it was told already, if it is news
