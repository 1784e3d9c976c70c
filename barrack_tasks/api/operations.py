"""The operation table: one declaration for each operation of the API.

Method and path here are the built-in dialect's. Correcting one is a change of one line; a user
who must correct one without waiting for a release writes it into a dialect file instead
(`barrack_tasks.api.dialect`). Client, sandbox and reference read this table and nothing else.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from barrack_tasks.api import models as m
from barrack_tasks.api.models import VMStatus

Provenance = Literal["documented", "inferred"]
R = TypeVar("R", bound=m.Model)


@dataclass(frozen=True)
class Repeat:
    """Changes nothing, or nothing more when repeated: send it again."""

    changes: bool = False


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
    """It happened if the answer of `look` holds what was sent; `found` picks the result out.

    `found` gets the path parameters and request fields in one flat mapping, and the answer of
    `look`. It returns what goes into the operation's result field (True where there is none), or
    None if the effect is not there.
    """

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
    query string under their canonical names. `method_is` and `path_is` say where those two are
    known from, `only_earlier` that the reference names the operation in an earlier edition only.
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
    only_earlier: bool = False

    @property
    def changes(self) -> bool:
        """Whether the operation changes something in the account."""
        return self.lost != Repeat()

    @property
    def provenance(self) -> str:
        """What of it is documented and what is this library's reading, as a sentence."""
        edition = " in an earlier edition" if self.only_earlier else ""
        return f"Operation: {self.method_is}{edition}; its path and fields: {self.path_is}."

    @property
    def path_parameters(self) -> tuple[str, ...]:
        """Canonical names of the parameters in the path, in order."""
        return tuple(part[1:-1] for part in self.path.split("/") if part.startswith("{"))


def _to(goal: VMStatus, *by_way_of: VMStatus) -> ByState:
    """By the state that it leads to, or one on the way there: those given, or all there are."""
    passing = by_way_of or tuple(s for s in VMStatus if s.leads_to is goal)
    return ByState(frozenset({goal, *passing}))


def _same_rule(sent: Mapping[str, Any], rules: Iterable[Any]) -> Any | None:
    wanted = _traffic(m.VMSecurityRule.model_validate({k: sent[k] for k in _TRAFFIC}))
    return next((rule for rule in rules if _traffic(rule) == wanted), None)


_TRAFFIC = (
    "direction", "ethertype", "protocol", "port_range_min", "port_range_max", "remote_ip_prefix"
)  # fmt: skip


def _traffic(rule: Any) -> tuple[Any, ...]:
    """What a rule is about, the same for every way of saying it."""
    ports: tuple[int | None, int | None] | None = None
    if rule.protocol is not None and rule.protocol.has_ports:
        ports = (rule.port_range_min or 1, rule.port_range_max or 65535)
    prefix: object = rule.remote_ip_prefix
    with suppress(ValueError):  # what is no network is compared as it stands
        prefix = ipaddress.ip_network(rule.remote_ip_prefix, strict=False)
    return (rule.direction, rule.ethertype, rule.protocol, ports, prefix)


def _security_rule(sent: Mapping[str, Any], answer: m.VMDetailsResponse) -> Any | None:
    return _same_rule(sent, answer.instance.security_rules)


def _firewall_rule(sent: Mapping[str, Any], answer: m.GetFirewallDetailsResponse) -> Any | None:
    return _same_rule(sent, answer.firewall.rules)


def _attached(sent: Mapping[str, Any], answer: m.VMDetailsResponse) -> Any | None:
    there = [volume for volume in answer.instance.volumes if volume.id in sent["volume_ids"]]
    return there if len(there) == len(sent["volume_ids"]) else None


def _detached(sent: Mapping[str, Any], answer: m.VMDetailsResponse) -> Any | None:
    there = {volume.id for volume in answer.instance.volumes}
    return True if there.isdisjoint(sent["volume_ids"]) else None


def _guarded(sent: Mapping[str, Any], answer: m.GetFirewallDetailsResponse) -> Any | None:
    wanted = set(sent["instance_ids"])
    there = [a for a in answer.firewall.attachments if a.instance.id in wanted]
    return there if {a.instance.id for a in there} == wanted else None


