"""What a document says about the whole API: address, key, paging, a header of the answers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit

from barrack_tasks.api.transport.addresses import is_in_clear
from barrack_tasks.dialects.learn.calls import Wired
from barrack_tasks.dialects.learn.document import Document
from barrack_tasks.dialects.learn.likeness import name_likeness, words_of
from barrack_tasks.dialects.learn.schema import Schema
from barrack_tasks.dialects.learn.synonyms import split

_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")

_VARIABLE = re.compile(r"\{([^{}]*)\}")
_LONGEST_URL = 2_000
_MOST_SERVERS = 100


@dataclass(frozen=True)
class Said:
    """One thing that a document says about the whole API."""

    value: Any
    score: float
    reason: str


def base_urls(document: Document, source_url: str | None) -> list[Said]:
    """Addresses of the API, the likeliest first."""
    found: list[Said] = []
    for server in document.listed(document.root.get("servers"))[:_MOST_SERVERS]:
        table = document.table(server)
        url = table.get("url")
        if not isinstance(url, str) or not url:
            continue
        variables = document.table(table.get("variables"))
        url = _filled(url, variables)
        if len(url) > _LONGEST_URL:
            document.note(f"a server has an address of {len(url)} characters, which was not read")
            continue
        reason = "servers"
        if source_url and not urlsplit(url).scheme:
            url, reason = urljoin(source_url, url), f"servers, beside {source_url}"
        if not _is_address(url):
            if not url.startswith("/"):
                document.note(f"the server {url[:80]!r} is not an address and was not read")
            continue
        plain = is_in_clear(url)
        if plain:
            document.note(
                f"{url} is plain http, which no dialect file may say; set BARRACK_BASE_URL"
            )
        text = f"{url} {table.get('description', '')}".casefold()
        trial = any(word in text for word in ("staging", "sandbox", "localhost", "dev", "test"))
        found.append(Said(url.rstrip("/"), 0.75 if trial or plain else 0.96, reason))
    if len(found) > 1 and len({s.value for s in found if s.score > 0.9}) > 1:
        found = [Said(s.value, s.score - 0.05 * n, s.reason) for n, s in enumerate(found)]
    return sorted(found, key=lambda s: -s.score)


def _filled(url: str, variables: Mapping[str, Any]) -> str:
    """An address with the defaults of its variables, which are filled in once and no deeper."""

    def default(found: re.Match[str]) -> str:
        variable = variables.get(found[1])
        said = variable.get("default") if isinstance(variable, Mapping) else None
        return said[:_LONGEST_URL] if isinstance(said, str) else found[0]

    return _VARIABLE.sub(default, url[:_LONGEST_URL])


def relative_server(document: Document) -> str:
    """The path that the API lies under, if the document says no more than that."""
    for server in document.listed(document.root.get("servers")):
        url = document.table(server).get("url")
        if isinstance(url, str) and url.startswith("/") and not url.startswith("//"):
            return url.rstrip("/")
    return ""


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        port_fits = parts.port is None or 0 < parts.port < 65536
    except ValueError:
        return False
    plain = not (parts.query or parts.fragment or "@" in parts.netloc or "{" in url)
    return bool(
        parts.scheme in ("http", "https") and parts.hostname and port_fits and plain
        and url.isprintable() and not any(c.isspace() for c in url)
    )  # fmt: skip


def auths(document: Document) -> list[Said]:
    """Ways to show the key that a dialect can say, the likeliest first."""
    schemes = document.components("securitySchemes")
    used: Counter[str] = Counter()
    for requirement in document.listed(document.root.get("security")):
        used.update(str(name) for name in document.table(requirement))
    for _, _, operation, _ in document.operations():
        for requirement in document.listed(operation.get("security")):
            used.update(str(name) for name in document.table(requirement))
    found: list[Said] = []
    for name, node in schemes.items():
        scheme = document.table(document.resolve(node)[0])
        said = _auth(document, str(name), scheme)
        if said is not None:
            bonus = 0.0 if used[str(name)] or not used else -0.2
            found.append(Said(said.value, said.score + bonus, said.reason))
    return sorted(found, key=lambda s: -s.score)


def _auth(document: Document, name: str, scheme: Mapping[str, Any]) -> Said | None:
    kind, where = str(scheme.get("type")).lower(), str(scheme.get("in")).lower()
    header = scheme.get("name")
    about = f"{name} {scheme.get('description', '')}".casefold()
    if kind == "apikey" and where == "header" and isinstance(header, str):
        if not _HEADER.fullmatch(header):
            document.note(f"the security scheme {name!r} names a header that is not valid")
            return None
        bearer = header.casefold() == "authorization" and "bearer" in about
        value = {"header": header, "scheme": "Bearer" if bearer else ""}
        return Said(value, 0.97, f"securitySchemes.{name}: a key in the header {header}")
    if kind == "apikey" and where == "query" and isinstance(header, str):
        reason = f"securitySchemes.{name}: a key in the parameter {header} of each address"
        return Said({"query": header}, 0.9, reason)
    if kind == "http" and str(scheme.get("scheme")).lower() == "bearer":
        value = {"header": "Authorization", "scheme": "Bearer"}
        return Said(value, 0.96, f"securitySchemes.{name}: a bearer token")
    document.note(f"the security scheme {name!r} ({kind}) cannot be expressed in a dialect")
    return None


@dataclass(frozen=True)
class Paged:
    """How lists are asked for page by page."""

    paging: dict[str, Any]
    names: frozenset[str]
    score: float
    reason: str


_KINDS: dict[str, frozenset[str]] = {
    "page_size": frozenset(
        split("page_size limit per_page size items_per_page take max_results page_limit count")
    ),
    "page": frozenset(split("page page_number current_page page_index page_no p")),
    "offset": frozenset(split("offset skip start_index from_index page_offset")),
    "cursor": frozenset(
        split(
            "cursor next page_token next_token continuation_token after next_cursor starting_after "
            "next_page_token marker"
        )
    ),
}


def paging(lists: Iterable[Wired], complete: bool) -> Paged | None:
    """The style of paging that the lists' queries show; None if they show nothing."""
    lists = list(lists)
    votes: dict[str, Counter[str]] = {kind: Counter() for kind in _KINDS}
    schemas: dict[str, Schema] = {}
    for wired in lists:
        for name, schema in wired.in_query.items():
            kind = _paging_kind(name)
            if kind:
                votes[kind][name] += 1
                schemas[name] = schema
    names = {kind: v.most_common(1)[0][0] for kind, v in votes.items() if v}
    known = frozenset(n for v in votes.values() for n in v)
    style: str | None = next((s for s in ("cursor", "offset", "page") if s in names), None)
    if style == "offset" and "page" in names:
        style = max(("page", "offset"), key=lambda s: votes[s][names[s]])
    if style is None:
        if not lists or not complete or "page_size" in names:
            return None
        return Paged({"style": "none"}, known, 0.9, "no list takes a page or an offset")
    found: dict[str, Any] = {"style": style, style: names[style]}
    if "page_size" in names:
        found["page_size"] = names["page_size"]
    if style == "page" and _starts_at_zero(schemas[names["page"]]):
        found["first_page"] = 0
    share = votes[style][names[style]] / len(lists)
    reason = f"{names[style]} in the query of {votes[style][names[style]]} of {len(lists)} lists"
    return Paged(found, known, 0.97 if share >= 0.5 else 0.8, reason)


