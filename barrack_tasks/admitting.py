"""Restores are judged by the caps once more when they are about to be sent, one run at a time.

Between the checks of a run and its request, stock may have been waited for and others may have
begun something; and two runs that check at the same moment both see room for one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from barrack_tasks.api import BarrackError
from barrack_tasks.credentials import BarrackCredentials
from barrack_tasks.guard import Decide, caps_of, read_means
from barrack_tasks.holds import Hold
from barrack_tasks.loop import Log, work
from barrack_tasks.plans.guard import Caps, Means, Ruling
from barrack_tasks.plans.memory import Memory, Target
from barrack_tasks.plans.restoring import LISTS_LAG, Restoring
from barrack_tasks.plans.steps import Finished, Next, Step, Wait
from barrack_tasks.plans.world import World
from barrack_tasks.restoring import asked_of, judged, unreadable
from barrack_tasks.turns import Turn


def work_within_caps(
    account: BarrackCredentials,
    hold: Hold,
    all_of_them: Iterable[Restoring],
    caps: Caps | Mapping[str, Any] | None,
    targets: tuple[Target, ...],
    memory: Memory,
    look: Callable[[], World],
    decide: Decide,
    timeout: timedelta,
    log: Log,
) -> tuple[World, Mapping[str, Next]]:
    """`work` on restores, each judged by the caps once more when its request would go out."""
    with Turn(account.account) as turn:
        return work(
            account,
            hold,
            targets,
            memory,
            look=look,
            decide=Admission(turn, account, all_of_them, caps, memory).within(decide),
            on_done={},
            protected=frozenset(),
            timeout=timeout,
            log=log,
        )


class Admission:
    """Lets through the restores of a plan that the caps still allow.

    Args:
        turn: of this run, at the guard; is kept until what was sent shows in the lists.
        account: whose.
        all_of_them: the restores, as they were judged before. What a person approved then needs
            no approval now, as long as it costs the same.
        caps: what may be spent; besides the account's own.
        memory: of this run.
    """

    def __init__(
        self,
        turn: Turn,
        account: BarrackCredentials,
        all_of_them: Iterable[Restoring],
        caps: Caps | Mapping[str, Any] | None,
        memory: Memory,
    ) -> None:
        self._turn = turn
        self._account = account
        self._caps = caps_of(account, caps)
        self._by_key = {one.key: one for one in all_of_them}
        self._memory = memory
        self._sent: set[str] = set()
        self._refused: dict[str, Next] = {}

    def within(self, decide: Decide) -> Decide:
        """A decision without the restores that the caps forbid; as it is, if there are no caps."""
        if not self._caps:
            return decide
        return lambda world, now: self._admitted(decide(world, now), world, now)

    def _admitted(self, plan: Mapping[str, Next], world: World, now: datetime) -> dict[str, Next]:
        allowed = dict(plan)
        asking = [
            self._by_key[key]
            for key, next_ in plan.items()
            if isinstance(next_, Step)
            and next_.operation == "restore_snapshot"
            and key not in self._refused
        ]
        names = {i.name for i in world.instances.values()}
        self._sent = {key for key in self._sent if self._is_unseen(key, names, now)}
        if asking:
            allowed |= self._held_up(asking)
        if not self._sent:
            self._turn.give_back()
        # What was refused and told stays refused, whatever becomes of the others meanwhile.
        return allowed | {k: n for k, n in self._refused.items() if isinstance(plan[k], Step)}

    def _held_up(self, asking: Iterable[Restoring]) -> dict[str, Next]:
        """Those that must wait; what is refused is noted, and the others are let through."""
        if not self._turn.take():
            return {one.key: Wait("another run is asking the guard") for one in asking}
        try:
            means = self._with_unseen(read_means(self._account, self._caps))
        except BarrackError as error:
            return {one.key: Wait(unreadable(error)) for one in asking}
        for one in asking:
            now, after = judged(one, self._caps, means)
            to_approve = now.to_approve if now.to_approve != one.to_approve else ()
            against = Ruling(now.problems, to_approve).unattended("approve")
            if against:
                why = f"refused by the caps: {'; '.join(against)}"
                self._refused[one.key] = Finished("failed", why)
            else:
                means = after
                self._sent.add(one.key)
        return {}

    def _is_unseen(self, key: str, names: set[str], now: datetime) -> bool:
        if key in self._memory.under_way:
            return True
        asked = self._memory.asked_at.get(key)
        is_made = bool(self._memory.made.get(key))
        is_late = asked is None or now >= asked + LISTS_LAG
        return is_made and not is_late and self._by_key[key].name not in names

    def _with_unseen(self, means: Means) -> Means:
        there = {i.name for i in means.instances}
        for one in (self._by_key[key] for key in sorted(self._sent)):
            if one.name not in there:
                means = means.with_begun(asked_of(one), one.hourly_price or Decimal(0))
        return means
