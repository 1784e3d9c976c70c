"""The operation table: one declaration for each operation of the API.

Method and path here are the built-in dialect's. Correcting one is a change of one line; a user
who must correct one without waiting for a release writes it into a dialect file instead
(`barrack_tasks.api.dialect`). Client, sandbox and reference read this table and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from barrack_tasks.api import models as m
from barrack_tasks.api.models import VMStatus

Provenance = Literal["documented", "inferred"]
R = TypeVar("R", bound=m.Model)


@dataclass(frozen=True)
class Repeat:
    """Changes nothing, or nothing more when repeated: send it again."""


@dataclass(frozen=True)
class ByName:
    """A create. Its unique name is looked for in the list of `look`."""

    look: str


@dataclass(frozen=True)
class ByState:
    """An action. It happened if the instance is in one of these states."""

    reached: frozenset[VMStatus]
    look: str = "get_instance"


@dataclass(frozen=True)
class ByAbsence:
    """A delete. It happened if `look` does not find the thing any more."""

    look: str | None


@dataclass(frozen=True)
class ByContents:
    """It happened if the answer of `look` holds what was sent; `found` picks the result out."""

    look: str
    found: Callable[[Mapping[str, Any], Any], Any | None]


@dataclass(frozen=True)
class ByChange:
    """A toggle. It happened if `field` of `look`'s result is no longer what it was before."""

    field: str
    look: str = "get_instance"


@dataclass(frozen=True)
class NeverRepeat:
    """Nothing tells whether it happened: the caller is told, and decides."""


Lost = Repeat | ByName | ByState | ByAbsence | ByContents | ByChange | NeverRepeat


@dataclass(frozen=True)
class Operation(Generic[R]):
    """One operation.

    `result` is the field of the answer that holds what the operation is about ("" for all of
    it), `items` the field that holds the list of a paged one. `query` are the parameters of the
    query string under their canonical names.
    """

    name: str
    title: str
    group: str
    method: str
    path: str
    response: type[R]
    result: str
    lost: Lost
    request: type[m.Request] | None = None
    query: tuple[str, ...] = ()
    paged: bool = False
    method_is: Provenance = "documented"
    path_is: Provenance = "inferred"

    @property
    def changes(self) -> bool:
        """Whether the operation changes something in the account."""
        return not (self.method == "GET" or (self.method == "POST" and self.lost == Repeat()))

    @property
    def path_parameters(self) -> tuple[str, ...]:
        """Canonical names of the parameters in the path, in order."""
        return tuple(part[1:-1] for part in self.path.split("/") if part.startswith("{"))


def _to(*states: VMStatus) -> ByState:
    return ByState(frozenset(states))


S = VMStatus

_BALANCE = (
    Operation("get_credit_balance", "Get credit balance", "Balance", "GET", "/balance",
              m.CreditBalanceResponse, "data", Repeat()),
)  # fmt: skip

_GPUS = (
    Operation("get_gpu_stock", "Get GPU stock availability", "GPU Stocks", "GET", "/gpu-stocks",
              m.GPUStocksResponse, "stocks", Repeat()),
    Operation("get_gpu_specs", "Get GPU specifications", "GPU Specs", "GET", "/gpu-specs",
              m.GPUSpecsResponse, "gpus", Repeat()),
    Operation("list_regions", "List available regions", "Regions", "GET", "/regions",
              m.RegionsResponse, "regions", Repeat()),
    Operation("get_pricing", "Get pricing information", "Pricing", "GET", "/pricing",
              m.PricingResponse, "prices", Repeat()),
    Operation("quote_price", "Get pricing information (for a configuration)", "Pricing",
              "POST", "/pricing", m.PricingResponse, "prices", Repeat(),
              request=m.PricingRequest),
)  # fmt: skip

