"""Instances: what they are, what they are asked for, what their billing says."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import AfterValidator, ConfigDict, Field, model_validator
from pydantic.config import JsonDict

from barrack_tasks.api.models.base import Answer, Id, Model, Money, OpenEnum, Request, Timestamp
from barrack_tasks.api.models.common import CurrencyEnum, Pagination
from barrack_tasks.api.models.gpus import GpuCountEnum, GpuModelEnum, RegionEnum, TierEnum
from barrack_tasks.api.models.rules import (
    IPV4,
    IPV6,
    Cidr,
    InstanceName,
    OfferedGpuCount,
    check_known,
    check_ports,
)

__all__ = [
    "AddVMSecurityRuleResponse", "AggregatedBillingResponse", "Billing", "BillingRecord",
    "BillingSummary", "DeleteVMResponse", "DeploymentRequest", "DeploymentResponse",
    "DirectionEnum", "EthertypeEnum", "GetHibernatedVMsResponse", "HibernateVMResponse",
    "HibernationBillingMetrics", "ListUserVMsResponse", "ListVMsResponse", "ProtocolEnum",
    "RebootVMResponse", "RecentHibernation", "RemoveVMSecurityRuleResponse", "RestoreVMResponse",
    "StartVMResponse", "StopVMResponse", "ToggleVMPublicIPResponse", "UserVM", "VMDetailsResponse",
    "VMFlavor", "VMImage", "VMInstance", "VMResponse", "VMSecurityRule", "VMSecurityRuleRequest",
    "VMStatus", "VMVolumeAttachment",
]  # fmt: skip


class VMStatus(OpenEnum):
    """State of an instance. The first four are stable [D], the rest upstream's words [U]."""

    ACTIVE = "ACTIVE"
    SHUTOFF = "SHUTOFF"
    HIBERNATED = "HIBERNATED"
    DELETED = "DELETED"
    CREATING = "CREATING"
    BUILD = "BUILD"
    STARTING = "STARTING"
    STOPPING = "STOPPING"
    REBOOTING = "REBOOTING"
    HIBERNATING = "HIBERNATING"
    RESTORING = "RESTORING"
    DELETING = "DELETING"
    ERROR = "ERROR"

    @property
    def is_stable(self) -> bool:
        """Whether the instance stays in this state until someone acts."""
        return self in _STABLE

    @property
    def leads_to(self) -> VMStatus | None:
        """The stable state that a passing one becomes; None for any other, and for a new word."""
        return _LEADS_TO.get(self)

    @property
    def is_waking(self) -> bool:
        """Whether the instance comes back from rest."""
        return self in _WAKING

    @property
    def is_transitional(self) -> bool:
        """Whether the state is passing. A word that is not known is taken for passing."""
        return self not in _STABLE and self is not VMStatus.ERROR


_STABLE = frozenset({VMStatus.ACTIVE, VMStatus.SHUTOFF, VMStatus.HIBERNATED, VMStatus.DELETED})
_LEADS_TO = {
    VMStatus.CREATING: VMStatus.ACTIVE,
    VMStatus.BUILD: VMStatus.ACTIVE,
    VMStatus.STARTING: VMStatus.ACTIVE,
    VMStatus.REBOOTING: VMStatus.ACTIVE,
    VMStatus.RESTORING: VMStatus.ACTIVE,
    VMStatus.STOPPING: VMStatus.SHUTOFF,
    VMStatus.HIBERNATING: VMStatus.HIBERNATED,
    VMStatus.DELETING: VMStatus.DELETED,
}
_WAKING = frozenset({VMStatus.STARTING, VMStatus.RESTORING})


PENDING_ADDRESS = "pending"
"""What stands for a public address that is still to be assigned [D]."""


class DirectionEnum(OpenEnum):
    """Direction of traffic that a rule is about [U]."""

    INGRESS = "ingress"
    EGRESS = "egress"


class EthertypeEnum(OpenEnum):
    """IP version of a rule [U]."""

    IPV4 = "IPv4"
    IPV6 = "IPv6"


class ProtocolEnum(OpenEnum):
    """Protocol of a rule: the names that upstream's network service takes [U]."""

    ANY = "any"
    TCP = "tcp"
    UDP = "udp"
    ICMP = "icmp"
    AH = "ah"
    DCCP = "dccp"
    EGP = "egp"
    ESP = "esp"
    GRE = "gre"
    IGMP = "igmp"
    IPIP = "ipip"
    IPV6_ENCAP = "ipv6-encap"
    IPV6_FRAG = "ipv6-frag"
    IPV6_ICMP = "ipv6-icmp"
    IPV6_NONXT = "ipv6-nonxt"
    IPV6_OPTS = "ipv6-opts"
    IPV6_ROUTE = "ipv6-route"
    OSPF = "ospf"
    PGM = "pgm"
    RSVP = "rsvp"
    SCTP = "sctp"
    UDPLITE = "udplite"
    VRRP = "vrrp"

    @property
    def has_ports(self) -> bool:
        """Whether the protocol has ports that a rule can name."""
        return self in _WITH_PORTS


