"""Finding out whether a request took effect whose answer was lost.

Nothing that changes something is repeated before this has looked. Names are unique in an account
[D], and an action's effect shows in the state, so there is something to look for. What was there
before the request is never taken for its effect: the client remembers what it has seen directly
before. Nor is what somebody else made meanwhile: a thing that is not as it was asked for, or that
is older than the request by the cloud's own clock, is handed out to nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import ValidationError

from barrack_tasks.api.errors import (
    BarrackConflictError,
    BarrackError,
    BarrackNotFoundError,
    BarrackResponseError,
    BarrackValidationError,
)
from barrack_tasks.api.models import Answer, Model, VMStatus
from barrack_tasks.api.operations import (
    OPERATIONS,
    ByAbsence,
    ByChange,
    ByContents,
    ByName,
    ByState,
    NeverRepeat,
    Repeat,
)
from barrack_tasks.api.transport.exchange import Call
from barrack_tasks.api.transport.seen import ListMemory

Read = Callable[[Call], Any]
"""Carries out a read, with repetitions, and gives the response model."""
ReadAll = Callable[[Call], Iterable[Any]]
"""Carries out a paged read and gives all items."""


class Unknowable(Exception):
    """Nothing tells whether the request took effect. Its text says why."""


class NameTaken(Exception):
    """The name belongs to something that is not from this request: it did not take effect."""


class Inquiry:
    """Looks for the effect of one call. Made before the call is first sent.

    Args:
        call: the call.
        read: how to read.
        read_all: how to read a whole list.
        seen: what the client has seen. None if what there was before cannot be known.
        cloud_time: gives the cloud's time, or a little earlier; None before its first answer.
    """

    def __init__(
        self,
        call: Call,
        read: Read,
        read_all: ReadAll,
        seen: ListMemory | None,
        cloud_time: Callable[[], datetime | None] = lambda: None,
    ) -> None:
        self._cloud_time = cloud_time
        self._sent_after = cloud_time()
        self._missing_at: datetime | None = None
        """When the last look in vain began, or a little earlier, by the cloud's clock."""
        self._is_refused = False
        self._call = call
        self._read = read
        self._read_all = read_all
        self._seen = seen
        self._mark = seen.mark if seen else 0
        self._before: Any = None
        self._is_wide = False
        rule = call.operation.lost
        if isinstance(rule, ByChange):
            self._before = _side(getattr(self._look(rule.look), rule.field))

    @property
    def may_lag(self) -> bool:
        """Whether the effect may show late, so that one look is not enough to say it is not there.

        Lists show a fresh thing late. A toggle must not be repeated while the first one may yet
        take effect; any other action is refused when it comes twice.
        """
        return isinstance(self._call.operation.lost, ByName | ByChange)

    def refused(self, is_conflict: bool) -> None:
        """Note that a later request was refused for the name: what has it must prove its time.

        After a conflict all there is is looked at, not only what belongs to the same instance.
        """
        self._is_refused = True
        self._is_wide = self._is_wide or is_conflict

    def effect(self) -> Any | None:
        """The response model as if the answer had come, or None if the effect is not there.

        Raises:
            Unknowable: nothing tells.
            NameTaken: the name belongs to something else.
            BarrackError: looking failed.
        """
        rule = self._call.operation.lost
        match rule:
            case Repeat():
                return None
            case NeverRepeat():
                raise Unknowable("it is not known whether it took effect")
            case ByName():
                return self._by_name(rule)
            case ByState():
                seen = self._look(rule.look)
                return self._answer(seen) if seen.status in rule.reached else None
            case ByAbsence():
                return self._by_absence(rule)
            case ByChange():
                seen = self._look(rule.look)
                changed = _side(getattr(seen, rule.field)) != self._before
                return self._answer(seen) if changed else None
            case ByContents():
                answer = self._read(self._look_call(rule.look))
                found = rule.found(self._call.sent, answer)
                return None if found is None else self._answer(found)

    def _by_name(self, rule: ByName) -> Any | None:
        wanted = self._call.sent["name"]
        older: list[str] = []
        looked_at = self._cloud_time()
        for item in self._read_all(self._list_call(rule.look)):
            if item.name != wanted:
                continue
            if self._seen is None:
                raise Unknowable("it is not known whether the one with this name existed before")
            if self._is_of_another(item) or self._seen.was_there(rule.look, item.id, self._mark):
                older.append(item.id)
                continue
            if doubts := self._doubts(item):
                raise Unknowable(
                    f"{item.id} now has the name {wanted!r}, but may be somebody else's: "
                    f"{'; '.join(doubts)}. Check it before you use it or repeat the request"
                )
            self._seen.note(rule.look, [item.id], made=True)
            return self._answer(item)
        if older:
            raise NameTaken(f"the name {wanted!r} is taken: {older[0]} had it before")
        self._missing_at = looked_at
        return None

    def _doubts(self, item: Any) -> list[str]:
        sent = self._call.sent
        return [
            *differing(sent, item),
            *self._with_another_key(sent.get("ssh_key_id"), item),
            *self._of_another_time(item),
        ]

    def _with_another_key(self, asked: str | None, item: Any) -> list[str]:
        """A sentence if an instance has another SSH key: lists show the name, requests the id."""
        if "ssh_key" not in item.model_fields_set:
            return []
        told = item.ssh_key
        if asked is None:
            # What boots from an image has the key that was asked for; a snapshot may bring its own.
            return (
                [f"its ssh_key is {told}, but none was requested"]
                if (told and self._call.sent.get("image_id"))
                else []
            )
        if told == asked:
            return []
        try:
            key = self._read(Call(OPERATIONS["get_ssh_key"], path={"key_id": asked}))
        except BarrackError as error:
            return [
                f"its ssh_key is {told}, and the one that was requested cannot be read: {error}"
            ]
        if told == key.name:
            return []
        return [f"its ssh_key is {told}, but {key.name} was requested"]

    def _of_another_time(self, item: Any) -> list[str]:
        """A sentence if the cloud's clock tells that it was not our request that made a thing.

        A request that was refused for the name leaves two makers: an earlier one of ours, whose
        answer was lost, or somebody else. Then the thing must show that it was made after the
        first was sent, and before the last look in vain began: there and not listed yet. What was
        made later may be anybody's, and in that direction nothing is allowed for clocks.
        """
        made, since = getattr(item, "created_at", None), self._sent_after
        if made is None or since is None or made < _NO_TIME_BEFORE:
            return ["it is not known when it was made"] if self._is_refused else []
        told = f"it was made at {made:%Y-%m-%d %H:%M:%S} UTC"
        if made < since.replace(microsecond=0) - _CLOCKS_DIFFER:
            return [f"{told}, but the request was not sent before {since:%H:%M:%S}"]
        missing = self._missing_at
        if self._is_refused and missing is not None and _surely_by(made) > missing:
            return [f"{told}, but not before the search at {missing:%H:%M:%S} that did not find it"]
        return []

    def _list_call(self, name: str) -> Call:
        about = self._call.sent.get("instance_id")
        is_narrow = about and "instance_id" in OPERATIONS[name].query and not self._is_wide
        return Call(OPERATIONS[name], query={"instance_id": about} if is_narrow else {})

    def _is_of_another(self, item: Any) -> bool:
        """Whether a thing is about another instance than the request."""
        about = self._call.sent.get("instance_id")
        return about is not None and getattr(item, "instance_id", None) not in (about, None)

    def _by_absence(self, rule: ByAbsence) -> Any | None:
        if rule.look is None:
            return None
        try:
            seen = self._look(rule.look)
        except BarrackNotFoundError:
            return self.gone()
        # Each kind of thing has an enum of its own for its status, and not all shout.
        is_going = str(getattr(seen, "status", "")).casefold() in ("deleting", "deleted")
        return self._answer(seen) if is_going else None

    def gone(self) -> Any:
        """The answer of a delete whose thing is gone."""
        thing = {"id": next(iter(self._call.path.values()), ""), "status": VMStatus.DELETED}
        return self._answer(thing)

    def _look_call(self, name: str) -> Call:
        operation = OPERATIONS[name]
        sent = self._call.sent
        return Call(operation, path={p: str(sent[p]) for p in operation.path_parameters})

    def _look(self, name: str) -> Any:
        operation = OPERATIONS[name]
        answer = self._read(self._look_call(name))
        return getattr(answer, operation.result) if operation.result else answer

    def _answer(self, thing: Any) -> Any:
        operation = self._call.operation
        content = _plain(thing)
        if operation.result:
            content = {operation.result: content}
        elif issubclass(operation.response, Answer):
            content = {}  # it carries nothing but its status and message
        if issubclass(operation.response, Answer):
            content["status"] = True
        try:
            return operation.response.model_validate(content)
        except ValidationError as error:
            problem = error
        raise BarrackResponseError(
            f"the request took effect, but what shows this cannot be read as its answer: "
            f"{problem.title}",
            operation=operation.name,
            took_effect=None,
        )


