"""Startup scripts: what an instance runs when it first boots."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from barrack_tasks.api import models as m
from barrack_tasks.api.resources.base import Resource, operation

__all__ = ["Scripts"]


class Scripts(Resource):
    """Operations of the group Scripts."""

    @operation("list_scripts")
    def list(self) -> Iterator[m.Script]:
        """All startup scripts of the account, page after page.

        Returns:
            The scripts, whose `id` is what `create_instance` takes as `script_id`.

        Raises:
            BarrackError: the key was refused, or no answer came.

        Example:
            >>> {s.name: s.id for s in client.scripts.list()}
        """

    @operation("get_script")
    def get(self, script_id: str) -> m.Script:
        """One startup script.

        Args:
            script_id: id of the script.

        Returns:
            The script with its content.

        Raises:
            BarrackNotFoundError: there is no such script.

        Example:
            >>> client.scripts.get("5").content
        """

    @operation("create_script")
    def create(self, name: str, content: str, description: str | None = None) -> m.Script:
        r"""Keep a startup script that instances run when they first boot. It is never kept twice.

        Args:
            name: 1 to 50 printable characters, unique among the account's scripts (inferred).
            content: the script itself. Whoever sees the account can read it: no secrets.
            description: free text.

        Returns:
            The script with its id.

        Raises:
            BarrackValidationError: a field breaks a rule; nothing was sent.
            BarrackConflictError: the name is taken.

        Example:
            >>> client.scripts.create("tools", "#!/bin/sh\napt-get install -y tmux\n")
        """

    @operation("update_script")
    def update(
        self,
        script_id: str,
        name: str | None = None,
        content: str | None = None,
        description: str | None = None,
    ) -> m.Script:
        r"""Change a startup script. What is not given stays as it is (inferred).

        Args:
            script_id: id of the script.
            name: the new name: 1 to 50 printable characters, unique (inferred).
            content: the new script itself. Whoever sees the account can read it: no secrets.
            description: the new description.

        Returns:
            The script as it is now.

        Raises:
            BarrackValidationError: a field breaks a rule, or none is given; nothing was sent.
            BarrackNotFoundError: there is no such script.
            BarrackConflictError: the name is taken.

        Example:
            >>> client.scripts.update("5", content="#!/bin/sh\ntrue\n")
        """

    @operation("delete_script")
    def delete(self, script_id: str) -> None:
        """Delete a startup script for good.

        Args:
            script_id: id of the script.

        Returns:
            Nothing.

        Raises:
            BarrackNotFoundError: there is no such script.

        Example:
            >>> client.scripts.delete("5")
        """

    @operation("delete_scripts")
    def delete_many(self, script_ids: Sequence[str]) -> None:
        """Delete several startup scripts for good, with one request.

        Args:
            script_ids: ids of the scripts: at least one, none twice.

        Returns:
            Nothing.

        Raises:
            BarrackValidationError: no ids, or one twice; nothing was sent.
            BarrackNotFoundError: one of the scripts is not there.

        Example:
            >>> client.scripts.delete_many(["5", "6"])
        """
