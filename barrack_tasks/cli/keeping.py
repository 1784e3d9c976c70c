"""Keeping an account in a block: the key is tested first, and nothing is replaced unasked."""

from __future__ import annotations

import os
import sqlite3
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.prompt import Prompt

from barrack_tasks.api import (
    Barrack,
    BarrackAuthenticationError,
    BarrackConfigurationError,
    BarrackError,
    BarrackTransportError,
)
from barrack_tasks.api.dialect import DialectError, is_text, read_dialect, text_of_dialect
from barrack_tasks.api.transport.addresses import is_loopback
from barrack_tasks.api.transport.caller import RetryPolicy
from barrack_tasks.cli.screen import Screen
from barrack_tasks.server.account_names import account_name, normalised

if TYPE_CHECKING:
    from barrack_tasks.server.credentials import BarrackCredentials

_ASK_TWICE = RetryPolicy(attempts=2, first_wait=0.2, timeout=15, deadline=30)


@dataclass(frozen=True)
class Trial:
    """What one read with a key showed; neither `works` nor `refused` if nothing can be told."""

    works: bool = False
    refused: bool = False
    answered: bool = True
    said: str = ""


def tried(account: BarrackCredentials) -> Trial:
    """Try a key with reads, which change nothing, until one shows that it works.

    A key may be allowed less than everything, and the address of a single read may be wrong, so
    only all of them together tell that it does not work.
    """
    with Barrack(
        account.api_key.get_secret_value(),
        account.base_url,
        header_name=account.header_name,
        retry=_ASK_TWICE,
        dialect=read_dialect(account.dialect) if account.dialect else None,
    ) as client:
        lists = (client.instances, client.volumes, client.snapshots)
        reads = [
            client.balance.get,
            *(lambda one=one: next(iter(one.list()), None) for one in lists),
        ]
        found: list[Trial] = []
        for read in reads:
            found.append(_tried(read))
            if found[-1].works or not found[-1].answered:
                return found[-1]
    return next((one for one in found if one.refused), found[0])


def _tried(read: Any) -> Trial:
    try:
        read()
    except BarrackAuthenticationError as error:
        return Trial(refused=True, said=str(error))
    except BarrackTransportError as error:
        return Trial(answered=False, said=str(error))
    except BarrackError as error:
        return Trial(said=str(error))
    return Trial(works=True)


def key_at_hand(name: str) -> BarrackCredentials | None:
    """The account of the environment's key, or of one that is typed in where nothing else is.

    Raises:
        BarrackConfigurationError: there is no key, nobody to ask, and certainly no block.
    """
    given = _given()
    if given is None and not _may_be_kept(name):
        given = _asked_for(name)
        _check(given, tried(given))
    return given


@dataclass(frozen=True)
class KeptAccount:
    """What a block is to hold, after its key was tried and a person agreed."""

    name: str
    account: BarrackCredentials
    trial: Trial
    saves: bool
    is_new: bool
    """Whether the account is another than the block holds."""

    @property
    def called(self) -> str:
        """What the account is called once the block is saved."""
        return _called(self.account, self.name)

    def keep(self, console: Screen) -> None:
        """Save the block, if there is something to save, and say what it holds."""
        if self.saves:
            _save(self.account, self.name)
            type(self.account).resolve(self.name)
        place = f"the block {self.name!r}, at {self.account.address}."
        if self.is_new:
            console.print(f"The account is saved in {place}")
        else:
            console.print(f"The account is that of {place}")
        if not self.trial.works:
            console.print(
                f"It is not known whether its key works: {self.trial.said} `barrack doctor` "
                f"shows details.",
            )


