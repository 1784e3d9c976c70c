"""The block that holds an account's key, and hands out its client."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from typing import Annotated, Any, Self, cast
from uuid import UUID

import httpx
from prefect.blocks.abstract import CredentialsBlock
from prefect.blocks.core import Block
from prefect.blocks.system import Secret
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import BlockDocument, State
from prefect.context import FlowRunContext
from prefect.exceptions import PrefectHTTPStatusError
from prefect.futures import PrefectFuture
from prefect.settings import PREFECT_API_URL
from pydantic import (
    ConfigDict,
    Field,
    HttpUrl,
    PrivateAttr,
    SecretStr,
    ValidationError,
    WithJsonSchema,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from barrack_tasks.api import Barrack, BarrackConfigurationError
from barrack_tasks.api.dialect import DialectError, builtin, is_text, read_dialect, text_of_dialect
from barrack_tasks.api.transport.retries import RetryPolicy
from barrack_tasks.plans.money.caps import Caps
from barrack_tasks.server.account_names import (
    account_name,
    derived_name,
    former_account_names,
    former_names,
    mark_of_key,
    normalised,
)
from barrack_tasks.server.accounts import AccountName, is_called, known_names, settle, take_along
from barrack_tasks.server.events import get_logger, speak_for

_clients: dict[tuple[object, ...], Barrack] = {}
_clients_lock = threading.Lock()
_log = get_logger(__name__)
_FROM_ENVIRONMENT = {
    "base_url": "BARRACK_BASE_URL",
    "dialect": "BARRACK_DIALECT",
}
BLOCK = "[a-z0-9-]+(/[a-z0-9-]+)?"
"""How a block is named: its name, or its type and its name."""
NOTIFIER = f"^{BLOCK}(:(info|warning|failure))?$"
"""How a notification block is named: its name, or its type and its name; then, behind a colon, the
severity from which on it is told."""
_PAGE = 200
_LONG = 12
"""A key with fewer characters is looked for as a whole value only, not inside of longer texts."""


class BarrackCredentials(CredentialsBlock):
    """An account at Barrack.

    Save it once as a Prefect block and pass its name to flows, or set `BARRACK_API_KEY` (and, if
    the address differs, `BARRACK_BASE_URL`) and pass nothing at all. What is not given comes from
    the environment, field by field: `BARRACK_BASE_URL`, `BARRACK_DIALECT`, `BARRACK_ACCOUNT`; and
    `BARRACK_PROTECT`, names with commas between them, is added to what is given. Nothing that came
    from the environment is kept when the block is saved.

    The key stays where it is: a pickle of a saved block is a reference, which loads the block where
    it is read, and what is not saved cannot be pickled.

    Attributes:
        api_key: the key from the dashboard's API Keys page. Never shown.
        base_url: where the API is; the built-in address, if not given.
        account_name: what the account is called, given as `account=`: all runs that call it the
            same keep out of each other's way and share what they remember, whatever key they
            have. If it is not given, the name of the saved block that has this key, and without
            such a block a text derived from address and key.
        header_name: header that carries the key; `x-api-key`, if not given (inferred).
        requests_per_second: send no faster than this; unlimited, if not given.
        max_concurrency: requests under way at once.
        dialect: where the API differs from what this release expects: the text of a dialect in
            YAML, or the path of a dialect file. A block keeps the text: a path is read when the
            block is saved.
        protect: names, globs and ids of instances that no flow ever touches.
        caps: what every flow may spend at most, as `Caps`.

    Example:
        Load a saved account:

        ```python
        from barrack_tasks import BarrackCredentials, list_instances

        account = BarrackCredentials.load("BLOCK_NAME")
        for instance in list_instances(account):
            print(instance.name, instance.status, instance.public_ip)
        ```
    """

    # A field that is not known is dropped, since a key under a wrong name would be shown.
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)
    _block_type_name = "Barrack Credentials"
    _block_type_slug = "barrack-credentials"
    _description = "An account at Barrack (barrack.ai): API key, address and limits."
    _documentation_url = HttpUrl("https://docs.barrack.ai")
    _logo_url = Secret._logo_url  # Prefect's own picture: a key that is kept

    api_key: SecretStr = Field(description="Key from the dashboard's API Keys page.")
    base_url: str | None = Field(default=None, description="Address of the API.")
    account_name: str | None = Field(
        default=None,
        alias="account",
        description="What the account is called; the block's own name, if not given. It stays the "
        "same when the key changes.",
    )
    header_name: str | None = Field(default=None, description="Header that carries the key.")
    requests_per_second: float | None = Field(
        default=None, gt=0, description="Send no more requests per second than this."
    )
    max_concurrency: int = Field(
        default=64, ge=1, description="How many requests may be under way at once."
    )
    dialect: str | None = Field(
        default=None,
        description="The text of a dialect in YAML, or the path of its file, if the API differs "
        "from the built-in dialect.",
    )
    protect: list[str] = Field(
        default_factory=list,
        description="Names, globs and ids of instances that no flow ever touches.",
    )
    caps: Caps | None = Field(
        default=None, description="What every flow may spend at most; not limited, if not given."
    )

    _permit: Callable[[], float] | None = PrivateAttr(default=None)
    _taken: dict[str, Any] = PrivateAttr(default_factory=dict)
    """What came from the environment: the value of each field, of `protect` what was added."""
    _caps_of_blocks: list[Caps] = PrivateAttr(default_factory=list)
    """What other saved blocks of the account limit."""
    _settled: str | None = PrivateAttr(default=None)
    """The account's name as it was found when this run began."""
    _asked: set[str] = PrivateAttr(default_factory=set)
    """Names that were seen to stand after this run's lease was written."""

    def __init__(self, **given: Any) -> None:
        try:
            super().__init__(**given)
        except ValidationError as error:
            hidden = _without_input(error)
        else:
            return
        given.clear()
        # Raised out here, so that pydantic's error, which holds the key, is not behind it.
        raise hidden

    def __reduce__(self) -> Any:
        id_ = self._block_document_id
        if id_ is None or self._permit is not None:
            raise BarrackConfigurationError(
                "credentials that are not saved as a block cannot be stored or sent to another "
                "process, because their key would be sent in clear text; save them and pass the "
                "block's name, or pass None for the environment of that process"
                if id_ is None
                else "credentials that are bound to a running flow cannot be sent to another "
                "process; pass the name of their block"
            )
        return _load_by_reference, (type(self), id_, self.address, self._settled)

    def block_initialization(self) -> None:
        """Take from the environment what was not given."""
        for field, variable in _FROM_ENVIRONMENT.items():
            told = os.environ.get(variable, "").strip()
            if told and not getattr(self, field):
                self._taken[field] = told
                setattr(self, field, told)
        named = (name.strip() for name in os.environ.get("BARRACK_PROTECT", "").split(","))
        added = [name for name in dict.fromkeys(named) if name and name not in self.protect]
        if added:
            self._taken["protect"] = added
            self.protect = [*self.protect, *added]

    def __repr_args__(self) -> list[tuple[str | None, Any]]:
        # Prefect's own makes the schema of the block anew each time, a third of the work of a run.
        shown = _names_in_schema(type(self))
        given = super(Block, self).__repr_args__()
        return [(name, value) for name, value in given if name is None or name in shown]

    @classmethod
    def from_environment(cls) -> Self:
        """The account that the environment names.

        Raises:
            BarrackConfigurationError: `BARRACK_API_KEY` is not set.
        """
        if not _key_of_environment():
            raise BarrackConfigurationError(
                "no Barrack account is known; set BARRACK_API_KEY to your key (dashboard, API "
                "Keys page), or pass as credentials a BarrackCredentials or the name of a saved "
                "one"
            )
        return cls(api_key=SecretStr(_key_of_environment()))

    @classmethod
    def find(cls, credentials: Self | str | None) -> Self:
        """The account meant by a `credentials` parameter: itself, a saved block's name, or None.

        Raises:
            BarrackConfigurationError: no such block, or nothing given and nothing in the
                environment.
        """
        if isinstance(credentials, cls):
            return credentials
        if credentials is None:
            return cls.from_environment()
        if isinstance(credentials, str):
            return cls._saved_as(credentials)
        raise _no_account(credentials)

    @classmethod
    def _saved_as(cls, name: str) -> Self:
        """The block that is saved under a name, which is compared here and sent nowhere."""
        names = []
        for item in _documents(secrets=True):
            names.append(item["name"])
            if item["name"] == name:
                try:
                    return cls._load_from_block_document(BlockDocument.model_validate(item))
                except (ValueError, RuntimeError):
                    break
        else:
            raise _no_such_block(names)
        del item
        raise BarrackConfigurationError(
            f"the saved Barrack Credentials block {name!r} cannot be read, because its fields "
            f"are not valid; save it again"
        )

    @classmethod
    def resolve(cls, credentials: Self | str | None) -> Self:
        """The account meant by a `credentials` parameter, as a run needs it.

        Its name is settled for the run, the records of names that it had before are taken along,
        and what any saved block of the same account protects and limits counts: of the blocks
        that are called the same, and of those that have its key and address.

        Raises:
            BarrackConfigurationError: no such block, or nothing given and nothing in the
                environment.
        """
        given = cls.find(credentials)
        found = given.model_copy()
        found._settled = None
        if not _has_server():
            return found
        try:
            saved, known = saved_accounts(), known_names()
            named = found._settle(saved, known)
        except (httpx.HTTPError, PrefectHTTPStatusError):
            if FlowRunContext.get() is not None:
                raise
            return found
        found._settled = name = named.account
        found._asked = set()
        twins = [
            one for one in saved if one.name_among(saved, known) == name or one._is_same_as(found)
        ]
        theirs = dict.fromkeys(p for one in twins for p in one.protect if p not in found.protect)
        found._taken = {**found._taken, "protect": [*found._taken.get("protect", ()), *theirs]}
        found.protect = [*found.protect, *theirs]
        found._caps_of_blocks = [one.caps for one in twins if one.caps is not None]
        take_along(name, found._former_names(name) | set(named.former))
        speak_for(name)
        return found

    @property
    def account(self) -> str:
        """What the account's records and events call it: lower case letters and digits.

        It is the name that is kept for this key at this address on the server; what is to be kept
        there, `name_among` tells. Within a run it does not change.
        """
        if self._settled:
            return self._settled
        saved, known = self._what_is_saved()
        own = known.get(self._mark)
        return own.account if own else self.name_among(saved, known)

    @property
    def account_to_be(self) -> str:
        """What the account is called once no run works under a name that it had before."""
        return self.name_among(*self._what_is_saved())

    def _what_is_saved(self) -> tuple[list[BarrackCredentials], dict[str, AccountName]]:
        if _has_server():
            try:
                return saved_accounts(), known_names()
            except (httpx.HTTPError, PrefectHTTPStatusError) as error:
                _log.warning(
                    "saved accounts cannot be read, so the name of this one is chosen "
                    "without them: %s",
                    error,
                )
        return [], {}

    @property
    def all_caps(self) -> list[Caps]:
        """What is limited: its own caps, and for a run those of all blocks of the account."""
        found: list[Caps] = []
        for caps in (self.caps, *self._caps_of_blocks):
            if caps is not None and caps not in found:
                found.append(caps)
        return found

    def name_among(
        self, saved: Iterable[BarrackCredentials], known: Mapping[str, AccountName]
    ) -> str:
        """What the account is to be called, the same for all that have this key for this address.

        The first of: the account's name that a saved block with this key has; the name that is
        kept for the key; the name that is kept for such a block, which may have held another key;
        the name that was given here; the name of the oldest such block; a text that is derived
        from address and key, and tells nothing of the key.

        Args:
            saved: the saved accounts, the oldest first.
            known: what accounts are called on the server.
        """
        everyone = list(saved)
        twins = [one for one in everyone if one._is_same_as(self)]
        if self._block_document_name and all(
            one._block_document_name != self._block_document_name for one in twins
        ):
            twins.append(self)
        own, derived = known.get(self._mark), derived_name(*self._identity())
        marks = [self._mark, *(one._mark_of_block for one in twins)]
        kept = [known[mark].account for mark in marks if mark in known]
        said = [one.account_name for one in twins if one._has_own_name()]
        found = [
            *map(account_name, filter(None, said)),
            *(name for name in kept if name != derived),
            *map(account_name, filter(None, [self.given_name()])),
            *map(account_name, filter(None, [one._block_document_name for one in twins])),
            derived,
        ][0]
        if own and own.account not in (found, derived):
            others = [one for one in everyone if not one._is_same_as(self)]
            theirs = [n for o in others for n in (o.account_name, o._block_document_name) if n]
            if own.account in map(account_name, theirs):
                return own.account  # other keys have it too, and keep it
        return found

    def names_among(
        self, saved: Iterable[BarrackCredentials], known: Mapping[str, AccountName]
    ) -> set[str]:
        """What the account is called, and what it is to be called once no run works; see there."""
        own = known.get(self._mark)
        return {self.name_among(saved, known), *([own.account] if own else [])}

    def _settle(
        self, saved: list[BarrackCredentials], known: Mapping[str, AccountName]
    ) -> AccountName:
        """Keep on the server what the account is called; what it is called from now on."""
        wanted = self.name_among(saved, known)
        blocks = [one._mark_of_block for one in (self, *saved) if one._is_same_as(self)]
        named = settle(self._mark, [one for one in blocks if one], wanted, known)
        given = self.given_name()
        if given and account_name(given) != named.account:
            _log.warning(
                "the account of this key is called %r here, so %r counts as another name for it",
                named.account,
                given,
            )
        return named

    @property
    def _mark(self) -> str:
        return mark_of_key(*self._identity())

    @property
    def _mark_of_block(self) -> str:
        id_ = self._block_document_id
        return f"b{id_.hex}" if id_ else ""

    def _has_own_name(self) -> bool:
        return bool(self.account_name and self.account_name.strip())

    def given_name(self) -> str | None:
        """The name that the account was given in code, in its block, or by `BARRACK_ACCOUNT`."""
        if self._has_own_name():
            return self.account_name
        told = os.environ.get("BARRACK_ACCOUNT", "").strip()
        key = _key_of_environment()
        # A saved block is an account of its own, unless the environment has its very key.
        is_its = self._has_key(key) if key or self._block_document_name else True
        return told if told and is_its else None

    def _has_key(self, key: str) -> bool:
        return self.api_key.get_secret_value() == key

    def _is_same_as(self, other: BarrackCredentials) -> bool:
        return self._has_key(other.api_key.get_secret_value()) and (
            normalised(self.address) == normalised(other.address)
        )

    def _identity(self) -> tuple[str, str, str]:
        return self.address, self.api_key.get_secret_value(), builtin().base_url

    def _former_names(self, name: str) -> frozenset[str]:
        spelt = [one for one in (self.base_url, os.environ.get("BARRACK_BASE_URL")) if one]
        same = [one for one in spelt if normalised(one) == normalised(self.address)]
        # A block that was given a name went by its own before.
        own = self._block_document_name if self._has_own_name() else None
        named = self.given_name()
        if not named or account_name(named) != name:
            own = named = None
        return (
            former_names(*self._identity(), same)
            | ({account_name(own)} if own else set())
            | (former_account_names(named) if named else set())
        )

    @property
    def address(self) -> str:
        """Where the API is: as given, else as the dialect says it."""
        if self.base_url:
            return self.base_url
        if self.dialect:
            try:
                return read_dialect(self.dialect).base_url
            except BarrackConfigurationError:
                # The client says what is wrong with the file, when it is used.
                pass
        return builtin().base_url

    @classmethod
    def _from_block_document(cls, block_document: BlockDocument) -> Self:
        found = super()._from_block_document(block_document)
        found._forget_address_of_another()
        return found

    def _forget_address_of_another(self) -> None:
        """Leave the environment's address with the environment's key, if that is another."""
        key = _key_of_environment()
        if key and not self._has_key(key) and self._taken.pop("base_url", None):
            self.base_url = None

    def _to_block_document(self, *given: Any, **named: Any) -> BlockDocument:
        own = self.without_environment()
        if own.dialect:
            own.dialect = self._dialect_to_keep(own.dialect)
        return CredentialsBlock._to_block_document(own, *given, **named)

    def _dialect_to_keep(self, dialect: str) -> str:
        try:
            return text_of_dialect(dialect)
        except DialectError as error:
            if self._block_document_id is None or is_text(dialect):
                raise
            # An earlier release kept a path, which may be one of another machine.
            _log.warning("the block keeps the path of its dialect, which is not here: %s", error)
            return dialect

    def without_environment(self) -> Self:
        """A copy that holds what was given or saved, and nothing that came from elsewhere."""
        own = self.with_environment()
        for field in _FROM_ENVIRONMENT:
            if field in self._taken and getattr(own, field) == self._taken[field]:
                setattr(own, field, None)
        added = set(self._taken.get("protect", ()))
        own.protect = [name for name in own.protect if name not in added]
        return own

    def with_environment(self) -> Self:
        """A copy that holds what came from the environment as if it had been given."""
        own = self.model_copy()
        own._taken = {}
        return own

    def under(self, permit: Callable[[], float]) -> Self:
        """The same account, whose changing requests first ask `permit`; see `Barrack.guarded`."""
        twin = self.model_copy()

        def allowed() -> float:
            self._check_name()
            return permit()

        twin._permit = allowed if self._settled else permit
        return twin

    def _check_name(self) -> None:
        """Ask once, when a run has its lease, whether its account is still called as it was."""
        name = self._settled
        if name is None or name in self._asked:
            return
        if not is_called(self._mark, name):
            raise BarrackConfigurationError(
                f"the account {name!r} was renamed while this run was starting; start the run again"
            )
        self._asked.add(name)

    def get_client(self, retry: RetryPolicy | None = None) -> Barrack:
        """The account's client. One pool of connections for all who hold equal credentials.

        Args:
            retry: how stubborn it is; as flows are, if not given.
        """
        client = self._shared_client(retry)
        return client if self._permit is None else client.guarded(self._permit)

    def _shared_client(self, retry: RetryPolicy | None) -> Barrack:
        identity = (
            self.api_key,
            self.base_url,
            self.header_name,
            self.requests_per_second,
            self.max_concurrency,
            self.dialect,
            retry,
        )
        with _clients_lock:
            client = _clients.get(identity)
            if client is None:
                client = _clients[identity] = Barrack(
                    self.api_key.get_secret_value(),
                    self.base_url,
                    header_name=self.header_name,
                    requests_per_second=self.requests_per_second,
                    max_concurrency=self.max_concurrency,
                    retry=retry,
                    dialect=read_dialect(self.dialect) if self.dialect else None,
                )
            return client


