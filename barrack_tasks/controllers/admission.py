"""The admission: what costs money begins only within the caps, over all flows and workers.

Whoever is about to send requests that make something cost money takes the guard's turn, reads what
the caps need, judges all that it wants to begin, writes down what it lets begin, and gives the turn
back; only then do the requests go out. The next one counts what was written down and does not show
in the lists yet, so nobody waits until anything shows.

Each run writes into records of its own: what failed is taken out again at once and without a turn,
and what was seen to have begun is, too. What a run that died had written counts for
`BEGUN_COUNTS_FOR`.
"""

from __future__ import annotations

import json
import random
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Protocol

from barrack_tasks.api import (
    Barrack,
    BarrackError,
    BarrackInsufficientCreditsError,
    BarrackNotFoundError,
    BarrackRateLimitedError,
    BarrackServerError,
    BarrackTransportError,
)
from barrack_tasks.api.models import Balance, UserVM
from barrack_tasks.controllers.money.bills import spent_since
from barrack_tasks.controllers.money.funds import Funds
from barrack_tasks.plans.memory import Memory, Target
from barrack_tasks.plans.money.burn import Tariff, burn_of, priced, tariff_of
from barrack_tasks.plans.money.caps import (
    Caps,
    Means,
    Proposed,
    Ruling,
    admit,
    against_balance,
    beginning,
    blind,
    is_seen,
    readings,
    today_of,
)
from barrack_tasks.plans.power.rise import why_not_affordable
from barrack_tasks.plans.snapshots.restore import Restoring
from barrack_tasks.plans.steps import Finished, Next, Wait
from barrack_tasks.plans.world import World
from barrack_tasks.runtime.leases import Hold
from barrack_tasks.runtime.loop import Log, now, work
from barrack_tasks.runtime.turns import Turn
from barrack_tasks.server.credentials import BarrackCredentials
from barrack_tasks.server.variables import MOST_CHARACTERS, Records, Stamped

Decide = Callable[[World, datetime], Mapping[str, Next]]
BEGUN_COUNTS_FOR = timedelta(minutes=10)
"""So long what was let begin counts, unless its run prolongs it, by the Prefect server's clock:
longer than a lease, a request and the lag of the lists together."""
_NEVER = datetime.min.replace(tzinfo=UTC)
_PROLONGED = timedelta(minutes=1)
_BILLS_AGE = timedelta(minutes=1)
"""So long the bills of today are not read again: that is a request for each thing."""
_SWEPT_AT_ONCE = 20
Spent = tuple[Decimal | None, Decimal]
"""What was spent today, None if that cannot be read, and how many hours were left of it then."""
_PASSING = (BarrackRateLimitedError, BarrackServerError, BarrackTransportError)


class Turns(Protocol):
    """The guard's turn, which one run has at a time."""

    def take(self) -> bool: ...
    def give_back(self) -> None: ...
    @property
    def is_mine(self) -> bool: ...


class AdmissionStore(Protocol):
    """Records that every worker sees."""

    def stamped(self) -> dict[str, Stamped]: ...
    def put(self, name: str, value: Any) -> None: ...
    def drop(self, name: str) -> None: ...


def caps_of(
    credentials: BarrackCredentials, caps: Caps | Mapping[str, Any] | None = None
) -> list[Caps]:
    """The caps that count: all of the account's and those given."""
    given = caps if isinstance(caps, Caps) or caps is None else Caps.model_validate(dict(caps))
    return credentials.all_caps if given is None else [*credentials.all_caps, given]