def _grown(sent: Mapping[str, Any], answer: m.GetVolumeDetailsResponse) -> Any | None:
    return answer.volume if answer.volume.size_gb == sent["size_gb"] else None


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
              "GET", "/instances/hibernated", m.GetHibernatedVMsResponse, "", Repeat(),
              only_earlier=True),
    Operation("start_instance", "Start instance", "Instance management",
              "POST", "/instances/{instance_id}/start", m.StartVMResponse, "instance",
              _to(S.ACTIVE, S.STARTING)),
    Operation("stop_instance", "Stop instance", "Instance management",
              "POST", "/instances/{instance_id}/stop", m.StopVMResponse, "instance",
              _to(S.SHUTOFF)),
    Operation("reboot_instance", "Reboot instance", "Instance management",
              "POST", "/instances/{instance_id}/reboot", m.RebootVMResponse, "instance",
              NeverRepeat()),
    Operation("hibernate_instance", "Hibernate instance", "Instance management",
              "POST", "/instances/{instance_id}/hibernate", m.HibernateVMResponse, "instance",
              _to(S.HIBERNATED)),
    Operation("restore_instance", "Restore hibernated instance", "Instance management",
              "POST", "/instances/{instance_id}/restore", m.RestoreVMResponse, "instance",
              _to(S.ACTIVE, S.RESTORING)),
    Operation("toggle_public_ip", "Toggle public IP for instance", "Instance management",
              "POST", "/instances/{instance_id}/public-ip", m.ToggleVMPublicIPResponse,
              "instance", ByChange("public_ip")),
    Operation("add_security_rule", "Add instance security rule", "Instance management",
              "POST", "/instances/{instance_id}/security-rules", m.AddVMSecurityRuleResponse,
              "security_rule", ByContents("get_instance", _security_rule),
              request=m.VMSecurityRuleRequest),
    Operation("remove_security_rule", "Remove instance security rule", "Instance management",
              "DELETE", "/instances/{instance_id}/security-rules/{rule_id}",
              m.RemoveVMSecurityRuleResponse, "", ByAbsence(None)),
    Operation("delete_instance", "Delete instance", "Instance management",
              "DELETE", "/instances/{instance_id}", m.DeleteVMResponse, "instance",
              ByAbsence("get_instance")),
)  # fmt: skip

_OS_IMAGES = (
    Operation("list_os_images", "List OS images", "OS Images", "GET", "/os-images",
              m.OSImagesResponse, "images", Repeat(), query=("region",), method_is="inferred"),
)  # fmt: skip

_SSH_KEYS = (
    Operation("list_ssh_keys", "List SSH keys", "SSH Keys", "GET", "/ssh-keys",
              m.GetSSHKeysResponse, "ssh_keys", Repeat(), paged=True, method_is="inferred"),
    Operation("get_ssh_key", "Get SSH key", "SSH Keys", "GET", "/ssh-keys/{key_id}",
              m.SSHKeyResponse, "", Repeat(), method_is="inferred"),
    Operation("create_ssh_key", "Create SSH key", "SSH Keys", "POST", "/ssh-keys",
              m.CreateSSHKeyResponse, "ssh_key", ByName("list_ssh_keys"),
              request=m.CreateSSHKeyRequest, method_is="inferred"),
    Operation("delete_ssh_key", "Delete SSH key", "SSH Keys", "DELETE", "/ssh-keys/{key_id}",
              m.DeleteSSHKeyResponse, "", ByAbsence("get_ssh_key"), method_is="inferred"),
)  # fmt: skip

