"""The events that this library emits, and its log lines.

An event is `barrack.<resource>.<past participle>` on the resource `barrack.<resource>.<id>`. It
tells what was seen or done; it is never needed for the work to go on, so a server that does not
take it stops nothing. Whatever a name holds, one log message is one line of plain text.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from functools import partial
from types import TracebackType
from typing import Any
from uuid import UUID

from prefect import runtime
from prefect.events import emit_event
from prefect.logging import get_run_logger as _get_run_logger

from barrack_tasks.api.models.text import one_line

_LONGEST_LINE = 4_000


class _OneLine(logging.LoggerAdapter[Any]):
    def log(self, level: int, msg: object, *args: Any, **named: Any) -> None:
        if self.isEnabledFor(level):
            named["stacklevel"] = named.get("stacklevel", 1) + 1
            said = str(msg) % args if args else str(msg)
            super().log(level, "%s", one_line(said, _LONGEST_LINE), **named)

    def process(
        self, msg: Any, kwargs: MutableMapping[str, Any]
    ) -> tuple[Any, MutableMapping[str, Any]]:
        return msg, kwargs


def get_logger(name: str) -> logging.LoggerAdapter[Any]:
    r"""The logger of a module, whose messages are one line each, without control characters.

    Example:
        >>> get_logger(__name__).warning("%s is gone", "gpu-1\nERROR forged")
    """
    return _OneLine(logging.getLogger(name), {})


def get_run_logger() -> logging.LoggerAdapter[Any]:
    """As Prefect's own: the logger of the flow or task that runs; its messages are one line each.

    Raises:
        prefect.exceptions.MissingContextError: neither a flow nor a task runs.
    """
    return _OneLine(_get_run_logger(), {})


_hooks: list[Hook] = []
_lock = threading.Lock()


@dataclass(frozen=True)
class Happening:
    """What a hook is told: the event, the resource's id and name, its instance, the payload.

    And the account, as `BarrackCredentials.account` calls it; None where it is not known.
    """

    event: str
    id: str
    name: str
    instance: str | None = None
    payload: Mapping[str, Any] = field(default_factory=dict)
    account: str | None = None


class Hook:
    """A function that is called for events. Remove it, or use it as a context manager."""

    def __init__(self, pattern: str, call: Callable[[Happening], Any]) -> None:
        self.pattern = pattern
        self.call = call

    def remove(self) -> None:
        """Call it no more."""
        with _lock:
            if self in _hooks:
                _hooks.remove(self)

    def __enter__(self) -> Hook:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.remove()


def on(pattern: str, call: Callable[[Happening], Any]) -> Hook:
    """Call a function for each event that this process emits. For notebooks and scripts.

    It is called in the thread that emits. One that raises is logged and disturbs neither the
    flow nor other functions.

    Args:
        pattern: an event's name, or a glob such as `barrack.instance.*`.
        call: takes a `Happening`.

    Returns:
        A handle: `remove()` it, or use it in a `with` block.

    Example:
        >>> with on("barrack.instance.hibernated", lambda h: print(h.name)):
        ...     hibernate(select=["*"])
    """
    hook = Hook(pattern, call)
    with _lock:
        _hooks.append(hook)
    return hook


def _call_hooks(happening: Happening) -> None:
    """Call the functions that asked for an event."""
    with _lock:
        asked = [h for h in _hooks if fnmatchcase(happening.event, h.pattern)]
    for hook in asked:
        try:
            hook.call(happening)
        except Exception:  # noqa: BLE001 - whatever it raises disturbs nothing
            _log.exception(
                "a function for %s failed on the event %s", hook.pattern, happening.event
            )


_INSTANCE = {
    "status": "its state",
    "address": "its public address; null if it has none",
    "region": "its region",
    "gpu_model": "its GPU model",
    "gpu_count": "number of its GPUs",
    "hourly": "what it costs an hour in this state, as text",
    "currency": "currency of the cost",
}
_STOCK = {
    "region": "the region",
    "gpu_model": "the GPU model",
    "gpu_count": "number of GPUs of one instance",
    "available": "how many instances can be deployed, at least",
    "hourly_price": "what one instance costs an hour, as text; null if it is not known",
}
_LEASE = {"owner": "who needs the machine", "until": "when the lease ends, ISO 8601"}
_LINE = {"line": "the line", "text": "a sentence with the figures"}


@dataclass(frozen=True)
class EventKind:
    """What an event says, and the fields of its payload with their meaning."""

    meaning: str
    payload: Mapping[str, str] = field(default_factory=dict)


EVENTS: dict[str, EventKind] = {
    # What this library does
    "barrack.snapshot.created": EventKind("a snapshot was requested"),
    "barrack.snapshot.deleted": EventKind("a snapshot was deleted by this library"),
    "barrack.snapshot.restored": EventKind(
        "an instance was made from a snapshot, and is up",
        {
            "snapshot": "the snapshot's name",
            "new": "id of the new instance",
            "old": "id of the instance that the snapshot was taken of",
            "address": _INSTANCE["address"],
            "hourly_price": "what it costs an hour, as text",
            "currency": "currency of the price",
            "billed_since": "when it was first seen up, ISO 8601",
            "seconds": "from the request until it was up; null if another run sent it",
        },
    ),
    "barrack.image.published": EventKind(
        "an image was made, and depends on its snapshot",
        {"family": "its name without the time", "snapshot": "id of its snapshot"},
    ),
    "barrack.image.deleted": EventKind("an old image of a family was deleted by this library"),
    "barrack.instance.hibernated": EventKind("a flow brought an instance to HIBERNATED", _INSTANCE),
    "barrack.instance.restored": EventKind(
        "a flow brought an instance back; its address is new", _INSTANCE
    ),
    "barrack.instance.stopped": EventKind("a flow brought an instance to SHUTOFF", _INSTANCE),
    "barrack.instance.deleted": EventKind("a flow deleted an instance", _INSTANCE),
    "barrack.instance.failed": EventKind(
        "a flow could not do what was requested for an instance", {"why": "one sentence"}
    ),
    "barrack.instance.claimed": EventKind(
        "an instance was claimed from the stock and is up",
        {
            "address": _INSTANCE["address"],
            "hourly_price": "what it costs an hour, as text",
            "currency": "currency of the price",
            "gpu_model": "its GPU model",
            "gpu_count": "number of its GPUs",
            "region": "its region",
            "expires": "when it ends, ISO 8601; absent if it has no end",
        },
    ),
    "barrack.instance.expired": EventKind(
        "the time limit of an instance was reached, and the instance was seen to have ended: it "
        "is HIBERNATED or deleted"
    ),
    "barrack.lease.granted": EventKind("somebody said that a machine is needed", _LEASE),
    "barrack.lease.extended": EventKind("somebody keeps a machine for longer", _LEASE),
    "barrack.lease.released": EventKind("somebody does not need a machine any more", _LEASE),
    # Lines that were crossed
    "barrack.balance.crossed": EventKind("the balance fell below a line", _LINE),
    "barrack.balance.recovered": EventKind("the balance is above a line again", _LINE),
    "barrack.budget.crossed": EventKind("spending rose above a limit", _LINE),
    "barrack.budget.recovered": EventKind("spending is below a limit again", _LINE),
    "barrack.proof.crossed": EventKind(
        "an instance has no snapshot that was proven to restore within the required time", _LINE
    ),
    "barrack.proof.recovered": EventKind("an instance has such a snapshot again", _LINE),
    "barrack.expiry.crossed": EventKind(
        "the last lease of an instance ends soon, or it has ended and the instance could not be "
        "put to rest",
        _LINE,
    ),
    "barrack.expiry.recovered": EventKind(
        "the lease of such an instance was extended, or the instance has ended or is being ended",
        _LINE,
    ),
    "barrack.forgotten.crossed": EventKind(
        "a machine has been in its state for longer than its rule allows, or nobody has leased it",
        _LINE,
    ),
    "barrack.forgotten.recovered": EventKind("that is no longer so", _LINE),
    "barrack.guard.refused": EventKind(
        "the caps did not let something begin", {"why": "sentences with the figures"}
    ),
    "barrack.gpu-stock.available": EventKind("something that is wanted came into stock", _STOCK),
    "barrack.gpu-stock.changed": EventKind("its stock differs from what was last reported", _STOCK),
    "barrack.gpu-stock.depleted": EventKind(
        "it has been out of stock for a while",
        {**_STOCK, "seconds": "how long it was in stock", "most": "the most that was in stock"},
    ),
    # What anyone did, seen by watch_account
    "barrack.instance.appeared": EventKind("a new instance appeared", _INSTANCE),
    "barrack.instance.changed": EventKind(
        "the state of an instance changed", {**_INSTANCE, "before": "the state before"}
    ),
    "barrack.instance.readdressed": EventKind(
        "the public address of an instance changed", {**_INSTANCE, "before": "the address before"}
    ),
    "barrack.instance.disappeared": EventKind(
        "an instance is gone, whoever deleted it", {"before": "the state before"}
    ),
    "barrack.snapshot.appeared": EventKind("a new snapshot appeared", {"status": "its state"}),
    "barrack.snapshot.completed": EventKind("a snapshot is ready", {"status": "its state"}),
    "barrack.snapshot.failed": EventKind("a snapshot ended in failure", {"status": "its state"}),
    "barrack.snapshot.disappeared": EventKind(
        "a snapshot is gone, whoever deleted it", {"before": "the state before"}
    ),
    "barrack.volume.appeared": EventKind("a new volume appeared", {"status": "its state"}),
    "barrack.volume.attached": EventKind("a volume was attached to an instance"),
    "barrack.volume.detached": EventKind("a volume was detached from an instance"),
    "barrack.volume.disappeared": EventKind(
        "a volume is gone, whoever deleted it", {"before": "the state before"}
    ),
}
"""Every event, what it says, and what its payload holds."""

_log = get_logger(__name__)
_MOST_RUNS = 1000
_accounts: dict[str, str] = {}
"""The account that each run of this process is about, by the run's id."""


