"""The command line: `barrack`."""

from barrack_tasks.cli.main import app, main

__all__ = ["app", "main"]
