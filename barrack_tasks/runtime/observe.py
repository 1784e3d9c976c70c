"""Observing an account: list calls for the whole fleet, never one call an instance."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any, Literal

from barrack_tasks.api import (
    Barrack,
    BarrackConfigurationError,
    BarrackError,
    BarrackNotFoundError,
)
from barrack_tasks.api.models import GPUSpec
from barrack_tasks.plans.money.burn import tariff_of
from barrack_tasks.plans.world import World, by_instance, stock_of
from barrack_tasks.server.credentials import BarrackCredentials
from barrack_tasks.server.variables import Records, key_of_id

Reads = Literal["needed", "if readable", "not needed"]
CONFIRMED_AFTER = timedelta(minutes=3)
"""So long after the API first did not know an instance it must say so again."""


def observe(
    credentials: BarrackCredentials,
    expected: Collection[str] = (),
    expected_snapshots: Mapping[str, str] | None = None,
    snapshots: Reads = "needed",
) -> World:
    """The account's instances and snapshots now.

    Lists may lag behind, so what is expected and missing from them is asked for by its id before
    it is called gone.

    Args:
        credentials: the account.
        expected: ids of instances that should be there.
        expected_snapshots: ids of snapshots that should be there, by their instance's id.
        snapshots: whether they are needed; an intent that takes none goes on without them.
    """
    client = credentials.get_client()
    with ThreadPoolExecutor(2) as pool:  # neither list waits for the other
        listing = (
            pool.submit(lambda: list(client.snapshots.list()))
            if snapshots != "not needed"
            else None
        )
        seen = {instance.id: instance for instance in client.instances.list()}
    try:
        taken = by_instance(listing.result()) if listing else {}
    except BarrackError:
        if snapshots == "needed":
            raise
        taken = {}
    listed = {s.id for of_one in taken.values() for s in of_one}
    wanted = set((expected_snapshots or {}).values()) - listed
    return World(
        instances=seen,
        snapshots=taken,
        gone=_gone(client.instances.get, set(expected) - seen.keys()),
        gone_snapshots=_gone(client.snapshots.get, wanted),
    )


def instances_of(credentials: BarrackCredentials, expected: Collection[str]) -> World:
    """The account's instances now; `gone` are those expected that may be forgotten.

    Args:
        credentials: the account.
        expected: ids of instances that something is remembered of; see `confirmed_gone`.
    """
    seen = {instance.id: instance for instance in credentials.get_client().instances.list()}
    return World(instances=seen, gone=confirmed_gone(credentials, expected, seen))


def with_stock(credentials: BarrackCredentials, world: World) -> World:
    """The world with what can be restored and deployed now; without it, if that is unreadable."""
    try:
        stock = stock_of(credentials.get_client().gpu_stocks.list())
    except BarrackError:
        return world
    return replace(world, stock=stock)


def with_images(credentials: BarrackCredentials, world: World) -> World:
    """The world with the account's own images."""
    return replace(world, images=tuple(credentials.get_client().images.list()))


def flavors_that_cannot_hibernate(
    credentials: BarrackCredentials,
) -> frozenset[tuple[str, int]]:
    """GPU model and count of those that the specifications say cannot; none, if unreadable."""
    if "get_gpu_specs" not in credentials.get_client().dialect.operations:
        return frozenset()
    try:
        specs = credentials.get_client().gpu_specs.list()
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
    return frozenset(id_ for id_ in missing if _is_known(get, id_) is False)


def is_gone(credentials: BarrackCredentials, id_: str) -> bool:
    """Whether the API, asked by id, does not know an instance now."""
    return bool(_gone(credentials.get_client().instances.get, [id_]))


def _is_known(get: Callable[[str], Any], id_: str) -> bool | None:
    """Whether the API, asked by id, knows it; None if what answers is not the API itself."""
    try:
        get(id_)
    except BarrackNotFoundError as error:
        return False if error.is_api_answer else None
    except BarrackConfigurationError:
        return None  # the dialect has no operation that asks
    return True