def speak_for(account: str) -> None:
    """Let the events of the current run carry its account, as `BarrackCredentials.account`."""
    run = runtime.flow_run.id
    if run:
        _accounts.pop(str(run), None)
        _accounts[str(run)] = account
        while len(_accounts) > _MOST_RUNS:
            _accounts.pop(next(iter(_accounts)), None)


def account_resource(account: str) -> str:
    """The id of an account as a resource, for the events that are about it to be found by."""
    return f"barrack.account.{account}"


def emit(
    event: str,
    id: str,
    name: str,
    *,
    instance: str | None = None,
    related: Mapping[str, str] | None = None,
    payload: Mapping[str, Any] | None = None,
    event_id: UUID | None = None,
    account: str | None = None,
    labels: Mapping[str, str] | None = None,
) -> None:
    """Emit an event about a resource. Its account is related to it, with the role `account`.

    Args:
        event: one of `EVENTS`; its middle word is the kind of the resource.
        id: the resource's id.
        name: what a person calls it.
        instance: id of the instance that it belongs to, if it is not one itself.
        related: ids of further instances, each by its role.
        payload: what else is known, of the fields that the catalogue names; money as text.
        event_id: the same for the same event, so that it counts once however often it is sent.
        account: see `BarrackCredentials.account`; that of the current run, if not given.
        labels: of the resource, for triggers, which cannot see a payload.

    Example:
        >>> emit("barrack.instance.hibernated", "BRK-A1B2C3D", "alpha")
    """
    if event not in EVENTS:
        raise ValueError(f"{event!r} is not in the catalogue of events")
    if strange := set(payload or {}) - set(EVENTS[event].payload):
        raise ValueError(
            f"the catalogue of events has no field {', '.join(sorted(strange))} for {event}"
        )
    kind = event.split(".")[1]
    resource = {
        "prefect.resource.id": f"barrack.{kind}.{id}",
        "prefect.resource.name": one_line(name),
        **(labels or {}),
    }
    roles = {**({"instance": instance} if instance else {}), **(related or {})}
    about = [
        {"prefect.resource.id": f"barrack.instance.{one}", "prefect.resource.role": role}
        for role, one in roles.items()
    ]
    account = account or _accounts.get(str(runtime.flow_run.id))
    if account:
        whose = {"prefect.resource.id": account_resource(account)}
        about.append({**whose, "prefect.resource.role": "account"})
    identity: dict[str, Any] = {"id": event_id} if event_id else {}
    said = {"resource": resource, "related": about, "payload": dict(payload or {}), **identity}
    outbox = _outbox.get()
    if outbox is None:
        _send(event, **said)
    else:
        outbox.add(event, said)
    _call_hooks(Happening(event, id, name, instance, dict(payload or {}), account))


