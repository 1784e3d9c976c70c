"""Keep a machine awake from the program that works on it, for as long as that program lives."""

from __future__ import annotations

import contextvars
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from barrack_tasks.api import BarrackError
from barrack_tasks.controllers.leases import (
    change_leases,
    cloud_now,
    drop_lease,
    find_instance,
    owner_named,
    release_lease,
)
from barrack_tasks.plans.durations import read_positive
from barrack_tasks.plans.forgotten.leases import Lease, extended, program_of
from barrack_tasks.server.credentials import BarrackCredentials
from barrack_tasks.server.events import get_logger

_log = get_logger(__name__)


@dataclass
class Awake:
    """A machine that this program keeps awake.

    The account is asked for its name at each renewal: it may be given another one while the
    program works, and its leases are kept under the new one from then on.

    Attributes:
        lease: of this program, as it was last renewed.
    """

    account: Callable[[], str]
    lease: Lease
    ttl: timedelta
    stalls_after: timedelta | None
    now: Callable[[], datetime]
    elapsed: Callable[[], float] = time.monotonic
    _progressed: float = field(init=False)

    def __post_init__(self) -> None:
        self._progressed = self.elapsed()

    def progress(self) -> None:
        """Say that the work goes on; call it after each step. It costs next to nothing."""
        self._progressed = self.elapsed()

    @property
    def has_stalled(self) -> bool:
        """Whether the program lives, and said for too long nothing about its progress."""
        longest = self.stalls_after
        return longest is not None and self.elapsed() - self._progressed > longest.total_seconds()

    def renew(self) -> bool:
        """Keep the machine for another `ttl`; False, and nothing is kept, if the work stalls."""
        if self.has_stalled:
            return False
        until = self.now().replace(microsecond=0) + self.ttl
        [self.lease] = change_leases(
            self.account(),
            lambda stands: [extended(stands.get(self.lease.key, self.lease), until)],
            self.now(),
        )
        return True


@contextmanager
def keep_awake(
    instance: str,
    every: str | float | timedelta = "5m",
    ttl: str | float | timedelta = "20m",
    stalls_after: str | float | timedelta | None = None,
    hibernate_when_done: bool = False,
    credentials: BarrackCredentials | str | None = None,
    owner: str | None = None,
) -> Iterator[Awake]:
    """Keep a machine awake while the block runs: around a training, or in a notebook cell.

    This process renews a lease of its own. When it is killed, or hangs, the lease ends `ttl` after
    its last renewal; `end_expired` then warns, and hibernates the machine unless others lease it.
    The same happens when the block ends with an exception, so that there is time to look. A block
    that ends well gives the lease back, and leaves the machine as it is.

    Args:
        instance: its name or id.
        every: how often the lease is renewed.
        ttl: how long it lasts without a renewal; at least twice `every`.
        stalls_after: the lease is not renewed either when `progress()` was not called for so long;
            None if the work says nothing of its progress.
        hibernate_when_done: when the block ends well, release the machine as well: the next run of
            `end_expired` hibernates it, unless others lease it.
        credentials: a `BarrackCredentials`, the name of a saved one, or None for the environment.
        owner: for whom the program works; the user who calls, if not given. The lease is still
            this process's own, and ends with it.

    Raises:
        ValueError: a duration cannot be read, or `ttl` is too short for `every`.
        BarrackNotFoundError: no instance has this name or id.
        BarrackConflictError: several have it; their ids are named.

    Example:
        >>> with keep_awake("train-1", stalls_after="30m") as awake:
        ...     for batch in batches:
        ...         train(batch)
        ...         awake.progress()
    """
    pause, lasts = read_positive(every), read_positive(ttl)
    if lasts < 2 * pause:
        raise ValueError(
            f"ttl: {ttl!r} is less than twice every={every!r}; one renewal that fails would end it"
        )
    longest = None if stalls_after is None else read_positive(stalls_after)
    account = BarrackCredentials.find(credentials)
    there = find_instance(account, instance)
    # Each block has a lease of its own, also two of one process.
    own = program_of(owner_named(owner), os.getpid(), socket.gethostname(), secrets.token_hex(2))
    lease = Lease(there.id, there.name, own, account.get_client().now())
    awake = Awake(lambda: account.account, lease, lasts, longest, lambda: _cloud_now(account))
    awake.renew()
    over = threading.Event()
    context = contextvars.copy_context()
    keeper = threading.Thread(
        target=lambda: context.run(_keep, awake, pause, over), name="barrack-awake", daemon=True
    )
    keeper.start()
    try:
        yield awake
    except BaseException:
        over.set()
        keeper.join()
        raise
    over.set()
    keeper.join()
    try:
        if hibernate_when_done:
            release_lease.fn(account, there.id, own)
        else:
            drop_lease(account.account, awake.lease.key)
    except Exception as error:  # noqa: BLE001 - the work has ended well, and is not failed by that
        _log.warning(
            "the lease of %s could not be given back, so the machine is hibernated after %s unless "
            "others lease it: %s",
            *(there.name, f"{awake.lease.until:%Y-%m-%d %H:%M} UTC", error),
        )


def _cloud_now(account: BarrackCredentials) -> datetime:
    """The cloud's time, as far as it is known while the cloud does not answer."""
    try:
        return cloud_now(account)
    except BarrackError:
        return account.get_client().now()


def _keep(awake: Awake, pause: timedelta, over: threading.Event) -> None:
    told = False
    while not over.wait(pause.total_seconds()):
        try:
            is_renewed = awake.renew()
        except Exception as error:  # noqa: BLE001 - the work must not end for that; the lease may
            _log.warning("the lease of %s could not be renewed: %s", awake.lease.name, error)
            continue
        if not is_renewed and not told:
            _log.warning(
                "the work on %s has made no progress for too long, so its lease is not renewed",
                awake.lease.name,
            )
        told = not is_renewed


def hibernate_when_done(
    instance: str,
    owner: str | None = None,
    credentials: BarrackCredentials | str | None = None,
) -> list[Lease]:
    """Say at the end of a training that its machine is not needed any more.

    The next run of `end_expired` hibernates it, unless others have leased it.

    Args:
        instance: its name or id.
        owner: whose lease ends; the user's who calls, if not given.
        credentials: a `BarrackCredentials`, the name of a saved one, or None for the environment.

    Returns:
        The leases of others that keep the machine.

    Raises:
        BarrackNotFoundError: no instance has this name or id.

    Example:
        >>> hibernate_when_done("train-1")
        []
    """
    return release_lease.fn(BarrackCredentials.find(credentials), instance, owner)
