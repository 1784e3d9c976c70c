"""What the loops of the flows have in common: looking again, noting outcomes, showing progress."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any, cast
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.context import FlowRunContext

from barrack_tasks.api import (
    BarrackAuthenticationError,
    BarrackConfigurationError,
    BarrackError,
    BarrackInsufficientCreditsError,
    BarrackOutOfStockError,
    BarrackValidationError,
)
from barrack_tasks.api.models import UserVM
from barrack_tasks.api.transport.pacing import elapsed
from barrack_tasks.plans.account_changes import instance_payload
from barrack_tasks.plans.durations import said
from barrack_tasks.plans.memory import Memory, resource_of
from barrack_tasks.plans.names import artifact_key
from barrack_tasks.plans.snapshots.restore import refusal
from barrack_tasks.plans.steps import Finished, Next, Reason, Step, Wait
from barrack_tasks.runtime.executor import Outcome, is_unsent
from barrack_tasks.server.events import emit

_HOPELESS = (
    BarrackAuthenticationError,
    BarrackConfigurationError,
    BarrackInsufficientCreditsError,
    BarrackValidationError,
)

_BAR_EVERY = 5.0
"""Seconds between two writings of a progress artifact at the least."""
_FEW = 20
"""So many instances that do the same have a line each in the log."""
_QUIET = 15.0
"""Seconds without news after which a line says what is waited for."""
_NAMED = 5
"""So many of them are named in it."""
_A_LINE = 50
"""Names in one line, where there are more."""


def announce(outcome: Outcome, memory: Memory) -> None:
    """Note what became of a step, and emit the event that tells it."""
    step = outcome.step
    if outcome.error is not None:
        why = _why(step, outcome.error)
        if is_unsent(outcome.error):
            memory.was_not_sent(step)
            return
        if outcome.error.took_effect is None:
            memory.was_lost(step)
        if isinstance(outcome.error, BarrackOutOfStockError):
            memory.ran_out(step, why)
            return
        memory.was_refused(step, why, not isinstance(outcome.error, _HOPELESS))
        return
    snapshot_id = getattr(outcome.result, "id", None)
    memory.succeeded(step, snapshot_id)
    match step.operation:
        case "create_snapshot":
            emit(
                "barrack.snapshot.created",
                str(snapshot_id),
                step.arguments["name"],
                instance=step.instance_id,
            )
        case "delete_snapshot":
            emit(
                "barrack.snapshot.deleted",
                step.arguments["snapshot_id"],
                step.subject,
                instance=step.instance_id,
            )


def _why(step: Step, error: BarrackError) -> str:
    if step.operation == "restore_snapshot":
        return refusal(step.subject, error.reason, str(error))
    return str(error)


def share_done(plan: Mapping[str, Next]) -> float:
    """How much of a plan is done, from 0 to 1; what is under way counts as half.

    Example:
        >>> share_done({"a": Finished("done"), "b": Wait("it is HIBERNATING")})
        0.75
    """
    weights = {Finished: 1.0, Wait: 0.5, Step: 0.0}
    return sum(weights[type(next_)] for next_ in plan.values()) / len(plan) if plan else 1.0


class Bar:
    """Shows in the Prefect UI how far a run is, as a progress artifact.

    There is none until something is under way, so a guard that finds nothing to do leaves none. It
    never shows less than before, and is written every few seconds at most. What the server does
    not take is left out: the run goes on.

    Args:
        account: see `BarrackCredentials.account`; the artifact's key ends with it.
        clock: seconds that pass.
    """

    def __init__(self, account: str, clock: Callable[[], float] = elapsed) -> None:
        self._account = account
        self._clock = clock
        self._shown = 0.0
        self._written_at = float("-inf")
        self._id: UUID | None = None

    def show(self, plan: Mapping[str, Next]) -> None:
        """Show how much of a plan is done, if that is new and was not just written."""
        share = share_done(plan)
        is_whole = share == 1
        if is_whole and self._id is None:
            return  # nothing was to be done
        is_due = is_whole or self._clock() - self._written_at >= _BAR_EVERY
        if self._id is not None and (share <= self._shown or not is_due):
            return
        if self._id is None and not is_due:
            return
        self._shown, self._written_at = max(share, self._shown), self._clock()
        with suppress(Exception):  # it is only a picture
            self._write(round(100 * self._shown, 1))

    def _write(self, percent: float) -> None:
        run = FlowRunContext.get()
        if run is None or run.flow is None:
            return
        if self._id is None:
            name = run.flow_run.name if run.flow_run else "the run"
            key = artifact_key(f"{run.flow.fn.__name__}_progress", self._account)
            self._id = cast("Any", create_progress_artifact)(
                percent,
                key,
                f"How far {name} is.",
                _sync=True,
            )
        else:
            cast("Any", update_progress_artifact)(self._id, percent, _sync=True)


class Progress:
    """Tells what each instance is doing when that changes, and emits how it ended."""

    def __init__(
        self,
        log: logging.Logger | logging.LoggerAdapter[Any],
        names: Mapping[str, str],
        on_done: Mapping[str, str],
    ) -> None:
        self._log = log
        self._names = names
        self._on_done = on_done
        self._last: dict[str, str] = {}
        self._news_at: float | None = None
        self._patience = _QUIET

    def show(
        self, plan: Mapping[str, Next], instances: Mapping[str, UserVM], at: float | None = None
    ) -> bool:
        """Log what is new; whether anything is.

        Args:
            plan: what each instance needs next.
            instances: as they are now; what they are goes into the events.
            at: seconds of a clock that only runs on. Where nothing is new for a while, a line says
                what is waited for; the next one comes after twice the time. None for no such line.
        """
        alike: dict[tuple[int, str, bool], list[str]] = {}
        for id_, next_ in plan.items():
            if isinstance(next_, Wait) and next_.reason is Reason.UNDER_WAY:
                continue  # goes without saying: the step was told
            text = _sentence(next_)
            if self._last.get(id_) == text:
                continue
            self._last[id_] = text
            ended = isinstance(next_, Finished)
            failed = isinstance(next_, Finished) and next_.outcome == "failed"
            level = logging.ERROR if failed else logging.INFO
            alike.setdefault((level, text, ended), []).append(self._names[id_])
            if isinstance(next_, Finished):
                self._ended(id_, next_, instances.get(id_))
        for (level, text, ended), names in alike.items():
            self._say(level, text, names, ended)
        if alike or self._news_at is None:
            self._news_at, self._patience = at, _QUIET
        elif at is not None and at - self._news_at >= self._patience:
            self._still(plan, timedelta(seconds=at - self._news_at))
            self._patience *= 2
        return bool(alike)

    def _still(self, plan: Mapping[str, Next], quiet: timedelta) -> None:
        """Say what is waited for."""
        doing = [
            f"{self._names[id_]} ({self._last.get(id_) or _sentence(next_)})"
            for id_, next_ in plan.items()
            if not isinstance(next_, Finished)
        ]
        if doing:
            more = f" and {len(doing) - _NAMED} more" if len(doing) > _NAMED else ""
            some = ", ".join(doing[:_NAMED])
            self._log.info("nothing has changed for %s; at work: %s%s", said(quiet), some, more)

    def _say(self, level: int, text: str, names: list[str], ended: bool) -> None:
        # A line costs nearly a millisecond, and nobody reads a thousand.
        if len(names) <= _FEW:
            for name in names:
                more = _for_a_display([name], text, ended)
                self._log.log(level, "%s: %s", name, text, extra=more)
            return
        for first in range(0, len(names), _A_LINE):
            some = names[first : first + _A_LINE]
            more = _for_a_display(some, text, ended)
            self._log.log(
                level, "%d instances: %s: %s", len(some), text, ", ".join(some), extra=more
            )

    def _ended(self, id_: str, finished: Finished, instance: UserVM | None) -> None:
        name = self._names[id_]
        if finished.outcome == "done" and id_ in self._on_done:
            emit(self._on_done[id_], id_, name, payload=instance_payload(instance))
        elif finished.outcome == "failed":
            emit("barrack.instance.failed", resource_of(id_), name, payload={"why": finished.why})


def _for_a_display(names: list[str], text: str, ended: bool) -> dict[str, Any]:
    """What a record tells besides its message, for a display with a line an instance."""
    return {"barrack_names": tuple(names), "barrack_doing": text, "barrack_ended": ended}


def _sentence(next_: Next) -> str:
    match next_:
        case Step():
            return next_.operation.replace("_", " ")
        case Wait():
            return f"waiting, {next_.why}"
        case Finished():
            return f"{next_.outcome}{f', {next_.why}' if next_.why else ''}"
