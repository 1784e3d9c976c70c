"""Small APIs written by hand in the manners of other clouds, and what each of them has of ours.

None of them is the document of anyone. They hold what other clouds do differently: machines under
another name, actions by a word, snapshots of disks, images from an address, ids in a body.
"""

from __future__ import annotations

from typing import Any

Api = list[tuple[str, str, str, dict[str, Any], dict[str, Any]]]
"""Method, path, title, fields of the request, fields of the answer."""


def document(api: Api, **more: Any) -> dict[str, Any]:
    """An API as an OpenAPI document."""
    paths: dict[str, dict[str, Any]] = {}
    for method, path, title, asked, told in api:
        operation: dict[str, Any] = {
            "summary": title,
            "responses": {"200": {"content": {"application/json": {"schema": _schema(told)}}}},
        }
        if method == "GET":
            operation["parameters"] = [
                {"name": name, "in": "query", "schema": _schema(kind)}
                for name, kind in asked.items()
            ]
        elif asked:
            body = {"content": {"application/json": {"schema": _schema(asked)}}}
            operation["requestBody"] = body
        paths.setdefault(path, {})[method.lower()] = operation
    return {"openapi": "3.0.3", "info": {"title": "Other", "version": "1"}, "paths": paths, **more}


def _schema(kind: Any) -> dict[str, Any]:
    """`str`, a tuple of words, `[kind]` and `{field: kind}` as schemas; `field!` is required."""
    if isinstance(kind, dict):
        return {
            "type": "object",
            "properties": {name.rstrip("!"): _schema(inner) for name, inner in kind.items()},
            "required": [name[:-1] for name in kind if name.endswith("!")],
        }
    if isinstance(kind, list):
        return {"type": "array", "items": _schema(kind[0])}
    if isinstance(kind, tuple):
        return {"type": "string", "enum": list(kind)}
    names = {str: "string", int: "integer", float: "number", bool: "boolean"}
    return {"type": names[kind]}


_META = {"total": int, "links": {"next": str, "prev": str}}
_PAGES: dict[str, Any] = {"per_page": int, "cursor": str}
_BOX = {"id": str, "label": str, "region": str, "plan": str, "main_ip": str, "date_created": str,
        "status": ("active", "pending", "suspended", "resizing"), "power_status": str}  # fmt: skip
_COPY = {"id": str, "description": str, "date_created": str, "size": int, "status": str}
_DISK = {"id": str, "label": str, "region": str, "size_gb": int, "attached_to_instance": str}

HALTS: Api = [
    ("GET", "/v2/account", "Get Account Info", {},
     {"account": {"name": str, "email": str, "balance": float, "pending_charges": float}}),
    ("GET", "/v2/instances", "List Instances", _PAGES, {"instances": [_BOX], "meta": _META}),
    ("POST", "/v2/instances", "Create Instance",
     {"region!": str, "plan!": str, "os_id": int, "label": str}, {"instance": _BOX}),
    ("GET", "/v2/instances/{instance-id}", "Get Instance", {}, {"instance": _BOX}),
    ("PATCH", "/v2/instances/{instance-id}", "Update Instance", {"label": str}, {"instance": _BOX}),
    ("DELETE", "/v2/instances/{instance-id}", "Delete Instance", {}, {}),
    ("POST", "/v2/instances/halt", "Halt Instances", {"instance_ids": [str]}, {}),
    ("POST", "/v2/instances/start", "Start instances", {"instance_ids": [str]}, {}),
    ("POST", "/v2/instances/{instance-id}/start", "Start instance", {}, {}),
    ("POST", "/v2/instances/{instance-id}/halt", "Halt Instance", {}, {}),
    ("POST", "/v2/instances/{instance-id}/reboot", "Reboot Instance", {}, {}),
    ("POST", "/v2/instances/{instance-id}/reinstall", "Reinstall Instance", {}, {}),
    ("POST", "/v2/instances/{instance-id}/restore", "Restore Instance",
     {"backup_id": str, "snapshot_id": str}, {"status": str}),
    ("GET", "/v2/snapshots", "List Snapshots", _PAGES, {"snapshots": [_COPY], "meta": _META}),
    ("POST", "/v2/snapshots", "Create Snapshot", {"instance_id!": str, "description": str},
     {"snapshot": _COPY}),
    ("POST", "/v2/snapshots/create-from-url", "Create Snapshot from URL", {"url!": str},
     {"snapshot": _COPY}),
    ("GET", "/v2/snapshots/{snapshot-id}", "Get Snapshot", {}, {"snapshot": _COPY}),
    ("DELETE", "/v2/snapshots/{snapshot-id}", "Delete Snapshot", {}, {}),
    ("GET", "/v2/blocks", "List Block storages", _PAGES, {"blocks": [_DISK], "meta": _META}),
    ("POST", "/v2/blocks/{block-id}/attach", "Attach Block Storage", {"instance_id!": str}, {}),
    ("GET", "/v2/ssh-keys", "List SSH Keys", _PAGES,
     {"ssh_keys": [{"id": str, "name": str, "ssh_key": str}], "meta": _META}),
    ("GET", "/v2/regions", "List Regions", {}, {"regions": [{"id": str, "city": str}]}),
    ("GET", "/v2/plans", "List Plans", {}, {"plans": [{"id": str, "monthly_cost": float}]}),
    ("GET", "/v2/os", "List OS", {}, {"os": [{"id": int, "name": str, "family": str}]}),
    ("GET", "/v2/billing/history", "List Billing History", {}, {"billing_history": [_COPY]}),
]  # fmt: skip

