"""The client's methods, one class a resource."""

from barrack_tasks.api.resources.catalogue import (
    CreditBalance,
    GpuSpecs,
    GpuStocks,
    Pricing,
    Regions,
)
from barrack_tasks.api.resources.instances import Instances
from barrack_tasks.api.resources.snapshots import Snapshots

__all__ = [
    "CreditBalance",
    "GpuSpecs",
    "GpuStocks",
    "Instances",
    "Pricing",
    "Regions",
    "Snapshots",
]
