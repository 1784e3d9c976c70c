"""SSH keys."""

from __future__ import annotations

from pydantic import ConfigDict

from barrack_tasks.api.models.base import Answer, Id, Model, Request, Timestamp
from barrack_tasks.api.models.common import Pagination
from barrack_tasks.api.models.rules import Name, PublicKey

__all__ = [
    "CreateSSHKeyRequest", "CreateSSHKeyResponse", "DeleteSSHKeyResponse", "GetSSHKeysResponse",
    "SSHKeyResponse",
]  # fmt: skip


class SSHKeyResponse(Model):
    """A public key. Also the whole answer of `get_ssh_key` [D name], message beside it."""

    id: Id
    name: str
    public_key: str | None = None
    fingerprint: str | None = None
    created_at: Timestamp | None = None


class GetSSHKeysResponse(Answer):
    """Answer of `list_ssh_keys`."""

    ssh_keys: list[SSHKeyResponse]
    pagination: Pagination | None = None


class CreateSSHKeyRequest(Request):
    """A public key to be kept, in OpenSSH's format. A private key is refused, never repeated."""

    model_config = ConfigDict(hide_input_in_errors=True)

    name: Name
    public_key: PublicKey


class CreateSSHKeyResponse(Answer):
    """Answer of `create_ssh_key`."""

    ssh_key: SSHKeyResponse


class DeleteSSHKeyResponse(Answer):
    """Answer of `delete_ssh_key`."""
