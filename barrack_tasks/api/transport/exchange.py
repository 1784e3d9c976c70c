"""One request and its answer: no repetition, every failure classified."""

from __future__ import annotations

import logging
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, cast
from urllib.parse import quote

import httpx
from pydantic import BaseModel, SecretStr

from barrack_tasks.api import errors
from barrack_tasks.api.dialect import Dialect, OperationWire, codec_of
from barrack_tasks.api.dialect.codec import as_word
from barrack_tasks.api.operations import OPERATIONS, Operation
from barrack_tasks.api.transport.answers import Answers
from barrack_tasks.api.transport.body import Damaged, TooMuch, joined, unpacked
from barrack_tasks.api.transport.bounds import DEFAULT, Bounds
from barrack_tasks.api.transport.network import within
from barrack_tasks.api.transport.pacing import elapsed


@dataclass(frozen=True)
class Call:
    """What a caller asks for, under canonical names."""

    operation: Operation[Any]
    path: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, Any] = field(default_factory=dict)
    body: BaseModel | None = None
    raw_query: Mapping[str, str] = field(default_factory=dict)
    """Parameters of paging, already under their wire names."""
    names: Mapping[str, str] = field(default_factory=dict)
    """What stands on the wire for fields of the body whose id the wire calls by its name."""
    above: Mapping[str, str] = field(default_factory=dict)
    """Ids in the path of what the thing lies in, which no caller gave."""
    more: Mapping[str, Any] = field(default_factory=dict)
    """What a list told for the body, by its path there."""
    permit: Callable[[], float] | None = field(default=None, compare=False)
    """Asked directly before the request goes out; see `Barrack.guarded`."""

    @property
    def sent(self) -> dict[str, Any]:
        """Path parameters and body fields, flat."""
        body = {k: getattr(self.body, k) for k in type(self.body).model_fields} if self.body else {}
        return {**self.path, **body}


class _TooSlow(Exception):
    """The answer keeps coming, but not fast enough."""


_log = logging.getLogger(__name__)
_NEVER_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
)
_OF_THE_BYTES = ("content-encoding", "content-length", "transfer-encoding")
"""Headers of an answer that are about its bytes on the wire."""
_REMARKS = frozenset({"description"})
"""Fields of requests that nothing depends on."""
_PLACE = re.compile(r"\{([^{}]*)\}")
"""A parameter in a dialect's path."""


