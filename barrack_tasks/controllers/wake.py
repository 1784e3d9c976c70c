"""Wake a machine, and wait until somebody can work on it."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from prefect.settings import PREFECT_API_URL

from barrack_tasks.api import BarrackError
from barrack_tasks.api.models import UserVM, VMStatus
from barrack_tasks.controllers.expiry import seen_at_rest
from barrack_tasks.controllers.guard import guarded_restore
from barrack_tasks.controllers.leases import LeasesUnreadError, find_instance, lease_instance
from barrack_tasks.plans.durations import exactly, read_positive
from barrack_tasks.runtime.loop import SERVER_AWAY
from barrack_tasks.server.credentials import BarrackCredentials
from barrack_tasks.tasks.base import barrack_task
from barrack_tasks.tasks.instances import start_instance

_PAUSE = 3.0
_PATIENCE = 5.0
_SSH = b"SSH-"


@dataclass(frozen=True)
class Woken:
    """A machine that answers over ssh.

    Attributes:
        id: of the instance.
        name: of the instance.
        address: where it is reached; it may be another than before it slept.
        user: who logs in.
        port: of its ssh server.
    """

    id: str
    name: str
    address: str
    user: str = "ubuntu"
    port: int = 22

    @property
    def ssh_config(self) -> str:
        """An entry for `~/.ssh/config`.

        Example:
            >>> print(Woken("BRK-A1B2C3D", "train-1", "203.0.113.7").ssh_config)
            Host train-1
                HostName 203.0.113.7
                User ubuntu
        """
        lines = [f"Host {_alias(self.name)}", f"HostName {self.address}", f"User {self.user}"]
        more = [f"Port {self.port}"] if self.port != 22 else []
        return "\n    ".join([*lines, *more])


class NotAwakeError(BarrackError):
    """A machine was not up, or did not answer over ssh, in time. It may still come up."""


@barrack_task("wake {instance}")
def wake(
    credentials: BarrackCredentials,
    instance: str,
    for_: str | float | timedelta | None = None,
    owner: str | None = None,
    timeout: str | float | timedelta = "15m",
    user: str = "ubuntu",
    port: int = 22,
) -> Woken:
    """Bring a machine back from its rest, and wait until its ssh answers.

    What is HIBERNATED is restored, within the account's caps, and what is SHUTOFF is started; one
    that is up already is only waited for. A lease that ended before is over: it puts nothing to
    rest that was brought back after it.

    Args:
        credentials: the account; the environment's, if not given.
        instance: its name or id.
        for_: lease it for so long from now as well, such as `"8h"`; None leaves its leases alone.
        owner: whose lease; the user's who calls, if not given.
        timeout: for all of it: seconds, a timedelta or `"10m"`.
        user: who logs in.
        port: of its ssh server.

    Returns:
        Its address, which may be new, and its entry for the ssh configuration.

    Raises:
        NotAwakeError: it was not up, or its ssh did not answer, in time; nothing is undone.
        GuardRefused: the caps forbid it, or balance or price cannot be read.
        BarrackNotFoundError: no instance has this name or id.
        BarrackConflictError: several have it; their ids are named.
        BarrackError: the API refused it.

    Example:
        >>> print(wake(account, "train-1", for_="8h").ssh_config)
    """
    return awaken(credentials, instance, for_, owner, timeout, user, port)


def awaken(
    credentials: BarrackCredentials,
    instance: str,
    for_: str | float | timedelta | None,
    owner: str | None,
    timeout: str | float | timedelta,
    user: str,
    port: int,
    sleep: Callable[[float], None] = time.sleep,
    elapsed: Callable[[], float] = time.monotonic,
) -> Woken:
    """As `wake`; `sleep` waits so many seconds, and `elapsed` counts them."""
    patience = read_positive(timeout)
    until = elapsed() + patience.total_seconds()
    there = find_instance(credentials, instance)
    if for_ is not None:
        lease_instance.fn(credentials, there.id, for_, owner)
    asked = False
    while True:
        if not asked and there.status in (VMStatus.HIBERNATED, VMStatus.SHUTOFF):
            _ask(credentials, there)
            asked = True
        why = _why_not(there, port)
        if why is None and there.address is not None:
            return Woken(there.id, there.name, there.address, user, port)
        if elapsed() >= until:
            raise NotAwakeError(
                f"{there.name} could not be reached within {exactly(patience)}: {why}"
            )
        sleep(_PAUSE)
        there = credentials.get_client().instances.get(there.id)


def _ask(credentials: BarrackCredentials, there: UserVM) -> None:
    if there.status is VMStatus.HIBERNATED:
        if PREFECT_API_URL.value():  # without a server nobody has leased it
            with suppress(*SERVER_AWAY, LeasesUnreadError):
                seen_at_rest(credentials.account, there.id, credentials.get_client().now())
        guarded_restore.fn(credentials, None, there.id)
    else:
        start_instance.fn(credentials, there.id)


def _why_not(there: UserVM, port: int) -> str | None:
    """Why nobody can work on it yet; None if its ssh answers."""
    if there.status is not VMStatus.ACTIVE:
        return f"it is {there.status}"
    if there.address is None:
        return "it has no public address"
    return None if answers_ssh(there.address, port) else f"ssh does not answer at {there.address}"


def answers_ssh(address: str, port: int = 22, patience: float = _PATIENCE) -> bool:
    """Whether an ssh server answers: it says that it is one, and not only that a port is open."""
    try:
        with socket.create_connection((address, port), patience) as link:
            link.settimeout(patience)
            return link.recv(len(_SSH)) == _SSH
    except OSError:
        return False


def _alias(name: str) -> str:
    """A name as an entry of the ssh configuration, in which no other word can be read."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", name)