def saved_accounts() -> list[BarrackCredentials]:
    """All saved accounts that can be read, the oldest block first."""
    found: list[tuple[str, str, BarrackCredentials]] = []
    for item in _documents(secrets=True):
        try:
            account = BarrackCredentials.model_validate(item["data"])
        except ValidationError:
            _log.warning("the Barrack Credentials block %s cannot be read", item["name"])
            continue
        account._block_document_name = item["name"]
        account._block_document_id = UUID(item["id"])
        account._forget_address_of_another()
        found.append((str(item["created"]), str(item["name"]), account))
    return [account for *_, account in sorted(found, key=lambda one: one[:2])]


def block_named_by(given: Any, saved: Iterable[Mapping[str, Any]] | None = None) -> str:
    """The name of the saved block that is meant by a name, or by a reference as Prefect writes it.

    Args:
        given: as it stands in the parameters of a run or a deployment.
        saved: the blocks, as the server tells them; asked for, if not given.

    Raises:
        BarrackConfigurationError: there is no such block. What was given is not repeated, since it
            may be a key.
    """
    wanted = given if isinstance(given, str) else _referred(given)
    if wanted is None:
        raise _no_account(given)
    names = []
    for item in _documents() if saved is None else saved:
        name = str(item["name"])
        names.append(name)
        if wanted == name or (not isinstance(given, str) and wanted == str(item["id"])):
            return name
    raise _no_such_block(names)


