"""Firewalls: sets of rules of one region, attached to instances there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from barrack_tasks.api.models import FirewallRule, VMStatus
from barrack_tasks.sandbox.cloud import refusals
from barrack_tasks.sandbox.cloud.account import CloudAccount
from barrack_tasks.sandbox.cloud.machine import FULL_RATE, Machine
from barrack_tasks.sandbox.cloud.machines import Machines

FIRST_ID = 7101


@dataclass
class Attachment:
    """That a firewall guards an instance. Moments are microseconds since 1970."""

    id: str
    machine: Machine
    since: int


@dataclass
class Firewall:
    """A firewall. Moments are microseconds since 1970."""

    id: str
    name: str
    description: str | None
    region: str
    serial: int
    created: int
    updated: int
    rules: list[FirewallRule] = field(default_factory=list)
    attached: dict[str, Attachment] = field(default_factory=dict)

    def called(self) -> str:
        """The firewall in a sentence."""
        return f"Firewall {self.name!r} ({self.id})"


class FirewallStore:
    """All firewalls of the account. They cost nothing.

    No operation detaches one: it goes from an instance when that is deleted.
    """

    def __init__(self, account: CloudAccount, machines: Machines) -> None:
        self._account = account
        self._all: dict[str, Firewall] = {}
        self._next_id = FIRST_ID
        machines.watchers.append(self._machine_moved)

    def all(self) -> list[Firewall]:
        """Firewalls that exist, in order of creation."""
        return list(self._all.values())

    def get(self, id_: str) -> Firewall:
        """One firewall.

        Raises:
            Refused: 404.
        """
        firewall = self._all.get(id_)
        if firewall is None:
            raise refusals.not_found("Firewall", id_)
        return firewall

    def of(self, machine: Machine) -> list[tuple[Firewall, Attachment]]:
        """Firewalls that guard an instance."""
        return [(f, f.attached[machine.id]) for f in self.all() if machine.id in f.attached]

    def create(self, name: str, region: str, description: str | None) -> Firewall:
        """Make a firewall.

        Raises:
            Refused: 409 for a name that is taken.
        """
        if any(other.name == name for other in self._all.values()):
            raise refusals.duplicate("Firewall", name)
        account = self._account
        firewall = Firewall(
            id=str(self._next_id),
            name=name,
            description=description,
            region=region,
            serial=account.next_serial(),
            created=account.micros,
            updated=account.micros,
        )
        self._next_id += 1
        self._all[firewall.id] = firewall
        account.record("firewall", firewall.id, name, f"created in {region}")
        return firewall

    def delete(self, id_: str) -> None:
        """Delete a firewall that is not attached.

        Raises:
            Refused: 404, 409.
        """
        firewall = self.get(id_)
        if firewall.attached:
            names = ", ".join(repr(a.machine.name) for a in firewall.attached.values())
            raise refusals.conflict(
                f"{firewall.called()} cannot be deleted: it is attached to {names}",
                "firewall_in_use",
            )
        del self._all[id_]
        self._account.record("firewall", firewall.id, firewall.name, "deleted")

    def attach(self, id_: str, machines: Sequence[Machine]) -> list[Attachment]:
        """Attach a firewall to instances, all or none; those that have it keep it.

        Raises:
            Refused: 404, 409.
        """
        firewall = self.get(id_)
        for machine in machines:
            if machine.region != firewall.region:
                raise refusals.conflict(
                    f"{machine.called()} is in {machine.region}, "
                    f"{firewall.called()} in {firewall.region}",
                    "wrong_region",
                )
            if not is_eligible(machine):
                raise refusals.conflict(
                    f"{machine.called()} is {machine.status}; to have a firewall attached, it "
                    "must be ACTIVE or SHUTOFF"
                )
        for machine in machines:
            if machine.id not in firewall.attached:
                number = str(self._account.next_serial())
                attachment = Attachment(number, machine, self._account.micros)
                firewall.attached[machine.id] = attachment
                self.change(firewall, f"attached to {machine.id}")
        return [firewall.attached[machine.id] for machine in machines]

    def change(self, firewall: Firewall, detail: str) -> None:
        """Note that something of a firewall has changed."""
        firewall.updated = self._account.micros
        self._account.record("firewall", firewall.id, firewall.name, detail)

    def _machine_moved(self, machine: Machine, before: VMStatus, after: VMStatus) -> None:
        if after is VMStatus.DELETED:
            for firewall, _ in self.of(machine):
                del firewall.attached[machine.id]
                self.change(firewall, f"outlives {machine.id}")

    def dump(self) -> list[dict[str, Any]]:
        """Firewalls as JSON values, under the library's own names."""
        return [
            {
                "id": x.id,
                "name": x.name,
                "region": x.region,
                "rules": len(x.rules),
                "instance_ids": list(x.attached),
            }
            for x in self.all()
        ]


def is_eligible(machine: Machine) -> bool:
    """Whether a firewall can be attached to an instance [I]."""
    return machine.status in FULL_RATE
