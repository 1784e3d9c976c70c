"""What decisions on 10,000 instances cost: time and memory, without any request.

Of each flow that decides on a fleet all that it decides in one look is measured. `keep_machine`,
`publish_image` and `doctor` are about one machine or none.
"""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from barrack_tasks.api.models import Balance, CurrencyEnum, Snapshot, UserVM, VMStatus
from barrack_tasks.plans import Retention
from barrack_tasks.plans.account_changes import changes, next_turns, next_view, view_of
from barrack_tasks.plans.forgotten.lifetimes import judge_lifetimes, read_lifetimes, sighted
from barrack_tasks.plans.forgotten.reaping import decide_reaping
from barrack_tasks.plans.memory import Memory
from barrack_tasks.plans.money.balance import outlook
from barrack_tasks.plans.money.bill import Bill, Charge, Thing, charge_at_rate, clipped
from barrack_tasks.plans.money.budgets import (
    read_budgets,
    readings_of,
    standing,
    whom_budgets_rest,
)
from barrack_tasks.plans.money.burn import Tariff, burn_of
from barrack_tasks.plans.money.shedding import Shedding
from barrack_tasks.plans.money.thresholds import read_thresholds
from barrack_tasks.plans.names import snapshot_description, snapshot_name
from barrack_tasks.plans.power.drive import Manner
from barrack_tasks.plans.power.evidence import Known
from barrack_tasks.plans.power.expiry import Expiry, decide_ending
from barrack_tasks.plans.power.rest import decide_rest
from barrack_tasks.plans.power.rise import decide_rise, shortage_of
from barrack_tasks.plans.power.schedule import Policy, judge_all, read_rules
from barrack_tasks.plans.power.schedule_run import Round, decide_round
from barrack_tasks.plans.power.snapshot_then import Intent, Then, decide, intent_for
from barrack_tasks.plans.selection import Selector
from barrack_tasks.plans.snapshots.drill import Drills, choose, decide_drills, of_each_instance
from barrack_tasks.plans.snapshots.prune import Pruning, decide_pruning, keepers, steps_of
from barrack_tasks.plans.snapshots.restore import Restoring, decide_restore
from barrack_tasks.plans.stock.claims import Claims
from barrack_tasks.plans.stock.claims import choose as choose_claims
from barrack_tasks.plans.stock.edges import advance
from barrack_tasks.plans.stock.wants import Place, read_wants
from barrack_tasks.plans.world import World

COUNT = 10_000
NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
SPAN = timedelta(minutes=30)
NEVER = ["no-*"]
EVERYTHING = Selector(names=["*"])
USD = CurrencyEnum.USD


def world_of(count: int) -> World:
    """A fleet that runs, with four old snapshots of each instance."""
    instances = {}
    snapshots = {}
    for number in range(count):
        id_, name = f"BRK-{number:07d}", f"m-{number:05d}"
        instances[id_] = UserVM.model_validate(
            {
                "id": id_,
                "name": name,
                "status": "ACTIVE",
                "hourly_price": "2.25",
                "currency": "USD",
                "gpu_model": "L40",
                "gpu_count": 1,
                "region": "CANADA-1",
                "created_at": (NOW - timedelta(days=90)).isoformat(),
            }
        )
        days = [NOW - timedelta(days=age) for age in range(1, 5)]
        snapshots[id_] = [
            Snapshot.model_validate(
                {
                    "id": f"{number}-{moment.day}",
                    "name": snapshot_name(name, id_, moment),
                    "description": snapshot_description(id_, ("L40", 1)),
                    "status": "SUCCESS",
                    "instance_id": id_,
                    "instance_name": name,
                    "created_at": moment.isoformat(),
                    "region": "CANADA-1",
                }
            )
            for moment in days
        ]
    stock = {("CANADA-1", "L40"): {1: count}}
    return World(instances, snapshots, depended_on=frozenset(), stock=stock)


def intent_of(world: World) -> Intent:
    """All of a fleet, to be put to rest."""
    return intent_for(EVERYTHING, world, Then.HIBERNATE, NOW, NOW, SPAN, 3, NEVER, {})


