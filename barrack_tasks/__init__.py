"""Prefect tasks for every operation of the Barrack API, and the block they take first.

The names are loaded when they are first asked for, so that `barrack_tasks.api` and the sandbox
start without Prefect.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from barrack_tasks.controllers.guard import *  # noqa: F403
    from barrack_tasks.controllers.stock.wait import create_when_available
    from barrack_tasks.credentials import BarrackCredentials
    from barrack_tasks.events import on
    from barrack_tasks.runtime.state_hooks import tell_state
    from barrack_tasks.tasks.ai import *  # noqa: F403
    from barrack_tasks.tasks.catalogue import *  # noqa: F403
    from barrack_tasks.tasks.firewalls import *  # noqa: F403
    from barrack_tasks.tasks.images import *  # noqa: F403
    from barrack_tasks.tasks.instances import *  # noqa: F403
    from barrack_tasks.tasks.scripts import *  # noqa: F403
    from barrack_tasks.tasks.snapshots import *  # noqa: F403
    from barrack_tasks.tasks.ssh_keys import *  # noqa: F403
    from barrack_tasks.tasks.volumes import *  # noqa: F403

_HOMES = (
    "credentials",
    "events",
    "tasks.ai",
    "tasks.catalogue",
    "tasks.firewalls",
    "tasks.images",
    "tasks.instances",
    "tasks.scripts",
    "tasks.snapshots",
    "tasks.ssh_keys",
    "tasks.volumes",
    "runtime.state_hooks",
    "controllers.guard",
    "controllers.stock.wait",
)

__all__ = [
    "BarrackCredentials",
    "add_firewall_rule",
    "add_security_rule",
    "attach_firewall",
    "attach_volumes",
    "chat",
    "clone_volume",
    "create_firewall",
    "create_image",
    "create_instance",
    "create_script",
    "create_snapshot",
    "create_ssh_key",
    "create_volume",
    "create_when_available",
    "delete_firewall",
    "delete_image",
    "delete_instance",
    "delete_script",
    "delete_scripts",
    "delete_snapshot",
    "delete_ssh_key",
    "delete_volume",
    "detach_volumes",
    "get_ai_usage",
    "get_credit_balance",
    "get_firewall",
    "get_gpu_specs",
    "get_gpu_stock",
    "get_hibernated_instances",
    "get_image",
    "get_instance",
    "get_instance_billing",
    "get_pricing",
    "get_script",
    "get_snapshot",
    "get_snapshot_billing",
    "get_snapshot_image",
    "get_ssh_key",
    "get_volume",
    "get_volume_billing",
    "guarded_create_instance",
    "guarded_restore",
    "hibernate_instance",
    "list_ai_models",
    "list_ai_usage_history",
    "list_firewall_eligible_instances",
    "list_firewall_protocols",
    "list_firewalls",
    "list_images",
    "list_instance_firewalls",
    "list_instances",
    "list_os_images",
    "list_regions",
    "list_scripts",
    "list_snapshot_eligible_instances",
    "list_snapshot_images",
    "list_snapshots",
    "list_ssh_keys",
    "list_volume_types",
    "list_volumes",
    "on",
    "quote_price",
    "reboot_instance",
    "remove_firewall_rule",
    "remove_security_rule",
    "resize_volume",
    "restore_instance",
    "restore_snapshot",
    "start_instance",
    "stop_instance",
    "tell_state",
    "toggle_public_ip",
    "update_script",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        for home in _HOMES:
            module = import_module(f"{__name__}.{home}")
            if name in vars(module):
                return vars(module)[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
