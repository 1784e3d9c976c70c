"""The pre-flight guard: whether something that costs money may begin."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Self

from pydantic import Field, model_validator

from barrack_tasks.api.models import Balance, UserVM, VMStatus
from barrack_tasks.api.models.minimums import MINIMUM_BALANCE
from barrack_tasks.plans.durations import PositiveSpan, said
from barrack_tasks.plans.inputs import Amount, Given, Texts
from barrack_tasks.plans.money.burn import Tariff
from barrack_tasks.plans.report import money
from barrack_tasks.plans.steps import Next, Step

_RAISES_BURN = ("restore_instance", "create_instance", "restore_snapshot")
"""To start what is SHUTOFF raises nothing: it is paid in full, and has its GPUs, already."""
_PRICE = ("get_credit_balance",)
"""What a price is judged by, besides itself: amounts are in the currency of the balance."""
_BURN = ("list_instances", "list_volumes", "list_snapshots", "get_credit_balance")
_NEEDS: Mapping[str, tuple[str, ...]] = {
    "hourly_price": _PRICE,
    "approve_over": _PRICE,
    "burn": _BURN,
    "gpus": ("list_instances",),
    "instances": ("list_instances",),
    "regions": (),
    "gpu_models": (),
    "lasts": _BURN,
    "daily_budget": _BURN,
}
"""The operations without which a cap cannot be judged."""
_PRICED = tuple(cap for cap, needed in _NEEDS.items() if "get_credit_balance" in needed)
_NEEDS_HARDWARE = ("gpus", "gpu_models", *_PRICED)


class Caps(Given):
    """What may be spent at most. What is not given is not limited.

    Amounts are in the account's currency, an hour where nothing else is said.

    Attributes:
        hourly_price: of one new instance.
        approve_over: price of one new instance above which a person must approve.
        burn: of the whole account, once the new instance runs.
        gpus: of the whole account, once the new instance runs.
        instances: of the whole account, once the new instance is there.
        regions: names or globs of regions that are allowed.
        gpu_models: names or globs of GPU models that are allowed.
        lasts: how long the balance must last at the new burn.
        daily_budget: what a day may cost; the new instance counts until midnight UTC.

    Example:
        >>> Caps(hourly_price=12, burn=60, regions=["CANADA-*"], lasts="24h")
    """

    hourly_price: Amount | None = None
    approve_over: Amount | None = None
    burn: Amount | None = None
    gpus: int | None = Field(default=None, ge=0)
    instances: int | None = Field(default=None, ge=0)
    regions: Texts | None = None
    gpu_models: Texts | None = None
    lasts: PositiveSpan | None = None
    daily_budget: Amount | None = None

    @model_validator(mode="after")
    def _allow_something(self) -> Self:
        for name in ("regions", "gpu_models"):
            if getattr(self, name) == ():
                raise ValueError(f"{name} is empty and would allow nothing; leave it out instead")
        if (
            self.approve_over is not None
            and self.hourly_price is not None
            and self.approve_over >= self.hourly_price
        ):
            raise ValueError(
                f"approve_over is {self.approve_over}, and above hourly_price "
                f"{self.hourly_price} everything is refused: it must be lower"
            )
        return self


@dataclass(frozen=True)
class Proposed:
    """One instance that is to begin.

    Attributes:
        name: of the instance, unique in its account.
        gpu_model: None if nothing tells which GPUs it needs.
        gpu_count: how many GPUs.
        region: where.
        comes_back: whether it exists already, and hibernates.
        price: what it costs an hour; None if only the tariff can tell.
        before: what it cost an hour when it was last seen, which counts if the tariff is silent.
    """

    name: str
    gpu_model: str | None
    gpu_count: int
    region: str
    comes_back: bool = False
    price: Decimal | None = None
    before: Decimal | None = None


@dataclass(frozen=True)
class Means:
    """What the account has and spends, as far as the caps need it."""

    balance: Balance | None
    burn: Decimal
    instances: tuple[UserVM, ...]
    spent_today: Decimal | None = None
    hours_left_today: Decimal = Decimal(24)
    tariff: Tariff = field(default_factory=Tariff)
    """Prices of what does not exist yet."""

    unknown: tuple[str, ...] = ()
    """What has a price that is not known, and so is missing from the burn."""

    unread: Mapping[str, str] = field(default_factory=dict)
    """Operations that could not be read, and why."""

    begun: Mapping[str, Proposed] = field(default_factory=dict)
    """What was let begin and is counted in, though the lists do not show it, by name."""

    @property
    def currency(self) -> str:
        """The account's currency; empty if it is not known."""
        return str(self.balance.currency) if self.balance else ""

    def price_of(self, asked: Proposed) -> Decimal | None:
        """What an instance costs an hour; None if that is not known."""
        if asked.price is not None or asked.gpu_model is None:
            return asked.price
        listed = self.tariff.of(asked.gpu_model, asked.gpu_count, asked.region)
        return asked.before if listed is None else listed

    def with_begun(self, asked: Proposed) -> Means:
        """The means once what was asked for is up, so that the next is judged with it."""
        others = self.without(asked)
        price = self.price_of(asked)
        unknown = () if price is not None else (_called(asked),)
        return replace(
            others,
            burn=others.burn + (price or 0),
            unknown=(*others.unknown, *unknown),
            begun={**others.begun, asked.name: asked},
        )

    def without(self, asked: Proposed) -> Means:
        """The means without what was let begin under the same name: it is judged anew."""
        before = self.begun.get(asked.name)
        if before is None:
            return self
        return replace(
            self,
            burn=self.burn - (self.price_of(before) or 0),
            unknown=tuple(u for u in self.unknown if u != _called(before)),
            begun={name: one for name, one in self.begun.items() if name != asked.name},
        )

    def with_unseen(self, begun: Iterable[Proposed]) -> Means:
        """The means with what was let begin and does not show in the lists yet."""
        means = self
        for asked in begun:
            if not is_seen(asked, self.instances):
                means = means.with_begun(asked)
        return means


