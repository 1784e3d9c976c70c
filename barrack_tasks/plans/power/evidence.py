"""What is remembered of instances that follow a timetable, and what it proves.

A person moved an instance only if there is evidence: this library saw it in the state that the
boundary wished for, and it is in another; or it left a state, was made or was changed after the
boundary while no request of ours was open. A request is open from just before it is sent until
the instance was seen where it was to bring it. Whatever an instance does meanwhile may come of the
request, which may fail late and leave it where it was. So it proves nothing, unless the instance
is seen on its way in the other direction. Neither does a run that comes late, or again after it
was killed, nor a restore that ends after the boundary and may have been under way when it passed.

Boundaries are moments of our clock, and what an instance tells of itself is told by the cloud's:
a boundary is put on the cloud's clock before the two are compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from barrack_tasks.api.models import Snapshot, UserVM, VMStatus
from barrack_tasks.plans.power.drive import is_down, is_up
from barrack_tasks.plans.timetable import Boundary, Wish

ALWAYS = datetime(2000, 1, 1, tzinfo=UTC)
"""Stands for the boundary of a timetable that wishes the same at all times."""
MOST_RESTORES_KEPT = 5
TRIES_IN_SILENCE = 3
"""From so many requests on that came to nothing, a run that does not bring it about has failed."""
SETTLES_WITHIN = timedelta(minutes=30)
"""So long after a request of ours the instance's own times may tell of nothing but that request."""
_PASSES_WITHIN = timedelta(minutes=5)
"""So long a restore may take of which nothing is known."""
_BUILDS_WITHIN = timedelta(minutes=30)
"""So long after an instance was made a change may be no more than that it was built."""
_NEAR = timedelta(minutes=2)
"""So far apart may be what one act leaves in the times of an instance and of its snapshot."""

_LEADS_TO = {
    "hibernate_instance": VMStatus.HIBERNATED,
    "stop_instance": VMStatus.SHUTOFF,
    "start_instance": VMStatus.ACTIVE,
    "restore_instance": VMStatus.ACTIVE,
}
_MOVES_NOTHING = frozenset({"create_snapshot", "delete_snapshot", "create_image"})


@dataclass(frozen=True)
class Note:
    """What is remembered of one instance.

    `settled`, `pursued`, `under` and `first` are boundaries of its timetable; `asked`, `changed`
    and `seen` are moments by the cloud's clock.
    """

    settled: datetime | None = None
    """The latest boundary whose wish was seen fulfilled."""
    pursued: datetime | None = None
    """The latest boundary for whose sake something was asked of it, noted before the request."""
    restores: tuple[int, ...] = ()
    """Seconds that its latest restores took, newest last."""
    under: datetime | None = None
    """The boundary that counted when it was last seen in a stable state."""
    status: str | None = None
    """The stable state in which it was last seen."""
    changed: datetime | None = None
    """When it had changed last, by its own times, when it was last seen."""
    asked: datetime | None = None
    """When the latest request of ours was about to be sent."""
    operation: str | None = None
    """Which request that was."""
    first: datetime | None = None
    """The boundary that counted at first sight, if it hibernated and was wanted up."""
    seen: datetime | None = None
    """The day on which it was last seen."""
    wish: Wish | None = None
    """What the boundary `settled` wished; notes of earlier releases do not tell."""
    decided: Boundary | None = None
    """The latest boundary after which a person was seen to decide otherwise."""
    passing: datetime | None = None
    """When the state that passes began in which it was last seen; None if that was a stable one."""
    tries: int = 0
    """How often something that moves it was asked for the sake of `pursued`, in vain so far."""
    address: str | None = None
    """Its public address when it was last seen up with one."""


@dataclass(frozen=True)
class Watched:
    """What another flow of this library saw of an instance, and when that was new."""

    status: VMStatus
    moment: datetime