@cache
def _names_in_schema(block: type[Block]) -> frozenset[str]:
    return frozenset(block.model_json_schema()["properties"])


def check_account(given: Any) -> None:
    """Refuse what can be no account: neither one, nor a name, nor what a run is to give.

    Raises:
        BarrackConfigurationError: what was given is not repeated, since it may hold a key.
    """
    if not (given is None or isinstance(given, str | BarrackCredentials | PrefectFuture | State)):
        raise _no_account(given)


def check_parameters(parameters: Mapping[str, Any]) -> None:
    """Refuse parameters that Prefect must not store: a wrong account, or a key in a wrong place.

    Args:
        parameters: by name; `credentials` is the account.

    Raises:
        BarrackConfigurationError: says which parameter, and not what it holds.
    """
    given = parameters.get("credentials")
    keys = _known_keys()
    if not (given is None or isinstance(given, BarrackCredentials | PrefectFuture | State)):
        saved = list(_documents(secrets=True))
        keys |= {item["data"].get("api_key") for item in saved}
        try:
            block_named_by(given, saved)
        finally:
            saved.clear()
    sealed = [SecretStr(key) for key in keys if isinstance(key, str) and key]
    keys.clear()
    for name, value in parameters.items():
        if _holds(name, sealed) or _holds(value, sealed):
            raise BarrackConfigurationError(
                f"{'a parameter' if _holds(name, sealed) else name} holds an API key, which "
                f"Prefect would store in clear text; save the key as a Barrack Credentials "
                f"block, and pass that block's name as credentials"
            )


