"""Where the key may be sent."""

from __future__ import annotations

import ipaddress
import os
import re

import httpx

from barrack_tasks.api.errors import BarrackConfigurationError


def is_loopback(url: str) -> bool:
    """Whether an address is on this machine. No name is looked up for it.

    Example:
        >>> is_loopback("http://127.0.0.1:8080/v1"), is_loopback("http://127.0.0.1.example.com")
        (True, False)
    """
    try:
        host = httpx.URL(url).host
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except (httpx.InvalidURL, TypeError, ValueError):
        return False


def is_in_clear(url: str) -> bool:
    """Whether a key that is sent there can be read on the way: plain http to another machine."""
    return scheme_of(url) == "http" and not is_loopback(url)


def scheme_of(url: str) -> str:
    """The scheme of an address; empty if it is none."""
    try:
        return httpx.URL(url).scheme
    except (httpx.InvalidURL, TypeError, ValueError):
        return ""


def host_of(url: str) -> str:
    """Host and, if it is not the usual one, port; empty if that is no address.

    Example:
        >>> host_of("http://127.0.0.1:8080/v1")
        '127.0.0.1:8080'
    """
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, TypeError, ValueError):
        return ""
    # As it goes on the wire: another alphabet must not look like this one.
    host = parsed.raw_host.decode("ascii", "replace")
    host = f"[{host}]" if ":" in host else host
    return f"{host}:{parsed.port}" if parsed.port else host


def checked_url(url: str, allow_http: bool | None = None) -> str:
    """The base address of an API, without a slash at its end.

    Args:
        url: the address.
        allow_http: whether `http://` may lead to another machine, which sends the key in clear; if
            not given, the environment's `BARRACK_ALLOW_HTTP` says so with 1.

    Raises:
        BarrackConfigurationError: it is no address, or not a safe one.
    """
    shape = "it must look like https://api.barrack.ai/v1"
    shown = repr(re.sub(r"//[^/]*@", "//***@", str(url)))
    try:
        parsed = httpx.URL(url)
        port_fits = parsed.port is None or 0 < parsed.port < 65536
    except (httpx.InvalidURL, TypeError, ValueError) as error:
        problem = f"base_url {shown} is not an address ({error}); {shape}"
    else:
        if parsed.userinfo:
            problem = f"base_url {shown} must not hold a user name or password; {shape}"
        elif parsed.scheme not in ("http", "https") or not parsed.host or not port_fits:
            problem = f"base_url {shown} is not an http or https address; {shape}"
        elif any(character.isspace() for character in url):
            problem = f"base_url {shown} must not hold spaces; {shape}"
        elif parsed.query or parsed.fragment:
            problem = f"base_url {shown} must end with its path, without ? and #; {shape}"
        elif is_in_clear(url) and not _allows_http(allow_http):
            problem = (
                f"base_url {shown} would send the API key in clear text, which others on the "
                "network can read; write https://, or set BARRACK_ALLOW_HTTP=1 (allow_http=True "
                "for Barrack) if nobody else can read that traffic"
            )
        else:
            return url.rstrip("/")
    raise BarrackConfigurationError(problem)


def _allows_http(allow_http: bool | None) -> bool:
    if allow_http is None:
        return os.environ.get("BARRACK_ALLOW_HTTP", "").strip().casefold() in ("1", "true", "yes")
    return allow_http
