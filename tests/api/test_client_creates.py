"""Creates: never two, and nothing that was there before is taken for what was asked for."""

from __future__ import annotations

import base64
import struct
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from barrack_tasks import api
from barrack_tasks.api import Barrack
from barrack_tasks.api.operations import OPERATIONS, ByName
from barrack_tasks.api.transport import caller
from barrack_tasks.api.transport.exchange import Exchange
from barrack_tasks.api.transport.seen import ListMemory
from barrack_tasks.sandbox import Sandbox
from tests.api.helpers import LOST_AFTER, LOST_BEFORE, arm, client_of, http, wired
from tests.api.recipes import RECIPES, Account
from tests.thinning import some_slow, thinned

CREATES = ["create_snapshot", "create_instance", "restore_snapshot"]
LOOKS = {
    "create_snapshot": "list_snapshots",
    "create_instance": "list_instances",
    "restore_snapshot": "list_instances",
}
TIMES = {"timeout": 0.15}


@pytest.fixture(scope="module")
def running() -> Iterator[Sandbox]:
    with Sandbox(speed=0, fleet=0, balance=10_000_000, settings={"jitter": 0}) as sandbox:
        yield sandbox


@pytest.fixture
def account(running: Sandbox) -> Iterator[Account]:
    running.set_stock("CANADA-1", "L40", 1000)
    with client_of(running, policy=TIMES) as client:
        yield Account(running, client)
    running.clear_faults()
    running.settings(list_lag=0)
    running.set_speed(0)


def made(sandbox: Sandbox, name: str) -> int:
    """How many things of a name were ever made, by the ledger."""
    begun = ("CREATING", "ACTIVE -> CREATING", "CREATING: ")
    effects = [e for e in sandbox.ledger() if e["name"] == name and e["request_id"]]
    return len({e["id"] for e in effects if str(e["detail"]).startswith(begun)})


# Never two


@pytest.mark.parametrize(
    ("operation", "kind", "lag"), thinned(CREATES, [*LOST_BEFORE, *LOST_AFTER], [0.5, 2, 60])
)
def test_lists_that_lag(account: Account, operation: str, kind: str, lag: float) -> None:
    arguments = RECIPES[operation](account)
    account.sandbox.settings(list_lag=lag)
    speed = 20
    account.sandbox.set_speed(speed)
    arm(account.sandbox, kind, operation)
    # What is held for 3 seconds is not waited for; all else may take its time on a busy machine.
    patience = {"timeout": 1} if kind == "timeout_after" else {}
    allowed = {**patience, "visibility_lag": 2 * 2 / speed}
    try:
        with client_of(account.sandbox, policy=allowed) as client:
            result = client.perform(operation, **arguments)
        assert result.name == arguments["name"]
    except api.BarrackError as error:
        assert lag == 60, "it shows within the lag that the client allows for"
        assert error.took_effect is None  # noqa: PT017 - either way is right here
        assert error.operation == operation  # noqa: PT017
    account.sandbox.set_speed(0)
    assert made(account.sandbox, arguments["name"]) == 1


FAULTS = st.lists(
    st.tuples(
        st.sampled_from([*LOST_BEFORE, *LOST_AFTER, "refuse", "latency", "limit"]),
        st.sampled_from(["the create", "the list", "anything"]),
    ),
    max_size=6,
)


