"""Changes whose answer is lost: by the cloud's own ledger they happen once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from pydantic import BaseModel

from barrack_tasks import api
from barrack_tasks.api import Barrack, models
from barrack_tasks.api.operations import OPERATIONS, NeverRepeat
from barrack_tasks.api.transport import caller
from barrack_tasks.api.transport.pacing import RetryBudget
from barrack_tasks.sandbox import Sandbox
from tests.api.helpers import LOST_AFTER, LOST_BEFORE, QUICK, arm, client_of
from tests.api.recipes import RECIPES, Account
from tests.thinning import thinned

CHANGES = [name for name, operation in OPERATIONS.items() if operation.changes]
NEVER = [name for name in CHANGES if isinstance(OPERATIONS[name].lost, NeverRepeat)]
REPEATABLE = [name for name in CHANGES if name not in NEVER]
LOOKS = {name: look for name in CHANGES if (look := getattr(OPERATIONS[name].lost, "look", None))}
"""Where the effect of an operation can be looked for, if anywhere."""
PAIRS = [
    ("reset_before", "reset_after"),
    ("reset_after", "status"),
    ("error_after", "truncated"),
    ("malformed", "reset_before"),
    ("status", "error_after"),
    ("html", "malformed"),
    ("timeout_after", "reset_before"),
    ("status", "timeout_after"),
]
DIFFERS = {
    *("id", "name", "message", "instance_id", "instance_name", "snapshot_id"),
    *("port_range_min", "port_range_max", "created_at", "updated_at", "attached_at"),
}
"""What two answers to the same request differ in."""
IN_PEACE: dict[str, Any] = {}
"""What operations give when nothing goes wrong."""


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(speed=0, fleet=0, balance=10_000_000, settings={"jitter": 0}) as running:
        yield running


@pytest.fixture(scope="module")
def shared(sandbox: Sandbox) -> Iterator[Barrack]:
    with client_of(sandbox, policy={"timeout": 0.15}) as client:
        yield client


@pytest.fixture
def account(sandbox: Sandbox, shared: Barrack) -> Iterator[Account]:
    sandbox.set_stock("CANADA-1", "L40", 1000)
    shared._call._budget = shared._call._repeat._budget = RetryBudget()
    yield Account(sandbox, shared)
    sandbox.clear_faults()


class Judge:
    """Counts, by the ledger, the requests that changed something."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._before = len(sandbox.ledger())

    def effects(self, operation: str) -> int:
        """How many requests of an operation took effect since then."""
        new = self._sandbox.ledger()[self._before :]
        return len({e["request_id"] for e in new if e["operation"] == operation})


def plain(result: Any) -> Any:
    """A result without what differs from one request to the next."""
    if isinstance(result, list):
        return [plain(item) for item in result]
    if not isinstance(result, BaseModel):
        return result
    fields = type(result).model_fields
    return {k: plain(v) for k, v in result if k in fields and k not in DIFFERS and v is not None}


def check_once(account: Account, operation: str, *kinds: str) -> None:
    """Ask once in peace and once under faults: the same result, and one effect."""
    if operation not in IN_PEACE:
        arguments = RECIPES[operation](account)
        IN_PEACE[operation] = account.client.perform(operation, **arguments)
    expected = IN_PEACE[operation]
    arguments = RECIPES[operation](account)
    judge = Judge(account.sandbox)
    for kind in kinds:
        arm(account.sandbox, kind, operation)
    result = account.client.perform(operation, **arguments)
    assert type(result) is type(expected)
    for key, value in plain(expected).items() if isinstance(expected, BaseModel) else ():
        if isinstance(value, str) and value.count(".") == 3:
            continue  # an address
        assert plain(result)[key] == value, key
    if "name" in arguments:
        assert result.name == arguments["name"]
    if operation == "update_script":
        assert judge.effects(operation) >= 1, "which is the same once or twice"
    else:
        assert judge.effects(operation) == 1


def test_there_is_a_recipe_for_every_change() -> None:
    assert set(RECIPES) == set(CHANGES)


@pytest.mark.parametrize(("operation", "kind"), thinned(REPEATABLE, [*LOST_BEFORE, *LOST_AFTER]))
def test_one_lost_answer(account: Account, operation: str, kind: str) -> None:
    check_once(account, operation, kind)


