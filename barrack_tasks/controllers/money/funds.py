"""What an account has and burns, read with a handful of list calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from barrack_tasks.api import BarrackError
from barrack_tasks.api.models import Balance, Snapshot, UserVM, VolumeResponse
from barrack_tasks.plans.money.burn import BalanceSample, Burn, Tariff, burn_of, priced, tariff_of
from barrack_tasks.plans.report import about_error
from barrack_tasks.server.credentials import BarrackCredentials
from barrack_tasks.server.tables import merge_all, read_all


@dataclass(frozen=True)
class Listed:
    """Everything that the account holds, as far as it can be read."""

    instances: tuple[UserVM, ...]
    volumes: tuple[VolumeResponse, ...]
    snapshots: tuple[Snapshot, ...]
    unread: Mapping[str, BarrackError] = field(default_factory=dict, kw_only=True)
    """Operations that could not be read, and why: what they would tell is unknown, and not none."""

    @property
    def missing(self) -> tuple[str, ...]:
        """What could not be read, as sentences."""
        return tuple(about_error(operation, error) for operation, error in self.unread.items())

    def is_read(self, kind: str) -> bool:
        """Whether all things of a kind, such as `volume`, are known."""
        return f"list_{kind}s" not in self.unread


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
        """What burns an hour, with `other` that is known from the balance alone.

        At the least, if something is unread.
        """
        return burn_of(self.instances, self.volumes, self.snapshots, self.tariff, other)


def read_account(credentials: BarrackCredentials) -> Listed:
    """Everything that the account holds, with one set of list calls.

    Raises:
        BarrackError: nothing can be read.
    """
    found, unread = _read(credentials, _LISTS)
    if not found:
        raise unread["list_instances"]
    return Listed(*(tuple(found.get(o, ())) for o in _LISTS), unread=unread)


def read_funds(credentials: BarrackCredentials) -> Funds:
    """The account's funds now.

    Raises:
        BarrackError: the balance cannot be read. What else cannot is named in `unread`: a
            guardrail says so, and goes on with what does not need it.
    """
    client = credentials.get_client()
    found, unread = _read(credentials, (*_LISTS, "get_pricing"))
    # The balance last: what it lacks is then never a cost that the lists have not shown.
    balance = client.balance.get()
    tariff = tariff_of(found.get("get_pricing", ()), str(balance.currency))
    listed, volumes, snapshots = (tuple(found.get(o, ())) for o in _LISTS)
    instances = tuple(priced(i, tariff, balance.currency) for i in listed)
    # A `Date` has no fractions, and what was not told is not counted.
    at = client.now().replace(microsecond=0)
    return Funds(instances, volumes, snapshots, balance, tariff, at, unread=unread)


_LISTS = ("list_instances", "list_volumes", "list_snapshots")


def _read(
    credentials: BarrackCredentials, operations: Sequence[str]
) -> tuple[dict[str, Any], dict[str, BarrackError]]:
    """What some operations tell, all at once, and why the others cannot be read."""
    client = credentials.get_client()
    found: dict[str, Any] = {}
    unread: dict[str, BarrackError] = {}
    with ThreadPoolExecutor(len(operations)) as pool:
        asked = {o: pool.submit(client.perform, o) for o in operations}
    for operation, answer in asked.items():
        try:
            found[operation] = answer.result()
        except BarrackError as error:
            unread[operation] = error
    return found, unread


def read_samples(account: str) -> list[BalanceSample]:
    """The balances that were seen in the last day, oldest first."""
    found = []
    for at, written in read_all(_prefix(account)).items():
        try:
            balance, hourly, *more = written
            moment = datetime.fromtimestamp(int(at), UTC)
            found.append(BalanceSample(moment, Decimal(balance), Decimal(hourly), not more))
        except (ArithmeticError, TypeError, ValueError):
            continue
    return sorted(found, key=lambda sample: sample.at)


def write_samples(
    account: str, before: Sequence[BalanceSample], samples: Sequence[BalanceSample]
) -> None:
    """Keep the balances that were seen, with what other runs have seen since `before` was read."""
    merge_all(_prefix(account), _written(before), _written(samples))


def _written(samples: Sequence[BalanceSample]) -> dict[str, list[str]]:
    return {
        str(int(s.at.timestamp())): [
            str(s.balance),
            str(s.hourly),
            *([] if s.is_priced else ["unpriced"]),
        ]
        for s in samples
    }


def _prefix(account: str) -> str:
    return f"barrack_balance_{account}_"
