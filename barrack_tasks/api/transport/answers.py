"""Reading answers: the operation's response model, or the error that the answer stands for."""

from __future__ import annotations

import email.utils
import html
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any
from urllib.parse import quote

import httpx
from pydantic import SecretStr, ValidationError

from barrack_tasks.api import errors
from barrack_tasks.api.dialect import Codec, Dialect
from barrack_tasks.api.dialect.codec import as_word, dig, steps_of
from barrack_tasks.api.models import ErrorResponse
from barrack_tasks.api.models.text import one_line
from barrack_tasks.api.operations import Operation
from barrack_tasks.api.transport.body import TooMuch, parsed
from barrack_tasks.api.transport.bounds import Bounds


@dataclass(frozen=True)
class Unsaid:
    """A success that does not hold what the operation is about, in a dialect that says so.

    `work` is the id of work that was begun and can be asked for; none, if None.
    """

    work: str | None = None


_QUOTED = re.compile(r"(?<!\w)'[^']*'(?!\w)|\"[^\"]*\"|`[^`]*`")
_NOT_THERE = object()
_CREDITS = re.compile(r"\b(credits?|balance|funds)\b")
_STOCK = re.compile(r"\b(stock|capacity)\b")
_COUNTED = r"(accounts?|gpus?|instances?|machines?|projects?|resources?|vcpus?|vms?)"
_QUOTA = re.compile(
    r"\bquotas?\b"
    rf"|\b{_COUNTED}( \w+)? limits?\b"
    r"|\blimits? (was |is |has been )?(reached|exceeded)\b"
    rf"|\b(limit of|limited to|at most|no more than|more than|maximum of) \d+ (\w+ )?{_COUNTED}\b"
    rf"|\b(max|maximum|maximum number of|too many) (\w+ )?{_COUNTED}\b"
)
_NAME = re.compile(r"\bname\b.*\b(taken|exists?|in use|used)\b|\bduplicate\b.*\bname\b")
_STATE = re.compile(r"\b(state|already|exists?|duplicate|in use)\b")


