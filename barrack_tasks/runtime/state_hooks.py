"""State hooks of Prefect that tell people how a flow run ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from prefect.client.schemas.objects import FlowRun, State
from prefect.flows import Flow

from barrack_tasks.runtime.health import reason_of
from barrack_tasks.runtime.notify import find_notifiers, link_to_run, tell

StateHook = Callable[[Flow[..., Any], FlowRun, State], None]


def tell_state(*notify: str) -> StateHook:
    """A state hook that tells notifiers how a run ended, for any flow.

    It is called for runs that a program starts by calling the flow, or by `serve`. A worker that
    runs a deployment loads the flow anew, without its hooks: for those runs, and for all whose
    process is lost, use `barrack alert-on-failure`.

    Args:
        notify: names of notification blocks.

    Returns:
        A function for `on_failure`, `on_crashed`, `on_cancellation` or `on_completion`.

    Raises:
        ValueError: no name is given.

    Example:
        >>> guarded = follow_schedule.with_options(on_failure=[tell_state("team-slack")])
        >>> guarded(rules=[...])
    """
    if not notify:
        raise ValueError("tell_state needs the name of at least one notification block")

    def hook(flow: Flow[..., Any], flow_run: FlowRun, state: State) -> None:
        notifiers = find_notifiers(notify)
        subject = f"{flow.name}: run {flow_run.name} is {state.name}"
        tell(
            notifiers,
            list(notifiers),
            subject,
            reason_of({"message": state.message}),
            severity="info" if state.is_completed() else "failure",
            link=link_to_run(flow_run.id),
        )

    hook.__name__ = f"tell_state_{'_'.join(notify)}"
    return hook