def _called(asked: Proposed) -> str:
    return f"instance {asked.name}"


def is_seen(asked: Proposed, instances: Iterable[UserVM]) -> bool:
    """Whether the lists show that what was asked for has begun."""
    rests = (VMStatus.HIBERNATED, VMStatus.DELETED)
    return any(i.name == asked.name and i.status not in rests for i in instances)


@dataclass(frozen=True)
class Ruling:
    """Why it is refused, and what a person must approve. Both empty: it may begin."""

    refused: tuple[str, ...] = ()
    to_approve: tuple[str, ...] = ()

    def unattended(self, act: str) -> tuple[str, ...]:
        """All that stands against it where nobody can be asked; `act` is what a person must do."""
        return (*self.refused, *(f"{t}; a person must {act} it" for t in self.to_approve))


def readings(caps: Iterable[Caps]) -> frozenset[str]:
    """The operations that must be read to judge some caps, and no others."""
    given = {cap for one in caps for cap in _given(one)}
    needed = {operation for cap in given for operation in _NEEDS[cap]}
    return frozenset(needed | ({"get_pricing"} if given.intersection(_PRICED) else set()))


def needs_price(caps: Iterable[Caps]) -> bool:
    """Whether some caps cannot be judged without the price of what is asked for."""
    return any(cap in _PRICED for one in caps for cap in _given(one))


def rulings(caps: Sequence[Caps], asked: Proposed, means: Means) -> Ruling:
    """What all caps together say, each reason once."""
    found = [rule(asked, one, means) for one in (caps or [Caps()])]
    return Ruling(
        tuple(dict.fromkeys(reason for one in found for reason in one.refused)),
        tuple(dict.fromkeys(reason for one in found for reason in one.to_approve)),
    )


def admit(
    asking: Mapping[str, Proposed],
    caps: Sequence[Caps],
    means: Means,
    is_approved: Callable[[str, Decimal | None], bool] = lambda *_: False,
) -> dict[str, Ruling]:
    """What the caps say of each, one after the other: what may begin counts for the next.

    Args:
        asking: by any key, in the order in which they are judged.
        caps: all that count.
        means: what the account has, with all that was let begin before.
        is_approved: whether a person has approved one, by its key, at what it costs an hour now.
    """
    found = {}
    for key, asked in asking.items():
        ruling = rulings(caps, asked, means)
        if ruling.to_approve and is_approved(key, means.price_of(asked)):
            ruling = replace(ruling, to_approve=())
        if not ruling.refused and not ruling.to_approve:
            means = means.with_begun(asked)
        found[key] = ruling
    return found