@pytest.mark.parametrize("operation", some_slow(CREATES[2:], CREATES[:2]))
@given(faults=FAULTS, lag=st.sampled_from([0, 0.3, 3]), attempts=st.sampled_from([2, 8]))
@settings(max_examples=20)
def test_any_faults_in_any_order(
    account: Account, operation: str, faults: list[tuple[str, str]], lag: float, attempts: int
) -> None:
    account.sandbox.settings(list_lag=0)
    arguments = RECIPES[operation](account)
    account.sandbox.settings(list_lag=lag)
    account.sandbox.set_speed(20)
    for kind, where in faults:
        target = {"the create": operation, "the list": LOOKS[operation]}.get(where, "*")
        if kind == "limit":
            account.sandbox.fault("status", target, status=429)
        else:
            arm(account.sandbox, kind, target, **({"seconds": 0.01} if kind == "latency" else {}))
    result: Any = None
    with client_of(account.sandbox, policy={**TIMES, "attempts": attempts}) as client:
        try:
            result = client.perform(operation, **arguments)
        except api.BarrackError as error:
            failure = error
    account.sandbox.clear_faults()
    account.sandbox.set_speed(0)
    count = made(account.sandbox, arguments["name"])
    if result is not None:
        assert result.name == arguments["name"]
        assert count == 1
    elif failure.took_effect is False:
        assert count == 0
    else:
        assert count <= 1
    account.sandbox.advance(1000)


@pytest.mark.parametrize("operation", CREATES)
def test_many_at_once_under_faults(account: Account, operation: str) -> None:
    every = [RECIPES[operation](account) for _ in range(12)]
    for kind in ("reset_after", "reset_before", "error_after"):
        account.sandbox.fault(kind, operation, probability=0.3, count=None)
    # No answer is late here, and twelve lists at once may take their time.
    with client_of(account.sandbox) as client, ThreadPoolExecutor(12) as pool:
        results = list(pool.map(lambda one: client.perform(operation, **one), every))
    assert [result.name for result in results] == [one["name"] for one in every]
    assert len({result.id for result in results}) == 12
    assert {made(account.sandbox, one["name"]) for one in every} == {1}


# Never another's


@pytest.mark.parametrize(
    ("operation", "kind", "whose"),
    thinned(
        CREATES,
        [*LOST_BEFORE, "reset_after", "error_after"],
        ["by this client", "by another client", "by a person"],
    ),
)
def test_a_name_that_was_there_before_is_a_conflict(
    account: Account, operation: str, kind: str, whose: str
) -> None:
    arguments = RECIPES[operation](account)
    another = RECIPES[operation](account)
    if whose == "by a person" and operation != "create_snapshot":
        account.sandbox.seed_instance(arguments["name"])
    else:
        # The same name, made a moment ago; the clock stands still.
        before = client_of(account.sandbox) if whose == "by another client" else account.client
        before.perform(operation, **{**another, "name": arguments["name"]})
    changes = len(account.sandbox.ledger())
    arm(account.sandbox, kind, operation)
    with pytest.raises(api.BarrackConflictError) as caught:
        account.client.perform(operation, **arguments)
    assert caught.value.took_effect is not True
    assert caught.value.operation == operation
    assert len(account.sandbox.ledger()) == changes


def test_a_name_whose_owner_went_in_between_is_free(account: Account) -> None:
    arguments = RECIPES["create_snapshot"](account)
    old = account.client.perform("create_snapshot", **arguments)
    account.sandbox.advance(200)
    account.client.snapshots.delete(old.id)
    account.sandbox.advance(200)
    account.sandbox.fault("reset_after", "create_snapshot")
    new = account.client.perform("create_snapshot", **arguments)
    assert new.id != old.id


def test_a_fresh_client_looks_first_and_then_for_a_while_not(account: Account) -> None:
    about = [RECIPES["create_snapshot"](account) for _ in range(3)]
    account.sandbox.advance(1)
    with client_of(account.sandbox) as fresh:
        asked = len(account.sandbox.requests())
        for one in about:
            fresh.perform("create_snapshot", **one)
        new = [r["operation"] for r in account.sandbox.requests()[asked:]]
    lists = new.count("list_snapshots")
    assert new == ["list_snapshots"] * lists + ["create_snapshot"] * 3


def test_a_list_that_was_just_read_is_not_read_again(account: Account) -> None:
    about = RECIPES["create_snapshot"](account)
    with client_of(account.sandbox) as fresh:
        list(fresh.snapshots.list())
        asked = len(account.sandbox.requests())
        fresh.perform("create_snapshot", **about)
        assert len(account.sandbox.requests()) == asked + 1


