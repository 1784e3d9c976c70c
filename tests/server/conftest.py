"""The accounts and clouds of the tests of tasks serve here as well."""

from __future__ import annotations

from tests.tasks.conftest import account, sandbox

__all__ = ["account", "sandbox"]