def confirmed_gone(
    credentials: BarrackCredentials,
    expected: Collection[str],
    there: Collection[str],
    get: Callable[[str], Any] | None = None,
    dry_run: bool = False,
) -> frozenset[str]:
    """Those that may be forgotten for good: no list shows them, and the API has said so twice.

    One list may lack what is there, and one answer may be wrong. So the first time that the API,
    asked by id, does not know an instance is noted where every worker sees it, by the cloud's
    clock; what it still does not know `CONFIRMED_AFTER` later is gone. Whatever a list shows in
    between begins anew. What is not confirmed yet is neither gone nor there: wait.

    Args:
        credentials: the account.
        expected: ids of instances that something is remembered of.
        there: ids that a list, read just now, shows.
        get: asks the API for one; for an instance, if not given. Where it is given, ids may be
            whatever tells things of all kinds apart.
        dry_run: note nothing.

    Example:
        >>> confirmed_gone(account, notes.keys(), world.instances.keys())
    """
    if not expected:
        return frozenset()
    client = credentials.get_client()
    known: dict[str, bool | None] = dict.fromkeys(there, True)
    for id_ in set(expected) - known.keys():
        try:
            known[id_] = _is_known(get or client.instances.get, id_)
        except BarrackError:
            known[id_] = None
    moment = int(client.now().timestamp())
    confirmed = set()
    with Records(_missing(credentials)) as records:
        first: dict[str, int] = {}
        for name, written in records.all().items():
            with suppress(TypeError, ValueError):
                id_, at = written
                first[id_] = int(at)
                if known.get(id_) and not dry_run:
                    records.drop(name)
        for id_ in (id_ for id_, is_known in known.items() if is_known is False):
            if moment - first.get(id_, moment) >= CONFIRMED_AFTER.total_seconds():
                confirmed.add(id_)
            if dry_run:
                continue
            if id_ not in first:
                records.put(key_of_id(id_), [id_, moment])
            elif id_ in confirmed:
                records.drop(key_of_id(id_))
    return frozenset(confirmed)


def note_going(credentials: BarrackCredentials, id_: str) -> None:
    """Note that the API has accepted to delete an instance: it has said once that it goes."""
    moment = int(credentials.get_client().now().timestamp())
    with Records(_missing(credentials)) as records:
        records.put(key_of_id(id_), [id_, moment])


def _missing(credentials: BarrackCredentials) -> str:
    return f"barrack_missing_{credentials.account}_"


def depended_on(client: Barrack, snapshot_ids: Collection[str]) -> frozenset[str] | None:
    """Those of the snapshots that an image depends on; None if that cannot be read."""
    if not snapshot_ids:
        return frozenset()
    try:
        found = images_of(client, snapshot_ids)
    except BarrackError:
        return None
    # What the answer is silent about may well be depended on.
    return frozenset(id_ for id_ in snapshot_ids if found.get(id_) != frozenset())


def images_of(client: Barrack, snapshot_ids: Collection[str]) -> dict[str, frozenset[str]]:
    """Ids of the images that depend on snapshots, by snapshot, by whatever tells them.

    That is one request for all, or one for each, or the list of images, where each says what it
    was made from. What nothing tells of is left out.

    Raises:
        BarrackError: it cannot be read.
    """
    there = client.dialect.operations
    if "list_snapshot_images" in there:
        relations = client.perform("list_snapshot_images", snapshot_ids=sorted(snapshot_ids))
    elif "get_snapshot_image" in there:
        ids = sorted(snapshot_ids)
        relations = [client.perform("get_snapshot_image", snapshot_id=id_) for id_ in ids]
    else:
        images = list(client.images.list())
        if any(image.snapshot_id is None for image in images):
            return {}
        made = {id_: {i.id for i in images if i.snapshot_id == id_} for id_ in snapshot_ids}
        return {id_: frozenset(ids) for id_, ids in made.items()}
    return {r.snapshot_id: frozenset(i.id for i in r.images) for r in relations}


def snapshot_price(credentials: BarrackCredentials) -> tuple[Decimal | None, str | None]:
    """What a GB of snapshots costs an hour, and the currency; None, if unreadable."""
    try:
        prices = credentials.get_client().pricing.list()
    except BarrackError:
        return None, None
    currency = next((str(p.currency) for p in prices), None)
    return tariff_of(prices, currency).snapshot_gb, currency