class Exchange:
    """Sends calls in one dialect over connections that are spread over several pools.

    The threads of one large pool spend most of their time waiting for its lock. Each sending takes
    a place of one of the pools, and gives it back when the answer is there.

    What it raises holds no key: not in its texts, nor in exceptions behind it, nor in the locals
    of the frames that it passed.
    """

    def __init__(
        self,
        pools: Sequence[httpx.Client],
        dialect: Dialect,
        base_url: str,
        api_key: SecretStr,
        clock: Callable[[], float] = elapsed,
        bounds: Bounds = DEFAULT,
    ) -> None:
        self._http = pools[0]
        self._headers = dict(pools[0].headers)
        self._places = deque(pools)
        self._dialect = dialect
        self._codec = codec_of(dialect)
        self._base_url = base_url.rstrip("/")
        self._api_key = api_key
        self._clock = clock
        self._bounds = bounds
        self._answers = Answers(dialect, self._codec, self._base_url, api_key, bounds)
        self._dated: tuple[datetime, float] | None = None
        self.listener: Callable[[str, bytes], None] | None = None
        """Is told of every success: the operation's name, and the body as it came."""

    def now(self) -> datetime:
        """The cloud's time, by the `Date` of its last answer; this machine's, before the first.

        Never later than it is, as far as the cloud's own answers tell: a `Date` has no fractions.
        """
        return self.cloud_time() or datetime.now(UTC)

    def cloud_time(self) -> datetime | None:
        """As `now`, but None before the first answer that tells."""
        if self._dated is None:
            return None
        date, at = self._dated
        return date + timedelta(seconds=max(0.0, elapsed() - at))

    def send(self, call: Call, timeout: float) -> Any:
        """Send once; the answer as the operation's response model, or a `BarrackError`.

        The whole answer must be there within the timeout, in seconds.
        """
        response = self._send(call, timeout)
        if self.listener is not None and response.is_success:
            self.listener(call.operation.name, response.content)
        return self._answers.read(call.operation, response)

    def _send(self, call: Call, timeout: float) -> httpx.Response:
        return self._answer_to(self._request(call, timeout), call.operation, timeout)

    def _answer_to(
        self, request: httpx.Request, operation: Operation[Any], timeout: float
    ) -> httpx.Response:
        failure: errors.BarrackError
        try:
            with within(timeout):
                return self._receive(request, self._clock() + timeout)
        except (httpx.HTTPError, _TooSlow, Damaged) as error:
            failure = self._no_answer(operation, error)
        except TooMuch as too_much:
            failure = self._answers.too_much(
                too_much,
                operation=operation.name,
                status_code=too_much.status_code,
                took_effect=None if operation.changes else False,
            )
        except RuntimeError:
            if not self._http.is_closed:
                raise
            failure = self._closed(operation)
        # Raised out here, so that httpx's exception, which holds the request, is not behind it.
        raise failure

    def _request(self, call: Call, timeout: float) -> httpx.Request:
        name = call.operation.name
        wire = self._dialect.operations.get(name)
        if wire is None:
            raise errors.BarrackConfigurationError(
                f"the dialect {self._dialect.name!r} does not say how this operation goes on the "
                f"wire; add operations.{name} to it",
                operation=name,
            )
        if self._http.is_closed:
            raise self._closed(call.operation)
        self._need_words_for(call, wire)
        body = self._codec.encode(call.body) if call.body is not None else None
        given = {**call.above, **call.sent, **call.names}
        in_path = _PLACE.findall(wire.path)
        path = {place: quote(str(given[place]), safe="") for place in in_path if place in given}
        if call.body is not None:
            body = self._codec.beside(call.body, body, in_path, call.names)
        for place, content in call.more.items():
            for step in reversed(place.split(".")):
                content = {step: content}
            body = merged_body(body, content)
        if wire.body:
            body = merged_body(body, wire.body)
        query = {**wire.parameters, **self._query(call, wire.query), **call.raw_query}
        try:
            return self._made(
                wire.method,
                self._base_url + _PLACE.sub(lambda place: path[place[1]], wire.path),
                query,
                timeout,
                body,
                {"trace": _asking(call.permit)} if call.permit else {},
            )
        except (httpx.InvalidURL, LookupError, ValueError) as error:
            problem = self._answers.clean(repr(error))
        raise errors.BarrackConfigurationError(
            f"{self._base_url!r} and the dialect's path {wire.path!r} make no request: {problem}",
            operation=name,
        )

    def _made(
        self,
        method: str,
        url: str,
        query: Mapping[str, Any],
        timeout: float,
        body: Any = None,
        extensions: Mapping[str, Any] = {},
    ) -> httpx.Request:
        """A request with the key, and with the headers of every request.

        A client that makes one merges addresses, headers, parameters and cookies each time, which
        takes longer than all that is needed.
        """
        seconds = httpx.Timeout(timeout, connect=min(timeout, 10.0)).as_dict()
        return httpx.Request(
            method,
            url,
            params={**query, **self._key()} or None,
            headers={**self._headers, **self._auth()},
            json=body,
            extensions={"timeout": seconds, **extensions},
        )

    def _need_words_for(self, call: Call, wire: OperationWire) -> None:
        """Refuse a request that says what this wire cannot: without it another thing is made.

        Raises:
            BarrackConfigurationError: names the field.
        """
        schema = type(call.body).__name__
        looked_up = {told for how in wire.lookup.values() for told in how.match}
        for name, path in self._dialect.schemas.get(schema, {}).items():
            if path is not None or call.body is None or name in _REMARKS | looked_up:
                continue
            content = getattr(call.body, name)
            default = type(call.body).model_fields[name].get_default(call_default_factory=True)
            if content != default and f"{{{name}}}" not in wire.path:
                raise errors.BarrackConfigurationError(
                    f"the dialect {self._dialect.name!r} says that the API takes no {name}; leave "
                    f"it out, or correct schemas.{schema}.{name}",
                    operation=call.operation.name,
                )

    def _query(self, call: Call, names: Mapping[str, str]) -> dict[str, Any]:
        return {
            names.get(k, k): self._codec.encode_value(None, v)
            for k, v in call.query.items()
            if v is not None
        }

    def _auth(self) -> dict[str, str]:
        auth = self._dialect.auth
        if auth.query:
            return {}
        return {auth.header: f"{auth.scheme} {self._api_key.get_secret_value()}".strip()}

    def _key(self) -> dict[str, str]:
        """The key as a parameter of the address, where the API wants it there."""
        name = self._dialect.auth.query
        return {name: self._api_key.get_secret_value()} if name else {}

    def word(self, content: Any) -> str:
        """How a value of a request is written on the wire, as a word."""
        return as_word(self._codec.encode_value(None, content))

    def clean(self, text: str) -> str:
        """The text as one bounded line, without the key."""
        return self._answers.clean(text)

    def ask(self, path: str, timeout: float, query: Mapping[str, str] | None = None) -> Any:
        """The JSON that stands at a path of the API: how work fares that an answer named.

        Raises:
            BarrackError: it cannot be read.
        """
        operation = OPERATIONS["get_instance"]  # stands for any read in what is raised
        request = self._made("GET", self._base_url + path, query or {}, timeout)
        return self._answers.plain(operation, self._answer_to(request, operation, timeout))

    def _receive(self, request: httpx.Request, until: float) -> httpx.Response:
        """The answer, read whole. httpx's timeouts are for each piece, this one is for all."""
        # The place given back last is taken first, since its connection is open.
        pool = self._places.pop()
        try:
            response = sent(pool, request)
            if _log.isEnabledFor(logging.DEBUG):  # without the query, where the key may be
                where = request.url.copy_with(query=None)
                _log.debug("%s %s: %s", request.method, where, response.status_code)
            return self._received(response, until)
        finally:
            self._places.append(pool)

    def _received(self, response: httpx.Response, until: float) -> httpx.Response:
        self._note_date(response)
        try:
            pieces = cast(httpx.SyncByteStream, response.stream)
            raw = joined(self._in_time(pieces, until), self._bounds)
            encoding = response.headers.get("content-encoding", "")
            content = unpacked(raw, encoding, self._bounds)
        except TooMuch as too_much:
            too_much.status_code = response.status_code
            raise
        finally:
            response.close()
        return httpx.Response(
            response.status_code,
            headers=[h for h in response.headers.multi_items() if h[0] not in _OF_THE_BYTES],
            content=content,
            extensions=response.extensions,
        )

    def _in_time(self, pieces: Iterable[bytes], until: float) -> Iterator[bytes]:
        for piece in pieces:
            yield piece
            if self._clock() >= until:
                raise _TooSlow

    def _note_date(self, response: httpx.Response) -> None:
        with suppress(KeyError, TypeError, ValueError):
            date = parsedate_to_datetime(response.headers["date"])
            self._dated = date.astimezone(UTC), elapsed()

    def _closed(self, operation: Operation[Any]) -> errors.BarrackError:
        return errors.BarrackConfigurationError(
            "this client is closed and cannot be used any more; make a new one",
            operation=operation.name,
        )

    def _no_answer(self, operation: Operation[Any], error: Exception) -> errors.BarrackError:
        never_sent = isinstance(error, _NEVER_SENT)
        known: dict[str, Any] = {
            "operation": operation.name,
            "took_effect": None if operation.changes and not never_sent else False,
        }
        if isinstance(error, httpx.TimeoutException | _TooSlow):
            return errors.BarrackTimeoutError(f"no answer in time from {self._base_url}", **known)
        detail = self._answers.clean(str(error)) or type(error).__name__
        if isinstance(error, Damaged):
            return errors.BarrackTransportError(f"the answer is damaged: {detail}", **known)
        if never_sent:
            message = f"cannot connect to {self._base_url}: {detail}"
            known["unreachable"] = self._base_url
        else:
            message = f"the connection to {self._base_url} broke before the answer: {detail}"
        return errors.BarrackTransportError(message, **known)


def merged_body(body: Any, more: Mapping[str, Any]) -> Any:
    """A request's body with what the dialect adds to every one of the operation."""
    if not isinstance(body, dict):
        return dict(more) if body is None else body
    return {
        **body,
        **{
            k: merged_body(body[k], v) if isinstance(v, Mapping) and k in body else v
            for k, v in more.items()
        },
    }


def sent(client: httpx.Client, request: httpx.Request) -> httpx.Response:
    """The answer to a request, of which the head was read; no cookies, redirects and log.

    What a client adds to its transport, which is not used here, takes a third of the time.
    """
    if client.is_closed:
        raise RuntimeError("the client is closed")
    return client._transport_for_url(request.url).handle_request(request)


def _asking(permit: Callable[[], float]) -> Callable[[str, Mapping[str, Any]], None]:
    """Asks once more when a connection is there and the first byte would go out."""

    def trace(event: str, _: Mapping[str, Any]) -> None:
        if event.endswith(".send_request_headers.started"):
            permit()

    return trace
