"""Tasks of the group Scripts."""

from __future__ import annotations

from collections.abc import Sequence

from barrack_tasks.api import models as m
from barrack_tasks.credentials import BarrackCredentials
from barrack_tasks.tasks.base import barrack_task


@barrack_task()
def list_scripts(credentials: BarrackCredentials) -> list[m.Script]:
    """All startup scripts of the account, page after page.

    Args:
        credentials: the account.

    Returns:
        The scripts, whose `id` is what `create_instance` takes as `script_id`.

    Raises:
        BarrackError: the key was refused, or no answer came.

    Example:
        >>> {s.name: s.id for s in list_scripts(account)}

    Operation: inferred; its path and fields: inferred.
    """
    return list(credentials.get_client().scripts.list())


@barrack_task("look at script {script_id}")
def get_script(credentials: BarrackCredentials, script_id: str) -> m.Script:
    """One startup script.

    Args:
        credentials: the account.
        script_id: id of the script.

    Returns:
        The script with its content.

    Raises:
        BarrackNotFoundError: there is no such script.

    Example:
        >>> get_script(account, "5").content

    Operation: inferred; its path and fields: inferred.
    """
    return credentials.get_client().scripts.get(script_id)


@barrack_task("create script {name}")
def create_script(
    credentials: BarrackCredentials, name: str, content: str, description: str | None = None
) -> m.Script:
    r"""Keep a startup script that instances run when they first boot. It is never kept twice.

    Args:
        credentials: the account.
        name: 1 to 50 printable characters, unique among the account's scripts (inferred).
        content: the script itself. Whoever sees the account can read it: no secrets.
        description: free text.

    Returns:
        The script with its id.

    Raises:
        BarrackValidationError: a field breaks a rule; nothing was sent.
        BarrackConflictError: the name is taken.

    Example:
        >>> create_script(account, "tools", "#!/bin/sh\napt-get install -y tmux\n")

    Operation: inferred; its path and fields: inferred.
    """
    return credentials.get_client().scripts.create(name, content, description)


@barrack_task("update script {script_id}")
def update_script(
    credentials: BarrackCredentials,
    script_id: str,
    name: str | None = None,
    content: str | None = None,
    description: str | None = None,
) -> m.Script:
    r"""Change a startup script. What is not given stays as it is (inferred).

    Args:
        credentials: the account.
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
        >>> update_script(account, "5", content="#!/bin/sh\ntrue\n")

    Operation: inferred; its path and fields: inferred.
    """
    return credentials.get_client().scripts.update(script_id, name, content, description)


@barrack_task("delete script {script_id}")
def delete_script(credentials: BarrackCredentials, script_id: str) -> None:
    """Delete a startup script for good.

    Args:
        credentials: the account.
        script_id: id of the script.

    Returns:
        Nothing.

    Raises:
        BarrackNotFoundError: there is no such script.

    Example:
        >>> delete_script(account, "5")

    Operation: inferred; its path and fields: inferred.
    """
    credentials.get_client().scripts.delete(script_id)


@barrack_task("delete scripts {script_ids}")
def delete_scripts(credentials: BarrackCredentials, script_ids: Sequence[str]) -> None:
    """Delete several startup scripts for good, with one request.

    Args:
        credentials: the account.
        script_ids: ids of the scripts: at least one, none twice.

    Returns:
        Nothing.

    Raises:
        BarrackValidationError: no ids, or one twice; nothing was sent.
        BarrackNotFoundError: one of the scripts is not there.

    Example:
        >>> delete_scripts(account, ["5", "6"])

    Operation: inferred; its path and fields: inferred.
    """
    credentials.get_client().scripts.delete_many(script_ids)
