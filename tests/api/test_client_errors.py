"""Errors: each from a real answer, each with all that is known, none with the key."""

from __future__ import annotations

import copy
import gzip
import html as html_
import json
import logging
import pickle
import socket
import struct
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest

from barrack_tasks import api
from barrack_tasks.api import Barrack, BarrackError
from barrack_tasks.sandbox import Sandbox
from tests.api.helpers import KEY, VirtualTime, client_of, everything_about, http, wired

Do = Callable[[Sandbox, Barrack], Any]
ONCE = {"attempts": 1, "deadline": 6, "first_wait": 2, "longest_wait": 4}


@pytest.fixture(scope="module")
def running() -> Iterator[Sandbox]:
    with Sandbox(api_key=KEY, speed=0, fleet=0, settings={"jitter": 0}) as sandbox:
        for name, status in [("active", "ACTIVE"), ("asleep", "HIBERNATED")]:
            sandbox.seed_instance(name, status=status)
        yield sandbox


@pytest.fixture
def sandbox(running: Sandbox) -> Iterator[Sandbox]:
    yield running
    running.clear_faults()
    running.settings(profile_complete=True)
    running.set_stock("CANADA-1", "L40", 100)


def caught(act: Callable[[], Any]) -> BarrackError:
    """The error of an act."""
    with pytest.raises(BarrackError) as caught:
        act()
    return caught.value


def check(error: BarrackError, kind: type[BarrackError], operation: str | None) -> None:
    """What holds for every error."""
    assert type(error) is kind
    assert error.operation == operation
    assert error.message in str(error)
    assert operation is None or str(error).startswith(f"{operation}: ")
    if error.status_code is not None:
        assert f"(HTTP {error.status_code})" in str(error)
    if error.request_id is not None:
        assert error.request_id in str(error)
    assert kind.advice in str(error)
    assert "\n" not in str(error)
    assert KEY not in everything_about(error)
    for again in (pickle.loads(pickle.dumps(error)), copy.deepcopy(error)):  # noqa: S301
        assert type(again) is kind
        assert str(again) == str(error)
        assert vars(again) == vars(error)


def id_of(sandbox: Sandbox, name: str) -> str:
    return next(str(i["id"]) for i in sandbox.state()["instances"] if i["name"] == name)


def create(client: Barrack, **changes: Any) -> Any:
    about = {"name": "new one", "region": "CANADA-1", "gpu_model": "L40", "image_id": "1"}
    return client.instances.create(**{**about, **changes})


# By answers of the cloud itself


def start_active(sandbox: Sandbox, client: Barrack) -> Any:
    return client.instances.start(id_of(sandbox, "active"))


def twice_a_name(sandbox: Sandbox, client: Barrack) -> Any:
    return create(client, name="active")


def unknown_id(sandbox: Sandbox, client: Barrack) -> Any:
    return client.instances.get("BRK-NOSUCHD")


def unknown_model(sandbox: Sandbox, client: Barrack) -> Any:
    return create(client, gpu_model="ABACUS")


def sold_out(sandbox: Sandbox, client: Barrack) -> Any:
    sandbox.set_stock("CANADA-1", "L40", 0)
    return create(client)


def sold_out_asleep(sandbox: Sandbox, client: Barrack) -> Any:
    sandbox.set_stock("CANADA-1", "L40", 0)
    return client.instances.restore(id_of(sandbox, "asleep"))


REAL: list[tuple[Do, str, type[BarrackError], int, str]] = [
    (unknown_id, "get_instance", api.BarrackNotFoundError, 404, "BRK-NOSUCHD"),
    (start_active, "start_instance", api.BarrackConflictError, 409, "ACTIVE"),
    (twice_a_name, "create_instance", api.BarrackConflictError, 409, "already in use"),
    (unknown_model, "create_instance", api.BarrackValidationError, 422, "gpu_model"),
    (sold_out, "create_instance", api.BarrackOutOfStockError, 409, "stock"),
    (sold_out_asleep, "restore_instance", api.BarrackOutOfStockError, 409, "stock"),
]


