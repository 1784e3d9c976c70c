"""The sandbox's world: one account and all that is in it, settled up to now before each request."""

from __future__ import annotations

from decimal import Decimal

from barrack_tasks.sandbox.cloud.account import CloudAccount
from barrack_tasks.sandbox.cloud.attachments import Attachments
from barrack_tasks.sandbox.cloud.chats import Chats
from barrack_tasks.sandbox.cloud.clock import Clock
from barrack_tasks.sandbox.cloud.firewalls import FirewallStore
from barrack_tasks.sandbox.cloud.images import ImageStore
from barrack_tasks.sandbox.cloud.keys_and_scripts import Keeping, Key, StartupScript
from barrack_tasks.sandbox.cloud.machines import Machines
from barrack_tasks.sandbox.cloud.settings import Settings
from barrack_tasks.sandbox.cloud.snapshots import SnapshotStore
from barrack_tasks.sandbox.cloud.volumes import VolumeStore


class CloudState(CloudAccount):
    """All state of a sandbox: the account and its resources.

    Example:
        >>> world = World(Clock(speed=0), balance=Decimal(10))
        >>> machine = world.machines.seed(name="alpha", gpu_model="L40", gpu_count=1)
        >>> world.clock.advance(3600)
        >>> world.settle()
        >>> world.balance()
        Decimal('8.810000')
    """

    def __init__(
        self,
        clock: Clock,
        balance: Decimal = Decimal(100),
        currency: str = "USD",
        seed: int = 0,
        settings: Settings | None = None,
    ) -> None:
        super().__init__(clock, balance, currency, seed, settings)
        self.machines = Machines(self)
        self.images = ImageStore(self)
        self.snapshots = SnapshotStore(self, self.machines, self.images)
        self.volumes = VolumeStore(self)
        self.attachments = Attachments(self, self.machines, self.volumes)
        self.firewalls = FirewallStore(self, self.machines)
        self.keys: Keeping[Key] = Keeping(self, "SSH key", 3101)
        self.scripts: Keeping[StartupScript] = Keeping(self, "Startup script", 5101)
        self.chats = Chats(self)

    def _is_exposed(self) -> bool:
        return any(one.exposed() for one in (self.machines, self.snapshots, self.volumes))

    def _lose(self) -> None:
        self.machines.deplete()
        self.snapshots.deplete()
        self.volumes.deplete()