def test_a_part_of_a_list_does_not_do(account: Account) -> None:
    about = RECIPES["create_snapshot"](account)
    with client_of(account.sandbox) as fresh:
        list(fresh.snapshots.list(about["instance_id"]))
        asked = len(account.sandbox.requests())
        fresh.perform("create_snapshot", **about)
        assert len(account.sandbox.requests()) > asked + 1


def test_one_thread_looks_for_all(account: Account) -> None:
    every = [RECIPES["create_instance"](account) for _ in range(8)]
    pages = -(-len(account.sandbox.state()["instances"]) // 100) or 1
    together = threading.Barrier(len(every))
    # By the time that the first look is over, every thread has asked.
    account.sandbox.fault("latency", "list_instances", seconds=0.5)

    def create(client: Barrack, arguments: dict[str, Any]) -> None:
        together.wait()
        client.perform("create_instance", **arguments)

    with client_of(account.sandbox) as fresh, ThreadPoolExecutor(8) as pool:
        asked = len(account.sandbox.requests())
        list(pool.map(lambda one: create(fresh, one), every))
        new = [r["operation"] for r in account.sandbox.requests()[asked:]]
    assert new.count("list_instances") <= 2 * pages, "and for those that asked while it looked"


def test_what_is_known_gets_old(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = RECIPES["create_snapshot"](account)
    list(account.client.snapshots.list())
    # Another client takes the name, then a long time passes.
    with client_of(account.sandbox) as other:
        other.snapshots.create(account.instance(), arguments["name"])
    monkeypatch.setattr(caller, "KNOWN_FOR", -1.0)
    account.sandbox.fault("reset_before", "create_snapshot")
    with pytest.raises(api.BarrackConflictError):
        account.client.perform("create_snapshot", **arguments)


def test_without_a_list_to_look_at_a_create_works_and_a_lost_one_is_told(account: Account) -> None:
    first, second = (RECIPES["create_snapshot"](account) for _ in range(2))
    with client_of(account.sandbox) as fresh:
        account.sandbox.fault("status", "list_snapshots", status=404, count=None)
        assert fresh.perform("create_snapshot", **first).name == first["name"]
        account.sandbox.fault("reset_after", "create_snapshot")
        with pytest.raises(api.BarrackNotFoundError, match="looking for its effect") as caught:
            fresh.perform("create_snapshot", **second)
        assert caught.value.took_effect is None
        account.sandbox.clear_faults()


def test_what_may_have_been_there_before_is_not_taken_and_not_denied(account: Account) -> None:
    arguments = RECIPES["create_snapshot"](account)
    with client_of(account.sandbox) as fresh:
        account.sandbox.fault("status", "list_snapshots", status=404)
        account.sandbox.fault("reset_after", "create_snapshot")
        with pytest.raises(api.BarrackTransportError, match="it is not known whether") as caught:
            fresh.perform("create_snapshot", **arguments)
        assert caught.value.took_effect is None


def test_a_list_that_cannot_be_read_now_sends_nothing(account: Account) -> None:
    arguments = RECIPES["create_snapshot"](account)
    changes = len(account.sandbox.ledger())
    with client_of(account.sandbox, policy={"attempts": 2}) as fresh:
        account.sandbox.fault("status", "list_snapshots", status=503, count=None)
        with pytest.raises(api.BarrackServerError) as caught:
            fresh.perform("create_snapshot", **arguments)
    assert caught.value.took_effect is False
    assert caught.value.operation == "create_snapshot"
    assert len(account.sandbox.ledger()) == changes


# Clocks and shapes that the sandbox does not have


def snapshot(**changes: Any) -> dict[str, Any]:
    return {"id": 7, "name": "mine", "status": "CREATING", "instance_id": "BRK-1", **changes}


def snapshots(*every: dict[str, Any], **headers: Any) -> bytes:
    return http({"snapshots": list(every), "pagination": {"total": len(every)}}, **headers)


TEN = "2026-11-25T10:00:00Z"
JUST_BEFORE = "2026-11-25T09:59:58Z"
"""So that clocks that differ by two seconds account for it."""


def dated(*every: dict[str, Any], at: str = "10:00:00") -> bytes:
    """A list of snapshots, read at a time of the cloud's clock."""
    return snapshots(*every, date=f"Wed, 25 Nov 2026 {at} GMT")


@pytest.mark.parametrize(
    ("taken", "says"),
    [
        (snapshot(), "it is not known when it was made"),
        (
            snapshot(created_at="2026-11-25T09:59:57Z"),
            "it was made at 2026-11-25 09:59:57 UTC, but the request was not sent before 10:00:00",
        ),
        (
            snapshot(created_at="2026-11-25T10:00:07Z"),
            "it was made at 2026-11-25 10:00:07 UTC, but not before the search at 10:00:00",
        ),
        (
            snapshot(created_at=JUST_BEFORE, description="another's"),
            "its description is another's, but own was requested",
        ),
    ],
)
def test_a_name_that_is_refused_after_a_lost_answer_is_handed_out_to_nobody_unless_it_proves_itself(
    taken: dict[str, Any], says: str
) -> None:
    conflict = http({"message": "name taken"}, 409, date="Wed, 25 Nov 2026 10:00:08 GMT")
    answers = (dated(), b"", dated(at="10:00:04"), conflict, dated(taken, at="10:00:08"))
    with (
        wired(*answers, policy={"visibility_lag": 0}) as (_, client),
        pytest.raises(api.BarrackTransportError, match=says) as caught,
    ):
        client.snapshots.create("BRK-1", "mine", "own")
    assert caught.value.took_effect is None
    assert "Check it before you use it or repeat the request" in str(caught.value)


def test_what_is_older_than_the_request_is_not_its_effect() -> None:
    late = dated(snapshot(created_at="2026-11-25T09:59:50Z"), at="10:00:01")
    doubt = pytest.raises(api.BarrackTransportError, match="the request was not sent before")
    with wired(dated(), b"", late) as (_, client), doubt as caught:
        client.snapshots.create("BRK-1", "mine")
    assert caught.value.took_effect is None


@pytest.mark.parametrize("created_at", [None, "1999-01-01T00:00:00Z", "2099-01-01T00:00:00+09:00"])
@pytest.mark.parametrize("date", ["Wed, 25 Nov 2026 08:00:00 GMT", "nonsense", None])
def test_clocks_that_are_wrong_or_missing_do_no_harm(
    created_at: str | None, date: str | None
) -> None:
    headers = {"date": date} if date else {}
    times = {"created_at": created_at} if created_at else {}
    answers = (snapshots(**headers), b"", snapshots(snapshot(**times), **headers))
    with wired(*answers) as (wire, client):
        assert client.snapshots.create("BRK-1", "mine").id == "7"
    assert [line.split()[0] for line in wire.lines] == ["GET", "POST", "GET"]
    old = snapshots(snapshot(id=3, **times), **headers)
    conflict = pytest.raises(api.BarrackConflictError, match="3 had it before")
    with wired(old, b"", old) as (_, client), conflict:
        client.snapshots.create("BRK-1", "mine")


def test_the_same_name_of_another_instance_is_not_taken() -> None:
    foreign = snapshots(snapshot(instance_id="BRK-2"))
    with wired(snapshots(), b"", foreign) as (_, client), pytest.raises(api.BarrackConflictError):
        client.snapshots.create("BRK-1", "mine")


def test_the_narrow_list_is_asked_for_first_and_all_of_it_when_something_is_in_the_way() -> None:
    taken = http({"message": "name taken"}, 409)
    answers = (dated(), b"", dated(), taken, dated(snapshot(created_at=JUST_BEFORE)))
    with wired(*answers, policy={"visibility_lag": 0}) as (wire, client):
        assert client.snapshots.create("BRK-1", "mine").id == "7"
    asked = [line.split()[1] for line in wire.lines]
    assert "instance_id=BRK-1" in asked[2]
    assert "instance_id" not in asked[4]


def test_a_refusal_that_calls_a_taken_name_invalid_is_looked_at_too() -> None:
    taken = http({"message": "name must be unique"}, 422)
    answers = (dated(), b"", dated(), taken, dated(snapshot(created_at=JUST_BEFORE)))
    with wired(*answers, policy={"visibility_lag": 0}) as (_, client):
        assert client.snapshots.create("BRK-1", "mine").id == "7"


def test_an_address_that_is_assigned_late_is_no_toggle() -> None:
    def instance(address: str | None) -> bytes:
        about = {"id": "BRK-1", "name": "a", "status": "ACTIVE", "public_ip": address}
        return http({"instance": about})

    answers = (instance("pending"), b"", instance("38.80.1.1"), instance(None))
    with wired(*answers, policy={"visibility_lag": 0}) as (wire, client):
        assert client.instances.toggle_public_ip("BRK-1").public_ip is None
    assert [line.split()[0] for line in wire.lines] == ["GET", "POST", "GET", "POST"]


def test_a_toggle_that_takes_effect_late_is_waited_for() -> None:
    def instance(address: str | None) -> bytes:
        about = {"id": "BRK-1", "name": "a", "status": "ACTIVE", "public_ip": address}
        return http({"instance": about})

    answers = (instance("38.80.1.1"), b"", instance("38.80.1.1"), instance(None))
    with wired(*answers, policy={"visibility_lag": 5}) as (wire, client):
        assert client.instances.toggle_public_ip("BRK-1").public_ip is None
    assert [line.split()[0] for line in wire.lines] == ["GET", "POST", "GET", "GET"]


# Somebody else's, made since the last list


def another_of(account: Account, operation: str, arguments: dict[str, Any]) -> Any:
    """Somebody else makes a thing of the same name, and this client does not hear of it."""
    with client_of(account.sandbox) as other:
        return other.perform(operation, **arguments)


def public_key_of(number: int) -> str:
    """A public key, another for each number."""
    parts = (b"ssh-ed25519", bytes([number]) * 32)
    blob = b"".join(struct.pack(">I", len(part)) + part for part in parts)
    return f"ssh-ed25519 {base64.b64encode(blob).decode()} me@here"


MADE_BY_NAME = [n for n, o in OPERATIONS.items() if isinstance(o.lost, ByName)]


@pytest.mark.parametrize(
    ("operation", "kind"),
    thinned(
        [n for n in MADE_BY_NAME if n != "create_snapshot"],
        [*LOST_BEFORE, "reset_after", "error_after"],
    ),
)
def test_somebody_elses_made_since_the_last_list_is_not_returned_as_ones_own(
    account: Account, operation: str, kind: str
) -> None:
    arguments = RECIPES[operation](account)
    look = OPERATIONS[operation].lost.look  # type: ignore[union-attr]
    account.client.perform(look)
    theirs = another_of(account, operation, arguments)
    changes = len(account.sandbox.ledger())
    arm(account.sandbox, kind, operation)
    with pytest.raises(api.BarrackConflictError, match=f"{theirs.id} had it before"):
        account.client.perform(operation, **arguments)
    assert len(account.sandbox.ledger()) == changes


def test_somebody_elses_snapshot_is_told_by_the_clouds_clock(account: Account) -> None:
    arguments = RECIPES["create_snapshot"](account)
    list(account.client.snapshots.list())
    another_of(account, "create_snapshot", arguments)
    account.sandbox.advance(5)
    account.client.balance.get()
    account.sandbox.fault("reset_before", "create_snapshot")
    with pytest.raises(api.BarrackError) as caught:
        account.client.perform("create_snapshot", **arguments)
    assert caught.value.took_effect is None


def meanwhile(monkeypatch: pytest.MonkeyPatch, operation: str, looks: int, act: Any) -> None:
    """Let something happen once a request was lost and looked for in vain so many times."""
    send = Exchange.send
    sent: list[str] = []

    def sending(self: Exchange, call: Any, timeout: float) -> Any:
        name = call.operation.name
        if name == operation or sent:
            sent.append(name)
        if name != operation and len(sent) == looks + 2:
            monkeypatch.setattr(Exchange, "send", send)
            act()
        return send(self, call, timeout)

    monkeypatch.setattr(Exchange, "send", sending)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"gpu_model": "A100-PCIe-80GB"}, "its gpu_model is"),
        ({"gpu_count": 2}, "its gpu_count is"),
        ({"image_id": "2"}, "its image_id is"),
        ({"public_ip": False}, "it has no public_ip, but one was requested"),
        ({"ssh_key_id": "bob"}, "its ssh_key is bob's .*, but alice's .* was requested"),
        ({"ssh_key_id": None}, "its ssh_key is None, but alice's .* was requested"),
        ({"volume_ids": "one"}, "its volumes are .*, which were not requested"),
    ],
)
@pytest.mark.parametrize("looks", [0, 1])
def test_what_is_not_as_it_was_asked_for_is_not_ones_own(
    account: Account,
    monkeypatch: pytest.MonkeyPatch,
    changed: dict[str, Any],
    says: str,
    looks: int,
) -> None:
    keys = {
        who: account.client.ssh_keys.create(f"{who}'s {account.name()}", public_key_of(number)).id
        for number, who in enumerate(("alice", "bob"))
    }
    arguments = {**RECIPES["create_instance"](account), "ssh_key_id": keys["alice"]}
    if changed.get("ssh_key_id"):
        changed = {"ssh_key_id": keys["bob"]}
    if "volume_ids" in changed:
        changed = {"volume_ids": [account.volume()]}

    def act() -> None:
        another_of(account, "create_instance", {**arguments, **changed})
        account.sandbox.advance(600)

    meanwhile(monkeypatch, "create_instance", looks, act)
    account.sandbox.fault("reset_before", "create_instance")
    with pytest.raises(api.BarrackTransportError, match=says) as caught:
        account.client.perform("create_instance", **arguments)
    assert caught.value.took_effect is None