def _send(event: str, **said: Any) -> None:
    try:
        emit_event(event, **said)
    except Exception as error:  # noqa: BLE001 - an event that is not taken must stop nothing
        name = said["resource"]["prefect.resource.name"]
        _log.warning("the event %s about %s could not be emitted: %s", event, name, error)


class _Outbox:
    """Events that wait until the server has time for them."""

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._waiting: deque[Callable[[], None]] = deque()

    def add(self, event: str, said: dict[str, Any]) -> None:
        if self._at_once > 0:
            self._at_once -= 1
            _send(event, **said)
        else:
            said = {"occurred": datetime.now(UTC), **said}
            # Prefect finds the run that an event belongs to in the context.
            self._waiting.append(partial(copy_context().run, _send, event, **said))

    def send(self, most: int | None = None) -> bool:
        count = len(self._waiting) if most is None else min(most, len(self._waiting))
        for _ in range(count):
            self._waiting.popleft()()
        return count > 0


_outbox: ContextVar[_Outbox | None] = ContextVar("outbox", default=None)


@contextmanager
def spread(at_once: int = 50) -> Iterator[None]:
    """Hold back what is emitted in the block beyond the first so many events, until its end.

    An event costs a Prefect server milliseconds of processor time. Thousands that come with the
    work would slow down the very requests that the work waits for. Hooks are called at once, and
    each event tells when it happened. What a killed process held back is not emitted. A block
    inside another one leaves it to that one.

    Example:
        >>> with spread():
        ...     emit("barrack.instance.hibernated", "BRK-A1B2C3D", "alpha")
    """
    if _outbox.get() is not None:
        yield
        return
    outbox = _Outbox(at_once)
    token = _outbox.set(outbox)
    try:
        yield
    finally:
        _outbox.reset(token)
        outbox.send()


def catch_up(most: int = 20) -> bool:
    """Emit some of what `spread` holds back, for a run that goes on for long; whether any was."""
    outbox = _outbox.get()
    return outbox is not None and outbox.send(most)
