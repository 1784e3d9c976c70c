"""A bill by the sandbox's ledger alone: minute by minute, and without the product's code."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

ASLEEP = {"USD": Decimal("0.01"), "EUR": Decimal("0.01"), "INR": Decimal("1.00")}
GB_HOURLY = {"USD": Decimal("0.0001"), "EUR": Decimal("0.0001"), "INR": Decimal("0.0085")}
_HOUR_OF = {"USD": 1, "EUR": 1, "INR": 85}
PRICES = {"L40": Decimal("1.19"), "A40": Decimal("0.69"), "H100-PCIe-80GB": Decimal("2.25")}
_OF_VOLUMES = ("available", "in-use", "creating", "extending", "deleting", "deleted")
_QUARTER = 900


@dataclass
class PlainBill:
    """What was spent, counted by hand."""

    days: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    states: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    saved: Decimal = Decimal(0)
    wasted: Decimal = Decimal(0)

    @property
    def total(self) -> Decimal:
        """All of it."""
        return sum(self.days.values(), Decimal(0))


def hourly(model: str, currency: str) -> Decimal:
    """What an instance with one GPU costs when it is up."""
    return PRICES[model] * _HOUR_OF[currency]


def plain_bill(
    ledger: list[dict[str, Any]],
    models: dict[str, str],
    sizes: dict[str, list[tuple[float, int]]],
    start: float,
    end: float,
    currency: str,
    zone: str,
) -> PlainBill:
    """Everything that the ledger tells between two moments, in seconds since 1970.

    Args:
        ledger: effects of the sandbox.
        models: GPU models of instances, by id.
        sizes: of volumes and snapshots since when, by `kind id`.
        start: of the period.
        end: of the period.
        currency: of the account.
        zone: whose days.
    """
    bill = PlainBill()
    for (kind, id_), moves in _moves(ledger).items():
        for (since, state), until in zip(moves, [*(m for m, _ in moves[1:]), end], strict=True):
            for minute in _minutes(max(since, start), min(until, end)):
                label, rate = state, Decimal(0)
                if kind == "instance":
                    up = hourly(models[id_], currency)
                    rate = up if state in ("ACTIVE", "SHUTOFF") else Decimal(0)
                    if state == "HIBERNATED":
                        rate = ASLEEP[currency]
                        bill.saved += (up - rate) / 60
                    if state == "SHUTOFF":
                        bill.wasted += (rate - ASLEEP[currency]) / 60
                elif state not in ("DELETED", "FAILED", "deleted"):
                    size = [s for at, s in sizes[f"{kind} {id_}"] if at < minute][-1]
                    label, rate = kind, GB_HOURLY[currency] * size
                if rate:
                    bill.days[_day(minute, zone)] += rate / 60
                    bill.states[label] += rate / 60
    return bill


def _moves(ledger: list[dict[str, Any]]) -> dict[tuple[str, str], list[tuple[float, str]]]:
    """For each thing the moments at which it came into a state."""
    found: dict[tuple[str, str], list[tuple[float, str]]] = defaultdict(list)
    for effect in ledger:
        if effect["kind"] not in ("instance", "volume", "snapshot"):
            continue
        state = effect["detail"].split(":")[0].split(" -> ")[-1]
        if state.isupper() or state in _OF_VOLUMES:
            at = datetime.fromisoformat(effect["time"]).timestamp()
            found[effect["kind"], effect["id"]].append((at, state))
    return found


def _minutes(start: float, end: float) -> range:
    """The full minutes of the clock that end after one moment and not after another."""
    return range((int(start) // 60 + 1) * 60, int(end) // 60 * 60 + 1, 60)


_days: dict[tuple[int, str], str] = {}


def _day(minute: int, zone: str) -> str:
    """The day of a zone that the minute before a moment lies on."""
    quarter = (minute - 60) // _QUARTER
    if (quarter, zone) not in _days:
        local = datetime.fromtimestamp(quarter * _QUARTER, UTC).astimezone(ZoneInfo(zone))
        _days[quarter, zone] = local.date().isoformat()
    return _days[quarter, zone]
