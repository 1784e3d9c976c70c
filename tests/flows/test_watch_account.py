"""watch_account, the catalogue of events and hooks, for real."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from barrack_tasks import on
from barrack_tasks.sandbox import Sandbox
from barrack_tasks.server.events import EVENTS, Happening, emit
from docs.generate.events import TARGET, page
from flows.hibernate import hibernate
from flows.watch_account import watch_account
from tests.flows.conftest import account_of, events_about, fleet

Cloud = Callable[..., Sandbox]


def words(report: Any) -> list[tuple[str, str]]:
    return [(c.name, c.event.removeprefix("barrack.")) for c in report.changes]


def test_what_cannot_be_read_is_not_forgotten_and_the_rest_is_told(cloud: Cloud) -> None:
    sandbox = fleet(cloud, "5000", "alpha")
    account = account_of(sandbox)
    client = account.get_client()
    [alpha] = client.instances.list()
    client.volumes.create("data", 10, str(alpha.region), "Cloud-SSD")
    sandbox.advance(600)
    watch_account(credentials=account)
    sandbox.fault("status", operation="list_volumes", count=None, status=404)
    sandbox.fault("status", operation="get_volume", count=None, status=404)
    client.instances.hibernate(alpha.id)
    sandbox.advance(600)
    report = watch_account(credentials=account)
    assert words(report) == [("alpha", "instance.changed")]
    assert any("list_volumes" in note for note in report.notes)
    sandbox.clear_faults()
    assert words(watch_account(credentials=account)) == []


def test_an_event_says_whether_a_run_of_ours_moved_the_instance(cloud: Cloud) -> None:
    sandbox = fleet(cloud, "5000", "alpha", "beta", seed=8106, speed=600)
    account = account_of(sandbox)
    watch_account(credentials=account)
    ids = {i.name: i.id for i in account.get_client().instances.list()}
    hibernate(select=["alpha"], credentials=account)
    account.get_client().instances.hibernate(ids["beta"])
    sandbox.advance(600)
    report = watch_account(credentials=account)
    assert {c.name: c.moved for c in report.changes} == {"alpha": "by-a-run", "beta": "otherwise"}
    [event] = events_about(f"barrack.instance.{ids['beta']}", "barrack.instance.changed")
    assert event["resource"]["barrack.moved"] == "otherwise", "a trigger can ask for it"


def test_every_change_that_anyone_made_is_told_once(cloud: Cloud) -> None:
    sandbox = fleet(cloud, "5000", "alpha", seed=8101)
    account = account_of(sandbox)
    client = account.get_client()

    def tick() -> list[tuple[str, str]]:
        sandbox.advance(600)
        return words(watch_account(credentials=account))

    assert tick() == [], "the first look remembers"
    assert tick() == []
    [alpha] = client.instances.list()
    client.instances.hibernate(alpha.id)
    assert tick() == [("alpha", "instance.changed")]
    client.instances.restore(alpha.id)
    assert tick() == [("alpha", "instance.changed"), ("alpha", "instance.readdressed")]
    volume = client.volumes.create("data", 10, str(alpha.region), "Cloud-SSD")
    client.snapshots.create(alpha.id, "saved")
    assert tick() == [
        ("saved", "snapshot.appeared"),
        ("saved", "snapshot.completed"),
        ("data", "volume.appeared"),
    ]
    client.volumes.attach(alpha.id, [volume.id])
    assert ("data", "volume.attached") in tick()
    assert words(watch_account(dry_run=True, credentials=account)) == []
    client.volumes.detach(alpha.id, [volume.id])
    sandbox.advance(600)
    client.volumes.delete(volume.id)
    client.instances.delete(alpha.id)
    assert tick() == [], "the API said once that they are gone"
    assert words(watch_account(credentials=account)) == [], "and again, but not minutes later"
    told = tick()
    assert ("alpha", "instance.disappeared") in told
    assert ("data", "volume.disappeared") in told
    assert tick() == []
    events = events_about(f"barrack.instance.{alpha.id}", count=4)
    assert [e["event"].removeprefix("barrack.instance.") for e in events] == [
        "changed",
        "changed",
        "readdressed",
        "disappeared",
    ]
    assert events[0]["payload"]["before"] == "ACTIVE"
    assert events[2]["payload"]["address"]


@pytest.mark.slow
def test_a_run_that_dies_between_telling_and_remembering_tells_the_same_event(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox = fleet(cloud, "5000", "alpha", seed=8102)
    account = account_of(sandbox)
    watch_account(credentials=account)
    [id_] = [i["id"] for i in sandbox.state()["instances"]]
    sandbox.set_instance_status(id_, "SHUTOFF")

    def die(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("flows.watch_account.write_view", die)
        with pytest.raises(BaseException):  # noqa: B017, PT011 - however the run ends
            watch_account(credentials=account)
    assert words(watch_account(credentials=account)) == [("alpha", "instance.changed")]
    assert words(watch_account(credentials=account)) == []
    events = events_about(f"barrack.instance.{id_}", "barrack.instance.changed", count=1)
    assert len({e["id"] for e in events}) == 1


def test_a_list_that_lags_makes_nothing_disappear(cloud: Cloud) -> None:
    sandbox = fleet(cloud, "5000", "alpha", seed=8103)
    account = account_of(sandbox)
    watch_account(credentials=account)
    sandbox.settings(list_lag=3600)
    sandbox.seed_instance("beta", gpu_model="L40")
    assert words(watch_account(credentials=account)) == []
    sandbox.advance(3700)
    assert words(watch_account(credentials=account)) == [("beta", "instance.appeared")]


@pytest.mark.slow
def test_a_gateways_404_beside_a_list_that_lacks_it_makes_nothing_disappear(cloud: Cloud) -> None:
    sandbox = fleet(cloud, "5000", "alpha", seed=8104, speed=1)
    account = account_of(sandbox)
    sandbox.advance(900)
    watch_account(credentials=account)
    sandbox.settings(list_lag=10**6)
    sandbox.fault("html", operation="get_instance", status=404, count=None)
    for _ in range(3):
        assert words(watch_account(credentials=account)) == []
        sandbox.advance(600)
    sandbox.settings(list_lag=0)
    assert words(watch_account(credentials=account)) == [], "it was there all the time"


def test_one_wrong_answer_makes_nothing_disappear(cloud: Cloud) -> None:
    sandbox = fleet(cloud, "5000", "alpha", seed=8105, speed=1)
    account = account_of(sandbox)
    sandbox.advance(900)
    watch_account(credentials=account)
    sandbox.settings(list_lag=10**6)
    sandbox.fault("status", operation="get_instance", status=404, count=1)
    assert words(watch_account(credentials=account)) == []
    sandbox.settings(list_lag=0)
    sandbox.advance(600)
    assert words(watch_account(credentials=account)) == []


def test_functions_are_called_and_one_that_fails_disturbs_nobody(cloud: Cloud) -> None:
    sandbox = cloud(fleet=2)
    seen: list[Happening] = []

    def fails(_: Happening) -> None:
        raise RuntimeError("a bug of the user's")

    with on("barrack.*", fails), on("barrack.instance.hibernated", seen.append):
        hibernate(select=["*"], credentials=account_of(sandbox))
    assert sorted(h.name for h in seen) == ["alpha", "beta"]
    assert seen[0].payload["status"] == "HIBERNATED"
    emit("barrack.instance.hibernated", "1", "later")
    assert len(seen) == 2, "a handle that was closed is called no more"


def test_what_is_not_in_the_catalogue_cannot_be_emitted() -> None:
    with pytest.raises(ValueError, match="not in the catalogue"):
        emit("barrack.instance.exploded", "1", "x")
    with pytest.raises(ValueError, match=r"has no field colour for barrack\.instance\.changed"):
        emit("barrack.instance.changed", "1", "x", payload={"colour": "red"})
    assert all(name.count(".") == 2 for name in EVENTS)


def test_the_page_about_events_is_that_of_the_catalogue() -> None:
    assert TARGET.read_text(encoding="utf-8") == page(), "run docs/generate/events.py"
