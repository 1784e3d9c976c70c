"""SSH keys: the public halves that instances are deployed with."""

from __future__ import annotations

from collections.abc import Iterator

from barrack_tasks.api import models as m
from barrack_tasks.api.resources.base import Resource


class SshKeys(Resource):
    """Operations of the group SSH Keys."""

    def list(self) -> Iterator[m.SSHKeyResponse]:
        """All keys, lazily."""
        return self._pages(m.SSHKeyResponse, "list_ssh_keys")

    def get(self, key_id: str) -> m.SSHKeyResponse:
        """One key."""
        return self._one(m.SSHKeyResponse, "get_ssh_key", key_id=key_id)

    def create(self, name: str, public_key: str) -> m.SSHKeyResponse:
        """Keep a public key. Never keeps two."""
        return self._one(m.SSHKeyResponse, "create_ssh_key", name=name, public_key=public_key)

    def delete(self, key_id: str) -> None:
        """Delete a key. Instances that were deployed with it keep it."""
        self._done("delete_ssh_key", key_id=key_id)
