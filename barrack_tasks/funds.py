"""What an account has and burns, read with a handful of list calls."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from barrack_tasks.api.models import Balance, Snapshot, UserVM, VolumeResponse
from barrack_tasks.credentials import BarrackCredentials
from barrack_tasks.plans.money.burn import Burn, Sample, Tariff, burn_of, tariff_of
from barrack_tasks.shelves import read_all, write_all
from barrack_tasks.tasking import barrack_task


@dataclass(frozen=True)
class Listed:
    """Everything that the account holds."""

    instances: tuple[UserVM, ...]
    volumes: tuple[VolumeResponse, ...]
    snapshots: tuple[Snapshot, ...]


@dataclass(frozen=True)
class Funds(Listed):
    """The balance and everything that is paid from it, `at` a moment of the cloud's clock.

    By that clock it is billed, and by no other: what is asked for by one that is behind lacks
    what was spent last.
    """

    balance: Balance
    tariff: Tariff
    at: datetime

    def burn(self, other: Decimal = Decimal(0)) -> Burn:
        """What burns an hour, with `other` that is known from the balance alone."""
        return burn_of(self.instances, self.volumes, self.snapshots, self.tariff, other)


@barrack_task()
def read_account(credentials: BarrackCredentials) -> Listed:
    """Everything that the account holds, with one set of list calls, in one task run.

    Raises:
        BarrackError: something cannot be read.
    """
    client = credentials.get_client()
    with ThreadPoolExecutor(3) as pool:
        instances = pool.submit(lambda: tuple(client.instances.list()))
        volumes = pool.submit(lambda: tuple(client.volumes.list()))
        snapshots = pool.submit(lambda: tuple(client.snapshots.list()))
    return Listed(instances.result(), volumes.result(), snapshots.result())


@barrack_task()
def read_funds(credentials: BarrackCredentials) -> Funds:
    """The account's funds now, in one task run.

    Raises:
        BarrackError: something cannot be read. Nothing is guessed: a guardrail that cannot see
            must say so.
    """
    client = credentials.get_client()
    with ThreadPoolExecutor(4) as pool:
        instances = pool.submit(lambda: tuple(client.instances.list()))
        volumes = pool.submit(lambda: tuple(client.volumes.list()))
        snapshots = pool.submit(lambda: tuple(client.snapshots.list()))
        prices = pool.submit(lambda: tuple(client.pricing.list()))
    # The balance last: what it lacks is then never a cost that the lists have not shown.
    listed = instances.result(), volumes.result(), snapshots.result()
    balance = client.balance.get()
    tariff = tariff_of(prices.result(), str(balance.currency))
    # A `Date` has no fractions, and what was not told is not counted.
    return Funds(*listed, balance, tariff, client.now().replace(microsecond=0))


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
