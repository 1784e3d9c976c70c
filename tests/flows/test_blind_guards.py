"""A guard that completes no run any more is told of by whichever run comes next."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.schedules import IntervalSchedule
from prefect.states import Completed, Failed, Running, Scheduled, State

from barrack_tasks.cli.deployments import deployments_of_ours, read_deployed
from barrack_tasks.cli.prefect_lists import read_due
from barrack_tasks.runtime.health import blind_guards
from barrack_tasks.runtime.leases import holding
from barrack_tasks.sandbox import Sandbox
from flows.watch_account import watch_account
from tests.deployments.playing import barrack
from tests.flows.conftest import account_of, named
from tests.flows.receivers import Webhook, subjects


class Guard:
    """A deployment of a guard, due every second, whose runs only this test makes."""

    def __init__(self, notify: str, flow: str = "barrack-watch-balance") -> None:
        self.name = named()
        with get_client(sync_client=True) as client:
            self.id = client.create_deployment(
                client.create_flow_from_name(flow),
                self.name,
                tags=["barrack", "guard"],
                parameters={"notify": [notify]},
                schedules=[
                    DeploymentScheduleCreate(
                        schedule=IntervalSchedule(interval=timedelta(seconds=1)), active=True
                    )
                ],
            )

    def run(self, state: State[None]) -> str:
        """Make a run of it that gets into a state; its name."""
        with get_client(sync_client=True) as client:
            run = client.create_flow_run_from_deployment(self.id)
            client.set_flow_run_state(run.id, state, force=True)
            return run.name

    def wait_until_blind(self) -> str:
        """Wait until it is blind; what is said of it."""
        with get_client(sync_client=True) as client:
            for _ in range(200):
                for one in blind_guards(client):
                    if self.name in one.text:
                        return one.text
                time.sleep(0.1)
        raise AssertionError("the guard never was blind")

    def is_blind(self) -> bool:
        with get_client(sync_client=True) as client:
            return any(self.name in one.text for one in blind_guards(client))


@pytest.fixture
def guard(hook: tuple[Webhook, str]) -> Iterator[Guard]:
    made = Guard(hook[1])
    yield made
    with get_client(sync_client=True) as client:
        client.delete_deployment(UUID(str(made.id)))


@pytest.mark.slow
def test_a_blind_guard_is_told_once_to_those_whom_it_would_have_told(
    cloud: Callable[..., Sandbox], hook: tuple[Webhook, str], guard: Guard
) -> None:
    account = account_of(cloud())
    guard.wait_until_blind()
    watch_account(credentials=account, dry_run=True)
    assert subjects(hook[0]) == []
    for _ in range(2):
        watch_account(credentials=account)
    assert subjects(hook[0]) == ["Barrack: a guard is blind"]
    assert f"barrack-watch-balance/{guard.name} has completed no run" in hook[0].received[0]["body"]
    guard.run(Completed())
    assert not guard.is_blind()
    guard.wait_until_blind()
    watch_account(credentials=account)
    assert len(subjects(hook[0])) == 2


@pytest.mark.slow
def test_what_others_deploy_with_our_tags_is_in_no_list_of_ours(
    hook: tuple[Webhook, str],
) -> None:
    """Another team's flow, whose name contains what ours begin with."""
    theirs = Guard(hook[1], "team-barrack-watch")
    ours = Guard(hook[1])
    try:
        for one in (theirs, ours):
            one.run(Scheduled())
        ours.wait_until_blind()  # theirs has been silent for as long
        assert not theirs.is_blind()
        with get_client(sync_client=True) as client:
            deployed = {one.name for one in read_deployed(client)}
            due = {name.rpartition("/")[2] for name, _ in read_due(client, 200)}
            planned = {one["name"] for _, one in deployments_of_ours(client)}
        for listed in (deployed, due, planned):
            assert ours.name in listed
            assert theirs.name not in listed
    finally:
        with get_client(sync_client=True) as client:
            for one in (theirs, ours):
                client.delete_deployment(UUID(str(one.id)))


@pytest.mark.slow
def test_what_hangs_is_named_and_a_run_that_stood_aside_has_not_completed(
    cloud: Callable[..., Sandbox], hook: tuple[Webhook, str], guard: Guard
) -> None:
    running = guard.run(Running())
    guard.run(Completed(name="Skipped", message="another run watches"))
    said = guard.wait_until_blind()
    assert f"run {running} has been running for" in said
    assert "ended Skipped: another run watches" in said


def test_a_run_that_stands_aside_ends_skipped_and_gives_its_report(
    cloud: Callable[..., Sandbox],
) -> None:
    account = account_of(cloud())
    with holding(account.account, "other", "run other", "other", timedelta(minutes=5)) as hold:
        assert not hold.claim({"watch:account:": "account"})
        state = watch_account(credentials=account, return_state=True)
        report = watch_account(credentials=account)
    assert (state.name, state.type.value) == ("Skipped", "COMPLETED")
    assert report.notes == ("another run watches this account at this moment",)


def test_guards_are_asked_for_in_two_requests_while_all_is_well(prefect_server: str) -> None:
    with get_client(sync_client=True) as client:
        sent: list[str] = []
        client._client.event_hooks["request"].append(lambda request: sent.append(request.url.path))
        blind_guards(client)
    assert len(sent) <= 2, sent


@pytest.mark.slow
def test_status_shows_what_last_completed_what_hangs_and_who_is_blind(
    cloud: Callable[..., Sandbox], hook: tuple[Webhook, str], guard: Guard
) -> None:
    guard.run(Completed())
    guard.run(Failed(message="the [/red] server said no"))
    guard.wait_until_blind()
    done = barrack("status", **cloud().env)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [line for line in done.stdout.splitlines() if guard.name in line]
    assert " s ago" in lines[0]
    assert any("ended Failed: the [/red] server said no" in line for line in lines)
    assert any(line.startswith("BLIND: ") for line in lines)
