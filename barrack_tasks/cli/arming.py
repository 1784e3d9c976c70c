"""Arming deployments on the server, and disarming them; what they would do once armed."""

from __future__ import annotations

import logging
import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import httpx
from prefect import tags
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentUpdate
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
    FlowRunFilterTags,
)
from prefect.client.schemas.objects import StateType
from prefect.client.schemas.responses import DeploymentResponse
from prefect.exceptions import ObjectNotFound, PrefectException, PrefectHTTPStatusError
from prefect.flows import load_flow_from_entrypoint

from barrack_tasks.api import BarrackConfigurationError
from barrack_tasks.cli.config.deployments import DRY_RUN
from barrack_tasks.cli.deployments import Deployed
from barrack_tasks.cli.upgrade import with_stance
from barrack_tasks.controllers.reports import WorkFailed
from barrack_tasks.plans.report import Report
from barrack_tasks.plans.selection import what_exists
from barrack_tasks.runtime.health import due_after

_NOT_ENDED = [StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING, StateType.PAUSED]


def called(names: Sequence[str], deployed: Sequence[Deployed]) -> list[Deployed]:
    """The deployments of these names, each once.

    A name is flow and deployment, or the deployment's name alone if no other has it.

    Raises:
        BarrackConfigurationError: the server has none of such a name; says the nearest.
    """
    whole = {one.full_name: one for one in deployed}
    count = Counter(one.name for one in deployed)
    there = {one.name: one for one in deployed if count[one.name] == 1} | whole
    for name in names:
        if name not in there:
            near = what_exists(name, whole) if whole else "there is none yet: run `barrack up`"
            raise BarrackConfigurationError(
                f"no deployment is called {name!r}, and nothing was changed; {near}"
            )
    return list({there[name].id: there[name] for name in names}.values())


def has_dry_run(client: SyncPrefectClient, one: Deployed) -> bool:
    """Whether the flow of a deployment can run dry."""
    return _may_run_dry(client.read_deployment(UUID(one.id)))


def _may_run_dry(now: DeploymentResponse) -> bool:
    described = now.parameter_openapi_schema or {}
    return DRY_RUN in described.get("properties", {}) or DRY_RUN in now.parameters


@dataclass(frozen=True)
class Preview:
    """What a deployment would do now, if it were armed: its report, or why there is none."""

    parameters: Mapping[str, Any]
    report: Report | None = None
    problem: str = ""


def next_run(client: SyncPrefectClient, one: Deployed, now: datetime) -> datetime | None:
    """When a deployment runs next by its schedules, once they are on; None if it has none."""
    schedules = client.read_deployment(UUID(one.id)).schedules
    due = due_after([s.schedule.model_dump(mode="json") for s in schedules], now, 1)
    return due[0] if due else None


def previews(client: SyncPrefectClient, one: Deployed) -> list[Preview]:
    """What a deployment would do now: a dry run of its flow, here, with its own parameters.

    There is one for each set of parameters, as a schedule may have some of its own. Nothing is
    changed in the account, and the server keeps no run of it.
    """
    now = client.read_deployment(UUID(one.id))
    sets: list[dict[str, Any]] = []
    for own in [s.parameters for s in now.schedules] or [{}]:
        given = {**now.parameters, **(own or {})}
        if given not in sets:
            sets.append(given)
    with leaving_no_runs():
        return [_preview(now, given) for given in sets]


def _preview(now: DeploymentResponse, given: Mapping[str, Any]) -> Preview:
    parameters = {k: v for k, v in given.items() if k != DRY_RUN}
    if not _may_run_dry(now):
        return Preview(parameters, problem="its flow has no dry run.")
    required = (now.parameter_openapi_schema or {}).get("required", [])
    if missing := [name for name in required if name not in given]:
        names = ", ".join(missing)
        return Preview(
            parameters,
            problem=f"its runs get these parameters only when they are started: {names}.",
        )
    found = run_dry(load_flow_from_entrypoint, str(now.entrypoint), parameters)
    if isinstance(found, Exception):
        said = " ".join(str(found).split()) or type(found).__name__
        return Preview(parameters, problem=f"its dry run failed: {said}")
    return Preview(parameters, found)