def differing(sent: Mapping[str, Any], item: Any) -> list[str]:
    """In what a thing differs from what was asked for, as sentences; what it does not tell is left.

    Args:
        sent: path parameters and request fields.
        item: the thing as a list shows it.
    """
    told = {name: getattr(item, name, None) for name in _AS_ASKED}
    told["image_id"] = getattr(getattr(item, "image", None), "id", None) or told["image_id"]
    asked = {name: sent.get(name) for name in _AS_ASKED}
    source = getattr(item, "boot_source", None)
    if source in _SOURCES.values():
        told["boot_source"] = source
        asked["boot_source"] = next((s for n, s in _SOURCES.items() if sent.get(n)), None)
    different = [
        f"its {name} is {told[name]}, but {asked[name]} was requested"
        for name in told
        if None not in (told[name], asked[name])
        and _essence(name, told[name]) != _essence(name, asked[name])
    ]
    return [*different, *_other_address(sent, item), *_other_volumes(sent, item)]


def _other_address(sent: Mapping[str, Any], item: Any) -> Iterator[str]:
    """A sentence if an instance has an address and none was asked for, or the other way round."""
    asked, has = sent.get("public_ip"), getattr(item, "public_ip", None)
    if asked is False and has:
        yield f"its public_ip is {has}, but none was requested"
    # It may be assigned late, but by then it is told as pending.
    is_up = getattr(item, "status", None) is VMStatus.ACTIVE
    if asked is True and not has and is_up and "public_ip" in item.model_fields_set:
        yield "it has no public_ip, but one was requested"


