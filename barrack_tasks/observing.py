"""Observing an account: list calls for the whole fleet, never one call an instance."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from barrack_tasks.api import Barrack, BarrackError, BarrackNotFoundError
from barrack_tasks.api.models import GPUSpec
from barrack_tasks.catalogue import get_gpu_specs, get_gpu_stock, get_pricing
from barrack_tasks.credentials import BarrackCredentials
from barrack_tasks.images import list_images
from barrack_tasks.instances import list_instances
from barrack_tasks.plans.money.burn import tariff_of
from barrack_tasks.plans.world import World, by_instance, stock_of
from barrack_tasks.snapshots import list_snapshots


def observe(
    credentials: BarrackCredentials,
    expected: Collection[str] = (),
    expected_snapshots: Mapping[str, str] | None = None,
) -> World:
    """The account's instances and snapshots now.

    Lists may lag behind, so what is expected and missing from them is asked for by its id before
    it is called gone.

    Args:
        credentials: the account.
        expected: ids of instances that should be there.
        expected_snapshots: ids of snapshots that should be there, by their instance's id.
    """
    # Submitted together: neither list waits for the other.
    instances = list_instances.submit(credentials)
    snapshots = list_snapshots.submit(credentials)
    seen = {instance.id: instance for instance in instances.result()}
    taken = by_instance(snapshots.result())
    client = credentials.get_client()
    listed = {s.id for of_one in taken.values() for s in of_one}
    wanted = set((expected_snapshots or {}).values()) - listed
    return World(
        instances=seen,
        snapshots=taken,
        gone=_gone(client.instances.get, set(expected) - seen.keys()),
        gone_snapshots=_gone(client.snapshots.get, wanted),
    )


def instances_of(credentials: BarrackCredentials, expected: Collection[str]) -> World:
    """The account's instances now; `gone` are those expected that the API does not know.

    Args:
        credentials: the account.
        expected: ids of instances that should be there.
    """
    seen = {instance.id: instance for instance in list_instances(credentials)}
    get = credentials.get_client().instances.get
    return World(instances=seen, gone=_gone(get, set(expected) - seen.keys()))


def with_stock(credentials: BarrackCredentials, world: World) -> World:
    """The world with what can be restored and deployed now; without it, if that is unreadable."""
    try:
        stock = stock_of(get_gpu_stock(credentials))
    except BarrackError:
        return world
    return replace(world, stock=stock)


def with_images(credentials: BarrackCredentials, world: World) -> World:
    """The world with the account's own images."""
    return replace(world, images=tuple(list_images(credentials)))


def flavors_that_cannot_hibernate(
    credentials: BarrackCredentials,
) -> frozenset[tuple[str, int]]:
    """GPU model and count of those that the specifications say cannot; none, if unreadable."""
    try:
        specs = get_gpu_specs(credentials)
    except BarrackError:
        return frozenset()
    return unable_of(specs)


def unable_of(specs: Iterable[GPUSpec]) -> frozenset[tuple[str, int]]:
    """GPU model and count of the flavors that specifications say cannot hibernate."""
    return frozenset(
        (str(gpu.gpu_model), int(of.gpu_count))
        for gpu in specs
        for of in gpu.specs
        if of.can_hibernate is False
    )


def is_unable(credentials: BarrackCredentials, instance_id: str) -> bool:
    """Whether an instance says of itself that it cannot hibernate; lists do not tell."""
    try:
        found = credentials.get_client().instances.get(instance_id)
    except BarrackError:
        return False
    return found.features.get("hibernation") is False


def _gone(get: Callable[[str], Any], missing: Iterable[str]) -> frozenset[str]:
    """Those that the API, asked by id, does not know."""
    return frozenset(id_ for id_ in missing if _is_gone(get, id_))


def _is_gone(get: Callable[[str], Any], id_: str) -> bool:
    try:
        get(id_)
    except BarrackNotFoundError:
        return True
    return False


def depended_on(client: Barrack, snapshot_ids: Collection[str]) -> frozenset[str] | None:
    """Those of the snapshots that an image depends on; None if that cannot be read."""
    if not snapshot_ids:
        return frozenset()
    try:
        relations = client.perform("list_snapshot_images", snapshot_ids=sorted(snapshot_ids))
    except BarrackError:
        return None
    told = {relation.snapshot_id for relation in relations}
    # What the answer is silent about may well be depended on.
    return frozenset({r.snapshot_id for r in relations if r.has_image} | (set(snapshot_ids) - told))


def snapshot_price(credentials: BarrackCredentials) -> tuple[Decimal | None, str | None]:
    """What a GB of snapshots costs an hour, and the currency; None, if unreadable."""
    try:
        prices = get_pricing(credentials)
    except BarrackError:
        return None, None
    currency = next((str(p.currency) for p in prices), None)
    return tariff_of(prices, currency).snapshot_gb, currency
