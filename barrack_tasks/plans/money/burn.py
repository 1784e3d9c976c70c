"""What an account burns in an hour, and how long its balance lasts."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Literal

from barrack_tasks.api.models import (
    CurrencyEnum,
    Price,
    ResourceTypeEnum,
    Snapshot,
    UserVM,
    VMStatus,
    VolumeResponse,
)
from barrack_tasks.plans.prices import HIBERNATED_HOURLY, hourly_cost
from barrack_tasks.plans.report import money

_CENT = Decimal("0.01")
LONGEST = timedelta(days=36_500)
"""A balance that lasts longer than this is as good as endless."""
Kind = Literal["instance", "volume", "snapshot"]


@dataclass(frozen=True)
class Tariff:
    """Prices an hour: of configurations, by GPU model, count and region, and of one GB."""

    instances: Mapping[tuple[str, int, str | None], Decimal] = field(default_factory=dict)
    volume_gb: Decimal | None = None
    snapshot_gb: Decimal | None = None
    tiers: Mapping[tuple[str, int, str | None], Mapping[str | None, Decimal]] = field(
        default_factory=dict
    )
    """Prices of configurations by tier; those that are for any tier under None."""

    def of(
        self, gpu_model: str, gpu_count: int, region: str | None, tier: str | None = None
    ) -> Decimal | None:
        """What a configuration costs an hour; None if no price is known.

        Of no tier in particular it costs what the dearest does.
        """
        prices = self.by_tier(gpu_model, gpu_count, region)
        if tier is not None:
            return prices.get(tier, prices.get(None))
        if prices:
            return max(prices.values())
        exact = self.instances.get((gpu_model, gpu_count, region))
        return self.instances.get((gpu_model, gpu_count, None)) if exact is None else exact

    def by_tier(
        self, gpu_model: str, gpu_count: int, region: str | None
    ) -> Mapping[str | None, Decimal]:
        """What a configuration costs an hour by tier; see `tiers`."""
        anywhere = self.tiers.get((gpu_model, gpu_count, None), {})
        return {**anywhere, **self.tiers.get((gpu_model, gpu_count, region), {})}


def tariff_of(prices: Iterable[Price], currency: str | None = None) -> Tariff:
    """The prices that the API lists, as a tariff.

    Args:
        prices: as listed.
        currency: of the account; prices in another say nothing about what it pays. Without one,
            all of them must be in one currency.
    """
    instances: dict[tuple[str, int, str | None], Decimal] = {}
    gigabytes: dict[ResourceTypeEnum, Decimal] = {}
    tiers: dict[tuple[str, int, str | None], dict[str | None, Decimal]] = {}
    for price in prices:
        if currency is not None and str(price.currency) != currency:
            continue
        if price.resource_type is ResourceTypeEnum.INSTANCE and price.gpu_model is not None:
            region = str(price.region) if price.region is not None else None
            key = (str(price.gpu_model), int(price.gpu_count or 1), region)
            instances[key] = max(price.hourly, instances.get(key, price.hourly))
            own, tier = tiers.setdefault(key, {}), str(price.tier) if price.tier else None
            own[tier] = max(price.hourly, own.get(tier, price.hourly))
        else:
            gigabytes[price.resource_type] = price.hourly
    return Tariff(
        instances,
        gigabytes.get(ResourceTypeEnum.VOLUME),
        gigabytes.get(ResourceTypeEnum.SNAPSHOT),
        tiers,
    )


@dataclass(frozen=True)
class Cost:
    """What one thing costs an hour; None if that is not known."""

    kind: Kind
    id: str
    name: str
    state: str
    hourly: Decimal | None


@dataclass(frozen=True)
class Burn:
    """What an account costs an hour as it is.

    `other_hourly` is what the balance loses beyond what its things explain, such as AI chat.
    """

    costs: tuple[Cost, ...]
    other_hourly: Decimal = Decimal(0)

    @property
    def hourly(self) -> Decimal:
        """The sum of all that is known."""
        return sum((c.hourly for c in self.costs if c.hourly), self.other_hourly)

    @property
    def of_instances(self) -> dict[str, Decimal | None]:
        """What each instance costs, by id; None if that is not known."""
        return {c.id: c.hourly for c in self.costs if c.kind == "instance"}

    @property
    def unknown(self) -> tuple[str, ...]:
        """What has a price that is not known."""
        return tuple(f"{c.kind} {c.name}" for c in self.costs if c.hourly is None)

    def by_state(self) -> dict[str, Decimal]:
        """The sum for each kind of thing and state."""
        sums: dict[str, Decimal] = {}
        for cost in self.costs:
            key = f"{cost.kind} {cost.state}" if cost.kind == "instance" else cost.kind
            sums[key] = sums.get(key, Decimal(0)) + (cost.hourly or 0)
        if self.other_hourly:
            sums["other (seen in the balance)"] = self.other_hourly
        return sums

    def resting(self, ids: Collection[str], currency: CurrencyEnum) -> Burn:
        """The burn once some instances are hibernated."""
        asleep = HIBERNATED_HOURLY.get(currency, Decimal(0))
        return replace(
            self,
            costs=tuple(
                replace(c, state=str(VMStatus.HIBERNATED), hourly=asleep)
                if c.kind == "instance" and c.id in ids
                else c
                for c in self.costs
            ),
        )


def priced(instance: UserVM, tariff: Tariff, currency: CurrencyEnum | None = None) -> UserVM:
    """The instance with a price, if the tariff knows one and the instance names none.

    Args:
        instance: as it is listed.
        tariff: in the currency of the account.
        currency: of the account, for an instance that names none.
    """
    if instance.currency is None and currency is not None:
        instance = instance.model_copy(update={"currency": currency})
    if instance.hourly_price is not None or instance.gpu_model is None:
        return instance
    region = str(instance.region) if instance.region is not None else None
    tier = None if instance.tier is None else str(instance.tier)
    price = tariff.of(str(instance.gpu_model), int(instance.gpu_count or 1), region, tier)
    return instance.model_copy(update={"hourly_price": price})


def burn_of(
    instances: Iterable[UserVM],
    volumes: Iterable[VolumeResponse],
    snapshots: Iterable[Snapshot],
    tariff: Tariff,
    other_hourly: Decimal = Decimal(0),
) -> Burn:
    """What the account costs an hour, with each instance in the state that it is coming to.

    A state that passes costs nothing, but not for long, so it counts as the state it leads to.
    One that nobody knows counts as ACTIVE.
    """
    costs = [_of_instance(priced(i, tariff)) for i in instances]
    costs += [
        Cost("volume", v.id, v.name, str(v.status), _per_gb(v.size_gb, tariff.volume_gb))
        for v in volumes
    ]
    costs += [
        Cost("snapshot", s.id, s.name, str(s.status), _per_gb(s.size_gb, tariff.snapshot_gb))
        for s in snapshots
        if not s.status.is_failed
    ]
    return Burn(tuple(costs), other_hourly)


def _of_instance(instance: UserVM) -> Cost:
    status = instance.status.leads_to or instance.status
    if not status.known:
        status = VMStatus.ACTIVE
    cost = hourly_cost(instance, status)
    return Cost("instance", instance.id, instance.name, str(status), cost)


def _per_gb(size_gb: int | None, price: Decimal | None) -> Decimal | None:
    return None if size_gb is None or price is None else size_gb * price


def runway(balance: Decimal, hourly: Decimal) -> timedelta | None:
    """How long a balance lasts at a burn; None if it does not end.

    Example:
        >>> runway(Decimal(48), Decimal(2))
        datetime.timedelta(days=1)
    """
    if balance <= 0:
        return timedelta(0)
    if hourly <= 0:
        return None
    seconds = balance * 3600 / hourly
    return timedelta(seconds=int(seconds)) if seconds < LONGEST.total_seconds() else None


@dataclass(frozen=True)
class BalanceSample:
    """The balance at a moment, and the burn that its things explained then.

    `is_priced` is False if a price was not known then, so that its things cost more.
    """

    at: datetime
    balance: Decimal
    hourly: Decimal
    is_priced: bool = True


_WINDOW = timedelta(hours=24)
_STRETCH = timedelta(minutes=30)
"""Billing is by the minute, so a shorter stretch says little about what is lost an hour."""
_MOST_STRETCHES = 12
_MOST_SAMPLES = 48


@dataclass(frozen=True)
class Loss:
    """What the balance lost from one moment to another, and what its things explain of it.

    Everything is taken at the dearer of the burns at both ends, so that an instance that moved
    meanwhile explains what it cost. Billing is by the minute, so a minute of burn is in `doubt`.
    """

    start: datetime
    end: datetime
    seen: timedelta
    """Less than from start to end if credits were added in between."""
    lost: Decimal
    explained: Decimal
    doubt: Decimal

    @property
    def excess(self) -> Decimal:
        """What nothing explains; less than nothing if more was explained than lost."""
        return self.lost - self.explained - self.doubt

    def joined(self, later: Loss) -> Loss:
        """This stretch and a later one as one."""
        return Loss(
            self.start,
            later.end,
            self.seen + later.seen,
            self.lost + later.lost,
            self.explained + later.explained,
            max(self.doubt, later.doubt),
        )


def losses(samples: Sequence[BalanceSample]) -> list[Loss]:
    """What the balance lost between each two looks.

    Where it grew, credits were added, and that stretch says nothing. Looks that lacked a price
    count while one is lacking: what is lost then stands in for it. Once all are known it would
    count twice, and the stretch from before such looks to after them is one.
    """
    found = []
    is_priced = bool(samples) and samples[-1].is_priced
    for before, after in pairwise(s for s in samples if s.is_priced or not is_priced):
        fell, span = before.balance - after.balance, after.at - before.at
        hourly = max(before.hourly, after.hourly)
        if fell >= 0:
            explained = hourly * _hours(span)
            found.append(Loss(before.at, after.at, span, fell, explained, hourly / 60))
    return found


def other_hourly(samples: Sequence[BalanceSample]) -> Decimal:
    """What the balance loses an hour beyond what its things explain, as a lasting rate.

    The median over the last stretches of half an hour or more, and the lower one of two: what was
    lost in one stretch only is no rate, but a debit, see `about_debits`.

    Example:
        >>> start, hour = datetime(2026, 3, 1, tzinfo=UTC), timedelta(hours=1)
        >>> balances = [Decimal(n) for n in (100, 97, 54, 51)]  # 43 were lost at once
        >>> other_hourly([Sample(start + n * hour, b, Decimal(0)) for n, b in enumerate(balances)])
        Decimal('3.000000')
    """
    stretches: list[Loss] = []
    for loss in losses(samples):
        if stretches and stretches[-1].seen < _STRETCH:
            stretches[-1] = stretches[-1].joined(loss)
        else:
            stretches.append(loss)
    whole = [s for s in stretches if s.seen >= _STRETCH][-_MOST_STRETCHES:]
    if len(whole) < 2:
        return Decimal(0)
    rates = sorted(s.excess / _hours(s.seen) for s in whole)
    return max(Decimal(0), rates[(len(rates) - 1) // 2]).quantize(Decimal("0.000001"))


def about_debits(samples: Sequence[BalanceSample], currency: str) -> tuple[str, ...]:
    """One sentence about what the balance lost at once, and what does not count as burn.

    A debit is what was lost between two looks beyond all that burns, if that is a cent or more and
    as much as burns in six minutes. What began to be lost steadily is one as well, until it is
    a rate.

    Args:
        samples: the balances that were seen.
        currency: of the account.
    """
    other = other_hourly(samples)
    debits = []
    for loss in losses(samples):
        amount = loss.excess - other * _hours(loss.seen)
        if amount >= max(_CENT, (loss.explained / _hours(loss.seen) + other) / 10):
            debits.append((amount, loss))
    if not debits:
        return ()
    amount, loss = max(debits, key=lambda debit: debit[0])
    also = ""
    if len(debits) > 1:
        rest = sum((a for a, _ in debits), -amount)
        also = f", and {len(debits) - 1} smaller of {money(rest, currency)} in all"
    return (
        f"a debit of {money(amount, currency)} was seen in the balance between "
        f"{loss.start.astimezone(UTC):%Y-%m-%d %H:%M} and {_until(loss)} UTC"
        f"{also}: a single debit is not counted as burn",
    )


def _until(loss: Loss) -> str:
    """When a stretch ended, with the day if it is another than that on which it began."""
    start, end = loss.start.astimezone(UTC), loss.end.astimezone(UTC)
    return f"{end:%H:%M}" if end.date() == start.date() else f"{end:%Y-%m-%d %H:%M}"


def seen_until(
    samples: Sequence[BalanceSample],
    now: datetime,
    balance: Decimal,
    burn: Burn,
    is_read: bool = True,
) -> list[BalanceSample]:
    """The samples of the last day, with the present balance if the lists could be read.

    Args:
        samples: what was seen before.
        now: by the cloud's clock.
        balance: what is left now.
        burn: what burns now.
        is_read: whether all lists could be read.
    """
    if is_read:
        return with_sample(samples, BalanceSample(now, balance, burn.hourly, not burn.unknown))
    return [s for s in samples if now - _WINDOW <= s.at]


def with_sample(samples: Sequence[BalanceSample], sample: BalanceSample) -> list[BalanceSample]:
    """The samples of the last day with another one, thinned out to a bounded number."""
    kept = [s for s in samples if sample.at - _WINDOW <= s.at < sample.at]
    if len(kept) >= _MOST_SAMPLES:
        # Every other one of the older half: the recent ones tell most.
        half = len(kept) // 2
        kept = [*kept[:half:2], *kept[half:]]
    return [*kept, sample]


def _hours(span: timedelta) -> Decimal:
    return Decimal(span // timedelta(microseconds=1)) / Decimal(3_600_000_000)
