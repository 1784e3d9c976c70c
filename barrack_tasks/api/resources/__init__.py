"""The client's methods, one class a resource."""

from barrack_tasks.api.resources.ai import Ai
from barrack_tasks.api.resources.catalogue import (
    CreditBalance,
    GpuSpecs,
    GpuStocks,
    Pricing,
    Regions,
)
from barrack_tasks.api.resources.firewalls import Firewalls
from barrack_tasks.api.resources.images import Images, OsImages
from barrack_tasks.api.resources.instances import Instances
from barrack_tasks.api.resources.scripts import Scripts
from barrack_tasks.api.resources.snapshots import Snapshots
from barrack_tasks.api.resources.ssh_keys import SshKeys
from barrack_tasks.api.resources.volumes import Volumes

__all__ = [
    "Ai",
    "CreditBalance",
    "Firewalls",
    "GpuSpecs",
    "GpuStocks",
    "Images",
    "Instances",
    "OsImages",
    "Pricing",
    "Regions",
    "Scripts",
    "Snapshots",
    "SshKeys",
    "Volumes",
]