@pytest.mark.parametrize(("act", "operation", "kind", "status", "says"), REAL)
def test_refusals_of_the_cloud(
    sandbox: Sandbox, act: Do, operation: str, kind: type[BarrackError], status: int, says: str
) -> None:
    with client_of(sandbox) as client:
        error = caught(lambda: act(sandbox, client))
    check(error, kind, operation)
    assert error.status_code == status
    assert error.request_id
    assert error.request_id.startswith("req-")
    assert error.reason
    assert error.took_effect is False
    assert says in str(error)


def test_messages_by_field(sandbox: Sandbox) -> None:
    with client_of(sandbox) as client:
        error = caught(lambda: create(client, gpu_model="ABACUS", region="ATLANTIS-1"))
    assert set(error.fields) == {"gpu_model", "region"}
    for field, message in error.fields.items():
        assert f"{field}: {message}" in str(error)
    assert isinstance(error, ValueError)


def test_what_the_message_says_already_is_not_said_again_by_field(sandbox: Sandbox) -> None:
    """Debian is offered in NORWAY-1 alone, and the answer says so in two places."""
    with client_of(sandbox) as client:
        error = caught(lambda: create(client, image_id="4"))
    check(error, api.BarrackConflictError, "create_instance")
    assert str(error).count("Debian 12 is in NORWAY-1") == 1
    assert error.fields == {"region": "Debian 12 is in NORWAY-1"}


def test_no_credits() -> None:
    with Sandbox(api_key=KEY, speed=0, fleet=0, balance="0.50") as poor, client_of(poor) as client:
        check(
            caught(lambda: create(client)), api.BarrackInsufficientCreditsError, "create_instance"
        )


def test_a_wrong_key(sandbox: Sandbox) -> None:
    with Barrack("another-key", sandbox.url) as client:
        error = caught(client.balance.get)
    check(error, api.BarrackAuthenticationError, "get_credit_balance")
    assert error.status_code == 401
    assert "another-key" not in everything_about(error)
    assert "BARRACK_API_KEY" in str(error)


def test_a_profile_that_is_not_complete(sandbox: Sandbox) -> None:
    sandbox.settings(profile_complete=False)
    with client_of(sandbox) as client:
        copy_ = client.snapshots.create(id_of(sandbox, "active"), "for the profile")
        sandbox.advance(200)
        error = caught(lambda: client.snapshots.restore(copy_.id, "from it"))
    check(error, api.BarrackValidationError, "restore_snapshot")
    assert "postal code" in str(error)


# By injected answers

INJECTED: list[tuple[int, dict[str, Any], type[BarrackError]]] = [
    (400, {}, api.BarrackValidationError),
    (400, {"error_reason": "insufficient_credits"}, api.BarrackInsufficientCreditsError),
    (400, {"message": "Not enough credit"}, api.BarrackInsufficientCreditsError),
    (400, {"message": "Your balance is too low"}, api.BarrackInsufficientCreditsError),
    (400, {"error_reason": "out_of_stock"}, api.BarrackOutOfStockError),
    (400, {"message": "VM is in wrong state"}, api.BarrackConflictError),
    (400, {"message": "Name already exists"}, api.BarrackConflictError),
    (400, {"message": "'stock exchange' is too long"}, api.BarrackValidationError),
    (400, {"message": 'No such thing as "load-balancer"'}, api.BarrackValidationError),
    (400, {"message": "The estate is unbalanced"}, api.BarrackValidationError),
    (401, {}, api.BarrackAuthenticationError),
    (402, {}, api.BarrackInsufficientCreditsError),
    (403, {}, api.BarrackAuthenticationError),
    (403, {"message": "GPU quota reached"}, api.BarrackQuotaError),
    (409, {"error_reason": "quota_exceeded"}, api.BarrackQuotaError),
    (422, {"message": "instance limit reached"}, api.BarrackQuotaError),
    (403, {"message": "You have reached the limit of 8 GPUs"}, api.BarrackQuotaError),
    (403, {"message": "GPU count limit exceeded for this account"}, api.BarrackQuotaError),
    (409, {"message": "Maximum number of running instances reached"}, api.BarrackQuotaError),
    (409, {"error_reason": "TOO_MANY_INSTANCES"}, api.BarrackQuotaError),
    (403, {"error_reason": "LIMIT_EXCEEDED"}, api.BarrackQuotaError),
    (422, {"message": "Your plan allows at most 5 instances"}, api.BarrackQuotaError),
    (422, {"message": "Account is limited to 4 GPUs"}, api.BarrackQuotaError),
    (422, {"message": "The maximum length of the name is 50"}, api.BarrackValidationError),
    (
        409,
        {"message": "The instance is past its time limit"},
        api.BarrackConflictError,
    ),
    (422, {"message": "limit must be at most 100"}, api.BarrackValidationError),
    (403, {"message": "Access denied"}, api.BarrackAuthenticationError),
    (422, {"message": "'quota' is no region"}, api.BarrackValidationError),
    (404, {}, api.BarrackNotFoundError),
    (405, {}, api.BarrackResponseError),
    (409, {}, api.BarrackConflictError),
    (409, {"message": "GPU out of stock"}, api.BarrackOutOfStockError),
    (409, {"message": "Instance 'stock-1' is not ACTIVE"}, api.BarrackConflictError),
    (413, {}, api.BarrackValidationError),
    (422, {}, api.BarrackValidationError),
    (429, {}, api.BarrackRateLimitedError),
    (500, {}, api.BarrackServerError),
    (501, {}, api.BarrackServerError),
    (502, {}, api.BarrackServerError),
    (503, {}, api.BarrackServerError),
]


