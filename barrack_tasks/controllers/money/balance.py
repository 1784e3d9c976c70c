"""How long the balance lasts, held against the lines of a run."""

from __future__ import annotations

from collections.abc import Sequence

from barrack_tasks.controllers.money.bills import note_sightings
from barrack_tasks.controllers.money.funds import Funds, read_samples, write_samples
from barrack_tasks.controllers.run import Run
from barrack_tasks.plans.alerts import Message
from barrack_tasks.plans.money.balance import Outlook, outlook
from barrack_tasks.plans.money.burn import about_debits, other_hourly, seen_until
from barrack_tasks.plans.money.shedding import Shedding
from barrack_tasks.plans.money.thresholds import Threshold, check_thresholds
from barrack_tasks.plans.protection import is_protected
from barrack_tasks.plans.selection import Selector, selected_that_exist
from barrack_tasks.runtime.alerts import Alarms
from barrack_tasks.runtime.loop import now
from barrack_tasks.runtime.observe import flavors_that_cannot_hibernate


class BalanceWatch:
    """One look at the balance: how it stands, whom it puts to rest, and what is remembered.

    Args:
        run: the run.
        funds: the account as it is.
        thresholds: the lines.
        select: the instances that may be put to rest; None for none.
        how: who goes first.

    Raises:
        ValueError: a line is in another currency than the balance.
        SelectionError: a person called the flow, and a list names what does not exist.
    """

    def __init__(
        self,
        run: Run,
        funds: Funds,
        thresholds: Sequence[Threshold],
        select: Selector | None,
        how: Shedding,
    ) -> None:
        self._run = run
        self._funds = funds
        check_thresholds(thresholds, funds.balance)
        unmet: tuple[str, ...] = ()
        if funds.is_read("instance"):
            unmet = run.check_lists(funds.instances, select=select, priority=how.priority)
        self._before = read_samples(run.account.account)
        self._samples = seen_until(
            self._before, funds.at, funds.balance.amount, funds.burn(), not funds.unread
        )
        selected = selected_that_exist(select, funds.instances)
        self.unable = flavors_that_cannot_hibernate(run.account) if selected else frozenset()
        self.view: Outlook = outlook(
            thresholds,
            funds.balance,
            funds.burn(other_hourly(self._samples)),
            selected,
            {i.id for i in selected if is_protected(run.never, i.id, i.name)},
            self.unable,
            how,
            (*unmet, *about_debits(self._samples, str(funds.balance.currency))),
            funds.unread,
        )

    def tell(self, alarms: Alarms) -> tuple[Message, ...]:
        """Tell people what is new, and note what was seen; in a dry run neither."""
        if self._run.dry_run:
            return ()
        account = self._run.account
        note_sightings(account, self._funds)
        told = alarms.raise_for(self.view.readings, now(), self.view.details)
        write_samples(account.account, self._before, self._samples)
        return told

    def check_judged(self) -> None:
        """Fail a run that could not judge a line, after the others were.

        Raises:
            BarrackError: why the account could not be read.
        """
        if self.view.unjudged:
            raise next(iter(self._funds.unread.values()))
