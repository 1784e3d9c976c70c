"""The pre-flight guard: whether something that costs money may begin."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Self

from pydantic import Field, model_validator

from barrack_tasks.api.models import Balance, UserVM, VMStatus
from barrack_tasks.api.models.minimums import MINIMUM_BALANCE
from barrack_tasks.plans.given import Amount, Given, Texts
from barrack_tasks.plans.money.burn import Tariff, burn_of, priced
from barrack_tasks.plans.money.spans import PositiveSpan, said
from barrack_tasks.plans.report import money
from barrack_tasks.plans.steps import Finished, Next, Step

_RAISES_BURN = ("restore_instance", "create_instance")
"""To start what is SHUTOFF raises nothing: it is paid in full already."""


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
class Asked:
    """What is to begin: one instance of a configuration. `comes_back` if it exists already."""

    name: str
    gpu_model: str
    gpu_count: int
    region: str
    comes_back: bool = False


@dataclass(frozen=True)
class Means:
    """What the account has and spends, as far as a guard must know it."""

    balance: Balance
    burn: Decimal
    instances: tuple[UserVM, ...]
    spent_today: Decimal | None = None
    hours_left_today: Decimal = Decimal(24)
    storage: Decimal = Decimal(0)
    """The part of the burn that is not of instances."""
    tariff: Tariff = field(default_factory=Tariff)
    """Prices of what does not exist yet."""

    unknown: tuple[str, ...] = ()
    """What has a price that is not known, and so is missing from the burn."""

    def seen(self, instances: Iterable[UserVM]) -> Means:
        """The means with the instances as they are seen later."""
        now = tuple(priced(i, self.tariff) for i in instances)
        burn = burn_of(now, [], [], self.tariff)
        before = burn_of(self.instances, [], [], self.tariff).unknown
        stored = tuple(u for u in self.unknown if u not in before)
        unknown = (*burn.unknown, *stored)
        return replace(self, instances=now, burn=burn.hourly + self.storage, unknown=unknown)

    def with_begun(self, asked: Asked, price: Decimal) -> Means:
        """The means once what was asked for is up, so that the next is judged with it."""
        begun = UserVM(
            id=f"begun {asked.name}",
            name=asked.name,
            status=VMStatus.ACTIVE,
            gpu_model=asked.gpu_model,
            gpu_count=asked.gpu_count,
            region=asked.region,
            hourly_price=price,
        )
        others = self.instances
        if asked.comes_back:
            others = tuple(i for i in others if i.name != asked.name)
        return replace(self, burn=self.burn + price, instances=(*others, begun))


@dataclass(frozen=True)
class Ruling:
    """Why it is refused, and what a person must approve. Both empty: it may begin."""

    refused: tuple[str, ...] = ()
    to_approve: tuple[str, ...] = ()

    def unattended(self, act: str) -> tuple[str, ...]:
        """All that stands against it where nobody can be asked; `act` is what a person must do."""
        return (*self.refused, *(f"{t}; a person must {act} it" for t in self.to_approve))


def rule(asked: Asked, price: Decimal, caps: Caps, means: Means) -> Ruling:
    """Whether an instance may begin, every reason against it at once, with the numbers.

    Args:
        asked: the instance.
        price: what it costs an hour.
        caps: what is allowed.
        means: what the account has.
    """
    currency = str(means.balance.currency)

    def amount(value: Decimal) -> str:
        return money(value, currency)

    after = means.burn + price
    refused: list[str] = []
    least = MINIMUM_BALANCE.get(means.balance.currency)
    if least is None:
        refused.append(f"the least balance in {currency} is not known")
    elif means.balance.amount < least:
        refused.append(f"the balance is {amount(means.balance.amount)}, and {amount(least)} needed")
    if caps.hourly_price is not None and price > caps.hourly_price:
        refused.append(f"it costs {amount(price)} an hour, the cap is {amount(caps.hourly_price)}")
    if caps.burn is not None and after > caps.burn:
        refused.append(
            f"the account would burn {amount(after)} an hour, the cap is {amount(caps.burn)}"
        )
    refused += _of_unknown(caps, means)
    refused += _of_time(price, after, caps, means, currency)
    refused += _of_counts(asked, caps, means)
    refused += against_place(asked.region, asked.gpu_model, caps)
    to_approve: tuple[str, ...] = ()
    if caps.approve_over is not None and price > caps.approve_over:
        to_approve = (
            f"{asked.gpu_count}x {asked.gpu_model} in {asked.region} as {asked.name!r} costs "
            f"{amount(price)} an hour, above {amount(caps.approve_over)}",
        )
    return Ruling(tuple(refused), to_approve)


def _of_unknown(caps: Caps, means: Means) -> Iterable[str]:
    need = [n for n in ("burn", "lasts", "daily_budget") if getattr(caps, n) is not None]
    if need and means.unknown:
        some = ", ".join(means.unknown[:3])
        more = f" and {len(means.unknown) - 3} more" if len(means.unknown) > 3 else ""
        yield f"the price of {some}{more} is not known, and {', '.join(need)} needs it"


def _of_time(
    price: Decimal, after: Decimal, caps: Caps, means: Means, currency: str
) -> Iterable[str]:
    if caps.lasts is not None:
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


def _of_counts(asked: Asked, caps: Caps, means: Means) -> Iterable[str]:
    there = [i for i in means.instances if i.status is not VMStatus.DELETED]
    if caps.instances is not None and not asked.comes_back and len(there) >= caps.instances:
        yield f"there are {len(there)} instances, the cap is {caps.instances}"
    awake = [i for i in there if i.status is not VMStatus.HIBERNATED]
    gpus = sum(int(i.gpu_count or 1) for i in awake) + asked.gpu_count
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


def within_caps(
    plan: Mapping[str, Next], instances: Mapping[str, UserVM], caps: Caps | None, means: Means
) -> dict[str, Next]:
    """The plan without the steps that the caps forbid, one after the other in the plan's order.

    Instances that are SHUTOFF are paid in full already, so to start them costs nothing more.
    """
    if caps is None:
        return dict(plan)
    allowed = dict(plan)
    for id_, step in raising(plan).items():
        if id_ not in instances:
            continue
        asked, price = _asked_by(step, instances[id_], means)
        if price is None:
            allowed[id_] = Finished("failed", "its price cannot be read, so the caps refuse it")
            continue
        ruling = rule(asked, price, caps, means)
        # Nobody can be asked in the middle of a fleet, so what needs approval is refused.
        against = ruling.unattended("restore")
        if against:
            allowed[id_] = Finished("failed", "refused by the caps: " + "; ".join(against))
        else:
            means = means.with_begun(asked, price)
    return allowed


def _asked_by(step: Step, instance: UserVM, means: Means) -> tuple[Asked, Decimal | None]:
    """What a step makes run, and what that costs an hour: the instance, or one in its place."""
    region = str(instance.region)
    if step.operation != "create_instance":
        count = int(instance.gpu_count or 1)
        asked = Asked(instance.name, str(instance.gpu_model), count, region, comes_back=True)
        return asked, instance.hourly_price
    model, count = str(step.arguments["gpu_model"]), int(step.arguments["gpu_count"])
    return Asked(step.subject, model, count, region), means.tariff.of(model, count, region)


def raising(plan: Mapping[str, Next]) -> dict[str, Step]:
    """The steps of a plan after which the account costs more."""
    return {
        id_: next_
        for id_, next_ in plan.items()
        if isinstance(next_, Step) and next_.operation in _RAISES_BURN
    }


def shows(step: Step, instances: Mapping[str, UserVM]) -> bool:
    """Whether what a step asked for can be seen: the instance is up, or coming up, or there."""
    if step.operation == "create_instance":
        return any(i.name == step.subject for i in instances.values())
    instance = instances.get(step.instance_id)
    return instance is None or instance.status is not VMStatus.HIBERNATED


def with_all_begun(
    means: Means, steps: Mapping[str, Step], instances: Mapping[str, UserVM]
) -> Means:
    """The means with what was asked for and does not show yet; an unknown price counts nothing."""
    for id_, step in steps.items():
        if id_ in instances:
            asked, price = _asked_by(step, instances[id_], means)
            means = means.with_begun(asked, price or Decimal(0))
    return means


def today_of(now: datetime) -> tuple[datetime, Decimal]:
    """When today began in UTC, and how many hours of it are left."""
    start = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    left = start + timedelta(days=1) - now
    return start, Decimal(left // timedelta(seconds=1)) / 3600