@pytest.mark.parametrize(("status", "how", "kind"), INJECTED)
def test_every_status(
    sandbox: Sandbox, status: int, how: dict[str, Any], kind: type[BarrackError]
) -> None:
    sandbox.fault("status", "get_credit_balance", status=status, count=None, **how)
    virtual = VirtualTime()
    with client_of(sandbox, policy=ONCE, clock=virtual.clock, sleep=virtual.sleep) as client:
        error = caught(client.balance.get)
    check(error, kind, "get_credit_balance")
    assert error.status_code == status
    assert error.request_id
    assert error.took_effect is False, "a read changes nothing, whatever becomes of it"
    assert how.get("message", "") in str(error)


@pytest.mark.parametrize(
    ("said", "is_taken"),
    [
        ({"message": "the name is taken"}, True),
        ({"error_reason": "duplicate_name"}, True),
        ({"message": "Instance name 'x' is already in use"}, True),
        ({"message": "wrong state"}, False),
        ({}, False),
    ],
)
def test_a_conflict_tells_whether_the_name_is_taken(
    sandbox: Sandbox, said: dict[str, str], is_taken: bool
) -> None:
    sandbox.fault("status", "get_credit_balance", status=409, count=None, **said)
    with client_of(sandbox, policy=ONCE) as client:
        error = caught(client.balance.get)
    assert isinstance(error, api.BarrackConflictError)
    assert error.is_name_taken is is_taken
    assert pickle.loads(pickle.dumps(error)).is_name_taken is is_taken  # noqa: S301


def test_a_refusal_that_says_nothing_is_told_by_its_number() -> None:
    for body in (b"", b"[]", b'"no"', b"<h1>oops</h1>", b'{"message": {"a": 1}}', b"[" * 99_999):
        with wired(http(body, 404), policy=ONCE) as (_, client):
            error = caught(client.balance.get)
        check(error, api.BarrackNotFoundError, "get_credit_balance")
        assert error.message == "Barrack answered 404 Some Phrase"


def test_messages_by_field_as_a_list() -> None:
    problems = [
        {"loc": ["body", "name"], "msg": "too long"},
        {"field": "region", "message": "unknown"},
        "something",
        {"loc": []},
    ]
    with wired(http({"message": "Invalid", "errors": problems}, 422)) as (_, client):
        error = caught(client.balance.get)
    assert error.fields == {"body.name": "too long", "region": "unknown"}


def test_the_request_id_may_stand_in_the_body() -> None:
    with wired(http({"message": "No", "request_id": "abc"}, 404)) as (_, client):
        assert caught(client.balance.get).request_id == "abc"


# Answers that cannot be read

