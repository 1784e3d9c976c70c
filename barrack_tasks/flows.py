"""The flows, each by its name; loaded when they are first asked for.

Example:
    >>> from barrack_tasks.flows import snapshot_before_stop
    >>> snapshot_before_stop(select=["train-*"])

An installed package has them inside `barrack_tasks`, so that a project may have a folder `flows` of
its own. In a checkout they stand in its folder `flows`, where they can be imported from as well.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from barrack_tasks._flows.doctor import doctor
    from barrack_tasks._flows.end_expired import end_expired
    from barrack_tasks._flows.enforce_budget import enforce_budget
    from barrack_tasks._flows.follow_schedule import follow_schedule
    from barrack_tasks._flows.hibernate import hibernate
    from barrack_tasks._flows.keep_machine import keep_machine
    from barrack_tasks._flows.prune_snapshots import prune_snapshots
    from barrack_tasks._flows.publish_image import publish_image
    from barrack_tasks._flows.reap_forgotten import reap_forgotten
    from barrack_tasks._flows.report_costs import report_costs
    from barrack_tasks._flows.restore import restore
    from barrack_tasks._flows.restore_from_snapshot import restore_from_snapshot
    from barrack_tasks._flows.snapshot_before_stop import snapshot_before_stop
    from barrack_tasks._flows.verify_snapshots import verify_snapshots
    from barrack_tasks._flows.watch_account import watch_account
    from barrack_tasks._flows.watch_balance import watch_balance
    from barrack_tasks._flows.watch_gpu_stock import watch_gpu_stock

__all__ = [
    "doctor",
    "end_expired",
    "enforce_budget",
    "follow_schedule",
    "hibernate",
    "keep_machine",
    "prune_snapshots",
    "publish_image",
    "reap_forgotten",
    "report_costs",
    "restore",
    "restore_from_snapshot",
    "snapshot_before_stop",
    "verify_snapshots",
    "watch_account",
    "watch_balance",
    "watch_gpu_stock",
]

_INSIDE = "barrack_tasks._flows"


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(
            f"module {__name__!r} has no flow {name!r}; it has {', '.join(__all__)}"
        )
    found = getattr(import_module(f"{_package()}.{name}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return __all__


def _package() -> str:
    """The package that the flows are in; another project's folder `flows` is never taken for it."""
    here = Path(__file__).parent
    if (here / "_flows").is_dir() or _INSIDE in sys.modules:
        return _INSIDE
    first = here.parent / "flows" / "__init__.py"
    with suppress(ValueError):  # a module that was made by hand tells nothing of its origin
        found = find_spec("flows")
        if found is not None and found.origin == str(first):
            return "flows"
    spec = spec_from_file_location(_INSIDE, first, submodule_search_locations=[str(first.parent)])
    if spec is None or spec.loader is None:
        raise ImportError(f"the flows are not at {first.parent}")
    package = module_from_spec(spec)
    sys.modules[_INSIDE] = package
    spec.loader.exec_module(package)
    return _INSIDE
