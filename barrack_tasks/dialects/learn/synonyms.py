"""What else things are called: the tables behind every match that is not by name alone.

A correction or an addition is one entry here. Names are written as lower-case words joined by "_";
the case style of a document does not matter.
"""

from __future__ import annotations


def split(text: str) -> list[str]:
    """The words of a text."""
    return text.split()


PHRASES: dict[str, str] = {
    "virtual_machine": "instance",
    "vm": "instance",
    "machine": "instance",
    "server": "instance",
    "environment": "region",
    "env": "region",
    "zone": "region",
    "datacenter": "region",
    "data_center": "region",
    "location": "region",
    "floating_ip": "public_ip",
    "external_ip": "public_ip",
    "public_ipv4": "public_ip",
    "public_address": "public_ip",
    "public_ip_address": "public_ip",
    "fixed_ip": "private_ip",
    "internal_ip": "private_ip",
    "private_ipv4": "private_ip",
    "private_address": "private_ip",
    "private_ip_address": "private_ip",
    "key_pair": "ssh_key",
    "keypair": "ssh_key",
    "sg_rule": "security_rule",
    "firewall_rule": "rule",
    "startup_script": "script",
    "identifier": "id",
    "uuid": "id",
    "uid": "id",
}
"""Words that stand for other words, wherever they occur in a name."""

NOUNS: dict[str, str] = {
    "UserVM": "instance",
    "VMInstance": "instance",
    "VMResponse": "instance",
    "RecentHibernation": "instance",
    "FirewallVM": "instance",
    "Snapshot": "snapshot",
    "Image": "image",
    "VMImage": "image",
    "OSImage": "image",
    "VolumeResponse": "volume",
    "VMVolumeAttachment": "volume",
    "VMFlavor": "flavor",
    "Region": "region",
    "FirewallResponse": "firewall",
    "AttachedFirewall": "firewall",
    "FirewallRule": "rule",
    "VMSecurityRule": "security_rule",
    "SSHKeyResponse": "ssh_key",
    "Script": "script",
    "CreateSnapshotRequest": "snapshot",
    "CreateVolumeRequest": "volume",
    "CreateSSHKeyRequest": "ssh_key",
    "CreateScriptRequest": "script",
    "CreateFirewallRequest": "firewall",
    "DeploymentRequest": "instance",
    "AITransaction": "transaction",
    "AIModel": "model",
    "GPUSpec": "gpu",
    "Pagination": "page",
    "Balance": "balance",
    "ErrorResponse": "error",
}
"""What a schema is about: `vmStatus` of an instance is its status."""

