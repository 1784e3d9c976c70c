"""SSH keys."""

from __future__ import annotations

from barrack_tasks.api import models as m
from barrack_tasks.sandbox.cloud.clock import to_datetime
from barrack_tasks.sandbox.cloud.keys_and_scripts import Key
from barrack_tasks.sandbox.cloud.world import CloudState
from barrack_tasks.sandbox.handlers.registry import SandboxCall, handles, one_page


def _shown(key: Key) -> m.SSHKeyResponse:
    return m.SSHKeyResponse(
        id=key.id,
        name=key.name,
        public_key=key.public_key,
        fingerprint=key.fingerprint,
        created_at=to_datetime(key.created),
    )


@handles("list_ssh_keys")
def list_ssh_keys(world: CloudState, call: SandboxCall) -> m.GetSSHKeysResponse:
    page, pagination = one_page(call, (k for k in world.keys.all() if world.is_listed(k.created)))
    return m.GetSSHKeysResponse(ssh_keys=[_shown(key) for key in page], pagination=pagination)


@handles("get_ssh_key")
def get_ssh_key(world: CloudState, call: SandboxCall) -> m.SSHKeyResponse:
    return _shown(world.keys.get(call.path["key_id"]))


@handles("create_ssh_key")
def create_ssh_key(world: CloudState, call: SandboxCall) -> m.CreateSSHKeyResponse:
    ask: m.CreateSSHKeyRequest = call.body
    key = world.keys.add(Key, ask.name, public_key=ask.public_key)
    return m.CreateSSHKeyResponse(ssh_key=_shown(key))


@handles("delete_ssh_key")
def delete_ssh_key(world: CloudState, call: SandboxCall) -> m.DeleteSSHKeyResponse:
    # Instances that were made with it have a copy of their own.
    world.keys.remove(call.path["key_id"])
    return m.DeleteSSHKeyResponse()
