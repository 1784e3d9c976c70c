"""What is made for a time ends, wherever the run that made it was killed, and nothing else does."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from barrack_tasks import BarrackCredentials
from barrack_tasks.controllers.expiry import add_expiries, read_expiries
from barrack_tasks.controllers.leases import cloud_now
from barrack_tasks.controllers.proofs import Open, read_open, write_open
from barrack_tasks.controllers.reports import WorkFailed
from barrack_tasks.plans.power.expiry import Expiry
from barrack_tasks.plans.report import Row
from barrack_tasks.runtime.leases import intent_of
from barrack_tasks.sandbox import Sandbox
from barrack_tasks.server.variables import Records, key_of_id
from flows.end_expired import end_expired
from flows.restore_from_snapshot import restore_from_snapshot
from flows.verify_snapshots import verify_snapshots
from flows.watch_gpu_stock import watch_gpu_stock
from tests.flows.conftest import account_of, effects, states
from tests.flows.killing import Point, ended, start_in_process
from tests.thinning import some_slow

Cloud = Callable[..., Sandbox]
LATER = timedelta(hours=9)
WANTS = [{"gpu_model": "L40", "gpu_count": 1, "claim": {"name": "train", "image_id": "1"}}]
FOR_A_TIME = {"expires": "8h", "on_expiry": "delete"}
FLOWS: dict[str, tuple[str, dict[str, Any]]] = {
    "restore": ("restore_from_snapshot", {"snapshot": "base", **FOR_A_TIME}),
    "claim": ("watch_gpu_stock", {"wants": WANTS, **FOR_A_TIME}),
}
MAKES = {"restore": "restore_snapshot", "claim": "create_instance"}


def with_snapshot(cloud: Cloud, **how: Any) -> tuple[Sandbox, BarrackCredentials]:
    """A cloud with one instance, `alpha`, and its snapshot `base`."""
    sandbox = cloud(fleet=0, **how)
    id_ = sandbox.seed_instance("alpha", gpu_model="L40")
    account = account_of(sandbox)
    account.get_client().snapshots.create(id_, "base")
    sandbox.advance(300)
    return sandbox, account


def killed(sandbox: Sandbox, server: str, flow: str, arguments: Any, point: Point) -> None:
    """Run a flow that is killed at a point."""
    environment = {**sandbox.env, "PREFECT_API_URL": server}
    code, _ = ended(*start_in_process(flow, environment, arguments, point))
    assert code == -9, "the flow never came to the point where it was to be killed"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[timedelta], None]:
    """Puts forward the clock by which ends are over."""

    def forward(by: timedelta) -> None:
        monkeypatch.setattr("flows.end_expired.cloud_now", lambda one: cloud_now(one) + by)

    return forward


def ends_of(account: BarrackCredentials) -> tuple[Row, ...]:
    """What a run of `end_expired` says, whether it fails or not."""
    try:
        return end_expired(credentials=account).rows
    except WorkFailed as failed:
        return failed.report.rows


@pytest.mark.slow
@pytest.mark.parametrize("what", FLOWS)
def test_killed_right_after_the_request_what_was_made_ends(
    cloud: Cloud, prefect_server: str, clock: Callable[[timedelta], None], what: str
) -> None:
    sandbox, account = with_snapshot(cloud)
    killed(sandbox, prefect_server, *FLOWS[what], Point(MAKES[what], 1, "after"))
    [made] = [i for i in sandbox.state()["instances"] if i["name"] != "alpha"]
    [end] = read_expiries(account.account)
    assert (end.id, end.name, end.how) == ("", made["name"], "delete")
    sandbox.advance(300)
    [row] = ends_of(account)
    assert row.why.startswith("it ends at ")
    assert [e.id for e in read_expiries(account.account)] == [made["id"]]
    clock(LATER)
    ends_of(account)
    sandbox.advance(600)
    assert list(states(sandbox)) == ["alpha"]


@pytest.mark.slow
def test_a_person_s_machine_of_a_name_that_was_only_reserved_is_neither_adopted_nor_ended(
    cloud: Cloud, prefect_server: str, clock: Callable[[timedelta], None]
) -> None:
    sandbox, account = with_snapshot(cloud)
    arguments = {"snapshot": "base", "name": "exp-1", **FOR_A_TIME}
    killed(
        sandbox,
        prefect_server,
        "restore_from_snapshot",
        arguments,
        Point("list_snapshots", 2, "before"),
    )
    [only] = account.get_client().snapshots.list()
    account.get_client().snapshots.restore(only.id, "exp-1")
    sandbox.advance(300)
    with pytest.raises(WorkFailed, match="duplicate instance name: 'exp-1' is taken"):
        restore_from_snapshot("base", name="exp-1", credentials=account, **FOR_A_TIME)  # type: ignore[arg-type]
    assert read_expiries(account.account) == []
    clock(LATER)
    ends_of(account)
    assert sorted(states(sandbox)) == ["alpha", "exp-1"]
    assert effects(sandbox, "delete_instance") == []


def test_where_it_is_not_certain_who_made_it_a_person_is_asked(
    cloud: Cloud, prefect_server: str, clock: Callable[[timedelta], None]
) -> None:
    sandbox, account = with_snapshot(cloud)
    arguments = {"snapshot": "base", "name": "exp-1", **FOR_A_TIME}
    killed(
        sandbox,
        prefect_server,
        "restore_from_snapshot",
        arguments,
        Point("restore_snapshot", 1, "before"),
    )
    sandbox.advance(7200)
    sandbox.seed_instance("exp-1", gpu_model="L40")
    with pytest.raises(WorkFailed, match="it is not certain whether the instance"):
        restore_from_snapshot("base", name="exp-1", credentials=account, **FOR_A_TIME)  # type: ignore[arg-type]
    clock(LATER)
    [row] = ends_of(account)
    assert row.outcome == "failed"
    assert "keep it under another name or delete it" in row.why
    assert sorted(states(sandbox)) == ["alpha", "exp-1"]
    assert effects(sandbox, "delete_instance") == []


def test_what_is_brought_back_is_never_to_be_deleted_when_its_time_is_over(cloud: Cloud) -> None:
    sandbox, account = with_snapshot(cloud)
    claim = {"how": "restore", "instance": "alpha"}
    for dry_run in (True, False):
        with pytest.raises(ValueError, match="brings back 'alpha', which existed before"):
            watch_gpu_stock(
                [{"gpu_model": "L40", "claim": claim}],
                dry_run=dry_run,
                credentials=account,
                **FOR_A_TIME,  # type: ignore[arg-type]
            )
    assert sandbox.requests() == [] or effects(sandbox, "restore_instance") == []


def test_an_end_of_the_earlier_release_deletes_nothing_that_was_there_days_before_it(
    cloud: Cloud,
) -> None:
    sandbox = cloud(fleet=0, start=datetime.now(UTC) - timedelta(days=3), speed=1)
    account = account_of(sandbox)
    old = sandbox.seed_instance("old", gpu_model="L40")
    sandbox.advance(timedelta(days=3).total_seconds())  # ends are judged by the cloud's clock
    ago = int(datetime.now(UTC).timestamp()) - 60
    with Records(f"barrack_expiry_{account.account}_") as records:
        records.put(key_of_id(old), [old, "old", ago, "delete"])
    [row] = ends_of(account)
    assert (row.outcome, row.why[:41]) == ("failed", "it existed before its end was set, so it ")
    assert states(sandbox) == {"old": "ACTIVE"}


@pytest.mark.parametrize("kind", some_slow(["html"], ["status"]))
def test_lists_that_lack_it_and_one_404_do_not_forget_an_end(cloud: Cloud, kind: str) -> None:
    sandbox = cloud(fleet=0, speed=1)
    sandbox.settings(list_lag=100_000)
    id_ = sandbox.seed_instance("due", gpu_model="L40")
    account = account_of(sandbox)
    over = datetime.now(UTC) - timedelta(hours=1)
    add_expiries(account.account, [Expiry(id_, "due", over, "delete")])
    rounds = 3 if kind == "html" else 1
    sandbox.fault(kind, operation="get_instance", status=404, count=None)
    for _ in range(rounds):
        [row] = ends_of(account)
        assert row.why == "it is missing from the list of instances"
        sandbox.advance(400)
    assert [e.id for e in read_expiries(account.account)] == [id_]
    if kind == "status":
        ends_of(account)
        assert read_expiries(account.account) == [], "the API has said so twice, minutes apart"
        return
    sandbox.clear_faults()
    sandbox.settings(list_lag=0)
    ends_of(account)
    sandbox.advance(600)
    assert states(sandbox) == {}


@pytest.mark.slow
@pytest.mark.parametrize("ahead", [timedelta(minutes=3), timedelta(minutes=-3)])
def test_a_drill_s_left_over_is_ended_though_the_clocks_of_worker_and_cloud_differ(
    cloud: Cloud, prefect_server: str, ahead: timedelta
) -> None:
    begins = datetime.now(UTC) - ahead - timedelta(seconds=300)
    sandbox, account = with_snapshot(cloud, start=begins, speed=1)
    sandbox.settings(durations={"create": 1, "delete": 1})
    killed(
        sandbox,
        prefect_server,
        "verify_snapshots",
        {"select": ["*"]},
        Point("restore_snapshot", 1, "after"),
    )
    sandbox.advance(30)
    restore_from_snapshot("base", name="other", wait_until="none", credentials=account)
    sandbox.advance(30)
    assert sorted(states(sandbox)) == ["alpha", "other"]


@pytest.mark.slow
def test_a_left_over_that_a_person_renamed_is_left_alone_and_told_of_once(
    cloud: Cloud, prefect_server: str
) -> None:
    sandbox, account = with_snapshot(cloud)
    killed(
        sandbox,
        prefect_server,
        "verify_snapshots",
        {"select": ["alpha"]},
        Point("delete_instance", 1, "before"),
    )
    [name] = [name for name in states(sandbox) if name.startswith("drill-")]
    rename(sandbox, name, "keep-for-debugging")
    sandbox.advance(300)
    report = restore_from_snapshot("base", name="other", credentials=account)
    [note] = [note for note in report.notes if "keep-for-debugging" in note]
    assert (
        note
        == f"{name}: a drill left it behind; it is called keep-for-debugging now, and is left alone"
    )
    assert effects(sandbox, "delete_instance") == []
    assert sorted(states(sandbox)) == ["alpha", "keep-for-debugging", "other"]
    assert read_open(account.account) == {}


@pytest.mark.slow
def test_a_left_over_that_lost_its_name_to_a_later_drill_is_judged_by_the_name_it_had(
    cloud: Cloud,
) -> None:
    sandbox, account = with_snapshot(cloud)
    ids = {name: sandbox.seed_instance(name, gpu_model="L40") for name in ("drill-a", "kept")}
    since = sandbox.now().replace(microsecond=0) - timedelta(hours=1)
    of_a, of_b, unnamed = (
        Open(since, ids["drill-a"], name="drill-a"),
        Open(since, ids["kept"], name="drill-b"),
        Open(since, ids["kept"]),
    )
    write_open(account.account, {ids["drill-a"]: of_a, ids["kept"]: of_b})
    assert read_open(account.account) == {ids["drill-a"]: of_a, ids["kept"]: of_b}
    restore_from_snapshot("base", name="other", credentials=account)
    sandbox.advance(600)
    assert sorted(states(sandbox)) == ["alpha", "kept", "other"]
    # An earlier release did not note the name that was lost.
    write_open(account.account, {ids["kept"]: unnamed})
    report = restore_from_snapshot("base", name="more", credentials=account)
    assert any("kept: a drill may have left it" in note for note in report.notes)
    assert len(effects(sandbox, "delete_instance")) == 1


def rename(sandbox: Sandbox, old: str, new: str) -> None:
    """Rename a machine, as a person does in the dashboard."""
    machines = sandbox._server.config.app.world.machines  # type: ignore[union-attr]
    [machine] = [one for one in machines.all() if one.name == old]
    machine.name = new
    machines._names[new] = machines._names.pop(old)


def test_a_left_over_that_is_protected_or_doubtful_stays_and_is_told_of(cloud: Cloud) -> None:
    sandbox, account = with_snapshot(cloud)
    api = account.get_client()
    [only] = api.snapshots.list()
    kept = api.snapshots.restore(only.id, "drill-kept").id
    sandbox.seed_instance("drill-doubt", gpu_model="L40")
    sandbox.advance(300)
    since = sandbox.now() - timedelta(hours=1)
    write_open(account.account, {"drill-kept": Open(since, kept), "drill-doubt": Open(since)})
    guarded = account_of(sandbox, protect=["drill-kept"])
    report = verify_snapshots(select=["alpha"], credentials=guarded)
    assert any("drill-kept: a drill left it behind, and it is protected" in n for n in report.notes)
    assert any("drill-doubt: it is not certain whether" in n for n in report.notes)
    assert sorted(read_open(account.account)) == ["drill-doubt", "drill-kept"]
    assert sorted(states(sandbox)) == ["alpha", "drill-doubt", "drill-kept"]


FOR_GOOD: dict[str, tuple[str, dict[str, Any]]] = {
    "restore": ("restore_from_snapshot", {"snapshot": "base"}),
    "claim": ("watch_gpu_stock", {"wants": WANTS}),
}


@pytest.mark.slow
@pytest.mark.parametrize("what", FLOWS)
def test_the_end_of_a_run_that_was_cut_off_does_not_end_what_is_then_made_without_one(
    cloud: Cloud, prefect_server: str, clock: Callable[[timedelta], None], what: str
) -> None:
    sandbox, account = with_snapshot(cloud)
    killed(sandbox, prefect_server, *FLOWS[what], Point(MAKES[what], 1, "before"))
    assert len(read_expiries(account.account)) == 1
    environment = {**sandbox.env, "PREFECT_API_URL": prefect_server}
    code, _ = ended(*start_in_process(FOR_GOOD[what][0], environment, FOR_GOOD[what][1]))
    assert code == 0
    assert records_of_ends(account) == {}
    clock(LATER)
    ends_of(account)
    sandbox.advance(600)
    assert len(states(sandbox)) == 2
    assert effects(sandbox, "delete_instance") == []


@pytest.mark.slow
def test_who_goes_on_without_an_end_drops_that_of_the_run_that_was_cut_off_and_says_so(
    cloud: Cloud, prefect_server: str, clock: Callable[[timedelta], None]
) -> None:
    sandbox, account = with_snapshot(cloud)
    killed(sandbox, prefect_server, *FLOWS["restore"], Point("restore_snapshot", 1, "after"))
    sandbox.advance(300)
    ends_of(account)  # knows it by its id from now on
    report = restore_from_snapshot("base", credentials=account)
    [note] = [note for note in report.notes if "base-restored" in note and "end" in note]
    assert note.startswith("base-restored: it does not end at ")
    assert records_of_ends(account) == {}
    clock(LATER)
    ends_of(account)
    sandbox.advance(600)
    assert sorted(states(sandbox)) == ["alpha", "base-restored"]
    assert len(effects(sandbox, "restore_snapshot")) == 1


@pytest.mark.slow
def test_what_is_there_already_and_ends_is_told_of_by_who_wants_it_without_an_end(
    cloud: Cloud, prefect_server: str
) -> None:
    sandbox, account = with_snapshot(cloud)
    killed(sandbox, prefect_server, *FLOWS["claim"], Point("create_instance", 1, "after"))
    sandbox.advance(300)
    for _ in range(2):
        report = watch_gpu_stock(WANTS, credentials=account)
        assert any(note.startswith("train: it is deleted at ") for note in report.notes)


@pytest.mark.slow
def test_a_run_that_is_repeated_after_its_work_was_done_makes_no_second_machine(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox, account = with_snapshot(cloud)
    for number in (1, 2):
        run = SimpleNamespace(id=str(UUID(int=number)), name=f"run-{number}")
        monkeypatch.setattr("barrack_tasks.controllers.run.runtime", SimpleNamespace(flow_run=run))
        reports = [restore_from_snapshot("base", credentials=account) for _ in range(2)]
        ids = {report.restored[0].id for report in reports}
        assert len(ids) == 1
    assert sorted(states(sandbox)) == ["alpha", "base-restored", "base-restored-2"]
    account.get_client().instances.delete(ids.pop())
    sandbox.advance(600)
    with pytest.raises(ValueError, match="has made base-restored-2 already, and it is gone"):
        restore_from_snapshot("base", credentials=account)
    assert len(effects(sandbox, "restore_snapshot")) == 2


@pytest.mark.parametrize("ahead", some_slow([120], [0, -120]), ids=lambda n: f"{n} seconds")
def test_a_restore_of_the_first_release_is_taken_up_though_its_worker_s_clock_was_wrong(
    cloud: Cloud, ahead: int
) -> None:
    sandbox, account = with_snapshot(cloud)
    [only] = account.get_client().snapshots.list()
    began = sandbox.now() + timedelta(seconds=ahead)
    [machine] = [account.get_client().snapshots.restore(only.id, "base-restored").id]
    sandbox.advance(300)
    record = {
        **{"run": "old", "by": "run old", "intent": ""},
        **{"moment": began.isoformat(), "until": began.isoformat(), "machine": "elsewhere"},
        **{"pid": 1, "born": "1", "finished": False, "lease": 0.0},
        **{"held": {"restore:base-restored": "base-restored"}},
    }
    record["intent"] = intent_of("restore_from_snapshot", [only.id], None, None)
    with Records(f"barrack_hold_{account.account}_") as records:
        records.put("old_0", record)
    restore_from_snapshot("base", credentials=account, **FOR_A_TIME)  # type: ignore[arg-type]
    assert sorted(states(sandbox)) == ["alpha", "base-restored"]
    assert [end.id for end in read_expiries(account.account)] == [machine]


def records_of_ends(account: BarrackCredentials) -> dict[str, Any]:
    """All that is on record about ends."""
    with Records(f"barrack_expiry_{account.account}_") as records:
        return records.all()


MATRIX = [
    ("restore", Point("restore_snapshot", 1, "before"), "before"),
    ("restore", Point("restore_snapshot", 1, "after"), "after"),
    ("restore", Point("list_instances", 4, "after"), None),
    ("claim", Point("create_instance", 1, "before"), "after"),
    ("claim", Point("create_instance", 1, "after"), "before"),
    ("claim", Point("get_gpu_stock", 1, "after"), None),
]


@pytest.mark.slow
@pytest.mark.parametrize(("what", "point", "dies_at"), MATRIX, ids=str)
def test_killed_anywhere_and_started_again_there_is_one_machine_and_it_ends(
    cloud: Cloud,
    prefect_server: str,
    clock: Callable[[timedelta], None],
    what: str,
    point: Point,
    dies_at: str | None,
) -> None:
    sandbox, account = with_snapshot(cloud)
    flow, arguments = FLOWS[what]
    killed(sandbox, prefect_server, flow, arguments, point)
    environment = {**sandbox.env, "PREFECT_API_URL": prefect_server}
    code, _ = ended(*start_in_process(flow, environment, arguments))
    assert code == 0
    sandbox.advance(600)
    assert len(effects(sandbox, MAKES[what])) == 1
    [made] = [i["id"] for i in sandbox.state()["instances"] if i["name"] != "alpha"]
    ends_of(account)
    assert [e.id for e in read_expiries(account.account)] == [made]
    add_expiries(account.account, [_over(e) for e in read_expiries(account.account)])
    if dies_at is not None:
        dying = Point("delete_instance", 1, dies_at)
        killed(sandbox, prefect_server, "end_expired", {}, dying)
        sandbox.advance(600)
        clock(timedelta(minutes=11))
    ends_of(account)
    sandbox.advance(600)
    assert list(states(sandbox)) == ["alpha"]
    assert len(effects(sandbox, "delete_instance")) == 1


def _over(end: Expiry) -> Expiry:
    return Expiry(end.id, end.name, datetime.now(UTC) - timedelta(hours=1), end.how, by=end.by)
