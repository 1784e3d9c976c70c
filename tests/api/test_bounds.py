"""Endless, packed and lying answers: bounded, one sentence, and never taken for the whole."""

from __future__ import annotations

import gzip
import json
import socket
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from barrack_tasks import api
from barrack_tasks.api import BarrackResponseError, Bounds
from barrack_tasks.api import models as m
from barrack_tasks.api.dialect import Paging
from barrack_tasks.api.models import Pagination
from barrack_tasks.api.models.text import one_line
from barrack_tasks.api.transport.bounds import DEFAULT
from barrack_tasks.api.transport.exchange import Call
from barrack_tasks.api.transport.paging import all_items
from tests.api.helpers import KEY, http, wired
from tests.api.test_paging import CALL, Answer, Server, numbers

BALANCE = {"data": {"balance": {"amount": "1", "currency": "USD"}}}
SMALL = Bounds(answer_bytes=100_000)


def packed(body: bytes, encoding: str) -> bytes:
    bare = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    forms: dict[str, Callable[[bytes], bytes]] = {
        "gzip": gzip.compress,
        "deflate": zlib.compress,
        "bare": lambda data: bare.compress(data) + bare.flush(),
    }
    return forms[encoding](body)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "bare"])
def test_an_answer_may_be_packed(encoding: str) -> None:
    body = packed(json.dumps(BALANCE).encode(), encoding)
    header = "deflate" if encoding == "bare" else encoding
    with wired(http(body, content_encoding=header)) as (wire, client):
        assert client.balance.get().amount == 1
    assert b"accept-encoding: gzip, deflate\r\n" in wire.requests[0].lower()


@pytest.mark.parametrize(
    ("encoding", "status"),
    [
        ("gzip", 404),
        *(
            pytest.param(*one, marks=pytest.mark.slow)
            for one in (("gzip", 200), ("deflate", 200), ("bare", 500))
        ),
    ],
)
def test_what_is_packed_does_not_take_all_memory(encoding: str, status: int) -> None:
    body = packed(b" " * 300_000_000, encoding)
    header = "deflate" if encoding == "bare" else encoding
    with wired(http(body, status, content_encoding=header)) as (wire, client):
        with (
            traced() as peak,
            pytest.raises(BarrackResponseError, match="to more than 33,554,432") as caught,
        ):
            client.balance.get()
        assert len(wire.requests) == 1, "it would come again"
    assert caught.value.status_code == status
    assert peak() < 150_000_000


@contextmanager
def traced() -> Iterator[Callable[[], int]]:
    """Gives what tells the most bytes of memory that the block has taken."""
    most = 0
    tracemalloc.start()
    try:
        yield lambda: most
    finally:
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "x\x01y", "deflate,gzip,br"])
def test_only_what_was_asked_for_is_unpacked(encoding: str) -> None:
    with (
        wired(http(b"{}", content_encoding=encoding)) as (_, client),
        pytest.raises(api.BarrackError) as caught,
    ):
        client.balance.get()
    assert isinstance(caught.value, BarrackResponseError | api.BarrackTransportError)
    assert str(caught.value).isprintable()


def test_a_damaged_packing_is_asked_for_again() -> None:
    whole = packed(json.dumps(BALANCE).encode(), "gzip")
    broken = [http(whole[:-9], content_encoding="gzip"), http(b"no gzip", content_encoding="gzip")]
    with wired(*broken, http(BALANCE)) as (wire, client):
        assert client.balance.get().amount == 1
        assert len(wire.requests) == 3


