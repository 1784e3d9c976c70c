"""One request and its answer: no repetition, every failure classified."""

from __future__ import annotations

import email.utils
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import httpx
from pydantic import BaseModel, ValidationError

from barrack_tasks.api import errors
from barrack_tasks.api.dialect import Codec, Dialect
from barrack_tasks.api.dialect.codec import dig, steps_of
from barrack_tasks.api.models import ErrorResponse
from barrack_tasks.api.operations import Operation


@dataclass(frozen=True)
class Call:
    """What a caller asks for, under canonical names."""

    operation: Operation[Any]
    path: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, Any] = field(default_factory=dict)
    body: BaseModel | None = None
    raw_query: Mapping[str, str] = field(default_factory=dict)
    """Parameters of paging, already under their wire names."""

    @property
    def sent(self) -> dict[str, Any]:
        """Path parameters and body fields, flat."""
        body = {k: getattr(self.body, k) for k in type(self.body).model_fields} if self.body else {}
        return {**self.path, **body}


class Exchange:
    """Sends calls in one dialect over one `httpx.Client`."""

    def __init__(self, http: httpx.Client, dialect: Dialect, base_url: str, api_key: str) -> None:
        self._http = http
        self._dialect = dialect
        self._codec = Codec(dialect)
        self._base_url = base_url.rstrip("/")
        self._api_key = api_key
        scheme = dialect.auth.scheme
        self._auth = {dialect.auth.header: f"{scheme} {api_key}".strip()}
        self.server_time: datetime | None = None
        """The server's clock as of its latest answer."""

    def send(self, call: Call, timeout: float) -> Any:
        """Send once; the answer as the operation's response model, or a `BarrackError`."""
        return self.read(call.operation, self._send(call, timeout))

    def _send(self, call: Call, timeout: float) -> httpx.Response:
        name = call.operation.name
        wire = self._dialect.operations.get(name)
        if wire is None:
            raise errors.BarrackConfigurationError(
                f"the dialect {self._dialect.name!r} does not say how this operation goes on the "
                f"wire; add operations.{name} to it",
                operation=name,
            )
        path = wire.path.format(**{k: quote(str(v), safe="") for k, v in call.path.items()})
        query = {
            wire.query.get(k, k): self._codec.encode_value(None, v)
            for k, v in call.query.items()
            if v is not None
        }
        try:
            return self._http.request(
                wire.method,
                self._base_url + path,
                params={**query, **call.raw_query} or None,
                json=self._codec.encode(call.body) if call.body is not None else None,
                headers=self._auth,
                timeout=httpx.Timeout(timeout, connect=min(timeout, 10.0)),
            )
        except httpx.HTTPError as error:
            raise self._no_answer(name, error) from None
        except httpx.InvalidURL as error:
            raise errors.BarrackConfigurationError(
                f"the base URL {self._base_url!r} cannot be used: {error}", operation=name
            ) from None

    def _no_answer(self, name: str, error: httpx.HTTPError) -> errors.BarrackError:
        never_sent = isinstance(
            error,
            httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout | httpx.ProxyError,
        )
        took_effect = False if never_sent else None
        if isinstance(error, httpx.UnsupportedProtocol):
            return errors.BarrackConfigurationError(
                f"the base URL {self._base_url!r} must start with http:// or https://",
                operation=name,
            )
        if isinstance(error, httpx.TimeoutException):
            return errors.BarrackTimeoutError(
                f"no answer in time from {self._base_url}", operation=name, took_effect=took_effect
            )
        detail = self._clean(str(error)) or type(error).__name__
        if never_sent:
            message = f"cannot connect to {self._base_url}: {detail}"
        else:
            message = f"the connection to {self._base_url} broke before the answer: {detail}"
        return errors.BarrackTransportError(message, operation=name, took_effect=took_effect)

    def read(self, operation: Operation[Any], response: httpx.Response) -> Any:
        """The operation's response model, or the error that the answer stands for."""
        if sent_at := response.headers.get("date"):
            self.server_time = _http_date(sent_at) or self.server_time
        request_id = response.headers.get(self._dialect.request_id_header)
        if not response.is_success:
            raise self._refusal(operation.name, response, request_id)
        about: dict[str, Any] = {
            "operation": operation.name,
            "status_code": response.status_code,
            "request_id": request_id,
            "took_effect": None if operation.changes else False,
        }
        if not response.content.strip():
            body: Any = {}
        else:
            try:
                body = json.loads(response.content, parse_float=Decimal)
            except ValueError:
                start = self._clean(response.text.strip()[:60])
                kind = response.headers.get("content-type", "no content type")
                raise errors.BarrackResponseError(
                    f"the answer from {self._base_url} is not JSON but {kind}, beginning {start!r}",
                    **about,
                ) from None
        wire = self._dialect.operations[operation.name]
        envelope = self._dialect.envelope if wire.envelope is None else wire.envelope
        inner = dig(body, steps_of(envelope), {})
        try:
            return operation.response.model_validate(self._codec.decode(operation.response, inner))
        except ValidationError as error:
            raise errors.BarrackResponseError(_unreadable(error), **about) from None

    def _refusal(
        self, name: str, response: httpx.Response, request_id: str | None
    ) -> errors.BarrackError:
        code = response.status_code
        message, reason, fields = self._read_error(response)
        known: dict[str, Any] = {
            "operation": name,
            "status_code": code,
            "reason": reason,
            "request_id": request_id,
            "fields": fields,
        }
        said = f"{reason or ''} {message}".casefold()
        if code in (401, 403):
            return errors.BarrackAuthenticationError(message, **known)
        if code == 429:
            after = retry_after(response.headers.get("retry-after"), self.server_time)
            return errors.BarrackRateLimitedError(message, retry_after=after, **known)
        if code >= 500:
            server_error = errors.BarrackServerError(
                message, **{**known, "took_effect": False if code == 501 else None}
            )
            return server_error
        if code == 402 or (code == 400 and ("credit" in said or "balance" in said)):
            return errors.BarrackInsufficientCreditsError(message, **known)
        if code in (400, 409) and "stock" in said:
            return errors.BarrackOutOfStockError(message, **known)
        if code == 404:
            return errors.BarrackNotFoundError(message, **known)
        if code == 409 or (code == 400 and any(w in said for w in ("state", "already", "exists"))):
            return errors.BarrackConflictError(message, **known)
        if code in (400, 413, 422):
            return errors.BarrackValidationError(message, **known)
        return errors.BarrackResponseError(message, **known)

    def _read_error(self, response: httpx.Response) -> tuple[str, str | None, dict[str, str]]:
        standard = f"Barrack answered {response.status_code} {response.reason_phrase}".strip()
        try:
            inner = dig(response.json(), steps_of(self._dialect.error_envelope), {})
            body = ErrorResponse.model_validate(self._codec.decode(ErrorResponse, inner))
        except ValueError:
            return standard, None, {}
        fields: dict[str, str] = {}
        if isinstance(body.errors, Mapping):
            fields = {str(k): self._clean(str(v)) for k, v in body.errors.items()}
        message = self._clean(body.message) if body.message else standard
        if fields:
            message += ": " + "; ".join(f"{k}: {v}" for k, v in fields.items())
        return message, body.error_reason, fields

    def _clean(self, text: str) -> str:
        """The text without the key, should a server or library ever repeat it."""
        return text.replace(self._api_key, "***") if self._api_key else text


def _unreadable(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"]) or "the body"
    if first["type"] == "missing":
        return f"the answer lacks the required field {place}"
    return f"the answer's field {place} cannot be read: {first['msg']}"


def _http_date(text: str) -> datetime | None:
    try:
        return email.utils.parsedate_to_datetime(text).astimezone(UTC)
    except (TypeError, ValueError):
        return None


def retry_after(header: str | None, server_time: datetime | None) -> float | None:
    """Seconds to wait by a `Retry-After` header, given in seconds or as an HTTP date."""
    if not header:
        return None
    try:
        return max(0.0, float(header))
    except ValueError:
        moment = _http_date(header)
    if moment is None:
        return None
    return max(0.0, (moment - (server_time or datetime.now(UTC))).total_seconds())
