"""The meter: what each resource costs, minute by minute, without counting minutes one by one.

At each full minute of the clock every resource is billed for the minute that ended, at a sixtieth
of the hourly rate of the state it was in just then. A stretch of time (start, end] therefore costs
its number of full minutes times that, wherever it lies, and an hour in one state costs exactly
its hourly rate.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal

from barrack_tasks.sandbox.cloud.clock import MINUTE

CENT_OF_CENT = Decimal("0.000001")
ZERO = Decimal(0)


def cost_of(rate: Decimal, minutes: int) -> Decimal:
    """What some minutes cost at an hourly rate, to six places."""
    return (rate * minutes / 60).quantize(CENT_OF_CENT, rounding=ROUND_HALF_EVEN)


@dataclass
class Stretch:
    """A resource in one state, from one moment to another (None: still). Microseconds."""

    start: int
    status: str
    rate: Decimal
    end: int | None = None

    def minutes(self, now: int, since: int | None = None, until: int | None = None) -> int:
        """Full minutes of the clock in the stretch, or in the part of it in a window."""
        start = self.start if since is None else max(self.start, since)
        end = now if self.end is None else min(self.end, now)
        end = end if until is None else min(end, until)
        return max(0, end // MINUTE - start // MINUTE)

    def cost(self, now: int) -> Decimal:
        """What the stretch has cost so far."""
        return cost_of(self.rate, self.minutes(now))


class Meter:
    """All stretches of all resources, and the balance they are paid from.

    Example:
        >>> meter = Meter(Decimal(10))
        >>> meter.enter("a", "ACTIVE", Decimal("1.20"), at=0)
        >>> meter.balance(now=60 * MINUTE)
        Decimal('8.800000')
    """

    def __init__(self, credit: Decimal) -> None:
        self._credit = credit
        self._closed = ZERO
        self._stretches: dict[str, list[Stretch]] = {}
        self._open: dict[str, Stretch] = {}
        # Sums over open stretches: they bound the bill at any minute without a walk over a fleet.
        self._rates = ZERO
        self._rate_minutes = ZERO

    def add_credit(self, amount: Decimal) -> None:
        """Put credits into the account."""
        self._credit += amount

    def enter(self, resource: str, status: str, rate: Decimal, at: int) -> None:
        """From now on the resource is in this state at this hourly rate."""
        self.leave(resource, at)
        stretch = Stretch(at, status, rate)
        self._stretches.setdefault(resource, []).append(stretch)
        self._open[resource] = stretch
        self._rates += rate
        self._rate_minutes += rate * (at // MINUTE)

    def leave(self, resource: str, at: int) -> None:
        """The resource costs nothing from now on."""
        stretch = self._open.pop(resource, None)
        if stretch is not None:
            stretch.end = at
            self._closed += stretch.cost(at)
            self._rates -= stretch.rate
            self._rate_minutes -= stretch.rate * (stretch.start // MINUTE)

    def charge(self, amount: Decimal) -> None:
        """Take a sum at once."""
        self._closed += amount

    def knows(self, resource: str) -> bool:
        """Whether the resource was ever metered."""
        return resource in self._stretches

    def stretches(self, resource: str) -> list[Stretch]:
        """All stretches of a resource, oldest first."""
        return list(self._stretches.get(resource, ()))

    def accrued(self, resource: str, now: int) -> Decimal:
        """What a resource has cost so far."""
        return sum((s.cost(now) for s in self._stretches.get(resource, ())), ZERO)

    def spent(self, now: int) -> Decimal:
        """What all resources have cost so far."""
        return self._closed + sum((s.cost(now) for s in self._open.values()), ZERO)

    def balance(self, now: int) -> Decimal:
        """Credits that are left."""
        return self._credit - self.spent(now)

    def burn_rate(self) -> Decimal:
        """What an hour costs as things are."""
        return self._rates

    def runs_dry(self, after: int, until: int) -> int | None:
        """The first full minute in (after, until] with no credits left, if nothing changes."""
        first, last = after // MINUTE + 1, until // MINUTE
        if first > last or not self._may_be_dry(last):
            return None
        if self.balance(last * MINUTE) > 0:
            return None
        while first < last:
            middle = (first + last) // 2
            if self.balance(middle * MINUTE) > 0:
                first = middle + 1
            else:
                last = middle
        return first * MINUTE

    def _may_be_dry(self, minute: int) -> bool:
        exact = self._credit - self._closed - (self._rates * minute - self._rate_minutes) / 60
        return exact <= CENT_OF_CENT * (len(self._open) + 1)