def _other_volumes(sent: Mapping[str, Any], item: Any) -> Iterator[str]:
    """A sentence if volumes are attached to an instance that were not asked for."""
    if "volume_ids" not in sent:
        return
    asked = {*(sent["volume_ids"] or ()), sent.get("volume_id")}
    if others := [v.id for v in getattr(item, "volumes", ()) if v.id not in asked]:
        yield f"its volumes are {', '.join(others)}, which were not requested"


def _surely_by(told: datetime) -> datetime:
    """By when something surely had happened, if its time may be told in whole seconds."""
    return told if told.microsecond else told + timedelta(seconds=1)


def _essence(name: str, value: Any) -> str:
    """What is the same for every way of writing a value."""
    words = str(value).casefold().split()
    # The comment at the end of a public key is nobody's identity.
    return " ".join(words[:2] if name == "public_key" else words)


_AS_ASKED = (
    *("region", "gpu_model", "gpu_count", "tier", "image_id", "snapshot_id", "script_id"),
    *("size_gb", "public_key", "content", "description"),
)
"""Fields that a request asks for and that lists show as they were asked for."""
_SOURCES = {"snapshot_id": "snapshot", "volume_id": "volume", "image_id": "image"}
"""What an instance boots from, by what its request names."""
_CLOCKS_DIFFER = timedelta(seconds=2)
"""So much the clocks within one cloud may differ, whole seconds included."""
_NO_TIME_BEFORE = datetime(2015, 1, 1, tzinfo=UTC)
"""An earlier time is a clock that was never set."""


def _plain(thing: Any) -> Any:
    if isinstance(thing, list):
        return [_plain(item) for item in thing]
    return thing.model_dump() if isinstance(thing, Model) else thing


def _side(value: Any) -> Any:
    """Which side a toggle is on. An address that is assigned late is an address all along."""
    return bool(value) if value is None or isinstance(value, str) else value


def is_settled_by(call: Call, error: BarrackError) -> bool:
    """Whether a refusal after a lost answer may mean that the lost request did it."""
    match call.operation.lost:
        case ByAbsence():
            return isinstance(error, BarrackNotFoundError | BarrackConflictError)
        case ByName() | ByContents():
            # A name that is taken, or a rule that is there already, may be called invalid [I].
            return isinstance(error, BarrackConflictError | BarrackValidationError)
        case _:
            return isinstance(error, BarrackConflictError)