@pytest.mark.parametrize("asked", [{"public_ip": False}, {}])
def test_what_was_not_asked_for_is_not_ones_own(
    account: Account, monkeypatch: pytest.MonkeyPatch, asked: dict[str, Any]
) -> None:
    key = account.client.ssh_keys.create(account.name(), public_key_of(3)).id
    arguments = {**RECIPES["create_instance"](account), **asked}
    theirs = {**arguments, **({"public_ip": True} if asked else {"ssh_key_id": key})}
    meanwhile(
        monkeypatch, "create_instance", 0, lambda: another_of(account, "create_instance", theirs)
    )
    account.sandbox.fault("reset_before", "create_instance")
    with pytest.raises(api.BarrackTransportError, match="none was requested") as caught:
        account.client.perform("create_instance", **arguments)
    assert caught.value.took_effect is None


def test_ones_own_with_all_that_was_asked_for_is_found_again(account: Account) -> None:
    key = account.client.ssh_keys.create(account.name(), public_key_of(4)).id
    arguments = {
        **RECIPES["create_instance"](account),
        "ssh_key_id": key,
        "volume_ids": [account.volume()],
        "public_ip": True,
    }
    account.sandbox.fault("reset_after", "create_instance")
    account.client.perform("create_instance", **arguments)
    assert made(account.sandbox, arguments["name"]) == 1