@pytest.mark.slow
@pytest.mark.parametrize("operation", REPEATABLE)
@pytest.mark.parametrize("kinds", PAIRS, ids="-".join)
def test_two_lost_answers(account: Account, operation: str, kinds: tuple[str, str]) -> None:
    check_once(account, operation, *kinds)


@pytest.mark.parametrize("operation", CHANGES)
def test_a_refusal_for_speed_is_no_lost_answer(account: Account, operation: str) -> None:
    arguments = RECIPES[operation](account)
    judge = Judge(account.sandbox)
    account.sandbox.fault("status", operation, status=429, count=3)
    account.client.perform(operation, **arguments)
    assert judge.effects(operation) == 1


# Where nothing tells


@pytest.mark.parametrize(("operation", "kind"), thinned(NEVER, [*LOST_BEFORE, *LOST_AFTER]))
def test_what_cannot_be_found_out_is_told(account: Account, operation: str, kind: str) -> None:
    arguments = RECIPES[operation](account)
    judge = Judge(account.sandbox)
    before = len(account.sandbox.requests())
    arm(account.sandbox, kind, operation)
    with pytest.raises(api.BarrackError) as caught:
        account.client.perform(operation, **arguments)
    assert caught.value.took_effect is None
    assert caught.value.operation == operation
    assert "check before you repeat it" in str(caught.value)
    assert judge.effects(operation) == (kind in LOST_AFTER)
    assert len(account.sandbox.requests()) == before + 1


def test_what_was_never_sent_is_repeated_even_so(account: Account) -> None:
    arguments = RECIPES["reboot_instance"](account)
    judge = Judge(account.sandbox)
    nowhere = Barrack("k", "http://127.0.0.1:9", retry=replace(QUICK, attempts=2))
    with pytest.raises(api.BarrackTransportError) as caught:
        nowhere.perform("reboot_instance", **arguments)
    assert caught.value.took_effect is False
    assert judge.effects("reboot_instance") == 0


# When attempts end


@pytest.mark.parametrize("operation", LOOKS)
def test_a_last_look_finds_what_the_last_attempt_did(
    sandbox: Sandbox, account: Account, operation: str
) -> None:
    arguments = RECIPES[operation](account)
    judge = Judge(sandbox)
    with client_of(sandbox, policy={"attempts": 1}) as client:
        sandbox.fault("reset_after", operation, count=None)
        client.perform(operation, **arguments)
    assert judge.effects(operation) == 1


@pytest.mark.parametrize("operation", REPEATABLE)
def test_when_nothing_is_found_in_the_end_it_is_not_known(
    sandbox: Sandbox, account: Account, operation: str
) -> None:
    arguments = RECIPES[operation](account)
    judge = Judge(sandbox)
    with client_of(sandbox, policy={"attempts": 2}) as client:
        sandbox.fault("reset_before", operation, count=None)
        with pytest.raises(api.BarrackTransportError) as caught:
            client.perform(operation, **arguments)
    assert caught.value.took_effect is None
    assert caught.value.operation == operation
    assert judge.effects(operation) == 0


# When the look itself fails


