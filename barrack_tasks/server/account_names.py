"""What accounts are called, and where the records of one that was called otherwise belong.

An account's records are variables called `barrack_<kind>_<account>_<rest>`. Neither a kind nor an
account holds an underscore, so that no account's records are taken for another's.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from unicodedata import normalize
from urllib.parse import urlsplit

_PLAIN = re.compile(r"[a-z0-9]{1,30}")
_RECORD = re.compile(r"barrack_([a-z]+)_([a-z0-9]+)_(.+)", re.DOTALL)
_PART = re.compile(r"[0-9]{1,4}(x[0-9a-z]+)*")
_OF_NO_ACCOUNT = {"applied", "account", "yaml"}
_PORTS = {"http": 80, "https": 443}


def account_name(given: str) -> str:
    """A name as records carry it: lower case letters and digits, another for another name.

    In Unicode a letter with an accent may be one sign or two; it is the same name.

    Example:
        >>> account_name("barrack"), account_name("team-a")
        ('barrack', 'teama3e49bd')
    """
    return _named(normalize("NFC", normalize("NFC", given).strip().casefold()))


def former_account_names(given: str) -> frozenset[str]:
    """The names that an earlier release made of one, as it happened to be encoded."""
    spelt = (given, normalize("NFC", given), normalize("NFD", given))
    return frozenset(_named(one.strip().casefold()) for one in spelt) - {account_name(given)}


def _named(plain: str) -> str:
    if _PLAIN.fullmatch(plain):
        return plain
    letters = re.sub(r"[^a-z0-9]", "", plain)[:20]
    return letters + hashlib.blake2s(plain.encode(), digest_size=3).hexdigest()


def normalised(address: str) -> str:
    """An address that is the same for all spellings of it.

    Example:
        >>> normalised("HTTPS://API.example.com:443/v1/")
        'https://api.example.com/v1'
    """
    try:
        parts = urlsplit(address.strip())
        host, port = parts.hostname, parts.port
    except ValueError:
        return address.strip()
    if not host:
        return address.strip()
    scheme = parts.scheme.lower()
    shown = f"[{host}]" if ":" in host else host
    place = shown if port in (None, _PORTS.get(scheme)) else f"{shown}:{port}"
    return f"{scheme}://{place}{parts.path.rstrip('/')}"


def derived_name(address: str, key: str, default: str) -> str:
    """A name for an account that nobody has named; it tells nothing of the key.

    Args:
        address: where its API is.
        key: its key. Two keys at one address may be two accounts.
        default: the built-in address.
    """
    told = normalised(address)
    return _hashed("" if told == normalised(default) else told, key)


def former_names(address: str, key: str, default: str, spelt: Iterable[str] = ()) -> frozenset[str]:
    """All names that may have been derived for an account, this release's and the first one's.

    The first release derived a name from the address as it happened to be spelt.

    Args:
        address: where its API is.
        key: its key.
        default: the built-in address.
        spelt: the address as it was written in a block or in the environment.
    """
    told = normalised(address)
    spellings = {told, f"{told}/", *spelt}
    if told == normalised(default):
        spellings |= {"", default}
    return frozenset(_hashed(one, key) for one in spellings) | {derived_name(address, key, default)}


def mark_of_key(address: str, key: str, default: str) -> str:
    """What a server remembers a key at an address by; it tells nothing of the key.

    Args:
        address: where its API is.
        key: the key.
        default: the built-in address.
    """
    told = normalised(address)
    place = "" if told == normalised(default) else told
    return "k" + hmac.new(key.encode(), place.encode(), "sha256").hexdigest()[:32]


def _hashed(address: str, key: str) -> str:
    return hashlib.blake2s(f"{address}\n{key}".encode(), digest_size=5).hexdigest()


@dataclass(frozen=True)
class RecordPlace:
    """Where a record stands: what it keeps, of which account, and which of these it is."""

    kind: str
    account: str
    rest: str

    @property
    def name(self) -> str:
        """The variable's name."""
        return f"barrack_{self.kind}_{self.account}_{self.rest}"

    @property
    def shelf(self) -> tuple[str, str] | None:
        """What is the same for all parts of one mapping; None if this is no part of one."""
        scope, _, part = self.rest.rpartition("_")
        return (self.kind, scope) if _PART.fullmatch(part) else None


def place_of(name: str) -> RecordPlace | None:
    """The place that a variable's name tells; None if it is no account's record."""
    found = _RECORD.fullmatch(name)
    if found is None or found[1] in _OF_NO_ACCOUNT:
        return None
    return RecordPlace(*found.groups())


@dataclass(frozen=True)
class Moved:
    """Where a record of the old name goes, with which value; nowhere, if it is known there.

    A lease that `stays` is only copied: its run would lose it if it were moved.
    """

    source: str
    target: str | None
    value: Any
    replaces: bool = False
    stays: bool = False


def moves(
    theirs: Mapping[str, Any],
    ours: Mapping[str, Any],
    old: str,
    new: str,
    live: Collection[str] = (),
) -> list[Moved]:
    """How the records of an old name become those of a new one.

    What the new name knows already stands, for it was written later; but a lease that a run of
    the old name has renewed since replaces what was moved of it before.

    Args:
        theirs: records by the names of their variables; those of other accounts are passed over.
        ours: those of the new name.
        old: the account's old name.
        new: its new one.
        live: names of the variables that are leases of runs that may live.
    """
    taken = set(ours)
    found: list[Moved] = []
    for name, value in sorted(theirs.items()):
        place = place_of(name)
        if place is None or place.account != old:
            continue
        move = _move(name, RecordPlace(place.kind, new, place.rest), value, ours, taken, old)
        move = replace(move, stays=name in live)
        if move.target is not None:
            taken.add(move.target)
        found.append(move)
    return found


def _move(
    source: str, place: RecordPlace, value: Any, ours: Mapping[str, Any], taken: set[str], old: str
) -> Moved:
    if place.kind == "hold":
        return Moved(source, place.name, value, replaces=place.name in taken)
    if place.shelf is None or not isinstance(value, dict):
        return Moved(source, None if place.name in taken else place.name, value)
    parts = {n: part for n, part in ours.items() if _is_beside(n, place)}
    known = {key for part in parts.values() if isinstance(part, dict) for key in part}
    left = {key: one for key, one in value.items() if key not in known}
    if value and not left:
        return Moved(source, None, value)
    target = place.name if place.name not in taken else f"{place.name}x{old}"
    while target in taken:
        target += "x"
    return Moved(source, target, left)


def _is_beside(name: str, place: RecordPlace) -> bool:
    other = place_of(name)
    return other is not None and (other.account, other.shelf) == (place.account, place.shelf)
