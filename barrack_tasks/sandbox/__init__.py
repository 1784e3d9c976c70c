"""A local Barrack: a real HTTP server with a clock that can run fast.

It fakes the cloud, not the client: it has its own reading of the dialect and its own state, keeps
a ledger of everything that happened, and lets anything go wrong on demand.
"""

from barrack_tasks.sandbox.cloud.settings import Settings
from barrack_tasks.sandbox.http.faults import Fault
from barrack_tasks.sandbox.runner import Sandbox

__all__ = ["Fault", "Sandbox", "Settings"]
