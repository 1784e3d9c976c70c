"""Run the flows through a month of a team of 12 in the sandbox, and write it into docs/leases.md.

The real flows act on a local Barrack whose clock is put forward by 48 minutes at a time, with a
real Prefect server, leases, notices and probes; the bill is what the sandbox has charged. The
people are the same in each way of keeping house, and so is what they do; chance is drawn once, by
a seed. `python -m docs.generate.month` takes an hour.

All flows are called within one run, and leave no events and no artifacts.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import parse_qs

import pygal
from pygal.style import Style

from barrack_tasks.plans import Timetable

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE, CHART = ROOT / "docs" / "leases.md", ROOT / "docs" / "leases-month.svg"
START = datetime(2026, 11, 2, tzinfo=UTC)  # a Monday
HOUR = timedelta(hours=1)
PEOPLE, SEED = 12, 2026
OFFICE = Timetable.parse("Mon-Fri 08:00-20:00 UTC")
TICK = timedelta(minutes=48)
"""Thirty a day. What is idle is not known to have been so if nobody looked for an hour."""
DAYS = 30
WINDOW = timedelta(minutes=30)
BALANCE = Decimal(100_000)
PRICE = Decimal("1.19")
"""Of one L40 an hour, as the sandbox has it."""
WAYS = ("without anything", "timetables only", "leases and idleness")
HEAD = (
    "| | bill | of it for nothing | put to rest while working | notices | of them at work "
    "| woken by hand |"
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
class Team:
    """The people, when it is for them, and what they hear."""

    people: dict[str, Person]
    now: datetime = START
    heard: list[str] = field(default_factory=list)

    def works(self, name: str, back: timedelta = timedelta(0)) -> bool:
        """Whether somebody or something works on a machine now, or did a while ago."""
        person = self.people[name]
        spans = (*person.at_work, *person.trainings)
        return person.does(spans, self.now, back)

    def is_there(self, name: str) -> bool:
        """Whether its person is at work."""
        person = self.people[name]
        return person.does(person.at_work, self.now)


@dataclass
class Outcome:
    """What a month has cost, and how often somebody was disturbed."""

    bill: Decimal = Decimal(0)
    wasted: Decimal = Decimal(0)
    torn: int = 0
    notices: int = 0
    at_work: int = 0
    woken: int = 0


@contextmanager
def world(team: Team) -> Iterator[str]:
    """An address that answers as Prometheus does about the team's machines, and takes notices."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            answer: dict[str, Any] = {}
            if self.path.startswith("/hook"):
                team.heard.append(json.loads(body)["text"])
            else:
                query = parse_qs(body)["query"][0]
                name = query.partition('name="')[2].partition('"')[0]
                value = 90 if team.works(name, WINDOW) else 0
                told = 20 if query.startswith("count_over_time") else value
                series = {"metric": {"name": name}, "value": [0, str(told)]}
                answer = {"status": "success", "data": {"result": [series]}}
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()


@contextmanager
def by_the_clouds_clock(sandbox: Any) -> Iterator[None]:
    """Let timetables be judged by the sandbox's clock, which is put forward."""
    import flows.follow_schedule  # noqa: F401 - loaded, so that its clock is the cloud's too
    from barrack_tasks.runtime import loop

    given = loop.now
    changed = [
        module
        for name, module in list(sys.modules.items())
        if name.startswith(("barrack_tasks.", "flows.")) and getattr(module, "now", None) is given
    ]
    for module in changed:
        vars(module)["now"] = sandbox.now
    try:
        yield
    finally:
        for module in changed:
            vars(module)["now"] = given


@contextmanager
def without_records_of_runs() -> Iterator[None]:
    """Leave no events and no artifacts: they decide nothing, and nobody looks at them here."""
    import flows.end_expired
    import flows.follow_schedule
    import flows.reap_forgotten  # noqa: F401 - loaded, so that theirs are left out too
    from barrack_tasks.controllers import reports
    from barrack_tasks.server import events

    changed: list[tuple[Any, str, Any]] = []
    for given, name in ((events.emit, "emit"), (reports.keep, "keep")):
        for module in list(sys.modules.values()):
            if vars(module).get(name) is given:
                changed.append((module, name, given))
                setattr(module, name, lambda *_, **__: None)
    try:
        yield
    finally:
        for module, name, given in changed:
            setattr(module, name, given)


