"""Records that no account known here owns: told, and given to one that does."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta

from barrack_tasks.accounts import Unowned, move, unowned
from barrack_tasks.api import BarrackConfigurationError
from barrack_tasks.credentials import BarrackCredentials, saved_accounts
from barrack_tasks.plans.money.spans import said

_WHAT = {
    "hold": "leases",
    "expiry": "ends",
    "proofs": "proofs",
    "drilling": "drills",
    "schedule": "notes of timetables",
    "claimed": "claims",
}


def known_accounts() -> dict[str, str]:
    """The accounts of the saved blocks and of the environment, each with what it is called."""
    saved = saved_accounts()
    found: dict[str, str] = {}
    with suppress(BarrackConfigurationError):
        found[BarrackCredentials.from_environment().name_among(saved)] = "the environment"
    for one in saved:
        found[one.name_among(saved)] = f"the block {one._block_document_name!r}"
    return found


def find_unowned(now: datetime | None = None) -> list[Unowned]:
    """Records of accounts that neither a saved block nor the environment names."""
    return unowned(known_accounts().keys(), now or datetime.now(UTC))


def told_of_unowned(now: datetime | None = None) -> list[str]:
    """A sentence about each account whose records nobody known here owns, and what to do."""
    moment = now or datetime.now(UTC)
    return [
        f"No account known here owns the records of {one.account!r} ({kept(one)}; written "
        f"{said(max(moment - one.written, timedelta(0)))} ago). If they are of an account that "
        f"had another key or address: barrack adopt {one.account} --to BLOCK"
        for one in find_unowned(moment)
    ]


def kept(one: Unowned) -> str:
    """What the records keep, for people."""
    return ", ".join(f"{count} {_WHAT.get(kind, kind)}" for kind, count in one.kinds.items())


def check_adoption(old: str, now: datetime) -> Unowned:
    """The records of an account that may be given to another.

    Raises:
        BarrackConfigurationError: there are none, a known account owns them, or a run that may
            live still holds a lease among them.
    """
    known = known_accounts()
    if old in known:
        raise BarrackConfigurationError(
            f"the records of {old!r} are those of {known[old]}, and nothing was moved"
        )
    found = {one.account: one for one in unowned(known.keys(), now)}
    if old not in found:
        there = ", ".join(found) or "none"
        raise BarrackConfigurationError(
            f"there are no records of {old!r} that nobody owns; there are those of: {there}"
        )
    if found[old].lives:
        raise BarrackConfigurationError(
            f"a run still works under the name {old!r}; end it, or wait until its lease has run "
            "out in two minutes, and try again"
        )
    return found[old]


def adopt(old: str, to: BarrackCredentials, now: datetime | None = None) -> int:
    """Give the records of one account's name to an account; how many there were.

    Args:
        old: the name that the records carry, as `barrack status` tells it.
        to: the account that they belong to.
        now: the moment; this one, if not given.

    Raises:
        BarrackConfigurationError: see `check_adoption`.
    """
    check_adoption(old, now or datetime.now(UTC))
    return move(old, to.account)