_SERVER = {"id": str, "name": str, "zone": str, "commercial_type": str, "creation_date": str,
           "state": ("running", "stopped", "stopped in place", "starting", "stopping", "locked"),
           "public_ip": {"address": str}, "volumes": {}}  # fmt: skip
_SHOT = {"id": str, "name": str, "size": int, "state": ("available", "snapshotting", "error"),
         "base_volume": {"id": str, "name": str}, "creation_date": str}  # fmt: skip
_IN = "/instance/v1/zones/{zone}"

ZONES: Api = [
    ("GET", f"{_IN}/servers", "List all Instances", {"page": int, "per_page": int},
     {"servers": [_SERVER]}),
    ("POST", f"{_IN}/servers", "Create an Instance", {"name!": str, "commercial_type!": str},
     {"server": _SERVER}),
    ("GET", f"{_IN}/servers/{{server_id}}", "Get an Instance", {}, {"server": _SERVER}),
    ("DELETE", f"{_IN}/servers/{{server_id}}", "Delete an Instance", {}, {}),
    ("GET", f"{_IN}/servers/{{server_id}}/action", "List Instance actions", {},
     {"actions": [str]}),
    ("POST", f"{_IN}/servers/{{server_id}}/action", "Perform action",
     {"action": ("poweron", "backup", "stop_in_place", "poweroff", "terminate", "reboot"),
      "name": str}, {"task": {"id": str, "status": str}}),
    ("GET", f"{_IN}/snapshots", "List snapshots", {"page": int}, {"snapshots": [_SHOT]}),
    ("POST", f"{_IN}/snapshots", "Create a snapshot from a specified volume",
     {"name!": str, "volume_id": str}, {"snapshot": _SHOT}),
    ("DELETE", f"{_IN}/snapshots/{{snapshot_id}}", "Delete a snapshot", {}, {}),
    ("GET", f"{_IN}/images", "List Instance images", {}, {"images": [{"id": str, "name": str}]}),
    ("GET", f"{_IN}/volumes", "List volumes", {}, {"volumes": [{"id": str, "size": int}]}),
    ("GET", f"{_IN}/products/servers/availability", "Get availability", {}, {"servers": {}}),
]  # fmt: skip

_RIG = {"uuid": str, "hostname": str, "state": ("up", "down", "asleep", "booting"), "gpus": int,
        "gpu": str, "site": str, "cents_per_hour": int, "born": int}  # fmt: skip
_IMAGE = {"uuid": str, "title": str, "rig": str, "state": ("ok", "making", "broken"), "born": int}

