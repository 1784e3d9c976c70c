"""follow_schedule with people, kills, hung machines and other runs in between."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from barrack_tasks import BarrackCredentials
from barrack_tasks.controllers.account import write_view
from barrack_tasks.controllers.notes import read_notes, write_notes
from barrack_tasks.controllers.proofs import write_proofs
from barrack_tasks.controllers.reports import WorkFailed
from barrack_tasks.plans.names import snapshot_description
from barrack_tasks.plans.power.evidence import Note
from barrack_tasks.plans.report import Report
from barrack_tasks.plans.selection import SelectionError
from barrack_tasks.plans.snapshots.drill import Proof
from barrack_tasks.plans.steps import Reason
from barrack_tasks.plans.timetable import Boundary, Wish
from barrack_tasks.runtime.leases import holding
from barrack_tasks.runtime.observe import observe
from barrack_tasks.sandbox import Sandbox
from barrack_tasks.server.tables import write_all
from flows.follow_schedule import follow_schedule
from tests.flows.conftest import account_of, effects, states
from tests.flows.killing import Point, ended, start_in_process
from tests.flows.receivers import Webhook
from tests.flows.test_up_and_down import HOUR, as_of_now, changed, window

Cloud = Callable[..., Sandbox]
OVER = window(-3 * HOUR, -HOUR)
"""Hours that ended an hour ago."""


def long_ago(cloud: Cloud, **how: Any) -> Sandbox:
    """A cloud whose machines are older than any boundary of these tests."""
    return cloud(fleet=0, start=datetime.now(UTC) - timedelta(days=2), **how)


def rule(timetable: str = OVER, **more: Any) -> list[dict[str, Any]]:
    return [{"select": ["*"], "timetable": timetable, **more}]


def follow(account: BarrackCredentials, rules: Any = None, **more: Any) -> Report:
    try:
        return follow_schedule(rules=rules or rule(), credentials=account, **more)
    except WorkFailed as failed:
        return failed.report  # type: ignore[return-value]


def reasons(report: Report) -> dict[str, tuple[str, Reason | None]]:
    return {row.instance: (row.outcome, row.reason) for row in report.rows}


def killed_at(
    sandbox: Sandbox, server: str, operation: str, phase: str = "after", **arguments: Any
) -> None:
    environment = {**sandbox.env, "PREFECT_API_URL": server}
    point = Point(operation, 1, phase)
    code, _ = ended(*start_in_process("follow_schedule", environment, arguments, point))
    assert code == -9, "it never came to the request"


@pytest.mark.slow
def test_a_person_who_comes_while_another_instance_hangs_is_left_alone(cloud: Cloud) -> None:
    sandbox = long_ago(cloud)
    quick = sandbox.seed_instance("quick", gpu_model="L40")
    slow = sandbox.seed_instance("slow", gpu_model="A40")
    as_of_now(sandbox)
    sandbox.fault("stuck", operation="hibernate_instance", match=slow, count=1)
    account = account_of(sandbox)

    def person() -> None:
        while read_notes(account.account).get(quick, Note()).settled is None:
            time.sleep(0.1)
        account.get_client().instances.restore(quick)

    helper = threading.Thread(target=person)
    helper.start()
    hung = follow(account, timeout=12)
    helper.join()
    assert reasons(hung)["slow"] == ("failed", Reason.NO_TIME)
    second = follow(account, timeout=5)
    assert reasons(second)["quick"] == ("skipped", Reason.MOVED)
    assert states(sandbox)["quick"] == "ACTIVE"


@pytest.mark.slow
def test_a_person_who_comes_after_a_kill_is_left_alone_once_it_was_seen_at_rest(
    cloud: Cloud, prefect_server: str
) -> None:
    sandbox = long_ago(cloud)
    id_ = sandbox.seed_instance("alpha", gpu_model="L40")
    as_of_now(sandbox)
    account = account_of(sandbox)
    killed_at(sandbox, prefect_server, "hibernate_instance", rules=rule())
    sandbox.advance(600)
    assert reasons(follow(account)) == {"alpha": ("already", Reason.AS_WANTED)}
    account.get_client().instances.restore(id_)
    sandbox.advance(600)
    for _ in range(2):
        assert reasons(follow(account)) == {"alpha": ("skipped", Reason.MOVED)}
    assert len(effects(sandbox, "hibernate_instance")) == 1


@pytest.mark.slow
def test_a_hibernation_that_comes_to_nothing_after_a_kill_is_asked_for_again(
    cloud: Cloud, prefect_server: str
) -> None:
    sandbox = long_ago(cloud)
    id_ = sandbox.seed_instance("alpha", gpu_model="L40")
    as_of_now(sandbox)
    killed_at(sandbox, prefect_server, "hibernate_instance", rules=rule())
    sandbox.set_instance_status(id_, "ACTIVE")
    assert reasons(follow(account_of(sandbox)))["alpha"][0] == "done"
    assert states(sandbox) == {"alpha": "HIBERNATED"}


@pytest.mark.slow
def test_a_hibernation_that_hangs_and_comes_to_nothing_fails_each_run_and_is_asked_for_again(
    cloud: Cloud,
) -> None:
    sandbox = long_ago(cloud)
    id_ = sandbox.seed_instance("alpha", gpu_model="L40")
    as_of_now(sandbox)
    account = account_of(sandbox)
    sandbox.fault("stuck", operation="hibernate_instance", count=4)
    for often in range(4):
        [row] = follow(account, timeout=5).rows
        assert row.outcome == "failed"
        assert (f"asked {often} times to hibernate" in row.why) is (often == 3)
        if often == 0:
            sandbox.advance(3600)
            [row] = follow(account, timeout=5).rows
            assert row.outcome == "failed"
            assert "it was asked once to hibernate" in row.why
        sandbox.set_instance_status(id_, "ACTIVE")
    [row] = follow(account).rows
    assert (row.outcome, row.now) == ("done", "HIBERNATED")
    assert read_notes(account.account)[id_].tries == 0


@pytest.mark.slow
def test_killed_before_the_request_was_sent_it_is_put_to_rest_by_the_next_run(
    cloud: Cloud, prefect_server: str
) -> None:
    sandbox = long_ago(cloud)
    sandbox.seed_instance("alpha", gpu_model="L40")
    as_of_now(sandbox)
    killed_at(sandbox, prefect_server, "hibernate_instance", "before", rules=rule())
    assert reasons(follow(account_of(sandbox)))["alpha"][0] == "done"
    assert states(sandbox) == {"alpha": "HIBERNATED"}


def test_shut_off_at_the_boundary_and_started_by_a_person_it_stays_up(cloud: Cloud) -> None:
    sandbox = long_ago(cloud)
    id_ = sandbox.seed_instance("alpha", gpu_model="L40", status="SHUTOFF")
    as_of_now(sandbox)
    account = account_of(sandbox)
    assert reasons(follow(account))["alpha"][0] == "skipped"
    account.get_client().instances.start(id_)
    sandbox.advance(600)
    assert reasons(follow(account)) == {"alpha": ("skipped", Reason.MOVED)}
    assert states(sandbox) == {"alpha": "ACTIVE"}


def test_still_running_long_after_the_boundary_it_is_put_to_rest(cloud: Cloud) -> None:
    sandbox = long_ago(cloud)
    sandbox.seed_instance("alpha", gpu_model="L40")
    as_of_now(sandbox)
    late = window(-9 * HOUR, timedelta(hours=-2, minutes=-1))
    report = follow(account_of(sandbox), rule(late))
    assert (report.rows[0].outcome, report.rows[0].now) == ("done", "HIBERNATED")


def test_never_and_always_act_at_first_sight(cloud: Cloud) -> None:
    sandbox = long_ago(cloud)
    sandbox.seed_instance("day", gpu_model="L40")
    sandbox.seed_instance("night", gpu_model="L40", status="HIBERNATED")
    as_of_now(sandbox)
    rules = [
        {"select": ["day"], "timetable": "never"},
        {"select": ["night"], "timetable": "always"},
    ]
    follow(account_of(sandbox), rules)
    assert states(sandbox) == {"day": "HIBERNATED", "night": "ACTIVE"}


@pytest.mark.slow
def test_hibernated_at_first_sight_it_waits_for_the_next_boundary_or_is_adopted_now(
    cloud: Cloud,
) -> None:
    sandbox = long_ago(cloud)
    sandbox.seed_instance("alpha", gpu_model="L40", status="HIBERNATED")
    as_of_now(sandbox)
    account = account_of(sandbox)
    rules = rule(window(-HOUR, HOUR))
    for _ in range(2):
        report = follow(account, rules)
        assert reasons(report) == {"alpha": ("skipped", Reason.FIRST_SIGHT)}
        assert "adopt='now' brings it up at once" in report.rows[0].why
    assert changed(sandbox) == []
    assert reasons(follow(account, rules, adopt="now"))["alpha"][0] == "done"
    assert states(sandbox) == {"alpha": "ACTIVE"}


def test_what_a_person_did_after_the_boundary_is_told_by_the_instance_itself(cloud: Cloud) -> None:
    sandbox = cloud(fleet=0, start=datetime.now(UTC) - 4 * HOUR, speed=0)
    id_ = sandbox.seed_instance("alpha", gpu_model="L40")
    sandbox.advance(3.5 * 3600)
    sandbox.set_instance_status(id_, "SHUTOFF")
    sandbox.set_instance_status(id_, "ACTIVE")
    [row] = follow(account_of(sandbox)).rows
    assert row.reason is Reason.MOVED
    assert (
        "after the boundary, and not by this library; it is left alone and costs 1.19 USD an hour"
        in row.why
    )


def test_what_watch_account_saw_is_evidence(cloud: Cloud) -> None:
    sandbox = long_ago(cloud)
    id_ = sandbox.seed_instance("alpha", gpu_model="L40")
    as_of_now(sandbox)
    account = account_of(sandbox)
    seen = {f"instance:{id_}": ("alpha", "HIBERNATED", "")}
    write_view(account.account, seen, {f"instance:{id_}": int(time.time()) - 600})
    assert reasons(follow(account)) == {"alpha": ("skipped", Reason.MOVED)}


@pytest.mark.slow
def test_notes_of_an_instance_that_one_list_lacks_are_kept(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox = long_ago(cloud)
    for name in ("alpha", "beta"):
        sandbox.seed_instance(name, gpu_model="L40")
    as_of_now(sandbox)
    account = account_of(sandbox)
    follow(account)
    [alpha] = [i.id for i in account.get_client().instances.list() if i.name == "alpha"]
    account.get_client().instances.restore(alpha)
    sandbox.advance(600)

    def lacking(*given: Any, **how: Any) -> Any:
        world = observe(*given, **how)
        return type(world)({i: v for i, v in world.instances.items() if i != alpha})

    with monkeypatch.context() as patch:
        patch.setattr("barrack_tasks.controllers.schedule.observe", lacking)
        for _ in range(2):
            assert "alpha" not in reasons(follow(account))
    assert reasons(follow(account))["alpha"] == ("skipped", Reason.MOVED)


def test_notes_of_an_earlier_release_are_read_and_kept_and_old_ones_go_in_the_end(
    prefect_server: str,
) -> None:
    moment = datetime(2026, 11, 2, 20, tzinfo=UTC)
    second = int(moment.timestamp())
    write_all("barrack_schedule_old_", {"a": [second, second, [90, 100]], "b": [None, None, []]})
    found = read_notes("old")
    assert found["a"] == Note(moment, moment, (90, 100), under=moment)
    assert found["b"] == Note()
    write_notes("old", found, {"c": Note(seen=moment)}, moment)
    assert read_notes("old")["a"] == Note(moment, moment, (90, 100), under=moment, seen=moment)
    full = Note(
        moment, seen=moment, wish=Wish.UP, decided=Boundary(moment, Wish.DOWN), passing=moment
    )
    write_notes("old", read_notes("old"), {"e": full}, moment)
    assert read_notes("old")["e"] == full
    later = moment + timedelta(days=31)
    write_notes("old", read_notes("old"), {"d": Note(seen=later)}, later)
    assert set(read_notes("old")) == {"d"}


def test_what_two_runs_note_of_one_instance_at_once_is_both_kept(prefect_server: str) -> None:
    moment = datetime(2026, 11, 2, 20, tzinfo=UTC)
    base: dict[str, Note] = {}
    asked = Note(pursued=moment, asked=moment, operation="hibernate_instance", seen=moment)
    write_notes("both", base, {"a": asked}, moment)
    write_notes("both", base, {"a": Note(under=moment, status="ACTIVE", seen=moment)}, moment)
    assert read_notes("both")["a"] == Note(
        pursued=moment,
        asked=moment,
        operation="hibernate_instance",
        under=moment,
        status="ACTIVE",
        seen=moment,
    )


@pytest.mark.slow
def test_no_snapshot_goes_that_an_image_needs_a_drill_proved_or_another_run_uses(
    cloud: Cloud,
) -> None:
    sandbox = long_ago(cloud)
    id_ = sandbox.seed_instance("alpha", gpu_model="L40")
    as_of_now(sandbox)
    account = account_of(sandbox)
    client = account.get_client()
    taken = []
    for day in range(1, 7):
        name = f"alpha-2026010{day}T000000Z"
        taken.append(client.snapshots.create(id_, name, snapshot_description(id_)).id)
        sandbox.advance(600)
    imaged, proven, used, old, *_ = taken
    client.perform("create_image", snapshot_id=imaged, name="golden")
    sandbox.advance(600)
    moment = datetime.now(UTC)
    write_proofs(account.account, {id_: Proof(moment, proven, moment)})
    with holding(account.account, "restorer", "run other", "x", timedelta(minutes=5)) as hold:
        hold.share_snapshots([used])
        report = follow(account, rule(snapshot=True))
    sandbox.advance(600)
    assert report.rows[0].outcome == "done"
    asked = [r for r in sandbox.requests() if r["operation"] == "delete_snapshot"]
    assert [r["status"] for r in asked] == [200], "nothing is asked for that is refused"
    left = {s["id"] for s in sandbox.state()["snapshots"]}
    assert {imaged, proven, used} <= left
    assert old not in left


@pytest.mark.slow
def test_killed_after_its_snapshot_no_second_one_is_taken(
    cloud: Cloud, prefect_server: str
) -> None:
    sandbox = long_ago(cloud)
    sandbox.seed_instance("alpha", gpu_model="L40")
    as_of_now(sandbox)
    rules = rule(snapshot=True)
    killed_at(sandbox, prefect_server, "create_snapshot", rules=rules)
    assert reasons(follow(account_of(sandbox), rules))["alpha"][0] == "done"
    assert len(effects(sandbox, "create_snapshot")) == 1
    assert states(sandbox) == {"alpha": "HIBERNATED"}


IN_VAIN = [
    ({"exclude": ["alhpa"]}, "exclude: no instance is called 'alhpa'; the nearest is alpha"),
    ({"protect": ["alhpa"]}, "protect: no instance is called 'alhpa'; the nearest is alpha"),
    (
        {"rules": [*rule(), {"select": ["beta"], "timetable": "always"}]},
        "rule 2: select: no instance matches 'beta'; there are alpha",
    ),
]


@pytest.mark.parametrize(("how", "says"), IN_VAIN)
def test_what_is_named_in_vain_is_refused_when_called_by_hand(
    cloud: Cloud, how: Any, says: str
) -> None:
    sandbox = long_ago(cloud)
    sandbox.seed_instance("alpha", gpu_model="L40")
    as_of_now(sandbox)
    given = {"rules": rule(), "credentials": account_of(sandbox), **how}
    with pytest.raises(SelectionError, match=says.split(";")[0]):
        follow_schedule(**given)
    assert changed(sandbox) == []


@pytest.mark.slow
def test_the_prefect_server_may_be_away_for_a_moment(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox = long_ago(cloud)
    sandbox.seed_instance("alpha", gpu_model="L40")
    as_of_now(sandbox)
    written: list[int] = []

    def away_for(function: Callable[..., Any], calls: Sequence[int]) -> Callable[..., Any]:
        count = itertools.count()

        def may_fail(*given: Any) -> Any:
            if next(count) in calls:
                raise httpx.ConnectError("nobody listens")
            if function is write_notes:
                written.append(len(effects(sandbox, "create_snapshot")))
            return function(*given)

        return may_fail

    place = "barrack_tasks.controllers.schedule"
    monkeypatch.setattr(f"{place}.read_notes", away_for(read_notes, [1, 3]))
    monkeypatch.setattr(f"{place}.write_notes", away_for(write_notes, [0]))
    assert reasons(follow(account_of(sandbox), rule(snapshot=True)))["alpha"][0] == "done"
    assert written[0] == 0, "nothing is asked before it is noted"
    assert len(effects(sandbox, "create_snapshot")) == 1


@pytest.mark.slow
@pytest.mark.parametrize(("how", "says"), IN_VAIN)
def test_what_is_named_in_vain_is_told_once_when_scheduled(
    cloud: Cloud, hook: tuple[Webhook, str], monkeypatch: pytest.MonkeyPatch, how: Any, says: str
) -> None:
    kept, name = hook
    sandbox = long_ago(cloud)
    sandbox.seed_instance("alpha", gpu_model="L40")
    as_of_now(sandbox)
    given = {"rules": rule(), "credentials": account_of(sandbox), "notify": [name], **how}
    monkeypatch.setenv("PREFECT__RUNTIME__DEPLOYMENT__ID", "scheduled")
    for _ in range(2):
        assert says in follow_schedule(**given).notes
    [message] = kept.received
    assert says[1:] in message["body"]  # it begins as a sentence does


def test_a_failure_that_lasts_is_told_once(cloud: Cloud, hook: tuple[Webhook, str]) -> None:
    kept, name = hook
    sandbox = long_ago(cloud)
    sandbox.seed_instance("big", gpu_model="H100-SXM5-80GB", gpu_count=8)
    as_of_now(sandbox)
    for _ in range(2):
        with suppress(WorkFailed):
            follow_schedule(rules=rule(), notify=[name], credentials=account_of(sandbox))
    assert len(kept.received) == 1


def test_a_boundary_that_passes_during_the_run_ends_what_was_asked(cloud: Cloud) -> None:
    sandbox = long_ago(cloud)
    sandbox.seed_instance("alpha", gpu_model="L40")
    as_of_now(sandbox)
    sandbox.settings(durations={"snapshot": 3600})
    soon = timedelta(seconds=10)
    rules = rule(f"{window(-3 * HOUR, -HOUR)}, {window(soon, HOUR)}", snapshot=True)
    [row] = follow(account_of(sandbox), rules).rows
    assert (row.outcome, row.reason) == ("skipped", Reason.OVERTAKEN)
    assert "hibernate_instance" not in changed(sandbox)
