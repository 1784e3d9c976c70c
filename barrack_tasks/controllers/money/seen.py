"""What was seen in an account, and what is kept of its bills, where every worker sees it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from barrack_tasks.plans.money.bill import Charge, Thing, charge_at_rate, chat_charge
from barrack_tasks.plans.money.kept import BilledThing, KeptBill, KeptChats
from barrack_tasks.server.tables import change_all, merge_all, read_all

_TABLES = "tables"
"""The entry of the first table that tells how many there are."""
_READ = "read"
"""The entry that tells from when until when all uses of AI chat were read."""
_MOST_TABLES = 16
_TABLE_HOLDS = 1_000_000
"""Characters of JSON that a table is filled with; see `tables` for what fits at most."""
_ENTRY_HOLDS = 3_500
_AROUND = 8
"""Characters that stand around an entry."""

Entries = dict[str, Any]


def read_sightings(account: str) -> tuple[list[BilledThing], Entries]:
    """What was seen, and the same as it is written, for `write_sightings`."""
    entries = _read(account)
    found = []
    for key, written in entries.items():
        kind, _, id_ = key.partition(":")
        with suppress(ArithmeticError, IndexError, TypeError, ValueError):
            found.append(_sighting(kind, id_, written))
    return found, entries


def write_sightings(account: str, before: Entries, seen: Iterable[BilledThing]) -> None:
    """Keep what was seen, beside what other runs have written since `before` was read."""
    after = {f"{s.thing.kind}:{s.thing.id}": _written(s) for s in seen}
    if after == {k: v for k, v in before.items() if k != _TABLES}:
        return
    old = int(before.get(_TABLES, 1))
    sizes = {key: len(json.dumps(value)) + len(key) + _AROUND for key, value in after.items()}
    after = _bounded(after, sizes)
    size = sum(sizes[key] for key in after)
    new = old
    while new < _MOST_TABLES and size > new * _TABLE_HOLDS:
        new *= 2
    was, now = _by_table(before, old, new), _by_table(after, new, new)
    if new > 1:
        now[0][_TABLES] = new
    # The first table last: until it says so, nobody looks into new ones.
    for number in reversed(range(new)):
        merge_all(_prefix(account, number), was[number], now[number])


def read_chats(account: str) -> KeptChats | None:
    """What is kept of the uses of AI chat; None if nothing is."""
    return _chats(read_all(_chats_prefix(account)))


def write_chats(account: str, chats: KeptChats) -> None:
    """Keep the uses of AI chat, beside what other runs have read meanwhile."""
    change_all(
        _chats_prefix(account),
        lambda stands: _written_chats(chats.joined(_chats(stands)).bounded()),
    )


def _written_chats(chats: KeptChats) -> Entries:
    read = [_seconds(chats.since), _seconds(chats.until)]
    uses = {
        f"chat:{id_}": [_seconds(c.start), c.thing.model, str(c.cost)]
        for id_, c in chats.charges.items()
    }
    return {_READ: read, **uses}


def _chats(entries: Entries) -> KeptChats | None:
    found = {}
    try:
        since, until = map(_moment, entries[_READ])
        for key, written in entries.items():
            if key != _READ:
                at, model, cost = written
                id_ = key.partition(":")[2]
                found[id_] = chat_charge(id_, str(model), _moment(at), Decimal(cost))
    except (ArithmeticError, KeyError, TypeError, ValueError):
        return None
    return KeptChats(since, until, found)


def _chats_prefix(account: str) -> str:
    return f"barrack_chats_{account}_"


def _bounded(entries: Entries, sizes: Mapping[str, int]) -> Entries:
    """The entries without those that are gone for longest, if there are more than can be kept."""
    over = sum(sizes.values()) - _MOST_TABLES * _TABLE_HOLDS
    if over <= 0:
        return entries
    kept = dict(entries)
    for key in sorted((k for k, v in entries.items() if v[3]), key=lambda k: entries[k][3]):
        if over <= 0:
            break
        over -= sizes[key]
        del kept[key]
    return kept


def _read(account: str) -> Entries:
    entries = read_all(_prefix(account, 0))
    count = entries.get(_TABLES, 1)
    if not isinstance(count, int) or not 1 < count <= _MOST_TABLES:
        return {k: v for k, v in entries.items() if k != _TABLES}
    with ThreadPoolExecutor(4) as pool:
        for more in pool.map(read_all, [_prefix(account, n) for n in range(1, count)]):
            entries |= more
    return entries


def _by_table(entries: Mapping[str, Any], count: int, most: int) -> list[Entries]:
    tables: list[Entries] = [{} for _ in range(most)]
    for key, value in entries.items():
        number = 0
        if count > 1 and key != _TABLES:
            number = hashlib.blake2s(key.encode(), digest_size=1).digest()[0] % count
        tables[number][key] = value
    return tables


def _prefix(account: str, number: int) -> str:
    more = "" if number == 0 else chr(ord("a") + number)
    return f"barrack_things{more}_{account}_"


def _sighting(kind: str, id_: str, written: Sequence[Any]) -> BilledThing:
    name, model, region, gone, settled, *more = written
    hourly, lost, bill = more or (None, 0, None)
    thing = Thing(
        kind, id_, str(name), str(model), str(region), None if hourly is None else Decimal(hourly)
    )
    kept = None if bill is None else _kept(thing, *bill)
    # An earlier release called settled what had no bill once: whether that is sure is asked again.
    return BilledThing(
        thing,
        _moment(gone) if gone else None,
        bool(settled) and bool(more),
        _moment(lost) if lost else None,
        kept,
    )


def _written(one: BilledThing) -> list[Any]:
    thing = one.thing
    return [
        thing.name,
        thing.model,
        thing.region,
        int(one.gone.timestamp()) if one.gone else 0,
        one.settled,
        None if thing.hourly is None else str(thing.hourly),
        int(one.lost.timestamp()) if one.lost else 0,
        None if one.kept is None else _written_bill(one.kept),
    ]


def _written_bill(kept: KeptBill) -> list[Any]:
    """A bill as JSON values; the oldest charges are left out if there are too many for an entry."""
    since, charges = kept.since, list(kept.charges)
    while True:
        written = [
            _seconds(since),
            _seconds(kept.until),
            kept.runs,
            kept.mark,
            [_written_charge(c, b) for c, b in zip(charges, [None, *charges], strict=False)],
        ]
        if len(json.dumps(written)) <= _ENTRY_HOLDS or len(charges) < 2:
            return written
        charges = charges[len(charges) // 4 + 1 :]
        since = charges[0].start


def _written_charge(charge: Charge, before: Charge | None) -> list[Any]:
    start = 0 if before is not None and before.end == charge.start else _seconds(charge.start)
    rate = None if charge.rate is None else str(charge.rate)
    common = [start, _seconds(charge.end), charge.state, rate]
    return common if charge.is_at_rate else [*common, charge.minutes, str(charge.cost)]


def _kept(
    thing: Thing, since: float, until: float, runs: bool, mark: str, charges: list[Any]
) -> KeptBill:
    found: list[Charge] = []
    for start, end, state, rate, *billed in charges:
        begins = found[-1].end if not start and found else _moment(start)
        price = None if rate is None else Decimal(rate)
        if billed:
            minutes, cost = int(billed[0]), Decimal(billed[1])
            found.append(Charge(thing, begins, _moment(end), str(state), minutes, cost, price))
        else:
            found.append(charge_at_rate(thing, begins, _moment(end), str(state), Decimal(rate)))
    return KeptBill(_moment(since), _moment(until), tuple(found), bool(runs), str(mark))


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _seconds(moment: datetime) -> float:
    seconds = round(moment.timestamp(), 6)
    return int(seconds) if seconds == int(seconds) else seconds
