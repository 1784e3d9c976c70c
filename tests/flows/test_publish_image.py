"""publish_image against a real Prefect server and a real local cloud."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from barrack_tasks import create_instance
from barrack_tasks.controllers.reports import WorkFailed
from barrack_tasks.sandbox import Sandbox
from flows.publish_image import publish_image
from flows.watch_gpu_stock import watch_gpu_stock
from tests.flows.conftest import account_of, effects, events_about, states
from tests.flows.killing import Point, killed_and_rerun

Cloud = Callable[..., Sandbox]


@pytest.mark.slow
def test_the_newest_of_a_family_are_kept_and_booted_from(cloud: Cloud, tmp_path: Path) -> None:
    sandbox = cloud(fleet=0, balance="500")
    sandbox.seed_instance("builder", gpu_model="L40")
    account = account_of(sandbox)
    plan = publish_image("builder", "base", dry_run=True, credentials=account)
    assert plan.rows[0].did == ("create snapshot", "create image")
    assert sandbox.state()["images"] == []
    ids = [publish_image("builder", "base", keep=2, credentials=account).image_id for _ in range(3)]
    sandbox.advance(60)
    assert [i["id"] for i in sandbox.state()["images"]] == ids[1:]
    assert len(sandbox.state()["snapshots"]) == 3, "snapshots stay"
    [event] = events_about(f"barrack.image.{ids[2]}", "barrack.image.published")
    assert event["payload"]["family"] == "base"
    made = create_instance(account, "worker", "CANADA-1", "L40", image_id="latest:base")
    sandbox.advance(300)
    assert account.get_client().instances.get(made.id).image.id == ids[2]  # type: ignore[union-attr]
    with pytest.raises(ValueError, match="the family 'bas' is ready; known families: base"):
        create_instance(account, "other", "CANADA-1", "L40", image_id="latest:bas")
    assert sorted(states(sandbox)) == ["builder", "worker"]
    # A claim goes where the image is, whatever region has most in stock.
    sandbox.set_stock("NORWAY-1", "L40", 50)
    want = {"gpu_model": "L40", "claim": {"name": "claimed", "image_id": "latest:base"}}
    watch_gpu_stock([want], history=tmp_path, credentials=account)
    [claimed] = [i for i in sandbox.state()["instances"] if i["name"] == "claimed"]
    assert claimed["region"] == "CANADA-1"


def test_a_failure_deletes_nothing_and_bad_input_is_one_sentence(cloud: Cloud) -> None:
    sandbox = cloud(fleet=0, balance="500")
    id_ = sandbox.seed_instance("builder", gpu_model="L40")
    account = account_of(sandbox)
    publish_image("builder", "base", keep=1, credentials=account)
    sandbox.fault("fail", operation="create_image")
    with pytest.raises(WorkFailed, match="the image ended as FAILED"):
        publish_image("latest:builder", "base", keep=1, credentials=account)
    assert effects(sandbox, "delete_image") == []
    sandbox.set_instance_status(id_, "SHUTOFF")
    with pytest.raises(WorkFailed, match="a snapshot needs builder to be ACTIVE"):
        publish_image("builder", "base", credentials=account)
    [snapshot, *_] = account.get_client().snapshots.list()
    for asked, near in (("bulider", "builder"), (snapshot.name[:-3], snapshot.name)):
        with pytest.raises(ValueError, match=f"is called '{asked}'; the nearest is '{near}'"):
            publish_image(asked, "base", credentials=account)
    with pytest.raises(ValueError, match=r"source: snapshot: .* the nearest is 'builder'"):
        publish_image("latest:bulider", "base", credentials=account)
    with pytest.raises(ValueError, match="family: may hold letters"):
        publish_image("builder", "a/b", credentials=account)


@pytest.mark.slow
@pytest.mark.parametrize(
    "point",
    [Point("create_snapshot", 1, "after"), Point("create_image", 1, "after")],
    ids=str,
)
def test_killed_and_started_again_there_is_one_image(
    cloud: Cloud, prefect_server: str, point: Point
) -> None:
    sandbox = cloud(fleet=0, balance="500")
    sandbox.seed_instance("builder", gpu_model="L40")
    environment = {**sandbox.env, "PREFECT_API_URL": prefect_server}
    arguments = {"source": "builder", "family": "base"}
    killed_and_rerun("publish_image", environment, arguments, point)
    assert len(effects(sandbox, "create_snapshot")) == 1
    assert len(effects(sandbox, "create_image")) == 1
