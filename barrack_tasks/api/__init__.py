"""The HTTP client and the models. Knows nothing of Prefect."""

from barrack_tasks.api import models
from barrack_tasks.api.client import Barrack
from barrack_tasks.api.dialect import Dialect
from barrack_tasks.api.errors import (
    BarrackAuthenticationError,
    BarrackConfigurationError,
    BarrackConflictError,
    BarrackError,
    BarrackInsufficientCreditsError,
    BarrackNotFoundError,
    BarrackNotPermittedError,
    BarrackOutOfStockError,
    BarrackQuotaError,
    BarrackRateLimitedError,
    BarrackResponseError,
    BarrackServerError,
    BarrackTimeoutError,
    BarrackTransportError,
    BarrackValidationError,
)
from barrack_tasks.api.transport.bounds import Bounds
from barrack_tasks.api.transport.caller import RetryPolicy

__all__ = [
    "Barrack",
    "BarrackAuthenticationError",
    "BarrackConfigurationError",
    "BarrackConflictError",
    "BarrackError",
    "BarrackInsufficientCreditsError",
    "BarrackNotFoundError",
    "BarrackNotPermittedError",
    "BarrackOutOfStockError",
    "BarrackQuotaError",
    "BarrackRateLimitedError",
    "BarrackResponseError",
    "BarrackServerError",
    "BarrackTimeoutError",
    "BarrackTransportError",
    "BarrackValidationError",
    "Bounds",
    "Dialect",
    "RetryPolicy",
    "models",
]
