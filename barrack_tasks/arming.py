"""Arming deployments on the server, and disarming them."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import DeploymentUpdate
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import StateType
from prefect.client.schemas.responses import DeploymentResponse
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError

from barrack_tasks.api import BarrackConfigurationError
from barrack_tasks.deploying import Deployed
from barrack_tasks.plans.selection import what_exists

DRY_RUN = "dry_run"
_NOT_ENDED = [StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING, StateType.PAUSED]


def called(names: Sequence[str], deployed: Sequence[Deployed]) -> list[Deployed]:
    """The deployments of these names, each once.

    Raises:
        BarrackConfigurationError: the server has none of such a name; says the nearest.
    """
    there = {one.full_name: one for one in deployed}
    for name in names:
        if name not in there:
            near = what_exists(name, there) if there else "there is none yet: run `barrack up`"
            raise BarrackConfigurationError(
                f"no deployment is called {name!r}, and nothing was changed; {near}"
            )
    return [there[name] for name in dict.fromkeys(names)]


def has_dry_run(client: SyncPrefectClient, one: Deployed) -> bool:
    """Whether the flow of a deployment can run dry."""
    return _may_run_dry(client.read_deployment(UUID(one.id)))


def _may_run_dry(now: DeploymentResponse) -> bool:
    described = now.parameter_openapi_schema or {}
    return DRY_RUN in described.get("properties", {}) or DRY_RUN in now.parameters


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
            f"{one.full_name} or its schedule was deleted or replaced meanwhile; "
            "see `barrack status`, and try again"
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
