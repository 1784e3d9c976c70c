"""Budgets: what may be spent an hour, a day or a month, and what happens above it."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Literal, Self

from pydantic import field_validator, model_validator

from barrack_tasks.api.models import CurrencyEnum, UserVM
from barrack_tasks.api.models.shown import Lines, Part, Table
from barrack_tasks.plans.alerts import Reading
from barrack_tasks.plans.inputs import Amount, Given, Texts, read_each
from barrack_tasks.plans.money.bill import day_begins, day_of
from barrack_tasks.plans.money.burn import Burn
from barrack_tasks.plans.money.shedding import (
    MOST_NAMED,
    Limit,
    Shedding,
    about_stuck,
    about_unpriced,
    candidates,
    stuck,
    whom_limits_rest,
)
from barrack_tasks.plans.report import Report, money
from barrack_tasks.plans.selection import matches
from barrack_tasks.plans.timetable.zone_names import zone_of

Per = Literal["hour", "day", "month"]
_EVERYTHING = "everything"
_NONE = "\0"
"""No instance has this name: a budget without names would be about everything."""
_REMEMBERED = 40
"""Days after which a limit that was not kept any more is new again."""
CLEAR = Decimal("0.95")
"""A cap on the burn counts as exceeded anew only after the burn was below this share of it."""


class Budget(Given):
    """A cap on spending.

    Attributes:
        per: `hour` caps the burn; `day` and `month` cap what was spent since they began.
        soft: above it people are told.
        hard: above it people are told and instances are hibernated: until the burn is below the
            cap for `hour`, all of them for `day` and `month`.
        names: names and globs of the instances that it is about; without any, everything that
            is paid for: instances, volumes, snapshots and AI chat.
        team: in place of `names`: the instances that the table of owners says are this team's.

    Example:
        >>> Budget(per="month", soft=800, hard=1000, names=["team-a-*"])
        >>> Budget(per="month", hard=1000, team="vision")
    """

    per: Per
    soft: Amount | None = None
    hard: Amount | None = None
    names: Texts = ()
    team: str = ""

    @field_validator("team")
    @classmethod
    def _is_one_line(cls, team: str) -> str:
        return " ".join(team.split())

    @field_validator("names")
    @classmethod
    def _say_something(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if any(not name.strip() for name in names):
            raise ValueError("holds an empty name")
        return names

    @model_validator(mode="after")
    def _has_a_limit(self) -> Self:
        if self.team and self.names:
            raise ValueError("give either names or a team: a budget is about one of them")
        if self.soft is None and self.hard is None:
            raise ValueError("a budget needs a limit: give soft=, hard= or both")
        if self.soft is not None and self.hard is not None and self.soft >= self.hard:
            raise ValueError(f"soft is {self.soft} and hard is {self.hard}: soft must be lower")
        return self

    @property
    def title(self) -> str:
        """What the budget is called in messages: five names at most, and how many more."""
        if self.team:
            return f"team {_quoted(self.team)} per {self.per}"
        more = len(self.names) - MOST_NAMED
        also = f" and {more} more" if more > 0 else ""
        return f"{_listed(self.names[:MOST_NAMED])}{also} per {self.per}"

    @property
    def key(self) -> str:
        """What the budget is called in memory: as no other, in whatever order it has its names."""
        if self.team:
            return f"team ({json.dumps(self.team, ensure_ascii=False)}) per {self.per}"
        names = sorted(set(self.names))
        listed = _listed(names)
        if len(names) > MOST_NAMED:
            digest = hashlib.blake2s(listed.encode(), digest_size=8).hexdigest()
            listed = f"{_listed(names[:MOST_NAMED])} and {len(names) - MOST_NAMED} more ({digest})"
        return f"{listed} per {self.per}"

    @property
    def identity(self) -> str:
        """The budget with its hard limit: with another limit it is another."""
        return _normal(f"{self.key}: {self.hard}")

    def of_team(self, ids: Iterable[str]) -> Budget:
        """The same for the instances of its team: these, or none at all if there are none.

        Args:
            ids: of the team's instances, there or gone.
        """
        return self.model_copy(update={"names": tuple(sorted(ids)) or (_NONE,)})

    def is_known(self, known: Iterable[str]) -> bool:
        """Whether its hard limit is among identities, also as an earlier release wrote them."""
        mine = {self.identity}
        if not self.team and all(_quoted(name) == name for name in self.names):
            mine.add(_normal(f"{_listed(self.names)} per {self.per}: {self.hard}"))
        return not mine.isdisjoint(map(_normal, known))


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(_quoted, names)) or _EVERYTHING


def _quoted(name: str) -> str:
    """A name, in quotation marks if it could be taken for something else without them."""
    is_plain = name != _EVERYTHING and name == name.strip() and not set(name) & set(',"()')
    return name if is_plain and " and " not in name else json.dumps(name, ensure_ascii=False)


def _normal(identity: str) -> str:
    """An identity with its limit as one number is written in one way only."""
    key, _, limit = identity.rpartition(": ")
    try:
        return f"{key}: {Decimal(limit).normalize():f}"
    except InvalidOperation:  # there is no limit, or nothing that this library wrote
        return identity


def read_budgets(value: Any) -> list[Budget]:
    """Read budgets, typed or as dicts.

    Raises:
        ValueError: one cannot be read, or two are about the same.
    """
    if not isinstance(value, list | tuple) or not value:
        raise ValueError("budgets must be a list such as [{'per': 'day', 'hard': 50}], not empty")
    budgets = read_each(Budget, value, "budget")
    for budget in budgets:
        if sum(b.key == budget.key for b in budgets) > 1:
            raise ValueError(
                f"there are two budgets for {budget.title}; write one with both limits"
            )
    return budgets


@dataclass(frozen=True)
class Period:
    """The hour, day or month that a moment lies in, in the civil time of a zone; ends in UTC."""

    name: str
    start: datetime
    end: datetime

    def share_left(self, now: datetime) -> Decimal:
        """How many hours of it are left."""
        return Decimal(max(0, int((self.end - now).total_seconds()))) / 3600


def period_of(per: Per, now: datetime, zone: str) -> Period:
    """The period that a moment lies in.

    Raises:
        ValueError: no such zone.
    """
    at = zone_of(zone)
    if per == "hour":
        local = now.astimezone(at)
        start = local.replace(minute=0, second=0, microsecond=0).astimezone(UTC)
        return Period(f"{local:%Y-%m-%d %H}h", start, start + timedelta(hours=1))
    today = day_of(now, at)
    if per == "day":
        first, last, name = today, today + timedelta(days=1), today.isoformat()
    else:
        first = today.replace(day=1)
        last = (first + timedelta(days=31)).replace(day=1)
        name = f"{first:%Y-%m}"
    return Period(name, day_begins(first, at), day_begins(last, at))


@dataclass(frozen=True)
class Standing:
    """How one budget stands: what was spent (or burns, an hour), and what it will come to."""

    budget: Budget
    period: Period
    spent: Decimal
    forecast: Decimal
    scope: tuple[UserVM, ...]
    """The instances that it is about."""
    burn: Burn
    is_read: bool = True
    """Whether all that it counts was read, as far as it can be; else it is so much at the least."""


def standing(
    budget: Budget,
    instances: Sequence[UserVM],
    burn: Burn,
    spent: Decimal,
    now: datetime,
    zone: str,
    is_read: bool = True,
) -> Standing:
    """How a budget stands.

    Args:
        budget: the budget.
        instances: all of the account.
        burn: of the whole account.
        spent: by what the budget is about, since its period began; not needed for `hour`.
        now: zone-aware.
        zone: whose days and months.
        is_read: whether all that it counts was read.
    """
    period = period_of(budget.per, now, zone)
    scope = tuple(i for i in instances if not budget.names or matches(i, budget.names))
    own = burn_of_scope(budget, scope, burn)
    if budget.per == "hour":
        return Standing(budget, period, own.hourly, own.hourly, scope, own, is_read)
    forecast = spent + own.hourly * period.share_left(now)
    return Standing(budget, period, spent, forecast, scope, own, is_read)


def burn_of_scope(budget: Budget, scope: Sequence[UserVM], burn: Burn) -> Burn:
    """The part of the burn that a budget is about."""
    if not budget.names:
        return burn
    ids = {i.id for i in scope}
    return Burn(tuple(c for c in burn.costs if c.kind == "instance" and c.id in ids))


def is_burn_read(budget: Budget, burn: Burn, unread: Collection[str]) -> bool:
    """Whether the part of the burn that a budget is about was read, with all prices.

    Args:
        budget: the budget.
        burn: that part of the burn.
        unread: operations that could not be read.
    """
    needed = {"list_instances"}
    if not budget.names:
        needed |= {"list_volumes", "list_snapshots"}
    return needed.isdisjoint(unread) and not burn.unknown


def burn_watched(standings: Iterable[Standing]) -> Burn:
    """The part of the burn that any of the budgets is about."""
    return Burn(tuple(dict.fromkeys(cost for stand in standings for cost in stand.burn.costs)))


def readings_of(
    stand: Standing, currency: str, is_whole: bool = True, is_refused: bool = False
) -> list[Reading]:
    """How a budget stands to its limits, and whether its period will end above the hard one.

    Args:
        stand: how it stands.
        currency: of the account.
        is_whole: whether all that is spent could be read; else no alarm is over.
        is_refused: whether its hard limit is refused, see `refused_of`: that is told instead.
    """
    budget, per = stand.budget, stand.budget.per
    least = _least(is_whole and stand.is_read)
    found = []
    for name, limit in (("soft", budget.soft), ("hard", budget.hard)):
        if limit is None:
            continue
        if is_refused and name == "hard":
            text = about_refused(stand, currency)
            found.append(Reading(f"{budget.key}: refused", True, False, text))
            continue
        key = f"{budget.key}: {name}" + ("" if per == "hour" else f" {stand.period.name}")
        verb = "burns" if per == "hour" else "spent"
        text = (
            f"{budget.title}: {verb} {least}{money(stand.spent, currency)}, the {name} limit is "
            f"{money(limit, currency)}{_coming(stand, currency, least)}"
        )
        found.append(
            Reading(key, stand.spent > limit, is_whole and stand.spent <= limit * CLEAR, text)
        )
    if per != "hour" and budget.hard is not None and not is_refused:
        key = f"{budget.key}: forecast {stand.period.name}"
        will = stand.forecast > budget.hard >= stand.spent
        text = (
            f"{budget.title}: {least}{money(stand.spent, currency)} spent, and {least}"
            f"{money(stand.forecast, currency)} at the end of the {per} if nothing changes; the "
            f"hard limit is {money(budget.hard, currency)}"
        )
        found.append(Reading(key, will, is_whole and stand.forecast <= budget.hard * CLEAR, text))
    return found


def _coming(stand: Standing, currency: str, least: str) -> str:
    if stand.budget.per == "hour":
        return ""
    coming = money(stand.forecast, currency)
    return f"; {least}{coming} at the end of the {stand.budget.per} if nothing changes"


def _least(is_read: bool) -> str:
    return "" if is_read else "at least "


def _is_exceeded(stand: Standing) -> bool:
    return stand.budget.hard is not None and stand.spent > stand.budget.hard


def whom_budgets_rest(
    standings: Sequence[Standing],
    instances: Sequence[UserVM],
    protected: Collection[str],
    unable: Collection[tuple[str, int]],
    how: Shedding,
    currency: CurrencyEnum,
) -> list[UserVM]:
    """Whom all budgets together put to rest, in the order in which they would be.

    A day or a month above its hard limit takes all that it is about; with these gone, the limits
    on an hour take what they still need, see `whom_limits_rest`.

    Args:
        standings: how the budgets stand.
        instances: all of the account.
        protected: ids of those that must not be put to rest.
        unable: flavors that cannot hibernate.
        how: who goes first.
        currency: of the account.
    """
    over = [stand for stand in standings if _is_exceeded(stand)]
    if not over:
        return []
    burn = burn_watched(over)
    scopes = [(stand, {i.id for i in stand.scope}) for stand in over]
    limits = [
        Limit(stand.burn.hourly, stand.budget.hard.__ge__, ids)
        for stand, ids in scopes
        if stand.budget.per == "hour" and stand.budget.hard is not None
    ]
    anyway = {id_ for stand, ids in scopes if stand.budget.per != "hour" for id_ in ids}
    serving = Counter(id_ for limit in limits for id_ in limit.ids or ())
    ordered = candidates(instances, protected, unable, how, burn, serving)
    return whom_limits_rest(limits, ordered, burn, currency, anyway)


def notes_on_budgets(
    standings: Iterable[Standing],
    instances: Sequence[UserVM],
    protected: Collection[str],
    unable: Collection[tuple[str, int]],
) -> tuple[str, ...]:
    """Sentences about what exceeded budgets are about and cannot put to rest, or cannot price."""
    over = [stand for stand in standings if _is_exceeded(stand)]
    ids = {i.id for stand in over for i in stand.scope}
    burn = burn_watched(over)
    about = [i for i in instances if i.id in ids]
    return (
        *about_stuck(stuck(about, protected, unable), burn),
        *about_unpriced([i for i in about if i.id not in protected], burn),
    )


def refused_of(standings: Iterable[Standing], known: Collection[str]) -> list[Standing]:
    """The budgets whose hard limit is below what already runs, the first time that it is seen.

    It would hibernate at once what nobody asked it to; a person shall have seen that first.

    Args:
        standings: how the budgets stand.
        known: identities of budgets that were kept before.
    """
    return [s for s in standings if _is_exceeded(s) and not s.budget.is_known(known)]


def kept_of(
    standings: Iterable[Standing], known: Collection[str], at_once: bool = False
) -> list[Standing]:
    """The budgets that are remembered as kept, so that their hard limits may act from now on.

    A new one is, once all that it needs was read: what could not be read may be above it already.

    Args:
        standings: how the budgets stand.
        known: identities of budgets that were kept before.
        at_once: whether a person has asked for limits that act at once.
    """
    return [
        s
        for s in standings
        if at_once or s.budget.is_known(known) or (s.is_read and not _is_exceeded(s))
    ]


def about_waiting(stand: Standing) -> str:
    """The sentence about a new hard limit of which it is not known yet whether it is exceeded."""
    return (
        f"the hard limit of {stand.budget.title} is new, and not all that it counts can be read: "
        "it is in force once that was read and is within it"
    )


def about_refused(stand: Standing, currency: str) -> str:
    """The sentence about a hard limit that is refused: the figures, and what to do."""
    verb = "burns" if stand.budget.per == "hour" else "has already spent"
    least = _least(stand.is_read)
    return (
        f"the hard limit of {stand.budget.title} is {money(stand.budget.hard, currency)}, and it "
        f"{verb} {least}{money(stand.spent, currency)}: raise it, hibernate something first, or "
        "say enforce_at_once=True; until then it is not enforced"
    )


def with_budgets(known: Mapping[str, int], budgets: Iterable[Budget], today: int) -> dict[str, int]:
    """The day on which each hard limit was last kept, by the identity of its budget.

    Limits of other deployments stay, whatever these are. What nobody kept for 40 days is left out.

    Args:
        known: as it stands.
        budgets: those that are kept now.
        today: number of the day.
    """
    # An earlier release noted 1 for all.
    dated = {identity: day if day > 1 else today for identity, day in known.items()}
    dated |= {b.identity: today for b in budgets if b.hard is not None}
    return {identity: day for identity, day in dated.items() if today - day <= _REMEMBERED}


class BudgetReport(Report):
    """What `enforce_budget` saw and did: how each budget stands, and what was put to rest."""

    budgets: tuple[dict[str, str], ...] = ()
    """For each budget: its name, what was spent (an hour, for `hour`), forecast and limits."""

    @property
    def summary(self) -> str:
        """How each budget stands, and what was put to rest."""
        stands = [
            f"{one['budget']}: {one['spent']} is spent, and the hard limit is {one['hard limit']}."
            for one in self.budgets
        ]
        return " ".join([*stands, *([super().summary] if self.rows else [])])

    def parts(self) -> tuple[Part, ...]:
        """The budgets, what was told, and the rows."""
        head = tuple(self.budgets[0]) if self.budgets else ()
        table = Table(head, tuple(tuple(one.values()) for one in self.budgets))
        return (table, Lines(self.told), *super().parts())


def cells_of(stand: Standing, currency: str) -> dict[str, str]:
    """How a budget stands, as text."""
    budget, least = stand.budget, _least(stand.is_read)
    return {
        "budget": budget.title,
        "period": "now" if budget.per == "hour" else stand.period.name,
        "spent": least + money(stand.spent, currency),
        "forecast": least + money(stand.forecast, currency),
        "soft limit": money(budget.soft, currency) if budget.soft is not None else "none",
        "hard limit": money(budget.hard, currency) if budget.hard is not None else "none",
    }
