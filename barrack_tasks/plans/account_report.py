"""What `watch_account` saw."""

from __future__ import annotations

from typing import Any

from barrack_tasks.api.models.shown import Part, Table
from barrack_tasks.plans.account_changes import AccountChange
from barrack_tasks.plans.report import Report


class AccountReport(Report):
    """The changes since the last run."""

    changes: tuple[AccountChange, ...] = ()

    @property
    def is_news(self) -> bool:
        """Whether anything changed or was noted."""
        return bool(self.changes) or super().is_news

    @property
    def summary(self) -> str:
        """How many changes were seen."""
        count = len(self.changes)
        if not count:
            return "Nothing has changed."
        return f"{count} {'change was' if count == 1 else 'changes were'} seen."

    def records(self) -> list[dict[str, Any]]:
        """One dict for each change."""
        return [{"name": c.name, "event": c.event, **c.payload} for c in self.changes]

    def parts(self) -> tuple[Part, ...]:
        """The changes as a table."""
        rows = (
            (c.name, c.event, ", ".join(f"{k}: {v}" for k, v in c.payload.items() if v is not None))
            for c in self.changes
        )
        return (Table(("what", "event", "details"), tuple(rows)),)