def choose(
    name: str,
    given: BarrackCredentials | None,
    yes: bool,
    console: Screen,
    untried: bool = False,
) -> KeptAccount:
    """What a block is to hold; nothing is saved yet.

    A block that is there keeps what nothing was said of. It is never replaced by what was not
    seen working, unless that was said outright, and only after a person agreed.

    Args:
        name: the block's.
        given: what the block is to hold; what it holds, if None.
        yes: do not ask.
        console: where it is asked.
        untried: replace it also by what may work or not.

    Raises:
        BarrackConfigurationError: the key is refused, nothing answers at the address, or nobody
            agreed.
    """
    found = _found(name)
    there = found and found.without_environment()
    if given is None:
        wanted = found or _asked_for(name)
    else:
        wanted = given if there is None else _merged(there, given)
    if there is not None:
        wanted = _elsewhere(wanted, there, given, name)
    trial = tried(wanted)
    if there is not None and (given is None or not _differs(wanted, there)):
        if trial.refused:
            _check(wanted, trial, f"the key that the block {name!r} holds")
        adds = given is not None and set(wanted.protect) > set(there.protect)
        reads = there.dialect != _text(there.dialect)
        return KeptAccount(name, wanted, trial, adds or reads or not there.base_url, False)
    _check(wanted, trial)
    if there is not None:
        if not trial.works and not untried:
            raise BarrackConfigurationError(
                f"the block {name!r} was not changed, because it is not known whether the new "
                f"key works ({trial.said.rstrip('.')}); run `barrack doctor` for details, or "
                f"pass --untried to replace the block anyway"
            )
        _agree(name, there, wanted, yes, console)
    return KeptAccount(name, wanted, trial, True, True)


def _given() -> BarrackCredentials | None:
    from barrack_tasks.server.credentials import BarrackCredentials

    if not os.environ.get("BARRACK_API_KEY", "").strip():
        return None
    return BarrackCredentials.from_environment()


def _found(name: str) -> BarrackCredentials | None:
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound

    from barrack_tasks.server.credentials import BarrackCredentials

    with get_client(sync_client=True) as client:
        try:
            client.read_block_document_by_name(name, BarrackCredentials.get_block_type_slug())
        except ObjectNotFound:
            return None
    return BarrackCredentials.find(name)


def _asked_for(name: str) -> BarrackCredentials:
    from pydantic import SecretStr

    from barrack_tasks.server.credentials import BarrackCredentials

    if not sys.stdin.isatty():
        raise BarrackConfigurationError(
            f"there is no block {name!r} with an account: set BARRACK_API_KEY to your key "
            "(dashboard, API Keys page) and try again"
        )
    key = Prompt.ask("Barrack API key (dashboard, API Keys page)", password=True)
    return BarrackCredentials(api_key=SecretStr(key.strip()))


def _merged(there: BarrackCredentials, given: BarrackCredentials) -> BarrackCredentials:
    """What the block holds, with what is said otherwise; what it protects stays protected."""
    said = {field: getattr(given, field) for field in ("base_url", "dialect")}
    return there.model_copy(
        update={
            "api_key": given.api_key,
            **{field: value for field, value in said.items() if value},
            "protect": list(dict.fromkeys([*there.protect, *given.protect])),
        }
    )


def _differs(wanted: BarrackCredentials, there: BarrackCredentials) -> bool:
    key, old = wanted.api_key.get_secret_value(), there.api_key.get_secret_value()
    return (key, _text(wanted.dialect)) != (old, _text(there.dialect)) or (
        normalised(wanted.address) != normalised(there.address)
    )


def _elsewhere(
    wanted: BarrackCredentials,
    there: BarrackCredentials,
    given: BarrackCredentials | None,
    name: str,
) -> BarrackCredentials:
    """Ask for another address, where a new key would be sent to one on this machine.

    Any process may listen there by now, so this comes before the key is tried.
    """
    is_new = wanted.api_key.get_secret_value() != there.api_key.get_secret_value()
    if given is None or given.base_url or not is_new or not is_loopback(there.address):
        return wanted
    usual = wanted.model_copy(update={"base_url": None})
    said = (
        f"the block {name!r} has the address {there.address}, which is on this machine, and "
        f"BARRACK_BASE_URL does not say that the new key is for that address"
    )
    if not sys.stdin.isatty():
        raise BarrackConfigurationError(
            f"{said}; set BARRACK_BASE_URL to the address that the key is for, such as "
            f"{usual.address}, and try again; the block was not changed"
        )
    question = f"{said[0].upper()}{said[1:]}. Use {usual.address} instead?"
    return usual if Screen().agrees(question) else wanted