RIGS: Api = [
    ("GET", "/api/rigs", "All rigs", {"after": str}, {"data": [_RIG], "next": str}),
    ("POST", "/api/rigs", "Order a rig", {"gpu!": str, "gpus!": int, "site!": str},
     {"data": _RIG}),
    ("GET", "/api/rigs/{uuid}", "One rig", {}, {"data": _RIG}),
    ("DELETE", "/api/rigs/{uuid}", "Give a rig back", {}, {}),
    ("PUT", "/api/rigs/{uuid}/power", "Switch a rig",
     {"command!": ("power_on", "power_off", "restart", "sleep", "wake")}, {"data": _RIG}),
    ("POST", "/api/rigs/{uuid}/restore", "Put a frozen image onto the disk", {"image!": str}, {}),
    ("POST", "/api/rigs/{uuid}/freeze", "Freeze a rig into an image", {"title!": str},
     {"data": _IMAGE}),
    ("GET", "/api/frozen", "All frozen images", {}, {"data": [_IMAGE]}),
    ("GET", "/api/wallet", "What is left", {}, {"data": {"cents": int, "currency": str}}),
    ("GET", "/api/sites", "Sites", {}, {"data": [{"code": str}]}),
    ("POST", "/api/clusters/{uuid}/stop", "Stop a cluster", {}, {}),
]  # fmt: skip

TRUTH: dict[str, tuple[Api, dict[str, str]]] = {
    "halts": (HALTS, {
        "list_instances": "GET /v2/instances",
        "create_instance": "POST /v2/instances",
        "get_instance": "GET /v2/instances/{}",
        "delete_instance": "DELETE /v2/instances/{}",
        "start_instance": "POST /v2/instances/{}/start",
        "stop_instance": "POST /v2/instances/{}/halt",
        "reboot_instance": "POST /v2/instances/{}/reboot",
        "list_snapshots": "GET /v2/snapshots",
        "create_snapshot": "POST /v2/snapshots",
        "get_snapshot": "GET /v2/snapshots/{}",
        "delete_snapshot": "DELETE /v2/snapshots/{}",
        "list_volumes": "GET /v2/blocks",
        "list_ssh_keys": "GET /v2/ssh-keys",
        "list_regions": "GET /v2/regions",
        "list_os_images": "GET /v2/os",
        "get_credit_balance": "GET /v2/account",
    }),
    "zones": (ZONES, {
        "list_instances": f"GET {_IN}/servers",
        "create_instance": f"POST {_IN}/servers",
        "get_instance": f"GET {_IN}/servers/{{}}",
        "delete_instance": f"DELETE {_IN}/servers/{{}}",
        "start_instance": f"POST {_IN}/servers/{{}}/action {{action: poweron}}",
        "stop_instance": f"POST {_IN}/servers/{{}}/action {{action: poweroff}}",
        "reboot_instance": f"POST {_IN}/servers/{{}}/action {{action: reboot}}",
        "list_snapshots": f"GET {_IN}/snapshots",
        "delete_snapshot": f"DELETE {_IN}/snapshots/{{}}",
        "list_images": f"GET {_IN}/images",
        "list_os_images": f"GET {_IN}/images",
        "list_volumes": f"GET {_IN}/volumes",
    }),
    "rigs": (RIGS, {
        "list_instances": "GET /api/rigs",
        "create_instance": "POST /api/rigs",
        "get_instance": "GET /api/rigs/{}",
        "delete_instance": "DELETE /api/rigs/{}",
        "start_instance": "PUT /api/rigs/{}/power {command: power_on}",
        "stop_instance": "PUT /api/rigs/{}/power {command: power_off}",
        "reboot_instance": "PUT /api/rigs/{}/power {command: restart}",
        "hibernate_instance": "PUT /api/rigs/{}/power {command: sleep}",
        "restore_instance": "PUT /api/rigs/{}/power {command: wake}",
        "create_snapshot": "POST /api/rigs/{}/freeze",
        "list_snapshots": "GET /api/frozen",
        "get_credit_balance": "GET /api/wallet",
        "list_regions": "GET /api/sites",
    }),
}  # fmt: skip
"""By name, the API and which of its operations are ours."""