class Answers:
    """Reads answers in one dialect. What it raises never holds the key."""

    def __init__(
        self,
        dialect: Dialect,
        codec: Codec,
        base_url: str,
        api_key: SecretStr,
        bounds: Bounds,
    ) -> None:
        self._dialect = dialect
        self._codec = codec
        self._base_url = base_url
        self._api_key = api_key
        self._bounds = bounds
        self.server_time: datetime | None = None
        """The server's clock as of its latest answer."""

    def read(self, operation: Operation[Any], response: httpx.Response) -> Any:
        """The operation's response model.

        Raises:
            BarrackError: what the answer stands for.
        """
        if sent_at := response.headers.get("date"):
            self.server_time = _http_date(sent_at) or self.server_time
        if response.is_success:
            answer = self._success(operation, response)
        else:
            answer = self._refusal(operation, response)
        # Raised out here, where no local holds what a server may have repeated.
        if isinstance(answer, errors.BarrackError):
            raise answer
        return answer

    def _success(self, operation: Operation[Any], response: httpx.Response) -> Any:
        """The response model, or the error of a success that is none."""
        about: dict[str, Any] = {
            "operation": operation.name,
            "status_code": response.status_code,
            "request_id": self._request_id(response),
            "took_effect": None if operation.changes else False,
        }
        try:
            body = parsed(response.content, self._bounds)
        except TooMuch as too_much:
            return self.too_much(too_much, **about)
        except ValueError:
            return errors.BarrackResponseError(self._not_json(response), **about)
        wire = self._dialect.operations[operation.name]
        if (failure := self._failure(operation, response, body)) is not None:
            return failure
        if (unsaid := self._unsaid(operation, response.status_code, body)) is not None:
            return unsaid
        envelope = self._dialect.envelope if wire.envelope is None else wire.envelope
        inner = dig(body, steps_of(envelope), {})
        if isinstance(inner, Mapping) and inner.get("status") is False:
            said = self.clean(str(inner.get("message") or "no message"))
            return errors.BarrackResponseError(
                f"the answer has the status of a success, but reports a failure: {said}", **about
            )
        try:
            read = self._codec.decode(operation.response, inner)
            if operation.paged and self._dialect.paging.style == "link" and isinstance(read, dict):
                after = response.links.get("next", {}).get("url")
                read = {
                    **read,
                    "pagination": {**(read.get("pagination") or {}), "next_cursor": after},
                }
            return operation.response.model_validate(read)
        except ValidationError as error:
            place, message = _unreadable(error)
        message = self.clean(message)
        return errors.BarrackResponseError(message, fields={self.clean(place): message}, **about)

    def _failure(
        self, operation: Operation[Any], response: httpx.Response, body: Any
    ) -> errors.BarrackError | None:
        """The refusal that an answer with the status of a success holds, if the dialect knows."""
        how = self._dialect.failure
        if how is None:
            return None
        told = dig(body, steps_of(how.at), _NOT_THERE)
        if told is _NOT_THERE or as_word(told) in how.good:
            return None
        said = str(dig(body, steps_of(how.status))) if how.status is not None else ""
        code = int(said) if re.fullmatch(r"[45][0-9][0-9]", said) else 400
        headers = [h for h in response.headers.multi_items() if h[0] != "content-length"]
        return self._refusal(
            operation, httpx.Response(code, headers=headers, content=response.content)
        )

    def _unsaid(self, operation: Operation[Any], code: int, body: Any) -> Unsaid | None:
        """Whether the answer says nothing of what the operation is about."""
        how = self._dialect.work
        if operation.changes and how is not None and code == 202:
            began = dig(body, steps_of(how.id))
            if isinstance(began, str | int) and str(began).strip():
                return Unsaid(str(began))
        result = operation.result
        if (
            operation.changes
            and result
            and not self._dialect.tells(operation.response.__name__, result)
        ):
            return Unsaid()
        return None

    def plain(self, operation: Operation[Any], response: httpx.Response) -> Any:
        """The JSON of an answer that belongs to no operation.

        Raises:
            BarrackError: what the answer stands for.
        """
        if not response.is_success:
            refusal = self._refusal(operation, response)
        else:
            try:
                return parsed(response.content, self._bounds)
            except (TooMuch, ValueError):
                refusal = errors.BarrackResponseError(
                    self._not_json(response), operation=operation.name, took_effect=None
                )
        raise refusal

    def too_much(self, too_much: TooMuch, **about: Any) -> errors.BarrackResponseError:
        """The error of an answer that goes beyond a bound."""
        message = self.clean(str(too_much))
        # The field says that the answer was understood so far: to ask again would not help.
        return errors.BarrackResponseError(message, fields={"the answer": message}, **about)

    def _not_json(self, response: httpx.Response) -> str:
        # Not in the charset that it names: a charset may be anything that Python can decode.
        text = response.content[: self._bounds.message].decode(errors="replace")
        start = self.clean(text.strip())[:60]
        kind = self.clean(response.headers.get("content-type", "no content type"))
        return f"the answer from {self._base_url} is not JSON but {kind}, beginning {start!r}"

    def _refusal(self, operation: Operation[Any], response: httpx.Response) -> errors.BarrackError:
        code = response.status_code
        body, message, fields = self._read_error(response)
        reason = self.clean(body.error_reason) if body.error_reason else None
        known: dict[str, Any] = {
            "operation": operation.name,
            "status_code": code,
            "reason": reason,
            "request_id": self._request_id(response) or self.clean(body.request_id or "") or None,
            "fields": fields,
            "is_api_answer": bool(body.message or body.error_reason),
        }
        # What stands in quotes is someone's name for a thing, not the API's word for a reason.
        said = _QUOTED.sub("", f"{reason or ''} {message}".replace("_", " ")).casefold()
        after = retry_after(response.headers.get("retry-after"), self.server_time)
        if code in (400, 403, 409, 422) and _QUOTA.search(said):
            return errors.BarrackQuotaError(message, **known)
        if code in (401, 403):
            return errors.BarrackAuthenticationError(message, **known)
        if code == 429:
            return errors.BarrackRateLimitedError(message, retry_after=after, **known)
        if code >= 500:
            known["took_effect"] = None if operation.changes and code != 501 else False
            return errors.BarrackServerError(message, retry_after=after, **known)
        if code == 402 or (code == 400 and _CREDITS.search(said)):
            return errors.BarrackInsufficientCreditsError(message, **known)
        if code in (400, 409) and _STOCK.search(said):
            return errors.BarrackOutOfStockError(message, **known)
        if code == 404:
            return errors.BarrackNotFoundError(message, **known)
        if code == 409 or (code == 400 and _STATE.search(said)):
            is_taken = bool(_NAME.search(said))
            return errors.BarrackConflictError(message, is_name_taken=is_taken, **known)
        if code in (400, 413, 422):
            return errors.BarrackValidationError(message, **known)
        return errors.BarrackResponseError(message, **known)

    def _read_error(self, response: httpx.Response) -> tuple[ErrorResponse, str, dict[str, str]]:
        """The body, as far as it can be read; what a person reads of it; messages by field."""
        phrase = self.clean(response.reason_phrase)
        standard = f"Barrack answered {response.status_code} {phrase}".strip()
        try:
            inner = dig(
                parsed(response.content, self._bounds), steps_of(self._dialect.error_envelope), {}
            )
            body = ErrorResponse.model_validate(self._codec.decode(ErrorResponse, inner))
        except (ValueError, TooMuch):
            return ErrorResponse(), standard, {}
        named = islice(_by_field(body.errors), _MOST_FIELDS)
        fields = {self.clean(k): self.clean(v) for k, v in named}
        message = self.clean(body.message) if body.message else standard
        if more := [f"{k}: {v}" for k, v in fields.items() if v not in message]:
            message += ": " + "; ".join(more)
        return body, message, fields

    def _request_id(self, response: httpx.Response) -> str | None:
        found = response.headers.get(self._dialect.request_id_header)
        return self.clean(found) if found else None

    def clean(self, text: str) -> str:
        """The text as one bounded line, without the key, should anybody ever repeat it."""
        key = self._api_key.get_secret_value()
        for written in (key, json.dumps(key)[1:-1], html.escape(key), quote(key, safe="")):
            text = text.replace(written, "***")
        return one_line(text, self._bounds.message)


