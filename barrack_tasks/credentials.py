"""The block that holds an account's key, and hands out its client."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable
from typing import Any, Self, cast

from prefect.blocks.core import Block
from pydantic import Field, PrivateAttr, SecretStr

from barrack_tasks.api import Barrack, BarrackConfigurationError
from barrack_tasks.api.dialect import load_dialect
from barrack_tasks.plans.guard import Caps

_clients: dict[tuple[object, ...], Barrack] = {}
_clients_lock = threading.Lock()


class BarrackCredentials(Block):
    """An account at Barrack.

    Save it once as a Prefect block and pass its name to flows, or set `BARRACK_API_KEY` (and, if
    the address differs, `BARRACK_BASE_URL`) and pass nothing at all.

    Attributes:
        api_key: the key from the dashboard's API Keys page. Never shown.
        base_url: where the API is; the built-in address, if not given.
        header_name: header that carries the key; `x-api-key`, if not given (inferred).
        requests_per_second: send no faster than this; unlimited, if not given.
        max_concurrency: requests under way at once.
        dialect: a dialect file, where the API differs from what this release expects.
        protect: names, globs and ids of instances that no flow ever touches.
        caps: what every flow may spend at most, as `Caps`.

    Example:
        >>> BarrackCredentials(api_key="...", protect=["prod-*"]).save("team-a")
        >>> snapshot_before_stop(select=["train-*"], credentials="team-a")
    """

    _block_type_name = "Barrack Credentials"
    _block_type_slug = "barrack-credentials"
    _description = "An account at Barrack (barrack.ai): API key, address and limits."
    _documentation_url = "https://docs.barrack.ai"  # type: ignore[assignment]

    api_key: SecretStr = Field(description="Key from the dashboard's API Keys page.")
    base_url: str | None = Field(default=None, description="Address of the API.")
    header_name: str | None = Field(default=None, description="Header that carries the key.")
    requests_per_second: float | None = Field(
        default=None, gt=0, description="Send no faster than this."
    )
    max_concurrency: int = Field(default=64, ge=1, description="Requests under way at once.")
    dialect: str | None = Field(
        default=None, description="A dialect file, where the API differs from the built-in reading."
    )
    protect: list[str] = Field(
        default_factory=list,
        description="Names, globs and ids of instances that no flow ever touches.",
    )
    caps: Caps | None = Field(
        default=None, description="What every flow may spend at most; nothing is limited without."
    )

    _permit: Callable[[], float] | None = PrivateAttr(default=None)

    @classmethod
    def from_environment(cls) -> Self:
        """The account that the environment names.

        Raises:
            BarrackConfigurationError: `BARRACK_API_KEY` is not set.
        """
        key = os.environ.get("BARRACK_API_KEY", "").strip()
        if not key:
            raise BarrackConfigurationError(
                "no Barrack account is known: set BARRACK_API_KEY to your key (dashboard, API "
                "Keys page), or pass credentials= a BarrackCredentials or the name of a saved one"
            )
        protect = os.environ.get("BARRACK_PROTECT", "")
        return cls(
            api_key=SecretStr(key),
            base_url=os.environ.get("BARRACK_BASE_URL") or None,
            dialect=os.environ.get("BARRACK_DIALECT") or None,
            protect=[name.strip() for name in protect.split(",") if name.strip()],
        )

    @classmethod
    def resolve(cls, credentials: Self | str | None) -> Self:
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
            try:
                return cast("Self", cast(Any, cls.load)(credentials, _sync=True))
            except ValueError as error:
                raise BarrackConfigurationError(
                    f"there is no saved Barrack Credentials block named {credentials!r} "
                    f"that can be loaded: {error}"
                ) from None
        raise BarrackConfigurationError(
            "credentials must be a BarrackCredentials, the name of a saved one, or None; "
            f"got {type(credentials).__name__}"
        )

    @property
    def account(self) -> str:
        """A short name for the account that tells nothing of its key."""
        secret = f"{self.base_url or ''}\n{self.api_key.get_secret_value()}".encode()
        return hashlib.blake2s(secret, digest_size=5).hexdigest()

    def under(self, permit: Callable[[], float]) -> Self:
        """The same account, whose changing requests first ask `permit`; see `Barrack.guarded`."""
        twin = self.model_copy()
        twin._permit = permit
        return twin

    def get_client(self) -> Barrack:
        """The account's client. One pool of connections for all who hold equal credentials."""
        client = self._shared_client()
        return client if self._permit is None else client.guarded(self._permit)

    def _shared_client(self) -> Barrack:
        identity = (
            self.api_key.get_secret_value(),
            self.base_url,
            self.header_name,
            self.requests_per_second,
            self.max_concurrency,
            self.dialect,
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
                    dialect=load_dialect(self.dialect) if self.dialect else None,
                )
            return client


def _forget_clients_after_fork() -> None:
    # A forked process must not talk over its parent's sockets.
    _clients.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_clients_after_fork)