@dataclass(frozen=True)
class Known:
    """What is known of instances beyond what they are now."""

    notes: Mapping[str, Note] = field(default_factory=dict)
    snapshots: Mapping[str, Sequence[Snapshot]] = field(default_factory=dict)
    """By instance: a snapshot that is taken may show in the instance's own times."""
    watched: Mapping[str, Watched] = field(default_factory=dict)
    """What `watch_account` saw last, by instance."""
    cloud_ahead: timedelta = timedelta(0)
    """How much later the cloud's clock is than ours, as `clock_ahead` tells it."""

    def note(self, id_: str) -> Note:
        """What is remembered of an instance; nothing, if it was never looked at."""
        return self.notes.get(id_) or Note()

    def is_first_sight(self, id_: str, boundary: Boundary) -> bool:
        """Whether it was never looked at before, or first under this same boundary."""
        note = self.notes.get(id_)
        return note is None or note.first == boundary.moment


def clock_ahead(cloud_now: datetime, our_now: datetime) -> timedelta:
    """How much later the cloud's clock is than ours, as far as it is a matter of clocks.

    Clocks that are off by more than `MOST_AHEAD` are not two clocks of one time, so the cloud's
    times are taken as they are: nothing is known to have happened later than they say.
    """
    ahead = cloud_now - our_now
    return ahead if abs(ahead) <= MOST_AHEAD else timedelta(0)


MOST_AHEAD = timedelta(hours=12)


def fulfils(status: VMStatus, boundary: Boundary) -> bool:
    """Whether a state is just what a boundary wishes for; a state that passes is not."""
    return status is (VMStatus.ACTIVE if boundary.wish is Wish.UP else VMStatus.HIBERNATED)


def why_moved(instance: UserVM, boundary: Boundary, known: Known) -> str | None:
    """What proves that a person moved an instance after the boundary; None if nothing does.

    Args:
        instance: as it is; not in the state that the boundary wishes for.
        boundary: the one that counts.
        known: what else is known.
    """
    note = known.note(instance.id)
    if _is_settled(note, boundary):
        return "it had already reached the state that its timetable wants"
    if note.decided is not None and _covers(note, note.decided, boundary):
        return "an earlier run saw evidence of that"
    if note.pursued == boundary.moment and _was_down(note, instance):
        return "it was hibernated or stopped as requested, and came back with another address"
    watched = known.watched.get(instance.id)
    if (
        watched is not None
        and boundary.moment != ALWAYS
        and watched.moment >= boundary.moment
        and fulfils(watched.status, boundary)
    ):
        return "another flow saw it in the state that its timetable wants"
    if note.under == boundary.moment and note.status and instance.status.is_stable:
        left = note.status != str(instance.status)
        if left and not _is_ours(note, instance, boundary):
            return (
                f"it was {note.status} after the boundary, and this library has requested nothing "
                "of it since"
            )
    snapshots = known.snapshots.get(instance.id, ())
    passed = boundary.moment + known.cloud_ahead
    return _by_its_own_times(instance, boundary, passed, note, snapshots)


def _was_down(note: Note, instance: UserVM) -> bool:
    """Whether an instance that is up hibernated in between: a restore gives it a new address."""
    is_back = is_up(instance.status) and instance.has_address and note.address is not None
    is_asked = _LEADS_TO.get(note.operation or "") is VMStatus.HIBERNATED
    return is_back and is_asked and note.address != instance.public_ip


def _is_settled(note: Note, boundary: Boundary) -> bool:
    if note.settled is None:
        return False
    return _covers(note, Boundary(note.settled, note.wish or boundary.wish), boundary)


def _covers(note: Note, noted: Boundary, boundary: Boundary) -> bool:
    """Whether what was noted for one boundary holds for the one that counts.

    A rule that was edited may put a boundary of the opposite wish before the one that was noted.
    """
    if noted.wish is not boundary.wish or noted.moment < boundary.moment:
        return False
    # All boundaries are later than that of a timetable that knows none: those are another's.
    return boundary.moment != ALWAYS or note.under == ALWAYS


