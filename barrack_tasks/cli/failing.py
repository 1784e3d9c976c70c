"""How a command ends that cannot do what it was told: with one sentence, and with a code."""

from __future__ import annotations

import re

from barrack_tasks.api import BarrackError
from barrack_tasks.api.errors import (
    BarrackAuthenticationError,
    BarrackRateLimitedError,
    BarrackResponseError,
    BarrackServerError,
    BarrackTransportError,
    is_told,
)
from barrack_tasks.api.models.text import one_line

_NOT_BY_INPUT = (
    BarrackRateLimitedError,
    BarrackResponseError,
    BarrackServerError,
    BarrackTransportError,
)
_OF_PREFECT = ("ParameterTypeError", "ParameterBindError")
"""Named, since to import them would load Prefect for every command."""


class WrongWordsError(ValueError):
    """The words of a command cannot be meant; says what to write instead."""


class ServerAwayError(Exception):
    """A command needs a Prefect server, and none is known or none answers."""


def code_of(error: BaseException) -> int | None:
    """The code that a command ends with; None for what is a bug of this library.

    Returns:
        1 if the cloud or the network failed, and 2 if what a person gave cannot be meant.

    Example:
        >>> code_of(BarrackConfigurationError("no key")), code_of(KeyError("bug"))
        (2, None)
    """
    if isinstance(error, _NOT_BY_INPUT):
        return 1
    if isinstance(error, BarrackError) or type(error).__name__ in _OF_PREFECT:
        return 2
    if not is_told(error):
        return None
    return 2 if isinstance(error, ValueError) else 1


def said_of(error: BaseException) -> str:
    """What a command says of an error, without a full stop.

    The two that people meet most say at once what to do, whatever was asked of the API.

    Example:
        >>> said_of(BarrackConfigurationError("no key"))
        'no key'
    """
    if isinstance(error, BarrackAuthenticationError) and error.status_code is not None:
        first, rest = error.message[:1], error.message[1:].rstrip(".")
        said = f"{first.lower() if rest[:1].islower() else first}{rest}"
        where = "BARRACK_API_KEY or the block on the dashboard's API Keys page"
        return f"{said} (HTTP {error.status_code}); check {where}"
    if isinstance(error, BarrackTransportError) and (address := error.unreachable):
        return f"{address} cannot be reached; check the network and BARRACK_BASE_URL"
    return without_full_stop(str(error))


def without_full_stop(text: str) -> str:
    """A sentence without its full stop; three points at its end stay.

    Example:
        >>> without_full_stop("There is none.")
        'There is none'
    """
    return text if text.endswith("..") else text.removesuffix(".")


_MARKED = re.compile(r"\n[^\n]*\n *\^+")
_LONGEST = 4_000


def in_one_line(text: str) -> str:
    """What is said, in one line: what a mark points at in a line below needs lines of its own.

    Example:
        >>> in_one_line("no day is called 'Fry'\\nMon-Fry\\n    ^^^")
        "no day is called 'Fry'"
    """
    return one_line(" ".join(_MARKED.sub("", text).split()), _LONGEST)
