"""What the claims of a watcher bring back, read and judged before the first look."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from barrack_tasks.api import Barrack, BarrackError
from barrack_tasks.api.models import UserVM
from barrack_tasks.controllers.money.bills import hardware_seen
from barrack_tasks.plans.names import LATEST
from barrack_tasks.plans.selection import what_exists
from barrack_tasks.plans.snapshots.images import latest_image
from barrack_tasks.plans.stock.sources import place_of_snapshot, ready_snapshot
from barrack_tasks.plans.stock.wants import Place, Want, only_in
from barrack_tasks.server.credentials import BarrackCredentials


def with_image(client: Barrack, want: Want) -> Want:
    """The want with the image that is the newest of its family now, in that image's region.

    Raises:
        ValueError: the family has no image that is ready, or the want is for another region.
        BarrackError: the images cannot be read.
    """
    asked = want.claim.image_id if want.claim else None
    if asked is None or not asked.startswith(LATEST):
        return want
    image = latest_image(list(client.images.list()), asked.removeprefix(LATEST))
    known = _with_claim(want, image_id=image.id)
    return only_in(known, str(image.region)) if image.region else known


def with_snapshots(
    credentials: BarrackCredentials, wants: Sequence[Want], instances: Sequence[UserVM]
) -> tuple[tuple[Want, ...], dict[str, Place]]:
    """The wants with the ids of their snapshots, and what each of those restores to.

    Raises:
        ValueError: there is no such snapshot, it is not ready, or its configuration is not known.
        BarrackError: the snapshots cannot be read.
    """
    if not any(want.claim and want.claim.how == "snapshot" for want in wants):
        return tuple(wants), {}
    client = credentials.get_client()
    snapshots = list(client.snapshots.list())
    found: list[Want] = []
    places: dict[str, Place] = {}
    for want in wants:
        if want.claim and want.claim.how == "snapshot":
            snapshot = ready_snapshot(want, snapshots, client.now())
            places[snapshot.id] = place_of_snapshot(
                snapshot, instances, lambda: hardware_seen(credentials.account)
            )
            want = _with_claim(want, snapshot_id=snapshot.id)
        found.append(want)
    return tuple(found), places


def missing_of_claims(client: Barrack, wants: Sequence[Want]) -> tuple[str, ...]:
    """Sentences about images, keys and scripts that claims name and that do not exist.

    For a dry run alone: before a claim nothing is asked that costs time.
    """
    lists: dict[str, tuple[str, Callable[[], Iterable[Any]]]] = {
        "image_id": ("image", lambda: [*client.os_images.list(), *client.images.list()]),
        "ssh_key_id": ("SSH key", client.ssh_keys.list),
        "script_id": ("script", client.scripts.list),
    }
    claims = [w.claim for w in wants if w.claim is not None and w.claim.how == "deploy"]
    said = []
    for field, (kind, read) in lists.items():
        asked = {c.name: id_ for c in claims if (id_ := getattr(c, field))}
        if not asked:
            continue
        try:
            there = {str(one.id): str(one.name) for one in read()}
        except BarrackError as error:
            said.append(f"whether there is the {kind} of a claim could not be looked up: {error}")
            continue
        named = {f"{id_} ({name})" for id_, name in there.items()}
        said += [
            f"the claim {name} would fail: no {kind} has the id {id_!r}; {what_exists(id_, named)}"
            for name, id_ in asked.items()
            if id_ not in there and not id_.startswith(LATEST)
        ]
    return tuple(said)


def _with_claim(want: Want, **known: str | None) -> Want:
    assert want.claim is not None  # noqa: S101 - callers ask before
    return want.model_copy(update={"claim": want.claim.model_copy(update=known)})
