"""Which images depend on snapshots, by whatever an API has that tells it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from barrack_tasks.api.dialect.loading import merged
from barrack_tasks.runtime.observe import depended_on
from barrack_tasks.sandbox import Sandbox
from tests.api.helpers import client_of

LACKING = {
    "all in one request": {},
    "one for each": {"operations": {"list_snapshot_images": None}},
    "the list of images": {
        "operations": {"list_snapshot_images": None, "get_snapshot_image": None},
    },
}


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(fleet=2, speed=0.001, seed=3, api_key="key-1") as sandbox:
        yield sandbox


@pytest.mark.parametrize("means", LACKING)
def test_whatever_tells_it_tells_the_same(means: str, sandbox: Sandbox) -> None:
    with client_of(sandbox, dialect=merged(LACKING[means], "less.yaml")) as client:
        both = zip(client.instances.list(), ("kept", "free"), strict=True)
        made = [client.snapshots.create(one.id, name) for one, name in both]
        sandbox.advance(7200)
        client.images.create(name="own", snapshot_id=made[0].id)
        ids = [snapshot.id for snapshot in made]
        assert depended_on(client, ids) == {ids[0]}
        sandbox.fault("status", "list_images", status=503, count=99)
        sandbox.fault("status", "get_snapshot_image", status=403, count=99)
        sandbox.fault("status", "list_snapshot_images", status=403, count=99)
        assert depended_on(client, ids[1:]) is None, "unknown is not none"


def test_an_image_that_does_not_say_what_it_is_made_of_may_be_made_of_any(
    sandbox: Sandbox,
) -> None:
    silent = {**LACKING["the list of images"], "schemas": {"Image": {"snapshot_id": None}}}
    with client_of(sandbox) as client:
        one = next(iter(client.instances.list()))
        made = client.snapshots.create(one.id, "kept")
        sandbox.advance(7200)
        client.images.create(name="own", snapshot_id=made.id)
    with client_of(sandbox, dialect=merged(silent, "less.yaml")) as client:
        assert depended_on(client, [made.id]) == {made.id}
