"""Prefect tasks for every operation of the Barrack API, and the block they take first.

The names are loaded when they are first asked for, so that `barrack_tasks.api` and the sandbox
start without Prefect.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from barrack_tasks.catalogue import *  # noqa: F403
    from barrack_tasks.credentials import BarrackCredentials
    from barrack_tasks.instances import *  # noqa: F403
    from barrack_tasks.snapshots import *  # noqa: F403

_HOMES = ("credentials", "instances", "snapshots", "catalogue")

__all__ = [
    "BarrackCredentials",
    "create_instance",
    "create_snapshot",
    "delete_instance",
    "delete_snapshot",
    "get_credit_balance",
    "get_gpu_specs",
    "get_gpu_stock",
    "get_hibernated_instances",
    "get_instance",
    "get_instance_billing",
    "get_pricing",
    "get_snapshot",
    "get_snapshot_billing",
    "hibernate_instance",
    "list_instances",
    "list_regions",
    "list_snapshot_eligible_instances",
    "list_snapshots",
    "quote_price",
    "reboot_instance",
    "restore_instance",
    "restore_snapshot",
    "start_instance",
    "stop_instance",
    "toggle_public_ip",
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