_OF_A_PLAN = "barrack-plan"


@contextmanager
def leaving_no_runs() -> Iterator[None]:
    """Delete the runs that are made meanwhile: a dry run that shows a plan is none of anybody's.

    What cannot be deleted stays, with the tag `barrack-plan`.
    """
    token = f"{_OF_A_PLAN}-{secrets.token_hex(6)}"
    try:
        with tags(_OF_A_PLAN, token):
            yield
    finally:
        with suppress(httpx.HTTPError, PrefectException), get_client(sync_client=True) as client:
            mine = FlowRunFilter(tags=FlowRunFilterTags(all_=[token]))
            for run in client.read_flow_runs(flow_run_filter=mine):
                client.delete_flow_run(run.id)


def run_dry(
    load: Callable[[str], Any], name: str, parameters: Mapping[str, Any]
) -> Report | Exception:
    """What a flow would do now, or what stopped its dry run.

    What the run logs is in its report, or in the sentence about what stopped it.

    Args:
        load: gives the flow of a name; what it raises counts as having stopped the run.
        name: of the flow.
        parameters: of the run, but for `dry_run`.
    """
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        report: Report = load(name)(**parameters, **{DRY_RUN: True})
    except WorkFailed as failed:
        return failed.report
    except Exception as error:  # noqa: BLE001 - whatever stops the dry run is told to the person
        return error
    finally:
        logging.disable(before)
    return report


def set_armed(client: SyncPrefectClient, one: Deployed, armed: bool) -> None:
    """Let a deployment act on its schedules, or make it a dry run with its schedules off.

    All other parameters stay as they are on the server.

    Raises:
        BarrackConfigurationError: the server refused the change.
    """
    try:
        _set_armed(client, one, armed)
    except ObjectNotFound as error:
        raise BarrackConfigurationError(
            f"{one.full_name} or its schedule was deleted or replaced in the meantime; look at "
            f"`barrack status`, and try again"
        ) from error
    except PrefectHTTPStatusError as error:
        raise BarrackConfigurationError(
            f"Prefect refused to change {one.full_name}: {' '.join(str(error).split())[:300]}"
        ) from error


def _set_armed(client: SyncPrefectClient, one: Deployed, armed: bool) -> None:
    id_ = UUID(one.id)
    now = client.read_deployment(id_)
    update = DeploymentUpdate()
    if _may_run_dry(now):
        update.parameters = {**now.parameters, DRY_RUN: not armed}
        # One that was deployed without such a tag gets it.
        update.tags = with_stance([*now.tags, "dry"], not armed)
    if armed and now.paused:
        # A paused deployment runs on none of its schedules, whichever are on.
        update.paused = False
    # The parameters come first: to arm, no run is scheduled with the old ones; to disarm, nothing
    # acts any more even if the schedules cannot be switched.
    if update.model_fields_set:
        client.update_deployment(id_, update)
    for schedule in now.schedules:
        own = schedule.parameters or {}
        # A schedule may have parameters of its own, and they win over the deployment's.
        client.update_deployment_schedule(
            id_,
            schedule.id,
            active=armed,
            parameters={**own, DRY_RUN: not armed} if DRY_RUN in own else None,
        )


def acting_runs(client: SyncPrefectClient, one: Deployed) -> int:
    """How many runs of a deployment have begun or wait, and are not dry runs."""
    runs = client.read_flow_runs(
        deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[UUID(one.id)])),
        flow_run_filter=FlowRunFilter(
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=_NOT_ENDED))
        ),
    )
    return sum(run.parameters.get(DRY_RUN) is not True for run in runs)