def check_names(notify: object) -> None:
    """Refuse what can be no name of a block, without saying what it is: it may be a URL.

    Raises:
        BarrackConfigurationError: says which one.
    """
    given = notify if isinstance(notify, list | tuple) else [notify]
    for place, name in enumerate(given, 1):
        if not (isinstance(name, str) and re.fullmatch(NOTIFIER, name)):
            raise BarrackConfigurationError(
                f"notify: number {place} is no name of a block (it is not repeated here, since it "
                "may hold a secret): save its URL as a notification block and pass the block's name"
            )


def _known_keys() -> set[str]:
    """The keys that this process knows: the environment's, and those in use."""
    with _clients_lock:
        used = [cast("SecretStr", identity[0]) for identity in _clients]
    return {_key_of_environment(), *(key.get_secret_value() for key in used)}


def _holds(value: Any, keys: Iterable[SecretStr]) -> bool:
    text = value if isinstance(value, str) else repr(value)
    is_list = isinstance(value, list | tuple)
    return any(
        text == one.get_secret_value()
        or (is_list and one.get_secret_value() in value)
        or (len(one) >= _LONG and one.get_secret_value() in text)
        for one in keys
    )


def _referred(given: Any) -> str | None:
    """What a reference to a saved block, as Prefect writes it, names: a name, or an id."""
    reference = given.get("$ref") if isinstance(given, Mapping) and len(given) == 1 else None
    if isinstance(reference, Mapping) and len(reference) == 1:
        slug = reference.get("block_document_slug")
        own, _, name = slug.partition("/") if isinstance(slug, str) else ("", "", "")
        if own == BarrackCredentials.get_block_type_slug():
            return name
        reference = reference.get("block_document_id")
    try:
        return str(UUID(str(reference)))
    except ValueError:
        return None


