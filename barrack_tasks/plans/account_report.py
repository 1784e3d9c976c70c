"""What `watch_account` saw."""

from __future__ import annotations

from barrack_tasks.plans.account_changes import AccountChange
from barrack_tasks.plans.report import Report, escape


class AccountReport(Report):
    """The changes since the last run."""

    changes: tuple[AccountChange, ...] = ()

    @property
    def is_news(self) -> bool:
        """Whether anything changed or was noted."""
        return bool(self.changes) or super().is_news

    def markdown(self) -> str:
        """The changes as a table."""
        rows = [
            f"| {escape(c.name)} | {escape(c.event)} | "
            f"{escape(', '.join(f'{k}: {v}' for k, v in c.payload.items() if v is not None))} |"
            for c in self.changes
        ]
        table = ["| what | event | |", "| --- | --- | --- |", *rows]
        notes = [f"\n{escape(note)}" for note in self.notes]
        return "\n".join([*(table if rows else ["Nothing changed."]), *notes])
