"""Learning from a HAR recording of a browser on the dashboard. Its secrets are left behind."""

from __future__ import annotations

import base64
import binascii
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from barrack_tasks.api.dialect.reading import UnreadableError, check_depth, read_json, text_of
from barrack_tasks.dialects.learn.document import LARGEST, LearnError
from barrack_tasks.dialects.learn.evidence import learn_evidence
from barrack_tasks.dialects.learn.result import Learned
from barrack_tasks.dialects.learn.samples import RecordedCall, learn_samples
from barrack_tasks.dialects.learn.shapes import Secrets, is_secret_name, looks_secret

_SCHEMES = frozenset({"bearer", "token", "apikey", "key", "api-key"})
_MOST_ENTRIES = 5_000
_MOST_SECRETS = 20_000
_SHORTEST = 6
"""Characters that a secret has at least: shorter ones would hide ordinary words."""


def learn_har(
    data: bytes,
    *,
    host: str | None = None,
    name: str = "learned",
    source: str = "the recording",
    yes: bool = False,
) -> Learned:
    """Learn a dialect from a HAR recording.

    Only the JSON answers of one host are read. Keys, tokens, cookies and all else that looks like
    a secret are neither kept nor shown.

    Args:
        data: the recording.
        host: the host of the API; the one that looks most like an API, if not given.
        name: what the dialect is to be called.
        source: what the recording is called where it and other evidence are spoken of.
        yes: as for `learn_openapi`.

    Raises:
        LearnError: it is no HAR recording, or holds no JSON answer of the host.

    Example:
        >>> learn_har(Path("dashboard.har").read_bytes(), host="api.barrack.ai")
    """
    entries = _entries(data)
    chosen = host.strip().casefold() if host else _likeliest_host(entries)
    mine = [e for e in entries if _host(e) == chosen]
    if not chosen or not mine:
        what = f"of {host}" if host else "of an API"
        raise LearnError(f"the recording holds no JSON answers {what}")
    secrets = sorted({s for e in entries for s in _secrets(e) if len(s) >= _SHORTEST})
    if len(secrets) > _MOST_SECRETS or sum(map(len, secrets)) > LARGEST // 10:
        raise LearnError(
            f"the recording holds more than {_MOST_SECRETS} values where secrets are expected; "
            "make a shorter recording"
        )
    hidden = Secrets(secrets)
    samples = [s for e in mine if (s := _sample(e, hidden)) is not None]
    if not any(200 <= s.status < 300 for s in samples):
        raise LearnError(f"the recording holds no successful JSON answers of {chosen}")
    learned = learn_samples(samples, secrets=secrets, source=source)
    notes: list[str] = []
    others = {h for e in entries if (h := _host(e)) and h != chosen}
    if others:
        notes.append(f"read {chosen}; answers of {len(others)} other hosts were not read")
    if any(_has_cookies(e) for e in mine) and "auth" not in learned.matches:
        notes.append(
            "the dashboard signs in with a cookie, so the recording does not show how an API key "
            "is sent"
        )
    shown = [replace(one, notes=tuple(notes)) for one in learned.evidence]
    return learn_evidence(shown, name=name, yes=yes)