def _by_its_own_times(
    instance: UserVM,
    boundary: Boundary,
    passed: datetime,
    note: Note,
    snapshots: Sequence[Snapshot],
) -> str | None:
    """What the times of an instance prove; `passed` is the boundary on the cloud's clock."""
    created, changed = instance.created_at, changed_at(instance)
    is_timed = boundary.moment != ALWAYS
    if is_timed and created is not None and created > passed:
        return f"it was created at {_said(created)}, after the boundary"
    if changed is None:
        return None
    if note.under == boundary.moment and note.changed is not None:
        # Both times are the cloud's own, so that no clock of ours matters.
        is_new = changed > note.changed
    else:
        is_new = is_timed and _begun(instance, note, changed) > passed
    if not is_new or _is_ours(note, instance, boundary, changed):
        return None
    if any(_shows(snapshot, changed) for snapshot in snapshots):
        return None
    return f"it was changed at {_said(changed)}, after the boundary, and not by this library"


def _begun(instance: UserVM, note: Note, changed: datetime) -> datetime:
    """When what an instance changed into may have begun, at the earliest."""
    if not instance.status.is_stable:
        return changed
    if note.passing is not None:
        return min(note.passing, changed)
    created = instance.created_at
    if created is not None and changed - created <= _BUILDS_WITHIN:
        return min(created, changed)
    return changed - timedelta(seconds=max(note.restores, default=_PASSES_WITHIN.seconds))


def _said(moment: datetime) -> str:
    return f"{moment:%a %H:%M} UTC"


def changed_at(instance: UserVM) -> datetime | None:
    """When an instance last changed, by its own times; None if they do not tell."""
    told = instance.updated_at
    if instance.status is VMStatus.HIBERNATED and instance.hibernated_at is not None:
        told = instance.hibernated_at
    # Notes keep whole seconds, and what is compared with them must be no finer.
    return None if told is None else told.replace(microsecond=0)


def _is_ours(
    note: Note, instance: UserVM, boundary: Boundary, changed: datetime | None = None
) -> bool:
    """Whether our latest request explains the state of an instance, or when it changed."""
    if note.operation is None:
        return False
    is_of_now = note.pursued == boundary.moment
    if note.operation in _MOVES_NOTHING:
        return is_of_now and changed is not None
    goal = _LEADS_TO.get(note.operation)
    if goal is not instance.status and not _may_be_left(instance.status, goal, note):
        return False
    if is_of_now:
        return True
    # What was asked for the sake of an earlier boundary may have come about after this one.
    return (
        changed is not None
        and note.asked is not None
        and note.asked - _NEAR <= changed <= note.asked + SETTLES_WITHIN
    )


def _may_be_left(status: VMStatus, goal: VMStatus | None, note: Note) -> bool:
    """Whether a request that leads to `goal`, and failed or is not done, may leave this state."""
    if goal is None or note.status == str(goal):
        return False
    opposite = is_down if goal is VMStatus.ACTIVE else is_up
    return status.is_stable or not opposite(status)


def _shows(snapshot: Snapshot, changed: datetime) -> bool:
    """Whether a snapshot that was taken explains that its instance changed."""
    begun = snapshot.created_at
    if begun is None:
        return False
    done = max(begun, snapshot.updated_at or begun)
    return begun - _NEAR <= changed <= done + _NEAR


