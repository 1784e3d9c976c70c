"""What is only kept: SSH keys and startup scripts. They cost nothing and change at once."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from barrack_tasks.sandbox.cloud import refusals
from barrack_tasks.sandbox.cloud.account import CloudAccount


@dataclass
class Key:
    """A public key. Moments are microseconds since 1970."""

    id: str
    name: str
    serial: int
    created: int
    public_key: str

    @property
    def fingerprint(self) -> str:
        """The key's fingerprint, as `ssh-keygen -l` prints it."""
        blob = base64.b64decode(self.public_key.split()[1])
        digest = base64.b64encode(hashlib.sha256(blob).digest()).decode()
        return f"SHA256:{digest.rstrip('=')}"


@dataclass
class StartupScript:
    """A startup script. Moments are microseconds since 1970."""

    id: str
    name: str
    serial: int
    created: int
    updated: int
    content: str
    description: str | None


T = TypeVar("T", Key, StartupScript)


class Keeping(Generic[T]):
    """Things of one kind with unique names.

    Args:
        account: where effects are recorded.
        kind: what such a thing is called, for messages.
        first_id: id of the first.
    """

    def __init__(self, account: CloudAccount, kind: str, first_id: int) -> None:
        self._account = account
        self._kind = kind
        self._all: dict[str, T] = {}
        self._next_id = first_id

    def all(self) -> list[T]:
        """All there are, in order of creation."""
        return list(self._all.values())

    def get(self, id_: str) -> T:
        """One of them.

        Raises:
            Refused: 404.
        """
        thing = self._all.get(id_)
        if thing is None:
            raise refusals.not_found(self._kind, id_)
        return thing

    def need_name(self, name: str, but: str | None = None) -> None:
        """Refuse a name that another than `but` has.

        Raises:
            Refused: 409.
        """
        if any(x.name == name and x.id != but for x in self._all.values()):
            raise refusals.duplicate(self._kind, name)

    def add(self, kind: type[T], name: str, **about: Any) -> T:
        """Keep a new one.

        Raises:
            Refused: 409 for a name that is taken.
        """
        self.need_name(name)
        account = self._account
        thing: T = kind(
            id=str(self._next_id),
            name=name,
            serial=account.next_serial(),
            created=account.micros,
            **about,
        )
        self._next_id += 1
        self._all[thing.id] = thing
        self.record(thing, "created")
        return thing

    def remove(self, id_: str) -> None:
        """Keep one no longer.

        Raises:
            Refused: 404.
        """
        self.record(self.get(id_), "deleted")
        del self._all[id_]

    def dump(self) -> list[dict[str, Any]]:
        """All of them as JSON values."""
        return [{"id": x.id, "name": x.name} for x in self.all()]

    def record(self, thing: T, detail: str) -> None:
        """Write what happened to one into the ledger."""
        kind = self._kind.lower().replace(" ", "_")
        self._account.record(kind, thing.id, thing.name, detail)