def read_means(
    credentials: BarrackCredentials,
    caps: Iterable[Caps],
    also: Collection[str] = (),
    spent: Spent | None = None,
    known: Mapping[str, UserVM] = {},
) -> Means:
    """What the account has and spends, as far as the caps need it, and its balance.

    Args:
        credentials: the account.
        caps: decide what is read. The balance is read besides, for what it must be at the least.
        also: operations that are read besides: `list_instances`, `get_pricing`.
        spent: what was spent today, if that was read already; else it is read if a cap needs it.
        known: instances that were seen before, by id. One list may lack what is there, so those
            that are missing from it are asked for by id, and count unless the API knows them not.

    Returns:
        The means. What could not be read is named in `unread`; only the caps that need it refuse.

    Raises:
        BarrackError: something that the caps need cannot be read at this moment, and perhaps can
            be in the next: too many requests, no answer, or a failure of the server.
    """
    client = credentials.get_client()
    all_caps = list(caps)
    needed = readings(all_caps)
    readers: dict[str, Callable[[], Any]] = {
        "list_instances": lambda: with_unlisted(client, client.instances.list(), known),
        "list_volumes": lambda: tuple(client.volumes.list()),
        "list_snapshots": lambda: tuple(client.snapshots.list()),
        "get_pricing": lambda: tuple(client.pricing.list()),
    }
    wanted = [o for o in readers if o in needed or o in also]
    found: dict[str, Any] = {}
    unread: dict[str, str] = {}

    def keep(operation: str, read: Callable[[], Any]) -> None:
        try:
            found[operation] = read()
        except BarrackError as error:
            if operation in needed and isinstance(error, _PASSING):
                raise
            unread[operation] = error.message

    if wanted:
        with ThreadPoolExecutor(len(wanted)) as pool:
            for one in [pool.submit(keep, o, readers[o]) for o in wanted]:
                one.result()
    # The balance last: what it lacks is then never a cost that the lists have not shown.
    keep("get_credit_balance", client.balance.get)
    balance = found.get("get_credit_balance")
    tariff = Tariff()
    if "get_pricing" in found:
        tariff = tariff_of(found["get_pricing"], str(balance.currency) if balance else None)
    instances = tuple(priced(i, tariff) for i in found.get("list_instances", ()))
    volumes, snapshots = found.get("list_volumes", ()), found.get("list_snapshots", ())
    burn = burn_of(instances, volumes, snapshots, tariff)
    means = Means(
        balance, burn.hourly, instances, tariff=tariff, unknown=burn.unknown, unread=unread
    )
    if all(one.daily_budget is None for one in all_caps):
        return means
    if spent is None and balance is not None and not needed & unread.keys():
        at = client.now()
        start, left = today_of(at)
        funds = Funds(instances, volumes, snapshots, balance, tariff, at)
        spent = (spent_since(credentials, funds, start), left)
    today, hours_left = spent or (None, Decimal(24))
    return replace(means, spent_today=today, hours_left_today=hours_left)


def with_unlisted(
    client: Barrack, listed: Iterable[UserVM], known: Mapping[str, UserVM]
) -> tuple[UserVM, ...]:
    """The instances listed, and those known before that this one list lacks and are not gone."""
    found = {instance.id: instance for instance in listed}
    for id_ in known.keys() - found.keys():
        try:
            found[id_] = client.instances.get(id_)
        except BarrackError as error:
            if not (isinstance(error, BarrackNotFoundError) and error.is_api_answer):
                found[id_] = known[id_]
    return tuple(found.values())


