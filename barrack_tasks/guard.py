"""The pre-flight guard: what costs money begins only within the caps.

It fails closed: what cannot be read counts as refused.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Protocol, TypeVar

from prefect import Task, runtime
from prefect.flow_runs import pause_flow_run, suspend_flow_run
from prefect.input import RunInput
from pydantic import Field

from barrack_tasks.api import BarrackError
from barrack_tasks.api import models as m
from barrack_tasks.catalogue import get_credit_balance, quote_price
from barrack_tasks.credentials import BarrackCredentials
from barrack_tasks.events import emit
from barrack_tasks.funds import read_funds
from barrack_tasks.holds import intent_of
from barrack_tasks.instances import create_instance, restore_instance
from barrack_tasks.plans.guard import (
    Asked,
    Caps,
    Means,
    Ruling,
    raising,
    rule,
    shows,
    today_of,
    with_all_begun,
    within_caps,
)
from barrack_tasks.plans.money.burn import burn_of, priced
from barrack_tasks.plans.restoring import LISTS_LAG
from barrack_tasks.plans.rising import why_not_affordable
from barrack_tasks.plans.steps import Next, Step, Wait
from barrack_tasks.plans.world import World
from barrack_tasks.spending import spent_since
from barrack_tasks.tasking import barrack_task
from barrack_tasks.turns import WAITED_FOR, Turn

T = TypeVar("T")
Decide = Callable[[World, datetime], Mapping[str, Next]]
T_co = TypeVar("T_co", covariant=True)


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


@barrack_task("guarded create {name}")
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
        credentials: the account, whose own caps count as well.
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
    asked = Asked(name, str(gpu_model), int(gpu_count), str(region))
    with one_at_a_time(credentials.account):
        check_caps(credentials, caps, asked, approved, tier=tier)
        made = create_instance.fn(
            credentials, name, region, gpu_model, m.GpuCountEnum(int(gpu_count)), tier=tier, **more
        )
        _until_listed(credentials, made.id)
    return made


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
        credentials: the account, whose own caps count as well.
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
    asked = Asked(
        instance.name,
        str(instance.gpu_model),
        int(instance.gpu_count or 1),
        str(instance.region),
        comes_back=True,
    )
    with one_at_a_time(credentials.account):
        check_caps(credentials, caps, asked, approved)
        return restore_instance.fn(credentials, instance_id)


@contextmanager
def one_at_a_time(account: str, sleep: Callable[[float], None] = time.sleep) -> Iterator[None]:
    """Between looking at the caps and the answer nobody else begins anything in this account.

    Raises:
        GuardRefused: others were at it for `WAITED_FOR`, and nothing was sent.
    """
    with Turn(account) as turn:
        until = datetime.now(UTC) + WAITED_FOR
        while not turn.take():
            if datetime.now(UTC) >= until:
                raise GuardRefused("the guard", ["others have been asking it all the time"])
            sleep(random.uniform(0.1, 0.5))
        yield


def _until_listed(
    credentials: BarrackCredentials, id_: str, sleep: Callable[[float], None] = time.sleep
) -> None:
    """Whoever is judged next must see what was begun; a fresh instance may be late in the lists."""
    until = datetime.now(UTC) + LISTS_LAG
    while datetime.now(UTC) < until:
        try:
            if any(i.id == id_ for i in credentials.get_client().instances.list()):
                return
        except BarrackError:
            return
        sleep(0.5)


def caps_of(
    credentials: BarrackCredentials, caps: Caps | Mapping[str, Any] | None = None
) -> list[Caps]:
    """The caps that count: the account's own and those given."""
    given = caps if isinstance(caps, Caps) or caps is None else Caps.model_validate(dict(caps))
    return [c for c in (credentials.caps, given) if c is not None]


def check_caps(
    credentials: BarrackCredentials,
    caps: Caps | Mapping[str, Any] | None,
    asked: Asked,
    approved: bool = False,
    *,
    tier: m.TierEnum | str | None = None,
) -> Decimal:
    """The price an hour of what is asked, if the caps allow it.

    Raises:
        GuardRefused: they do not, or something they need cannot be read.
        ApprovalNeeded: a person must approve it first.
    """
    all_caps = caps_of(credentials, caps)
    subject = f"{asked.name}: refused before anything was changed"
    try:
        means = read_means(credentials, all_caps)
        price = _price(credentials, asked, means, tier)
    except BarrackError as error:
        raise _refused(asked, GuardRefused(subject, [f"it cannot be judged: {error}"])) from None
    against = rulings(all_caps, asked, price, means)
    if against.refused:
        raise _refused(asked, GuardRefused(subject, against.refused))
    if against.to_approve and not approved:
        raise _refused(asked, ApprovalNeeded(f"{asked.name} needs approval", against.to_approve))
    return price


def rulings(caps: Sequence[Caps], asked: Asked, price: Decimal, means: Means) -> Ruling:
    """What all caps together say, each reason once."""
    found = [rule(asked, price, one, means) for one in (caps or [Caps()])]
    return Ruling(_joined(r.refused for r in found), _joined(r.to_approve for r in found))