UNREADABLE: list[tuple[bytes, str]] = [
    (http("<html>hello</html>", content_type="text/html"), "not JSON but text/html"),
    (http('{"status": true, "data": {"bal'), "not JSON"),
    (http(b"\xff\xfe\x00"), "not JSON"),
    (http(b"[" * 200_000), "nested more than"),
    (http("{}"), "lacks the required field data"),
    (http(b""), "lacks the required field data"),
    (http("[]"), "lacks the required field data"),
    (http("null"), "lacks the required field data"),
    (http({"data": {"balance": {"currency": "USD"}}}), "field data.balance.amount"),
    (http({"data": {"balance": {"amount": "many", "currency": "USD"}}}), "data.balance.amount"),
    (http('{"data": {"balance": {"amount": NaN, "currency": "USD"}}}'), "data.balance.amount"),
    (http({"data": {"balance": "much"}}), "data.balance"),
    (http({"data": {"balance": {"amount": "1", "currency": 7}}}), "data.balance.currency"),
    (http({"status": False, "message": "We are closed"}), "We are closed"),
]


@pytest.mark.parametrize(("answer", "says"), UNREADABLE)
def test_answers_that_cannot_be_read(answer: bytes, says: str) -> None:
    with wired(answer, policy={"attempts": 2}) as (_, client):
        error = caught(client.balance.get)
    check(error, api.BarrackResponseError, "get_credit_balance")
    assert error.status_code == 200
    assert says in str(error)
    assert "dialect" in str(error)


def test_the_place_in_a_list_is_named() -> None:
    answer = http({"instances": [{"id": 1, "name": "a", "status": "ACTIVE"}, {"id": 2}]})
    with wired(answer) as (wire, client):
        error = caught(lambda: list(client.instances.list()))
    assert error.operation == "list_instances"
    assert "instances.1.name" in error.fields
    assert len(wire.requests) == 1, "the same shape would come again"


def test_a_html_page_from_a_proxy(sandbox: Sandbox) -> None:
    sandbox.fault("html", count=None)
    with client_of(sandbox, policy=ONCE) as client:
        error = caught(client.balance.get)
    check(error, api.BarrackServerError, "get_credit_balance")
    assert error.message == "Barrack answered 502 Bad Gateway"


def test_truncated_and_malformed_json(sandbox: Sandbox) -> None:
    for kind in ("truncated", "malformed"):
        sandbox.fault(kind, count=None)
        with client_of(sandbox, policy=ONCE) as client:
            error = caught(client.balance.get)
        check(error, api.BarrackResponseError, "get_credit_balance")
        sandbox.clear_faults()


def test_json_under_a_wrong_content_type_is_read(sandbox: Sandbox) -> None:
    sandbox.fault("mislabelled", count=None)
    with client_of(sandbox, policy=ONCE) as client:
        assert client.balance.get().amount > 0


def test_a_redirect_is_not_followed_and_the_key_goes_nowhere_else() -> None:
    with wired(http("{}", 302, location="http://127.0.0.1:9/elsewhere")) as (wire, client):
        error = caught(client.balance.get)
    check(error, api.BarrackResponseError, "get_credit_balance")
    assert error.status_code == 302
    assert len(wire.requests) == 1


# No answer


def test_connection_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with Barrack(KEY, f"http://127.0.0.1:{port}", retry=api.RetryPolicy(attempts=1)) as client:
        error = caught(lambda: client.instances.stop("BRK-A1B2C3D"))
    check(error, api.BarrackTransportError, "stop_instance")
    assert error.took_effect is False
    assert "BARRACK_BASE_URL" in str(error)


def test_an_unknown_host() -> None:
    once = api.RetryPolicy(attempts=1)
    with Barrack(KEY, "http://nowhere.invalid", retry=once, allow_http=True) as client:
        error = caught(lambda: client.instances.stop("BRK-A1B2C3D"))
    check(error, api.BarrackTransportError, "stop_instance")
    assert error.took_effect is False
    assert "nowhere.invalid" in str(error)


@pytest.mark.parametrize("kind", ["reset_before", "reset_after"])
def test_a_reset(sandbox: Sandbox, kind: str) -> None:
    sandbox.fault(kind, count=None)
    with client_of(sandbox, policy=ONCE) as client:
        check(caught(client.balance.get), api.BarrackTransportError, "get_credit_balance")
        error = caught(lambda: client.instances.reboot(id_of(sandbox, "active")))
    check(error, api.BarrackTransportError, "reboot_instance")
    assert error.took_effect is None
    assert "not known" in str(error)
    sandbox.advance(100)


