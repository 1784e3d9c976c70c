"""`barrack alert-on-failure`: Prefect tells people of every run that fails, wherever it ran."""

from __future__ import annotations

from typing import TYPE_CHECKING

from barrack_tasks.api import BarrackConfigurationError
from barrack_tasks.cli.screen import Screen
from barrack_tasks.cli.servers import known_server
from barrack_tasks.plans.names import PREFIX, TAG

if TYPE_CHECKING:
    from collections.abc import Mapping

    from prefect.blocks.abstract import NotificationBlock
    from prefect.events import AutomationCore

NAME = "barrack - a run failed, tell people"
_ENDED_BADLY = {f"prefect.flow-run.{state}" for state in ("Failed", "Crashed", "TimedOut")}
_SUBJECT = "{{ flow.name }}: run {{ flow_run.name }} is {{ flow_run.state.name }}"
_BODY = "{{ flow_run.state.message }}\n{{ flow_run|ui_url }}"


def alert_on_failure(blocks: list[str] | None = None, /, *, remove: bool = False) -> int:
    """Tell people when a deployed run of this library fails, crashes or times out.

    Makes one automation on the Prefect server, or brings it up to date. The server itself tells
    people, so they are told of runs that a worker lost, too.

    Parameters
    ----------
    blocks
        Names of the notification blocks that are told, in place of those that were told before.
    remove
        Delete the automation.
    """
    if bool(blocks) == remove:
        raise BarrackConfigurationError(
            "pass the name of at least one notification block, or --remove"
        )
    screen = Screen()
    with known_server() as server:
        if not server.answers:
            screen.print(server.absence)
            return 1
        from prefect.client.orchestration import get_client

        from barrack_tasks.runtime.notify import find_notifiers

        notifiers = find_notifiers(blocks or ())
        with get_client(sync_client=True) as client:
            there = client.read_automations_by_name(NAME)
            if remove:
                for one in there:
                    client.delete_automation(one.id)
                screen.print(
                    "The automation was deleted; nobody is told of runs that fail, except by "
                    "what the runs themselves send."
                    if there
                    else "There was no such automation."
                )
                return 0
            made = _automation(notifiers)
            if there:
                made.enabled = there[0].enabled
                client.update_automation(there[0].id, made)
            else:
                client.create_automation(made)
    screen.print(f"{', '.join(notifiers)} will be told of every deployed run that fails.")
    if not made.enabled:
        screen.print(
            f"The automation {NAME!r} is switched off on the server; switch it on there.",
            style="yellow",
        )
    return 0


def _automation(notifiers: Mapping[str, NotificationBlock]) -> AutomationCore:
    from prefect.events import AutomationCore, EventTrigger
    from prefect.events.actions import SendNotification
    from prefect.events.schemas.automations import Posture
    from prefect.events.schemas.events import ResourceSpecification

    def is_a(**labels: str) -> ResourceSpecification:
        named = {f"prefect.resource.{name}": value for name, value in labels.items()}
        return ResourceSpecification.model_validate(named)

    actions = [
        SendNotification(block_document_id=block._block_document_id, subject=_SUBJECT, body=_BODY)
        for block in notifiers.values()
        if block._block_document_id is not None
    ]
    return AutomationCore(
        name=NAME,
        description="Made by `barrack alert-on-failure`, which also changes and deletes it.",
        trigger=EventTrigger(
            expect=_ENDED_BADLY,
            match=is_a(id="prefect.flow-run.*"),
            # Other people may use the tag, too.
            match_related=[
                is_a(role="tag", id=f"prefect.tag.{TAG}"),
                is_a(role="flow", name=f"{PREFIX}*"),
            ],
            for_each={"prefect.resource.id"},
            posture=Posture.Reactive,
            threshold=1,
        ),
        actions=[*actions],
    )