def play(way: str, days: int = DAYS, people: int = PEOPLE, seed: int = SEED) -> Outcome:
    """Run the flows through a month.

    Args:
        way: how house is kept; one of `WAYS`.
        days: how long.
        people: how many, each with a machine.
        seed: by which chance is drawn: the same people and the same days for the same seed.
    """
    from prefect import flow
    from prefect.blocks.notifications import CustomWebhookNotificationBlock

    from barrack_tasks import BarrackCredentials
    from barrack_tasks.sandbox import Sandbox

    chance = Random(seed)
    team = Team({f"train-{n}": a_person(chance, max(days, DAYS)) for n in range(people)})
    kinds = ("hibernate", "restore", "start", "stop", "snapshot", "delete_snapshot")
    settings = {"durations": dict.fromkeys(kinds, 0), "jitter": 0}
    cloud: dict[str, Any] = {"speed": 0, "start": START, "settings": settings, "seed": seed}
    with Sandbox(fleet=0, balance=str(BALANCE), **cloud) as sandbox, world(team) as address:
        hook = CustomWebhookNotificationBlock(
            name="team", url=f"{address}/hook", json_data={"text": "{{subject}}\n{{body}}"}
        )
        hook.save(f"team-{seed}", overwrite=True)
        account = BarrackCredentials(api_key=sandbox.api_key, base_url=sandbox.url)
        month = Month(way, team, sandbox, account, address, f"custom-webhook/team-{seed}")
        clock = by_the_clouds_clock(sandbox) if way == WAYS[1] else nullcontext()
        with without_records_of_runs(), clock:
            # One run around them all; each would otherwise cost more than what it does.
            return flow(name="month", validate_parameters=False)(month.run)(days)


