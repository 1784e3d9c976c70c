"""The events that this library emits.

An event is `barrack.<resource>.<past participle>` on the resource `barrack.<resource>.<id>`. It
tells what was seen or done; it is never needed for the work to go on, so a server that does not
take it stops nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from prefect.events import emit_event

EVENTS: dict[str, str] = {
    "barrack.snapshot.created": "a snapshot was asked for",
    "barrack.snapshot.failed": "a snapshot ended in failure, or vanished",
    "barrack.snapshot.deleted": "a snapshot was deleted",
    "barrack.instance.hibernated": "an instance reached HIBERNATED",
    "barrack.instance.restored": "an instance is ACTIVE again, under a new address",
    "barrack.instance.stopped": "an instance reached SHUTOFF",
    "barrack.instance.deleted": "an instance is gone",
    "barrack.instance.failed": "a flow could not do what it was asked for an instance",
    "barrack.balance.crossed": "the balance fell below a line",
    "barrack.balance.recovered": "the balance is above a line again",
    "barrack.gpu-stock.available": "something that is wanted came into stock",
    "barrack.gpu-stock.changed": "more or less of it is in stock than was last told",
    "barrack.gpu-stock.depleted": "it is out of stock, and was for a while",
    "barrack.instance.claimed": "an instance was claimed from the stock and is up",
    "barrack.instance.expired": "the time of a claimed instance is up, and it was ended",
    "barrack.guard.refused": "the caps refused to let something begin",
    "barrack.budget.crossed": "spending rose above a limit",
    "barrack.budget.recovered": "spending is below a limit again",
}
"""Every event, and what it says."""

_log = logging.getLogger(__name__)


def emit(
    event: str,
    id: str,
    name: str,
    *,
    instance: str | None = None,
    payload: Mapping[str, Any] | None = None,
) -> None:
    """Emit an event about a resource.

    Args:
        event: one of `EVENTS`; its middle word is the kind of the resource.
        id: the resource's id.
        name: what a person calls it.
        instance: id of the instance that it belongs to, if it is not one itself.
        payload: what else is known; money as text.

    Example:
        >>> emit("barrack.instance.hibernated", "BRK-A1B2C3D", "alpha")
    """
    kind = event.split(".")[1]
    resource = {"prefect.resource.id": f"barrack.{kind}.{id}", "prefect.resource.name": name}
    related = []
    if instance:
        related.append(
            {
                "prefect.resource.id": f"barrack.instance.{instance}",
                "prefect.resource.role": "instance",
            }
        )
    if event not in EVENTS:
        raise ValueError(f"{event!r} is not in the catalogue of events")
    try:
        emit_event(event, resource=resource, related=related, payload=dict(payload or {}))
    except Exception as error:  # noqa: BLE001 - an event that is not taken must stop nothing
        _log.warning("the event %s about %s could not be emitted: %s", event, name, error)