def test_an_answer_that_breaks_off() -> None:
    whole = http({"data": {"balance": {"amount": "1", "currency": "USD"}}})
    for length in (0, 9, 40, len(whole) - 5):
        with wired(whole[:length], policy=ONCE) as (_, client):
            check(caught(client.balance.get), api.BarrackTransportError, "get_credit_balance")


def test_an_answer_that_is_packed_wrongly() -> None:
    packed = gzip.compress(b'{"data": {"balance": {"amount": "7", "currency": "USD"}}}')
    with wired(http(packed, content_encoding="gzip")) as (_, client):
        assert client.balance.get().amount == 7
    with wired(http(b"no gzip", content_encoding="gzip"), policy=ONCE) as (_, client):
        check(caught(client.balance.get), api.BarrackTransportError, "get_credit_balance")


@pytest.mark.parametrize("kind", ["timeout_before", "timeout_after", "latency"])
def test_no_answer_in_time(sandbox: Sandbox, kind: str) -> None:
    sandbox.fault(kind, seconds=3)
    with client_of(sandbox, policy={**ONCE, "timeout": 0.05}) as client:
        error = caught(client.balance.get)
    check(error, api.BarrackTimeoutError, "get_credit_balance")
    assert isinstance(error, api.BarrackTransportError)


def test_an_answer_that_drips() -> None:
    def drip(connection: socket.socket) -> None:
        connection.sendall(http(b" " * 1000)[:-1000])
        for _ in range(100):
            connection.sendall(b" ")
            time.sleep(0.02)

    began = time.monotonic()
    with wired(drip, policy={**ONCE, "timeout": 0.1}) as (_, client):
        check(caught(client.balance.get), api.BarrackTimeoutError, "get_credit_balance")
    assert time.monotonic() - began < 1


# The key


def echoing(status: int, how: str) -> bytes:
    """An answer that repeats the key wherever it can."""
    body = {
        "message": f"key {KEY} is bad",
        "error_reason": f"bad {KEY}",
        "errors": {KEY: f"is not {KEY}"},
        "request_id": KEY,
    }
    kinds = {
        "json": json.dumps(body),
        "escaped": json.dumps(body).replace("/", "\\/"),
        "page": f"<html>{'x' * 30}{KEY}</html>",
        "cut": f"<html>{'x' * 44}{KEY}</html>",
        "quoted": quote(KEY, safe=""),
        "for html": f"<p>{html_.escape(KEY)}",
    }
    return http(kinds[how], status, content_type=f"text/{KEY}", x_request_id=KEY)


@pytest.mark.parametrize("status", [200, 400, 401, 404, 409, 422, 429, 500])
@pytest.mark.parametrize("how", ["json", "escaped", "page", "cut", "quoted", "for html"])
def test_a_server_that_repeats_the_key(status: int, how: str) -> None:
    virtual = VirtualTime()
    times: Any = {"clock": virtual.clock, "sleep": virtual.sleep}
    with wired(echoing(status, how), policy=ONCE, **times) as (_, client):
        error = caught(client.balance.get)
    text = everything_about(error)
    assert KEY not in text
    assert quote(KEY, safe="") not in text
    assert KEY[:8] not in text, "nor a part of it"


def test_the_key_is_in_no_log(sandbox: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with client_of(sandbox) as client:
        client.balance.get()
        list(client.instances.list())
        sandbox.fault("reset_before")
        sandbox.fault("status", status=503)
        client.balance.get()
        caught(lambda: client.instances.get("nothing"))
        assert KEY not in repr(client)
    assert "httpcore" in caplog.text
    for record in caplog.records:
        assert KEY not in record.getMessage()
        assert KEY not in repr(vars(record))


def test_a_lost_connection_holds_no_key() -> None:
    def reset(connection: socket.socket) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with wired(reset, policy=ONCE) as (wire, client):
        error = caught(lambda: client.snapshots.create("BRK-1", "a"))
        assert KEY.encode() in wire.requests[0], "it was sent, though"
    assert KEY not in everything_about(error)
    assert error.operation == "create_snapshot"
