"""What is kept of bills: asked for once, and again only for what is new; never lost to a 404."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barrack_tasks.controllers.money import seen as stored
from barrack_tasks.plans.money.bill import Bill, Charge, Thing, charge_at_rate
from barrack_tasks.plans.money.kept import (
    LONGEST_PERIOD,
    SURE,
    BilledThing,
    Observed,
    sightings,
    to_ask,
)

NOW = datetime(2026, 3, 20, 12, tzinfo=UTC)
START = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
ALPHA = Thing("instance", "1", "alpha", "1x L40", "CANADA-1", Decimal("1.20"))
BETA = Thing("volume", "2", "beta")
ACTIVE = Observed("ACTIVE", "mark-1", is_dated=True)
ASLEEP = Observed("HIBERNATED", "mark-2", is_dated=True)


def active(start: datetime, end: datetime, state: str = "ACTIVE", rate: str = "1.20") -> Charge:
    return charge_at_rate(ALPHA, start, end, state, Decimal(rate))


def read(look: Observed = ACTIVE, at: datetime = NOW) -> BilledThing:
    """An instance that was seen, and whose bill was read."""
    return BilledThing(ALPHA, look=look).answered(START, [active(START, at)], at)


def seen_again(before: BilledThing, look: Observed | None, now: datetime) -> BilledThing:
    """The same at a later look; gone, if there is none."""
    there = [] if look is None else [BilledThing(ALPHA, look=look)]
    [found] = sightings(there, [before], (), now)
    return found


def test_a_bill_is_asked_for_once_while_lists_show_the_thing_as_it_was() -> None:
    assert to_ask([BilledThing(ALPHA, look=ACTIVE)], START, NOW) == {0: START}
    later = NOW + 5 * HOUR
    again = seen_again(read(), ACTIVE, later)
    assert to_ask([again], START, later) == {}
    assert again.charges(later) == (active(START, later),), "the last charge goes on"
    assert to_ask([again], START - HOUR, later) == {0: START - HOUR}, "an earlier period"
    moved = seen_again(read(), ASLEEP, later)
    assert to_ask([moved], START, later) == {0: START}, "from the charge that had not ended"
    assert moved.charges(later) == (active(START, NOW),), "what is known of it"
    two = [active(START, NOW + HOUR), active(NOW + HOUR, later, "HIBERNATED", "0.01")]
    after = moved.answered(START, two, later)
    assert after.charges(later) == tuple(two)
    assert seen_again(after, ASLEEP, later + HOUR).charges(later + HOUR)[1].minutes == 5 * 60


def test_what_may_have_changed_unseen_is_asked_for_again() -> None:
    undated = replace(ACTIVE, is_dated=False)
    soon, later = NOW + timedelta(minutes=59), NOW + HOUR
    assert to_ask([seen_again(read(undated), undated, soon)], START, soon) == {}
    assert to_ask([seen_again(read(undated), undated, later)], START, later) == {0: START}
    tomorrow = NOW + 24 * HOUR
    old = [seen_again(read(at=NOW - n * HOUR), ACTIVE, tomorrow) for n in range(600)]
    assert sorted(to_ask(old, START - 600 * HOUR, tomorrow)) == list(range(600)), (
        "none reaches back"
    )
    old = [replace(s, kept=replace(s.kept, since=START)) for s in old if s.kept]
    assert min(to_ask(old, START, tomorrow)) == 100, "the oldest first, and not all at once"
    told_otherwise = BilledThing(ALPHA, look=ASLEEP).answered(START, [active(START, NOW)], NOW)
    assert to_ask([seen_again(told_otherwise, ASLEEP, later)], START, later) == {0: START}
    unlisted = replace(read(), look=None)
    assert to_ask([unlisted], START, later) == {0: START}, "its list cannot be read"


def test_what_is_gone_is_asked_for_once_and_never_for_a_later_period() -> None:
    later = NOW + HOUR
    gone = seen_again(read(), None, later)
    assert to_ask([gone], START, later) == {0: START}
    whole = gone.answered(START, [active(START, NOW + HOUR / 2)], later)
    assert whole.is_whole
    much_later = NOW + timedelta(days=300)
    assert to_ask([whole], START, much_later) == {}
    assert seen_again(whole, None, much_later).charges(much_later) == (
        active(START, NOW + HOUR / 2),
    )
    never_read = BilledThing(ALPHA, gone=NOW)
    assert to_ask([never_read], NOW, later) == {}, "it ended before the period"
    assert to_ask([never_read] * 1500, START, later) == dict.fromkeys(range(1500), START)
    still_billed = gone.answered(START, [active(START, later)], later)
    assert to_ask([still_billed], START, much_later) == {0: START}


def test_a_bill_that_is_gone_leaves_what_was_read_of_it_and_is_settled_when_it_is_sure() -> None:
    later = NOW + HOUR
    gone = seen_again(read(), None, later)
    once = gone.unanswered(later)
    assert (once.settled, once.lost) == (False, later)
    assert once.unanswered(later + SURE / 2).settled is False
    assert to_ask([once], START, later) == {0: START}
    twice = once.unanswered(later + SURE)
    assert twice.settled
    assert to_ask([twice], START, later + SURE) == {}
    assert twice.charges(later + SURE) == (active(START, NOW),), "the last known cost stays"
    assert not twice.is_known(START), "so that it is told as missing"
    there = read().unanswered(later)
    assert (there.settled, there.lost) == (False, None), "what is there has a bill"
    found = once.answered(START, [active(START, NOW)], later + SURE)
    assert found.lost is None


def test_an_empty_answer_is_no_bill_where_something_was_billed() -> None:
    later = NOW + HOUR
    gone = seen_again(read(), None, later)
    assert gone.is_vanished(START, [])
    once = gone.answered(START, [], later)
    assert once.charges(later) == (active(START, NOW),), "what was billed does not vanish"
    assert (once.is_whole, once.settled, once.lost) == (False, False, later)
    assert to_ask([once], START, later) == {0: START}, "it is asked again whether that is sure"
    assert once.answered(START, [], later + SURE).settled
    there = seen_again(read(), ASLEEP, later)
    assert there.answered(START, [], later) == there, "it is asked for again"
    ended = replace(gone, kept=replace(gone.kept, runs=False)) if gone.kept else gone
    assert not ended.is_vanished(NOW, []), "nothing new was spent since it was read"
    assert ended.answered(NOW, [], later).is_whole
    free = BilledThing(ALPHA, look=ACTIVE).answered(START, [active(START, NOW, "ERROR", "0")], NOW)
    assert not free.is_vanished(START, [])


@given(asked=st.integers(-20, 30), first=st.integers(-20, 30), is_gone=st.booleans())
def test_no_answer_takes_away_what_was_billed_before_its_first_charge(
    asked: int, first: int, is_gone: bool
) -> None:
    two = [active(START, START + 5 * HOUR), active(START + 5 * HOUR, START + 9 * HOUR)]
    before = BilledThing(ALPHA, look=None if is_gone else ACTIVE, gone=NOW if is_gone else None)
    before = before.answered(START - 9 * HOUR, two, START + 9 * HOUR)
    answer = [active(START + first * HOUR, NOW)] if first >= asked else []
    after = before.answered(START + asked * HOUR, answer, NOW)
    billed = {
        m
        for c in after.charges(NOW)
        for m in range(24 * 60)
        if c.start <= START + m * HOUR / 60 < c.end
    }
    assert billed >= set(range(9 * 60)) or (first >= asked and first < 9)


@given(
    read_from=st.integers(0, 40),
    asked_from=st.integers(0, 40),
    made=st.none() | st.integers(0, 40),
    ended=st.integers(1, 20),
    is_settled=st.booleans(),
)
def test_a_bill_of_which_a_part_was_never_read_is_never_taken_for_whole(
    read_from: int, asked_from: int, made: int | None, ended: int, is_settled: bool
) -> None:
    first, start = (START + n * HOUR for n in (read_from, asked_from))
    begins = START if made is None else START + made * HOUR
    look = replace(ACTIVE, made=None if made is None else begins)
    charges = [active(max(first, begins), NOW)]
    there = BilledThing(ALPHA, look=look).answered(first, charges, NOW)
    gone = replace(there, look=None, gone=NOW + ended * HOUR)
    whole = gone.answered(gone.kept.resumes if gone.kept else first, charges, gone.gone or NOW)
    if is_settled:
        whole = replace(whole, settled=True)
    all_is_read = first <= start or (made is not None and begins >= first)
    assert whole.is_known(start) == all_is_read
    again = to_ask([whole], start, NOW + timedelta(days=30))
    assert again == ({} if all_is_read or is_settled else {0: start})
    [kept] = sightings([], [whole], (), NOW)
    back = stored._sighting("instance", "1", stored._written(kept))
    assert back.is_known(start) == all_is_read, "also as it is read by the next run"


@given(
    before=st.tuples(st.sampled_from(["", "1x L40"]), st.sampled_from(["", "CANADA-1"])),
    after=st.tuples(st.sampled_from(["", "8x H100"]), st.sampled_from(["", "NORWAY-1"])),
    prices=st.tuples(st.sampled_from([None, Decimal(1)]), st.sampled_from([None, Decimal(2)])),
)
def test_what_was_known_of_a_thing_stays_known_until_it_is_known_otherwise(
    before: tuple[str, str], after: tuple[str, str], prices: tuple[Decimal | None, Decimal | None]
) -> None:
    old = BilledThing(Thing("instance", "1", "old", *before, prices[0]))
    new = BilledThing(Thing("instance", "1", "new", *after, prices[1]), look=ACTIVE)
    [found] = sightings([new], [old], (), NOW)
    assert found.thing.name == "new"
    assert found.thing.model == (after[0] or before[0])
    assert found.thing.region == (after[1] or before[1])
    assert found.thing.hourly == (prices[0] if prices[1] is None else prices[1])


def test_what_is_gone_is_remembered_for_as_long_as_a_bill_or_a_restore_needs_it() -> None:
    alpha, beta = BilledThing(ALPHA), BilledThing(BETA)
    assert sightings([alpha, beta], [], (), NOW) == [alpha, beta]
    left = sightings([beta], [alpha, beta], (), NOW)
    assert left == [beta, BilledThing(ALPHA, NOW)]
    soon, later = NOW + LONGEST_PERIOD - timedelta(minutes=1), NOW + LONGEST_PERIOD
    assert sightings([beta], left, (), soon) == left
    assert sightings([beta], left, (), later) == [beta]
    assert sightings([beta], left, {"1"}, later) == left
    assert sightings([alpha], left, (), soon)[0] == alpha, "it is back"


def test_what_hibernation_saved_is_kept_when_the_machine_is_deleted() -> None:
    asleep = active(START, START + 10 * HOUR, "HIBERNATED", "0.01")

    def saved(thing: Thing, *more: Charge) -> tuple[Decimal, tuple[str, ...]]:
        charges = tuple(replace(c, thing=thing) for c in (asleep, *more))
        bill = Bill(START, NOW, "USD", "UTC", charges)
        return bill.saved_by_hibernation, bill.unpriced

    unpriced = replace(ALPHA, hourly=None)
    assert saved(ALPHA) == (Decimal("11.90"), ())
    assert saved(unpriced, active(NOW, NOW + HOUR)) == (Decimal("11.90"), ()), "as it was billed"
    assert saved(unpriced) == (0, ("alpha",)), "told, and not taken for nothing"


@pytest.mark.parametrize("count", [1, 3, 400])
def test_what_is_kept_is_read_as_it_was_written(count: int) -> None:
    step = timedelta(minutes=7, microseconds=123_456)
    charges = [
        active(START + n * step, START + (n + 1) * step, "ACTIVE", f"1.{n % 7 + 1}")
        for n in range(count)
    ]
    odd = Charge(ALPHA, START + count * step, NOW, "SHUTOFF", 7, Decimal("0.123456"), None)
    one = BilledThing(ALPHA, look=ACTIVE, lost=NOW, gone=NOW)
    one = replace(one.answered(START, [*charges, odd], NOW), lost=NOW)
    back = stored._sighting("instance", "1", stored._written(one))
    assert back.kept is not None
    assert one.kept is not None
    assert replace(back, kept=None) == replace(one, kept=None, look=None)
    kept = len(back.kept.charges)
    assert back.kept.charges == one.kept.charges[-kept:]
    if count < 100:
        assert back.kept == one.kept
    else:
        assert back.kept.since == back.kept.charges[0].start > START, "the oldest are left out"
        assert len(str(stored._written(one))) < 4_500, "an entry fits into a record"


def test_what_an_earlier_release_has_written_is_read() -> None:
    gone = int(NOW.timestamp())
    old = stored._sighting("instance", "1", ["alpha", "1x L40", "CANADA-1", gone, True])
    assert old == BilledThing(replace(ALPHA, hourly=None), NOW), (
        "it is asked again whether it is sure"
    )


def test_ten_thousand_are_kept_in_as_many_tables_as_they_need(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tables: dict[str, dict[str, object]] = {}
    monkeypatch.setattr(stored, "read_all", lambda prefix: dict(tables.get(prefix, {})))

    def merge(prefix: str, before: dict[str, object], after: dict[str, object]) -> None:
        now = {k: v for k, v in tables.get(prefix, {}).items() if k in after or k not in before}
        tables[prefix] = now | after

    monkeypatch.setattr(stored, "merge_all", merge)
    few = [replace(read(), thing=replace(ALPHA, id=str(n))) for n in range(3)]
    stored.write_sightings("a", {}, few)
    assert list(tables) == ["barrack_things_a_"]
    many = [replace(read(), thing=replace(ALPHA, id=str(n))) for n in range(20_000)]
    stored.write_sightings("a", stored.read_sightings("a")[1], many)
    assert len(tables) > 1
    found, _ = stored.read_sightings("a")
    assert {s.thing.id for s in found} == {s.thing.id for s in many}
    assert sum(len(t) for t in tables.values()) == 20_000 + 1, "each is in one table"
    stored.write_sightings("a", stored.read_sightings("a")[1], few)
    assert len(stored.read_sightings("a")[0]) == 3


def test_what_is_gone_for_longest_is_forgotten_when_there_is_too_much(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stored, "_MOST_TABLES", 1)
    monkeypatch.setattr(stored, "_TABLE_HOLDS", 250)
    gone = {f"instance:{n}": stored._written(BilledThing(ALPHA, NOW + n * HOUR)) for n in range(3)}
    entries = {**gone, "instance:there": stored._written(BilledThing(ALPHA))}
    kept = stored._bounded(entries, dict.fromkeys(entries, 100))
    assert sorted(kept) == ["instance:2", "instance:there"]
    assert stored._bounded(kept, dict.fromkeys(kept, 100)) == kept


def test_what_is_too_new_to_have_a_bill_is_not_missing() -> None:
    made = replace(ACTIVE, made=NOW)
    assert BilledThing(ALPHA, look=made).is_new(NOW + timedelta(minutes=9))
    assert not BilledThing(ALPHA, look=made).is_new(NOW + timedelta(minutes=10))
    assert not BilledThing(ALPHA, look=ACTIVE).is_new(NOW), "nothing tells its age"
