"""The account that all resources of a sandbox share: its clock, its money, its memory.

There is no background thread. Whatever time brings about lies in a queue of events; `settle`
takes those that are due, in order of time, each at its own moment.
"""

from __future__ import annotations

import heapq
import random
import string
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal

from barrack_tasks.sandbox.cloud import catalogue
from barrack_tasks.sandbox.cloud.billing import Meter
from barrack_tasks.sandbox.cloud.clock import SECOND, Clock, to_datetime
from barrack_tasks.sandbox.cloud.ledger import CLOCK, Ledger
from barrack_tasks.sandbox.cloud.refusals import Refused
from barrack_tasks.sandbox.cloud.settings import Settings


class CloudAccount:
    """What every resource needs of its account. Pure: no network, no thread,
    no time but its clock's.

    Args:
        clock: the sandbox's time.
        balance: credits at the start.
        currency: USD, EUR or INR.
        seed: of ids, addresses and jitter.
        settings: durations and the like.

    Raises:
        ValueError: a currency that Barrack does not have.
    """

    def __init__(
        self,
        clock: Clock,
        balance: Decimal = Decimal(100),
        currency: str = "USD",
        seed: int = 0,
        settings: Settings | None = None,
    ) -> None:
        if currency not in catalogue.RATES:
            raise ValueError(f"currency must be USD, EUR or INR, got {currency!r}")
        self.clock = clock
        self.currency = currency
        self.rng = random.Random(seed)
        self.settings = settings or Settings()
        self.lock = threading.RLock()
        self.ledger = Ledger()
        self.meter = Meter(balance)
        self.stock = {
            (region, offer.model): offer.stock
            for region in catalogue.REGIONS
            for offer in catalogue.OFFERS.values()
        }
        self.twists: dict[str, float] = {}
        """Faults that change what the request under way brings about, with their seconds."""
        self.on_depletion: list[Callable[[], None]] = []
        self._micros = clock.micros()
        self._billed_until = self._micros
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._serial = 0

    # Time

    @property
    def micros(self) -> int:
        """The moment that the world is settled to, in microseconds since 1970."""
        return self._micros

    @property
    def now(self) -> datetime:
        """The moment that the world is settled to."""
        return to_datetime(self._micros)

    def later(self, seconds: float, happen: Callable[[], None]) -> None:
        """Let something happen after some sandbox seconds."""
        self._serial += 1
        heapq.heappush(self._events, (self._micros + round(seconds * SECOND), self._serial, happen))

    def settle(self) -> None:
        """Let everything happen that is due by now, in order of time."""
        by, self.ledger.by = self.ledger.by, (CLOCK, None)
        try:
            self._settle(self.clock.micros())
        finally:
            self.ledger.by = by

    def _settle(self, until: int) -> None:
        while True:
            due = bool(self._events) and self._events[0][0] <= until
            horizon = self._events[0][0] if due else until
            dry = self._runs_dry(horizon)
            if dry is not None:
                self._micros = self._billed_until = dry
                self._deplete()
                continue
            self._micros = self._billed_until = max(self._micros, horizon)
            if not due:
                return
            heapq.heappop(self._events)[2]()

    def _runs_dry(self, until: int) -> int | None:
        return self.meter.runs_dry(self._billed_until, until) if self._is_exposed() else None

    def _is_exposed(self) -> bool:
        """Whether something loses its work when the credits are gone."""
        return False

    def _deplete(self) -> None:
        """The credits are gone. What is known of this is a title: the worst is assumed [I]."""
        self.record("account", "", "", "depleted")
        self._lose()
        for happen in self.on_depletion:
            happen()

    def _lose(self) -> None:
        """Let everything lose what it loses when the credits are gone."""

    def duration(self, work: str) -> float:
        """How long some work takes this time, in seconds."""
        jitter = self.settings.jitter
        return self.settings.durations[work] * (1 + jitter * self.rng.uniform(-1, 1))

    # Memory

    @contextmanager
    def acting(self, operation: str, request_id: str | None = None) -> Iterator[None]:
        """Put effects down to an operation; settles the world first, under its lock."""
        with self.lock:
            self.settle()
            self.ledger.by = (operation, request_id)
            try:
                yield
            finally:
                self.ledger.by = (CLOCK, None)
                self.twists = {}

    def record(self, kind: str, id_: str, name: str, detail: str) -> None:
        """Write an effect into the ledger."""
        self.ledger.record(self.now.isoformat(), kind, id_, name, detail)

    # Money and stock

    def balance(self) -> Decimal:
        """Credits that are left."""
        return self.meter.balance(self._micros)

    def need_balance(self, least: Decimal | None = None) -> None:
        """Refuse unless there is enough to begin something that costs.

        Raises:
            Refused: 402 when the balance is under the account's minimum, or under `least`.
        """
        least = catalogue.MINIMUM_BALANCE[self.currency] if least is None else least
        if self.balance() < least:
            raise Refused(
                402,
                f"Not enough credits: this needs at least {least} {self.currency}",
                "insufficient_credits",
            )

    def need_stock(self, region: str, gpu_model: str, gpus: int) -> None:
        """Refuse unless so many GPUs are free.

        Raises:
            Refused: 409 with the reason `out_of_stock`.
        """
        if self.stock.get((region, gpu_model), 0) < gpus:
            raise Refused(409, f"{gpu_model} x{gpus} is out of stock in {region}", "out_of_stock")

    def move_stock(self, region: str, gpu_model: str, gpus: int) -> None:
        """Give GPUs back, or take them (negative). A person's hand may take what is not there."""
        key = (region, gpu_model)
        self.stock[key] = max(0, self.stock.get(key, 0) + gpus)

    # Names and numbers

    def next_serial(self) -> int:
        """A number that grows: the order of creation."""
        self._serial += 1
        return self._serial

    def instance_id(self) -> str:
        """An id as Barrack's instances have it."""
        letters = string.ascii_uppercase + string.digits
        return f"BRK-{''.join(self.rng.choices(letters, k=6))}D"

    def public_ip(self) -> str:
        """A new address."""
        return f"38.80.{self.rng.randint(0, 255)}.{self.rng.randint(1, 254)}"

    def private_ip(self) -> str:
        """A new address inside."""
        return f"10.0.{self.rng.randint(0, 255)}.{self.rng.randint(1, 254)}"

    def is_listed(self, created: int) -> bool:
        """Whether lists show a thing of that age already."""
        return self._micros - created >= self.settings.list_lag * SECOND
