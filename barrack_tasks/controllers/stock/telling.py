"""Telling what a watcher of the stock sees: events, notifications, memory and history."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from barrack_tasks.api.models import UserVM
from barrack_tasks.controllers.stock.memory import note_history, write_seen
from barrack_tasks.controllers.stock.watcher import Log, StockLook, StockWatcher
from barrack_tasks.plans.durations import said
from barrack_tasks.plans.report import money
from barrack_tasks.plans.stock.announcing import Claimed
from barrack_tasks.plans.stock.edges import Edge
from barrack_tasks.runtime.alerts import Alarms
from barrack_tasks.server.events import emit


@dataclass
class Teller:
    """Tells what a watcher sees: events, notifications, memory, history.

    Args:
        account: see `BarrackCredentials.account`.
        scope: see `scope_of_stock`.
        alarms: who is told of stock that came and of claims, and what is owed to them.
        file: of the history.
        log: of the run.
    """

    account: str
    scope: str
    alarms: Alarms
    file: Path
    log: Log
    told: list[str] = field(default_factory=list)
    _news: dict[str, str] = field(default_factory=dict)

    def tell_of(self, watcher: StockWatcher, look: StockLook, now: datetime) -> None:
        """Tell what a look brought, and remember it."""
        self._news.clear()
        for claimed, instance in look.claimed:
            self._claimed(claimed, instance)
        for claimed in look.lost:
            at = f"{claimed.at:%Y-%m-%d %H:%M} UTC"
            is_broken = claimed.name in watcher.broken
            end = "came up in ERROR; look at it, and delete it" if is_broken else "is not up"
            self._say(claimed.key, f"{claimed.name} was claimed at {at} and {end}")
        for edge in look.edges:
            if edge.kind == "unwatched":
                continue  # whether anything moved is not known
            self._moved(edge, watcher.price_of(edge.place))
        gone = [str(edge.place) for edge in look.edges if edge.kind == "depleted"]
        self.alarms.pass_on(self._news, now, gone)
        if look.edges:
            note_history(self.file, look.edges)
            write_seen(self.account, self.scope, watcher.seen)

    def _claimed(self, claimed: Claimed, instance: UserVM) -> None:
        price = money(instance.hourly_price, str(instance.currency or ""))
        address = instance.public_ip or "no public address"
        text = f"{instance.name} is up: {address}, {price} an hour"
        payload: dict[str, Any] = {
            "address": instance.public_ip,
            "hourly_price": str(instance.hourly_price),
            "currency": str(instance.currency or ""),
            "gpu_model": str(instance.gpu_model),
            "gpu_count": int(instance.gpu_count or 1),
            "region": str(instance.region),
        }
        if claimed.ends is not None:
            payload["expires"] = claimed.ends.isoformat()
            text = f"{text}; {claimed.how}d at {claimed.ends:%Y-%m-%d %H:%M} UTC"
        emit("barrack.instance.claimed", instance.id, instance.name, payload=payload)
        self._say(claimed.key, text)

    def _moved(self, edge: Edge, price: Decimal | None) -> None:
        place = edge.place
        payload: dict[str, Any] = {
            "region": place.region,
            "gpu_model": place.gpu_model,
            "gpu_count": place.gpu_count,
            "available": edge.count,
            "hourly_price": None if price is None else str(price),
        }
        if edge.until is not None:
            payload["seconds"] = int((edge.until - edge.since).total_seconds())
            payload["most"] = edge.most
        id_ = f"{place.region}.{place.gpu_model}.{place.gpu_count}x"
        emit(f"barrack.gpu-stock.{edge.kind}", id_, str(place), payload=payload)
        if edge.kind == "available":
            self._say(str(place), f"in stock: {place}, at least {edge.count}")
        elif edge.until is not None:
            self.log.info("gone: %s, after %s", place, said(edge.until - edge.since))

    def _say(self, about: str, text: str) -> None:
        self.log.info(text)
        self.told.append(text)
        self._news[about] = text
