"""How this library makes Prefect tasks."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

from prefect import Task, task
from prefect.cache_policies import NO_CACHE

from barrack_tasks.credentials import BarrackCredentials

P = ParamSpec("P")
R = TypeVar("R")


def barrack_task(run_name: str | None = None) -> Callable[[Callable[P, R]], Task[P, R]]:
    """A task around one operation.

    Tasks are synchronous: those work from sync and async flows, notebook cells and outside of
    flows alike, and `submit` runs them in threads. Prefect neither caches nor repeats them: the
    cloud is the only truth, and the client knows better than a scheduler what may be repeated.

    The account, which comes first, may be a `BarrackCredentials`, the name of a saved one, or None
    for the environment, as in flows.
    """

    def decorate(function: Callable[P, R]) -> Task[P, R]:
        @wraps(function)
        def of_account(*arguments: Any, **named: Any) -> R:
            if arguments:
                account, *rest = arguments
                return function(_resolved(account), *rest, **named)
            if "credentials" in named:
                named["credentials"] = _resolved(named["credentials"])
            return function(**named)  # type: ignore[call-arg]

        made = task(
            name=function.__name__,
            task_run_name=run_name,
            cache_policy=NO_CACHE,
            retries=0,
            persist_result=False,
        )(cast(Any, of_account))
        return cast("Task[P, R]", made)

    return decorate


def _resolved(account: Any) -> Any:
    is_meant = account is None or isinstance(account, str)
    return BarrackCredentials.find(account) if is_meant else account