_VOLUMES = (
    Operation("list_volumes", "List volumes", "Volumes", "GET", "/volumes",
              m.GetVolumesWithNextNameResponse, "volumes", Repeat(), paged=True,
              method_is="inferred"),
    Operation("create_volume", "Create volume", "Volumes", "POST", "/volumes",
              m.CreateVolumeResponse, "volume", ByName("list_volumes"),
              request=m.CreateVolumeRequest, method_is="inferred"),
    Operation("get_volume", "Get volume details", "Volumes", "GET", "/volumes/{volume_id}",
              m.GetVolumeDetailsResponse, "volume", Repeat(), method_is="inferred"),
    Operation("delete_volume", "Delete volume", "Volumes", "DELETE", "/volumes/{volume_id}",
              m.DeleteVolumeResponse, "", ByAbsence("get_volume"), method_is="inferred"),
    Operation("resize_volume", "Resize volume", "Volumes", "POST", "/volumes/{volume_id}/resize",
              m.ResizeVolumeResponse, "volume", ByContents("get_volume", _grown),
              request=m.ResizeVolumeRequest, method_is="inferred"),
    Operation("clone_volume", "Clone volume", "Volumes", "POST", "/volumes/{volume_id}/clone",
              m.CloneVolumeResponse, "volume", ByName("list_volumes"),
              request=m.CloneVolumeRequest, method_is="inferred"),
    Operation("attach_volumes", "Attach volumes to instance", "Volumes",
              "POST", "/instances/{instance_id}/volumes/attach", m.AttachVolumesResponse,
              "volumes", ByContents("get_instance", _attached),
              request=m.AttachVolumesRequest, method_is="inferred"),
    Operation("detach_volumes", "Detach volumes from instance", "Volumes",
              "POST", "/instances/{instance_id}/volumes/detach", m.DetachVolumesResponse,
              "", ByContents("get_instance", _detached),
              request=m.DetachVolumesRequest, method_is="inferred"),
    Operation("list_volume_types", "List available volume types", "Volumes",
              "GET", "/volumes/types", m.GetVolumeTypesResponse, "volume_types", Repeat(),
              method_is="inferred"),
    Operation("get_volume_billing", "Get volume billing", "Volumes",
              "GET", "/volumes/{volume_id}/billing", m.VolumeHourlyBillingResponse, "",
              Repeat(), query=("start", "end"), method_is="inferred"),
)  # fmt: skip

_FIREWALLS = (
    Operation("list_firewalls", "List firewalls", "Firewalls", "GET", "/firewalls",
              m.ListFirewallsResponse, "firewalls", Repeat(), paged=True, method_is="inferred"),
    Operation("get_firewall", "Get firewall details", "Firewalls",
              "GET", "/firewalls/{firewall_id}", m.GetFirewallDetailsResponse, "firewall",
              Repeat(), method_is="inferred"),
    Operation("list_firewall_protocols", "Get supported protocols", "Firewalls",
              "GET", "/firewalls/protocols", m.GetSupportedProtocolsResponse, "protocols",
              Repeat(), method_is="inferred"),
    Operation("list_instance_firewalls", "Get firewalls attached to instance", "Firewalls",
              "GET", "/instances/{instance_id}/firewalls", m.GetVMAttachedFirewallsResponse,
              "firewalls", Repeat()),
    Operation("list_firewall_eligible_instances",
              "List instances available for firewall attachment", "Firewalls",
              "GET", "/firewalls/eligible-instances", m.ListVMsResponse, "instances", Repeat(),
              method_is="inferred"),
    Operation("create_firewall", "Create firewall", "Firewalls", "POST", "/firewalls",
              m.CreateFirewallResponse, "firewall", ByName("list_firewalls"),
              request=m.CreateFirewallRequest, method_is="inferred"),
    Operation("delete_firewall", "Delete firewall", "Firewalls",
              "DELETE", "/firewalls/{firewall_id}", m.DeleteFirewallResponse, "",
              ByAbsence("get_firewall"), method_is="inferred"),
    Operation("add_firewall_rule", "Add firewall rule", "Firewalls",
              "POST", "/firewalls/{firewall_id}/rules", m.AddFirewallRuleResponse, "rule",
              ByContents("get_firewall", _firewall_rule),
              request=m.AddFirewallRuleRequest, method_is="inferred"),
    Operation("remove_firewall_rule", "Remove firewall rule", "Firewalls",
              "DELETE", "/firewalls/{firewall_id}/rules/{rule_id}",
              m.RemoveFirewallRuleResponse, "", ByAbsence(None), method_is="inferred"),
    Operation("attach_firewall", "Attach firewall to instances", "Firewalls",
              "POST", "/firewalls/{firewall_id}/attach", m.AttachFirewallResponse,
              "attachments", ByContents("get_firewall", _guarded),
              request=m.AttachFirewallRequest, method_is="inferred"),
)  # fmt: skip