FIELDS: dict[str, tuple[str, ...]] = {
    "name": ("label", "title", "display_name", "hostname"),
    "status": ("state", "instance_status", "lifecycle_state", "phase"),
    "message": ("detail", "msg", "description", "text", "error_message"),
    "created_at": ("created", "creation_time", "created_time", "created_on", "create_time",
                   "creation_date", "date_created", "creation_timestamp"),
    "updated_at": ("updated", "modified_at", "updated_time", "updated_on", "last_modified",
                   "modified", "update_time", "last_updated", "date_updated"),
    "hibernated_at": ("hibernated", "hibernated_time", "hibernation_time", "hibernated_on",
                      "slept_at", "hibernated_since"),
    "attached_at": ("attached", "attached_time", "attachment_time", "attached_on"),
    "hourly_price": ("cost_per_hour", "price_per_hour", "per_hour", "hourly_cost", "hourly_rate",
                     "rate_per_hour", "pricing_rate", "hourly", "price_hourly", "cost_hourly"),
    "hourly": ("hourly_price", "price_per_hour", "per_hour", "value", "cost_per_hour",
               "hourly_rate", "hourly_cost", "rate_per_hour", "price", "rate", "amount"),
    "rate_per_hour": ("pricing_rate", "hourly_rate", "rate", "per_hour", "price_per_hour",
                      "cost_per_hour", "hourly_price", "hourly"),
    "accrued": ("accrued_cost", "cost_so_far", "incurred_bill", "total_cost", "accumulated",
                "incurred"),
    "cost": ("incurred_bill", "amount", "total_cost", "charge", "price", "bill"),
    "amount": ("value", "credit", "credits", "balance", "credit_balance", "remaining"),
    "balance": ("credits", "credit", "credit_balance", "wallet"),
    "currency": ("currency_code", "unit", "ccy"),
    "BillingSummary.total": ("incurred_bill", "total_cost", "amount", "cost", "sum"),
    "VolumeBillingSummary.total": ("incurred_bill", "total_cost", "amount", "cost", "sum"),
    "UsageSummaryResponse.total": ("total_cost", "amount", "cost", "sum", "incurred_bill"),
    "Pagination.total": ("count", "total_count", "total_items", "items_total", "total_results",
                         "total_records", "total_elements", "num_items"),
    "Pagination.page": ("current_page", "page_number", "page_index", "number"),
    "Pagination.page_size": ("limit", "per_page", "size", "items_per_page", "page_limit", "take"),
    "Pagination.pages": ("total_pages", "page_count", "num_pages", "last_page"),
    "Pagination.offset": ("skip", "start_index", "from_index"),
    "Pagination.next_cursor": ("cursor", "next", "next_page_token", "next_token",
                               "continuation_token", "after", "end_cursor"),
    "start": ("from", "since", "start_time", "from_time", "start_date", "from_date", "begin",
              "started_at", "start_at", "begin_time", "period_start"),
    "end": ("to", "until", "end_time", "to_time", "end_date", "to_date", "ended_at", "end_at",
            "finish_time", "period_end", "till"),
    "gpu_model": ("model", "gpu", "gpu_type", "gpu_name", "accelerator", "accelerator_type"),
    "gpu_count": ("gpus", "count", "num_gpus", "number_of_gpus", "gpu_quantity", "gpu_number",
                  "accelerator_count"),
    "vcpus": ("cpu", "cpus", "vcpu", "cpu_count", "vcpu_count", "cpu_cores", "cores", "num_cpus"),
    "ram_gb": ("ram", "memory", "memory_gb", "mem", "mem_gb"),
    "memory_gb": ("memory", "vram", "vram_gb", "gpu_memory", "gpu_memory_gb", "gpu_ram"),
    "disk_gb": ("disk", "disk_size", "disk_size_gb", "root_disk_gb", "root_disk", "storage",
                "storage_gb", "root_disk_size"),
    "ephemeral_gb": ("ephemeral", "ephemeral_disk", "ephemeral_disk_gb", "ephemeral_size",
                     "ephemeral_storage"),
    "size_gb": ("size", "disk_size", "disk_size_gb", "capacity", "capacity_gb", "volume_size"),
    "can_hibernate": ("hibernatable", "hibernation", "hibernation_supported",
                      "supports_hibernation", "hibernate"),
    "flavor": ("instance_type", "plan", "hardware", "flavour"),
    "public_ip": ("ip", "ip_address", "assign_public_ip", "ipv4"),
    "private_ip": ("local_ip", "lan_ip"),
    "ssh_key": ("key", "ssh_key_name", "key_name", "sshkey"),
    "ssh_key_id": ("key_id", "sshkey_id", "ssh_key"),
    "ssh_keys": ("keys", "keypairs", "sshkeys"),
    "public_key": ("key", "key_data", "pub_key", "public_key_data", "material"),
    "volumes": ("volume_attachments", "attached_volumes", "disks"),
    "security_rules": ("rules", "firewall_rules", "sg_rules"),
    "boot_source": ("source", "booted_from", "boot_from", "boot_type"),
    "content": ("body", "script", "source", "user_data", "text"),
    "configurations": ("configs", "options", "flavors"),
    "available": ("in_stock", "stock", "quantity", "free", "availability"),
    "stocks": ("stock", "gpu_stocks", "inventory"),
    "gpus": ("gpu_specs", "models", "flavors"),
    "specs": ("configurations", "options", "flavors"),
    "pagination": ("page", "paging", "pager", "page_info", "meta", "paginator"),
    "next_name": ("next_available_name", "suggested_name", "free_name"),
    "error_reason": ("code", "error_code", "reason", "type", "error_type"),
    "errors": ("fields", "field_errors", "details", "validation_errors", "invalid_fields"),
    "request_id": ("trace_id", "correlation_id", "req_id"),
    "ErrorResponse.status": ("ok", "success", "succeeded"),
    "ErrorResponse.message": ("detail", "error", "msg", "description", "error_message", "title"),
    "remote_ip_prefix": ("cidr", "source_cidr", "remote_cidr", "ip_range", "remote_ip", "source"),
    "port_range_min": ("port_min", "from_port", "min_port", "start_port", "port_from"),
    "port_range_max": ("port_max", "to_port", "max_port", "end_port", "port_to"),
    "ethertype": ("ether_type", "ip_version", "ip_family", "family"),
    "protocol": ("ip_protocol", "proto"),
    "resource_type": ("type", "resource", "kind", "category"),
    "volume_type": ("type", "disk_type", "storage_type"),
    "records": ("entries", "items", "lines", "history", "charges"),
    "recent": ("recent_hibernations", "latest", "hibernated_instances"),
    "count": ("total", "total_count", "number", "hibernated_count"),
    "transactions": ("history", "items", "entries"),
    "relationships": ("relations", "items", "links"),
    "context_length": ("context_window", "max_context", "context_size"),
    "prompt_tokens": ("input_tokens", "tokens_in"),
    "completion_tokens": ("output_tokens", "tokens_out"),
    "input_price": ("prompt_price", "price_in", "input_cost"),
    "output_price": ("completion_price", "price_out", "output_cost"),
    "max_tokens": ("max_completion_tokens", "max_output_tokens"),
    "is_image": ("image", "create_image", "as_image", "create_as_image"),
    "instance": ("data", "result"),
    "power_state": ("power", "power_status"),
}  # fmt: skip
"""Other names of a field, of all schemas or of one (`Schema.field`)."""

