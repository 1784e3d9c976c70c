"""Requests that make an instance, and whether an instance is what one of them made.

The API knows no mark of the asker. So each request is noted before it is sent, and what it made
is known again by its name, which is unique in an account (documented), by its age, and by what
was asked for. What is not certain is never taken for this library's own: a person is asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from barrack_tasks.api.models import UserVM

TAKES_EFFECT = timedelta(hours=1)
"""A request takes effect within this, by the cloud's clock, or never: no client waits as long."""
NOTHING_CAME = timedelta(days=1)
"""What no list has shown so long after it was asked for was not made."""
CLOCKS_DIFFER = timedelta(minutes=15)
"""So much a worker's clock may be ahead of the cloud's: earlier releases dated requests by it."""
_WITHIN_THE_CLOUD = timedelta(seconds=5)
"""So much two clocks of the cloud itself may differ, and its dates may be cut to the second."""


@dataclass(frozen=True)
class Making:
    """A request that makes an instance, as it is noted before it is sent.

    Attributes:
        name: of the new instance.
        asked: just before the request was sent, by the cloud's clock.
        boot_source: what it boots from, such as `snapshot`; None where the request does not tell.
        hardware: GPU model and count; None if they are not known before.
        region: where it will be; None if that is not known before.

    Example:
        >>> making = Making("train-1", client.now(), "snapshot", ("L40", 1), "CANADA-1")
        >>> making.has_made(instance)
    """

    name: str
    asked: datetime
    boot_source: str | None = None
    hardware: tuple[str, int] | None = None
    region: str | None = None

    def was_before(self, instance: UserVM) -> bool:
        """Whether an instance surely existed before the request, and so is not its work."""
        made = instance.created_at
        return made is not None and made < self.asked - _WITHIN_THE_CLOUD

    def has_made(self, instance: UserVM) -> bool:
        """Whether an instance is surely what the request made: name, age and kind say so."""
        made = instance.created_at
        if instance.name != self.name or made is None or self.was_before(instance):
            return False
        promised = (self.boot_source, *(self.hardware or (None, None)), self.region)
        came = (instance.boot_source, instance.gpu_model, instance.gpu_count, instance.region)
        is_alike = all(
            wanted is None or got is None or str(wanted) == str(got)
            for wanted, got in zip(promised, came, strict=True)
        )
        return is_alike and made <= self.asked + TAKES_EFFECT

    def written(self) -> list[Any]:
        """As a record holds it, beside the name."""
        model, count = self.hardware or (None, None)
        return [int(self.asked.timestamp()), self.boot_source, model, count, self.region]

    @classmethod
    def read(cls, name: str, written: Any) -> Making:
        """From a record.

        Raises:
            TypeError: it is none.
            ValueError: the same.
        """
        asked, boot_source, model, count, region = written
        hardware = None if model is None else (str(model), int(count))
        return cls(name, datetime.fromtimestamp(asked, UTC), boot_source, hardware, region)

    def why_unclear(self, instance: UserVM) -> str:
        """What a person reads, and is to do, where an instance has the name and may be it or not.

        Args:
            instance: the one that has the name.
        """
        return (
            f"it is not certain whether the instance {instance.id} is what was asked for as "
            f"{self.name!r} at {self.asked:%Y-%m-%d %H:%M:%S} UTC, so nothing is done with it; "
            "look at it in the dashboard, and keep it under another name or delete it"
        )
