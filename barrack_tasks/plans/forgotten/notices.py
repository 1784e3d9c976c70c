"""Notices: what people were told will happen, and what of that is remembered."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol, Self

GRACE = timedelta(hours=1)
"""So long after people were told what will happen to a machine it happens."""
_KEPT = timedelta(days=7)
"""A notice whose time is over for so long says nothing any more: it is given anew."""
_FORGOTTEN = timedelta(days=30)


@dataclass(frozen=True)
class Notice:
    """That people were told what will happen.

    Attributes:
        told: when they were told.
        acts_at: when it happens, as they were told; it does not happen before that.
    """

    told: datetime
    acts_at: datetime

    def written(self) -> list[int]:
        """As it is kept."""
        return [int(at.timestamp()) for at in (self.told, self.acts_at)]

    @classmethod
    def read(cls, written: Any) -> Self:
        """What was kept; an earlier release kept only when people were told.

        Raises:
            TypeError, ValueError: it is no notice.
        """
        told, acts_at = written if isinstance(written, list) else (written, written)
        return cls(datetime.fromtimestamp(told, UTC), datetime.fromtimestamp(acts_at, UTC))


class Stage(StrEnum):
    """How far a rule has come with what is longer than it may be."""

    NAMED = "named"
    """It is named in the report, or alerted of; nothing is done."""
    SPARED = "spared"
    """A lease keeps it, or it is protected."""
    NOTICE = "notice"
    """People are to be told now what will happen."""
    GRACE = "grace"
    """They were told, and may still say no."""
    DUE = "due"


class Judged(Protocol):
    """What a rule says of a thing."""

    @property
    def key(self) -> str:
        """Of the notice about it: the rule's key, a blank, and the thing's own."""

    @property
    def stage(self) -> Stage:
        """How far the rule has come with it."""

    @property
    def acts_at(self) -> datetime | None:
        """When it is acted on, unless somebody says no."""


def stage_of(notice: Notice | None, now: datetime, grace: timedelta) -> tuple[Stage, datetime]:
    """How far a notice has come, and when what it tells of is done.

    That is never before the moment that people were told, also if the grace is shorter by now.

    Args:
        notice: that was given; None if none was.
        now: by the cloud's clock.
        grace: how long people can say no.
    """
    if notice is not None:
        acts_at = max(notice.acts_at, notice.told + grace)
        if now <= acts_at + _KEPT:
            return (Stage.GRACE if now < acts_at else Stage.DUE), acts_at
    return Stage.NOTICE, now + grace


def notices_after(
    before: Mapping[str, Notice],
    judged: Iterable[Judged],
    rules: Collection[str],
    now: datetime,
    held: Collection[str] = (),
    untold: Collection[str] = (),
    unseen: Collection[str] = (),
) -> dict[str, Notice]:
    """What is remembered once people were told: a rule that lets a thing go forgets its notice.

    A notice that nobody heard was not given, and the grace does not begin with it.

    Args:
        before: as it was remembered, by the key of the notice.
        judged: what the rules of this run say.
        rules: keys of these rules; notices of other rules stay, for the runs that have them.
        now: by the cloud's clock.
        held: what somebody has leased; who did has said no to the notices of all rules.
        untold: keys of the notices that could not be sent to anybody.
        unseen: what this look did not show, so that no rule has let it go.
    """
    stand = {}
    for key, notice in before.items():
        rule, _, thing = key.partition(" ")
        is_others = rule not in rules and now - notice.acts_at < _FORGOTTEN
        if thing not in held and (is_others or thing in unseen):
            stand[key] = notice
    for one in judged:
        if one.stage is Stage.NOTICE and one.acts_at is not None and one.key not in untold:
            stand[one.key] = Notice(now, one.acts_at)
        elif one.stage in (Stage.GRACE, Stage.DUE):
            stand[one.key] = before[one.key]
    return stand
