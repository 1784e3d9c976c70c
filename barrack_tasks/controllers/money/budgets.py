"""How budgets stand, read from billing records."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from barrack_tasks.api.models import UserVM
from barrack_tasks.controllers.money.bills import instances_seen, note_sightings, read_bill
from barrack_tasks.controllers.money.funds import Funds
from barrack_tasks.controllers.owners import known_owners, read_owners
from barrack_tasks.controllers.run import Run
from barrack_tasks.plans.alerts import Message, Reading
from barrack_tasks.plans.forgotten.owners import owner_of
from barrack_tasks.plans.money.balance import unpriced, unreadable
from barrack_tasks.plans.money.budgets import (
    Budget,
    BudgetReport,
    Standing,
    about_refused,
    about_waiting,
    burn_watched,
    cells_of,
    is_burn_read,
    kept_of,
    notes_on_budgets,
    period_of,
    readings_of,
    refused_of,
    standing,
    whom_budgets_rest,
    with_budgets,
)
from barrack_tasks.plans.money.shedding import Shedding, as_sentence, named
from barrack_tasks.plans.protection import is_protected
from barrack_tasks.plans.report import Row
from barrack_tasks.plans.selection import Called, InVain, named_in_vain
from barrack_tasks.runtime.alerts import Alarms
from barrack_tasks.runtime.loop import now
from barrack_tasks.runtime.observe import flavors_that_cannot_hibernate
from barrack_tasks.server.credentials import BarrackCredentials
from barrack_tasks.server.tables import change_all, read_all


def read_standings(
    credentials: BarrackCredentials,
    funds: Funds,
    budgets: Sequence[Budget],
    zone: str,
    keep: bool = True,
) -> tuple[list[Standing], tuple[str, ...]]:
    """How each budget stands by the cloud's clock, and whose bill could not be read.

    What is there is noted, so that it stays on later bills when it is gone; in a dry run it is not.

    Args:
        credentials: the account.
        funds: the account as it is.
        budgets: the budgets.
        zone: whose days and months.
        keep: whether what was seen and read is kept.
    """
    burn, now = funds.burn(), funds.at
    budgets = with_teams(credentials.account, funds.instances, budgets)
    long = [b for b in budgets if b.per != "hour"]
    bill = None
    if long:
        start = min(period_of(b.per, now, zone).start for b in long)
        names = [n for b in long for n in b.names] if all(b.names for b in long) else []
        bill = read_bill(credentials, funds, start, now, zone, names, keep)
    elif keep:
        note_sightings(credentials, funds)
    standings = []
    for budget in budgets:
        found = standing(budget, funds.instances, burn, burn.hourly, now, zone)
        is_read = is_burn_read(budget, found.burn, funds.unread)
        if bill is not None and budget.per != "hour":
            spent = bill.since(found.period.start, budget.names)
            found = standing(budget, funds.instances, burn, spent, now, zone)
            is_read = bill.is_read
        standings.append(replace(found, is_read=is_read))
    return standings, bill.missing if bill is not None else funds.missing


def with_teams(
    account: str, instances: Iterable[UserVM], budgets: Sequence[Budget]
) -> list[Budget]:
    """The budgets, those of teams with the ids of their instances, there or gone.

    Args:
        account: see `BarrackCredentials.account`.
        instances: that are there.
        budgets: as they were given.
    """
    if not any(b.team for b in budgets):
        return list(budgets)
    table, held = known_owners(account)
    things = {one.id: one.name for one in instances_seen(account)}
    things |= {one.id: one.name for one in instances}
    team_of = {id_: owner_of(id_, name, table, held).team for id_, name in things.items()}
    return [
        b.of_team(id_ for id_, team in team_of.items() if team == b.team) if b.team else b
        for b in budgets
    ]


@dataclass(frozen=True)
class Budgeting:
    """How the budgets of a run stand, whom they put to rest, and what people hear of it.

    Attributes:
        standings: of all budgets.
        refused: those that are not kept, since what runs already is above a new hard limit.
        kept: those that are remembered as kept, see `kept_of`.
        chosen: the instances that are put to rest.
        readings: what people are told, once each.
        notes: sentences for the report.
        currency: of the account.
        unable: flavors that are known not to hibernate.
    """

    standings: Sequence[Standing]
    refused: Sequence[Standing]
    kept: Sequence[Standing]
    chosen: Sequence[UserVM]
    readings: Sequence[Reading]
    notes: Sequence[str]
    about_chosen: Sequence[str]
    currency: str
    unable: frozenset[tuple[str, int]]

    @classmethod
    def of(
        cls,
        run: Run,
        funds: Funds,
        budgets: Sequence[Budget],
        zone: str,
        how: Shedding,
        enforce_at_once: bool,
    ) -> Budgeting:
        """Hold the account against the budgets.

        Raises:
            SelectionError: a person called the flow, and a list names what does not exist.
        """
        account, currency = run.account, str(funds.balance.currency)
        standings, missing = read_standings(account, funds, budgets, zone, not run.dry_run)
        known = known_budgets(account.account)
        refused = [] if enforce_at_once else refused_of(standings, known)
        remembered = kept_of(standings, known, enforce_at_once)
        acting = [stand for stand in standings if stand not in refused]
        unmet: tuple[str, ...] = ()
        if funds.is_read("instance"):
            things: list[Called] = [*funds.instances]
            if any(b.names for b in budgets):
                things += instances_seen(account.account)
            teams = {one.team for one in read_owners(account.account)}
            names = [
                InVain(f"team {b.team}", f"budgets: the table of owners has no team {b.team!r}")
                for b in budgets
                if b.team and b.team not in teams
            ]
            names += [n for b in budgets for n in named_in_vain("budgets: names", b.names, things)]
            unmet = run.check_lists(funds.instances, priority=how.priority, more=names)
        protected = {i.id for i in funds.instances if is_protected(run.never, i.id, i.name)}
        unable = flavors_that_cannot_hibernate(account)
        aimed = (acting, funds.instances, protected, unable)
        chosen = whom_budgets_rest(*aimed, how, funds.balance.currency)
        stuck = notes_on_budgets(*aimed)
        readings = [unreadable(*missing), unpriced(burn_watched(standings), currency)]
        for stand in standings:
            readings += readings_of(stand, currency, not missing, stand in refused)
        waiting = [
            stand
            for stand in standings
            if stand.budget.hard is not None and stand not in (*refused, *remembered)
        ]
        going = f"Going to hibernate {named(chosen, burn_watched(acting))}."
        return cls(
            standings,
            refused,
            remembered,
            chosen,
            readings,
            (
                *unmet,
                *missing,
                *(about_refused(stand, currency) for stand in refused),
                *(about_waiting(stand) for stand in waiting),
                *stuck,
            ),
            (*([going] if chosen else []), *map(as_sentence, stuck)),
            currency,
            unable,
        )

    def tell(self, run: Run, alarms: Alarms, funds: Funds) -> tuple[Message, ...]:
        """Tell people what is new, and note which budgets are kept; in a dry run neither."""
        if run.dry_run:
            return ()
        told = alarms.raise_for(self.readings, now(), self.about_chosen)
        kept = (stand.budget for stand in self.kept)
        remember_budgets(run.account.account, kept, funds.at)
        return told

    def report(
        self, run: Run, rows: tuple[Row, ...], told: Sequence[Message], untold: Iterable[str]
    ) -> BudgetReport:
        """The report of the run; what would be told, in a dry run."""
        would = tuple(reading.text for reading in self.readings if reading.is_over)
        return BudgetReport(
            flow=run.flow,
            dry_run=run.dry_run,
            rows=rows,
            budgets=tuple(cells_of(stand, self.currency) for stand in self.standings),
            told=would if run.dry_run else tuple(message.text for message in told),
            notes=(*self.notes, *untold),
        )

    def check_refused(self) -> None:
        """Fail a run whose budgets were refused, after the others were enforced.

        Raises:
            ValueError: says which and why.
        """
        if self.refused:
            raise ValueError(
                "; ".join(about_refused(stand, self.currency) for stand in self.refused)
            )


def known_budgets(account: str) -> set[str]:
    """Identities of the budgets whose hard limits were kept before, by any deployment."""
    return set(read_all(_prefix(account)))


def remember_budgets(account: str, budgets: Iterable[Budget], now: datetime) -> None:
    """Note which budgets are kept, so that their limits may act from now on.

    Args:
        account: see `BarrackCredentials.account`.
        budgets: those that are kept, and not those that were refused.
        now: zone-aware.
    """
    kept, today = list(budgets), now.toordinal()
    change_all(_prefix(account), lambda known: with_budgets(known, kept, today))


def _prefix(account: str) -> str:
    return f"barrack_budgets_{account}_"
