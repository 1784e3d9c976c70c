"""How this library makes Prefect tasks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

from prefect import Task, task
from prefect.cache_policies import NO_CACHE

P = ParamSpec("P")
R = TypeVar("R")


def barrack_task(run_name: str | None = None) -> Callable[[Callable[P, R]], Task[P, R]]:
    """A task around one operation.

    Tasks are synchronous: those work from sync and async flows, notebook cells and outside of
    flows alike, and `submit` runs them in threads. Prefect neither caches nor repeats them: the
    cloud is the only truth, and the client knows better than a scheduler what may be repeated.
    """

    def decorate(function: Callable[P, R]) -> Task[P, R]:
        made = task(
            name=function.__name__,
            task_run_name=run_name,
            cache_policy=NO_CACHE,
            retries=0,
            persist_result=False,
        )(cast(Any, function))
        return cast("Task[P, R]", made)

    return decorate
