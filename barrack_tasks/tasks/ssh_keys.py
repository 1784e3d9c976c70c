"""Tasks of the group SSH Keys."""

from __future__ import annotations

from barrack_tasks.api import models as m
from barrack_tasks.credentials import BarrackCredentials
from barrack_tasks.tasks.base import barrack_task


@barrack_task()
def list_ssh_keys(credentials: BarrackCredentials) -> list[m.SSHKeyResponse]:
    """All SSH keys of the account, page after page.

    Args:
        credentials: the account.

    Returns:
        The public keys, whose `id` is what `create_instance` takes as `ssh_key_id`.

    Raises:
        BarrackError: the key was refused, or no answer came.

    Example:
        >>> {k.name: k.id for k in list_ssh_keys(account)}

    Operation: inferred; its path and fields: inferred.
    """
    return list(credentials.get_client().ssh_keys.list())


@barrack_task("look at SSH key {key_id}")
def get_ssh_key(credentials: BarrackCredentials, key_id: str) -> m.SSHKeyResponse:
    """One SSH key.

    Args:
        credentials: the account.
        key_id: id of the key.

    Returns:
        The public key with its name and fingerprint.

    Raises:
        BarrackNotFoundError: there is no such key.

    Example:
        >>> get_ssh_key(account, "3").fingerprint

    Operation: inferred; its path and fields: inferred.
    """
    return credentials.get_client().ssh_keys.get(key_id)


@barrack_task("keep SSH key {name}")
def create_ssh_key(credentials: BarrackCredentials, name: str, public_key: str) -> m.SSHKeyResponse:
    """Keep a public key that instances can be deployed with. It is never kept twice.

    Args:
        credentials: the account.
        name: 1 to 50 printable characters, unique among the account's keys (inferred).
        public_key: the line of the `.pub` file. A private key is refused, and never shown.

    Returns:
        The key with its id.

    Raises:
        BarrackValidationError: the name breaks a rule, or it is no public key; nothing was sent.
        BarrackConflictError: the name is taken.

    Example:
        >>> create_ssh_key(account, "laptop", open("id_ed25519.pub").read())

    Operation: inferred; its path and fields: inferred.
    """
    return credentials.get_client().ssh_keys.create(name, public_key)


@barrack_task("delete SSH key {key_id}")
def delete_ssh_key(credentials: BarrackCredentials, key_id: str) -> None:
    """Delete an SSH key. Instances that were deployed with it keep it (inferred).

    Args:
        credentials: the account.
        key_id: id of the key.

    Returns:
        Nothing.

    Raises:
        BarrackNotFoundError: there is no such key.

    Example:
        >>> delete_ssh_key(account, "3")

    Operation: inferred; its path and fields: inferred.
    """
    credentials.get_client().ssh_keys.delete(key_id)