@pytest.mark.parametrize(("operation", "status"), thinned([*LOOKS], [401, 422, 500]))
def test_a_look_that_fails_hides_nothing(
    sandbox: Sandbox,
    account: Account,
    operation: str,
    status: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    look = LOOKS[operation]
    arguments = RECIPES[operation](account)
    # Requests are counted here: none may be repeated because this machine was slow for a moment.
    with client_of(sandbox) as client, monkeypatch.context() as patched:
        patched.setattr(caller, "HEARD_FOR", 60.0)
        pages = 0
        if look.startswith("list_"):
            before = len(sandbox.requests())
            client.perform(look)
            pages = len(sandbox.requests()) - before
        judge = Judge(sandbox)
        sandbox.fault("reset_after", operation)
        looked_before = _looks_before(operation, pages)
        sandbox.fault("status", look, status=status, count=None, after=looked_before)
        with pytest.raises(api.BarrackError, match="looking for its effect failed") as caught:
            client.perform(operation, **arguments)
    assert caught.value.took_effect is None
    assert caught.value.operation == operation
    assert caught.value.status_code == status
    assert judge.effects(operation) == 1


def _looks_before(operation: str, pages: int) -> int:
    """How many requests the client looks with before it sends.

    It looks at a toggle, and at the whole list in which somebody may have the name already.
    """
    if operation == "create_snapshot":
        return 0
    return 1 if operation == "toggle_public_ip" else pages


@pytest.mark.parametrize("operation", LOOKS)
def test_a_look_that_fails_for_a_while_is_repeated(account: Account, operation: str) -> None:
    look = LOOKS[operation]
    arguments = RECIPES[operation](account)
    judge = Judge(account.sandbox)
    account.sandbox.fault("error_after", operation)
    for kind in ("reset_before", "truncated", "html", "reset_after"):
        account.sandbox.fault(kind, look)
    account.client.perform(operation, **arguments)
    assert judge.effects(operation) == 1


# Deletes


@pytest.mark.parametrize("operation", [name for name in CHANGES if name.startswith("delete_")])
def test_a_first_404_is_an_error(account: Account, operation: str) -> None:
    recipe = RECIPES[operation](account)
    nothing = {k: ["987654"] if isinstance(v, list) else "987654" for k, v in recipe.items()}
    with pytest.raises(api.BarrackNotFoundError) as caught:
        account.client.perform(operation, **nothing)
    assert caught.value.took_effect is False


@pytest.mark.parametrize("operation", [name for name in CHANGES if name.startswith("delete_")])
def test_a_404_after_a_lost_answer_is_done(account: Account, operation: str) -> None:
    arguments = RECIPES[operation](account)
    judge = Judge(account.sandbox)
    arm(account.sandbox, "reset_after", operation)
    # It is gone by the time of the look.
    account.sandbox.settings(durations={"delete": 0, "delete_snapshot": 0})
    try:
        account.client.perform(operation, **arguments)
    finally:
        account.sandbox.settings(durations={"delete": 10, "delete_snapshot": 5})
    assert judge.effects(operation) == 1


# Actions


def test_an_action_that_took_effect_and_failed_is_not_called_undone(account: Account) -> None:
    id_ = account.instance()
    account.sandbox.fault("fail", "hibernate_instance")
    account.sandbox.fault("reset_after", "hibernate_instance")
    account.sandbox.settings(durations={"hibernate": 0})
    try:
        with pytest.raises(api.BarrackConflictError) as caught:
            account.client.instances.hibernate(id_)
    finally:
        account.sandbox.settings(durations={"hibernate": 40})
    assert account.client.instances.get(id_).status == models.VMStatus.ERROR
    assert caught.value.took_effect is None


def test_an_instance_that_goes_while_its_answer_is_lost(account: Account) -> None:
    id_ = account.instance()
    account.sandbox.settings(durations={"hibernate": 0})
    account.sandbox.fault("reset_after", "hibernate_instance")
    account.sandbox.fault("status", "get_instance", status=404)
    try:
        with pytest.raises(api.BarrackNotFoundError) as caught:
            account.client.instances.hibernate(id_)
    finally:
        account.sandbox.settings(durations={"hibernate": 40})
    assert caught.value.took_effect is None
    assert caught.value.operation == "hibernate_instance"


def test_a_toggle_of_nothing_names_the_toggle(account: Account) -> None:
    with pytest.raises(api.BarrackNotFoundError) as caught:
        account.client.instances.toggle_public_ip("BRK-NOSUCHD")
    assert caught.value.operation == "toggle_public_ip"
    assert caught.value.took_effect is False


@pytest.mark.parametrize("kinds", [("reset_after",), ("reset_before", "error_after", "truncated")])
def test_two_toggles_are_two(account: Account, kinds: tuple[str, ...]) -> None:
    id_ = account.instance()
    had = account.client.instances.get(id_).public_ip
    judge = Judge(account.sandbox)
    for has in (not had, bool(had)):
        for kind in kinds:
            arm(account.sandbox, kind, "toggle_public_ip")
        toggled = account.client.instances.toggle_public_ip(id_)
        assert bool(toggled.public_ip) is has
        assert bool(account.client.instances.get(id_).public_ip) is has
    assert judge.effects("toggle_public_ip") == 2
