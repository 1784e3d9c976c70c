"""watch_balance against a real Prefect server, a real local cloud and real receivers."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
from prefect.blocks.notifications import MattermostWebhook

from barrack_tasks.api import BarrackConfigurationError, BarrackError
from barrack_tasks.plans import SelectionError
from barrack_tasks.runtime.alerts import NobodyTold
from barrack_tasks.sandbox import Sandbox
from flows.hibernate import hibernate
from flows.watch_balance import watch_balance
from tests.flows.conftest import account_of, effects, events_about, fleet, states
from tests.flows.receivers import Mailbox, Webhook, sentences, subjects
from tests.thinning import some_slow

Cloud = Callable[..., Sandbox]


@pytest.mark.slow
def test_each_crossing_is_told_once_over_runs_and_a_top_up_ends_it(
    cloud: Cloud, hook: tuple[Webhook, str], mail: tuple[Mailbox, str]
) -> None:
    (kept, name), (box, mail_name) = hook, mail
    sandbox = fleet(cloud, "60", "alpha", "beta")  # 2.38 an hour: lasts 25 h
    account = account_of(sandbox)

    def tick(**more: Any) -> Any:
        lines = [{"runway": "24h"}, {"runway": "10h"}, {"amount": "5 USD"}]
        return watch_balance(
            thresholds=lines, notify=[name, mail_name], credentials=account, **more
        )

    first = tick()
    assert (first.balance, first.burn_hourly, first.told) == (Decimal(60), Decimal("2.38"), ())
    sandbox.advance(3 * 3600)
    assert tick(dry_run=True).told
    assert kept.received == []
    for _ in range(3):
        tick()
    assert len(kept.received) == len(box.received) == 1
    assert "lasts 22 h: below the line of 24 h" in kept.received[0]["subject"]
    assert "Burning 2.38 USD an hour: instance ACTIVE 2.38 USD." in kept.received[0]["body"]
    assert "below the line of 24 h" in box.received[0][0]
    assert "Burning 2.38 USD an hour" in box.received[0][1]
    sandbox.advance(21 * 3600)
    tick()
    assert len(kept.received) == 2, "10 h and 5 USD were crossed, and told in one message"
    assert sum("below the line of" in sentence for sentence in sentences(kept)) == 3
    sandbox.add_credit("500")
    tick()
    tick()
    assert [subject.rpartition(": ")[2] for subject in subjects(kept)[1:]] == [
        "2 alerts",
        "3 alarms are over",
    ]
    assert sum("over: " in sentence for sentence in sentences(kept)) == 3


def test_events_tell_of_crossings(cloud: Cloud, hook: tuple[Webhook, str]) -> None:
    sandbox = fleet(cloud, "10", "alpha")
    account = account_of(sandbox)
    watch_balance(thresholds=[{"amount": 50}], credentials=account)
    sandbox.add_credit("100")
    watch_balance(thresholds=[{"amount": 50}], credentials=account)
    seen = events_about(f"barrack.balance.{account.account}", count=2)
    assert [e["event"] for e in seen] == ["barrack.balance.crossed", "barrack.balance.recovered"]
    assert seen[0]["payload"]["line"] == "amount 50"


@pytest.mark.slow
def test_instances_are_hibernated_in_the_users_order_until_the_balance_lasts(
    cloud: Cloud, hook: tuple[Webhook, str]
) -> None:
    kept, name = hook
    # 3.57 an hour: 20 USD last 5.6 h; with one asleep 8.4 h, with two 16 h.
    sandbox = fleet(cloud, "20", "prod", "dev", "scratch", speed=60)
    line = {"runway": "6h", "actions": ["alert", "hibernate"], "until": "8h"}
    how: dict[str, Any] = {
        "thresholds": [line],
        "select": ["*"],
        "priority": ["scratch*", "dev"],
        "notify": [name],
        "credentials": account_of(sandbox),
    }
    plan = watch_balance(dry_run=True, **how)
    assert [(r.instance, r.outcome) for r in plan.rows] == [("scratch", "planned")]
    assert set(states(sandbox).values()) == {"ACTIVE"}
    report = watch_balance(**how)
    assert [(r.instance, r.outcome, r.now) for r in report.rows] == [
        ("scratch", "done", "HIBERNATED")
    ]
    assert "Going to hibernate scratch." in kept.received[0]["body"]
    again = watch_balance(**how)
    assert again.rows == ()
    assert "over: " in subjects(kept)[1]
    assert len(effects(sandbox, "hibernate_instance")) > 0
    assert states(sandbox) == {"prod": "ACTIVE", "dev": "ACTIVE", "scratch": "HIBERNATED"}


@pytest.mark.slow
def test_everything_unprotected_with_a_snapshot_first(cloud: Cloud) -> None:
    sandbox = fleet(cloud, "20", "prod", "dev", speed=120)
    report = watch_balance(
        thresholds=[{"amount": 30, "actions": ["hibernate_all"], "snapshot": True}],
        select=["*"],
        protect=["prod"],
        credentials=account_of(sandbox),
    )
    assert [(r.instance, r.did) for r in report.rows] == [("dev", ("snapshot", "put to rest"))]
    assert states(sandbox) == {"prod": "ACTIVE", "dev": "HIBERNATED"}
    assert len(effects(sandbox, "create_snapshot")) >= 1


@pytest.mark.slow
def test_a_notifier_that_is_down_stops_nothing_and_is_told_later(
    cloud: Cloud, hook: tuple[Webhook, str], mail: tuple[Mailbox, str]
) -> None:
    (kept, name), (box, mail_name) = hook, mail
    sandbox = fleet(cloud, "20", "alpha", speed=60)
    kept.status = 500
    line = {"amount": 30, "actions": ["alert", "hibernate_all"]}
    how: dict[str, Any] = {
        "thresholds": [line],
        "select": ["*"],
        "notify": [name, mail_name],
        "credentials": account_of(sandbox),
    }
    report = watch_balance(**how)
    assert states(sandbox) == {"alpha": "HIBERNATED"}
    assert len(box.received) == 1
    why = "it answered with the status 500 (HTTPStatusError)"
    assert report.notes == (f"the notification block {name} could not send: {why}",)
    kept.status = 200
    for _ in range(2):
        watch_balance(**how)
    assert len(kept.received) == 1, "what was owed was told, once"
    assert len(box.received) == 1


@pytest.mark.slow
def test_an_alarm_that_nobody_hears_fails_the_run_after_the_work(
    cloud: Cloud, hook: tuple[Webhook, str]
) -> None:
    kept, name = hook
    kept.status = 500
    sandbox = fleet(cloud, "20", "alpha", speed=60)
    with pytest.raises(NobodyTold, match="no notification could be sent"):
        watch_balance(
            thresholds=[{"amount": 30, "actions": ["alert", "hibernate_all"]}],
            select=["*"],
            notify=[name],
            credentials=account_of(sandbox),
        )
    assert states(sandbox) == {"alpha": "HIBERNATED"}


@pytest.mark.slow
@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("operation", ["get_credit_balance", "get_pricing", "list_instances"])
def test_what_cannot_be_read_is_an_alarm_told_once(
    cloud: Cloud, hook: tuple[Webhook, str], operation: str
) -> None:
    kept, name = hook
    sandbox = fleet(cloud, "500", "alpha")
    how: dict[str, Any] = {"notify": [name], "credentials": account_of(sandbox)}
    sandbox.fault("malformed", operation=operation, count=None)
    for _ in range(2):
        with pytest.raises(BarrackError):
            watch_balance(**how)
    assert len(kept.received) == 1
    assert "cannot be watched, because it cannot be read" in kept.received[0]["subject"]
    sandbox.clear_faults()
    watch_balance(**how)
    assert "can be read again" in subjects(kept)[1]


@pytest.mark.parametrize(
    "operation", some_slow(["get_pricing"], ["list_volumes", "list_snapshots"])
)
def test_an_amount_is_watched_and_kept_without_what_it_does_not_need(
    cloud: Cloud, hook: tuple[Webhook, str], operation: str
) -> None:
    kept, name = hook
    sandbox = fleet(cloud, "100", "alpha", "beta", speed=120)
    sandbox.fault("status", operation=operation, count=None, status=404)
    line = {"amount": 300, "actions": ["alert", "hibernate_all"]}
    how: dict[str, Any] = {"select": ["*"], "notify": [name], "credentials": account_of(sandbox)}
    report = watch_balance(thresholds=[line], **how)
    assert set(states(sandbox).values()) == {"HIBERNATED"}
    assert any("below the line of 300.00 USD" in t for t in sentences(kept))
    assert any(operation in t for t in sentences(kept))
    assert any(operation in note for note in report.notes)


@pytest.mark.slow
def test_what_chats_cost_is_seen_in_the_balance(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox = cloud(fleet=0, balance="100", speed=0)
    account = account_of(sandbox)
    monkeypatch.setattr("barrack_tasks.controllers.money.balance.now", sandbox.now)
    question = [{"role": "user", "content": "word " * 100_000}]
    for _ in range(3):
        report = watch_balance(credentials=account)
        account.get_client().ai.chat("llama-3.3-70b-instruct", question)
        sandbox.advance(3600)
    spent = 100 - report.balance
    report = watch_balance(credentials=account)
    assert spent > 0
    assert list(report.by_state) == ["other (seen in the balance)"]
    assert report.burn_hourly == pytest.approx(spent / 2, rel=Decimal("0.01"))


@pytest.mark.parametrize(
    ("how", "error", "said"),
    [
        ({"thresholds": [{"amount": "9 EUR"}]}, ValueError, "account's currency is USD"),
        ({"thresholds": [{"runway": "2h"}, {"runway": "24h"}]}, ValueError, "wrong order"),
        ({"notify": ["nobody-1"]}, BarrackConfigurationError, "no notification block is called"),
        (
            {"thresholds": [{"runway": "2h", "actions": ["hibernate"]}]},
            SelectionError,
            "nothing says what",
        ),
    ],
)
def test_bad_input_is_one_sentence_before_anything_is_done(
    cloud: Cloud, how: Any, error: type[Exception], said: str
) -> None:
    sandbox = fleet(cloud, "1", "alpha")
    with pytest.raises(error, match=said):
        watch_balance(credentials=account_of(sandbox), **how)
    assert not [r for r in sandbox.requests() if r["method"] != "GET"]


@pytest.mark.slow
def test_a_block_of_prefects_own_is_found_by_its_name_and_by_type_and_name(
    cloud: Cloud, hook: tuple[Webhook, str]
) -> None:
    kept, name = hook
    port = int(kept.url.rpartition(":")[2].partition("/")[0])
    MattermostWebhook(hostname="127.0.0.1", port=port, token="secret").save(name, _sync=True)  # type: ignore[call-arg]
    account = account_of(fleet(cloud, "10", "alpha"))
    with pytest.raises(BarrackConfigurationError, match=f"may mean .*mattermost-webhook/{name}"):
        watch_balance(notify=[name], credentials=account)
    report = watch_balance(
        thresholds=[{"amount": 30}], notify=[f"mattermost-webhook/{name}"], credentials=account
    )
    assert report.notes == ()
    assert "below the line of 30.00 USD" in str(kept.received)


@pytest.mark.slow
def test_two_runs_at_the_same_moment_tell_it_once(cloud: Cloud, hook: tuple[Webhook, str]) -> None:
    kept, name = hook
    sandbox = fleet(cloud, "10", "alpha")
    how: dict[str, Any] = {
        "thresholds": [{"amount": 30}],
        "notify": [name],
        "credentials": account_of(sandbox),
    }
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: watch_balance(**how), range(2)))
    watch_balance(**how)
    assert len(kept.received) == 1


@pytest.mark.slow
def test_the_watch_and_a_person_do_not_fight_over_an_instance(cloud: Cloud) -> None:
    sandbox = fleet(cloud, "20", "alpha", speed=60)
    account = account_of(sandbox)
    hibernate(select=["alpha"], credentials=account)
    report = watch_balance(
        thresholds=[{"amount": 30, "actions": ["hibernate_all"]}],
        select=["*"],
        credentials=account,
    )
    assert report.rows == ()


@pytest.mark.slow
def test_two_deployments_with_lines_of_their_own_do_not_disturb_each_other(
    cloud: Cloud, hook: tuple[Webhook, str]
) -> None:
    kept, name = hook
    account = account_of(fleet(cloud, "20", "alpha"))
    for _ in range(2):
        for amount in (50, 40):
            watch_balance(thresholds=[{"amount": amount}], notify=[name], credentials=account)
    assert [s.rpartition("line of ")[2] for s in subjects(kept)] == ["50.00 USD", "40.00 USD"]


@pytest.mark.slow
def test_a_line_without_an_alert_silences_nobody_elses_nor_its_own_once_it_has_one(
    cloud: Cloud, hook: tuple[Webhook, str]
) -> None:
    kept, name = hook
    how: dict[str, Any] = {
        "select": ["*"],
        "protect": ["alpha"],
        "notify": [name],
        "credentials": account_of(fleet(cloud, "20", "alpha")),
    }
    quiet = {"amount": 30, "actions": ["hibernate_all"]}
    loud = {"amount": 30, "actions": ["alert", "hibernate_all"]}
    watch_balance(thresholds=[quiet], **how)
    assert kept.received == []
    for _ in range(2):
        watch_balance(thresholds=[loud], **how)
        watch_balance(thresholds=[quiet], **how)
        watch_balance(thresholds=[{"amount": 30}], **how)
    assert len(kept.received) == 2, "one of each that alerts"


@pytest.mark.slow
def test_deployments_with_the_same_lines_for_other_instances_keep_them_side_by_side(
    cloud: Cloud, hook: tuple[Webhook, str]
) -> None:
    kept, name = hook
    sandbox = fleet(cloud, "20", "alpha", "beta", speed=60)
    line = {"amount": 30, "actions": ["alert", "hibernate_all"]}
    for selected in ("alpha", "beta"):
        watch_balance(
            thresholds=[line], select=[selected], notify=[name], credentials=account_of(sandbox)
        )
    bodies = [one["body"] for one in kept.received]
    assert ["Going to hibernate alpha." in b for b in bodies] == [True, False]
    assert ["Going to hibernate beta." in b for b in bodies] == [False, True]


@pytest.mark.slow
def test_a_debit_is_told_apart_and_puts_nothing_to_rest(
    cloud: Cloud, hook: tuple[Webhook, str]
) -> None:
    kept, name = hook
    sandbox = fleet(cloud, "2000", "alpha")
    how: dict[str, Any] = {
        "thresholds": [
            {"amount": 1700},
            {"runway": "24h", "actions": ["alert", "hibernate"]},
        ],
        "select": ["*"],
        "notify": [name],
        "credentials": account_of(sandbox),
    }
    watch_balance(**how)
    sandbox.advance(36 * 60)
    sandbox.add_credit("-400")
    for _ in range(3):
        report = watch_balance(**how)
        assert (report.rows, report.burn_hourly) == ((), Decimal("1.19"))
        assert any("a debit of 399.98 USD was seen" in note for note in report.notes)
        sandbox.advance(3600)
    assert states(sandbox) == {"alpha": "ACTIVE"}
    assert len(kept.received) == 1, "the amount, and no time left"
    assert "Note: a debit of 399.98 USD" in kept.received[0]["body"]


@pytest.mark.slow
def test_one_instance_that_is_stuck_does_not_keep_the_watch_from_looking_again(
    cloud: Cloud,
) -> None:
    sandbox = fleet(cloud, "20", "fine")
    sandbox.seed_instance("slow", gpu_model="L40", status="RESTORING")
    report = watch_balance(
        thresholds=[{"runway": "24h", "actions": ["hibernate_all"]}],
        select=["*"],
        patience="1s",
        credentials=account_of(sandbox),
    )
    assert {r.instance: (r.outcome, r.why) for r in report.rows} == {
        "fine": ("skipped", "left to the next run: it is HIBERNATING"),
        "slow": ("skipped", "left to the next run: it is RESTORING"),
    }
    assert states(sandbox) == {"fine": "HIBERNATING", "slow": "RESTORING"}
