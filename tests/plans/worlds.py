"""Accounts to decide about: built by hand, or put together from whatever a chooser picks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from barrack_tasks.api.models import Snapshot, SnapshotStatus, UserVM, VMStatus
from barrack_tasks.plans.names import snapshot_description, snapshot_name
from barrack_tasks.plans.power.snapshot_then import Intent, Memory, Target, Then
from barrack_tasks.plans.steps import Step
from barrack_tasks.plans.world import World

NOW = datetime(2026, 11, 25, 19, tzinfo=UTC)
HOUR = timedelta(hours=1)

Choose = Callable[[Sequence[Any]], Any]
"""Picks one of a sequence: a random generator's `choice`, or a draw of Hypothesis."""

STATES = [*VMStatus, VMStatus("PAUSED"), VMStatus("")]
SNAPSHOT_STATES = [*SnapshotStatus, SnapshotStatus("archived")]


def vm(name: str = "alpha", status: str = "ACTIVE", id_: str = "", **more: Any) -> UserVM:
    """An instance; its id is made of its name unless given."""
    fields: dict[str, Any] = {"hourly_price": "2.50", "currency": "USD", **more}
    return UserVM(id=id_ or f"BRK-{name}", name=name, status=VMStatus(status), **fields)


def snap(
    instance: UserVM,
    moment: datetime = NOW,
    status: str = "SUCCESS",
    **more: Any,
) -> Snapshot:
    """A snapshot that this library took of an instance at a moment."""
    name = snapshot_name(instance.name, instance.id, moment)
    fields: dict[str, Any] = {
        "id": f"id-{name}",
        "name": name,
        "description": snapshot_description(instance.id),
        "instance_id": instance.id,
        "created_at": moment,
        **more,
    }
    return Snapshot(status=SnapshotStatus(status), **fields)


def days(count: int) -> datetime:
    """The moment so many days before now."""
    return NOW - timedelta(days=count)


def account(*instances: UserVM, snapshots: Sequence[Snapshot] = (), **more: Any) -> World:
    """A world of instances and snapshots, the latter by the instance they name.

    It was asked which snapshots an image depends on: on none, if nothing else is said.
    """
    grouped: dict[str, list[Snapshot]] = {}
    for snapshot in snapshots:
        grouped.setdefault(snapshot.instance_id or "", []).append(snapshot)
    return World({i.id: i for i in instances}, grouped, **{"depended_on": frozenset(), **more})


def intent(*instances: UserVM, then: str = "hibernate", **more: Any) -> Intent:
    """A run of now that wants these instances, with an hour for each."""
    fields: dict[str, Any] = {"timeout": HOUR, **more}
    targets = tuple(Target(i.id, i.name, NOW, i) for i in instances)
    return Intent(targets, Then(then), NOW, **fields)


@dataclass
class Case:
    """Everything that `decide` is asked with."""

    world: World
    intent: Intent
    memory: Memory
    now: datetime


def any_case(choose: Choose) -> Case:
    """A case out of everything that can come together, likely or not."""
    instances: dict[str, UserVM] = {}
    snapshots: dict[str, list[Snapshot]] = {}
    gone: set[str] = set()
    targets: list[Target] = []
    memory = Memory()
    protected: set[str] = set()
    for number in range(choose([1, 1, 2, 4])):
        name = choose(["m", "train", "x" * 29, "x" * 48]) + str(number)
        instance = vm(
            name,
            choose([*["ACTIVE"] * 9, *[then.goal for then in Then] * 3, *STATES]),
            f"BRK-{number}",
        )
        id_ = instance.id
        presence = choose(["listed"] * 8 + ["gone", "missing"])
        if presence == "listed":
            instances[id_] = instance
        elif presence == "gone":
            gone.add(id_)
        snapshots[id_] = _any_snapshots(instance, choose)
        targets.append(
            Target(
                id_,
                name,
                NOW - choose([timedelta(0), 2 * HOUR]),
                choose([instance, vm(name, "ACTIVE", id_), None]),
                choose([False, True]),
            )
        )
        if choose([0] * 9 + [1]):
            protected.add(id_)
        _any_memory(memory, id_, [s.id for s in snapshots[id_]], choose)
    ids = [s.id for of_one in snapshots.values() for s in of_one]
    return Case(
        World(
            instances,
            snapshots,
            frozenset(gone),
            frozenset(i for i in [*memory.taken.values(), *ids] if choose([0, 0, 1])),
            choose([None, frozenset(), frozenset(), frozenset(i for i in ids if choose([0, 1]))]),
        ),
        Intent(
            tuple(targets),
            choose(list(Then)),
            NOW,
            choose([HOUR, timedelta(0)]) if choose([0, 0, 0, 1]) else HOUR,
            choose([1, 2, 3]),
            frozenset(protected),
        ),
        memory,
        NOW + choose([timedelta(0), timedelta(minutes=59), HOUR]),
    )


def _any_snapshots(instance: UserVM, choose: Choose) -> list[Snapshot]:
    found = []
    if choose([0, 1, 1]):
        found.append(_any_snapshot(instance, NOW, choose, 0))
    for number in range(1, choose([1, 1, 2, 4, 6])):
        found.append(_any_snapshot(instance, days(choose([1, 2, number])), choose, number))
    return found


def _any_snapshot(instance: UserVM, moment: datetime, choose: Choose, number: int) -> Snapshot:
    taken = snap(
        instance,
        moment,
        choose(["SUCCESS", "available"] * 8 + SNAPSHOT_STATES),
        id=f"{instance.id}-s{number}",
        is_image=choose([None, False, False, True]),
        created_at=choose([moment, moment, moment, None]),
        instance_id=choose([instance.id] * 6 + [None, "BRK-other"]),
        description=choose(
            [snapshot_description(instance.id)] * 4
            + [snapshot_description("BRK-other"), "by hand", "", None]
        ),
    )
    by_hand = moment != NOW and choose([0, 0, 0, 1])
    return taken.model_copy(update={"name": f"by-hand-{number}"}) if by_hand else taken


def _any_memory(memory: Memory, id_: str, snapshot_ids: list[str], choose: Choose) -> None:
    def rarely() -> bool:
        return bool(choose([0] * 7 + [1]))

    if rarely():
        memory.begin(Step("hibernate_instance", id_, id_, {"instance_id": id_}))
    if choose([0, 0, 1]):
        memory.taken[id_] = choose([*snapshot_ids, "", "lost"])
    if choose([0, 0, 1]):
        memory.acted.add(id_)
    if choose([0, 0, 1]):
        memory.refused[id_] = ["no"] * choose([1, 2, 3])
    if rarely():
        memory.hopeless[id_] = "never"
    if rarely():
        memory.held_by[id_] = "run other"
    for snapshot_id in snapshot_ids:
        if rarely():
            memory.not_deleted[snapshot_id] = "no"
        if rarely():
            memory.dropped.add(snapshot_id)
