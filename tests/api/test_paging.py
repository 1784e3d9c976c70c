"""Paging: everything, once, no sooner than it is wanted, in every style."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from random import Random
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from barrack_tasks.api import (
    Barrack,
    BarrackResponseError,
    BarrackTransportError,
    BarrackValidationError,
)
from barrack_tasks.api.dialect import Dialect, Paging, builtin
from barrack_tasks.api.models import Pagination, Snapshot
from barrack_tasks.api.operations import OPERATIONS
from barrack_tasks.api.transport.exchange import Call
from barrack_tasks.api.transport.paging import PAGE_SIZE, all_items, at_once
from barrack_tasks.sandbox import Sandbox
from tests.api.helpers import client_of

CALL = Call(OPERATIONS["list_snapshots"])
STYLES: tuple[Literal["page", "offset", "cursor", "none"], ...] = (
    "page",
    "offset",
    "cursor",
    "none",
)


class Answer:
    """A page as the client's caller gives it."""

    def __init__(self, ids: list[str], pagination: Pagination | None) -> None:
        self.snapshots = [Snapshot.model_validate({"id": i, "name": i, "status": "X"}) for i in ids]
        self.pagination = pagination


class Server:
    """A list that may change between the pages."""

    def __init__(
        self, ids: list[str], figures: tuple[str, ...] = ("total",), largest: int = PAGE_SIZE
    ) -> None:
        self.ids = ids
        self.figures = figures
        self.largest = largest
        self.reads = 0
        self.between: Callable[[], None] = lambda: None

    def __call__(self, call: Call) -> Answer:
        if self.reads:
            self.between()
        self.reads += 1
        size = min(int(call.raw_query["page_size"]), self.largest)
        start = (int(call.raw_query["page"]) - 1) * size
        about = {"total": len(self.ids), "pages": -(-len(self.ids) // size), "page_size": size}
        pagination = Pagination.model_validate({k: about[k] for k in self.figures})
        return Answer(self.ids[start : start + size], pagination if self.figures else None)

    def items(self) -> Iterator[Any]:
        return all_items(CALL, self, Paging())


def numbers(count: int) -> list[str]:
    return [str(number) for number in range(count)]


@pytest.mark.parametrize(
    "figures", [("total",), ("pages",), ("page_size",), ("total", "pages"), ()]
)
@pytest.mark.parametrize("largest", [100, 40])
@pytest.mark.parametrize("count", [0, 1, 39, 40, 41, 99, 100, 101, 200, 250])
def test_whatever_figures_there_are_everything_comes(
    count: int, largest: int, figures: tuple[str, ...]
) -> None:
    server = Server(numbers(count), figures, largest)
    assert [item.id for item in server.items()] == numbers(count)
    # Later pages overlap, so that there may be one more.
    assert server.reads <= count // largest + 3


def test_a_page_is_read_when_it_is_wanted() -> None:
    server = Server(numbers(250))
    items = server.items()
    assert server.reads == 0
    for _ in range(100):
        next(items)
    assert server.reads == 1
    next(items)
    assert server.reads == 2
    items.close()  # type: ignore[attr-defined]
    assert server.reads == 2


def test_a_thing_that_moves_to_a_later_page_is_given_once() -> None:
    server = Server(numbers(250))

    def insert() -> None:
        server.ids.insert(0, f"new-{server.reads}")

    server.between = insert
    given_out = [item.id for item in server.items()]
    assert len(given_out) == len(set(given_out))
    assert set(numbers(250)) <= set(given_out)


def test_nothing_is_missed_when_things_before_it_go() -> None:
    server = Server(numbers(250))

    def delete() -> None:
        if server.reads == 1:
            del server.ids[5:8]

    server.between = delete
    given_out = [item.id for item in server.items()]
    assert sorted(given_out, key=int) == numbers(250)


def test_a_list_that_shrinks_for_ever_is_not_read_for_ever() -> None:
    server = Server(numbers(3000))
    server.between = lambda: server.ids.__delitem__(slice(0, 3))
    list(server.items())
    assert server.reads < 100


@given(st.integers(0, 350), st.lists(st.tuples(st.booleans(), st.integers(0, 400)), max_size=4))
def test_what_stays_is_given_once_whatever_goes(
    count: int, changes: list[tuple[bool, int]]
) -> None:
    server = Server(numbers(count))
    waiting = list(changes)

    def change() -> None:
        if waiting and waiting.pop(0)[0] and server.ids:
            del server.ids[len(server.ids) // 2]

    server.between = change
    given_out = [item.id for item in server.items()]
    assert len(given_out) == len(set(given_out))
    assert set(server.ids) <= set(given_out)


# While it changes, with pages that are read in any order


class Moving:
    """A list in any style of paging that changes before each read, the first excepted."""

    def __init__(
        self,
        style: Literal["page", "offset", "cursor"],
        count: int,
        changes: list[tuple[str, int]],
        largest: int = PAGE_SIZE,
        sizes: str = "any",
    ) -> None:
        self.paging = Paging(style=style)
        self.ids = list(range(0, count * 1000, 1000))
        self.stays = set(self.ids)
        self.changes = changes
        self.largest = largest
        self.sizes = sizes
        self.reads = 0

    def __call__(self, call: Call) -> Answer:
        if self.reads and self.changes:
            self._change(*self.changes.pop(0))
        self.reads += 1
        asked = call.raw_query
        size = min(int(asked["page_size"]), self.largest)
        if self.sizes == "fixed":
            size = self.largest
        if self.sizes == "refused" and size != PAGE_SIZE:
            raise BarrackValidationError("page_size must be 100")
        match self.paging.style:
            case "page":
                start = (int(asked["page"]) - 1) * size
            case "offset":
                start = int(asked["offset"])
            case _:
                start = sum(id_ <= int(asked.get("cursor", -1)) for id_ in self.ids)
        found = self.ids[start : start + size]
        more = self.paging.style == "cursor" and start + size < len(self.ids)
        cursor = str(found[-1]) if more else None
        about = Pagination(total=len(self.ids), next_cursor=cursor)
        return Answer([str(id_) for id_ in found], about)

    def _change(self, what: str, place: int) -> None:
        if what in ("go", "both") and self.ids:
            self.stays.discard(self.ids.pop(place % len(self.ids)))
        if what in ("come", "both"):
            # Anywhere between two others, since what stays keeps its order.
            before = self.ids[place * 7 % len(self.ids)] if self.ids else 0
            if before + 1 not in self.ids:
                self.ids = sorted([*self.ids, before + 1])

    def items(self, order: Callable[[list[Call]], list[Call]] = list) -> list[int]:
        def in_that_order(read: Callable[[Call], Any], calls: list[Call]) -> Iterator[Any]:
            answers = [(call, read(call)) for call in order(calls)]
            for wanted in calls:
                yield next(answer for call, answer in answers if call is wanted)

        found = all_items(CALL, self, self.paging, together=in_that_order)
        return [int(item.id) for item in found]


MOVING: tuple[Literal["page", "offset", "cursor"], ...] = ("page", "offset", "cursor")


@pytest.mark.parametrize("style", MOVING)
@pytest.mark.parametrize("sizes", ["any", "fixed", "refused"])
def test_one_goes_and_one_comes_between_two_pages(
    style: Literal["page", "offset", "cursor"], sizes: str
) -> None:
    server = Moving(style, 250, [("both", 5)], sizes=sizes)
    found = server.items()
    assert len(server.ids) == 250, "the total stays as it is"
    assert len(found) == len(set(found))
    assert server.stays <= set(found)


@pytest.mark.parametrize("style", MOVING)
def test_a_list_that_rests_is_read_once(style: Literal["page", "offset", "cursor"]) -> None:
    server = Moving(style, 1000, [])
    assert len(server.items()) == 1000
    assert server.reads <= 12


@given(
    st.sampled_from(MOVING),
    st.integers(0, 350),
    st.lists(
        st.tuples(st.sampled_from(["", "", "go", "come", "both"]), st.integers(0, 400)),
        max_size=20,
    ),
    st.sampled_from([100, 40, 7]),
    st.randoms(use_true_random=False),
)
@settings(max_examples=300)
def test_what_stays_comes_once_in_every_style_and_order_of_pages(
    style: Literal["page", "offset", "cursor"],
    count: int,
    changes: list[tuple[str, int]],
    largest: int,
    random: Random,
) -> None:
    server = Moving(style, count, changes, largest)
    try:
        found = server.items(lambda calls: random.sample(calls, len(calls)))
    except BarrackTransportError:
        return  # it says that it changes faster than it can be read
    assert len(found) == len(set(found))
    assert server.stays <= set(found)


def test_a_list_that_changes_at_every_page_is_not_taken_for_whole() -> None:
    server = Moving("page", 350, [("both", n) for n in range(3000)], largest=7)
    with pytest.raises(BarrackTransportError, match="changes faster"):
        server.items(lambda calls: calls[::-1])


@pytest.mark.parametrize("style", MOVING)
def test_a_list_that_always_lacks_something_is_told(
    style: Literal["page", "offset", "cursor"],
) -> None:
    server = Moving(style, 150, [])

    def read(call: Call) -> Answer:
        answer = server(call)
        assert answer.pagination is not None
        answer.pagination = answer.pagination.model_copy(update={"total": 160})
        return answer

    with pytest.raises(BarrackResponseError, match="160 items and sends 150"):
        list(all_items(CALL, read, server.paging))


def test_pages_are_read_at_once() -> None:
    everyone_is_there = threading.Barrier(9)
    server = Moving("offset", 900, [])

    def read(call: Call) -> Answer:
        if call.raw_query["offset"] != "0":
            everyone_is_there.wait(10)
        return server(call)

    assert len(list(all_items(CALL, read, server.paging, together=at_once))) == 900


def test_a_server_that_knows_no_pages_and_gives_all_is_understood() -> None:
    asked: list[Call] = []

    def read(call: Call) -> Answer:
        asked.append(call)
        return Answer(numbers(250), None)

    assert len(list(all_items(CALL, read, Paging()))) == 250
    assert len(asked) == 2


def test_a_server_that_pages_otherwise_is_told_not_cut_off() -> None:
    def read(call: Call) -> Answer:
        return Answer(numbers(100), Pagination(total=250))

    with pytest.raises(BarrackResponseError, match="sends the same page again") as caught:
        list(all_items(CALL, read, Paging()))
    assert caught.value.operation == "list_snapshots"
    assert "dialect" in str(caught.value)


def test_a_cursor_that_stands_still_ends() -> None:
    def read(call: Call) -> Answer:
        return Answer(numbers(3), Pagination(next_cursor="again"))

    assert len(list(all_items(CALL, read, Paging(style="cursor")))) == 3


# Against a cloud


def styled(style: Literal["page", "offset", "cursor", "none"]) -> Dialect:
    pages = Paging(
        style=style, page="p", page_size="limit", offset="skip", cursor="after", first_page=0
    )
    return builtin().model_copy(update={"paging": pages})


@pytest.mark.parametrize("style", STYLES)
def test_two_and_a_half_pages_in_every_style(
    style: Literal["page", "offset", "cursor", "none"],
) -> None:
    dialect = styled(style)
    with (
        Sandbox(speed=0, fleet=250, dialect=dialect) as sandbox,
        client_of(sandbox, dialect=dialect) as client,
    ):
        found = [instance.id for instance in client.instances.list()]
        assert len(set(found)) == len(found) == 250
        assert found == [machine["id"] for machine in sandbox.state()["instances"]]
        assert client.perform("list_instances") == list(client.instances.list())
        asked = [request for request in sandbox.requests() if request["operation"]]
        assert len(asked) == (3 if style == "none" else 9)


def test_pages_not_wanted_are_not_read_and_faults_between_them_pass() -> None:
    with Sandbox(speed=0, fleet=250) as sandbox, client_of(sandbox) as client:
        assert next(client.instances.list()).name
        assert len(sandbox.requests()) == 1
        for kind in ("reset_before", "truncated", "html", "error_after", "reset_after"):
            sandbox.fault(kind, "list_instances", after=1)
            assert len({instance.id for instance in client.instances.list()}) == 250


def test_a_list_that_is_filtered(sandbox_of_three: Barrack) -> None:
    assert len(list(sandbox_of_three.instances.list(status="ACTIVE"))) == 3
    assert list(sandbox_of_three.instances.list(status="SHUTOFF")) == []


@pytest.fixture
def sandbox_of_three() -> Iterator[Barrack]:
    with Sandbox(speed=0, fleet=3) as sandbox, client_of(sandbox) as client:
        yield client