_MOST_FIELDS = 20
"""Fields of a refusal that are kept."""


def _by_field(problems: Any) -> Iterable[tuple[str, str]]:
    if isinstance(problems, Mapping):
        for name, problem in problems.items():
            yield str(name), str(problem)
    for problem in problems if isinstance(problems, list) else []:
        if not isinstance(problem, Mapping):
            continue
        place = problem.get("field") or problem.get("loc")
        place = ".".join(map(str, place)) if isinstance(place, list) else place
        said = problem.get("message") or problem.get("msg")
        if place and said:
            yield str(place), str(said)


def _unreadable(error: ValidationError) -> tuple[str, str]:
    """The place in the answer that cannot be read, and what is wrong with it."""
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"]) or "the body"
    if first["type"] == "missing":
        return place, f"the answer lacks the required field {place}"
    return place, f"the answer's field {place} cannot be read: {first['msg']}"


def _http_date(text: str) -> datetime | None:
    try:
        return email.utils.parsedate_to_datetime(text).astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        return None


def retry_after(header: str | None, server_time: datetime | None) -> float | None:
    """Seconds to wait by a `Retry-After` header, given in seconds or as an HTTP date.

    A date is compared with the server's own clock, as far as that is known.
    """
    if not header:
        return None
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", header.strip(), re.ASCII):
        return float(header)
    moment = _http_date(header)
    if moment is None:
        return None
    return max(0.0, (moment - (server_time or datetime.now(UTC))).total_seconds())
