"""Instances: their states, and what moves them from one to the next."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

from barrack_tasks.api.models import VMStatus
from barrack_tasks.api.models.instances import PENDING_ADDRESS
from barrack_tasks.sandbox.cloud import catalogue, refusals
from barrack_tasks.sandbox.cloud.account import CloudAccount
from barrack_tasks.sandbox.cloud.catalogue import Configuration
from barrack_tasks.sandbox.cloud.machine import FULL_RATE, WITHOUT_HARDWARE, Machine, need_offer

S = VMStatus
Watcher = Callable[[Machine, VMStatus, VMStatus], None]


class Machines:
    """All instances of the account."""

    def __init__(self, account: CloudAccount) -> None:
        self._account = account
        self._alive: dict[str, Machine] = {}
        self._gone: dict[str, Machine] = {}
        self._names: dict[str, str] = {}
        self._exposed = 0
        self.watchers: list[Watcher] = []
        """Called after each change of state with the instance, its old and its new state."""

    # Looking

    def _new_id(self) -> str:
        while self.ever(id_ := self._account.instance_id()):
            pass
        return id_

    def all(self) -> list[Machine]:
        """Instances that exist, in order of creation."""
        return list(self._alive.values())

    def get(self, id_: str) -> Machine:
        """One instance.

        Raises:
            Refused: 404.
        """
        machine = self._alive.get(id_)
        if machine is None:
            raise refusals.not_found("Instance", id_)
        return machine

    def ever(self, id_: str) -> Machine | None:
        """An instance that exists or existed."""
        return self._alive.get(id_) or self._gone.get(id_)

    def need_name(self, name: str) -> None:
        """Refuse a name that is taken.

        Raises:
            Refused: 409.
        """
        if name in self._names:
            raise refusals.duplicate("Instance", name)

    def exposed(self) -> bool:
        """Whether the end of the credits would take anything."""
        return self._exposed > 0

    # Coming into being

    def add(
        self,
        *,
        name: str,
        region: str,
        configuration: Configuration,
        status: VMStatus,
        **options: Any,
    ) -> Machine:
        """Put an instance into the account; no check, no price, no stock."""
        account = self._account
        machine = Machine(
            id=self._new_id(),
            name=name,
            region=region,
            configuration=configuration,
            hourly=catalogue.hourly(
                configuration.gpu_model, configuration.gpu_count, account.currency
            ),
            serial=account.next_serial(),
            created=account.micros,
            updated=account.micros,
            status=status,
            private_ip=account.private_ip(),
            **{"can_hibernate": configuration.can_hibernate, **options},
        )
        self._alive[machine.id] = machine
        self._names[name] = machine.id
        self._exposed += status is not S.HIBERNATED
        return machine

    def seed(
        self,
        *,
        name: str,
        gpu_model: str = "L40",
        gpu_count: int = 1,
        region: str = "CANADA-1",
        status: str = "ACTIVE",
        **options: Any,
    ) -> Machine:
        """Put an instance into the account in any state, at once and free of charge.

        Raises:
            Refused: 409 for a name that is taken, 422 for hardware or a region that is not
                offered.
        """
        self.need_name(name)
        configuration = need_offer(region, gpu_model, gpu_count)
        machine = self.add(
            name=name,
            region=region,
            configuration=configuration,
            status=S.CREATING,
            holds_hardware=True,
            image_id="1",
            image_name="Ubuntu 24.04 LTS",
            **options,
        )
        self._enter(machine, S(status), "seeded")
        return machine

    def deploy(
        self, *, name: str, region: str, configuration: Configuration, **options: Any
    ) -> Machine:
        """Begin to create an instance: stock is taken now, charges begin when it is ACTIVE.

        Raises:
            Refused: 402, 409.
        """
        account = self._account
        self.need_name(name)
        account.need_balance()
        account.need_stock(region, configuration.gpu_model, configuration.gpu_count)
        machine = self.add(
            name=name,
            region=region,
            configuration=configuration,
            status=S.CREATING,
            address_comes="addressless" not in account.twists,
            **options,
        )
        self.work(machine, S.CREATING, S.ACTIVE, "create")
        if "vanish" in account.twists:
            account.later(account.twists["vanish"], lambda: self._vanish(machine))
        return machine

    def lose_snapshot(self, snapshot_id: str) -> None:
        """A snapshot is gone, and with it what is being made of it."""
        for machine in self.all():
            if machine.snapshot_id == snapshot_id and machine.status is S.CREATING:
                self._enter(machine, S.DELETED, "its snapshot was deleted")

    def _vanish(self, machine: Machine) -> None:
        if machine.id in self._alive:
            self._enter(machine, S.DELETED, "vanished")

    # Moving

    def act(
        self,
        id_: str,
        work: str,
        allowed: Iterable[VMStatus],
        through: VMStatus,
        to: VMStatus,
    ) -> Machine:
        """Begin some work on an instance that is in one of the allowed states.

        Raises:
            Refused: 404, 409.
        """
        machine = self.get(id_)
        allowed = tuple(allowed)
        if machine.status not in allowed:
            needed = " or ".join(str(s) for s in allowed)
            raise refusals.conflict(
                f"{machine.called()} is {machine.status}; to {work} it, it must be {needed}"
            )
        if through is S.HIBERNATING and not machine.can_hibernate:
            raise refusals.conflict(
                f"{machine.called()} cannot be hibernated: the flavor "
                f"{machine.configuration.flavor} does not support it",
                "hibernation_not_supported",
            )
        if machine.status is S.HIBERNATED and through is S.RESTORING:
            self._account.need_balance(Decimal("0.000001"))
            self._account.need_stock(
                machine.region, machine.configuration.gpu_model, machine.configuration.gpu_count
            )
        self.work(machine, through, to, work)
        return machine

    def work(self, machine: Machine, through: VMStatus, to: VMStatus, work: str) -> None:
        """Enter a passing state, and the next one when the work is done."""
        account = self._account
        self._enter(machine, through, work)
        took = account.duration(work)
        if "stuck" in account.twists:
            return
        end = S.ERROR if "fail" in account.twists else to
        turn = machine.turn

        def finish() -> None:
            if machine.turn == turn:
                self._enter(machine, end, f"{work} finished" if end is to else f"{work} failed")

        account.later(took, finish)

    def force(self, id_: str, status: str) -> Machine:
        """Put an instance into a state at once, as a person in the console might have.

        Raises:
            Refused: 404, or 422 for a word that is no state.
        """
        machine = self.get(id_)
        word = S(status)
        if not word.known:
            raise refusals.invalid({"status": f"must be one of {', '.join(S.__members__)}"})
        self._enter(machine, word, "a person acted")
        return machine

    def deplete(self) -> None:
        """Take everything that is not HIBERNATED away."""
        for machine in self.all():
            if machine.status is not S.HIBERNATED:
                self._enter(machine, S.DELETED, "depleted")

    def change(self, machine: Machine, detail: str) -> None:
        """Note that something of an instance has changed that is not its state."""
        machine.updated = self._account.micros
        self._account.record("instance", machine.id, machine.name, detail)

    def toggle_public_ip(self, id_: str) -> Machine:
        """Give an address to an instance that has none, or take it away.

        Raises:
            Refused: 404, 409.
        """
        machine = self.get(id_)
        if machine.status not in FULL_RATE:
            raise refusals.conflict(
                f"{machine.called()} is {machine.status}; its address can be changed while it is "
                "ACTIVE or SHUTOFF"
            )
        machine.public_ip = None if machine.public_ip else self._account.public_ip()
        machine.wants_public_ip = machine.public_ip is not None
        self.change(machine, f"public ip {machine.public_ip or 'released'}")
        return machine

    def _enter(self, machine: Machine, status: VMStatus, why: str) -> None:
        account = self._account
        before = machine.status
        self._exposed += (status is not S.HIBERNATED) - (before is not S.HIBERNATED)
        machine.status = status
        machine.updated = account.micros
        machine.turn += 1
        self._set_address(machine)
        self._move_hardware(machine)
        if status is S.HIBERNATED:
            machine.hibernated = account.micros
        elif status is not S.RESTORING:
            machine.hibernated = None
        detail = f"{before} -> {status}: {why}" if before is not status else f"{status}: {why}"
        account.record("instance", machine.id, machine.name, detail)
        if status is S.DELETED:
            self._exposed -= 1
            account.meter.leave(machine.resource, account.micros)
            del self._alive[machine.id]
            del self._names[machine.name]
            self._gone[machine.id] = machine
        else:
            account.meter.enter(
                machine.resource, str(status), machine.rate(account.currency), account.micros
            )
        for watcher in self.watchers:
            watcher(machine, before, status)

    def _set_address(self, machine: Machine) -> None:
        if machine.status in WITHOUT_HARDWARE or not machine.wants_public_ip:
            machine.public_ip = None
        elif machine.status in (S.CREATING, S.BUILD, S.RESTORING) or not machine.address_comes:
            machine.public_ip = PENDING_ADDRESS
        elif machine.public_ip in (None, PENDING_ADDRESS):
            machine.public_ip = self._account.public_ip()

    def _move_hardware(self, machine: Machine) -> None:
        holds = machine.status not in WITHOUT_HARDWARE
        if holds != machine.holds_hardware:
            size = machine.configuration
            self._account.move_stock(
                machine.region, size.gpu_model, -size.gpu_count if holds else size.gpu_count
            )
            machine.holds_hardware = holds

    def dump(self) -> list[dict[str, Any]]:
        """Instances as JSON values, each with what it has cost."""
        meter, now = self._account.meter, self._account.micros
        return [{**x.dump(), "accrued": str(meter.accrued(x.resource, now))} for x in self.all()]
