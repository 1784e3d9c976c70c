"""The pre-flight guard: what costs money begins only within the caps.

It fails closed: what cannot be read counts as refused.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Any, TypeVar

from prefect import Task, runtime
from prefect.flow_runs import pause_flow_run, suspend_flow_run
from prefect.input import RunInput
from pydantic import Field

from barrack_tasks.api import BarrackError
from barrack_tasks.api import models as m
from barrack_tasks.api.models.times import read_positive
from barrack_tasks.controllers.admission import Admission, caps_of
from barrack_tasks.plans.money.caps import Caps, Proposed, coming_back, needs_price
from barrack_tasks.plans.report import escape
from barrack_tasks.plans.snapshots.restore import LISTS_LAG
from barrack_tasks.runtime.leases import intent_of
from barrack_tasks.runtime.turns import WAITED_FOR
from barrack_tasks.server.credentials import BarrackCredentials
from barrack_tasks.server.events import emit
from barrack_tasks.server.runs import deployment_of_run
from barrack_tasks.tasks.base import barrack_task
from barrack_tasks.tasks.catalogue import quote_price
from barrack_tasks.tasks.instances import create_instance, restore_instance

T = TypeVar("T")


class GuardRefused(Exception):
    """The guard refused. `reasons` are sentences with the numbers; nothing was changed."""

    def __init__(self, subject: str, reasons: Sequence[str]) -> None:
        super().__init__(f"{subject}: {'; '.join(reasons)}")
        self.subject = subject
        self.reasons = tuple(reasons)

    def __reduce__(self) -> tuple[type[GuardRefused], tuple[str, tuple[str, ...]]]:
        return type(self), (self.subject, self.reasons)


class ApprovalNeeded(GuardRefused):
    """A person must approve it; pass `approved=True` then, or use `with_approval`."""


@barrack_task("guarded create {name}")  # type: ignore[arg-type]  # `more` may hold any name
def guarded_create_instance(
    credentials: BarrackCredentials,
    caps: Caps | Mapping[str, Any] | None,
    name: str,
    region: m.RegionEnum | str,
    gpu_model: m.GpuModelEnum | str,
    gpu_count: m.GpuCountEnum | int = m.GpuCountEnum.ONE,
    *,
    approved: bool = False,
    tier: m.TierEnum | str | None = None,
    **more: Any,
) -> m.VMResponse:
    """Deploy an instance if the caps allow it.

    Args:
        credentials: the account, whose own caps count as well; the environment's, if not given.
        caps: what may be spent: `Caps`, its fields as a dict, or None for the account's alone.
        name: 2 to 30 characters, unique among the account's instances (documented).
        region: such as `CANADA-1`.
        gpu_model: such as `H100-PCIe-80GB`.
        gpu_count: 1, 2, 4, 8 or 10 (upstream).
        approved: a person has approved what is over `approve_over`.
        tier: `on-demand` or `spot` (inferred); the API's choice, if not given.
        more: what else `create_instance` takes.

    Returns:
        Id and status of the new instance, which is not up yet.

    Raises:
        GuardRefused: the caps forbid it, or balance or price cannot be read; nothing was sent.
        ApprovalNeeded: a person must approve it first.
        BarrackError: the API refused it.

    Example:
        >>> guarded_create_instance(
        ...     account, {"hourly_price": 12, "lasts": "24h"}, "train-1", "CANADA-1", "L40",
        ...     image_id="1",
        ... )
    """
    asked = Proposed(name, str(gpu_model), int(gpu_count), str(region))
    if needs_price(caps_of(credentials, caps)):
        asked = _priced(credentials, asked, tier)
    return _guarded(
        credentials,
        caps,
        asked,
        approved,
        lambda: create_instance.fn(
            credentials, name, region, gpu_model, m.GpuCountEnum(int(gpu_count)), tier=tier, **more
        ),
    )


@barrack_task("guarded restore {instance_id}")
def guarded_restore(
    credentials: BarrackCredentials,
    caps: Caps | Mapping[str, Any] | None,
    instance_id: str,
    *,
    approved: bool = False,
) -> m.VMResponse:
    """Bring a hibernated instance back if the caps allow it.

    Args:
        credentials: the account, whose own caps count as well; the environment's, if not given.
        caps: what may be spent: `Caps`, its fields as a dict, or None for the account's alone.
        instance_id: id of the instance.
        approved: a person has approved what is over `approve_over`.

    Returns:
        Its id and status, which passes.

    Raises:
        GuardRefused: the caps forbid it, or balance or price cannot be read; nothing was sent.
        ApprovalNeeded: a person must approve it first.
        BarrackError: the API refused it.

    Example:
        >>> guarded_restore(account, Caps(burn=60), "BRK-A1B2C3D")
    """
    instance = credentials.get_client().instances.get(instance_id)
    return _guarded(
        credentials,
        caps,
        coming_back(instance),
        approved,
        lambda: restore_instance.fn(credentials, instance_id),
    )


def _guarded(
    credentials: BarrackCredentials,
    caps: Caps | Mapping[str, Any] | None,
    asked: Proposed,
    approved: bool,
    send: Callable[[], m.VMResponse],
) -> m.VMResponse:
    """Send a request if the caps allow what it begins.

    Raises:
        GuardRefused: they do not, or something they need cannot be read.
        ApprovalNeeded: a person must approve it first.
        BarrackError: the API refused it.
    """
    key = asked.name
    admission = Admission(credentials, caps, is_approved=lambda *_: approved)
    try:
        rulings = admission.admit({key: asked}, WAITED_FOR)
    except BarrackError as error:
        raise _refused(asked, [f"it cannot be judged: {error}"]) from None
    if rulings is None:
        raise _refused(asked, ["other runs have kept the guard busy all the time"])
    if rulings[key].refused:
        raise _refused(asked, rulings[key].refused)
    if questions := rulings[key].to_approve:
        raise _told(asked, ApprovalNeeded(f"{asked.name} needs approval", questions))
    try:
        made = send()
    except BarrackError as error:
        if error.took_effect is False:
            admission.settle(failed=[key])
        raise
    if admission.caps:
        _settle_when_listed(credentials, admission)
    return made


def _settle_when_listed(
    credentials: BarrackCredentials,
    admission: Admission,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Wait, for as long as lists may lag, until they show what was begun: then they tell."""
    until = datetime.now(UTC) + LISTS_LAG
    while admission.is_waiting and datetime.now(UTC) < until:
        try:
            admission.settle(credentials.get_client().instances.list())
        except BarrackError:
            return
        if admission.is_waiting:
            sleep(0.5)