def _paging_kind(name: str) -> str:
    plain = "_".join(words_of(name))
    return next((kind for kind, names in _KINDS.items() if plain in names), "")


def _starts_at_zero(schema: Schema) -> bool:
    return schema.node.get("minimum") == 0 or schema.node.get("default") == 0


def query_names(
    wanted: Iterable[str], wired: Wired, paging_names: frozenset[str]
) -> dict[str, Said]:
    """Wire names of the parameters of a query."""
    free = [name for name in wired.in_query if name not in paging_names]
    found: dict[str, Said] = {}
    for ours in wanted:
        chances = sorted(
            (Said(n, (k := name_likeness("Query", ours, n)).score, k.reason) for n in free),
            key=lambda s: -s.score,
        )
        if chances and chances[0].score >= 0.7:
            found[ours] = chances[0]
            free.remove(chances[0].value)
    return found


def request_id_header(wired: Iterable[Wired]) -> Said | None:
    """The header of answers that bears the request's id."""
    names = Counter(
        header
        for operation in wired
        for header in operation.headers
        if {"request", "trace", "correlation"} & set(words_of(header))
        and "id" in words_of(header)
        and _HEADER.fullmatch(header)
    )
    if not names:
        return None
    return Said(names.most_common(1)[0][0], 0.9, "a header of the answers")