_SCRIPTS = (
    Operation("list_scripts", "List all startup scripts", "Scripts", "GET", "/scripts",
              m.ScriptListResponse, "scripts", Repeat(), paged=True, method_is="inferred"),
    Operation("get_script", "Get startup script details", "Scripts",
              "GET", "/scripts/{script_id}", m.Script, "", Repeat(), method_is="inferred"),
    Operation("create_script", "Create a startup script", "Scripts", "POST", "/scripts",
              m.Script, "", ByName("list_scripts"), request=m.CreateScriptRequest,
              method_is="inferred"),
    Operation("update_script", "Update a startup script", "Scripts",
              "PUT", "/scripts/{script_id}", m.Script, "", Repeat(changes=True),
              request=m.UpdateScriptRequest, method_is="inferred"),
    Operation("delete_script", "Delete a startup script", "Scripts",
              "DELETE", "/scripts/{script_id}", m.MessageResponse, "",
              ByAbsence("get_script"), method_is="inferred"),
    Operation("delete_scripts", "Delete multiple startup scripts", "Scripts",
              "DELETE", "/scripts", m.MessageResponse, "", ByAbsence(None),
              request=m.DeleteScriptsRequest, method_is="inferred"),
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

_IMAGES = (
    Operation("list_images", "List custom images", "Images", "GET", "/images",
              m.ImageListResponse, "images", Repeat(), paged=True, method_is="inferred"),
    Operation("get_image", "Get image details", "Images", "GET", "/images/{image_id}",
              m.ImageDetailResponse, "image", Repeat(), method_is="inferred"),
    Operation("create_image", "Create image from snapshot", "Images", "POST", "/images",
              m.ImageCreateResponse, "image", ByName("list_images"),
              request=m.CreateImageFromSnapshotRequest, method_is="inferred"),
    Operation("delete_image", "Delete custom image", "Images", "DELETE", "/images/{image_id}",
              m.ImageDeleteResponse, "", ByAbsence("get_image"), method_is="inferred"),
    Operation("get_snapshot_image", "Get snapshot-image relationship", "Images",
              "GET", "/snapshots/{snapshot_id}/image", m.SnapshotImageRelationshipResponse,
              "", Repeat(), method_is="inferred"),
    Operation("list_snapshot_images", "Get snapshot-image relationship list", "Images",
              "POST", "/snapshots/images", m.BatchSnapshotImageRelationshipResponse,
              "relationships", Repeat(),
              request=m.GetBatchSnapshotImageRelationshipsRequest, method_is="inferred"),
)  # fmt: skip

_AI = (
    Operation("list_ai_models", "Get available AI models", "AI Chat", "GET", "/ai/models",
              m.ModelsResponse, "models", Repeat(), method_is="inferred"),
    Operation("chat", "Chat with AI", "AI Chat", "POST", "/ai/chat/completions",
              m.ChatCompletionsResponse, "", NeverRepeat(), request=m.ChatCompletionsRequest,
              method_is="inferred"),
    Operation("get_ai_usage", "Get AI usage summary", "AI Chat", "GET", "/ai/usage",
              m.UsageSummaryResponse, "", Repeat(), query=("start", "end"),
              method_is="inferred"),
    Operation("list_ai_usage_history", "Get AI usage history", "AI Chat",
              "GET", "/ai/usage/history", m.UsageHistoryResponse, "transactions", Repeat(),
              query=("start", "end"), paged=True, method_is="inferred"),
)  # fmt: skip

_ALL = (
    *_BALANCE, *_GPUS, *_INSTANCES, *_OS_IMAGES, *_SSH_KEYS, *_VOLUMES, *_FIREWALLS, *_SCRIPTS,
    *_SNAPSHOTS, *_IMAGES, *_AI,
)  # fmt: skip

OPERATIONS: dict[str, Operation[Any]] = {operation.name: operation for operation in _ALL}

PARAMETERS: dict[str, str] = {
    "instance_id": "Id of an instance, such as BRK-A1B2C3D.",
    "rule_id": "Id of a rule of the instance or firewall.",
    "key_id": "Id of an SSH key.",
    "volume_id": "Id of a volume.",
    "firewall_id": "Id of a firewall.",
    "script_id": "Id of a startup script.",
    "snapshot_id": "Id of a snapshot.",
    "image_id": "Id of an image of the account's own.",
    "status": "Only those in this state.",
    "region": "Only those of this region.",
    "start": "From this moment on.",
    "end": "Before this moment.",
}
"""What the parameters of paths and queries are, under their canonical names."""