_INSTANCES = (
    Operation("create_instance", "Create a new instance", "Deploy Instance", "POST", "/instances",
              m.DeploymentResponse, "instance", ByName("list_instances"),
              request=m.DeploymentRequest),
    Operation("list_instances", "List instances", "Instance management", "GET", "/instances",
              m.ListUserVMsResponse, "instances", Repeat(), query=("status", "region"),
              paged=True),
    Operation("get_instance", "Get instance details", "Instance management",
              "GET", "/instances/{instance_id}", m.VMDetailsResponse, "instance", Repeat()),
    Operation("get_instance_billing", "Get instance billing", "Instance management",
              "GET", "/instances/{instance_id}/billing", m.AggregatedBillingResponse, "",
              Repeat(), query=("start", "end")),
    Operation("get_hibernated_instances", "Get hibernated instances count", "Instance management",
              "GET", "/instances/hibernated", m.GetHibernatedVMsResponse, "", Repeat()),
    Operation("start_instance", "Start instance", "Instance management",
              "POST", "/instances/{instance_id}/start", m.StartVMResponse, "instance",
              _to(S.STARTING, S.ACTIVE)),
    Operation("stop_instance", "Stop instance", "Instance management",
              "POST", "/instances/{instance_id}/stop", m.StopVMResponse, "instance",
              _to(S.STOPPING, S.SHUTOFF)),
    Operation("reboot_instance", "Reboot instance", "Instance management",
              "POST", "/instances/{instance_id}/reboot", m.RebootVMResponse, "instance",
              NeverRepeat()),
    Operation("hibernate_instance", "Hibernate instance", "Instance management",
              "POST", "/instances/{instance_id}/hibernate", m.HibernateVMResponse, "instance",
              _to(S.HIBERNATING, S.HIBERNATED)),
    Operation("restore_instance", "Restore hibernated instance", "Instance management",
              "POST", "/instances/{instance_id}/restore", m.RestoreVMResponse, "instance",
              _to(S.RESTORING, S.ACTIVE)),
    Operation("toggle_public_ip", "Toggle public IP for instance", "Instance management",
              "POST", "/instances/{instance_id}/public-ip", m.ToggleVMPublicIPResponse,
              "instance", ByChange("public_ip")),
    Operation("delete_instance", "Delete instance", "Instance management",
              "DELETE", "/instances/{instance_id}", m.DeleteVMResponse, "instance",
              ByAbsence("get_instance")),
)  # fmt: skip

_SNAPSHOTS = (
    Operation("list_snapshots", "List snapshots", "Snapshots", "GET", "/snapshots",
              m.ListSnapshotsResponse, "snapshots", Repeat(), query=("instance_id",), paged=True,
              method_is="inferred"),
    Operation("get_snapshot", "Get snapshot details", "Snapshots",
              "GET", "/snapshots/{snapshot_id}", m.GetSnapshotResponse, "snapshot", Repeat(),
              method_is="inferred"),
    Operation("list_snapshot_eligible_instances", "List Instance eligible for snapshot creation",
              "Snapshots", "GET", "/snapshots/eligible-instances", m.ListVMsResponse,
              "instances", Repeat()),
    Operation("get_snapshot_billing", "Get snapshot billing", "Snapshots",
              "GET", "/snapshots/{snapshot_id}/billing", m.AggregatedBillingResponse, "",
              Repeat(), query=("start", "end"), method_is="inferred"),
    Operation("create_snapshot", "Create snapshot", "Snapshots", "POST", "/snapshots",
              m.CreateSnapshotResponse, "snapshot", ByName("list_snapshots"),
              request=m.CreateSnapshotRequest, method_is="inferred"),
    Operation("delete_snapshot", "Delete snapshot", "Snapshots",
              "DELETE", "/snapshots/{snapshot_id}", m.DeleteSnapshotResponse, "",
              ByAbsence("get_snapshot"), method_is="inferred"),
    Operation("restore_snapshot", "Restore snapshot", "Snapshots",
              "POST", "/snapshots/{snapshot_id}/restore", m.RestoreSnapshotResponse,
              "instance", ByName("list_instances"), request=m.RestoreSnapshotRequest,
              method_is="inferred"),
)  # fmt: skip

OPERATIONS: dict[str, Operation[Any]] = {
    operation.name: operation
    for group in (_BALANCE, _GPUS, _INSTANCES, _SNAPSHOTS)
    for operation in group
}
