"""Where a key and a token could get to: a real Prefect server and a sandbox, both over HTTP."""

from __future__ import annotations

from tests.flows.conftest import cloud, hook

__all__ = ["cloud", "hook"]
