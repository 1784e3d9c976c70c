"""Play a month of a team of 12 with the library's own decisions, and write it into docs/leases.md.

No cloud and no Prefect server: only what the plans decide, every ten minutes of a made-up month.
The people are the same in each way of keeping house, and so is what they do; chance is drawn once,
by a seed. `python -m docs.generate.month` takes about half a minute.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pygal
from pygal.style import Style

from barrack_tasks.api.models import UserVM, VMStatus
from barrack_tasks.plans import Timetable
from barrack_tasks.plans.forgotten.idleness import Evidence, combined, put_off
from barrack_tasks.plans.forgotten.leases import (
    WARNING,
    Lease,
    extended,
    granted,
    holders,
    now_warned,
    warned,
    warnings_of,
    with_leases,
)
from barrack_tasks.plans.forgotten.lifetimes import (
    Lifetime,
    Sighting,
    judge_lifetimes,
    sighted,
    with_notices,
)
from barrack_tasks.plans.forgotten.notices import Stage
from barrack_tasks.plans.prices import hourly_cost
from barrack_tasks.plans.report import money

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE, CHART = ROOT / "docs" / "leases.md", ROOT / "docs" / "leases-month.svg"
START = datetime(2026, 11, 2, tzinfo=UTC)  # a Monday
TICK = timedelta(minutes=10)
HOUR = timedelta(hours=1)
PEOPLE, DAYS, SEED = 12, 30, 2026
OFFICE = Timetable.parse("Mon-Fri 08:00-20:00 UTC")
GRACE = timedelta(minutes=30)
AT_MOST = timedelta(hours=14)
RULES = (
    Lifetime(select=["*"], longer_than="1h", then="hibernate", idle=True),  # type: ignore[arg-type]
    Lifetime(select={"states": ["SHUTOFF"]}, longer_than="15m", then="hibernate"),  # type: ignore[arg-type]
)
Span = tuple[datetime, datetime]


@dataclass
class Person:
    """What one person does in the month, whoever keeps house."""

    at_work: list[Span] = field(default_factory=list)
    """At the keyboard; a break is none of it."""
    trainings: list[Span] = field(default_factory=list)
    """While the GPU works, without anybody there."""
    hangs: list[Span] = field(default_factory=list)
    """While a job that makes no progress any more holds the machine."""
    leaves: list[tuple[datetime, str]] = field(default_factory=list)
    """How the machine is left at the end of a day: up, off from inside, or put to rest."""
    leases: list[tuple[datetime, timedelta]] = field(default_factory=list)
    """What is leased at the beginning of a day, by those who do."""
    keeps_awake: bool = True
    """Whether the trainings renew a lease of their own."""

    def does(self, spans: Sequence[Span], now: datetime, back: timedelta = timedelta(0)) -> bool:
        """Whether something goes on now, or did since a while ago."""
        return any(start <= now and now - back < end for start, end in spans)


def a_person(chance: Random, days: int) -> Person:
    """Somebody who forgets: two evenings in three the machine is left as it is."""
    one = Person(keeps_awake=chance.random() < 0.8)
    for number in range(days):
        day = START + timedelta(days=number)
        is_weekend = day.weekday() >= 5
        if chance.random() < (0.88 if is_weekend else 0.10):
            continue
        begin = day + HOUR * chance.uniform(8.2, 10.5)
        end = begin + HOUR * (3 if is_weekend else chance.uniform(7, 9.5))
        noon = begin + (end - begin) / 2
        one.at_work += [(begin, noon), (noon + HOUR * chance.uniform(0.5, 1.6), end)]
        if chance.random() < 0.3:
            one.leases.append((begin, timedelta(hours=9)))
        if chance.random() < 0.45:
            done = end + HOUR * chance.uniform(2, 14)
            if chance.random() < 0.08:
                hangs = end + (done - end) * chance.uniform(0.1, 0.9)
                one.hangs.append((hangs, hangs + timedelta(days=3)))
                done = hangs
            one.trainings.append((end, done))
        else:
            way = chance.choices(["up", "off", "rest"], [0.57, 0.08, 0.35])[0]
            one.leaves.append((end, way))
    return one


@dataclass
class Machine:
    """A machine of one person, and what was remembered and counted of it."""

    person: Person
    vm: UserVM
    leases: dict[str, Lease] = field(default_factory=dict)
    seen: Sighting | None = None
    moved: datetime | None = None
    spent: dict[str, Decimal] = field(default_factory=dict)
    torn: int = 0
    """How often it was put to rest while somebody or something worked."""
    notices: int = 0
    at_work: int = 0
    """How many of them came while the person was at work."""
    woken: int = 0
    """How often the person had to wake it."""

    def become(self, status: VMStatus, now: datetime) -> None:
        if self.vm.status is not status:
            asleep = now if status is VMStatus.HIBERNATED else None
            told = {"status": status, "updated_at": now, "hibernated_at": asleep}
            self.vm = self.vm.model_copy(update=told)

    def rest(self, now: datetime) -> None:
        """Put to rest by whoever keeps house."""
        if self.works(now):
            self.torn += 1
        self.become(VMStatus.HIBERNATED, now)

    def works(self, now: datetime) -> bool:
        person = self.person
        return self.vm.status is VMStatus.ACTIVE and (
            person.does(person.at_work, now) or person.does(person.trainings, now)
        )

    def lives(self, now: datetime) -> None:
        """What the person does with it in these ten minutes."""
        person = self.person
        if person.does(person.at_work, now) and self.vm.status is not VMStatus.ACTIVE:
            self.become(VMStatus.ACTIVE, now)
            self.woken += 1
            self.moved = now
        for at, way in person.leaves:
            if now - TICK < at <= now and self.vm.status is VMStatus.ACTIVE and way != "up":
                off = VMStatus.SHUTOFF if way == "off" else VMStatus.HIBERNATED
                self.become(off, now)
                self.moved = now

    def costs(self, now: datetime) -> None:
        """What these ten minutes cost, by what they were good for."""
        price = hourly_cost(self.vm) or Decimal(0)
        what = "at work" if self.works(now) else "for nothing"
        if self.vm.status is VMStatus.HIBERNATED:
            what = "at rest"
        amount = price * Decimal(int(TICK.total_seconds())) / 3600
        self.spent[what] = self.spent.get(what, Decimal(0)) + amount


def leave_it(_: Machine, __: datetime) -> None:
    """Nobody keeps house."""


def by_timetable(machine: Machine, now: datetime) -> None:
    """A timetable alone; what a person moves after a boundary is left alone until the next."""
    is_on, was_on = OFFICE.is_on(now), OFFICE.is_on(now - TICK)
    if is_on and not was_on:
        machine.become(VMStatus.ACTIVE, now)
    elif was_on and not is_on and machine.vm.status is VMStatus.ACTIVE:
        machine.rest(now)


def by_evidence(machine: Machine, now: datetime) -> None:
    """Leases, and idleness by evidence: `end_expired` and `reap_forgotten` at each look."""
    person, id_ = machine.person, machine.vm.id
    _lease(machine, now)
    there = {id_: machine.vm}
    evidence = _probed(machine, now)
    held = list(machine.leases.values())
    for reading in warnings_of(held, there, now):
        if reading.is_over and any(one.warned is None for one in held if not one.released):
            _notice(machine, now)
    for one in now_warned(held, there, now):
        # Whoever was there has extended it meanwhile.
        machine.leases[one.key] = warned(machine.leases[one.key], one.until, now)
    for end in with_leases([], machine.leases.values(), now, WARNING):
        is_up = machine.vm.status is VMStatus.ACTIVE
        if end.at <= now and not (is_up and put_off(evidence, end.at, AT_MOST, now)):
            machine.leases.clear()
            if is_up:
                machine.rest(now)
    machine.seen = sighted(machine.seen, machine.vm, evidence.is_idle, now)
    seen = {id_: machine.seen}
    kept = holders(machine.leases.values(), now)
    verdicts = judge_lifetimes([machine.vm], RULES, seen, kept, (), now, GRACE)
    machine.seen = with_notices(seen, verdicts, RULES, now)[id_]
    for verdict in verdicts:
        if verdict.stage is Stage.NOTICE:
            _notice(machine, now)
        elif verdict.stage is Stage.DUE:
            machine.rest(now)
    if not person.does(person.at_work, now) and machine.vm.status is VMStatus.HIBERNATED:
        machine.leases.clear()


def _lease(machine: Machine, now: datetime) -> None:
    """What the person and the training lease by themselves."""
    person = machine.person
    for at, span in person.leases:
        if now - TICK < at <= now:
            lease = Lease(machine.vm.id, machine.vm.name, "person", now + span)
            machine.leases[lease.key] = granted(machine.leases.get(lease.key), lease)
    if machine.vm.status is VMStatus.ACTIVE and person.keeps_awake:
        lease = Lease(machine.vm.id, machine.vm.name, "training", now + 2 * TICK)
        if person.does(person.trainings, now):
            standing = machine.leases.get(lease.key, lease)
            machine.leases[lease.key] = extended(standing, lease.until)
        elif not person.does(person.hangs, now):
            machine.leases.pop(lease.key, None)  # it ended well


def _probed(machine: Machine, now: datetime) -> Evidence:
    """The GPU for half an hour, and the keyboard for as long."""
    person, window = machine.person, timedelta(minutes=30)
    gpu = person.does(person.trainings, now, window)
    keyboard = person.does(person.at_work, now, window)
    return combined([Evidence(not gpu, "the GPU"), Evidence(not keyboard, "the keyboard")], "all")


def _notice(machine: Machine, now: datetime) -> None:
    """People are told. Whoever is at work says no; all others do not see it."""
    machine.notices += 1
    if machine.person.does(machine.person.at_work, now):
        machine.at_work += 1
        lease = Lease(machine.vm.id, machine.vm.name, "person", now + 4 * HOUR)
        standing = machine.leases.get(lease.key, lease)
        machine.leases[lease.key] = extended(standing, lease.until)


WAYS: dict[str, Callable[[Machine, datetime], None]] = {
    "without anything": leave_it,
    "timetables only": by_timetable,
    "leases and idleness": by_evidence,
}


def play(days: int = DAYS, people: int = PEOPLE, seed: int = SEED) -> dict[str, list[Machine]]:
    """The machines at the end of the month, by the way in which house was kept."""
    chance = Random(seed)
    team = [a_person(chance, days) for _ in range(people)]
    return {way: list(_played(keep, team, days)) for way, keep in WAYS.items()}


def _played(
    keep: Callable[[Machine, datetime], None], team: Sequence[Person], days: int
) -> Iterator[Machine]:
    for number, person in enumerate(team):
        told: dict[str, Any] = {"hourly_price": "2.50", "currency": "USD", "updated_at": START}
        vm = UserVM(id=f"BRK-{number}", name=f"train-{number}", status=VMStatus.ACTIVE, **told)
        machine = Machine(person, vm)
        for tick in range(int(timedelta(days=days) / TICK)):
            now = START + tick * TICK
            machine.lives(now)
            keep(machine, now)
            machine.costs(now)
        yield machine


def spent(machines: Sequence[Machine]) -> dict[str, Decimal]:
    """What all machines cost, by what it was good for."""
    kinds = ("at work", "for nothing", "at rest")
    return {k: sum((m.spent.get(k, Decimal(0)) for m in machines), Decimal(0)) for k in kinds}


def table(month: dict[str, list[Machine]]) -> str:
    """The month as a markdown table."""
    rows = [
        "| | bill | of it for nothing | put to rest while working | notices | of them at work "
        "| woken by hand |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for way, machines in month.items():
        sums = spent(machines)
        counts = [sum(getattr(m, c) for m in machines) for c in ("torn", "notices", "at_work")]
        woken = sum(m.woken for m in machines)
        cells = [
            money(sum(sums.values(), Decimal(0)), "USD"),
            money(sums["for nothing"], "USD"),
            *map(str, (*counts, woken)),
        ]
        rows.append(f"| {way} | {' | '.join(cells)} |")
    return "\n".join(rows)


def chart(month: dict[str, list[Machine]]) -> str:
    """The bills as an SVG, divided by what they were good for."""
    return drawn(
        list(month),
        {
            kind: [float(spent(machines)[kind]) for machines in month.values()]
            for kind in ("at work", "for nothing", "at rest")
        },
    )


def drawn(labels: Sequence[str], parts: Mapping[str, Sequence[float]]) -> str:
    """Bills as an SVG, divided by what they were good for."""
    colours = ("#2f855a", "#c53030", "#3182ce")
    look = Style(background="#ffffff", plot_background="#ffffff", colors=colours)
    bars = pygal.HorizontalStackedBar(
        title="A month of a team of 12, USD",
        **{"width": 900, "height": 320, "explicit_size": True, "js": [], "style": look},
    )
    bars.x_labels = list(labels)
    for kind, amounts in parts.items():
        bars.add(kind, list(amounts))
    text: str = bars.render(is_unicode=True)
    # An image runs no scripts, and the ids of a drawing are drawn by chance.
    text = re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
    return re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "month", text)


if __name__ == "__main__":
    played = play()
    page = PAGE.read_text(encoding="utf-8")
    begin, end = "<!-- month -->\n", "<!-- end of month -->"
    head, _, rest = page.partition(begin)
    PAGE.write_text(
        f"{head}{begin}{table(played)}\n{end}{rest.partition(end)[2]}", encoding="utf-8"
    )
    CHART.write_text(chart(played), encoding="utf-8")
    print(table(played))
