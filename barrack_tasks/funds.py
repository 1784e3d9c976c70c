"""What an account has and burns, read with a handful of list calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from barrack_tasks.api.models import Balance, Snapshot, UserVM, VolumeResponse
from barrack_tasks.catalogue import get_credit_balance, get_pricing
from barrack_tasks.credentials import BarrackCredentials
from barrack_tasks.instances import list_instances
from barrack_tasks.plans.money.burn import Burn, Sample, Tariff, burn_of, tariff_of
from barrack_tasks.shelves import read_all, write_all
from barrack_tasks.snapshots import list_snapshots
from barrack_tasks.volumes import list_volumes


@dataclass(frozen=True)
class Funds:
    """The balance and everything that is paid from it."""

    balance: Balance
    instances: tuple[UserVM, ...]
    volumes: tuple[VolumeResponse, ...]
    snapshots: tuple[Snapshot, ...]
    tariff: Tariff

    def burn(self, other: Decimal = Decimal(0)) -> Burn:
        """What burns an hour, with `other` that is known from the balance alone."""
        return burn_of(self.instances, self.volumes, self.snapshots, self.tariff, other)


def read_funds(credentials: BarrackCredentials) -> Funds:
    """The account's funds now.

    Raises:
        BarrackError: something cannot be read. Nothing is guessed: a guardrail that cannot see
            must say so.
    """
    instances = list_instances.submit(credentials)
    volumes = list_volumes.submit(credentials)
    snapshots = list_snapshots.submit(credentials)
    prices = get_pricing.submit(credentials)
    # The balance last: what it lacks is then never a cost that the lists have not shown.
    listed = tuple(instances.result()), tuple(volumes.result()), tuple(snapshots.result())
    tariff = tariff_of(prices.result())
    return Funds(get_credit_balance(credentials), *listed, tariff)


def read_samples(account: str) -> list[Sample]:
    """The balances that were seen in the last day, oldest first."""
    found = []
    for at, written in read_all(_prefix(account)).items():
        try:
            balance, hourly = written
            moment = datetime.fromtimestamp(int(at), UTC)
            found.append(Sample(moment, Decimal(balance), Decimal(hourly)))
        except (ArithmeticError, TypeError, ValueError):
            continue
    return sorted(found, key=lambda sample: sample.at)


def write_samples(account: str, samples: Sequence[Sample]) -> None:
    """Keep the balances that were seen."""
    content = {str(int(s.at.timestamp())): [str(s.balance), str(s.hourly)] for s in samples}
    write_all(_prefix(account), content)


def _prefix(account: str) -> str:
    return f"barrack_balance_{account}_"
