"""watch_gpu_stock and create_when_available, for real."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from barrack_tasks import BarrackCredentials, create_when_available
from barrack_tasks.api.models import Balance
from barrack_tasks.controllers.expiry import read_expiries
from barrack_tasks.controllers.reports import WorkFailed
from barrack_tasks.controllers.stock.watcher import StockWatcher
from barrack_tasks.plans.money.burn import Tariff
from barrack_tasks.plans.money.caps import Means
from barrack_tasks.plans.steps import Reason
from barrack_tasks.plans.stock.wants import Place, read_wants
from barrack_tasks.runtime.leases import holding
from barrack_tasks.sandbox import Sandbox
from flows.watch_gpu_stock import watch_gpu_stock
from tests.flows.conftest import account_of, effects, events_about, saved_hook, states
from tests.flows.killing import ended, start_in_process
from tests.flows.receivers import Webhook, sentences
from tests.thinning import some_slow

Cloud = Callable[..., Sandbox]
HERE = ("CANADA-1", "L40")
CLAIM = {"name": "train", "image_id": "1"}
L40 = {"gpu_model": "L40", "regions": ["CANADA-1"]}


def empty(cloud: Cloud, **how: Any) -> Sandbox:
    """A cloud without a single L40, where things take little time."""
    sandbox = cloud(**{"fleet": 0, "balance": "5000", "speed": 60, **how})
    for region in ("CANADA-1", "NORWAY-1", "US-1"):
        sandbox.set_stock(region, "L40", 0)
    return sandbox


def asked(sandbox: Sandbox, operation: str = "create_instance") -> list[int]:
    return [r["status"] for r in sandbox.requests() if r["operation"] == operation]


def later(seconds: float, action: Callable[[], Any]) -> threading.Timer:
    timer = threading.Timer(seconds, action)
    timer.start()
    return timer


@pytest.fixture
def how(tmp_path: Path) -> dict[str, Any]:
    return {"history": tmp_path, "interval": "1s", "watch_for": "20s"}


def test_what_is_wanted_is_claimed_when_it_appears_and_announced(
    cloud: Cloud, hook: tuple[Webhook, str], how: dict[str, Any]
) -> None:
    kept, name = hook
    sandbox = empty(cloud)
    timer = later(3, lambda: sandbox.set_stock(*HERE, 5))
    want = {**L40, "quantity": 2, "claim": CLAIM}
    report = watch_gpu_stock([want], notify=[name], credentials=account_of(sandbox), **how)
    timer.join()
    assert [(r.instance, r.outcome, r.now) for r in report.rows] == [
        ("train-1", "done", "ACTIVE"),
        ("train-2", "done", "ACTIVE"),
    ]
    machines = {i["name"]: i for i in sandbox.state()["instances"]}
    assert report.rows[0].why == f"{machines['train-1']['public_ip']}, 1.19 USD an hour"
    assert any("in stock: 1x L40 in CANADA-1" in s for s in sentences(kept))
    assert sum("is up: " in s for s in sentences(kept)) == 2
    assert asked(sandbox) == [200, 200], "asked only when it was there"
    again = watch_gpu_stock([want], credentials=account_of(sandbox), **how)
    assert [r.outcome for r in again.rows] == ["already", "already"]
    assert len(effects(sandbox, "create_instance")) == 2


@pytest.mark.slow
def test_the_next_best_is_taken_and_the_first_look_claims(
    cloud: Cloud, how: dict[str, Any]
) -> None:
    sandbox = empty(cloud)
    want = {
        **L40,
        "otherwise": [{"gpu_model": "A100-PCIe*", "max_price": 1}, {"gpu_model": "A40"}],
        "claim": CLAIM,
    }
    plan = watch_gpu_stock([want], dry_run=True, credentials=account_of(sandbox), **how)
    assert [(r.outcome, "1x A40 in" in r.why) for r in plan.rows] == [("planned", True)]
    assert states(sandbox) == {}
    one_look = {**how, "watch_for": None}
    report = watch_gpu_stock([want], credentials=account_of(sandbox), **one_look)
    assert [r.why for r in report.rows] == ["claimed; it is not up yet"]
    assert [i["gpu_model"] for i in sandbox.state()["instances"]] == ["A40"]


def test_a_dry_run_says_which_parts_of_a_claim_do_not_exist_and_lists_the_best_first(
    cloud: Cloud, how: dict[str, Any]
) -> None:
    sandbox = empty(cloud)
    account = account_of(sandbox)
    wants: list[dict[str, Any]] = [
        {"gpu_model": "RTX-A6000", "claim": {**CLAIM, "name": "six"}},
        {"gpu_model": "L40", "claim": {**CLAIM, "image_id": "Ubuntu 24.04", "ssh_key_id": "7"}},
        {"gpu_model": "A40"},
    ]
    plan = watch_gpu_stock(wants, dry_run=True, credentials=account, **how)
    assert [row.instance for row in plan.rows] == ["six", "train"]
    models = [place.split()[1] for place in plan.stock]
    assert list(dict.fromkeys(models)) == ["RTX-A6000", "L40", "A40"]
    image, key = plan.notes
    assert "the claim train would fail: no image has the id 'Ubuntu 24.04'; the near" in image
    assert "1 (Ubuntu 24.04 LTS)" in image
    assert key == "the claim train would fail: no SSH key has the id '7'; the account has none"
    assert states(sandbox) == {}


@pytest.mark.slow
def test_stock_that_vanishes_in_between_is_watched_for_again(
    cloud: Cloud, how: dict[str, Any]
) -> None:
    sandbox = empty(cloud)
    sandbox.set_stock(*HERE, 1)
    sandbox.fault(
        "status",
        operation="create_instance",
        status=409,
        error_reason="out_of_stock",
        message="out of stock",
        count=2,
    )
    want = {**L40, "claim": CLAIM}
    report = watch_gpu_stock([want], credentials=account_of(sandbox), **how)
    assert [r.outcome for r in report.rows] == ["done"]
    assert len(effects(sandbox, "create_instance")) == 1


@pytest.mark.slow
def test_where_the_caps_or_the_stock_refuse_one_place_the_next_is_taken_in_the_same_look(
    cloud: Cloud, how: dict[str, Any]
) -> None:
    sandbox = empty(cloud)
    sandbox.set_stock(*HERE, 9)
    sandbox.set_stock("NORWAY-1", "L40", 2)
    one_look = {**how, "watch_for": None}
    want = {"gpu_model": "L40", "claim": CLAIM}
    account = account_of(sandbox)
    watch_gpu_stock([want], caps={"regions": ["NORWAY-1"]}, credentials=account, **one_look)
    sandbox.fault(
        "status",
        operation="create_instance",
        status=409,
        error_reason="out_of_stock",
        message="out of stock",
        count=1,
    )
    other = {"gpu_model": "L40", "claim": {"name": "other", "image_id": "1"}}
    watch_gpu_stock([other], credentials=account, **one_look)
    assert [i["region"] for i in sandbox.state()["instances"]] == ["NORWAY-1", "NORWAY-1"]
    with pytest.raises(ValueError, match="the region CANADA-1 is not allowed"):
        watch_gpu_stock(
            [{**L40, "claim": {"name": "third", "image_id": "1"}}],
            caps={"regions": ["NORWAY-1"]},
            credentials=account,
            **one_look,
        )


@pytest.mark.parametrize("status", some_slow([409], [403, 422]))
def test_a_refused_place_is_left_alone_for_a_while_and_the_next_best_is_taken_at_once(
    cloud: Cloud, hook: tuple[Webhook, str], how: dict[str, Any], status: int
) -> None:
    kept, name = hook
    sandbox = empty(cloud)
    sandbox.set_stock(*HERE, 9)
    account = account_of(sandbox)

    def refuse(count: int | None) -> None:
        sandbox.fault(
            "status",
            operation="create_instance",
            status=status,
            message="quota reached for L40",
            count=count,
        )

    refuse(1)
    one_look = {**how, "watch_for": None, "credentials": account}
    want = {**L40, "claim": CLAIM}
    [row] = watch_gpu_stock([{**want, "otherwise": [{"gpu_model": "A40"}]}], **one_look).rows
    assert (row.outcome, asked(sandbox)) == ("done", [status, 200])
    assert [i["gpu_model"] for i in sandbox.state()["instances"]] == ["A40"]

    refuse(None)
    other = {**L40, "claim": {"name": "other", "image_id": "1"}}
    for _ in range(2):
        with pytest.raises(WorkFailed, match="quota reached for L40") as failed:
            watch_gpu_stock([other], notify=[name], **{**one_look, "watch_for": "3s"})
    assert asked(sandbox) == [status, 200, status], "asked once more in two runs of many looks"
    [row] = failed.value.report.rows
    assert "somebody else" not in row.why
    assert "API key" not in row.why
    assert "It is not asked again for 1x L40 in CANADA-1 before" in row.why
    assert sum("quota" in message["body"] for message in kept.received) == 1


@pytest.mark.slow
def test_what_comes_up_in_error_is_a_failure_and_its_name_is_not_asked_for_again(
    cloud: Cloud, hook: tuple[Webhook, str], how: dict[str, Any]
) -> None:
    kept, name = hook
    sandbox = empty(cloud)
    sandbox.set_stock(*HERE, 9)
    sandbox.fault("fail", operation="create_instance", count=1)
    account = account_of(sandbox)
    for _ in range(2):
        with pytest.raises(WorkFailed, match="train is in ERROR and keeps its name") as failed:
            watch_gpu_stock([{**L40, "claim": CLAIM}], notify=[name], credentials=account, **how)
        [row] = failed.value.report.rows
        assert (row.outcome, row.now, row.reason) == ("failed", "ERROR", Reason.IN_ERROR)
    assert asked(sandbox) == [200]
    assert sum("is in ERROR" in message["body"] for message in kept.received) == 1
    with pytest.raises(ValueError, match="the name is taken by train, ERROR"):
        create_when_available(account, {**L40, "claim": CLAIM}, timeout=5)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["reset_after", "timeout_after", "error_after"])
def test_a_lost_answer_makes_no_second_one(cloud: Cloud, how: dict[str, Any], kind: str) -> None:
    sandbox = empty(cloud)
    sandbox.set_stock(*HERE, 9)
    more = {"seconds": 1} if kind == "timeout_after" else {}
    sandbox.fault(kind, operation="create_instance", count=1, **more)
    want = {**L40, "quantity": 2, "claim": CLAIM}
    report = watch_gpu_stock([want], credentials=account_of(sandbox), **how)
    assert [r.outcome for r in report.rows] == ["done", "done"]
    assert sorted(states(sandbox)) == ["train-1", "train-2"]


def test_a_hibernated_instance_is_claimed_back_and_a_snapshot_restored(
    cloud: Cloud, how: dict[str, Any]
) -> None:
    sandbox = empty(cloud)
    sandbox.seed_instance("sleeper", gpu_model="L40", region="CANADA-1", status="HIBERNATED")
    machine = sandbox.seed_instance("source", gpu_model="A40", region="CANADA-1")
    account = account_of(sandbox)
    snapshot = account.get_client().snapshots.create(machine, "saved")
    sandbox.advance(600)
    sandbox.set_stock(*HERE, 1)
    wants = [
        {**L40, "claim": {"how": "restore", "instance": "sleeper"}},
        {
            "gpu_model": "A40",
            "regions": ["CANADA-1"],
            "claim": {"how": "snapshot", "snapshot_id": snapshot.id, "name": "copy"},
        },
    ]
    report = watch_gpu_stock(wants, credentials=account, **how)
    assert [(r.instance, r.outcome, r.now) for r in report.rows] == [
        ("sleeper", "done", "ACTIVE"),
        ("copy", "done", "ACTIVE"),
    ]
    assert len(asked(sandbox, "restore_instance")) == len(asked(sandbox, "restore_snapshot")) == 1


@pytest.mark.slow
@pytest.mark.usefixtures("impatient")
def test_the_guard_decides_and_says_why(cloud: Cloud, how: dict[str, Any]) -> None:
    sandbox = empty(cloud)
    sandbox.set_stock(*HERE, 9)
    want = {**L40, "quantity": 2, "claim": CLAIM}
    account = account_of(sandbox, caps={"burn": 2})
    quick = {**how, "watch_for": "3s"}
    with pytest.raises(WorkFailed, match=r"would burn 2.38 USD an hour, the cap is 2.00 USD"):
        watch_gpu_stock([want], credentials=account, **quick)
    assert sorted(states(sandbox)) == ["train-1"]
    sandbox.fault("malformed", operation="get_credit_balance", count=None)
    with pytest.raises(
        WorkFailed, match="get_credit_balance cannot be read, and the cap burn needs it"
    ):
        watch_gpu_stock(
            [{**L40, "claim": {"name": "other", "image_id": "1"}}], credentials=account, **quick
        )
    assert sorted(states(sandbox)) == ["train-1"]


@pytest.mark.slow
def test_a_refusal_is_told_once_and_again_only_for_another_reason(
    cloud: Cloud, hook: tuple[Webhook, str], how: dict[str, Any]
) -> None:
    kept, name = hook
    sandbox = empty(cloud)
    sandbox.set_stock(*HERE, 4)
    sandbox.seed_instance("busy", gpu_model="L40")
    more = {**how, "watch_for": None, "notify": [name], "credentials": account_of(sandbox)}
    for caps, told in (({"burn": 2}, 1), ({"burn": "2.1"}, 1), ({"gpus": 1}, 2)):
        with pytest.raises(WorkFailed):
            watch_gpu_stock([{**L40, "claim": CLAIM}], caps=caps, **more)
        assert sum("failed" in m["subject"] for m in kept.received) == told


@pytest.mark.slow
def test_who_is_told_by_another_deployment_hears_of_stock_too(
    cloud: Cloud, hook: tuple[Webhook, str], how: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, name = hook
    sandbox = empty(cloud, speed=0)
    sandbox.set_stock(*HERE, 4)
    monkeypatch.setattr("barrack_tasks.controllers.stock.run.now", sandbox.now)
    one_look = {**how, "watch_for": None, "credentials": account_of(sandbox)}
    watch_gpu_stock([L40], **one_look)
    for _ in range(2):
        sandbox.advance(30)
        watch_gpu_stock([L40], notify=[name], **one_look)
    assert len(kept.received) == 1, "what was told to nobody was not told"
    with saved_hook() as (also, second):
        for notify in ([second], [name], [second]):
            sandbox.advance(30)
            watch_gpu_stock([L40], notify=notify, **one_look)
    assert (len(kept.received), len(also.received)) == (1, 1)


@pytest.mark.slow
def test_what_a_notifier_refused_is_told_once_it_takes_it_and_not_again(
    cloud: Cloud, hook: tuple[Webhook, str], how: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, name = hook
    sandbox = empty(cloud, speed=0)
    sandbox.set_stock(*HERE, 4)
    monkeypatch.setattr("barrack_tasks.controllers.stock.run.now", sandbox.now)
    one_look = {**how, "watch_for": None, "credentials": account_of(sandbox)}

    def look() -> list[str]:
        sandbox.advance(300)
        report = watch_gpu_stock([L40], notify=[name], **one_look)
        assert any("could not be told" in note for note in report.notes) == (kept.status != 200)
        return sentences(kept)

    kept.status = 500
    assert look() == look() == []
    kept.status = 200
    assert look() == look() == ["in stock: 1x L40 in CANADA-1, at least 4"]
    kept.status = 500
    for count in (0, 9, 0, 0):
        sandbox.set_stock(*HERE, count)
        watch_gpu_stock([L40], notify=[name], **one_look)
        sandbox.advance(300)
    kept.status = 200
    assert len(look()) == 1, "what is gone is owed to nobody"


def test_a_name_that_another_watcher_has_claimed_is_told_as_that(
    cloud: Cloud, how: dict[str, Any]
) -> None:
    sandbox = empty(cloud)
    sandbox.set_stock(*HERE, 9)
    sandbox.fault(
        "status",
        operation="create_instance",
        status=409,
        message="the name is taken",
        count=1,
    )
    one_look = {**how, "watch_for": None, "credentials": account_of(sandbox)}
    [row] = watch_gpu_stock([{**L40, "claim": CLAIM}], **one_look).rows
    assert (row.outcome, row.reason) == ("skipped", Reason.HELD)
    assert row.why == "somebody else has it or is asking for it"


@pytest.mark.slow
def test_a_quantity_that_is_raised_buys_one_more(cloud: Cloud, how: dict[str, Any]) -> None:
    sandbox = empty(cloud)
    sandbox.set_stock(*HERE, 9)
    one_look = {**how, "credentials": account_of(sandbox)}
    watch_gpu_stock([{**L40, "claim": CLAIM}], **one_look)
    report = watch_gpu_stock([{**L40, "quantity": 2, "claim": CLAIM}], **one_look)
    assert [(r.instance, r.outcome) for r in report.rows] == [
        ("train", "already"),
        ("train-2", "done"),
    ]
    assert sorted(states(sandbox)) == ["train", "train-2"]


@pytest.mark.slow
def test_the_caps_hold_for_all_that_is_claimed_in_one_look(
    cloud: Cloud, how: dict[str, Any]
) -> None:
    one_look = {**how, "watch_for": None}
    for caps in ({"instances": 2}, {"gpus": 2}):
        sandbox = empty(cloud)
        sandbox.set_stock(*HERE, 9)
        want = {**L40, "quantity": 5, "claim": CLAIM}
        with pytest.raises(WorkFailed, match=r"3 of 5 .*the cap is 2"):
            watch_gpu_stock([want], caps=caps, credentials=account_of(sandbox), **one_look)
        assert sorted(states(sandbox)) == ["train-1", "train-2"]


@pytest.mark.slow
def test_what_was_claimed_for_a_time_ends_and_nothing_else(
    cloud: Cloud, how: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox = empty(cloud, seed=8111)  # ids that no other test's instances have
    sandbox.set_stock(*HERE, 2)
    sandbox.seed_instance("bystander", gpu_model="A40")
    account = account_of(sandbox)
    want = {**L40, "claim": CLAIM}
    watch_gpu_stock([want], expires="1h", on_expiry="delete", credentials=account, **how)
    assert states(sandbox) == {"train": "ACTIVE", "bystander": "ACTIVE"}
    sandbox.advance(2 * 3600)
    told = watch_gpu_stock(
        [{"gpu_model": "A40"}], credentials=account, **{**how, "watch_for": None}
    ).told
    assert "train: its time was over: delete instance" in told
    sandbox.advance(60)
    assert states(sandbox) == {"bystander": "ACTIVE"}


@pytest.mark.slow
def test_what_could_not_be_hibernated_is_not_claimed_for_a_time(
    cloud: Cloud, how: dict[str, Any]
) -> None:
    sandbox = empty(cloud)
    account = account_of(sandbox)
    one_look = {**how, "watch_for": None, "expires": "1h", "credentials": account}
    big = {"gpu_model": "H100-SXM5-80GB", "gpu_count": 8, "claim": CLAIM}
    sentence = "can never be met: 8x H100-SXM5-80GB cannot hibernate, so it could not be ended"
    with pytest.raises(ValueError, match=sentence):
        watch_gpu_stock([big], **one_look)
    assert effects(sandbox, "create_instance") == []
    next_best = {**big, "otherwise": [{"gpu_model": "A40"}]}
    [row] = watch_gpu_stock([next_best], dry_run=True, **one_look).rows
    assert "1x A40" in row.why
    watch_gpu_stock([next_best], **one_look)
    [machine] = sandbox.state()["instances"]
    assert machine["gpu_model"] == "A40"
    deleted = {**big, "claim": {**CLAIM, "name": "big"}}
    watch_gpu_stock([deleted], on_expiry="delete", **one_look)
    assert "big" in states(sandbox)


def test_a_snapshot_of_what_could_not_be_hibernated_is_not_restored_for_a_time(
    cloud: Cloud, how: dict[str, Any]
) -> None:
    sandbox = cloud(fleet=0, balance="5000")
    id_ = sandbox.seed_instance("big", gpu_model="H100-SXM5-80GB", gpu_count=8)
    account = account_of(sandbox)
    account.get_client().snapshots.create(id_, "base")
    sandbox.advance(600)
    claim = {"how": "snapshot", "snapshot_id": "base", "name": "train"}
    options = {"gpu_model": "H100-SXM5-80GB", "gpu_count": 8, "otherwise": [{"gpu_model": "L40"}]}
    with pytest.raises(ValueError, match=r"comes back as 8x .* cannot hibernate, so it"):
        watch_gpu_stock([{**options, "claim": claim}], expires="1h", credentials=account, **how)


@pytest.mark.slow
def test_what_one_look_claimed_is_announced_once_by_a_later_one_and_ends(
    cloud: Cloud, hook: tuple[Webhook, str], how: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, name = hook
    sandbox = empty(cloud, speed=0, seed=8110)  # ids that no other test's instances have
    sandbox.set_stock(*HERE, 5)
    account = account_of(sandbox)
    monkeypatch.setattr("barrack_tasks.controllers.stock.run.now", sandbox.now)
    one_look = {**how, "watch_for": None, "notify": [name], "credentials": account}

    def ups() -> list[str]:
        return [m["subject"] for m in kept.received if " is up: " in m["subject"]]

    watch_gpu_stock([{**L40, "claim": CLAIM}], expires="1h", on_expiry="delete", **one_look)
    [expiry] = read_expiries(account.account)
    assert expiry.name == "train", "noted before it is up"
    watch_gpu_stock([{"gpu_model": "A40"}], **one_look)
    assert ups() == []
    sandbox.advance(600)
    for _ in range(2):
        watch_gpu_stock([{"gpu_model": "A40"}], **one_look)
    [said] = ups()
    assert "; deleted at " in said
    assert len(events_about(f"barrack.instance.{expiry.id}", "barrack.instance.claimed")) == 1
    sandbox.advance(3600)
    watch_gpu_stock([{"gpu_model": "A40"}], **one_look)
    sandbox.advance(60)
    assert states(sandbox) == {}


@pytest.mark.slow
def test_edges_are_remembered_over_restarts_and_the_history_has_a_picture(
    cloud: Cloud, hook: tuple[Webhook, str], how: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, name = hook
    sandbox = empty(cloud, speed=0)
    account = account_of(sandbox)
    monkeypatch.setattr("barrack_tasks.controllers.stock.run.now", sandbox.now)

    def tick(stock: int) -> Any:
        sandbox.set_stock(*HERE, stock)
        sandbox.advance(60)
        return watch_gpu_stock(
            [L40], notify=[name], credentials=account, **{**how, "watch_for": None}
        )

    for stock in (0, 4, 4, 0, 4, 0, 0, 0, 0):
        report = tick(stock)
    assert len(kept.received) == 1, "it came once, and flickered"
    [line] = (how["history"] / f"gpu-stock-{account.account}.jsonl").read_text().splitlines()
    assert json.loads(line)["most"] == 4
    [known] = report.summaries
    assert (known.spells, known.typical) == (1, timedelta(minutes=3))
    assert "data:image/svg+xml;base64," in report.artifact()
    assert "data:image" not in report.markdown(), "what people print stays readable"
    tick(4)
    assert len(kept.received) == 2


@pytest.mark.slow
def test_watchers_of_different_things_leave_each_others_memory_alone(
    cloud: Cloud, hook: tuple[Webhook, str], how: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, name = hook
    sandbox = empty(cloud, speed=0)
    sandbox.set_stock(*HERE, 4)
    monkeypatch.setattr("barrack_tasks.controllers.stock.run.now", sandbox.now)
    one_look = {**how, "watch_for": None, "credentials": account_of(sandbox)}
    for _ in range(2):
        watch_gpu_stock([L40], notify=[name], **one_look)
        for _ in range(3):
            sandbox.advance(90)
            watch_gpu_stock([{"gpu_model": "A40"}], **one_look)
    assert len(kept.received) == 1, "it came once, and never went"
    assert not list(how["history"].iterdir())


@pytest.mark.slow
def test_one_look_is_one_request(cloud: Cloud, how: dict[str, Any]) -> None:
    sandbox = empty(cloud)
    wants = [{"gpu_model": model} for model in ("L40", "H100*", "A100*", "A40")]
    report = watch_gpu_stock(wants, credentials=account_of(sandbox), **{**how, "watch_for": "3s"})
    assert report.looks > 1
    assert len(asked(sandbox, "get_gpu_stock")) == report.looks
    others = [r["operation"] for r in sandbox.requests() if r["operation"] != "get_gpu_stock"]
    assert len(others) <= 8, "what is read once at the start"


@pytest.mark.slow
def test_it_never_looks_more_often_than_the_account_allows(
    cloud: Cloud, how: dict[str, Any]
) -> None:
    sandbox = empty(cloud, speed=1)
    account = account_of(sandbox, requests_per_second=4)
    report = watch_gpu_stock([L40], credentials=account, **{**how, "watch_for": "4s"})
    times = [datetime.fromisoformat(r["time"]) for r in sandbox.requests()]
    span = (times[-1] - times[0]).total_seconds()
    assert report.looks > 1
    assert len(times) <= 4 * span + 2


@pytest.mark.parametrize(
    ("wants", "said"),
    [
        ([{"gpu_model": "H200"}], "no GPU model matches 'H200'"),
        ([{"gpu_model": "L40", "regions": ["MARS-1"]}], "no region matches 'MARS-1'"),
        ([{"gpu_model": "L40", "max_price": "0.5"}], "can never be met"),
        (
            [{"gpu_model": "L40", "claim": {"how": "restore", "instance": "nobody"}}],
            "no instance has that name",
        ),
    ],
)
def test_what_can_never_be_is_said_before_the_first_look(
    cloud: Cloud, how: dict[str, Any], wants: Any, said: str
) -> None:
    sandbox = empty(cloud)
    with pytest.raises(ValueError, match=said):
        watch_gpu_stock(wants, credentials=account_of(sandbox), **how)
    assert asked(sandbox, "get_gpu_stock") == []


def test_a_snapshot_of_something_else_than_is_wanted_is_not_restored(
    cloud: Cloud, how: dict[str, Any]
) -> None:
    sandbox = empty(cloud)
    machine = sandbox.seed_instance("big", gpu_model="H100-PCIe-80GB", gpu_count=8)
    account = account_of(sandbox)
    snapshot = account.get_client().snapshots.create(machine, "saved")
    sandbox.advance(600)
    claim = {"how": "snapshot", "snapshot_id": snapshot.id, "name": "copy"}
    want = {"gpu_model": "A40", "max_price": 1, "claim": claim}
    with pytest.raises(ValueError, match="comes back as 8x H100-PCIe-80GB"):
        watch_gpu_stock([want], credentials=account, **how)
    assert asked(sandbox, "restore_snapshot") == []


@pytest.mark.slow
def test_what_is_protected_or_held_by_another_run_is_not_restored(
    cloud: Cloud, how: dict[str, Any]
) -> None:
    sandbox = empty(cloud)
    sleeper = sandbox.seed_instance(
        "sleeper", gpu_model="L40", region="CANADA-1", status="HIBERNATED"
    )
    sandbox.set_stock(*HERE, 1)
    want = {**L40, "claim": {"how": "restore", "instance": "sleeper"}}
    with pytest.raises(ValueError, match="sleeper is protected, so it is not restored"):
        watch_gpu_stock([want], credentials=account_of(sandbox, protect=["sleep*"]), **how)
    account = account_of(sandbox)
    with holding(account.account, "other", "run other", "x", timedelta(minutes=5)) as hold:
        assert hold.claim({sleeper: "sleeper"}) == {}
        report = watch_gpu_stock([want], credentials=account, **{**how, "watch_for": None})
    assert [(r.outcome, "somebody else has it" in r.why) for r in report.rows] == [
        ("skipped", True)
    ]
    assert asked(sandbox, "restore_instance") == []


def test_create_when_available_outside_of_flows(cloud: Cloud) -> None:
    sandbox = empty(cloud)
    said: list[str] = []
    timer = later(2, lambda: sandbox.set_stock(*HERE, 1))
    [machine] = create_when_available(
        account_of(sandbox), {**L40, "claim": CLAIM}, timeout=30, interval=1, say=said.append
    )
    timer.join()
    assert machine.status == "ACTIVE"
    assert machine.public_ip in said[-1]
    assert said[0] == "waiting for 1x L40 in CANADA-1"
    with pytest.raises(TimeoutError, match="0 of 1 of 1x L40 in CANADA-1 could be had within 1 s"):
        create_when_available(
            account_of(sandbox),
            {**L40, "claim": {"name": "more", "image_id": "1"}},
            timeout=1,
            interval=1,
            say=said.append,
        )
    with pytest.raises(ValueError, match="has no claim"):
        create_when_available(account_of(sandbox), L40)


def compete(
    cloud: Cloud, server: str, folder: Path, watchers: int, stock: int, shared: bool
) -> tuple[Sandbox, list[Any]]:
    """Watchers in processes of their own, and stock that appears for fewer of them."""
    sandbox = empty(cloud, speed=20)
    environment = {**sandbox.env, "PREFECT_API_URL": server}
    running = []
    for number in range(watchers):
        name = "shared" if shared else f"own-{number}"
        want = {**L40, "claim": {"name": name, "image_id": "1"}}
        if shared:
            want["quantity"] = stock
        arguments = {
            "wants": [want],
            "watch_for": f"{20 + 2 * watchers}s",
            "interval": "1s",
            "history": str(folder),
        }
        running.append(start_in_process("watch_gpu_stock", environment, arguments))
    for _ in range(600):
        if len(asked(sandbox, "get_gpu_stock")) >= 2 * watchers:
            break
        time.sleep(0.2)
    sandbox.set_stock(*HERE, 50 if shared else stock)
    return sandbox, [ended(*one, patience=200) for one in running]


def judge(sandbox: Sandbox, found: list[Any], stock: int) -> None:
    assert {code for code, _ in found} == {0}
    rows = [row for _, told in found for row in told]
    machines = sandbox.state()["instances"]
    assert len(machines) == stock, "exactly as many were deployed"
    assert all(Decimal(m["accrued"]) > 0 for m in machines), "and billed"
    won = [row for row in rows if row["outcome"] == "done"]
    assert sorted(row["instance"] for row in won) == sorted(m["name"] for m in machines)
    lost = [row for row in rows if row["outcome"] != "done"]
    assert all(row["why"] for row in lost)
    assert len(won) + len(lost) == len(rows)


def test_a_name_that_something_else_has_is_said_at_once(cloud: Cloud) -> None:
    sandbox = empty(cloud)
    sandbox.seed_instance("train", gpu_model="A40", region="US-1", status="HIBERNATED")
    with pytest.raises(ValueError, match="the name is taken by train, HIBERNATED 1x A40 in US-1"):
        create_when_available(account_of(sandbox), {**L40, "claim": CLAIM}, timeout=5)


def test_prices_are_those_of_now_however_long_it_watches(monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place("CANADA-1", "L40", 1)

    def means(*_: Any) -> Means:
        tariff = Tariff({("L40", 1, None): Decimal("9.99")})
        return Means(Balance(amount="100", currency="USD"), Decimal(0), (), tariff=tariff)

    monkeypatch.setattr("barrack_tasks.controllers.stock.watcher.read_means", means)
    account = BarrackCredentials(api_key="key", base_url="http://127.0.0.1:1")
    wants = read_wants([{**L40, "claim": CLAIM}])
    log = logging.getLogger("test")
    watcher = StockWatcher(account, wants, None, lambda: datetime.now(UTC), log)
    assert watcher.price_of(place) is None
    watcher.prepare()
    assert watcher.price_of(place) == Decimal("9.99")


@pytest.mark.slow
@pytest.mark.parametrize("shared", [True, False])
def test_watchers_in_separate_processes_claim_exactly_what_there_is(
    cloud: Cloud, prefect_server: str, tmp_path: Path, shared: bool
) -> None:
    sandbox, found = compete(cloud, prefect_server, tmp_path, 4, 2, shared)
    sandbox.advance(120)
    judge(sandbox, found, 2)


@pytest.mark.campaign
def test_twenty_watchers_and_stock_for_three(
    cloud: Cloud, prefect_server: str, tmp_path: Path
) -> None:
    sandbox, found = compete(cloud, prefect_server, tmp_path, 20, 3, False)
    sandbox.advance(120)
    judge(sandbox, found, 3)
    told = [row["why"] for _, rows in found for row in rows if row["outcome"] != "done"]
    assert len(told) == 17
    assert all("out of stock" in why for why in told)
    assert asked(sandbox).count(200) == 3