def _check(account: BarrackCredentials, trial: Trial, what: str = "the key") -> None:
    if trial.refused:
        raise BarrackConfigurationError(
            f"{account.address} refused {what}, so nothing was saved or started; set "
            f"BARRACK_API_KEY to a key that works (dashboard, API Keys page)"
        )
    if not trial.answered:
        raise BarrackConfigurationError(
            f"the key could not be tested at {account.address}, so nothing was saved or started: "
            f"{trial.said.rstrip('.')}"
        )


def _agree(
    name: str, there: BarrackCredentials, wanted: BarrackCredentials, yes: bool, console: Screen
) -> None:
    new_key = wanted.api_key.get_secret_value() != there.api_key.get_secret_value()
    what = "another key" if new_key else "other settings"
    moved = normalised(wanted.address) != normalised(there.address)
    place = f"{there.address}; the new address is {wanted.address}" if moved else there.address
    said = f"the block {name!r} holds {what}, for {place}"
    if yes:
        return
    if not sys.stdin.isatty():
        raise BarrackConfigurationError(
            f"{said}; it was not changed: pass --yes to replace it, or --credentials with "
            f"another name to keep both accounts"
        )
    if not console.agrees(f"{said[0].upper()}{said[1:]}. Replace it?"):
        raise BarrackConfigurationError(f"the block {name!r} was not changed")


def _called(account: BarrackCredentials, block: str) -> str:
    """What an account is called once a block of that name holds it."""
    from barrack_tasks.server.accounts import known_names
    from barrack_tasks.server.credentials import saved_accounts

    saved = saved_accounts()
    there = next((one for one in saved if one._block_document_name == block), None)
    wanted = account.model_copy()
    wanted._block_document_name = block
    wanted._block_document_id = there._block_document_id if there else None
    others = [wanted if one is there else one for one in saved]
    return wanted.name_among(others, known_names())


def _text(dialect: str | None) -> str | None:
    """What a block keeps of a dialect: its text; the whole path, if there must be a file."""
    if not dialect or is_text(dialect):
        return dialect
    try:
        return text_of_dialect(str(Path(dialect).expanduser().resolve()))
    except DialectError:
        return dialect  # the path of another machine; whoever uses it is told


def _save(account: BarrackCredentials, name: str) -> None:
    # Another folder, and another machine's environment, must not change what is meant.
    meant = {"dialect": _text(account.dialect), "base_url": account.address}
    kept = account.model_copy(update=meant).with_environment()
    # Elsewhere the environment may say no name, or another one; the block says it to all.
    called = _called(account, name)
    if called != account_name(name):
        given = account.given_name()
        kept.account_name = given if given and account_name(given) == called else called
    kept.save(name, overwrite=True, _sync=True)  # type: ignore[call-arg]


def _may_be_kept(name: str) -> bool:
    """Whether there may be such a block in the database of a server that does not run yet."""
    from prefect.settings import PREFECT_API_URL

    from barrack_tasks.server.services import database_file

    file = database_file()
    if PREFECT_API_URL.value() or file is None:
        return True
    if not file.exists():
        return False
    try:
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as database:
            found = database.execute(
                "SELECT 1 FROM block_document d JOIN block_type t ON t.id = d.block_type_id "
                "WHERE t.slug = 'barrack-credentials' AND d.name = ?",
                (name,),
            ).fetchone()
    except sqlite3.Error as error:
        return "no such table" not in str(error)
    return found is not None