def measure(count: int = COUNT) -> dict[str, str]:
    """Processor seconds and MiB of the decisions, by the name of their flow."""
    up, none = world_of(count), frozenset[tuple[str, int]]()
    resting = {"status": VMStatus.HIBERNATED}
    asleep = replace(
        up, instances={id_: i.model_copy(update=resting) for id_, i in up.instances.items()}
    )
    fleet = list(up.instances.values())
    snapshots = [s for of_one in up.snapshots.values() for s in of_one]
    balance = Balance.model_validate({"amount": "1000", "currency": "USD"})
    rules = read_rules([{"select": ["m-*"], "timetable": "Mon-Fri 08:00-20:00 Europe/Berlin"}])
    lifetimes = read_lifetimes([{"select": ["*"], "longer_than": "7d", "then": "hibernate"}])
    budgets = read_budgets([{"per": "hour", "hard": 100}, {"per": "day", "hard": 10**7}])
    thresholds = read_thresholds([{"runway": "48h", "actions": ["hibernate"]}])
    wants = read_wants([{"gpu_model": "L40", "claim": {"image_id": "1", "name": "want"}}])
    place = Place("CANADA-1", "L40", 1)
    before = view_of(asleep.instances.values(), [], snapshots)
    charges = tuple(_charges(fleet))
    drilled = [Restoring(s[-1], f"drill-{s[-1].id}") for s in up.snapshots.values()]
    endings = [Expiry(i.id, i.name, NOW, "hibernate") for i in fleet]

    def follow_schedule() -> None:
        verdicts = judge_all(fleet, Known(snapshots=up.snapshots), Policy(tuple(rules)), NOW)
        intent = intent_of(up)
        how = shortage_of("wait", SPAN, ())
        round_ = Round(verdicts, intent.targets, NEVER, NOW, SPAN, 64, how)
        decide_round(round_, up, Memory(), NOW)

    def restore() -> None:
        intent, how = intent_of(asleep), shortage_of("wait", SPAN, ())
        order = [target.id for target in intent.targets]
        decide_rise(intent.targets, asleep, Memory(), NEVER, SPAN, how, 64, order, NOW)

    def restore_from_snapshot() -> None:
        for one in drilled:
            decide_restore(one, up, Memory(), "address", "stop", NOW, NOW)

    def verify_snapshots() -> None:
        of_each = of_each_instance(EVERYTHING, snapshots, fleet, NEVER)
        choose(of_each, {}, count, SPAN, NOW)
        decide_drills(drilled, up, Memory(), Drills(), NOW, SPAN, NOW)

    def prune_snapshots() -> None:
        how = Pruning(Retention(last=2), protect=tuple(NEVER))
        keep = keepers(snapshots, how, frozenset(), {}, instances=up.instances)
        steps_of(decide_pruning(snapshots, how, keep, NOW))

    def reap_forgotten() -> None:
        seen = {i.id: sighted(None, i, None, NOW) for i in fleet}
        judge_lifetimes(fleet, lifetimes, seen, {}, NEVER, NOW)
        decide_reaping(up, intent_of(up), Memory(), none, {}, NOW)

    def watch_account() -> None:
        after = next_view(before, view_of(fleet, [], snapshots), ())
        found = changes(before, after, {}, up.instances)
        next_turns({}, found, after, NOW)

    def watch_balance() -> None:
        burn = burn_of(fleet, [], snapshots, Tariff())
        outlook(thresholds, balance, burn, fleet, (), none, Shedding())

    def enforce_budget() -> None:
        burn = burn_of(fleet, [], snapshots, Tariff())
        stands = [standing(one, fleet, burn, Decimal(1), NOW, "UTC") for one in budgets]
        for stand in stands:
            readings_of(stand, "USD")
        whom_budgets_rest(stands, fleet, (), none, Shedding(), USD)

    def watch_gpu_stock() -> None:
        advance({}, {place: 1}, NOW)
        choose_claims(wants, {place: 1}, fleet, lambda _, __: Decimal(2), Claims())

    def report_costs() -> None:
        start = NOW - timedelta(days=7)
        bill = Bill(start, NOW, "USD", "UTC", tuple(clipped(charges, start, NOW)))
        bill.by("model"), bill.by_day_and("model"), bill.saved_by_hibernation

    def hibernate() -> None:
        decide_rest(up, intent_of(up), Memory(), Manner(), none, False, NOW)

    def end_expired() -> None:
        for one in endings:
            decide_ending(one, up, False, None, NOW, NOW)

    def snapshot_before_stop() -> None:
        decide(up, intent_of(up), Memory(), NOW)

    decisions = (
        snapshot_before_stop,
        hibernate,
        restore,
        follow_schedule,
        restore_from_snapshot,
        verify_snapshots,
        prune_snapshots,
        end_expired,
        reap_forgotten,
        watch_account,
        watch_balance,
        enforce_budget,
        watch_gpu_stock,
        report_costs,
    )
    return {f"{one.__name__}, {count:,} instances": figures_of(one) for one in decisions}


def _charges(fleet: Sequence[UserVM]) -> Iterator[Charge]:
    """A week of each instance: half of it up, and half of it asleep."""
    start, middle = NOW - timedelta(days=7), NOW - timedelta(days=3)
    for one in fleet:
        thing = Thing("instance", one.id, one.name, "L40", "CANADA-1", Decimal("2.25"))
        yield charge_at_rate(thing, start, middle, "ACTIVE", Decimal("2.25"))
        yield charge_at_rate(thing, middle, NOW, "HIBERNATED", Decimal("0.01"))


def figures_of(decision: Callable[[], None]) -> str:
    """The quicker of two, and the most memory that one takes beside its world."""
    took = []
    for _ in range(2):
        began = time.process_time()
        decision()
        took.append(time.process_time() - began)
    tracemalloc.start()
    decision()
    most = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    return f"{min(took):.2f} CPU s, {most:.0f} MiB"
