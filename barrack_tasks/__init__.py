"""Prefect tasks for every operation of the Barrack API, the block they take first, and the names
that programs around flows catch and write.

The names are loaded when they are first asked for, so that `barrack_tasks.api` and the sandbox
start without Prefect.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from barrack_tasks.api.errors import BarrackError as BarrackError
    from barrack_tasks.controllers.awake import hibernate_when_done as hibernate_when_done
    from barrack_tasks.controllers.awake import keep_awake as keep_awake
    from barrack_tasks.controllers.guard import ApprovalNeeded as ApprovalNeeded
    from barrack_tasks.controllers.guard import GuardRefused as GuardRefused
    from barrack_tasks.controllers.guard import ask_approval as ask_approval
    from barrack_tasks.controllers.guard import guarded_create_instance as guarded_create_instance
    from barrack_tasks.controllers.guard import guarded_restore as guarded_restore
    from barrack_tasks.controllers.guard import with_approval as with_approval
    from barrack_tasks.controllers.leases import extend_lease as extend_lease
    from barrack_tasks.controllers.leases import lease_instance as lease_instance
    from barrack_tasks.controllers.leases import release_lease as release_lease
    from barrack_tasks.controllers.owners import set_owner as set_owner
    from barrack_tasks.controllers.reports import WorkFailed as WorkFailed
    from barrack_tasks.controllers.stock.wait import create_when_available as create_when_available
    from barrack_tasks.controllers.wake import wake as wake
    from barrack_tasks.plans.forgotten.idleness import ApiProbe as ApiProbe
    from barrack_tasks.plans.forgotten.idleness import Idleness as Idleness
    from barrack_tasks.plans.forgotten.idleness import PrometheusProbe as PrometheusProbe
    from barrack_tasks.plans.forgotten.idleness import SshProbe as SshProbe
    from barrack_tasks.plans.forgotten.leftovers import Leftover as Leftover
    from barrack_tasks.plans.forgotten.lifetimes import Lifetime as Lifetime
    from barrack_tasks.plans.money.caps import Caps as Caps
    from barrack_tasks.plans.money.thresholds import Threshold as Threshold
    from barrack_tasks.plans.power.schedule import Rule as Rule
    from barrack_tasks.plans.report import Report as Report
    from barrack_tasks.plans.selection import SelectionError as SelectionError
    from barrack_tasks.plans.selection import Selector as Selector
    from barrack_tasks.plans.stock.wants import Want as Want
    from barrack_tasks.runtime.notify import AppriseUrl as AppriseUrl
    from barrack_tasks.runtime.state_hooks import tell_state as tell_state
    from barrack_tasks.server.credentials import BarrackCredentials as BarrackCredentials
    from barrack_tasks.server.events import on as on
    from barrack_tasks.tasks.ai import *
    from barrack_tasks.tasks.catalogue import *
    from barrack_tasks.tasks.firewalls import *
    from barrack_tasks.tasks.images import *
    from barrack_tasks.tasks.instances import *
    from barrack_tasks.tasks.scripts import *
    from barrack_tasks.tasks.snapshots import *
    from barrack_tasks.tasks.ssh_keys import *
    from barrack_tasks.tasks.volumes import *

_GIVEN = {
    "server.credentials": "BarrackCredentials",
    "server.events": "on",
    "tasks.ai": "list_ai_models chat get_ai_usage list_ai_usage_history",
    "tasks.catalogue": (
        "get_credit_balance get_gpu_stock get_gpu_specs list_regions get_pricing quote_price"
    ),
    "tasks.firewalls": (
        "list_firewalls get_firewall list_firewall_protocols list_instance_firewalls "
        "list_firewall_eligible_instances create_firewall delete_firewall add_firewall_rule "
        "remove_firewall_rule attach_firewall"
    ),
    "tasks.images": (
        "list_os_images list_images get_image create_image delete_image get_snapshot_image "
        "list_snapshot_images"
    ),
    "tasks.instances": (
        "create_instance list_instances get_instance get_instance_by_name get_instance_billing "
        "get_hibernated_instances start_instance stop_instance reboot_instance "
        "hibernate_instance restore_instance toggle_public_ip add_security_rule "
        "remove_security_rule delete_instance"
    ),
    "tasks.scripts": (
        "list_scripts get_script create_script update_script delete_script delete_scripts"
    ),
    "tasks.snapshots": (
        "list_snapshots get_snapshot list_snapshot_eligible_instances get_snapshot_billing "
        "create_snapshot delete_snapshot restore_snapshot"
    ),
    "tasks.ssh_keys": "list_ssh_keys get_ssh_key create_ssh_key delete_ssh_key",
    "tasks.volumes": (
        "list_volumes create_volume get_volume delete_volume resize_volume clone_volume "
        "attach_volumes detach_volumes list_volume_types get_volume_billing"
    ),
    "runtime.state_hooks": "tell_state",
    "controllers.awake": "keep_awake hibernate_when_done",
    "controllers.guard": (
        "guarded_create_instance guarded_restore with_approval ask_approval GuardRefused "
        "ApprovalNeeded"
    ),
    "controllers.leases": "lease_instance extend_lease release_lease",
    "controllers.owners": "set_owner",
    "controllers.reports": "WorkFailed",
    "controllers.stock.wait": "create_when_available",
    "controllers.wake": "wake",
    "api.errors": "BarrackError",
    "plans.report": "Report",
    "plans.selection": "Selector SelectionError",
    "plans.forgotten.idleness": "ApiProbe Idleness PrometheusProbe SshProbe",
    "plans.forgotten.leftovers": "Leftover",
    "plans.forgotten.lifetimes": "Lifetime",
    "plans.money.caps": "Caps",
    "plans.money.thresholds": "Threshold",
    "plans.power.schedule": "Rule",
    "plans.stock.wants": "Want",
    "runtime.notify": "AppriseUrl",
}
"""What each home gives."""
HOMES = {name: home for home, names in _GIVEN.items() for name in names.split()}

if not TYPE_CHECKING:  # mypy would take any name of a module with such a function
    __all__ = sorted(HOMES)

    def __getattr__(name: str) -> Any:
        if name in HOMES:
            return getattr(import_module(f"{__name__}.{HOMES[name]}"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *HOMES})
