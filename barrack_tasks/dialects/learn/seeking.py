"""Where an API may have its OpenAPI document, and what a page says about where it is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urljoin, urlsplit

DOCUMENTS = (
    "/openapi.json", "/swagger.json", "/openapi.yaml", "/api-docs", "/v3/api-docs",
    "/swagger/v1/swagger.json", "/docs/openapi.json",
)  # fmt: skip
"""Paths of documents, the likelier first."""
PAGES = ("/docs", "/redoc", "/swagger", "/reference")
"""Pages for people that show a document, and so say where it is."""
_MOST_LINKS = 3
_LONGEST = 1_000_000
_LINK = re.compile(
    r"""["'(=]\s*(?P<link>[^"'()<>\s]{1,300}?(?:openapi|swagger|api-docs)[^"'()<>\s]{0,100})["')\s>]""",
    re.IGNORECASE,
)
_IS_DOCUMENT = re.compile(r"(openapi|swagger|api-docs|v\d+)(\.(json|ya?ml))?", re.IGNORECASE)


def bases_of(url: str) -> Iterator[str]:
    """Addresses that a document may lie under: that of the API, those above it, and its host.

    Example:
        >>> list(bases_of("https://api.example/v1/core"))
        ['https://api.example/v1/core', 'https://api.example/v1', 'https://api.example']
    """
    parts = urlsplit(url)
    steps = [step for step in parts.path.split("/") if step]
    for count in range(len(steps), -1, -1):
        yield "/".join([f"{parts.scheme}://{parts.netloc}", *steps[:count]])


def linked(page: str, address: str) -> list[str]:
    """Addresses of documents that a page names, all of its own host, the first ones only.

    Example:
        >>> linked('<a href="/v2/openapi.json">', "https://api.example/docs")
        ['https://api.example/v2/openapi.json']
    """
    found: dict[str, None] = {}
    for match in _LINK.finditer(page[:_LONGEST]):
        target = beside(match["link"].replace("\\/", "/"), address)
        last = urlsplit(target).path.rpartition("/")[2] if target else ""
        if target and _IS_DOCUMENT.fullmatch(last):
            found[target] = None
    return list(found)[:_MOST_LINKS]


def beside(link: str, address: str) -> str:
    """Where a link leads, without a query; nothing, if that is not the host of the address."""
    try:
        target = urlsplit(urljoin(address, link))
        own = urlsplit(address)
        same = (target.scheme, target.hostname, target.port) == (
            own.scheme,
            own.hostname,
            own.port,
        )
    except ValueError:
        return ""
    if not same or "@" in target.netloc or not target.path.isprintable() or " " in target.path:
        return ""
    return f"{own.scheme}://{own.netloc}{target.path}"
