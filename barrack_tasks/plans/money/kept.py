"""What is kept of bills that were read, so that each look asks only for what is new.

A thing is billed at one rate for as long as it stays as it is. So of one that lists show unchanged
since its bill was read nothing new is to be learned: its last charge goes on. Of one that changed
the bill is read from that charge on. Of one that is gone the bill is read once, to its end.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from barrack_tasks.plans.money.bill import ZERO, Charge, Thing, merged

LONGEST_PERIOD = timedelta(days=400)
"""Nothing is asked for that was spent longer ago than this, so what is gone for longer is left
out of bills: `report_costs` looks back a year at most."""
NEVER = datetime(1970, 1, 1, tzinfo=UTC)
"""From when on the bill is known of what was made after the moment that it was asked from."""
SURE = timedelta(minutes=5)
"""The API must say twice, so far apart, that there is no bill of what is gone."""
_NEW = timedelta(minutes=10)
"""So long something may have no bill yet."""
_BELIEVED = timedelta(hours=24)
_BELIEVED_UNDATED = timedelta(hours=1)
"""So long a thing is taken to be as it was, where lists do not tell when it last changed."""
_LISTED_WITHIN = timedelta(minutes=10)
"""So long after it was begun a use of AI chat may be listed for the first time."""
_MOST_CHATS = 12_000
_MOST_AGAIN = 500
"""So many bills of things that did not change are read again in one look, the oldest first."""


@dataclass(frozen=True)
class Observed:
    """A thing as a list shows it now.

    Attributes:
        state: of an instance; else empty.
        mark: differs from that of an earlier look if anything changed that may change its price.
        is_dated: whether the list tells when the thing last changed.
        made: when it was made, if the list tells.
    """

    state: str = ""
    mark: str = ""
    is_dated: bool = False
    made: datetime | None = None


@dataclass(frozen=True)
class KeptBill:
    """What was read of a thing's bill: all from `since` until `until`, by the cloud's clock.

    Attributes:
        charges: by time.
        runs: whether the last of them had not ended at `until`.
        mark: of the look that it was read after; empty if the bill told otherwise than that look.
    """

    since: datetime
    until: datetime
    charges: tuple[Charge, ...]
    runs: bool
    mark: str = ""

    @property
    def cost(self) -> Decimal:
        """The sum of all that was read."""
        return sum((c.cost for c in self.charges), ZERO)

    @property
    def resumes(self) -> datetime:
        """From when the bill must be read again, for what is new."""
        return self.charges[-1].start if self.runs else self.until

    def goes_on(self, look: Observed | None, now: datetime) -> bool:
        """Whether the last charge goes on until now, for the thing is as it was."""
        return (
            look is not None
            and self.runs
            and self.mark == look.mark != ""
            and self.charges[-1].rate is not None
            and (look.is_dated or now - self.until < _BELIEVED_UNDATED)
        )

    def until_now(self, look: Observed | None, now: datetime) -> tuple[Charge, ...]:
        """The charges until now, as far as they are known."""
        if not self.goes_on(look, now):
            return self.charges
        return (*self.charges[:-1], self.charges[-1].going_on(now))


@dataclass(frozen=True)
class BilledThing:
    """Something that was seen in the account, and what is known of its bill.

    Attributes:
        thing: what it is.
        gone: since when it is gone; None while it is there.
        settled: the API has no bill of it any more, and that is sure.
        lost: when the API first said so of what is gone.
        kept: what was read of its bill.
        look: as a list shows it now; None if it is gone, or its list cannot be read.
    """

    thing: Thing
    gone: datetime | None = None
    settled: bool = False
    lost: datetime | None = None
    kept: KeptBill | None = None
    look: Observed | None = None

    @property
    def key(self) -> tuple[str, str]:
        """Kind and id."""
        return self.thing.kind, self.thing.id

    @property
    def is_whole(self) -> bool:
        """Whether its bill was read to its end, so that nothing is to come."""
        kept = self.kept
        return (
            self.gone is not None and kept is not None and not kept.runs and kept.until >= self.gone
        )

    def is_known(self, start: datetime) -> bool:
        """Whether all that it cost from a moment on was read, to its end."""
        return self.is_whole and self.kept is not None and self.kept.since <= start

    def is_billed(self, start: datetime) -> bool:
        """Whether there may be charges of it after a moment."""
        return self.gone is None or self.gone > start

    def is_new(self, now: datetime) -> bool:
        """Whether it may be too new to have a bill."""
        made = self.look.made if self.look else None
        return made is not None and now - made < _NEW

    def charges(self, now: datetime) -> tuple[Charge, ...]:
        """What is known of its bill until now."""
        known = self.kept.until_now(self.look, now) if self.kept else ()
        return tuple(c if c.thing == self.thing else replace(c, thing=self.thing) for c in known)

    def answered(self, asked: datetime, charges: Iterable[Charge], now: datetime) -> BilledThing:
        """The same with its bill from `asked` until now; see also `is_vanished`."""
        new = merged(charges)
        if self.is_vanished(asked, new):
            return self.unanswered(now)
        kept, since = self.kept, asked
        if self.look and self.look.made and self.look.made >= asked:
            since = NEVER  # nothing was spent on it before it was made
        before: tuple[Charge, ...] = ()
        if kept is not None:
            edge = new[0].start if new else asked
            before = tuple(c for c in kept.charges if c.end <= edge)
            since = min(since, kept.since)
        known = merged([*before, *new])
        last = known[-1] if known else None
        runs = last is not None and last.end >= now
        mark = self.look.mark if self.look else ""
        if last is not None and self.look and last.state not in (self.look.state, self.thing.kind):
            mark = ""  # it changed between the list and the bill
        return replace(self, kept=KeptBill(since, now, known, runs, mark), lost=None)

    def is_vanished(self, asked: datetime, charges: Collection[Charge]) -> bool:
        """Whether an answer has no charge where something was billed before: it is no bill."""
        known = self.kept.charges if self.kept else ()
        return not charges and any(c.end > asked and c.cost > 0 for c in known)

    def unanswered(self, now: datetime) -> BilledThing:
        """The same once the API has said that there is no bill: what was read before stays."""
        if self.gone is None:
            return self
        lost = self.lost or now
        return replace(self, lost=lost, settled=self.settled or now - lost >= SURE)


def sightings(
    there: Iterable[BilledThing],
    before: Iterable[BilledThing],
    sources: Collection[str | None],
    now: datetime,
) -> list[BilledThing]:
    """What is worth remembering: what is there, and what is gone and is still needed.

    Args:
        there: all that is paid for now.
        before: what was remembered.
        sources: ids of the instances that snapshots were taken of: what hardware they had is
            needed for as long as there is something to restore.
        now: zone-aware.
    """
    known = {s.key: s for s in before}
    found = []
    for one in there:
        old = known.pop(one.key, None)
        if old is not None:
            one = replace(one, thing=one.thing.or_as(old.thing), kept=old.kept)
        found.append(one)
    for old in known.values():
        gone = replace(old, gone=old.gone or now, look=None)
        is_source = old.thing.kind == "instance" and old.thing.id in sources
        if gone.is_billed(now - LONGEST_PERIOD) or is_source:
            found.append(gone)
    return found


def to_ask(seen: Sequence[BilledThing], start: datetime, now: datetime) -> dict[int, datetime]:
    """Whose bill must be asked for, by place in `seen`, and from when on.

    Args:
        seen: what the bill is about.
        start: of the bill's period.
        now: by the cloud's clock.
    """
    asked: dict[int, datetime] = {}
    again: list[tuple[datetime, int]] = []
    for place, one in enumerate(seen):
        kept = one.kept
        if one.settled or not one.is_billed(start):
            continue
        if kept is None or kept.since > start:
            asked[place] = start
        elif one.is_whole:
            continue
        elif not kept.goes_on(one.look, now):
            asked[place] = kept.resumes
        elif now - kept.until >= _BELIEVED:
            again.append((kept.until, place))
    for _, place in sorted(again)[:_MOST_AGAIN]:
        old = seen[place].kept
        assert old is not None  # noqa: S101 - only what was read is read again
        asked[place] = old.resumes
    return asked


@dataclass(frozen=True)
class KeptChats:
    """What was read of the uses of AI chat: all from `since` until `until`, by the cloud's clock.

    `charges` has them by id.
    """

    since: datetime
    until: datetime
    charges: Mapping[str, Charge]

    def resumes(self, start: datetime) -> datetime:
        """From when on they must be read for a bill that begins at a moment."""
        return start if self.since > start else self.until - _LISTED_WITHIN

    def answered(self, asked: datetime, new: Mapping[str, Charge], now: datetime) -> KeptChats:
        """The same with those from `asked` until now."""
        return KeptChats(min(self.since, asked), now, {**self.charges, **new})

    def bounded(self) -> KeptChats:
        """The same without the oldest, if there are more than can be kept or a bill needs."""
        since = max(self.since, self.until - LONGEST_PERIOD)
        if len(self.charges) > _MOST_CHATS:
            since = max(since, sorted(c.start for c in self.charges.values())[-_MOST_CHATS])
        return KeptChats(
            since, self.until, {k: c for k, c in self.charges.items() if c.start >= since}
        )

    def joined(self, other: KeptChats | None) -> KeptChats:
        """The same with what another run has read, if nothing lies between the two."""
        if other is None or other.since > self.until or self.since > other.until:
            return self
        both = {**other.charges, **self.charges}
        return KeptChats(min(self.since, other.since), max(self.until, other.until), both)