NEUTRAL = frozenset(
    split(
        "meta metadata attribute attributes data detail details info general common property "
        "properties core base payload summary stat stats"
    )
)
"""Objects that say nothing about what lies in them."""

LEAVES: dict[str, float] = {"name": 0.86, "code": 0.84, "slug": 0.83, "value": 0.83, "id": 0.72}
"""What names the thing itself, inside an object that bears the name of the field."""

_MONEY = frozenset(split("hourly_price hourly rate_per_hour accrued currency cost total amount"))
_HARDWARE = frozenset(
    split("gpu_model gpu_count vcpus ram_gb disk_gb ephemeral_gb memory_gb can_hibernate")
)
_TIMES = frozenset(split("created_at updated_at hibernated_at attached_at"))
_TOKENS = frozenset(split("prompt_tokens completion_tokens total_tokens"))
TOPICS: dict[str, frozenset[str]] = {
    **dict.fromkeys(("network", "networking", "addresses", "ips", "ip"),
                    frozenset({"public_ip", "private_ip", "public_ip_status"})),
    **dict.fromkeys(("pricing", "price", "billing", "cost", "costs", "rate", "rates"), _MONEY),
    **dict.fromkeys(("flavor", "hardware", "specs", "spec", "resources", "gpu", "compute",
                     "configuration", "machine_type"), _HARDWARE),
    **dict.fromkeys(("timestamps", "times", "dates", "audit", "history"), _TIMES),
    **dict.fromkeys(("period", "window", "range", "interval"), frozenset({"start", "end"})),
    **dict.fromkeys(("tokens", "usage"), _TOKENS),
    **dict.fromkeys(("state", "status", "lifecycle"),
                    frozenset({"status", "power_state", "vm_state"})),
    **dict.fromkeys(("placement",), frozenset({"region"})),
    **dict.fromkeys(("boot", "source"),
                    frozenset({"image_id", "snapshot_id", "volume_id", "instance_id"})),
    **dict.fromkeys(("access", "login", "auth"), frozenset({"ssh_key", "ssh_key_id"})),
    **dict.fromkeys(("page", "paging", "pages"),
                    frozenset({"page", "page_size", "total", "pages", "offset", "next_cursor"})),
}  # fmt: skip
"""Objects that gather fields of one kind."""

CONFLICTS: tuple[tuple[frozenset[str], ...], ...] = tuple(
    tuple(frozenset(side.split()) for side in sides.split("|"))
    for sides in (
        "hour hourly | minute | second | day daily | month monthly | year annual",
        "min | max",
        "public | private",
        "start from since begin | end to until till",
        "created creation | updated modified | deleted deletion | hibernated | attached",
        "input prompt | output completion",
        "gb gib | mb mib | kb kib | tb tib | byte bytes",
        "next | previous prev",
        "ingress inbound | egress outbound",
    )
)
"""Words that no two names of the same thing have on opposite sides."""

HELPERS = frozenset(split("assign enable enabled with has is use can need needs include should"))
"""Words that yes-or-no fields begin with."""
UNITS = frozenset({"gb", "gib"})
