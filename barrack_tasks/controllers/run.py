"""What every run of a flow has: its account, its log, whom it tells, what it never touches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, TypeVar

from prefect import runtime
from prefect.blocks.abstract import NotificationBlock

from barrack_tasks.api import BarrackError
from barrack_tasks.api.models.text import one_line
from barrack_tasks.controllers import reports
from barrack_tasks.dialects.needs import NEEDS, check_needs
from barrack_tasks.plans import Report, Selector
from barrack_tasks.plans.alerts import Message
from barrack_tasks.plans.memory import Memory, Target
from barrack_tasks.plans.money.balance import unreadable
from barrack_tasks.plans.selection import Called, InVain
from barrack_tasks.plans.steps import Next
from barrack_tasks.plans.world import World
from barrack_tasks.runtime import leases, lists, loop
from barrack_tasks.runtime.alerts import Alarms, NobodyTold, alone
from barrack_tasks.runtime.health import tell_of_blind_guards
from barrack_tasks.runtime.leases import Hold
from barrack_tasks.runtime.notify import Severity, find_notifiers
from barrack_tasks.runtime.post import Item, Post
from barrack_tasks.server.credentials import BarrackCredentials
from barrack_tasks.server.events import get_run_logger, spread
from barrack_tasks.tasks.base import barrack_flow

__all__ = ["Run", "barrack_flow"]

R = TypeVar("R", bound=Report)


@dataclass(frozen=True)
class Run:
    """One run of a flow. `Run.begin` makes it, first of all, and refuses before anything is done.

    Attributes:
        flow: the flow's name.
        account: whose instances they are.
        log: of the run.
        notifiers: who is told, by the names of their blocks.
        protect: names, globs and ids that the caller protects.
        dry_run: nothing is changed, and nobody is told.
    """

    flow: str
    account: BarrackCredentials
    log: loop.Log
    notifiers: Mapping[str, NotificationBlock]
    protect: tuple[str, ...] = ()
    dry_run: bool = False

    @classmethod
    def begin(
        cls,
        flow: str,
        credentials: BarrackCredentials | str | None,
        notify: Iterable[str] = (),
        protect: Iterable[str] = (),
        dry_run: bool = False,
        needs: str | None = None,
        also: Iterable[str] = (),
    ) -> Run:
        """Find the account and the notifiers, and check that the dialect has what the flow needs.

        Args:
            flow: the flow's name.
            credentials: as the flow was given them.
            notify: names of notification blocks.
            protect: names, globs and ids that are never touched, besides the account's own.
            dry_run: change nothing.
            needs: whose needs count, if not the flow's own.
            also: operations that it needs for what it was called with.

        Raises:
            BarrackConfigurationError: there is no key, no such block, or the dialect lacks an
                operation that the flow needs.
        """
        account = BarrackCredentials.resolve(credentials)
        if (needs or flow) in NEEDS:
            check_needs(account.get_client().dialect, needs or flow, also)
        notifiers = find_notifiers(list(notify))
        return cls(flow, account, get_run_logger(), notifiers, tuple(protect), dry_run)

    @property
    def id(self) -> str:
        """Of the flow run on the Prefect server."""
        return str(runtime.flow_run.id)

    @property
    def name(self) -> str:
        """The run as others are told of it."""
        return f"run {runtime.flow_run.name}"

    @property
    def never(self) -> list[str]:
        """What is never touched: what the caller protects, and the account."""
        return [*self.protect, *self.account.protect]

    @cached_property
    def is_by_hand(self) -> bool:
        """Whether a person called it, and not a deployment."""
        return lists.is_by_hand()  # asks the Prefect server

    def intent(self, *what: Any) -> str:
        """What the run is for. The next run with the same intent takes up one that was cut off."""
        return leases.intent_of(self.flow, *what)

    @contextmanager
    def holding(
        self, intent: str | None = None, keep: timedelta = leases.FORGET_AFTER
    ) -> Iterator[Hold]:
        """Hold what the run works on, so that no other run does.

        Args:
            intent: see `intent`; None if nothing is to be taken up.
            keep: how long what was only reserved is kept for the next run.
        """
        with (
            spread(),
            leases.holding(self.account.account, self.id, self.name, intent, keep) as hold,
        ):
            yield hold

    def check_lists(
        self,
        things: Iterable[Called],
        select: Selector | None = None,
        exclude: Iterable[str] = (),
        priority: Iterable[str] = (),
        more: Iterable[InVain] = (),
    ) -> tuple[str, ...]:
        """Refuse or tell what the run's lists name in vain; notes for its report.

        Args:
            things: what there is.
            select: as it was given; None if what it names in vain was refused before.
            exclude: as it was given.
            priority: as it was given.
            more: what else is named in vain.

        Raises:
            SelectionError: a person called the flow, and a list names what does not exist.
        """
        found = lists.lists_in_vain(things, self.account, self.protect, exclude, priority, select)
        return lists.check_lists(
            self.flow,
            self.account.account,
            [*found, *more],
            self.notifiers,
            self.log,
            self.is_by_hand,
            self.dry_run,
            self.post,
        )

    def work(
        self,
        hold: Hold,
        targets: tuple[Target, ...],
        memory: Memory,
        look: Callable[[], World],
        decide: Callable[[World, datetime], Mapping[str, Next]],
        timeout: timedelta,
        on_done: Mapping[str, str] | None = None,
        protected: frozenset[str] = frozenset(),
        first: World | None = None,
    ) -> tuple[World, Mapping[str, Next]]:
        """Observe, decide and act until no target needs anything more; see `runtime.loop.work`."""
        return loop.work(
            self.account,
            hold,
            targets,
            memory,
            look=look,
            decide=decide,
            on_done=on_done or {},
            protected=protected,
            timeout=timeout,
            log=self.log,
            first=first,
        )

    def conclude(self, report: R, silent: bool = False) -> R:
        """Leave the report as an artifact, tell the notifiers what failed, and return it.

        Args:
            report: of the run.
            silent: tell nobody, since they know.

        Raises:
            WorkFailed: something failed; the run ends Failed.
        """
        notes = (*report.notes, *(note for note in self.without if note not in report.notes))
        report = report.model_copy(update={"notes": notes})
        if not silent:
            self.add_failure(report)
        at = self.account.get_client().now()
        return reports.conclude(report, self.account.account, self.post, at)

    def add_failure(self, report: Report) -> None:
        """Let the next message of the run tell what failed, if anything did.

        Args:
            report: of the run; its rows are enough.
        """
        reports.add_failure(self.post, report, self.notifiers)

    def stand_aside(self, report: R) -> R:
        """Leave the report of a run that did nothing; see `controllers.reports.stand_aside`."""
        return reports.stand_aside(report, self.account.account, self.post)

    @cached_property
    def post(self) -> Post:
        """What the run has to tell people."""
        return Post(self.called, tell_of_blind_guards)

    @property
    def called(self) -> str:
        """What people call the account: its given name, its block's, or that of its records."""
        given = self.account.given_name() or self.account._block_document_name
        return given or self.account.account

    def tell(
        self,
        subject: str,
        lines: Iterable[str],
        severity: Severity = "info",
        picture: str = "",
    ) -> dict[str, str]:
        """Tell the notifiers something in one message; those that could not be told, and why.

        Args:
            subject: is told as one line.
            lines: sentences that do not repeat it.
            severity: in the words of Apprise.
            picture: an SVG that is attached to mails.
        """
        if self.dry_run:
            return {}
        body = "\n".join(map(one_line, lines))
        self.post.add(Item(self.notifiers, subject, body, severity, picture))
        return self.post.send()

    def report(self, rows: Iterable[Any], notes: Iterable[str] = ()) -> Report:
        """A report with one row an instance, concluded as `conclude` does."""
        return self.conclude(
            Report(flow=self.flow, dry_run=self.dry_run, rows=tuple(rows), notes=tuple(notes))
        )

    @property
    def without(self) -> tuple[str, ...]:
        """What the flow does without, because the API lacks what it only uses; for its report."""
        needs = NEEDS.get(self.flow)
        return tuple(needs.without(self.account.get_client().dialect)) if needs else ()

    def alarms(self, kind: str, scope: str, remind: timedelta | None = None) -> Alarms:
        """What people were told, so that each of it is told once.

        Args:
            kind: of the alarms.
            scope: which runs share what was told; see `scope_of`.
            remind: tell again after so long while it lasts; None to tell once.
        """
        account = self.account.account
        return Alarms(kind, account, self.notifiers, remind, self.log, scope, self.post)

    def alone(self, kind: str, scope: str = "") -> AbstractContextManager[bool]:
        """Whether no other run watches the same at this moment; held while the block runs."""
        return alone(self.account.account, kind, scope)

    @contextmanager
    def telling_if_blind(self, alarms: Alarms) -> Iterator[None]:
        """Tell people when the account cannot be read in the block, and raise that again."""
        try:
            yield
        except BarrackError as error:
            if not self.dry_run:
                alarms.raise_for([unreadable(str(error))], loop.now(), complete=False)
            raise

    def conclude_told(self, report: R, told: Sequence[Message], alarms: Alarms) -> R:
        """Conclude a run whose alarms told what it was going to do.

        A run that told it also tells that it failed; later runs that fail in the same way do not.

        Raises:
            WorkFailed: something failed.
            NobodyTold: nobody could be told of something.
        """
        concluded = self.conclude(report, silent=not told)
        NobodyTold.check(told, self.notifiers, alarms.undelivered)
        return concluded