_WITH_PORTS = frozenset(
    {
        ProtocolEnum.TCP,
        ProtocolEnum.UDP,
        ProtocolEnum.SCTP,
        ProtocolEnum.DCCP,
        ProtocolEnum.UDPLITE,
    }
)


class VMFlavor(Model):
    """Hardware of an instance. RAM and disks in GB."""

    name: str | None = None
    gpu_model: GpuModelEnum | None = None
    gpu_count: GpuCountEnum | None = None
    vcpus: int | None = None
    ram_gb: int | None = None
    disk_gb: int | None = None
    ephemeral_gb: int | None = None


class VMImage(Model):
    """What an instance booted from."""

    id: Id | None = None
    name: str | None = None


class VMVolumeAttachment(Model):
    """A volume that is attached to an instance."""

    id: Id
    name: str | None = None
    size_gb: int | None = None
    status: str | None = None


class VMSecurityRule(Model):
    """A security rule of an instance."""

    id: Id | None = None
    direction: DirectionEnum | None = None
    ethertype: EthertypeEnum | None = None
    protocol: ProtocolEnum | None = None
    port_range_min: int | None = None
    port_range_max: int | None = None
    remote_ip_prefix: str | None = None
    status: str | None = None


class UserVM(Model):
    """An instance as lists show it. Only id, name and status are relied on."""

    id: Id
    name: str
    status: VMStatus
    region: RegionEnum | None = None
    gpu_model: GpuModelEnum | None = None
    gpu_count: GpuCountEnum | None = None
    tier: TierEnum | None = None
    hourly_price: Money | None = None
    currency: CurrencyEnum | None = None
    flavor: VMFlavor | None = None
    image: VMImage | None = None
    boot_source: str | None = None
    public_ip: str | None = None
    private_ip: str | None = None
    ssh_key: str | None = None
    volumes: list[VMVolumeAttachment] = []
    security_rules: list[VMSecurityRule] = []
    created_at: Timestamp | None = None
    updated_at: Timestamp | None = None
    hibernated_at: Timestamp | None = None

    @property
    def has_come_up(self) -> bool:
        """Whether it is ACTIVE, and its address is not still to be assigned."""
        return self.status is VMStatus.ACTIVE and self.public_ip != PENDING_ADDRESS

    @property
    def has_address(self) -> bool:
        """Whether it has a public address that can be reached."""
        return self.address is not None

    @property
    def address(self) -> str | None:
        """The public address where it can be reached; None if it has none, or none yet."""
        return None if self.public_ip in ("", PENDING_ADDRESS) else self.public_ip


class VMInstance(UserVM):
    """An instance in full."""

    power_state: str | None = None
    vm_state: str | None = None
    public_ip_status: str | None = None
    labels: list[str] = []
    locked: bool | None = None
    features: dict[str, Any] = {}


class VMResponse(Model):
    """An instance as the answer to a request that changes it shows it: id and new status."""

    id: Id
    status: VMStatus
    name: str | None = None
    region: RegionEnum | None = None
    gpu_model: GpuModelEnum | None = None
    gpu_count: GpuCountEnum | None = None
    hourly_price: Money | None = None
    currency: CurrencyEnum | None = None
    public_ip: str | None = None
    boot_source: str | None = None
    created_at: Timestamp | None = None


class Billing(Model):
    """What an instance costs now and has cost so far."""

    rate_per_hour: Money | None = None
    accrued: Money | None = None
    currency: CurrencyEnum | None = None


class ListUserVMsResponse(Answer):
    """Answer of `list_instances`."""

    instances: list[UserVM]
    pagination: Pagination | None = None


class ListVMsResponse(Answer):
    """Answer of the operations that list eligible instances."""

    instances: list[VMInstance]


class VMDetailsResponse(Answer):
    """Answer of `get_instance`."""

    instance: VMInstance
    billing: Billing | None = None


class _InstanceAnswer(Answer):
    instance: VMResponse


class StartVMResponse(_InstanceAnswer):
    """Answer of `start_instance`."""


class StopVMResponse(_InstanceAnswer):
    """Answer of `stop_instance`."""


class RebootVMResponse(_InstanceAnswer):
    """Answer of `reboot_instance`."""


class HibernateVMResponse(_InstanceAnswer):
    """Answer of `hibernate_instance`."""


class RestoreVMResponse(_InstanceAnswer):
    """Answer of `restore_instance`."""


class ToggleVMPublicIPResponse(_InstanceAnswer):
    """Answer of `toggle_public_ip`."""


class DeleteVMResponse(_InstanceAnswer):
    """Answer of `delete_instance`."""


class DeploymentResponse(_InstanceAnswer):
    """Answer of `create_instance`."""


_BOOTS = ("image_id", "snapshot_id", "volume_id")
"""What an instance can boot from."""