def _no_account(given: Any) -> BarrackConfigurationError:
    return BarrackConfigurationError(
        "credentials must be a BarrackCredentials, the name of a saved one, or None; "
        f"got {type(given).__name__}"
    )


def _no_such_block(names: Iterable[str]) -> BarrackConfigurationError:
    there = ", ".join(sorted(map(repr, names))) or "none"
    return BarrackConfigurationError(
        f"no saved Barrack Credentials block has the name that was passed as `credentials` (it "
        f"is not repeated here, because it may be a key); the saved blocks are: {there}"
    )


def _without_input(error: ValidationError) -> ValidationError:
    """The same complaints without what was given, which may be a key."""
    lines = [
        InitErrorDetails(
            type=PydanticCustomError(cast(Any, one["type"]), cast(Any, one["msg"])),
            loc=one["loc"],
            input="**********",
        )
        for one in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    return ValidationError.from_exception_data(error.title, lines, hide_input=True)


def _load_by_reference(
    kind: type[BarrackCredentials], id_: UUID, address: str, settled: str | None
) -> BarrackCredentials:
    """The block that a pickle refers to, as this process finds it."""
    try:
        found = cast(
            "BarrackCredentials", cast(Any, kind.load_from_ref)(id_, _sync=True)
        ).model_copy()
    except (ValueError, RuntimeError):
        found = None
    if found is None:
        raise BarrackConfigurationError(
            "the Barrack Credentials block that was passed to this process cannot be loaded here: "
            "it was deleted, or PREFECT_API_URL names another server"
        )
    if normalised(found.address) != normalised(address):
        raise BarrackConfigurationError(
            f"the Barrack Credentials block {found._block_document_name!r} has another address "
            f"here than in the process that passed it; set the same base_url or BARRACK_BASE_URL "
            f"in both"
        )
    found._settled = settled
    return found


def _documents(secrets: bool = False) -> Iterator[dict[str, Any]]:
    """All saved blocks of the type, page by page."""
    slug = BarrackCredentials.get_block_type_slug()
    wanted = {"block_types": {"slug": {"any_": [slug]}}, "include_secrets": secrets}
    seen, page = 0, _PAGE
    with get_client(sync_client=True) as client:
        while page == _PAGE:
            body = {**wanted, "limit": _PAGE, "offset": seen}
            items = client.request("POST", "/block_documents/filter", json=body).json()
            page = len(items)
            seen += page
            while items:  # what was read is not among the locals when the next request fails
                yield items.pop(0)


def _key_of_environment() -> str:
    return os.environ.get("BARRACK_API_KEY", "").strip()


def _has_server() -> bool:
    """Whether a Prefect server is known: none is started just to ask for a name."""
    return bool(PREFECT_API_URL.value()) or FlowRunContext.get() is not None


def _forget_clients_after_fork() -> None:
    # A forked process must not talk over its parent's sockets.
    _clients.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_clients_after_fork)


_NAME = "[a-z0-9-]+"
_UUID = "[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_SLUG = f"{BarrackCredentials.get_block_type_slug()}/{_NAME}"


def _text(pattern: str) -> dict[str, str]:
    return {"type": "string", "pattern": f"^{pattern}$"}


def _object(**fields: object) -> dict[str, object]:
    return {
        "type": "object",
        "properties": fields,
        "required": list(fields),
        "additionalProperties": False,
    }


_BY_ID = _object(block_document_id=_text(_UUID))
_BY_SLUG = _object(block_document_slug=_text(_SLUG))
_REFERENCE = {
    "title": "BarrackCredentials",
    "block_type_slug": BarrackCredentials.get_block_type_slug(),
    "description": "A saved account.",
    **_object(**{"$ref": {"anyOf": [_text(_UUID), _BY_ID, _BY_SLUG]}}),
}
Credentials = Annotated[
    BarrackCredentials | str | None,
    # A server that keeps to this schema stores no key: it knows saved blocks and nothing else.
    WithJsonSchema({"anyOf": [_REFERENCE, {"title": "Name", **_text(_NAME)}, {"type": "null"}]}),
]
"""A `BarrackCredentials`, the name of a saved one, or None for the environment."""