class Admission:
    """Lets begin what the caps allow, one run at a time in an account.

    Args:
        credentials: the account, whose own caps count as well.
        caps: what may be spent: `Caps`, its fields as a dict, or None for the account's alone.
        is_approved: whether a person has approved one, by its key, at what it costs an hour now.
        dry_run: judge without a turn, and write nothing down.
        now: the clock.
        sleep: waits so many seconds.
        turn: the guard's turn; Prefect's, if not given.
        store: where what was let begin is written down; Prefect's variables, if not given.
        read: reads what the account has.

    Example:
        >>> admission = Admission(account, {"gpus": 8})
        >>> work(account, hold, targets, memory, decide=admission.within(decide, memory), ...)
    """

    def __init__(
        self,
        credentials: BarrackCredentials,
        caps: Caps | Mapping[str, Any] | None = None,
        *,
        is_approved: Callable[[str, Decimal | None], bool] = lambda *_: False,
        dry_run: bool = False,
        now: Callable[[], datetime] = now,
        sleep: Callable[[float], None] = time.sleep,
        turn: Turns | None = None,
        store: Callable[[], AbstractContextManager[AdmissionStore]] | None = None,
        read: Callable[..., Means] = read_means,
    ) -> None:
        self.caps = caps_of(credentials, caps)
        self.notes: tuple[str, ...] = ()
        """What a person must know of what was not judged."""
        self._credentials = credentials
        self._is_approved = is_approved
        self._dry_run = dry_run
        self._now = now
        self._sleep = sleep
        self._turn = turn or Turn(credentials.account)
        self._store = store or (lambda: Records(f"barrack_begun_{credentials.account}_"))
        self._read = read
        self._run = uuid.uuid4().hex
        self._open: dict[str, Proposed] = {}
        self._known: dict[str, UserVM] = {}
        """What was seen, in whatever list, and is not known to be gone."""
        self._parts = 0
        self._written_at = now()
        self._spent: tuple[datetime, Spent] | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether something was let begin and has neither failed nor been seen."""
        return bool(self._open)

    def read_balance(self) -> Balance | None:
        """The balance; None if it cannot be read, which `notes` say then."""
        means = self._read(self._credentials, ())
        self._note(means)
        return means.balance

    def check_affordable(self) -> None:
        """Refuse to bring anything up while the balance is below the minimum.

        Raises:
            BarrackInsufficientCreditsError: it is; nothing was changed.
        """
        balance = self.read_balance()
        if balance and (problem := why_not_affordable(balance)):
            raise BarrackInsufficientCreditsError(problem)

    def _note(self, means: Means) -> None:
        self.notes = (unjudged(means),) if means.balance is None else ()

    def problem(self) -> str | None:
        """One sentence if nothing may begin now, whatever it is: the balance, or a blind cap.

        For runs that have other work to do then.
        """
        try:
            means = self._look()
        except BarrackError as error:
            return f"the data that the caps need cannot be read: {error}"
        self._note(means)
        return "; ".join([*blind(self.caps, means), *against_balance(means)]) or None

    def within(
        self, decide: Decide, memory: Memory, known: Mapping[str, Proposed] | None = None
    ) -> Decide:
        """A decision without the steps that the caps forbid; as it is, if there are no caps.

        What is refused is noted in the memory as hopeless, so that it stays refused, whatever
        becomes of the others, and takes no turn from those that may still begin.

        Args:
            decide: the decision.
            memory: of the run.
            known: what restores of snapshots ask for, by the plan's keys: their steps do not tell.
        """
        if not self.caps:
            return decide

        def admitted(world: World, moment: datetime) -> Mapping[str, Next]:
            plan = decide(world, moment)
            self._known |= world.instances
            failed = [key for key in self._open if not _may_begin(key, memory)]
            self.settle(world.instances.values(), failed)
            asking = beginning(plan, world.instances, known or {})
            return {**plan, **self._held_back(asking, memory)} if asking else plan

        return admitted

    def _held_back(self, asking: Mapping[str, Proposed], memory: Memory) -> dict[str, Next]:
        """Those that are refused or must wait; the others may begin."""
        try:
            rulings = self.admit(asking)
        except _PASSING as error:
            return dict.fromkeys(
                asking, Wait(f"the data that the caps need cannot be read: {error}")
            )
        if rulings is None:
            return dict.fromkeys(asking, Wait("another run is asking the guard"))
        held_back: dict[str, Next] = {}
        for key, ruling in rulings.items():
            if against := ruling.unattended("approve"):
                why = f"refused by the caps: {'; '.join(against)}"
                memory.hopeless[key] = why
                held_back[key] = Finished("failed", why)
        return held_back

    def admit(
        self, asking: Mapping[str, Proposed], patience: timedelta = timedelta(0)
    ) -> dict[str, Ruling] | None:
        """What the caps say of each; what they allow is written down, and may begin at once.

        Args:
            asking: by any key, in the order in which they are judged.
            patience: so long the guard's turn is waited for.

        Returns:
            A ruling for each, empty if it may begin; None if another run has the turn.

        Raises:
            BarrackError: what the caps need cannot be read at this moment.
        """
        with self.judging(patience) as means:
            if means is None:
                return None
            rulings = admit(asking, self.caps, means, self._is_approved)
            allowed = {k: asking[k] for k, r in rulings.items() if not r.refused + r.to_approve}
            return rulings if self.let_begin(allowed, means) else None

    @contextmanager
    def judging(
        self, patience: timedelta = timedelta(0), also: Collection[str] = ()
    ) -> Iterator[Means | None]:
        """For the length of the block nobody else in the account is let begin anything.

        Gives what the account has, with all that was let begin and does not show yet; None if
        another run has the turn. Without caps there is nothing to wait for.

        Args:
            patience: so long the guard's turn is waited for.
            also: operations that are read besides; see `read_means`.
        """
        if not self.caps or self._dry_run:
            yield self._means(also)
            return
        until = self._now() + patience
        while not (taken := self._turn.take()) and self._now() < until:
            self._sleep(random.uniform(0.1, 0.5))
        if not taken:
            yield None
            return
        try:
            yield self._means(also)
        finally:
            self._turn.give_back()

    def let_begin(self, allowed: Mapping[str, Proposed], means: Means) -> bool:
        """Write down what may begin, in the block of `judging`; whether it may indeed.

        It may not if the turn was lost meanwhile, because the machine slept: others may have been
        let begin since.
        """
        if not allowed or not self.caps or self._dry_run:
            return True
        before = dict(self._open)
        # Others count it by the price that it was judged by; they may not know the tariff.
        self._open |= {k: replace(a, price=means.price_of(a)) for k, a in allowed.items()}
        self._write()
        if self._turn.is_mine:
            return True
        self._open = before
        self._write()
        return False

    def settle(self, instances: Iterable[UserVM] = (), failed: Iterable[str] = ()) -> None:
        """Take out what the lists show and what has surely failed; prolong what is left.

        Args:
            instances: as listed now.
            failed: by the keys under which they were let begin.
        """
        if not self._open:
            return
        listed, gone = tuple(instances), set(failed)
        left = {k: a for k, a in self._open.items() if k not in gone and not is_seen(a, listed)}
        if left != self._open or self._now() - self._written_at > _PROLONGED:
            self._open = left
            self._write()

    def _means(self, also: Collection[str]) -> Means:
        # What was written down first: what is taken out of it meanwhile shows in the lists then.
        begun = [*self._begun_by_others(), *self._open.values()] if self.caps else []
        return self._look(also).with_unseen(begun)

    def _look(self, also: Collection[str] = ()) -> Means:
        if self._spent and self._now() - self._spent[0] > _BILLS_AGE:
            self._spent = None
        spent = self._spent[1] if self._spent else None
        means = self._read(self._credentials, self.caps, also=also, spent=spent, known=self._known)
        if means.instances:
            self._known = {i.id: i for i in means.instances}
        if spent is None and means.spent_today is not None:
            self._spent = self._now(), (means.spent_today, means.hours_left_today)
        return means

    def _begun_by_others(self) -> list[Proposed]:
        """What other runs have been let begin; records that nobody needs any more are deleted."""
        with self._store() as records:
            all_of_them = records.stamped()
            if not self._dry_run and any(self._is_of_another(n, s) for n, s in all_of_them.items()):
                # What this run writes now tells the time of the server, which stamps all of them.
                self._write()
                all_of_them = records.stamped()
            now = max((s.written for s in all_of_them.values()), default=_NEVER)
            found: list[Proposed] = []
            useless: list[str] = []
            for name, stamped in all_of_them.items():
                if self._run in name or not _is_record(stamped.value):
                    continue
                is_open = self._is_of_another(name, stamped)
                if is_open and now - stamped.written <= BEGUN_COUNTS_FOR:
                    found += [_read(written) for written in stamped.value["begun"]]
                else:
                    useless.append(name)
            for name in useless[:_SWEPT_AT_ONCE] if not self._dry_run else ():
                records.drop(name)
        return found

    def _is_of_another(self, name: str, stamped: Stamped) -> bool:
        """Whether a record says what another run has been let begin."""
        return self._run not in name and _is_record(stamped.value) and bool(stamped.value["begun"])

    def _write(self) -> None:
        self._written_at = self._now()
        at = int(self._written_at.timestamp())
        # `at` is what releases before this one judge by.
        parts = _in_parts([_written(asked) for asked in self._open.values()])
        # What is not needed any more is emptied and not deleted: the next run deletes it.
        parts += [[] for _ in range(self._parts - len(parts))]
        with self._store() as records:
            for number, part in enumerate(parts):
                records.put(f"{self._run}_{number}", {"at": at, "begun": part})
        self._parts = len(parts)


def unjudged(means: Means) -> str:
    """What could not be judged, in a sentence for reports: a balance that cannot be read."""
    why = means.unread.get("get_credit_balance")
    if why is None:
        return ""
    return (
        f"The balance cannot be read (get_credit_balance: {why.rstrip('.')}); where no cap needs "
        "it, the API judges whether it suffices."
    )


def _may_begin(key: str, memory: Memory) -> bool:
    """Whether a request is under way, has succeeded, or may have taken effect."""
    return key in memory.woken or memory.may_have_made(key)


def _written(asked: Proposed) -> list[Any]:
    price = None if asked.price is None else str(asked.price)
    return [asked.name, asked.gpu_count, price, int(asked.comes_back)]


def _read(written: list[Any]) -> Proposed:
    name, gpu_count, price, comes_back = written
    hourly = None if price is None else Decimal(price)
    return Proposed(name, None, gpu_count, "?", bool(comes_back), hourly)


def _is_record(record: Any) -> bool:
    return isinstance(record, dict) and record.keys() == {"at", "begun"}


def _in_parts(written: list[list[Any]]) -> list[list[list[Any]]]:
    """What is written down, so that each part fits into one record."""
    parts: list[list[list[Any]]] = [[]]
    size = 0
    for one in written:
        cost = len(json.dumps(one)) + 2
        if size + cost > MOST_CHARACTERS - 100:
            parts.append([])
            size = 0
        parts[-1].append(one)
        size += cost
    return parts


def asked_of(one: Restoring) -> Proposed:
    """What a restore of a snapshot asks for, as far as it is known."""
    model, gpu_count = one.hardware or (None, 1)
    before = one.source.hourly_price if one.source else None
    return Proposed(one.name, model, gpu_count, one.region or "?", before=before)


def work_within_caps(
    account: BarrackCredentials,
    hold: Hold,
    all_of_them: Iterable[Restoring],
    caps: Caps | Mapping[str, Any] | None,
    targets: tuple[Target, ...],
    memory: Memory,
    look: Callable[[], World],
    decide: Decide,
    timeout: timedelta,
    log: Log,
) -> tuple[World, Mapping[str, Next]]:
    """`work` on restores of snapshots, each let begin by the caps when its request would go out.

    What a person approved before needs no approval now, as long as it costs the same.
    """
    restores = list(all_of_them)
    approved = {(one.key, one.hourly_price) for one in restores if one.to_approve}
    known = {one.key: asked_of(one) for one in restores}
    admission = Admission(account, caps, is_approved=lambda *one: one in approved)
    return work(
        account,
        hold,
        targets,
        memory,
        look=look,
        decide=admission.within(decide, memory, known),
        on_done={},
        protected=frozenset(),
        timeout=timeout,
        log=log,
    )
