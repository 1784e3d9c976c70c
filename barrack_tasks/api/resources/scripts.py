"""Startup scripts: what an instance runs when it first boots."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from barrack_tasks.api import models as m
from barrack_tasks.api.resources.base import Resource


class Scripts(Resource):
    """Operations of the group Scripts."""

    def list(self) -> Iterator[m.Script]:
        """All scripts, lazily."""
        return self._pages(m.Script, "list_scripts")

    def get(self, script_id: str) -> m.Script:
        """One script."""
        return self._one(m.Script, "get_script", script_id=script_id)

    def create(self, name: str, content: str, description: str | None = None) -> m.Script:
        """Keep a script. Never keeps two."""
        return self._one(
            m.Script, "create_script", name=name, content=content, description=description
        )

    def update(
        self,
        script_id: str,
        name: str | None = None,
        content: str | None = None,
        description: str | None = None,
    ) -> m.Script:
        """Change a script. What is not given stays as it is."""
        return self._one(
            m.Script,
            "update_script",
            script_id=script_id,
            name=name,
            content=content,
            description=description,
        )

    def delete(self, script_id: str) -> None:
        """Delete a script for good."""
        self._done("delete_script", script_id=script_id)

    def delete_many(self, script_ids: Sequence[str]) -> None:
        """Delete several scripts for good, with one request."""
        self._done("delete_scripts", script_ids=script_ids)