def _priced(
    credentials: BarrackCredentials, asked: Proposed, tier: m.TierEnum | str | None
) -> Proposed:
    """The same with its price, as quoted; the dearest, if several fit.

    Raises:
        GuardRefused: no price can be read.
    """
    try:
        currency = credentials.get_client().balance.get().currency
        prices = quote_price.fn(
            credentials,
            str(asked.gpu_model),
            m.GpuCountEnum(asked.gpu_count),
            region=asked.region,
            tier=tier,
        )
    except BarrackError as error:
        why = f"it cannot be judged: the caps need its price: {error}"
        raise _refused(asked, [why]) from None
    fitting = [p.hourly for p in prices if p.currency is currency]
    if not fitting:
        what = f"{asked.gpu_count}x {asked.gpu_model} in {asked.region}"
        why = f"it cannot be judged: no price of {what} is known in {currency}"
        raise _refused(asked, [why])
    return replace(asked, price=max(fitting))


def _refused(asked: Proposed, why: Sequence[str]) -> GuardRefused:
    return _told(asked, GuardRefused(f"{asked.name}: refused before anything was changed", why))


def _told(asked: Proposed, error: GuardRefused) -> GuardRefused:
    emit("barrack.guard.refused", asked.name, asked.name, payload={"why": list(error.reasons)})
    return error


class Approval(RunInput):
    """What a person answers when a flow run asks."""

    approve: bool = Field(default=False, description="Whether it may go on.")
    by: str = Field(default="", description="Who decides.")


def ask_approval(question: str, timeout: float | timedelta | str = 3600) -> bool:
    """Ask a person, in the Prefect UI, whether a flow run may go on.

    A run of a deployment is suspended and begins anew with the answer, so that no machine waits
    for a person; any other run waits where it is. Call it in a flow, not in a task.

    Each question is asked for itself: an answer counts for the very same sentence only.

    Args:
        question: one sentence with the numbers.
        timeout: after which the run fails: seconds, a timedelta or `"1h"`.
    """
    seconds = ceil(read_positive(timeout).total_seconds())
    form = Approval.with_initial_data(description=f"**{escape(question)}**\n\nMay it go on?")
    answer: Any
    if deployment_of_run():
        answer = suspend_flow_run(
            wait_for_input=form, timeout=seconds, key=f"approval-{intent_of(question)}"
        )
    else:
        answer = pause_flow_run(wait_for_input=form, timeout=seconds, poll_interval=2)
    return bool(answer and answer.approve)


def with_approval(
    guarded: Callable[..., T], *arguments: Any, timeout: float | timedelta | str = 3600, **more: Any
) -> T:
    """Do something guarded, and ask a person if that is what it needs. Call it in a flow.

    A suspended run begins anew with the answer. What it had done before is not done again, as far
    as the results of its tasks are kept where the new attempt finds them (Prefect's result
    storage); where they are not, a name that is taken refuses a second instance.

    Raises:
        GuardRefused: the caps or the person forbid it.

    Example:
        >>> with_approval(guarded_restore, account, {"approve_over": 10}, "BRK-A1B2C3D")
    """
    once = _once_a_run(guarded, arguments, more)
    try:
        return once(*arguments, **more)
    except ApprovalNeeded as needed:
        if not ask_approval("; ".join(needed.reasons), timeout):
            raise GuardRefused(needed.subject, ["a person said no", *needed.reasons]) from None
    return once(*arguments, approved=True, **more)


def _once_a_run(
    guarded: Callable[..., T], arguments: Sequence[Any], more: Mapping[str, Any]
) -> Callable[..., T]:
    if not deployment_of_run() or not isinstance(guarded, Task):
        return guarded
    what = [a for a in arguments if not isinstance(a, BarrackCredentials)]
    key = intent_of(runtime.flow_run.id, guarded.name, what, dict(more))
    return guarded.with_options(persist_result=True, cache_key_fn=lambda *_: key)
