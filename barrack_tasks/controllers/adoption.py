"""Records that no account known here owns: told, and given to one that does."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta

from barrack_tasks.api import BarrackConfigurationError
from barrack_tasks.api.models.text import one_line
from barrack_tasks.controllers.expiry import read_expiries
from barrack_tasks.plans.durations import said
from barrack_tasks.server.account_names import place_of
from barrack_tasks.server.accounts import Unowned, known_names, move, unowned
from barrack_tasks.server.credentials import BarrackCredentials, saved_accounts
from barrack_tasks.server.variables import Records

_WHAT = {
    "hold": "locks of runs",
    "leases": "leases of machines",
    "had": "who had which machines",
    "forgotten": "machines that were seen",
    "leftovers": "notices of what belongs to nothing",
    "owners": "owners of machines",
    "expiry": "ends of instances",
    "proofs": "proven snapshots",
    "drilling": "drills under way",
    "schedule": "notes of timetables",
    "claimed": "claimed stock",
    "stock": "stock that was seen",
    "refused": "offers that were refused",
    "shunned": "places that are left alone for a while",
    "balance": "balances that were seen",
    "budgets": "limits of budgets",
    **{
        f"{kind}alarms": f"alerts about {about}"
        for kind, about in {
            "balance": "the balance",
            "budget": "budgets",
            "expiry": "ends of instances",
            "forgotten": "machines that nobody needs",
            "owner": "machines of owners",
            "proof": "proofs of snapshots",
            "stock": "stock",
        }.items()
    },
    "chats": "uses of AI chat",
    "lists": "names that matched nothing",
    "missing": "instances that were missed",
    "things": "what was paid for",
    "told": "news that was told",
    "begun": "what the guard admitted",
    "view": "the account as it was last seen",
}
_ENDS = "barrack_expiry_"
_OVERDUE = timedelta(minutes=15)
_IN_USE = timedelta(days=1)
"""What was written since then is told as somebody's who works, and not as left behind."""
_LIVING = timedelta(hours=1)
"""What was written since then is given to nobody unless that is said outright."""


def known_accounts() -> dict[str, str]:
    """The accounts of the saved blocks and of the environment, each with what it is called."""
    saved, known = saved_accounts(), known_names()
    found: dict[str, str] = {}
    with suppress(BarrackConfigurationError):
        for name in BarrackCredentials.from_environment().names_among(saved, known):
            found[name] = "the environment"
    for one in saved:
        for name in one.names_among(saved, known):
            found[name] = f"the block {one._block_document_name!r}"
    return found


def find_unowned(now: datetime | None = None) -> list[Unowned]:
    """Records of accounts that neither a saved block nor the environment names."""
    return unowned(known_accounts().keys(), now or datetime.now(UTC))


def told_of_unowned(now: datetime | None = None) -> list[str]:
    """A sentence about each account whose records nobody known here owns, and what to do."""
    moment = now or datetime.now(UTC)
    return [_told(one, moment) for one in find_unowned(moment)]


def told_of_left_ends(now: datetime | None = None) -> list[str]:
    """A sentence about each account that nobody known here owns and whose ends are overdue.

    Such an instance runs on and is billed, so every flow tells of it. It costs one request where
    there is none; an end that is just due may be another's, whose run is under way.

    Args:
        now: by the cloud's clock, by which ends are set; this machine's, if not given.
    """
    moment = now or datetime.now(UTC)
    with Records(_ENDS) as records:
        places = {place_of(name) for name in records.all()}
    accounts = {place.account for place in places if place}
    found = []
    for account in sorted(accounts - known_accounts().keys() if accounts else ()):
        late = [end.name for end in read_expiries(account) if moment - end.at > _OVERDUE]
        if late:
            found.append(
                f"Nobody ends {', '.join(map(one_line, late))}: the time is over, and no account "
                f"known here owns the records of {account!r}. If this is your account, run: "
                f"barrack adopt {account} --to BLOCK"
            )
    return found


def _told(one: Unowned, now: datetime) -> str:
    command = f"barrack adopt {one.account} --to BLOCK"
    ago = f"{said(_age(one, now))} ago"
    if one.lives or _age(one, now) < _IN_USE:
        return (
            f"The account {one.account!r} was used {ago}, by somebody whose key is in no block "
            f"here: leave it alone if it is a colleague's. It has {kept(one)}. If it is your "
            f"account under an earlier key or address, end what still uses that, and then run: "
            f"{command}"
        )
    return (
        f"No account known here owns the records of {one.account!r} ({kept(one)}), which was last "
        f"used {ago}. If it is your account under an earlier key or address, run: {command}"
    )


def _age(one: Unowned, now: datetime) -> timedelta:
    return max(now - one.written, timedelta(0))


def kept(one: Unowned) -> str:
    """What the records keep, for people."""
    count = sum(one.kinds.values())
    # What was paid for may fill several tables: things, thingsb, thingsc and so on.
    kinds = ("things" if kind.startswith("things") else kind for kind in one.kinds)
    what = dict.fromkeys(_WHAT.get(kind, "other notes") for kind in kinds)
    return f"{count} {'record' if count == 1 else 'records'}: {', '.join(what)}"


def check_adoption(old: str, now: datetime, living: bool = False) -> Unowned:
    """The records of an account that may be given to another.

    Args:
        old: the name that they carry.
        now: the moment.
        living: also if it was used in the last hour.

    Raises:
        BarrackConfigurationError: there are none, a known account owns them, it was used in the
            last hour, or a run that may live still holds a lease among them.
    """
    known = known_accounts()
    if old in known:
        raise BarrackConfigurationError(
            f"the records of {old!r} already belong to {known[old]}, so nothing was moved"
        )
    found = {one.account: one for one in unowned(known.keys(), now)}
    if old not in found:
        there = ", ".join(found) or "none"
        raise BarrackConfigurationError(
            f"there are no unowned records of {old!r}; there are unowned records of: {there}"
        )
    if found[old].lives:
        raise BarrackConfigurationError(
            f"a run still works under the name {old!r}; end it, or wait until its lock has run "
            "out in two minutes, and try again"
        )
    if _age(found[old], now) < _LIVING and not living:
        raise BarrackConfigurationError(
            f"the account {old!r} was used {said(_age(found[old], now))} ago, so somebody may be "
            "using it, and nothing was moved; if it is certainly yours and nothing uses it any "
            "more, add --yes-to-living"
        )
    return found[old]


def adopt(
    old: str, to: BarrackCredentials, now: datetime | None = None, living: bool = False
) -> int:
    """Give the records of one account's name to an account; how many there were.

    Args:
        old: the name that the records carry, as `barrack status` tells it.
        to: the account that they belong to.
        now: the moment; this one, if not given.
        living: also if it was used in the last hour.

    Raises:
        BarrackConfigurationError: see `check_adoption`.
    """
    check_adoption(old, now or datetime.now(UTC), living)
    return move(old, to.account)
