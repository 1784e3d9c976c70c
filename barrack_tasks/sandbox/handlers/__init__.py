"""Handlers: one module for each subject, one function for each operation.

A handler gets the world, settled up to now and locked, and the call under canonical names; it
returns the operation's response model or raises `Refused`. Importing the package registers all.
"""

from barrack_tasks.sandbox.handlers import (
    ai,
    catalogue,
    firewalls,
    images,
    instances,
    rules,
    scripts,
    snapshots,
    ssh_keys,
    volumes,
)
from barrack_tasks.sandbox.handlers.registry import HANDLERS, SandboxCall, handles

__all__ = [
    "HANDLERS",
    "SandboxCall",
    "ai",
    "catalogue",
    "firewalls",
    "handles",
    "images",
    "instances",
    "rules",
    "scripts",
    "snapshots",
    "ssh_keys",
    "volumes",
]
