"""Where the API is, and who may say so: a file alone does not decide where the key is sent."""

from __future__ import annotations

from ipaddress import ip_address

import httpx

from barrack_tasks.api.dialect.builtin import builtin
from barrack_tasks.api.dialect.model import Dialect
from barrack_tasks.api.dialect.reading import clipped
from barrack_tasks.api.errors import BarrackConfigurationError


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
        f"the host of {builtin().base_url}, and no key is sent there because a file says so; if "
        f"the address is right, set BARRACK_BASE_URL={address} or base_url of the account"
    )


def host_of(address: str) -> str:
    """Host and, if it is not the usual one, port; nothing, if that is no address.

    Example:
        >>> host_of("http://127.0.0.1:8080/v1")
        '127.0.0.1:8080'
    """
    try:
        url = httpx.URL(address)
    except (httpx.InvalidURL, TypeError, ValueError):
        return ""
    # As it goes on the wire: another alphabet must not look like this one.
    host = url.raw_host.decode("ascii", "replace")
    host = f"[{host}]" if ":" in host else host
    return f"{host}:{url.port}" if url.port else host


def is_builtin_host(address: str) -> bool:
    """Whether that is the host of the built-in dialect, asked in its way (https)."""
    ours = builtin().base_url
    return host_of(address) == host_of(ours) and _scheme(address) == _scheme(ours)


def is_loopback(address: str) -> bool:
    """Whether that is an address of this machine."""
    try:
        host = httpx.URL(address).host
    except (httpx.InvalidURL, TypeError, ValueError):
        return False
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_in_clear(address: str) -> bool:
    """Whether a key that is sent there can be read on the way: plain http to another machine."""
    return _scheme(address) == "http" and not is_loopback(address)


def _scheme(address: str) -> str:
    try:
        return httpx.URL(address).scheme
    except (httpx.InvalidURL, TypeError, ValueError):
        return ""
