"""A mapping kept in several records is whole at every moment, and no change of it is lost."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from barrack_tasks.controllers.notes import read_notes, write_notes
from barrack_tasks.plans.power.evidence import Note
from barrack_tasks.server import tables as shelves
from barrack_tasks.server.tables import change_all, merge_all, read_all, write_all
from barrack_tasks.server.variables import Records, Stamped

NOW = datetime(2026, 11, 2, 20, tzinfo=UTC)


class Killed(BaseException): ...


class Kept:
    """The variables of a server that does one thing at a time, and calls back before each."""

    def __init__(self, content: dict[str, Any], before: Callable[[], None] = lambda: None) -> None:
        self.content = content
        self.before = before
        self.now = NOW

    def __enter__(self) -> Kept:
        return self

    def __exit__(self, *_: Any) -> None: ...

    def stamped(self) -> dict[str, Stamped]:
        self.before()
        return {name: Stamped(value, self.now) for name, value in self.content.items()}

    def create(self, name: str, value: Any) -> bool:
        self.before()
        assert len(json.dumps(value)) < 5000
        full = name if name.startswith("p_") else f"p_{name}"
        return self.content.setdefault(full, value) is value

    def rename(self, name: str, target: str, value: Any) -> bool:
        self.before()
        assert len(json.dumps(value)) < 5000
        if name not in self.content or target in self.content:
            return False
        del self.content[name]
        self.content[target] = value
        return True

    def drop(self, name: str) -> None:
        self.before()
        self.content.pop(name, None)


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Kept]], None]:
    def used(kept: Callable[[], Kept]) -> None:
        monkeypatch.setattr(shelves, "Records", lambda _: kept())

    return used


class Actor:
    """Somebody who changes a mapping in a thread of its own, one request at a time."""

    def __init__(self, content: dict[str, Any], work: Callable[[], None]) -> None:
        self.go, self.stands = threading.Semaphore(0), threading.Semaphore(0)
        self.is_over = self.is_killed = False
        self.kept = Kept(content, self._pause)
        self.thread = threading.Thread(target=self._run, args=(work,), daemon=True)

    def _pause(self) -> None:
        self.stands.release()
        self.go.acquire()
        if self.is_killed:
            raise Killed

    def _run(self, work: Callable[[], None]) -> None:
        with contextlib.suppress(Killed):
            work()
        self.is_over = True
        self.stands.release()

    def step(self, kill: bool = False) -> None:
        self.is_killed |= kill
        if self.thread.ident is None:
            self.thread.start()
        else:
            self.go.release()
        self.stands.acquire()


LONG = "x" * 900
"""So long that a few of them fill a record."""


def adding(key: str, value: str, now: dict[str, Any]) -> dict[str, Any]:
    return {**now, key: value, "both": sorted({*now.get("both", []), key})}


@settings(max_examples=150, deadline=None)
@given(
    turns=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 40)), max_size=120),
    begun=st.sampled_from(["nothing", "earlier release", "small", "large"]),
    sizes=st.lists(st.sampled_from([1, 900]), min_size=6, max_size=6),
)
def test_no_change_is_lost_however_three_who_make_it_come_between_each_other(
    turns: list[tuple[int, int]], begun: str, sizes: list[int]
) -> None:
    content: dict[str, Any] = {}
    old = {f"old{n}": LONG for n in range({"nothing": 0, "small": 2}.get(begun, 8))}
    chosen = threading.local()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shelves, "Records", lambda _: chosen.kept)
        chosen.kept = Kept(content)
        if begun == "earlier release":
            content["p_0"] = dict(list(old.items())[:4])
            content["p_1"] = dict(list(old.items())[4:])
        else:
            write_all("p_", old)
        done: set[str] = set()

        def working(who: int) -> Callable[[], None]:
            def work() -> None:
                chosen.kept = actors[who].kept
                for number in range(2):
                    key, value = f"{who}-{number}", "y" * sizes[2 * who + number]
                    change_all("p_", partial(adding, key, value))
                    done.add(key)

            return work

        actors = [Actor(content, working(who)) for who in range(3)]

        def stands() -> dict[str, Any]:
            return read_all("p_")

        for who, fate in turns:
            if actors[who].is_over:
                continue
            actors[who].step(kill=fate == 0)
            now = stands()
            assert old.keys() <= now.keys()
            assert done <= now.keys()
            assert done <= set(now.get("both", []))
            assert {k for k in now if k[0].isdigit()} == set(now.get("both", [])), "half a change"
        for actor in actors:
            while not actor.is_over:
                actor.step()
        now = stands()
        assert done <= now.keys() >= old.keys()
        assert done <= set(now.get("both", []))


@given(st.lists(st.integers(1, 250), min_size=2, max_size=4), st.randoms(use_true_random=False))
def test_what_is_kept_is_read_again_and_no_record_is_left_over(
    sizes: list[int], chance: Any
) -> None:
    kept = Kept({})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shelves, "Records", lambda _: kept)
        for size in sizes:
            after = {f"k{n:04}": "x" * chance.choice([1, 40, 41]) for n in range(size)}
            write_all("p_", after)
            assert read_all("p_") == after
            head = max(name for name in kept.content if name.startswith("p_n"))
            named = kept.content[head].get("parts", "")
            assert len(kept.content) == 1 + len(named) // 9


def test_what_a_killed_writer_left_is_dropped_in_the_end(
    use: Callable[[Callable[[], Kept]], None],
) -> None:
    kept = Kept({"p_k00000000": {"left": 1}, "p_n00000001xab": {"content": {"a": 1}}})
    use(lambda: kept)
    change_all("p_", lambda now: {**now, "b": 2})
    assert "p_k00000000" in kept.content, "its writer may be about to name it"
    old = dict(kept.content)

    def stamped() -> dict[str, Stamped]:
        return {n: Stamped(v, NOW - timedelta(hours=2) * ("k0" in n)) for n, v in old.items()}

    kept.stamped = stamped  # type: ignore[method-assign]
    change_all("p_", lambda now: {**now, "c": 3})
    assert len(kept.content) == 1


def test_two_tables_of_one_account_that_came_together_are_one(
    use: Callable[[Callable[[], Kept]], None],
) -> None:
    kept = Kept(
        {
            "p_n00000004xaa": {"content": {"a": 1, "both": "old"}},
            "p_n00000007xbb": {"parts": "k00000001"},
            "p_k00000001": {"b": 1, "both": "new"},
            "p_0xold": {"c": 1, "both": "oldest"},
            "p_scope_0": {"another": "table"},
        }
    )
    use(lambda: kept)
    assert read_all("p_") == {"a": 1, "b": 1, "c": 1, "both": "new"}
    merge_all("p_", {"a": 1}, {"d": 1})
    assert read_all("p_") == {"b": 1, "c": 1, "d": 1, "both": "new"}
    assert len(kept.content) == 2


def test_more_than_can_be_named_is_refused_and_what_stands_stays(
    use: Callable[[Callable[[], Kept]], None],
) -> None:
    kept = Kept({})
    use(lambda: kept)
    write_all("p_", {"a": 1})
    with pytest.raises(ValueError, match="more than can be stored"):
        write_all("p_", {f"k{n}": "x" * 3000 for n in range(600)})
    assert read_all("p_") == {"a": 1}


def note_of(id_: str) -> Mapping[str, Note]:
    note = Note(settled=NOW, pursued=NOW, under=NOW, status="HIBERNATED", changed=NOW, seen=NOW)
    return {f"{id_}-{k}": note for k in range(10)}


def write_many(account: str, who: int, count: int) -> None:
    for number in range(count):
        write_notes(account, read_notes(account), note_of(f"BRK-{who}-{number}"), NOW)


def expected(writers: int, count: int) -> set[str]:
    return {id_ for w in range(writers) for n in range(count) for id_ in note_of(f"BRK-{w}-{n}")}


@pytest.fixture
def account(prefect_server: str) -> Iterator[str]:
    name = f"m{uuid4().hex[:8]}"
    yield name
    with Records(f"barrack_schedule_{name}_") as records:
        for record in records.all():
            records.drop(record)


def test_threads_that_note_at_once_lose_nothing(account: str) -> None:
    threads = [threading.Thread(target=write_many, args=(account, who, 4)) for who in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert read_notes(account).keys() == expected(3, 4)


@pytest.mark.slow
def test_processes_that_note_at_once_lose_nothing(account: str) -> None:
    context = multiprocessing.get_context("fork")
    children = [context.Process(target=write_many, args=(account, who, 10)) for who in range(2)]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
        assert child.exitcode == 0
    assert read_notes(account).keys() == expected(2, 10)
