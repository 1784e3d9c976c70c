"""Watching the GPU stock and claiming of it: one request a look, and a claim in the same breath."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from barrack_tasks.api import (
    BarrackAuthenticationError,
    BarrackConflictError,
    BarrackError,
    BarrackInsufficientCreditsError,
    BarrackNotFoundError,
    BarrackNotPermittedError,
    BarrackOutOfStockError,
    BarrackQuotaError,
    BarrackValidationError,
)
from barrack_tasks.api.models import UserVM, VMStatus
from barrack_tasks.controllers.admission import Admission, read_means
from barrack_tasks.controllers.stock.claimed import ClaimsToTell, OwnLedger
from barrack_tasks.controllers.stock.sources import with_image, with_snapshots
from barrack_tasks.plans import lease_keys
from barrack_tasks.plans.alerts import without_ids
from barrack_tasks.plans.money.burn import Tariff, tariff_of
from barrack_tasks.plans.money.caps import Caps, Means, objections, rulings
from barrack_tasks.plans.protection import is_protected
from barrack_tasks.plans.steps import Reason, Step
from barrack_tasks.plans.stock.announcing import Claimed, standing
from barrack_tasks.plans.stock.claims import (
    Against,
    Attempt,
    Choice,
    Claims,
    Refusal,
    Shunned,
    choose,
    claim_of,
    in_error,
    is_met,
    shunned,
)
from barrack_tasks.plans.stock.edges import Edge, PlaceSeen, advance
from barrack_tasks.plans.stock.sources import check_place, source_of
from barrack_tasks.plans.stock.wants import (
    Place,
    Want,
    by_priority,
    check_wants,
    place_of,
    places_of,
    why_not_ended,
)
from barrack_tasks.plans.world import stock_of
from barrack_tasks.runtime.observe import unable_of
from barrack_tasks.server.credentials import BarrackCredentials
from barrack_tasks.tasks.base import barrack_task

Log = logging.Logger | logging.LoggerAdapter[Any]
Guarded = Callable[..., BarrackCredentials]
_FRESH = timedelta(seconds=60)
"""So old may be what is known of the account when stock appears, where there are no caps."""
_PATIENCE = timedelta(seconds=10)
"""So long a claim waits for its turn at the guard: stock does not wait much longer."""
_LISTED = ("list_instances", "get_pricing")
_STAYS_REFUSED = (
    BarrackAuthenticationError,
    BarrackConflictError,
    BarrackInsufficientCreditsError,
    BarrackNotFoundError,
    BarrackQuotaError,
    BarrackValidationError,
)
"""What the API says again if it is asked for the same at once."""
_FORGET_OTHERS = timedelta(minutes=2)


@dataclass
class StockLook:
    """What one look at the stock brought."""

    places: Mapping[Place, int]
    edges: Sequence[Edge] = ()
    moved: bool = False
    claimed: list[tuple[Claimed, UserVM]] = field(default_factory=list)
    """What was claimed and is up, and is this run's to announce."""
    lost: list[Claimed] = field(default_factory=list)
    """What was claimed and never came up."""


