"""Trying a change on a throwaway thing, when the user asks for it by name."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable, Iterator
from typing import Any

from barrack_tasks.api.client import Barrack
from barrack_tasks.api.errors import BarrackConfigurationError, BarrackError
from barrack_tasks.dialects.doctor.report import Finding

NAME = "barrack-doctor-"
"""What the names of throwaway things begin with."""


def _key(client: Barrack, name: str) -> Any:
    # A key of random bytes: nobody has its other half, so it opens nothing to anybody.
    kind = b"ssh-ed25519"
    blob = b"".join(len(p).to_bytes(4) + p for p in (kind, secrets.token_bytes(32)))
    text = f"ssh-ed25519 {base64.b64encode(blob).decode()} {name}"
    return client.perform("create_ssh_key", name=name, public_key=text)


def _script(client: Barrack, name: str) -> Any:
    return client.perform("create_script", name=name, content="#!/bin/sh\nexit 0\n")


_TRIES: dict[str, tuple[Callable[[Barrack, str], Any], str, str]] = {
    "create_ssh_key": (_key, "delete_ssh_key", "key_id"),
    "create_script": (_script, "delete_script", "script_id"),
}
CAN_BE_TRIED = tuple(_TRIES)
"""Operations that can be tried on something that costs nothing and is removed again."""


def try_change(client: Barrack, operation: str) -> Iterator[Finding]:
    """Make a throwaway thing and remove it again; one finding for each of the two.

    Raises:
        BarrackConfigurationError: the operation is not one that can be tried so.
    """
    if operation not in _TRIES:
        raise BarrackConfigurationError(
            f"{operation!r} cannot be tried on a temporary resource; {' and '.join(_TRIES)} can"
        )
    make, remove, parameter = _TRIES[operation]
    name = NAME + secrets.token_hex(4)
    try:
        made = make(client, name)
    except BarrackError as error:
        yield Finding(operation=operation, verdict="refused", said=str(error))
        return
    yield Finding(operation=operation, verdict="works", said=f"made {name}")
    try:
        client.perform(remove, **{parameter: made.id})
    except BarrackError as error:
        said = f"{name} (id {made.id}) is still there; remove it by hand: {error}"
        yield Finding(operation=remove, verdict="refused", said=said)
        return
    yield Finding(operation=remove, verdict="works", said=f"removed {name}")