def read_means(credentials: BarrackCredentials, caps: Iterable[Caps]) -> Means:
    """What the account has and spends.

    Raises:
        BarrackError: it cannot be read.
    """
    funds = read_funds(credentials)
    instances = tuple(priced(i, funds.tariff) for i in funds.instances)
    storage = burn_of([], funds.volumes, funds.snapshots, funds.tariff).hourly
    burn = funds.burn()
    means = Means(
        funds.balance,
        burn.hourly,
        instances,
        storage=storage,
        tariff=funds.tariff,
        unknown=burn.unknown,
    )
    if all(one.daily_budget is None for one in caps):
        return means
    start, left = today_of(funds.at)
    spent = spent_since(credentials, funds, start)
    return replace(means, spent_today=spent, hours_left_today=left)


def means_or_problem(credentials: BarrackCredentials) -> tuple[Means | None, str | None]:
    """What caps need to know, if the account has any, and why nothing may be restored.

    For flows that have other work to do when nothing may be restored.
    """
    try:
        if credentials.caps is None:
            return None, why_not_affordable(get_credit_balance(credentials))
        means = read_means(credentials, [credentials.caps])
        return means, why_not_affordable(means.balance)
    except BarrackError as error:
        return None, f"what the guard needs cannot be read: {error}"


def capped(credentials: BarrackCredentials, decide: Decide, means: Means | None = None) -> Decide:
    """A decision without the steps that the account's caps forbid; as it is, if it has none.

    Args:
        credentials: the account.
        decide: the decision.
        means: what the account has, if that was read already.

    Raises:
        BarrackError: what the caps need cannot be read.
    """
    caps = credentials.caps
    if caps is None:
        return decide
    had = means or read_means(credentials, [caps])
    begun: dict[str, Step] = {}

    def within(world: World, now: datetime) -> Mapping[str, Next]:
        plan = decide(world, now)
        seen = had.seen(world.instances.values())
        # What was asked for and does not show yet counts, as long as its request may succeed.
        unseen = {
            id_: step
            for id_, step in begun.items()
            if isinstance(plan.get(id_), Wait) and not shows(step, world.instances)
        }
        seen = with_all_begun(seen, unseen, world.instances)
        allowed = within_caps(plan, world.instances, caps, seen)
        begun.update(raising(allowed))
        return allowed

    return within


def _price(
    credentials: BarrackCredentials, asked: Asked, means: Means, tier: m.TierEnum | str | None
) -> Decimal:
    prices = quote_price.fn(
        credentials,
        asked.gpu_model,
        m.GpuCountEnum(asked.gpu_count),
        region=asked.region,
        tier=tier,
    )
    fitting = [p.hourly for p in prices if p.currency is means.balance.currency]
    if not fitting:
        raise BarrackError(
            f"no price of {asked.gpu_count}x {asked.gpu_model} in {asked.region} is known "
            f"in {means.balance.currency}"
        )
    return max(fitting)


def _refused(asked: Asked, error: GuardRefused) -> GuardRefused:
    emit("barrack.guard.refused", asked.name, asked.name, payload={"why": list(error.reasons)})
    return error


def _joined(reasons: Iterable[Sequence[str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(reason for some in reasons for reason in some))


class Approval(RunInput):
    """What a person answers when a flow run asks."""

    approve: bool = Field(default=False, description="Whether it may go on.")
    by: str = Field(default="", description="Who decides.")


class _Guarded(Protocol[T_co]):
    def __call__(self, *arguments: Any, approved: bool = False, **more: Any) -> T_co: ...


def ask_approval(question: str, timeout: int = 3600) -> bool:
    """Ask a person, in the Prefect UI, whether a flow run may go on.

    A run of a deployment is suspended and begins anew with the answer, so that no machine waits
    for a person; any other run waits where it is. Call it in a flow, not in a task.

    Each question is asked for itself: an answer counts for the very same sentence only.

    Args:
        question: one sentence with the numbers.
        timeout: seconds after which the run fails.
    """
    form = Approval.with_initial_data(description=f"**{question}**\n\nMay it go on?")
    answer: Any
    if runtime.deployment.id:
        answer = suspend_flow_run(
            wait_for_input=form, timeout=timeout, key=f"approval-{intent_of(question)}"
        )
    else:
        answer = pause_flow_run(wait_for_input=form, timeout=timeout, poll_interval=2)
    return bool(answer and answer.approve)


def with_approval(guarded: _Guarded[T], *arguments: Any, timeout: int = 3600, **more: Any) -> T:
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
    guarded: _Guarded[T], arguments: Sequence[Any], more: Mapping[str, Any]
) -> _Guarded[T]:
    if not runtime.deployment.id or not isinstance(guarded, Task):
        return guarded
    what = [a for a in arguments if not isinstance(a, BarrackCredentials)]
    key = intent_of(runtime.flow_run.id, guarded.name, what, dict(more))
    return guarded.with_options(persist_result=True, cache_key_fn=lambda *_: key)