def endless(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n")
    with suppress(OSError):
        while True:
            connection.sendall(b" " * 65536)


def test_an_endless_body_ends() -> None:
    with (
        wired(endless) as (_, client),
        pytest.raises(BarrackResponseError, match="more than 33,554,432 bytes"),
    ):
        client.balance.get()


@pytest.mark.parametrize("piece", [b"x-a: b\r\n", b"HTTP/1.1 103 Early Hints\r\n\r\n"])
def test_a_head_that_drips_ends_in_time(piece: bytes) -> None:
    def drip(connection: socket.socket) -> None:
        with suppress(OSError):
            connection.sendall(b"" if piece.startswith(b"HTTP") else b"HTTP/1.1 200 OK\r\n")
            for _ in range(100):
                connection.sendall(piece)
                time.sleep(0.1)

    began = time.monotonic()
    quick = {"attempts": 1, "timeout": 0.5, "deadline": 1}
    with wired(drip, policy=quick) as (_, client), pytest.raises(api.BarrackTimeoutError):
        client.balance.get()
    assert time.monotonic() - began < 5


def test_a_change_with_an_endless_answer_is_looked_for() -> None:
    machine = {"id": "BRK-1", "name": "a", "status": "HIBERNATING"}
    with wired(endless, http({"instance": machine}), bounds=SMALL) as (wire, client):
        assert client.instances.hibernate("BRK-1").status == "HIBERNATING"
    with wired(endless, bounds=SMALL) as (wire, client):
        with pytest.raises(BarrackResponseError, match="more than 100,000 bytes") as caught:
            client.instances.reboot("BRK-1")
        assert caught.value.took_effect is None
        assert len(wire.requests) == 1


MUCH = [
    ("[" + "{}," * 600_000 + "{}]", "more than 1,000,000 values"),
    ('{"a":' * 500 + "1" + "}" * 500, "more than 100 levels"),
    ("[" * 100_000, "more than 100 levels"),
    (f'{{"data": {"9" * 5000}}}', "more than 400 digits"),
    ('{"data": 1e999999999}', "more than 400 digits"),
    ('{"data": 1e-999999999}', "more than 400 digits"),
    (f'{{"data": 0.{"1" * 5000}}}', "more than 400 digits"),
]


@pytest.mark.parametrize(("body", "says"), MUCH, ids=range(len(MUCH)))
def test_json_beyond_a_bound(body: str, says: str) -> None:
    with wired(http(body)) as (wire, client):
        with pytest.raises(BarrackResponseError, match=says):
            client.balance.get()
        assert len(wire.requests) == 1
    with (
        wired(http(body, 404)) as (wire, client),
        pytest.raises(api.BarrackNotFoundError, match="404"),
    ):
        client.balance.get()


@pytest.mark.parametrize("amount", ['"1e999999999"', '"-1e-99999999"', '"Infinity"', "NaN", "1e99"])
def test_an_amount_that_could_not_be_written_out(amount: str) -> None:
    body = f'{{"data": {{"balance": {{"amount": {amount}, "currency": "USD"}}}}}}'
    with wired(http(body)) as (_, client):
        if amount == "1e99":
            assert len(f"{client.balance.get().amount:.2f}") < 200
            return
        with pytest.raises(BarrackResponseError) as caught:
            client.balance.get()
    assert "data.balance.amount" in caught.value.fields


def test_a_million_errors_are_not_kept() -> None:
    for kind in (m.ListUserVMsResponse, m.ListSnapshotsResponse, m.GetVolumesWithNextNameResponse):
        lists = dict.fromkeys(kind.model_fields, [{}] * 1000)
        with pytest.raises(ValidationError) as caught:
            kind.model_validate(lists)
        assert caught.value.error_count() < 100


def test_a_charset_that_unpacks_is_not_used() -> None:
    bomb = zlib.compress(b"x" * 50_000_000)
    answer = http(bomb, content_type="application/json; charset=zlib_codec")
    with (
        wired(answer, policy={"attempts": 1}) as (_, client),
        pytest.raises(BarrackResponseError, match="not JSON"),
    ):
        client.balance.get()


def test_a_long_text_of_an_error_is_cut() -> None:
    long = "m" * 9_000_000
    fields = dict.fromkeys(map(str, range(99)), long[:99_000])
    said = {"message": long, "error_reason": long, "errors": fields}
    with (
        wired(http(said, 404, x_request_id="r" * 9_000)) as (_, client),
        pytest.raises(api.BarrackNotFoundError) as caught,
    ):
        client.balance.get()
    assert len(str(caught.value)) < 10_000
    assert sum(map(len, caught.value.fields.values())) < 50_000
    assert len(caught.value.reason or "") == DEFAULT.message


def test_half_a_character_in_a_name_does_not_hide_the_machine() -> None:
    body = r'{"instances": [{"id": "BRK-1", "name": "a\ud800b \ud83d\ude00", "status": "ACTIVE"}]}'
    with wired(http(body)) as (_, client):
        (machine,) = client.instances.list()
    assert machine.name == "a\ud800b 😀"
    assert one_line(machine.name) == r"a\ud800b 😀"


# Lists

Pages = Callable[[int], tuple[list[str], Pagination | None]]


class Pager:
    """Gives pages by their number, whatever is asked for, and counts."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self.reads = 0

    def __call__(self, call: Call) -> Answer:
        self.reads += 1
        return Answer(*self._pages(self.reads))


def fresh(number: int) -> Pagination:
    return Pagination(next_cursor=f"cursor-{number}")


STYLES: list[tuple[Any, Callable[[int], Pagination | None]]] = [
    ("cursor", fresh),
    ("page", lambda number: None),
    ("offset", lambda number: None),
]


@pytest.mark.parametrize(("style", "figures"), STYLES)
@pytest.mark.parametrize("period", [2, 3, 7])
def test_pages_that_come_in_turns_end(
    style: Any, figures: Callable[[int], Pagination | None], period: int
) -> None:
    names = [numbers(100 * (n + 1))[100 * n :] for n in range(period)]
    pager = Pager(lambda number: (names[number % period], figures(number)))
    with pytest.raises(BarrackResponseError, match="10 pages in a row bring nothing new"):
        list(all_items(CALL, pager, Paging(style=style)))
    assert pager.reads < 20


def test_empty_pages_with_fresh_cursors_end_and_a_gap_is_no_end() -> None:
    with pytest.raises(BarrackResponseError, match="nothing new"):
        list(all_items(CALL, Pager(lambda number: ([], fresh(number))), Paging(style="cursor")))
    gap = {1: ["a"], 2: [], 3: ["b"]}
    pager = Pager(lambda n: (gap[n], fresh(n) if n < 3 else Pagination()))
    assert len(list(all_items(CALL, pager, Paging(style="cursor")))) == 2


@pytest.mark.parametrize(("style", "figures"), STYLES)
@pytest.mark.parametrize("size", [1, 100])
def test_ever_new_items_end(
    style: Any, figures: Callable[[int], Pagination | None], size: int
) -> None:
    new = count()
    pager = Pager(lambda number: ([str(next(new)) for _ in range(size)], figures(number)))
    few = Bounds(pages=300, items=10_000)
    says = "after 300 pages" if size == 1 else "after 10,000 items"
    with pytest.raises(BarrackResponseError, match=says):
        list(all_items(CALL, pager, Paging(style=style), few))
    assert pager.reads <= 300


def test_a_list_has_its_time_which_its_reader_does_not_use_up() -> None:
    now = 0.0

    def slow(call: Call) -> Answer:
        nonlocal now
        now += 20
        return Answer([str(now)], fresh(int(now)))

    read: list[Any] = []

    def read_slowly() -> None:
        nonlocal now
        for item in all_items(CALL, slow, Paging(style="cursor"), DEFAULT, lambda: now):  # noqa: B023
            read.append(item)
            now += 1000

    with pytest.raises(BarrackResponseError, match="after 600 s and 30 pages"):
        read_slowly()
    assert len(read) == 30


def test_a_hundred_thousand_items_come() -> None:
    server = Server(numbers(100_000))
    assert len({item.id for item in server.items()}) == 100_000
    assert 1000 <= server.reads <= 1200, "each page shares little with the one before"


# A short list


def short(said: int, pages: list[list[str]]) -> Pages:
    """Pages again and again, each with the same figure."""
    return lambda n: (pages[(n - 1) % len(pages)], Pagination(total=said))


SHORT = [
    ([numbers(100), []], 250, 100),
    ([[]], 250, 0),
    ([numbers(100), numbers(200)[100:], []], 201, 200),
    ([["a", "a"], ["b"], []], 4, 2),
]


@pytest.mark.parametrize("style", ["page", "offset"])
@pytest.mark.parametrize(("pages", "said", "came"), SHORT, ids=range(len(SHORT)))
def test_fewer_than_said_is_an_error(
    style: Any, pages: list[list[str]], said: int, came: int
) -> None:
    with pytest.raises(BarrackResponseError, match=f"announces {said} items and sends {came}"):
        list(all_items(CALL, Pager(short(said, pages)), Paging(style=style)))


def test_fewer_than_said_in_one_answer_and_behind_a_last_cursor() -> None:
    for style in ("none", "cursor"):
        pager = Pager(lambda n: (numbers(100), Pagination(total=250)))
        with pytest.raises(BarrackResponseError, match="250 items and sends 100"):
            list(all_items(CALL, pager, Paging(style=style)))  # type: ignore[arg-type]


def test_a_total_that_falls_on_each_way_is_not_believed() -> None:
    pages = [(numbers(100), Pagination(total=250)), ([], Pagination(total=0))]
    with pytest.raises(BarrackResponseError, match="250 items and sends 100"):
        list(all_items(CALL, Pager(lambda n: pages[(n - 1) % 2]), Paging()))


def test_pages_that_are_said_and_empty() -> None:
    pages = [numbers(100), []]
    pager = Pager(lambda n: (pages[(n - 1) % 2], Pagination(pages=3)))
    with pytest.raises(BarrackResponseError, match="3 pages and sends 1"):
        list(all_items(CALL, pager, Paging()))


@pytest.mark.parametrize("style", ["page", "offset", "cursor", "none"])
@pytest.mark.parametrize(
    "later", [(numbers(100), 3), ([], 3), ([], 0), ([], None)], ids=["same", "3", "0", "none"]
)
def test_fewer_pages_than_said_is_an_error_in_every_style(
    style: Any, later: tuple[list[str], int | None]
) -> None:
    pages = [(numbers(100), 3), later]

    def answer(n: int) -> tuple[list[str], Pagination]:
        ids, said = pages[0 if style in ("none", "cursor") else (n - 1) % 2]
        return ids, Pagination(pages=said)

    with pytest.raises(BarrackResponseError, match=r"announces 3 pages and sends [01]"):
        list(all_items(CALL, Pager(answer), Paging(style=style)))


@pytest.mark.parametrize("style", ["page", "offset", "cursor", "none"])
def test_a_single_page_may_be_empty_and_a_missing_one_may_come_when_read_again(style: Any) -> None:
    empty = Pager(lambda n: ([], Pagination(pages=1)))
    assert list(all_items(CALL, empty, Paging(style=style))) == []
    late = Pager(lambda n: (numbers(5), Pagination(pages=2 if n == 1 else 1)))
    assert len(list(all_items(CALL, late, Paging(style=style)))) == 5


def test_more_than_said_is_kept() -> None:
    for said in (0, 1, 2):
        pager = Pager(lambda n, said=said: (numbers(3), Pagination(total=said)))  # type: ignore[misc]
        assert len(list(all_items(CALL, pager, Paging()))) == 3


def test_a_list_that_is_short_once_is_read_again() -> None:
    server = Server(numbers(250))
    whole = server.ids[:]

    def hide() -> None:
        server.ids = whole[:-1] if server.reads < 3 else whole

    server.between = hide
    assert {item.id for item in server.items()} == set(whole)


@given(
    st.integers(0, 320),
    st.lists(st.tuples(st.integers(0, 9), st.sampled_from(["go", "come", "both"])), max_size=3),
    st.integers(0, 400),
)
@settings(max_examples=60)
def test_a_list_that_moves_by_one_is_right(
    size: int, changes: list[tuple[int, str]], place: int
) -> None:
    server = Server(numbers(size))
    stays = set(server.ids)
    waiting = dict(changes)

    def change() -> None:
        what = waiting.pop(server.reads, "")
        if what in ("go", "both") and server.ids:
            stays.discard(server.ids.pop(place % len(server.ids)))
        if what in ("come", "both"):
            server.ids.append(f"new-{server.reads}")

    server.between = change
    found = [item.id for item in server.items()]
    assert len(found) == len(set(found))
    if "both" not in dict(changes).values():  # one for one, no figure tells
        assert stays <= set(found)


def test_a_short_list_stops_what_asks_whether_something_is_there() -> None:
    page = {"snapshots": [], "pagination": {"total": 3}}
    with wired(http("", 502), http(page)) as (wire, client):
        with pytest.raises(api.BarrackError) as caught:
            client.perform("create_snapshot", instance_id="BRK-1", name="a")
        assert caught.value.took_effect is None or "announces 3 items" in str(caught.value)
        assert sum(line.startswith("POST") for line in wire.lines) <= 1


# Anything at all

BODIES = st.one_of(
    st.binary(max_size=300),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(["data", "balance", "amount", "message", "errors", "status", KEY])
                | st.text(max_size=5),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    ).map(lambda value: json.dumps(value).encode()),
    st.text(st.characters()).map(lambda text: json.dumps({"message": text + KEY}).encode()),
)
WORDS = st.text(st.characters(codec="latin-1", exclude_characters="\r\n\x00"), max_size=30)


def raw_answers() -> Iterator[st.SearchStrategy[bytes]]:
    yield st.binary(max_size=200)
    yield st.builds(
        lambda status, phrase, encoding, kind, body: (
            (
                f"HTTP/1.1 {status} {phrase}{KEY}\r\ncontent-encoding: {encoding}\r\n"
                f"content-type: {kind}\r\nx-request-id: {kind}{KEY}\r\nretry-after: 0\r\n"
                f"location: http://127.0.0.1:9/{kind}\r\nset-cookie: {kind}\r\n\r\n"
            ).encode("latin-1")
            + body
        ),
        st.integers(100, 599),
        WORDS,
        st.sampled_from(["", "identity", "gzip", "deflate", "br"]) | WORDS,
        st.sampled_from(["application/json", "text/html; charset=hex", "a/b; charset=zip"]) | WORDS,
        BODIES,
    )


@settings(max_examples=60)
@given(st.one_of(*raw_answers()), st.booleans())
def test_whatever_comes_is_an_answer_or_one_sentence(answer: bytes, changes: bool) -> None:
    once = {"attempts": 1, "timeout": 2, "deadline": 3, "visibility_lag": 0}
    failure: api.BarrackError | None = None
    with wired(answer, policy=once) as (_, client):
        act = (lambda: client.instances.reboot("BRK-1")) if changes else client.balance.get
        try:
            act()
        except api.BarrackError as error:
            failure = error
    if failure is not None:
        assert str(failure).isprintable()
        assert KEY not in f"{failure!r} {failure} {vars(failure)}"
        is_success = failure.status_code is not None and failure.status_code < 300
        assert failure.took_effect is None or not (changes and is_success)