class DeploymentRequest(Request):
    """A new instance. Exactly one of image, snapshot and volume says what it boots from."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {
                    "required": [one],
                    "properties": {
                        one: {"anyOf": [{"type": "integer"}, {"type": "string", "minLength": 1}]},
                        **{other: {"type": "null"} for other in _BOOTS if other != one},
                    },
                }
                for one in _BOOTS
            ]
        }
    )
    name: InstanceName
    region: RegionEnum
    gpu_model: GpuModelEnum
    gpu_count: OfferedGpuCount = GpuCountEnum.ONE
    tier: TierEnum | None = None
    image_id: Id | None = None
    snapshot_id: Id | None = None
    volume_id: Id | None = None
    ssh_key_id: Id | None = None
    public_ip: bool = True
    script_id: Id | None = None
    volume_ids: list[Id] = []
    security_rules: list[VMSecurityRuleRequest] = []

    @model_validator(mode="after")
    def _one_boot_source(self) -> Self:
        given = [k for k in _BOOTS if getattr(self, k)]
        if len(given) != 1:
            raise ValueError(
                "exactly one of image_id, snapshot_id and volume_id says what to boot from; "
                + (f"got {' and '.join(given)}" if given else "got none")
            )
        return self


_PORTS = ("port_range_min", "port_range_max")
_SAID_OF_TRAFFIC: JsonDict = {
    "allOf": [
        {
            "anyOf": [
                {
                    "required": [*_PORTS],
                    "properties": {
                        **{port: {"type": "integer"} for port in _PORTS},
                        "protocol": {"enum": ["tcp", "udp"]},
                    },
                },
                {"properties": {port: {"type": "null"} for port in _PORTS}},
            ]
        },
        {
            "anyOf": [
                {"properties": {"ethertype": {"const": "IPv4"}, "remote_ip_prefix": {**IPV4}}},
                {
                    "required": ["ethertype"],
                    "properties": {"ethertype": {"const": "IPv6"}, "remote_ip_prefix": {**IPV6}},
                },
            ]
        },
    ]
}
"""Both ports or neither, and a prefix of the IP version; that ports are in order cannot be said."""


class TrafficRuleRequest(Request):
    """What rules of instances and of firewalls share. Checked before it is sent.

    Without ports a rule is about all of them. Without a prefix it is about every address of its
    IP version.
    """

    model_config = ConfigDict(json_schema_extra=_SAID_OF_TRAFFIC)

    direction: Annotated[DirectionEnum, AfterValidator(check_known)] = DirectionEnum.INGRESS
    ethertype: Annotated[EthertypeEnum, AfterValidator(check_known)] = EthertypeEnum.IPV4
    protocol: Annotated[ProtocolEnum, AfterValidator(check_known)]
    port_range_min: int | None = Field(default=None, ge=1, le=65535)
    port_range_max: int | None = Field(default=None, ge=1, le=65535)
    remote_ip_prefix: Cidr = "0.0.0.0/0"

    @model_validator(mode="before")
    @classmethod
    def _everywhere(cls, given: Any) -> Any:
        if not isinstance(given, Mapping) or "remote_ip_prefix" in given:
            return given
        is_ipv6 = str(given.get("ethertype")).casefold() == EthertypeEnum.IPV6.value.casefold()
        return {**given, "remote_ip_prefix": "::/0"} if is_ipv6 else given

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        check_ports(self.port_range_min, self.port_range_max)
        if self.port_range_min is not None and not self.protocol.has_ports:
            raise ValueError(
                f"port_range_min and port_range_max must not be given: "
                f"the protocol {self.protocol} has no ports"
            )
        version = f"IPv{ipaddress.ip_network(self.remote_ip_prefix).version}"
        if version != self.ethertype:
            raise ValueError(
                f"remote_ip_prefix {self.remote_ip_prefix} is {version}, "
                f"but ethertype is {self.ethertype}"
            )
        return self


class VMSecurityRuleRequest(TrafficRuleRequest):
    """A security rule to be added to an instance."""


class AddVMSecurityRuleResponse(Answer):
    """Answer of `add_security_rule`."""

    security_rule: VMSecurityRule


class RemoveVMSecurityRuleResponse(Answer):
    """Answer of `remove_security_rule`."""


class BillingRecord(Model):
    """A stretch of time that was billed at one rate."""

    start: Timestamp
    end: Timestamp | None = None
    status: VMStatus | None = None
    minutes: int | None = None
    rate_per_hour: Money | None = None
    cost: Money


class BillingSummary(Model):
    """What the records add up to."""

    total: Money
    currency: CurrencyEnum
    start: Timestamp | None = None
    end: Timestamp | None = None


class AggregatedBillingResponse(Answer):
    """Answer of `get_instance_billing` and `get_snapshot_billing`."""

    summary: BillingSummary
    records: list[BillingRecord] = []


class RecentHibernation(Model):
    """An instance that sleeps."""

    id: Id
    name: str | None = None
    hibernated_at: Timestamp | None = None


class HibernationBillingMetrics(Model):
    """What hibernated instances cost."""

    rate_per_hour: Money | None = None
    accrued: Money | None = None
    currency: CurrencyEnum | None = None


class GetHibernatedVMsResponse(Answer):
    """Answer of `get_hibernated_instances`."""

    count: int
    recent: list[RecentHibernation] = []
    billing: HibernationBillingMetrics | None = None


DeploymentRequest.model_rebuild()
