"""Publishing images: what the flow needs of the account."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from barrack_tasks.api import BarrackError
from barrack_tasks.api.models import Image
from barrack_tasks.controllers.run import Run
from barrack_tasks.plans import lease_keys
from barrack_tasks.plans.memory import Memory, Target, decide_each
from barrack_tasks.plans.names import LATEST, nearest
from barrack_tasks.plans.snapshots.images import Publishing, decide_publishing, image_name
from barrack_tasks.plans.snapshots.restore import find_snapshot
from barrack_tasks.plans.steps import Finished, Next, Reason
from barrack_tasks.plans.world import World
from barrack_tasks.runtime.leases import Hold
from barrack_tasks.runtime.loop import Log, now
from barrack_tasks.runtime.observe import images_of, observe, with_images
from barrack_tasks.server.credentials import BarrackCredentials
from barrack_tasks.server.events import emit
from barrack_tasks.tasks.images import delete_image


def begin(account: BarrackCredentials, source: str, family: str, moment: datetime) -> Publishing:
    """What is to be made of an instance or a snapshot.

    Raises:
        ValueError: there is neither an instance nor a snapshot called so; names the nearest.
    """
    client = account.get_client()
    instances, snapshots = list(client.instances.list()), list(client.snapshots.list())
    name = image_name(family, moment)
    for instance in instances:
        if source in (instance.id, instance.name):
            return Publishing(family, name, instance=instance)
    try:
        return Publishing(family, name, snapshot=find_snapshot(source, snapshots, client.now()))
    except ValueError as error:
        if source.startswith(LATEST):
            raise ValueError(f"source: {error}") from None
        names = [i.name for i in instances] + [s.name for s in snapshots]
        raise ValueError(
            f"source: no instance and no snapshot is called {source!r}; {nearest(source, names)}"
        ) from None


class Publication:
    """One image on its way, from its source to the snapshot that it depends on.

    Args:
        run: the run.
        hold: what it holds.
        one: what is made, and of what.
        timeout: for all of it.
    """

    def __init__(self, run: Run, hold: Hold, one: Publishing, timeout: timedelta) -> None:
        self._run = run
        self._hold = hold
        self._one = one
        self._timeout = timeout
        self._memory = Memory()
        self._target = Target(one.key, one.name, now())
        self.world = World()

    def planned(self) -> Next:
        """What would be done first; nothing is changed."""
        self.world = self._observed()
        return decide_publishing(self._one, self.world, self._memory)

    def work(self) -> Finished:
        """Make the image and see that it depends on its snapshot; how that ended."""
        if holder := held_by_another(self._hold, self._one):
            return Finished("skipped", f"{holder} is working on it", Reason.HELD)
        self.world, plan = self._run.work(
            self._hold,
            (self._target,),
            self._memory,
            look=self._look,
            decide=self._decide,
            timeout=self._timeout,
        )
        return verified(self._run.account, self._one, self.world, plan[self._one.key])

    def _look(self) -> World:
        # What the image is made of is held anew if the lease was lost meanwhile.
        if holder := held_by_another(self._hold, self._one):
            self._memory.held_by[self._one.key] = holder
        return self._observed()

    def _observed(self) -> World:
        return with_images(self._run.account, observe(self._run.account))

    def _decide(self, world: World, moment: datetime) -> dict[str, Next]:
        return decide_each(
            (self._target,),
            lambda _: decide_publishing(self._one, world, self._memory),
            self._memory,
            world,
            (),
            self._timeout,
            moment,
        )


def held_by_another(hold: Hold, one: Publishing) -> str | None:
    """Hold what the image is made of; the run that has it, if another does."""
    if one.instance is not None:
        refused = hold.claim({one.instance.id: one.instance.name})
    else:
        refused = hold.share_snapshots([one.snapshot.id] if one.snapshot else [])
    return next(iter(refused.values()), None)


def verified(account: BarrackCredentials, one: Publishing, world: World, next_: Next) -> Finished:
    """The outcome, once the snapshot says that the image depends on it."""
    if not isinstance(next_, Finished) or next_.outcome != "done":
        return next_ if isinstance(next_, Finished) else Finished("failed", "not finished")
    image = next(i for i in world.images if i.name == one.name)
    try:
        source = image.snapshot_id or ""
        depending = images_of(account.get_client(), [source]).get(source, frozenset())
    except BarrackError as error:
        return Finished("failed", f"it was made, but not verified: {error}")
    if image.id not in depending:
        return Finished(
            "failed",
            "it was made, but its snapshot does not list it; look at both in the dashboard",
        )
    emit(
        "barrack.image.published",
        image.id,
        image.name,
        payload={"family": one.family, "snapshot": image.snapshot_id},
    )
    return next_


def delete_images(
    account: BarrackCredentials, hold: Hold, old: Sequence[Image], log: Log
) -> dict[str, str]:
    """Delete old images, each while it is held; ids of those that could not be, and why."""
    refused: dict[str, str] = {}
    with hold.briefly({lease_keys.image(image.id): image.name for image in old}) as held:
        for image in old:
            key = lease_keys.image(image.id)
            if key in held:
                refused[image.id] = f"{held[key]} is working on it"
                continue
            log.info("%s is deleted; its snapshot stays and is still billed", image.name)
            try:
                delete_image(hold.guarded(account, key), image.id)
            except BarrackError as error:
                refused[image.id] = str(error)
                continue
            emit("barrack.image.deleted", image.id, image.name)
    return refused