def _table(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _entries(data: bytes) -> list[Mapping[str, Any]]:
    if len(data) > LARGEST:
        raise LearnError(f"the recording is larger than {LARGEST} bytes")
    try:
        root = read_json(text_of(data, "the recording"), "the recording")
    except UnreadableError:
        # No detail: it would quote what may be a secret.
        raise LearnError("this is not a HAR recording: it is not JSON") from None
    entries = _list(_table(_table(root).get("log")).get("entries"))
    found = [e for e in entries if isinstance(e, Mapping)]
    if not found:
        raise LearnError("this is not a HAR recording: it has no log.entries")
    if len(found) > _MOST_ENTRIES:
        raise LearnError(
            f"the recording has more than {_MOST_ENTRIES} entries; make a shorter recording"
        )
    return found


def _request(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    return _table(entry.get("request"))


def _host(entry: Mapping[str, Any]) -> str:
    try:
        return urlsplit(_text(_request(entry).get("url"))).netloc.rpartition("@")[2].casefold()
    except ValueError:
        return ""


def _likeliest_host(entries: list[Mapping[str, Any]]) -> str:
    votes: Counter[str] = Counter()
    for entry in entries:
        content = _table(_table(entry.get("response")).get("content"))
        if "json" not in _text(content.get("mimeType")) or not _host(entry):
            continue
        host, path = _host(entry), urlsplit(_text(_request(entry).get("url"))).path
        is_api = "api" in host.split(".")[0] or "/api" in path or "/v1" in path or "/v2" in path
        votes[host] += 5 if is_api else 1
    return votes.most_common(1)[0][0] if votes else ""


def _pairs(value: Any) -> Iterator[tuple[str, str]]:
    for item in _list(value):
        yield _text(_table(item).get("name")), _text(_table(item).get("value"))


def _has_cookies(entry: Mapping[str, Any]) -> bool:
    return any(n.casefold() == "cookie" for n, _ in _pairs(_request(entry).get("headers")))


def _secrets(entry: Mapping[str, Any]) -> Iterator[str]:
    """Every text of an entry that stands where secrets stand."""
    request, response = _request(entry), _table(entry.get("response"))
    for side in (request, response):
        for name, value in _pairs(side.get("headers")):
            if is_secret_name(name):
                yield value
                for piece in value.replace(";", " ").replace("=", " ").split():
                    if piece.casefold() not in _SCHEMES:
                        yield piece
        for _, value in _pairs(side.get("cookies")):
            yield value
    queried = [*_pairs(request.get("queryString")), *_query(_text(request.get("url")))]
    for name, value in queried:
        if is_secret_name(name) or looks_secret(value):
            yield value
    for body in (_body(_table(request.get("postData"))), _body(_table(response.get("content")))):
        yield from _secrets_in(body)


def _query(url: str) -> list[tuple[str, str]]:
    try:
        parts = urlsplit(url)
        user = [("password", p) for p in parts.netloc.rpartition("@")[0].split(":")]
        return [*parse_qsl(parts.query), *user]
    except ValueError:
        return []


def _secrets_in(value: Any) -> Iterator[str]:
    waiting: list[tuple[str, Any]] = [("", value)]
    for _ in range(500_000):
        if not waiting:
            return
        name, inner = waiting.pop()
        if isinstance(inner, Mapping):
            waiting += [(str(k) if not is_secret_name(name) else name, v) for k, v in inner.items()]
        elif isinstance(inner, list):
            waiting += [(name, v) for v in inner]
        elif isinstance(inner, str) and inner and is_secret_name(name):
            yield inner


def _body(content: Mapping[str, Any]) -> Any:
    text = _text(content.get("text"))
    try:
        if content.get("encoding") == "base64":
            text = base64.b64decode(text, validate=False).decode("utf-8-sig")
        body = json.loads(text) if text else None
        check_depth(body, "the body")
    except (ValueError, RecursionError, binascii.Error, UnreadableError):
        return None
    return body


def _sample(entry: Mapping[str, Any], secrets: Secrets) -> RecordedCall | None:
    request, response = _request(entry), _table(entry.get("response"))
    body = _body(_table(response.get("content")))
    status, method = response.get("status"), _text(request.get("method")).upper()
    if not isinstance(status, int) or not isinstance(body, dict | list):
        return None
    if method not in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        return None
    headers = list(_pairs(request.get("headers")))
    scheme = next(
        (v.split()[0] for n, v in headers if n.casefold() == "authorization" and " " in v.strip()),
        "",
    )
    return RecordedCall(
        method=method,
        url=_clean_url(_text(request.get("url")), secrets),
        status=status,
        headers=tuple(n for n, _ in headers if n and not n.startswith(":")),
        body=body,
        asked=_body(_table(request.get("postData"))),
        scheme=scheme if scheme.casefold() in _SCHEMES else "",
    )


def _clean_url(url: str, secrets: Secrets) -> str:
    """The address without a user, and without values in its query but plain numbers."""
    parts = urlsplit(url)
    path = "/".join(
        "0" if part and (looks_secret(part) or secrets.are_in(part)) else part
        for part in parts.path.split("/")
    )
    query = "&".join(
        f"{name}={value if value.isdecimal() and len(value) < 6 else 'x'}"
        for name, value in parse_qsl(parts.query, keep_blank_values=True)
        if name.isprintable() and not is_secret_name(name) and not looks_secret(name)
        and not secrets.are_in(name) and not set(name) & set("&=#% ")
    )  # fmt: skip
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{path}?{query}"
