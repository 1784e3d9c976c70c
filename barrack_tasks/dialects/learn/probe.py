"""Learning from the API itself: a few careful reads, one at a time, of the host that was named."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

import httpx

from barrack_tasks.api.client import http_client
from barrack_tasks.api.dialect.reading import MOST_VALUES, UnreadableError, check_depth
from barrack_tasks.api.operations import OPERATIONS
from barrack_tasks.api.transport import network
from barrack_tasks.api.transport.body import ACCEPTED, Damaged, TooMuch, joined, unpacked
from barrack_tasks.api.transport.bounds import Bounds
from barrack_tasks.dialects.learn import candidates as asking
from barrack_tasks.dialects.learn import seeking
from barrack_tasks.dialects.learn.document import Document, LearnError
from barrack_tasks.dialects.learn.evidence import ApiEvidence, learn_evidence, learn_openapi
from barrack_tasks.dialects.learn.result import Learned
from barrack_tasks.dialects.learn.samples import RecordedCall, learn_samples

Send = Callable[[httpx.Request], httpx.Response]
_MOST_FAILURES = 3
_MOST_PLACES = 14
_KEPT_FOR_LISTS = 30
"""Requests that are left for the lists when a document has been looked for."""
_FIRST = {"/regions": "list_regions", "/instances": "list_instances"}
"""What is asked for first, to see how the key is shown."""
_BOUNDS = Bounds(answer_bytes=5_000_000)
_SECONDS = 10.0
"""For one whole answer."""


class _Stop(Exception):
    """Nothing more is asked; says why."""


class _RefusedKeyError(_Stop):
    """The key is refused in every way of showing it that was tried."""


def probe(
    base_url: str,
    api_key: str,
    *,
    send: Send | None = None,
    limit: int = 60,
    name: str = "learned",
    seek: bool = True,
    yes: bool = False,
) -> Learned:
    """Learn a dialect by asking the API. Reads only, and nothing that does anything.

    Every request is a GET to the host of `base_url`. It ends at once when the key is refused in
    every usual way of showing it and no document names another, or when the API says that it is
    too much. An OpenAPI document of the
    API is looked for in the usual places, without the key first; what it says is learned as well,
    and tells where to ask. A redirect is followed only to a document on the same host.

    Args:
        base_url: where the API is, with or without a path.
        api_key: the key; it is sent to no other host, and shown nowhere.
        send: sends one request; if not given, a client of its own, with bounds on the time and
            size of an answer.
        limit: requests at most.
        name: what the dialect is to be called.
        seek: whether to look for a document.
        yes: as for `learn_openapi`.

    Raises:
        LearnError: no address, no key, or nothing was answered that could be read.

    Example:
        >>> probe("https://api.barrack.ai", api_key).report()
    """
    url = _checked(base_url)
    if not api_key or not all("!" <= c <= "~" for c in api_key):
        raise LearnError("the API key is empty or holds characters that no key has")
    prober = _Prober(url, api_key, max(1, min(limit, 60)), seek)
    del api_key
    if send is not None:
        return prober.run(send, name, yes)
    with http_client(url, httpx.Limits()) as client:
        return prober.run(lambda request: _send(client, request), name, yes)


def _send(client: httpx.Client, request: httpx.Request) -> httpx.Response:
    """The answer, read whole and within bounds."""
    with network.within(_SECONDS):
        response = client.send(request, stream=True)
        try:
            raw = joined(response.iter_raw(), _BOUNDS)
        finally:
            response.close()
    content = unpacked(raw, response.headers.get("content-encoding", ""), _BOUNDS)
    where = {k: v for k, v in response.headers.items() if k.lower() == "location"}
    return httpx.Response(response.status_code, headers=where, content=content)


def _checked(base_url: str) -> str:
    try:
        parts = urlsplit(base_url)
        fits = parts.port is None or parts.port > 0
    except (ValueError, AttributeError):
        raise LearnError(
            "the address is not valid; it must look like https://api.barrack.ai"
        ) from None
    plain = not (parts.query or parts.fragment or "@" in parts.netloc)
    if not (parts.scheme in ("http", "https") and parts.hostname and fits and plain):
        raise LearnError(
            "the address must look like https://api.barrack.ai, with nothing after its path"
        )
    return base_url.rstrip("/")


@dataclass
class _Prober:
    url: str
    key: str = field(repr=False)
    limit: int = 60
    seek: bool = True
    prefix: str = ""
    auth: tuple[str, str] | None = None
    asked: int = 0
    failures: int = 0
    samples: list[RecordedCall] = field(default_factory=list, repr=False)
    notes: list[str] = field(default_factory=list)
    paging: dict[str, Any] = field(default_factory=dict)
    document: ApiEvidence | None = field(default=None, repr=False)
    told: dict[str, str] = field(default_factory=dict)
    """Paths of lists that the document tells, by operation."""
    auths: tuple[tuple[str, str], ...] = asking.AUTHS
    _styles: tuple[str, ...] = ("kebab", "camel", "snake")
    _nouns: tuple[str, ...] = asking.NOUNS
    _tried: set[str] = field(default_factory=set)
    _answers: dict[str, tuple[str, Any]] = field(default_factory=dict, repr=False)

    def run(self, send: Send, name: str, yes: bool) -> Learned:
        try:
            self._find_door(send)
            for operation in asking.list_operations():
                self._find(send, operation)
                if operation == "list_instances":
                    self._detail(send, "get_instance", "list_instances")
                    self._find_paging(send)
            for operation, source in asking.DETAILS:
                self._detail(send, operation, source)
        except _Stop as stop:
            self.notes.append(str(stop))
        evidence = [self.document] if self.document is not None else []
        if any(s.status == 200 for s in self.samples):
            sampled = learn_samples(
                self.samples, secrets=[self.key], source=self.url, kind="probe", known=self._known()
            )
            evidence += sampled.evidence
        if not evidence:
            why = self.notes[-1] if self.notes else "no known path gave a JSON answer"
            raise LearnError(f"nothing could be learned from {self.url}: {why}")
        notes = (f"{self.asked} requests were sent, all of them GET", *self.notes)
        evidence[-1] = replace(evidence[-1], notes=notes)
        return learn_evidence(evidence, name=name, yes=yes)

    def _known(self) -> dict[str, Any]:
        known: dict[str, Any] = {"paging": self.paging or None}
        if self.auth is not None:
            header, scheme = self.auth
            known["auth"] = {"header": header, "scheme": scheme}
        return known

    # The document

    def _find_document(self, send: Send) -> None:
        """Look for a document in the usual places, and let it say where the lists are."""
        asked: set[str] = set()
        bases = list(seeking.bases_of(self.url))
        places = [base + path for path in seeking.DOCUMENTS for base in bases]
        places = places[:_MOST_PLACES]
        places += [bases[-1] + page for page in seeking.PAGES]
        for place in places:
            if self.document is not None:
                return
            for link in self._look(send, place, asked):
                if self.document is None:
                    self._look(send, link, asked)

    def _look(self, send: Send, address: str, asked: set[str]) -> list[str]:
        """Take the document that stands at an address; or the links of a page that names some."""
        if address in asked or self.asked >= self.limit - _KEPT_FOR_LISTS:
            return []
        asked.add(address)
        key: tuple[str, str] | None = None
        answer = self._fetch(send, address, key)
        if answer.status_code in (401, 403) and self.auth is not None:
            key = self.auth
            answer = self._fetch(send, address, key)
        if 300 <= answer.status_code < 400:
            address = seeking.beside(answer.headers.get("location", ""), address)
            if not address or address in asked:
                return []
            asked.add(address)
            answer = self._fetch(send, address, key)
        return self._take(address, answer.content) if answer.status_code == 200 else []

    def _fetch(self, send: Send, address: str, key: tuple[str, str] | None) -> httpx.Response:
        """What stands at an address that may be a document; status 599 if nothing comes."""
        self.asked += 1
        headers = {**self._headers(key), "accept": "application/json, application/yaml, text/html"}
        timeout = {"timeout": httpx.Timeout(_SECONDS).as_dict()}
        try:
            answer = send(httpx.Request("GET", address, headers=headers, extensions=timeout))
        except (TooMuch, Damaged):
            return httpx.Response(413)
        except (httpx.HTTPError, httpx.InvalidURL, OSError):
            self.failures += 1
            if self.failures >= _MOST_FAILURES:
                raise _Stop("the API does not answer") from None
            return httpx.Response(599)
        finally:
            del headers
        if answer.status_code == 429:
            raise _Stop("the API refused further requests as too many (429)")
        self.failures = 0
        return answer if len(answer.content) <= _BOUNDS.answer_bytes else httpx.Response(413)

    def _take(self, address: str, content: bytes) -> list[str]:
        start = content.lstrip()[:1]
        if start == b"<":
            return seeking.linked(content.decode("utf-8", "replace"), address)
        try:
            read = Document.read(content)
            found = learn_openapi(read, source=address, source_url=address)
        except LearnError:
            return []
        if self.key in content.decode("utf-8", "replace"):
            self.notes.append(f"{address} shows the key, so it was not read")
            return []
        [self.document] = found.evidence
        self.notes.append(f"the document at {address} was read")
        self._follow(found)
        return []

    def _follow(self, found: Learned) -> None:
        """Ask where the document says that the lists are, as far as that is this host."""
        base = found.matches.get("base_url")
        place = seeking.beside(str(base.wire), self.url) if base is not None else self.url
        own = urlsplit(self.url).path.rstrip("/")
        under = urlsplit(place).path.rstrip("/")
        if not place or not f"{under}/".startswith(f"{own}/"):
            return
        for what, match in found.matches.items():
            name = what.removeprefix("operations.")
            if name in OPERATIONS and match.wire is not None and match.wire["method"] == "GET":
                path = under.removeprefix(own) + str(match.wire["path"])
                if "{" not in path:
                    self.told[name] = path
        auth = found.matches.get("auth")
        if self.auth is None and auth is not None and "header" in auth.wire:
            self.auths = ((auth.wire["header"], auth.wire.get("scheme", "")), *self.auths)

    # One request

    def _get(self, send: Send, path: str, query: str = "") -> tuple[int, Any]:
        """Status and JSON body of one GET; None where there is none."""
        if not asking.is_safe(path):
            return 0, None
        if self.asked >= self.limit:
            raise _Stop(f"the limit of {self.limit} requests was reached")
        self.asked += 1
        header, scheme = self.auth or self.auths[0]
        headers = self._headers((header, scheme))
        address = self.url + path + (f"?{query}" if query else "")
        status, body, problem = _exchange(send, address, headers)
        del headers
        if problem:
            self.failures += 1
            if self.failures >= _MOST_FAILURES:
                raise _Stop(f"the API does not answer: {problem}")
            return 0, None
        if status == 429:
            raise _Stop("the API refused further requests as too many (429)")
        if status >= 500 and status != 501:
            self.failures += 1
            if self.failures >= _MOST_FAILURES:
                raise _Stop(f"the API fails (HTTP {status})")
        else:
            self.failures = 0
        if 300 <= status < 400:
            self.notes.append(
                f"{path} redirects to another address (HTTP {status}), which was not followed"
            )
        if isinstance(body, dict | list):
            names = (header,) if status == 200 else ()
            self.samples.append(RecordedCall("GET", address, status, names, body, scheme=scheme))
        return status, body

    def _headers(self, key: tuple[str, str] | None) -> dict[str, str]:
        headers = {"accept": "application/json", "accept-encoding": ACCEPTED}
        if key is not None:
            header, scheme = key
            headers[header] = f"{scheme} {self.key}".strip()
        return headers

    # The first answer: which way of showing the key, and which prefix

    def _find_door(self, send: Send) -> None:
        usual = self.auths
        try:
            is_open = self._is_open(send, ((p, f) for p in asking.PREFIXES for f in _FIRST))
        except _RefusedKeyError:
            if self.seek:
                self._find_document(send)
            if self.auths == usual:
                raise
            is_open, self.auths = False, self.auths[:1]  # the way that only the document names
        else:
            if self.seek:
                self._find_document(send)
        lists = [self.told[name] for name in _FIRST.values() if name in self.told]
        if is_open or self._is_open(send, (("", path) for path in lists)):
            return
        raise _Stop("neither /regions nor /instances exists under a usual prefix")

    def _is_open(self, send: Send, doors: Iterable[tuple[str, str]]) -> bool:
        names = {**_FIRST, **{path: name for name, path in self.told.items()}}
        for prefix, first in doors:
            self._tried.add(prefix + first)
            status, body = self._with_auth(send, prefix + first)
            if status == 200 and isinstance(body, dict | list):
                self.prefix = prefix
                self._answers[names[first]] = (prefix + first, body)
                return True
        return False

    def _with_auth(self, send: Send, path: str) -> tuple[int, Any]:
        if self.auth is not None:
            status, body = self._get(send, path)
            if status in (401, 403):
                return 0, None
            return status, body
        for number, auth in enumerate(self.auths):
            self.auth = auth
            status, body = self._get(send, path)
            if status not in (401, 403):
                if number == 0 and status != 200:
                    self.auth = None  # there was nothing here that asks for a key
                return status, body
        self.auth = None
        raise _RefusedKeyError("the API refused the key (401) in every usual way of sending it")

    # Further paths

    def _find(self, send: Send, operation: str) -> None:
        if operation in self._answers:
            return
        nouns = self._nouns if operation == "list_instances" else self._nouns[:1]
        paths = [self.prefix + g for g in asking.guesses(operation, self._styles, nouns)]
        if operation in self.told:
            paths = [self.told[operation]]
        elif self.document is not None and operation not in asking.LISTS[:8]:
            paths = []  # the document would say where it is
        for path in paths:
            if path in self._tried:
                continue
            self._tried.add(path)
            status, body = self._get(send, path)
            if status == 200 and isinstance(body, dict | list):
                self._answers[operation] = (path, body)
                self._note_habits(operation, path)
                return
            if self.asked > self.limit - 12 and operation not in asking.LISTS[:8]:
                return

    def _note_habits(self, operation: str, guess: str) -> None:
        last = guess.rsplit("/", 1)[-1]
        if operation == "list_instances":
            self._nouns = (last,)
        elif re.search(r"[a-z][A-Z]", last):
            self._styles = ("camel",)
        elif "-" in last or "_" in last:
            self._styles = ("kebab",) if "-" in last else ("snake",)

    def _detail(self, send: Send, operation: str, source: str) -> None:
        if source not in self._answers or operation in self._answers:
            return
        path, body = self._answers[source]
        ids = [i for item in _items(body) if (i := asking.plain_id(_id_of(item)))]
        if not ids:
            return
        tail = OPERATIONS[operation].path.partition("}")[2]
        target = f"{path}/{ids[0]}{asking.styled(tail, self._styles[0]) if tail else ''}"
        status, answer = self._get(send, target)
        if status == 200:
            self._answers[operation] = (target, answer)

    # Paging

    def _find_paging(self, send: Send) -> None:
        found = self._answers.get("list_instances")
        if found is None:
            return
        path, body = found
        ids = [_id_of(item) for item in _items(body)]
        if len(ids) < 2:
            return
        text = repr(body)  # the names that the answer itself uses come first
        for size in sorted(asking.SIZES, key=lambda name: f"'{name}'" not in text):
            if [_id_of(x) for x in _items(self._get(send, path, f"{size}=1")[1])] == ids[:1]:
                break
        else:
            return
        for style, name, value in (
            ("page", "page", 2),
            ("offset", "offset", 1),
            ("offset", "skip", 1),
        ):
            answer = self._get(send, path, f"{name}={value}&{size}=1")[1]
            if [_id_of(x) for x in _items(answer)] == ids[1:2]:
                self.paging = {"style": style, style: name, "page_size": size}
                return


def _exchange(send: Send, address: str, headers: dict[str, str]) -> tuple[int, Any, str]:
    """Status, JSON body, and what went wrong; no exception that holds the key gets out."""
    try:
        timeout = {"timeout": httpx.Timeout(_SECONDS).as_dict()}
        response = send(httpx.Request("GET", address, headers=headers, extensions=timeout))
    except (TooMuch, Damaged) as error:
        return 0, None, str(error)
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        return 0, None, type(error).__name__
    try:
        body = response.json() if len(response.content) <= _BOUNDS.answer_bytes else None
        check_depth(body, address, MOST_VALUES)
    except (ValueError, RecursionError, UnreadableError):
        body = None
    return response.status_code, body, ""


def _items(body: Any) -> list[Any]:
    """The first list of objects in an answer."""
    waiting = [body]
    for _ in range(100):
        if not waiting:
            break
        value = waiting.pop(0)
        if isinstance(value, list) and value and all(isinstance(x, dict) for x in value):
            return value
        if isinstance(value, dict):
            waiting += value.values()
    return []


def _id_of(item: Any) -> Any:
    if not isinstance(item, dict):
        return None
    return next((item[k] for k in ("id", "uuid", "uid") if k in item), None)
