"""What can go wrong, as one hierarchy under `BarrackError`."""

from __future__ import annotations

import dis
from collections.abc import Mapping
from functools import partial
from typing import Any

from barrack_tasks.api.models.text import one_line


class BarrackError(Exception):
    """Anything that went wrong between the caller and Barrack.

    Attributes:
        message: what happened, in one sentence.
        operation: name of the operation, such as `hibernate_instance`, if there was one.
        status_code: HTTP status, if there was an answer.
        reason: the API's own word for the reason, if given.
        request_id: the API's id of the request, if given; support will ask for it.
        fields: messages by field, where the API or the check before sending named fields.
        is_api_answer: whether the API itself said it, in the form that its refusals have. The page
            of a proxy, and a body that says nothing, are no answer of the API.
        took_effect: False if the request surely changed nothing, None if that is not known.

    No text of it ever holds the API key. Message and fields are one line each, without control
    characters.
    """

    advice = ""
    """What to do next, as a sentence."""

    def __init__(
        self,
        message: str,
        *,
        operation: str | None = None,
        status_code: int | None = None,
        reason: str | None = None,
        request_id: str | None = None,
        fields: Mapping[str, str] | None = None,
        is_api_answer: bool = False,
        took_effect: bool | None = False,
    ) -> None:
        self.message = one_line(message, _LONGEST)
        super().__init__(self.message)
        self.operation = operation
        self.status_code = status_code
        self.reason = reason
        self.request_id = request_id
        self.fields = {one_line(k): one_line(v) for k, v in (fields or {}).items()}
        self.is_api_answer = is_api_answer
        self.took_effect = took_effect

    def __str__(self) -> str:
        where = f"{self.operation}: " if self.operation else ""
        code = f" (HTTP {self.status_code})" if self.status_code else ""
        request = f" [request {self.request_id}]" if self.request_id else ""
        unknown = (
            " It is not known whether the request took effect: check before you repeat it."
            if self.took_effect is None
            else ""
        )
        advice = f" {self.advice}" if self.advice else ""
        return f"{where}{self.message.rstrip('.')}{code}.{unknown}{advice}{request}"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), dict(self.__dict__))

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows of it: the sentence says all that a traceback would."""
        return _rendered(f"{type(self).__name__}: {self}")


_LONGEST = 4_000
"""Characters of a message."""


def _rebuild(kind: type[BarrackError], state: dict[str, Any]) -> BarrackError:
    error = kind(state["message"])
    error.__dict__.update(state)
    return error


class BarrackConfigurationError(BarrackError):
    """Something that must be set is not, or is set to what cannot be used."""


class BarrackNotPermittedError(BarrackError):
    """It was not sent: who sends may not change this any more, see `Barrack.guarded`."""


class BarrackAuthenticationError(BarrackError):
    """The API key was refused (401, 403)."""

    advice = "Check the API key (BARRACK_API_KEY or the block) on the dashboard's API Keys page."


class BarrackNotFoundError(BarrackError):
    """What the request names does not exist (404)."""

    advice = "Check the id; if every operation reports this, check BARRACK_BASE_URL."


class BarrackConflictError(BarrackError):
    """The state does not allow it, or the name is taken (409).

    Attributes:
        is_name_taken: whether the API says that something else has the name.
    """

    advice = "Check the present state, or choose another name or region."

    def __init__(self, message: str, *, is_name_taken: bool = False, **known: Any) -> None:
        super().__init__(message, **known)
        self.is_name_taken = is_name_taken


class BarrackQuotaError(BarrackError):
    """The account may have no more of it: a quota is reached (400, 403, 409, 422)."""

    advice = "Delete what you do not need, choose another model or region, or ask for more quota."


class BarrackValidationError(BarrackError, ValueError):
    """The request breaks a rule (400, 422, or found before sending); `fields` says which."""

    advice = "Correct what is named, and send the request again."


class BarrackInsufficientCreditsError(BarrackError):
    """The prepaid balance does not suffice (402)."""

    advice = "Add credits on the dashboard's billing page."


class BarrackOutOfStockError(BarrackConflictError):
    """The GPU is not in stock in that region."""

    advice = "Try again when get_gpu_stock shows it, or choose another model or region."


class BarrackRateLimitedError(BarrackError):
    """Too many requests (429), and waiting did not help within the deadline.

    Attributes:
        retry_after: seconds that the server asked to wait, if it did.
    """

    advice = "Lower requests_per_second, or raise the deadline."

    def __init__(self, message: str, *, retry_after: float | None = None, **known: Any) -> None:
        super().__init__(message, **known)
        self.retry_after = retry_after


class BarrackServerError(BarrackError):
    """Barrack failed (5xx), and repeating did not help.

    Attributes:
        retry_after: seconds that the server asked to wait, if it did.
    """

    advice = "Try again later; if it persists, report the request id to Barrack."

    def __init__(self, message: str, *, retry_after: float | None = None, **known: Any) -> None:
        super().__init__(message, **known)
        self.retry_after = retry_after


class BarrackTransportError(BarrackError):
    """No answer came: name not found, connection refused, reset or broken.

    Attributes:
        unreachable: the address, if no connection to it could be made.
    """

    advice = "Check the network and BARRACK_BASE_URL."

    def __init__(self, message: str, *, unreachable: str | None = None, **known: Any) -> None:
        super().__init__(message, **known)
        self.unreachable = unreachable


class BarrackTimeoutError(BarrackTransportError):
    """No answer came in time."""

    advice = "Check the network, or raise the timeout."


class BarrackResponseError(BarrackError):
    """An answer came that cannot be read: not JSON, a required field is missing, it goes beyond
    what the client takes in (see `Bounds`), or a list has fewer items than it says.
    """

    advice = (
        "If this happens with every call, the API differs from what this release expects: "
        "correct it in a dialect file."
    )


_HOMES = (__name__.partition(".")[0], "flows")
_RAISE = dis.opmap["RAISE_VARARGS"]


def is_told(error: BaseException) -> bool:
    """Whether this library raised an error on purpose, so that its sentence says all of it.

    Such are the kinds of errors of this library, and a plain `ValueError` of a statement `raise`
    of it. One that comes out of a call of something else is a bug, and its traceback is needed.

    Example:
        >>> is_told(BarrackConfigurationError("no key")), is_told(KeyError("bug"))
        (True, False)
    """
    if type(error).__module__.partition(".")[0] in _HOMES or getattr(error, _TOLD, False):
        return True
    trace = error.__traceback__
    if type(error) is not ValueError or trace is None:
        return False
    while trace.tb_next is not None:
        trace = trace.tb_next
    home = str(trace.tb_frame.f_globals.get("__name__")).partition(".")[0]
    return home in _HOMES and trace.tb_frame.f_code.co_code[trace.tb_lasti] == _RAISE


_TOLD = "_barrack_told"


def without_traceback(error: BaseException) -> BaseException:
    """The same error, which `is_told`, without the frames of this library and of Prefect.

    A notebook shows its sentence alone. It can be caught and pickled as before.
    """
    setattr(error, _TOLD, True)
    shown: Any = error
    shown._render_traceback_ = partial(_rendered, f"{type(error).__name__}: {error}")
    return error.with_traceback(None)


def _rendered(sentence: str) -> list[str]:
    """The lines that a notebook shows of an error, in place of a traceback."""
    return [sentence]