class Month:
    """One way of keeping house, for as long as it is run."""

    def __init__(
        self, way: str, team: Team, sandbox: Any, account: Any, address: str, block: str
    ) -> None:
        self.way, self.team, self.sandbox, self.account = way, team, sandbox, account
        self.address, self.block = address, block
        self.client = account.get_client()
        self.outcome = Outcome()
        self.ids = {n: sandbox.seed_instance(n, gpu_model="L40") for n in team.people}

    def run(self, days: int) -> Outcome:
        """Live through the days, a tick at a time."""
        found = self.outcome
        for tick in range(int(timedelta(days=days) / TICK)):
            self.team.now = START + tick * TICK
            self._live()
            before = self._states()
            self._keep_house()
            after = self._states()
            found.torn += sum(
                before[name] == "ACTIVE" != after[name] and self.team.works(name)
                for name in self.ids
            )
            self._answer()
            self._count(after)
            if tick % 30 == 29:
                found.bill = BALANCE - Decimal(str(self.sandbox.state()["balance"]))
                print(self.way, "day", tick // 30 + 1, found, file=sys.stderr, flush=True)
            self.sandbox.advance(TICK.total_seconds())
        found.bill = BALANCE - Decimal(str(self.sandbox.state()["balance"]))
        return found

    def _states(self) -> dict[str, str]:
        return {one.name: str(one.status) for one in self.client.instances.list()}

    def _live(self) -> None:
        """What people and trainings do in this tick."""
        states, now = self._states(), self.team.now
        for name, person in self.team.people.items():
            id_, state = self.ids[name], states[name]
            if self.team.is_there(name) and state != "ACTIVE":
                self.outcome.woken += 1
                act = self.client.instances.restore
                (act if state == "HIBERNATED" else self.client.instances.start)(id_)
            for at, how in person.leaves:
                if now - TICK < at <= now and state == "ACTIVE" and how != "up":
                    rest = self.client.instances.hibernate
                    (rest if how == "rest" else self.client.instances.stop)(id_)
            if self.way == WAYS[2]:
                self._lease(name, person)

    def _lease(self, name: str, person: Person) -> None:
        from barrack_tasks.controllers.leases import lease_instance, release_lease

        now = self.team.now
        for at, span in person.leases:
            if now - TICK < at <= now:
                lease_instance.fn(self.account, name, span, "person")
        if person.keeps_awake and person.does(person.trainings, now):
            # As keep_awake does; it lasts until the next look.
            lease_instance.fn(self.account, name, TICK * 1.4, "training")
        elif person.keeps_awake:
            is_over = person.does(person.trainings, now - TICK)
            if is_over and not person.does(person.hangs, now):
                release_lease.fn(self.account, name, "training")

    def _keep_house(self) -> None:
        """What the deployments run in this tick, each as a part of the one run."""
        from barrack_tasks.plans.forgotten.idleness import read_idleness
        from barrack_tasks.plans.forgotten.lifetimes import read_lifetimes
        from barrack_tasks.plans.power.schedule import read_rules
        from flows.end_expired import end_expired
        from flows.follow_schedule import follow_schedule
        from flows.reap_forgotten import reap_forgotten

        if self.way == WAYS[1]:
            if OFFICE.is_on(self.team.now) != OFFICE.is_on(self.team.now - TICK):
                rule = {"select": ["*"], "timetable": "Mon-Fri 08:00-20:00 UTC"}
                follow_schedule.fn(rules=read_rules([rule]), credentials=self.account)
        elif self.way == WAYS[2]:
            probe = {
                "probe": "prometheus",
                "url": self.address,
                "labels": 'name="{name}"',
                "window": "30m",
            }
            how: dict[str, Any] = {
                "notify": [self.block],
                "credentials": self.account,
                "idleness": read_idleness({"probes": [probe], "at_most": "14h"}),
            }
            end_expired.fn(**how)
            active = {"states": ["ACTIVE"]}
            idle = {"select": active, "longer_than": "59m", "then": "hibernate", "idle": True}
            off = {"select": {"states": ["SHUTOFF"]}, "longer_than": "15m", "then": "hibernate"}
            rules = read_lifetimes([idle, off])
            reap_forgotten.fn(rules=rules, grace=timedelta(minutes=30), dry_run=False, **how)

    def _answer(self) -> None:
        """Whoever is at work and is told of their machine says no; all others do not see it."""
        from barrack_tasks.controllers.leases import extend_lease

        text, self.team.heard[:] = "\n".join(self.team.heard), []
        for name in self.ids:
            times = text.count(f"barrack lease {name} --extend")
            self.outcome.notices += times
            if times and self.team.is_there(name):
                self.outcome.at_work += times
                extend_lease.fn(self.account, name, "4h", "person")

    def _count(self, states: dict[str, str]) -> None:
        for name, state in states.items():
            price = PRICE if state in ("ACTIVE", "SHUTOFF") else Decimal(0)
            hours = Decimal(int(TICK.total_seconds())) / 3600
            self.outcome.wasted += 0 if self.team.works(name) else price * hours


def table(month: dict[str, Outcome]) -> str:
    """The month as a markdown table."""
    rows = [HEAD, "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"]
    rows += [
        f"| {way} | {one.bill:.2f} USD | {one.wasted:.2f} USD | {one.torn} | {one.notices} "
        f"| {one.at_work} | {one.woken} |"
        for way, one in month.items()
    ]
    return "\n".join(rows)


def chart(month: dict[str, Outcome]) -> str:
    """The bills as an SVG, divided by what they were good for."""
    parts = {
        "at work and at rest": [float(one.bill - one.wasted) for one in month.values()],
        "for nothing": [float(one.wasted) for one in month.values()],
    }
    return drawn(list(month), parts)


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


def write(month: dict[str, Outcome]) -> None:
    """Write the table and the chart into the page."""
    page = PAGE.read_text(encoding="utf-8")
    begin, end = "<!-- month -->\n", "<!-- end of month -->"
    head, _, rest = page.partition(begin)
    text = f"{head}{begin}{table(month)}\n{end}{rest.partition(end)[2]}"
    PAGE.write_text(text, encoding="utf-8")
    CHART.write_text(chart(month), encoding="utf-8")


def main() -> None:
    """Run all ways, or read those that were run before from the file that is named."""
    days = int(os.environ.get("MONTH_DAYS", DAYS))
    kept = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    done: dict[str, Outcome] = {}
    if kept is not None:
        with suppress(FileNotFoundError):
            for way, told in json.loads(kept.read_text()).items():
                money = {k: Decimal(told[k]) for k in ("bill", "wasted")}
                done[way] = Outcome(**{**told, **money})
    for way in WAYS:
        if way not in done:
            done[way] = play(way, days)
        if kept is not None:
            kept.write_text(json.dumps({w: vars(o) for w, o in done.items()}, default=str))
    write({way: done[way] for way in WAYS})
    print(table(done))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as home:
        os.environ.setdefault("PREFECT_HOME", home)
        os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
        os.environ.setdefault("PREFECT_LOGGING_LEVEL", "ERROR")
        os.environ.setdefault("PREFECT_LOGGING_TO_API_ENABLED", "false")
        os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "180")
        main()