def rule(asked: Proposed, caps: Caps, means: Means) -> Ruling:
    """Whether an instance may begin, every reason against it at once, with the numbers.

    Each cap is judged by what it needs, and by nothing else: one whose figures cannot be read
    refuses, and the others are judged all the same.

    Args:
        asked: the instance.
        caps: what is allowed.
        means: what the account has.
    """
    means = means.without(asked)
    price = means.price_of(asked)
    refused = [*against_balance(means), *blind([caps], means)]
    blinded = {cap for cap in _given(caps) if any(o in means.unread for o in _NEEDS[cap])}
    if asked.gpu_model is None and price is None:
        vague = [cap for cap in _given(caps) if cap in _NEEDS_HARDWARE]
        if vague:
            refused.append(
                f"nothing tells which GPU it needs, so the {_named(vague)} cannot be judged"
            )
        blinded |= set(vague)
    elif price is None and (unpriced := [cap for cap in _given(caps) if cap in _PRICED]):
        why = means.unread.get("get_pricing")
        refused.append(
            f"its price cannot be read{f' ({why})' if why else ''}, and the "
            f"{_named(unpriced)} {_need(unpriced)} it"
        )
        blinded |= set(unpriced)
    left = caps.model_copy(update=dict.fromkeys(blinded))
    refused += _of_price(price or Decimal(0), left, means)
    refused += _of_counts(asked, left, means)
    refused += against_place(asked.region, asked.gpu_model or "?", left)
    to_approve: tuple[str, ...] = ()
    if left.approve_over is not None and price is not None and price > left.approve_over:
        to_approve = (
            f"{asked.gpu_count}x {asked.gpu_model} in {asked.region} as {asked.name!r} costs "
            f"{money(price, means.currency)} an hour, "
            f"above {money(left.approve_over, means.currency)}",
        )
    return Ruling(tuple(refused), to_approve)


def objections(caps: Iterable[Caps], asked: Proposed, means: Means) -> tuple[str, ...]:
    """The names of the caps that stand against an instance; `balance` if that does.

    One that cannot be judged has a question mark. Programs compare these, and no sentences.
    """
    found = ["balance"] if list(against_balance(means)) else []
    judged = means if not found else replace(means, balance=None)
    for one in caps:
        for cap in _given(one):
            alone = Caps.model_construct(**{cap: getattr(one, cap)})
            ruling = rule(asked, alone, judged)
            if ruling.refused or ruling.to_approve:
                is_blind = any(o in means.unread for o in _NEEDS[cap])
                found.append(f"{cap}?" if is_blind else cap)
    return tuple(sorted(set(found)))


def against_balance(means: Means) -> Iterable[str]:
    """Why nothing may begin on this balance. One that is not known is left to the API to judge."""
    if means.balance is None:
        return
    least = MINIMUM_BALANCE.get(means.balance.currency)
    if least is None:
        yield f"the least balance in {means.currency} is not known"
    elif means.balance.amount < least:
        yield (
            f"the balance is {money(means.balance.amount, means.currency)}, and "
            f"{money(least, means.currency)} needed"
        )


def blind(caps: Sequence[Caps], means: Means) -> Iterable[str]:
    """Which operations that some caps need could not be read, and which caps those are."""
    given = list(dict.fromkeys(cap for one in caps for cap in _given(one)))
    for operation, why in means.unread.items():
        needing = [cap for cap in given if operation in _NEEDS[cap]]
        if needing:
            yield (
                f"it cannot be judged: {operation} cannot be read, and the {_named(needing)} "
                f"{_need(needing)} it ({why})"
            )


def _given(caps: Caps) -> list[str]:
    return [cap for cap in _NEEDS if getattr(caps, cap) is not None]


def _named(caps: Sequence[str]) -> str:
    return f"cap{'s' if len(caps) > 1 else ''} {', '.join(caps)}"


def _need(caps: Sequence[str]) -> str:
    return "need" if len(caps) > 1 else "needs"


def _of_price(price: Decimal, caps: Caps, means: Means) -> Iterable[str]:
    currency = means.currency
    after = means.burn + price
    if caps.hourly_price is not None and price > caps.hourly_price:
        yield (
            f"it costs {money(price, currency)} an hour, "
            f"the cap is {money(caps.hourly_price, currency)}"
        )
    if caps.burn is not None and after > caps.burn:
        yield (
            f"the account would burn {money(after, currency)} an hour, "
            f"the cap is {money(caps.burn, currency)}"
        )
    yield from _of_unknown(caps, means)
    yield from _of_time(after, caps, means)