@pytest.mark.parametrize("operation", [n for n in CREATES if n != "create_snapshot"])
def test_what_was_made_after_a_look_in_vain_is_handed_out_to_nobody(
    account: Account, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    account.sandbox.set_speed(1)  # a cloud's clock does not stand: that is how they are told apart
    arguments = RECIPES[operation](account)
    send = Exchange.send
    sent: list[str] = []

    def sending(self: Exchange, call: Any, timeout: float) -> Any:
        if call.operation.name == operation:
            sent.append(operation)
            if len(sent) == 2:  # the first one was lost, and looked for in vain
                monkeypatch.setattr(Exchange, "send", send)
                another_of(account, operation, arguments)
        return send(self, call, timeout)

    monkeypatch.setattr(Exchange, "send", sending)
    account.sandbox.fault("reset_before", operation)
    with pytest.raises(api.BarrackTransportError, match="not before the search") as caught:
        account.client.perform(operation, **arguments)
    assert caught.value.took_effect is None


TWO = st.lists(
    st.tuples(
        st.sampled_from(["a", "b"]),
        st.sampled_from(["list", "create", "wait", *LOST_BEFORE, "reset_after", "error_after"]),
    ),
    max_size=12,
)


@pytest.mark.slow
@pytest.mark.parametrize("operation", [n for n in CREATES if n != "create_snapshot"])
@given(moves=TWO)
@settings(max_examples=15)
def test_two_clients_never_make_two_and_are_never_given_the_others(
    account: Account, operation: str, moves: list[tuple[str, str]]
) -> None:
    arguments = RECIPES[operation](account)
    owner: dict[str, str] = {}
    before = len(account.sandbox.ledger())
    with client_of(account.sandbox) as a, client_of(account.sandbox) as b:
        clients = {"a": a, "b": b}
        for who, what in moves:
            client = clients[who]
            if what == "list":
                client.perform("list_instances")
                continue
            if what == "wait":
                account.sandbox.advance(5)
                continue
            if what != "create":
                arm(account.sandbox, what, operation)
            try:
                made_id = str(client.perform(operation, **arguments).id)
            except api.BarrackError:
                pass
            else:
                assert made_id not in owner, "it was given out before"
                owner[made_id] = who
            account.sandbox.clear_faults()
    new = account.sandbox.ledger()[before:]
    ids = {e["id"] for e in new if e["operation"] == operation and e["name"] == arguments["name"]}
    assert len(ids) <= 1
    assert set(owner) <= ids
    account.sandbox.advance(1000)


# What is remembered


def test_what_is_seen_is_ordered_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ListMemory, "KEPT", 100)
    seen = ListMemory()
    seen.note("a", ["1", "2"])
    mark = seen.mark
    seen.note("a", ["2", "3"])
    assert [seen.was_there("a", id_, mark) for id_ in "1234"] == [True, True, False, False]
    assert not seen.was_there("b", "1", mark)
    seen.note("a", ["4"], made=True)
    assert seen.was_there("a", "4", mark), "another request's, whenever that was"
    for number in range(500):
        seen.note("a", [f"x{number}"], made=True)
    assert len(seen._first) <= 100
    assert len(seen._made) <= 100
    assert seen.whole_since("a") == float("-inf")
    seen.note_whole("a", 5)
    seen.note_whole("a", 3)
    assert seen.whole_since("a") == 5


def test_two_creates_of_one_name_at_once_are_one_thing(account: Account) -> None:
    arguments = RECIPES["create_instance"](account)
    account.sandbox.fault("error_after", "create_instance", count=1)
    both = threading.Barrier(2)

    def create(client: Barrack) -> str | None:
        both.wait()
        try:
            return str(client.perform("create_instance", **arguments).id)
        except api.BarrackConflictError:
            return None

    with ThreadPoolExecutor(2) as pool:
        ids = [x.result() for x in [pool.submit(create, account.client) for _ in range(2)]]
    assert made(account.sandbox, arguments["name"]) == 1
    assert len([id_ for id_ in ids if id_]) <= 1 or ids[0] == ids[1]
