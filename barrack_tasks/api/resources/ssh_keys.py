"""SSH keys: the public halves that instances are deployed with."""

from __future__ import annotations

from collections.abc import Iterator

from barrack_tasks.api import models as m
from barrack_tasks.api.resources.base import Resource, operation

__all__ = ["SshKeys"]


class SshKeys(Resource):
    """Operations of the group SSH Keys."""

    @operation("list_ssh_keys")
    def list(self) -> Iterator[m.SSHKeyResponse]:
        """All SSH keys of the account, page after page.

        Returns:
            The public keys, whose `id` is what `create_instance` takes as `ssh_key_id`.

        Raises:
            BarrackError: the key was refused, or no answer came.

        Example:
            >>> {k.name: k.id for k in client.ssh_keys.list()}
        """

    @operation("get_ssh_key")
    def get(self, key_id: str) -> m.SSHKeyResponse:
        """One SSH key.

        Args:
            key_id: id of the key.

        Returns:
            The public key with its name and fingerprint.

        Raises:
            BarrackNotFoundError: there is no such key.

        Example:
            >>> client.ssh_keys.get("3").fingerprint
        """

    @operation("create_ssh_key")
    def create(self, name: str, public_key: str) -> m.SSHKeyResponse:
        """Keep a public key that instances can be deployed with. It is never kept twice.

        Args:
            name: 1 to 50 printable characters, unique among the account's keys (inferred).
            public_key: the line of the `.pub` file. A private key is refused, and never shown.

        Returns:
            The key with its id.

        Raises:
            BarrackValidationError: the name breaks a rule, or it is no public key; nothing was
                sent.
            BarrackConflictError: the name is taken.

        Example:
            >>> client.ssh_keys.create("laptop", open("id_ed25519.pub").read())
        """

    @operation("delete_ssh_key")
    def delete(self, key_id: str) -> None:
        """Delete an SSH key. Instances that were deployed with it keep it (inferred).

        Args:
            key_id: id of the key.

        Returns:
            Nothing.

        Raises:
            BarrackNotFoundError: there is no such key.

        Example:
            >>> client.ssh_keys.delete("3")
        """