def _of_unknown(caps: Caps, means: Means) -> Iterable[str]:
    need = [cap for cap in _given(caps) if _NEEDS[cap] == _BURN]
    if need and means.unknown:
        some = ", ".join(means.unknown[:3])
        more = f" and {len(means.unknown) - 3} more" if len(means.unknown) > 3 else ""
        why = means.unread.get("get_pricing")
        because = f" (get_pricing cannot be read: {why})" if why else ""
        yield (
            f"the price of {some}{more} is not known{because}, and {', '.join(need)} "
            f"{_need(need)} it"
        )


def _of_time(after: Decimal, caps: Caps, means: Means) -> Iterable[str]:
    currency = means.currency
    if caps.lasts is not None and means.balance is not None:
        needed = after * Decimal(caps.lasts.total_seconds()) / 3600
        if means.balance.amount < needed:
            yield (
                f"the balance of {money(means.balance.amount, currency)} would not last "
                f"{said(caps.lasts)} at {money(after, currency)} an hour: "
                f"{money(needed - means.balance.amount, currency)} are missing"
            )
    if caps.daily_budget is not None:
        if means.spent_today is None:
            yield "what was spent today cannot be read, and daily_budget needs it"
            return
        day = means.spent_today + after * means.hours_left_today
        if day > caps.daily_budget:
            yield (
                f"today would come to {money(day, currency)} "
                f"({money(means.spent_today, currency)} spent so far), "
                f"the daily budget is {money(caps.daily_budget, currency)}"
            )


def _of_counts(asked: Proposed, caps: Caps, means: Means) -> Iterable[str]:
    begun = means.begun
    there = [i for i in means.instances if i.status is not VMStatus.DELETED and i.name not in begun]
    count = len(there) + len(begun)
    if caps.instances is not None and not asked.comes_back and count >= caps.instances:
        yield f"there are {count} instances, the cap is {caps.instances}"
    awake = (i for i in there if i.status is not VMStatus.HIBERNATED)
    gpus = sum(int(i.gpu_count or 1) for i in awake)
    gpus += sum(one.gpu_count for one in begun.values()) + asked.gpu_count
    if caps.gpus is not None and gpus > caps.gpus:
        yield f"{gpus} GPUs would be in use, the cap is {caps.gpus}"


def against_place(region: str, gpu_model: str, caps: Caps) -> Iterable[str]:
    """Why caps never allow a GPU model in a region, whatever it costs."""
    for name, allowed, what in (
        (region, caps.regions, "region"),
        (gpu_model, caps.gpu_models, "GPU model"),
    ):
        if allowed is not None and not any(fnmatchcase(name, glob) for glob in allowed):
            yield f"the {what} {name} is not allowed; allowed are {', '.join(allowed)}"


def beginning(
    plan: Mapping[str, Next], instances: Mapping[str, UserVM], known: Mapping[str, Proposed]
) -> dict[str, Proposed]:
    """What the steps of a plan let begin, by the plan's keys and in its order.

    Args:
        plan: what each target needs next.
        instances: all of the account, by id.
        known: what restores of snapshots make, by the plan's keys: their steps do not tell.
    """
    return {
        key: _asked_by(key, step, instances, known)
        for key, step in plan.items()
        if isinstance(step, Step) and step.operation in _RAISES_BURN
    }


def _asked_by(
    key: str, step: Step, instances: Mapping[str, UserVM], known: Mapping[str, Proposed]
) -> Proposed:
    if step.operation == "create_instance":
        model, count = str(step.arguments["gpu_model"]), int(step.arguments["gpu_count"])
        return Proposed(step.subject, model, count, str(step.arguments["region"]))
    nothing_known = Proposed(step.subject, None, 1, "?")
    if step.operation == "restore_snapshot":
        return known.get(key, nothing_known)
    instance = instances.get(step.arguments["instance_id"])
    return replace(nothing_known, comes_back=True) if instance is None else coming_back(instance)


def coming_back(instance: UserVM) -> Proposed:
    """What an instance that hibernates asks for."""
    return Proposed(
        instance.name,
        None if instance.gpu_model is None else str(instance.gpu_model),
        int(instance.gpu_count or 1),
        str(instance.region),
        comes_back=True,
        price=instance.hourly_price,
    )


def today_of(now: datetime) -> tuple[datetime, Decimal]:
    """When today began in UTC, and how many hours of it are left."""
    start = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    left = start + timedelta(days=1) - now
    return start, Decimal(left // timedelta(seconds=1)) / 3600
