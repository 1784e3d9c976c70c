"""What an account is called, kept on the server, and the records of one called otherwise.

A key at an address has one name on a Prefect server, which is kept beside a mark that tells nothing
of the key. It is written once, by whoever is first, and changes only while no run works under it.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from prefect.settings import PREFECT_API_URL

from barrack_tasks.server.account_names import Moved, moves, place_of
from barrack_tasks.server.variables import Records

_NAMED = "barrack_named_"
_MOVED = "barrack_account_"
_WATCHED_FOR = 2 * 86_400
"""Runs of an earlier release may still write under an old name while an upgrade goes on."""
_MOST_NAMES = 50
_TRIES = 5
_done: set[tuple[str | None, str, frozenset[str]]] = set()


@dataclass(frozen=True)
class AccountName:
    """What the account of a key, or of a saved block, is called on this server.

    Attributes:
        account: its name.
        former: what it was called before.
        next: what it is to be called, while it is looked whether a run works under its name.
    """

    account: str
    former: tuple[str, ...] = ()
    next: str | None = None


def known_names() -> dict[str, AccountName]:
    """What accounts are called on this server, by the marks of their keys and blocks."""
    with Records(_NAMED) as records:
        return _names(records)


def settle(
    mark: str,
    blocks: Iterable[str],
    wanted: str,
    known: Mapping[str, AccountName],
    now: datetime | None = None,
) -> AccountName:
    """Keep what an account is called; what it is called from now on.

    What another run kept meanwhile stands. An account that has a name already keeps it while a
    run may work under it, so that no two runs of one account have two names.

    Args:
        mark: of its key.
        blocks: marks of the saved blocks that hold the key.
        wanted: what it is to be called.
        known: what accounts were called when `wanted` was chosen.
        now: the moment; this one, if not given.
    """
    own = known.get(mark)
    others = set(blocks)
    if (
        own is not None
        and own.account == wanted
        and own.next is None
        and all(other in known and known[other].account == wanted for other in others)
    ):
        return own
    with Records(_NAMED) as records:
        if own is None:
            own = AccountName(wanted)
            if not records.create(mark, _written(own)):
                own = _names(records)[mark]
        elif own.account != wanted or own.next is not None:
            own = _renamed(records, own, wanted, now or datetime.now(UTC))
        for other in others:
            if known.get(other) != own:
                records.put(other, _written(own))
    return own


def _renamed(records: Records, own: AccountName, wanted: str, now: datetime) -> AccountName:
    """Give an account another name, unless a run may work under the one that it has.

    Whoever works asks `is_called` after its lease is written. So either it is seen here, or it
    sees there that the name is about to change.
    """
    theirs = [mark for mark, one in _names(records).items() if one.account == own.account]
    for mark in theirs:
        records.put(mark, _written(replace(own, next=wanted)))
    with Records(f"barrack_hold_{own.account}_") as holds:
        is_used = any(_lives(name, value, now) for name, value in holds.all().items())
    former = tuple(dict.fromkeys((*own.former, own.account)))
    after = (
        replace(own, next=None)
        if is_used or wanted == own.account
        else AccountName(wanted, tuple(one for one in former if one != wanted))
    )
    for mark in theirs:
        records.put(mark, _written(after))
    return after


def is_called(mark: str, account: str) -> bool:
    """Whether an account is still called so, and is not about to be called otherwise."""
    with Records(_NAMED) as records:
        found = _names(records).get(mark)
    return found is None or (found.account == account and found.next is None)


def _names(records: Records) -> dict[str, AccountName]:
    return {
        name.removeprefix(_NAMED): AccountName(
            value["account"], tuple(value.get("former", ())), value.get("next")
        )
        for name, value in records.all().items()
        if isinstance(value, dict) and isinstance(value.get("account"), str)
    }


def _written(one: AccountName) -> dict[str, Any]:
    kept: dict[str, Any] = {"account": one.account}
    if one.former:
        kept["former"] = list(one.former)
    if one.next is not None:
        kept["next"] = one.next
    return kept


def move(old: str, new: str, now: datetime | None = None) -> int:
    """Give the records of one account's name to another; how many there were.

    It may be repeated, and two may do it at once: each record is renamed in one step. The lease
    of a run that may live is copied, so that others see it and the run does not lose it.

    Args:
        old: the name that records carry.
        new: the name that they are to carry; see `BarrackCredentials.account`.
        now: the moment; this one, if not given.
    """
    moment = now or datetime.now(UTC)
    moved: set[str] = set()
    with Records("barrack_") as records:
        for _ in range(_TRIES):
            theirs = _of(records, old)
            live = {name for name, value in theirs.items() if _lives(name, value, moment)}
            if theirs.keys() <= live & moved:
                break
            for one in moves(theirs, _of(records, new), old, new, live):
                if _carry_out(records, one):
                    moved.add(one.source)
    return len(moved)


def _of(records: Records, account: str) -> dict[str, Any]:
    found = records.like(f"barrack_%_{account}_%")
    places = {name: place_of(name) for name in found}
    return {n: v for n, v in found.items() if (place := places[n]) and place.account == account}


def _carry_out(records: Records, one: Moved) -> bool:
    if one.target is None:
        records.drop(one.source)
        return True
    if one.replaces or one.stays:
        records.put(one.target, one.value)
        if not one.stays:
            records.drop(one.source)
        return True
    return records.rename(one.source, one.target, one.value)


def take_along(account: str, former: Collection[str], now: float | None = None) -> None:
    """Give an account what was written under names that it may have had.

    Asked once in a process, and for two days after the first time, because a run of an earlier
    release that began before an upgrade writes on under the old name until it ends.

    Args:
        account: its name.
        former: names that it may have had.
        now: seconds since 1970; the time of this machine, if not given.
    """
    names = frozenset(former) - {account}
    asked = (PREFECT_API_URL.value(), account, names)
    if not names or asked in _done:
        return
    moment = int(time.time() if now is None else now)
    with Records(f"{_MOVED}{account}") as records:
        known = records.all().get(f"{_MOVED}{account}")
    since: dict[str, int] = known if isinstance(known, dict) else {}
    due = [n for n in sorted(names) if moment - since.get(n, moment) < _WATCHED_FOR]
    for name in due:
        move(name, account)
    new = {name: moment for name in names if name not in since}
    if new:
        kept = sorted({**since, **new}.items(), key=lambda one: one[1])[-_MOST_NAMES:]
        with Records(_MOVED) as records:
            records.put(account, dict(kept))
    _done.add(asked)


@dataclass(frozen=True)
class Unowned:
    """Records of an account that is not known here.

    Attributes:
        account: the name that they carry.
        kinds: what they keep, with how many records there are of each.
        written: when the newest was written.
        lives: whether one is a lease that has not run out, so that a run may still use it.
    """

    account: str
    kinds: Mapping[str, int]
    written: datetime
    lives: bool = False


def unowned(known: Collection[str], now: datetime) -> list[Unowned]:
    """Records whose account is none of those known, the newest first.

    Leases that are given back or ran out are swept by and by, and count for nothing.
    """
    found: dict[str, list[tuple[str, datetime, bool]]] = {}
    with Records("barrack_") as records:
        everything = records.stamped()
    for name, (value, written) in everything.items():
        place = place_of(name)
        if place is None or place.account in known:
            continue
        lives = _lives(name, value, now)
        if place.kind == "hold" and not lives and not _is_cut_off(value):
            continue
        found.setdefault(place.account, []).append((place.kind, written, lives))
    return sorted(
        (
            Unowned(
                account,
                {
                    kind: sum(k == kind for k, _, _ in them)
                    for kind in sorted({k for k, _, _ in them})
                },
                max(written for _, written, _ in them),
                any(lives for _, _, lives in them),
            )
            for account, them in found.items()
        ),
        key=lambda one: one.written,
        reverse=True,
    )


def _lives(name: str, value: Any, now: datetime) -> bool:
    """Whether a record is a lease whose run may live."""
    place = place_of(name)
    if place is None or place.kind != "hold":
        return False
    try:
        is_over = value["finished"] or value.get("left")
        return not is_over and datetime.fromisoformat(value["until"]) > now
    except (KeyError, TypeError, ValueError):
        return False


def _is_cut_off(value: Any) -> bool:
    return isinstance(value, dict) and not value.get("finished") and bool(value.get("held"))