def observed(
    note: Note | None,
    instance: UserVM,
    boundary: Boundary | None,
    now: datetime,
    *,
    is_early: bool = False,
    is_done: bool = False,
) -> Note:
    """What is remembered of an instance once it was seen.

    Args:
        note: what was remembered; None if it was never looked at.
        instance: as it is.
        boundary: the one that counts; None if its timetable asks nothing.
        now: this moment, by the cloud's clock.
        is_early: the boundary is still to come.
        is_done: it is evident that a person decided after the boundary.
    """
    before = note or Note()
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    after = before if before.seen and before.seen >= day else replace(before, seen=day)
    if boundary is None:
        return after
    moment = boundary.moment
    if note is None and boundary.wish is Wish.UP and is_down(instance.status):
        after = replace(after, first=None if moment == ALWAYS else moment)
    is_fulfilled = False
    if not instance.status.is_stable:
        after = replace(after, passing=changed_at(instance))
    # Before the boundary it may be there by chance, unless it was brought there for its sake.
    elif not is_early or before.pursued == moment:
        if moment == ALWAYS and before.under not in (None, ALWAYS):
            # What was settled before was settled under another timetable.
            after = replace(after, settled=None, wish=None, decided=None)
        after = replace(
            after,
            under=moment,
            status=str(instance.status),
            changed=changed_at(instance),
            passing=None,
            address=instance.public_ip if instance.has_address else after.address,
        )
        is_fulfilled = fulfils(instance.status, boundary)
    if is_fulfilled:
        settled = after.settled if _is_settled(after, boundary) else moment
        after = replace(after, settled=settled, wish=boundary.wish, tries=0)
    if is_done and not (after.decided and _covers(after, after.decided, boundary)):
        after = replace(after, decided=boundary)
    return after


def pursuing(note: Note | None, boundary: Boundary, operation: str, now: datetime) -> Note:
    """What is remembered just before something is asked of an instance.

    Args:
        note: what was remembered.
        boundary: for whose sake it is asked.
        operation: the operation's name.
        now: this moment, by the cloud's clock.
    """
    before, moment = note or Note(), boundary.moment
    tries = before.tries if before.pursued == moment else 0
    if operation in _MOVES_NOTHING:
        if tries:
            return before  # the request that moves it is still open
    else:
        tries += 1
    asked = now.replace(microsecond=0)
    return replace(before, pursued=moment, asked=asked, operation=operation, tries=tries)


def trouble(note: Note, instance: UserVM, boundary: Boundary, now: datetime) -> str:
    """What a person should hear of requests for this boundary that came to nothing; empty if none.

    Args:
        note: what is remembered of the instance.
        instance: as it is; not in the state that the boundary wishes for.
        boundary: the one that counts.
        now: this moment, by the cloud's clock.
    """
    goal = _LEADS_TO.get(note.operation or "")
    is_open = note.pursued == boundary.moment and note.tries and goal is not instance.status
    if not is_open or note.asked is None:
        return ""
    is_stuck = not instance.status.is_stable and now > note.asked + SETTLES_WITHIN
    is_hopeless = instance.status is VMStatus.ERROR
    if not (is_stuck or is_hopeless or note.tries >= TRIES_IN_SILENCE):
        return ""
    often = "once" if note.tries == 1 else f"{note.tries} times"
    what = (note.operation or "").removesuffix("_instance")
    last = "" if note.tries == 1 else "last "
    return (
        f"it was asked {often} to {what}, {last}at {_said(note.asked)}, and it is {instance.status}"
    )


def came_back(was: UserVM | None, now: UserVM) -> bool:
    """Whether an instance that is up was down in between: a restore gives it a new address."""
    if was is None or not is_up(now.status):
        return False
    return was.has_address and now.has_address and was.public_ip != now.public_ip


def restore_seen_through(note: Note | None, now: UserVM, cloud_now: datetime) -> timedelta | None:
    """How long a restore took that one run has asked for and another finds done.

    None if none did, and if so much time has passed since that it tells nothing.

    Args:
        note: what was remembered before this look.
        now: the instance as it is.
        cloud_now: this moment, by the cloud's clock.
    """
    if note is None or note.asked is None or not note.tries:
        return None
    if note.operation != "restore_instance" or now.status is not VMStatus.ACTIVE:
        return None
    changed = changed_at(now)
    arrived = changed if changed is not None and changed > note.asked else cloud_now
    took = min(arrived, cloud_now) - note.asked
    return took if timedelta(0) <= took <= 2 * SETTLES_WITHIN else None


def with_restore(note: Note | None, took: timedelta) -> Note:
    """What is remembered of an instance whose restore took so long."""
    before = note or Note()
    took_all = (*before.restores, int(took.total_seconds()))
    return replace(before, restores=took_all[-MOST_RESTORES_KEPT:])