class StockWatcher:
    """Looks at the stock and claims what is wanted.

    Claims are exact because names are unique in an account (documented): each instance of a want
    has a name that is always the same, so whoever asks second is refused. `reserve` decides
    beforehand which of several watchers asks for it, so that an answer that was lost belongs to
    who asked.

    Args:
        credentials: the account.
        wants: the best first.
        caps: what may be spent; besides the account's own.
        seen: what is remembered of the stock.
        reserve: reserves keys with the names that they are for; gives those that another run
            holds. What is not reserved is not asked for.
        ledger: of what was claimed and is not announced yet; this watcher's own, if not given.
        guarded: the account for a request that may be sent only while keys are held; see
            `Hold.guarded`.
        must_hibernate: what is made is to be hibernated later; what cannot be is not claimed.
        shunned: places that were refused lately, and are left alone for a while.
        now: the clock.
        log: of the run.
    """

    def __init__(
        self,
        credentials: BarrackCredentials,
        wants: Sequence[Want],
        caps: Caps | Mapping[str, Any] | None,
        now: Callable[[], datetime],
        log: Log,
        seen: Mapping[Place, PlaceSeen] | None = None,
        reserve: Callable[[dict[str, str]], Mapping[str, str]] = lambda _: {},
        ledger: ClaimsToTell | None = None,
        must_hibernate: bool = False,
        guarded: Guarded = lambda account, *_: account,
        shunned: Iterable[Shunned] = (),
    ) -> None:
        self._credentials = credentials
        self._client = credentials.get_client()
        self.wants = tuple(wants)
        self._given = caps
        self._admission = Admission(credentials, caps, now=now)
        self._caps = self._admission.caps
        self._now = now
        self._log = log
        self._reserve = reserve
        self._ledger = ledger or OwnLedger()
        self._must_hibernate = must_hibernate
        self._guarded = guarded
        self._unable: frozenset[tuple[str, int]] = frozenset()
        self._granted: set[str] = set()
        self._failed: list[str] = []
        # Others watch other places: what this one does not look at must not count as empty.
        self.seen = {p: s for p, s in (seen or {}).items() if self._is_wanted(p)}
        self.shunned = {(one.claim, one.place): one for one in shunned}
        self.claims = Claims()
        self._others: dict[str, datetime] = {}
        self._tariff = Tariff()
        self._snapshots: Mapping[str, Place] = {}
        self._currency = ""
        self._read_at: datetime | None = None
        self.instances: tuple[UserVM, ...] = ()

    def open(self) -> None:
        """Read what there is to be had, and refuse wants that can never be met.

        Raises:
            ValueError: a model, count, region, instance or snapshot does not exist, or nothing can
                ever be had at the price.
            BarrackError: the account cannot be read.
        """
        client = self._client
        self.wants = tuple(with_image(client, want) for want in self.wants)
        with ThreadPoolExecutor(3) as pool:
            # What an API does not have, its stock tells as far as it can.
            has = client.dialect.operations
            specs = pool.submit(client.gpu_specs.list if "get_gpu_specs" in has else list)
            regions = pool.submit(client.regions.list if "list_regions" in has else list)
            prices = pool.submit(client.pricing.list if "get_pricing" in has else list)
            stock = pool.submit(
                list if {"get_gpu_specs", "list_regions"} <= has.keys() else client.gpu_stocks.list
            )
        self._tariff = tariff_of(prices.result())
        offered: dict[str, list[int]] = {}
        told = [(str(s.gpu_model), [int(c.gpu_count) for c in s.specs]) for s in specs.result()]
        if "get_gpu_specs" not in has:
            of_stock = stock.result()
            told = [
                (str(s.gpu_model), [int(c.gpu_count) for c in s.configurations]) for s in of_stock
            ]
        for model, counts in told:
            known = offered.setdefault(model, [])
            known += [count for count in counts if count not in known]
        places = [str(region.name) for region in regions.result()]
        if "list_regions" not in has:
            places = list(dict.fromkeys(str(item.region) for item in stock.result()))
        if self._must_hibernate:
            self._unable = unable_of(specs.result())
        self._refresh()
        if self._read_at is None:
            # What the wants name must be known, and nothing else will do.
            self.instances = tuple(client.instances.list())
        # An instance that costs more than the whole account may burn can never begin either.
        limits = [c for caps in self._caps for c in (caps.hourly_price, caps.burn) if c is not None]
        check_wants(
            self.wants,
            offered,
            places,
            self._tariff,
            self._currency,
            min(limits, default=None),
            self._caps,
            self._unable,
        )
        self._open_sources()
        self._reserve_names()

    def _open_sources(self) -> None:
        """Find what the claims bring back, and refuse what can never be brought back."""
        self.wants, self._snapshots = with_snapshots(self._credentials, self.wants, self.instances)
        for want in self.wants:
            claim = want.claim
            if claim is None or claim.how == "deploy":
                continue
            source = source_of(want, self.instances)
            if claim.how == "restore" and source is None:
                raise ValueError(
                    f"the claim is to restore {claim.instance!r}, but no instance has that name"
                )
            if source is not None and is_protected(
                self._credentials.protect, source.id, source.name
            ):
                raise ValueError(f"{source.name} is protected, so it is not restored")
            what = source.name if source else f"the snapshot {claim.snapshot_id}"
            place = place_of(source) if source else self._snapshots[claim.snapshot_id or ""]
            price = source.hourly_price if source else None
            price = self.price_of(place) if price is None else price
            unable = frozenset() if source else self._unable
            check_place(want, what, place, price, self._currency, self._caps, unable)

    def look(self) -> StockLook:
        """Look once, claim what is there, and say what moved.

        Raises:
            BarrackError: the stock cannot be read.
        """
        places = self.stock()
        # Claims first: everything else can wait, stock cannot.
        self._claim(places)
        before = {place: seen.count for place, seen in self.seen.items()}
        self.seen, edges = advance(self.seen, places, self._now())
        moved = any(before.get(p, 0) != s.count for p, s in self.seen.items())
        claimed, lost = self._came_up()
        return StockLook(places, edges, moved or bool(claimed), claimed, lost)

    def stock(self) -> dict[Place, int]:
        """How many instances of what is wanted can be deployed, the best first. One request."""
        return by_priority(places_of(stock_of(self._client.gpu_stocks.list())), self.wants)

    def is_done(self) -> bool:
        """Whether every want with a claim is met, and what this watcher claimed is up."""
        claiming = [w for w in self.wants if w.claim is not None]
        waiting = set(self.claims.made) - self.claims.told
        return bool(claiming) and not waiting and all(map(self._is_met, claiming))

    @property
    def broken(self) -> set[str]:
        """Names of the instances that are in ERROR."""
        return {i.name for i in self.instances if i.status is VMStatus.ERROR}

    def is_stuck(self) -> bool:
        """Whether nothing more can be claimed before a person acts: what has the name is broken."""
        unmet = [want for want in self.wants if want.claim is not None and not self._is_met(want)]
        waiting = self.claims.made.keys() - self.claims.told
        return bool(unmet) and not waiting and all(self.broken & {*w.names} for w in unmet)

    def _is_met(self, want: Want) -> bool:
        names = {i.name for i in self.instances}
        fresh = [name for name in self.claims.made if name not in names]
        mine = [UserVM(id=name, name=name, status=VMStatus.ACTIVE) for name in fresh]
        return is_met(want, [*self.instances, *mine], self.wants)

    def _is_wanted(self, place: Place) -> bool:
        return any(option.fits(place) for want in self.wants for option in want.options)

    def price_of(self, place: Place, tier: str | None = None) -> Decimal | None:
        """What a configuration costs an hour in a tier; in the dearest, if none is named."""
        return self._tariff.of(place.gpu_model, place.gpu_count, place.region, tier)

    def _claim(self, places: Mapping[Place, int]) -> None:
        self.claims.missed = {}
        if not any(want.claim for want in self.wants) or not any(places.values()):
            return
        now = self._now()
        self._others = {n: at for n, at in self._others.items() if now - at < _FORGET_OTHERS}
        names = {name for want in self.wants for name in self._names_of(want)}
        self.claims.elsewhere = set(self._others) | (names - self._granted)
        self.claims.asked = set()
        wanted = self._choose(places, lambda _, __: None).attempts
        if not wanted:
            return
        if not self._caps and (self._read_at is None or now - self._read_at > _FRESH):
            self._refresh()
        # What is out of stock or refused at one place is tried at the next best at once.
        left = dict(places)
        while attempts := self._allowed(left):
            try:
                self._note_first(attempts)
            except Exception as error:  # noqa: BLE001 - what is not noted might never end
                self._log.error("claims cannot be recorded, so none is requested: %s", error)
                self._miss(
                    attempts, "unnoted", "the claim cannot be recorded on the Prefect server"
                )
                return
            with ThreadPoolExecutor(len(attempts)) as pool:
                again = [a for a in pool.map(self._ask, attempts) if a is not None]
            self._read_at = None  # what is there is not known any more
            self._admission.settle(failed=self._failed)
            self._failed.clear()
            self.claims.asked |= {a.step.subject for a in attempts if a not in again}
            if not again:
                return
            left.update({a.place: 0 for a in again if self._shunned(a) is None})

    def _choose(self, places: Mapping[Place, int], against: Against) -> Choice:
        choice = choose(
            self.wants,
            places,
            self.instances,
            self.price_of,
            self.claims,
            self._snapshots,
            against,
        )
        self.claims.missed |= choice.missed
        return choice

    def _miss(self, attempts: Iterable[Attempt], code: str, why: str) -> None:
        said = Refusal(code, f"in stock, but not asked for: {why}")
        self.claims.missed |= {a.step.subject: said for a in attempts}

    def _allowed(self, places: Mapping[Place, int]) -> list[Attempt]:
        """What the guard lets begin of what is there; what it refuses is noted."""
        if not self._caps:
            return self._chosen(places, None)
        try:
            with self._admission.judging(_PATIENCE, also=_LISTED) as means:
                if means is None:
                    self._log.info("nothing is claimed now: another run is asking the guard")
                    wanted = self._choose(places, lambda _, __: None).attempts
                    self._miss(wanted, "guard-busy", "another run is asking the guard")
                    return []
                self._learn(means)
                attempts = self._chosen(places, means)
                asked = {a.step.subject: a.asked for a in attempts}
                begun = self._admission.let_begin(asked, means)
                return attempts if begun else []
        except BarrackError as error:
            return self._chosen(places, str(error))

    def _chosen(self, places: Mapping[Place, int], means: Means | str | None) -> list[Attempt]:
        choice = self._choose(places, self._against(means))
        for name, (attempt, refusal) in choice.refused.items():
            if self.claims.refused.get(name) != refusal:
                self._log.warning(
                    "%s: %s is there and not claimed: %s", name, attempt.place, refusal.why
                )
            self.claims.refused[name] = refusal
        for attempt in choice.attempts:
            self.claims.refused.pop(attempt.step.subject, None)
        return choice.attempts

    def _against(self, means: Means | str | None) -> Against:
        """Why an attempt will not do.

        Args:
            means: what the account has; or why that cannot be read, and then nothing begins; None
                where there are no caps.
        """

        def against(attempt: Attempt, before: Sequence[Attempt]) -> Refusal | None:
            if (shunned := self._shunned(attempt)) is not None:
                return shunned.refusal
            if self.wants[attempt.want].is_made and (
                why := why_not_ended(attempt.place, self._unable)
            ):
                return Refusal("cannot-hibernate", why, Reason.NOT_ALLOWED)
            if means is None:
                return None
            if isinstance(means, str):
                return Refusal("unread", f"it cannot be judged: {means}", Reason.NOT_ALLOWED)
            counted = means
            for one in before:
                counted = counted.with_begun(one.asked)
            why = "; ".join(rulings(self._caps, attempt.asked, counted).unattended("deploy"))
            if not why:
                return None
            code = ", ".join(objections(self._caps, attempt.asked, counted))
            return Refusal(code, why, Reason.NOT_ALLOWED)

        return against

    def _shunned(self, attempt: Attempt) -> Shunned | None:
        """The refusal for which a place is left alone; None if it may be asked for."""
        claim = claim_of(self.wants[attempt.want])
        found = (self.shunned.get((claim, place)) for place in (attempt.place, None))
        return next((one for one in found if one is not None and self._now() < one.until), None)

    def _note_first(self, attempts: Sequence[Attempt]) -> None:
        """Note what is about to be asked for: this run may not live to see what comes of it."""
        asked = self._client.now()
        back = [a for a in attempts if a.step.operation == "restore_instance"]
        ids = {a.step.subject: a.step.instance_id for a in back}
        self._ledger.asking([a.making(asked) for a in attempts], ids, self._now())

    def _ask(self, attempt: Attempt) -> Attempt | None:
        """Ask for it; gives it back if it was out of stock or refused at that place."""
        name = attempt.step.subject
        try:
            made = claim(self._guarded(self._credentials, *keys_of(attempt)), attempt.step)
        except BarrackError as error:
            return self._failed_with(attempt, error)
        self._ledger.add(made, name, self._now())
        self.claims.made[name] = (attempt.want, made)
        self._log.info("%s: claimed %s", name, attempt.place)
        return None

    def _failed_with(self, attempt: Attempt, error: BarrackError) -> Attempt | None:
        """Note what came of an error; gives the attempt back if another place may do."""
        name, is_sure = attempt.step.subject, error.took_effect is False
        if is_sure:
            # Only what surely made nothing is forgotten, counted out, or asked for elsewhere.
            self._ledger.refused(name)
            self._failed.append(name)
        if isinstance(error, BarrackNotPermittedError):
            # The lease was lost: the name is reserved anew before it is asked for again.
            self._granted.discard(name)
        if isinstance(error, BarrackOutOfStockError) and is_sure:
            gone = f"{attempt.place} was gone before it could be claimed"
            self._log.info("%s: %s", name, gone)
            self.claims.missed[name] = Refusal("gone", gone, Reason.OUT_OF_STOCK)
            return attempt
        if isinstance(error, BarrackConflictError) and is_sure and error.is_name_taken:
            self._log.info("%s: somebody else has it: %s", name, error)
            self._others[name] = self._now()
            self.claims.elsewhere.add(name)
            return None
        told = (type(error).__name__, without_ids(error.reason or ""), *sorted(error.fields))
        code = " ".join(filter(None, told))
        self.claims.refused[name] = Refusal(code, str(error))
        self._log.warning("%s: %s could not be claimed: %s", name, attempt.place, error)
        if is_sure and isinstance(error, _STAYS_REFUSED):
            claim = claim_of(self.wants[attempt.want])
            place = None if isinstance(error, BarrackAuthenticationError) else attempt.place
            self.shunned[(claim, place)] = shunned(claim, place, str(error), code, self._now())
            return attempt
        return None

    def _came_up(self) -> tuple[list[tuple[Claimed, UserVM]], list[Claimed]]:
        """What was claimed, by whichever run, and has come up or never will."""
        waiting = self._ledger.waiting()
        if not waiting and not set(self.claims.made) - self.claims.told:
            return [], []
        try:
            self.instances = tuple(self._client.instances.list())
        except BarrackError as error:
            self._log.warning("the instances cannot be read, and the run tries again: %s", error)
            return [], []
        self._admission.settle(self.instances)
        waiting = [
            one if one.id else self._ledger.with_id(one, self.instances, self._client.now())
            for one in waiting
        ]
        waiting = [one for one in waiting if one.id]
        for one in waiting:
            self.claims.refused.pop(one.name, None)  # it was made all the same
        there = {i.id: i for i in self.instances}
        self.claims.told |= {
            name
            for name, (_, id_) in self.claims.made.items()
            if id_ in there and there[id_].has_come_up
        }
        for name in self.broken & self.claims.made.keys():
            self._log.error("%s: %s", name, in_error(name).why)
            self.claims.refused[name] = in_error(name)
            del self.claims.made[name]
        now = self._now()
        stands = {one: standing(one, there.get(one.id), now) for one in waiting}
        over = [one for one in waiting if stands[one] != "waiting" and self._ledger.take(one)]
        up = [(one, there[one.id]) for one in over if stands[one] == "up"]
        return up, [one for one in over if stands[one] == "lost"]

    def _refresh(self) -> None:
        try:
            self._learn(read_means(self._credentials, (), _LISTED))
        except BarrackError as error:
            self._log.warning("the account cannot be read: %s", error)

    def _learn(self, means: Means) -> None:
        if "list_instances" not in means.unread:
            self.instances, self._read_at = means.instances, self._now()
        if "get_pricing" not in means.unread:
            # Prices change within a long watch, and limits are judged by those of now.
            self._tariff = means.tariff
        self._currency = means.currency or self._currency

    def prepare(self) -> None:
        """Do beforehand what would take time when stock is there."""
        waits = any(w.claim and not self._is_met(w) for w in self.wants)
        old = self._read_at is None or self._now() - self._read_at > _FRESH / 2
        if waits and old:
            self._refresh()
        if waits:
            self._reserve_names()

    def would_claim(self, places: Mapping[Place, int]) -> dict[str, str]:
        """What would be claimed now, or why not, by name. Changes nothing."""
        admission = Admission(self._credentials, self._given, dry_run=True, now=self._now)
        with admission.judging(also=_LISTED) as means:
            choice = self._choose(places, self._against(means))
        return {
            **{a.step.subject: str(a.place) for a in choice.attempts},
            **{n: f"{a.place}; refused: {no.why}" for n, (a, no) in choice.refused.items()},
        }

    def _reserve_names(self) -> None:
        """Reserve each name, and with it what is brought back or restored under it.

        What is held already costs nothing, and what was lost meanwhile is held again.
        """
        keys: dict[str, list[str]] = {}
        for want in self.wants:
            source = source_of(want, self.instances)
            claim = want.claim
            for name in self._names_of(want):
                keys[name] = [lease_keys.claim(name), *([source.id] if source else [])]
                if claim is not None and claim.how == "snapshot":
                    keys[name].append(lease_keys.snapshot(claim.snapshot_id or "", shared=True))
        wanted = {key: name for name, own in keys.items() for key in own}
        refused = self._reserve(wanted) if wanted else {}
        self._granted = {name for name, own in keys.items() if not refused.keys() & set(own)}

    def _names_of(self, want: Want) -> Sequence[str]:
        source = source_of(want, self.instances)
        return want.names if source is None else (source.name,)


def keys_of(attempt: Attempt) -> tuple[str, ...]:
    """What must be held for an attempt: its name, and what it brings back or restores."""
    step = attempt.step
    own = lease_keys.claim(step.subject)
    match step.operation:
        case "restore_instance":
            return own, step.instance_id
        case "restore_snapshot":
            return own, lease_keys.snapshot(step.arguments["snapshot_id"], shared=True)
        case _:
            return (own,)


@barrack_task("claim {step.subject}")
def claim(credentials: BarrackCredentials, step: Step) -> str:
    """Send the request that claims something; the instance's id."""
    made: Any = credentials.get_client().perform(step.operation, **step.arguments)
    return str(made.id)
