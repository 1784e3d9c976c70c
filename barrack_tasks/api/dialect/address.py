"""Where the API is, and who may say so: a file alone does not decide where the key is sent."""

from __future__ import annotations

from barrack_tasks.api.dialect.builtin import builtin
from barrack_tasks.api.dialect.model import Dialect
from barrack_tasks.api.dialect.reading import clipped
from barrack_tasks.api.errors import BarrackConfigurationError
from barrack_tasks.api.transport.addresses import host_of, scheme_of


def own_address(dialect: Dialect) -> str:
    """The address that a dialect gives, if the key may go there on the dialect's word alone.

    A dialect file may come from anybody, and may change later: of its addresses only those at the
    host of the built-in dialect are used. Any other must be named by the person, as `base_url` or
    `BARRACK_BASE_URL`.

    Raises:
        BarrackConfigurationError: it is the address of another host.

    Example:
        >>> own_address(builtin())
        'https://api.barrack.ai/v1'
    """
    if not dialect.is_from_file or is_builtin_host(dialect.base_url):
        return dialect.base_url
    address = clipped(dialect.base_url, 200)
    raise BarrackConfigurationError(
        f"the dialect {clipped(dialect.name)!r} says that the API is at {address}, which is not "
        f"the host of {builtin().base_url}, and a file alone must not decide where the key is "
        f"sent; if the address is right, set BARRACK_BASE_URL={address} or base_url of the account"
    )


def is_builtin_host(address: str) -> bool:
    """Whether that is the host of the built-in dialect, asked in its way (https)."""
    ours = builtin().base_url
    return host_of(address) == host_of(ours) and scheme_of(address) == scheme_of(ours)
