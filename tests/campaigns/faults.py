"""The matrix of faults: every request of every flow, and everything that may go wrong with it.

The requests are those of a clean run, so that a new request is covered by itself. After each case
the promises are judged on the cloud's own ledger, and the flow has either finished its work or said
that it did not; then nothing goes wrong any more, and the flow that is started again finishes.
"""

from __future__ import annotations

import random
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any, NamedTuple

from barrack_tasks import BarrackCredentials
from barrack_tasks.api.models import SnapshotStatus
from barrack_tasks.api.operations import OPERATIONS
from barrack_tasks.api.transport.caller import RetryPolicy
from barrack_tasks.api.transport.exchange import Exchange
from barrack_tasks.controllers.leases import read_leases
from barrack_tasks.plans.names import snapshot_description
from barrack_tasks.sandbox import Sandbox
from barrack_tasks.sandbox.cloud.world import CloudState
from tests.campaigns import leaps
from tests.flows.conftest import account_of, effects, spoken
from tests.flows.test_crashes import CASES as CRASHES
from tests.flows.test_crashes import OLD_IMAGE, Case, old, only_once

SPEED = 60
POLLS = 4
"""Lists are read again and again; the first so many times of each are tried."""
TIMEOUT = 40
"""Seconds that a flow has for one instance, where it takes a timeout; most of them pass at once."""
PATIENCE = 600
"""And when it is started again: a busy machine is no fault."""
PATIENT = RetryPolicy(
    attempts=3, first_wait=0.02, longest_wait=0.2, timeout=1.5, deadline=6, visibility_lag=1
)
BYSTANDERS = ("keep-1", "keep-2", "keep-3")
"""Instances that the account protects."""
BEHIND = timedelta(minutes=7)
MANY = 100
"""So many bystanders fill the first page of a list, and what matters is on the next one."""


class Watched(Sandbox):
    """A sandbox that leaves bystanders out of what it tells the judges."""

    def state(self) -> dict[str, Any]:
        found = super().state()
        for kind in ("instances", "snapshots"):
            found[kind] = [thing for thing in found[kind] if not _is_bystander(thing)]
        return found

    def ledger(self) -> list[dict[str, Any]]:
        return [e for e in super().ledger() if not _is_bystander(e)]

    def whole_ledger(self) -> list[dict[str, Any]]:
        """The ledger with all bystanders."""
        return super().ledger()


def _is_bystander(thing: dict[str, Any]) -> bool:
    return str(thing["name"]).startswith("keep-")


class Point(NamedTuple):
    """The `nth` request of an operation."""

    operation: str
    nth: int

    def __str__(self) -> str:
        return f"{self.operation} {self.nth}"


Act = Callable[[Watched], None]


@dataclass(frozen=True)
class Trouble:
    """One thing that goes wrong.

    Attributes:
        name: of it in the table.
        concerns: whether it can strike an operation.
        wire: what `Sandbox.fault` takes.
        act: what happens just before the request is sent.
        ahead: how far the cloud's clock is before the worker's and the Prefect server's.
        worker_ahead: how far the worker's clock is before the cloud's and the Prefect server's.
        crowd: the list that has two pages, if any.
        changes_the_wish: whether the work may not be possible, or not be wanted, after it.
        lasts: whether it goes on striking the same operation until the run is over.
    """

    name: str
    concerns: Callable[[str], bool] = lambda _: True
    wire: dict[str, Any] = field(default_factory=dict)
    act: Act | None = None
    ahead: timedelta = timedelta(0)
    worker_ahead: timedelta = timedelta(0)
    crowd: str = ""
    changes_the_wish: bool = False
    lasts: bool = False

    @property
    def is_of_clocks(self) -> bool:
        """Whether it strikes every request at once."""
        return bool(self.ahead or self.worker_ahead)


def _changes(operation: str) -> bool:
    return OPERATIONS[operation].changes


def _has_work(operation: str) -> bool:
    return _changes(operation) and not operation.startswith("delete_")


def _makes(operation: str) -> bool:
    return operation in ("create_snapshot", "create_instance", "restore_snapshot", "create_image")


def _alpha(sandbox: Sandbox) -> str | None:
    found = [i["id"] for i in sandbox.state()["instances"] if i["name"] == "alpha"]
    return found[0] if found else None


def _becomes(status: str) -> Act:
    def act(sandbox: Watched) -> None:
        if id_ := _alpha(sandbox):
            sandbox.set_instance_status(id_, status)

    return act


def _shifts(sandbox: Watched) -> None:
    """One of the first page goes, and another comes behind all."""
    everything = Sandbox.state(sandbox)["instances"]
    crowd = [i for i in everything if i["name"].startswith("keep-crowd")]
    if crowd:
        sandbox.set_instance_status(crowd[0]["id"], "DELETED")
    sandbox.seed_instance(f"keep-new-{len(everything)}-{random.randrange(10**6)}")


def _snapshots_shift(sandbox: Watched) -> None:
    """The same of the list of snapshots."""
    snapshots = _world(sandbox).snapshots
    crowd = [s for s in snapshots.all() if s.name.startswith("keep-crowd")]
    if crowd:
        snapshots.remove(crowd[0], "a person")
    _add_snapshot(sandbox, f"keep-new-{random.randrange(10**9)}")


def _add_snapshot(sandbox: Watched, name: str) -> None:
    """A snapshot of a bystander that is there at once, and that a person took."""
    world = _world(sandbox)
    [machine] = [m for m in world.machines.all() if m.name == BYSTANDERS[0]]
    copy = world.snapshots.create(machine, name, None, is_image=False)
    world.snapshots._finish(copy, SnapshotStatus.SUCCESS)


def _world(sandbox: Watched) -> CloudState:
    app: Any = sandbox._server.config.app  # type: ignore[union-attr]
    world: CloudState = app.world
    return world


_LATE = {"status": 429, "kind": "status"}
_WIRE: dict[str, dict[str, Any]] = {
    "refused": {"kind": "refuse"},
    "reset before the effect": {"kind": "reset_before"},
    "reset after the effect": {"kind": "reset_after"},
    "timeout before the effect": {"kind": "timeout_before", "seconds": 2},
    "timeout after the effect": {"kind": "timeout_after", "seconds": 2},
    "429, Retry-After in seconds": {**_LATE, "retry_after": 1},
    "429, Retry-After as a date": {**_LATE, "retry_after": 60, "retry_after_date": True},
    "500 before the effect": {"kind": "status", "status": 500},
    "500 after the effect": {"kind": "error_after"},
    "502 with HTML": {"kind": "html"},
    "truncated JSON": {"kind": "truncated"},
    "not JSON": {"kind": "malformed"},
    "wrong content type": {"kind": "mislabelled"},
    "HTML with status 200": {"kind": "html", "status": 200},
}

TROUBLES: tuple[Trouble, ...] = (
    *(Trouble(name, wire=wire) for name, wire in _WIRE.items()),
    *(Trouble(f"{name}, for ever", wire=wire, lasts=True) for name, wire in _WIRE.items()),
    Trouble("lists lag by 20 s", _makes, act=lambda s: _lag(s, 20)),
    Trouble("lists lag by 3 minutes", _makes, act=lambda s: _lag(s, 180)),
    Trouble(
        "a list changes between pages", lambda o: o == "list_instances", act=_shifts,
        crowd="list_instances",
    ),
    Trouble(
        "a list of snapshots changes between pages", lambda o: o == "list_snapshots",
        act=_snapshots_shift, crowd="list_snapshots",
    ),
    Trouble("the work is stuck", _has_work, wire={"kind": "stuck"}, changes_the_wish=True),
    Trouble("the work fails", _has_work, wire={"kind": "fail"}, changes_the_wish=True),
    Trouble(
        "what is made vanishes", _makes, wire={"kind": "vanish", "seconds": 30},
        changes_the_wish=True,
    ),
    Trouble("a person stops it", act=_becomes("SHUTOFF"), changes_the_wish=True),
    Trouble("a person hibernates it", act=_becomes("HIBERNATED"), changes_the_wish=True),
    Trouble("a person brings it back", act=_becomes("ACTIVE"), changes_the_wish=True),
    Trouble("a person deletes it", act=_becomes("DELETED"), changes_the_wish=True),
    Trouble("the cloud's clock is ahead", ahead=BEHIND),
    Trouble("the cloud's clock is behind", ahead=-BEHIND),
    Trouble("the worker's clock is ahead", worker_ahead=BEHIND),
    Trouble("the worker's clock is behind", worker_ahead=-BEHIND),
)  # fmt: skip
"""How locks are kept where the clocks differ is tested besides in tests/runtime/leases."""


def _lag(sandbox: Sandbox, seconds: float) -> None:
    sandbox.settings(list_lag=seconds)


def looks_only(sandbox: Sandbox, _: BarrackCredentials) -> None:
    """Nothing was changed through the API."""
    entries = sandbox.ledger()
    assert not [e for e in entries if e["operation"] not in ("person", "clock") and _is_ours(e)]


def kept(sandbox: Sandbox, account: BarrackCredentials) -> None:
    """There is one lease, and nothing was changed through the API."""
    looks_only(sandbox, account)
    assert [lease.owner for lease in read_leases(account.account)] == ["ann"]


def _is_ours(entry: dict[str, Any]) -> bool:
    return not str(entry["name"]).startswith("alpha-2026")  # what the case has prepared


def _timed(case: Case, **more: Any) -> Case:
    """The case with a timeout that is over soon."""

    def arguments() -> dict[str, Any]:
        return {**case.arguments(), "timeout": TIMEOUT, **more}

    return Case(case.flow, arguments, case.judge, case.machines, case.old_snapshots, case.prepare)


_UNTIMED = ("watch_gpu_stock", "end_expired")
CASES: dict[str, Case] = {
    **{
        name: case if name in _UNTIMED else _timed(case)
        for name, case in CRASHES.items()
        if name not in ("watch_balance", "enforce_budget")
    },
    **{
        name: _timed(CRASHES[name], patience=TIMEOUT)
        for name in ("watch_balance", "enforce_budget")
    },
    "report_costs": Case("report_costs", dict, looks_only),
    "watch_account": Case("watch_account", dict, looks_only),
    "doctor": Case("doctor", dict, looks_only),
    "keep_machine": Case(
        "keep_machine", lambda: {"instance": "alpha", "for_": "8h", "owner": "ann"}, kept
    ),
}


def published(sandbox: Sandbox, _: BarrackCredentials) -> None:
    """A run that failed has said so, and what it has left; the next run makes all of it anew."""
    made = [e["name"] for e in effects(sandbox, "create_image")]
    gone = [e["name"] for e in effects(sandbox, "delete_image")]
    assert made[1:], "besides the old one"
    assert OLD_IMAGE in gone
    assert made[-1] not in gone


SNAPSHOT_FIRST = {
    "snapshot_before_stop": "delete_instance",
    "follow_schedule": "hibernate_instance",
    "reap_forgotten": "delete_instance",
}
"""The cases that take a snapshot before something else, and what that is."""
AGAIN = {
    "publish_image": published,
    # Each run has a snapshot of its own; that of a run that failed stays, and that run named it.
    **{name: only_once(operation) for name, operation in SNAPSHOT_FIRST.items()},
}
"""What is true after runs of which all but the last have failed, where that is something else."""


def prepared(case: Case, trouble: Trouble | None, seed: int) -> tuple[Watched, BarrackCredentials]:
    """A cloud as a case finds it, with bystanders, and a clock that is right or wrong."""
    start = datetime.now(UTC) - timedelta(days=2)
    key = f"key-{random.Random(seed).randrange(16**12):012x}-{threading.get_ident()}"
    sandbox = Watched(
        api_key=f"{key}-{random.SystemRandom().randrange(10**9)}",
        fleet=0,
        speed=0,
        # A crowd must not use it up before the run.
        balance="50000" if trouble and trouble.crowd else "5000",
        start=start,
        seed=seed,
        dialect=spoken(),
    ).start()
    worker_ahead = trouble.worker_ahead if trouble else timedelta(0)
    leaps.CURRENT.set(leaps.Leaps.of(sandbox, SPEED, worker_ahead))
    account = account_of(sandbox, protect=["keep-*"])
    crowd = [f"keep-crowd-{n}" for n in range(MANY)]
    if trouble and trouble.crowd == "list_instances":
        for name in crowd:
            sandbox.seed_instance(name, gpu_model="L40")
    for name in BYSTANDERS:
        sandbox.seed_instance(name, gpu_model="L40")
    if trouble and trouble.crowd == "list_snapshots":
        for name in crowd:
            _add_snapshot(sandbox, name)
    for name, state in case.machines.items():
        id_ = sandbox.seed_instance(name, gpu_model="L40", status=state)
        for number in range(1, case.old_snapshots + 1):
            account.get_client().snapshots.create(id_, old(number), snapshot_description(id_))
            sandbox.advance(600)
    case.prepare(sandbox, account)
    ahead = trouble.ahead if trouble else timedelta(0)
    left = datetime.now(UTC) + ahead - sandbox.now()
    sandbox.advance(max(0.0, left.total_seconds()))
    sandbox.set_speed(SPEED)
    account.get_client().balance.get()  # the client has seen the cloud's new time
    return sandbox, account


@contextmanager
def striking() -> Iterator[Callable[[str, Point, Callable[[], None]], None]]:
    """Lets something happen just before a request of one cloud; gives how to say what and when."""
    original = Exchange._send
    waiting: dict[str, list[Any]] = {}
    lock = threading.Lock()

    def sending(self: Any, call: Any, timeout: float) -> Any:
        due = None
        with lock:
            kept = waiting.get(self._base_url)
            if kept is not None and kept[0].operation == call.operation.name:
                kept[2] += 1
                due = kept[1] if kept[2] == kept[0].nth else None
        if due is not None:
            due()
        return original(self, call, timeout)

    def arm(url: str, point: Point, act: Callable[[], None]) -> None:
        with lock:
            waiting[url.rstrip("/")] = [point, act, 0]

    Exchange._send = sending  # type: ignore[method-assign]
    try:
        yield arm
    finally:
        Exchange._send = original  # type: ignore[method-assign]


Arm = Callable[[str, Point, Callable[[], None]], None]


@dataclass
class Run:
    """What a run of a flow said: its report, or why there is none."""

    report: Any = None
    error: BaseException | None = None

    @property
    def text(self) -> str:
        told = str(self.error) if self.error is not None else ""
        return f"{told} {self.report!r}"

    @property
    def words(self) -> set[str]:
        """Names and ids, among all else."""
        return set(re.findall(r"[\w.-]+", self.text))

    @property
    def said_unfinished(self) -> bool:
        """Whether it said that something was not done."""
        if self.error is not None:
            return True
        rows = getattr(self.report, "rows", ())
        open_ = [r for r in rows if str(r.outcome) not in ("done", "already", "nothing")]
        notes = [*getattr(self.report, "notes", ()), *getattr(self.report, "told", ())]
        return bool(open_ or notes)


def run_flow(case: Case, arguments: dict[str, Any], account: BarrackCredentials) -> Run:
    """Run the flow once; whatever it raises is what it said."""
    flow = getattr(import_module(f"flows.{case.flow}"), case.flow)
    try:
        with leaps.run_of_its_own():
            return Run(report=flow(**arguments, credentials=account))
    except Exception as error:  # noqa: BLE001 - what it is, is judged
        return Run(report=getattr(error, "report", None), error=error)


class Broken(AssertionError):
    """A promise was not kept."""


def must(holds: object, sentence: str) -> None:
    if not holds:
        raise Broken(sentence)


def is_of_ours(error: BaseException | None) -> bool:
    """Whether a run ended with an error of this library, or with what is wrong with a parameter.

    Such a `ValueError` begins with the name of the parameter.
    """
    if type(error) is ValueError:
        return bool(re.match(r"[a-z_]+: ", str(error)))
    return error is None or type(error).__module__.startswith("barrack_")


def judge_promises(case: Case, sandbox: Watched, runs: Sequence[Run]) -> None:
    """What holds under every fault, by the cloud's own ledger."""
    by_api = [e for e in sandbox.whole_ledger() if e["operation"] not in ("person", "clock")]
    touched = [e for e in by_api if _is_bystander(e) and e["detail"] != "seeded"]
    touched = [e for e in touched if e["operation"] in OPERATIONS]
    must(not touched, f"protected instances were touched: {touched[:2]}")
    _judge_snapshots(case, sandbox)
    doubled = _doubled(sandbox.ledger())
    must(not doubled, f"made twice under one name: {doubled}")
    for run in runs:
        must(sandbox.api_key not in run.text, "the key is in what the run said")
        must(is_of_ours(run.error), f"a run ended with {type(run.error).__name__}: {run.error}")
        must(run.error is None or str(run.error).strip(), "a run ended without a word")


def _made(sandbox: Watched) -> list[dict[str, Any]]:
    """What was made by the run, and is still there."""
    gone = {e["id"] for e in sandbox.ledger() if e["operation"].startswith("delete_")}
    made = [e for e in sandbox.ledger() if _makes(e["operation"]) and _is_ours(e)]
    return [e for e in made if e["id"] not in gone and e["name"] != OLD_IMAGE]


def _doubled(ledger: Iterable[dict[str, Any]]) -> list[str]:
    """Names under which something was made while the one before was still there."""
    there: dict[str, tuple[str, str]] = {}
    found = []
    for e in ledger:
        if _makes(e["operation"]) and e["id"] not in there:
            found += [e["name"]] if (e["kind"], e["name"]) in there.values() else []
            there[e["id"]] = (e["kind"], e["name"])
        if e["operation"].startswith("delete_"):
            there.pop(e["id"], None)
    return found


def _judge_snapshots(case: Case, sandbox: Watched) -> None:
    promises_one = case.flow in SNAPSHOT_FIRST
    of: dict[str, str] = {}
    ready: dict[str, list[tuple[str, str]]] = {}
    for e in sandbox.ledger():
        if e["operation"] == "create_snapshot":
            of[e["id"]] = e["detail"].rpartition(" of ")[2]
        if e["kind"] == "snapshot" and "-> SUCCESS" in e["detail"]:
            ready.setdefault(of.get(e["id"], "?"), []).append((e["id"], e["name"]))
        if e["operation"] == "delete_snapshot" and e["id"] in of:
            left = ready.get(of[e["id"]], [])
            newest = bool(left) and left[-1][0] == e["id"]
            must(not newest, f"the newest snapshot was deleted: {e}")
            ready[of[e["id"]]] = [one for one in left if one[0] != e["id"]]
        if promises_one and e["operation"] in (
            "hibernate_instance", "stop_instance", "delete_instance",
        ):  # fmt: skip
            new = [one for one in ready.get(e["id"], []) if one[1] not in map(old, range(1, 9))]
            must(new, f"put to rest without a snapshot: {e}")


def judge_rows(sandbox: Watched, run: Run) -> None:
    """What a report says is done is done. Nobody has acted meanwhile."""
    there = {i["id"]: i["status"] for i in sandbox.state()["instances"]}
    for row in getattr(run.report, "rows", ()):
        id_, now = getattr(row, "instance_id", None), getattr(row, "now", None)
        if str(row.outcome) == "done" and id_ in there and now in ("HIBERNATED", "SHUTOFF"):
            must(there[id_] == now, f"the report says {now}, and it is {there[id_]}")


class Verdict(NamedTuple):
    """How a case ended: `kept`, `unfinished` with a true report, `not struck`, or `broken`."""

    word: str
    why: str = ""


def try_case(name: str, trouble: Trouble, point: Point, arm: Arm, seed: int = 0) -> Verdict:
    """One case of the matrix."""
    case = CASES[name]
    sandbox, account = prepared(case, trouble, seed)
    try:
        return _tried(case, trouble, point, arm, sandbox, account)
    except Broken as broken:
        return Verdict("broken", str(broken))
    finally:
        sandbox.stop()


def _tried(
    case: Case, trouble: Trouble, point: Point, arm: Arm, sandbox: Watched, account: Any
) -> Verdict:
    struck: list[bool] = []
    if trouble.wire:
        more = {"count": None} if trouble.lasts else {}
        sandbox.fault(operation=point.operation, after=point.nth - 1, **more, **trouble.wire)
    if trouble.act is not None:
        act = trouble.act

        def strike() -> None:
            struck.append(True)
            act(sandbox)

        arm(sandbox.url, point, strike)
    arguments = case.arguments()
    first = run_flow(case, arguments, account)
    hits = sum(fault["hits"] for fault in sandbox.state()["faults"])
    if not (struck or hits or trouble.is_of_clocks):
        return Verdict("not struck")
    judge_promises(case, sandbox, [first])
    if not trouble.changes_the_wish:
        judge_rows(sandbox, first)
    done = _found_by(case.judge, sandbox, account)
    if not done and first.error is None:
        return Verdict("kept")
    if trouble.changes_the_wish:
        return Verdict("kept" if first.error is None else "unfinished", str(first.error or ""))
    untold = [e["name"] for e in _made(sandbox) if not {e["id"], e["name"]} & first.words]
    must(not untold, f"these were made, and the run does not name them: {untold}")
    if not done:  # it has failed in the end, and what was asked for is there all the same
        return Verdict("unfinished", str(first.error)[:300])
    must(first.said_unfinished, f"said to be done, but {done}: {first.text[:600]}")
    sandbox.clear_faults()
    sandbox.settings(list_lag=0)
    runs = [first]
    lost = ""
    if "timeout" in arguments:
        arguments["timeout"] = PATIENCE
    for _ in range(4):
        runs.append(run_flow(case, arguments, account))
        lost = _found_by(AGAIN.get(case.flow, case.judge), sandbox, account)
        if runs[-1].error is None and not lost:
            break
    judge_promises(case, sandbox, runs)
    last = runs[-1]
    must(
        last.error is None,
        f"started again without faults, it fails: {last.error}, after {first.text[:300]}, {done}",
    )
    must(not lost, f"lost: {lost} / {first.text[:300]} / {last.text[:900]}")
    return Verdict("unfinished", str(first.error or first.report)[:300])


def _found_by(judge: Callable[..., None], sandbox: Watched, account: Any) -> str:
    """What a judge finds; empty if all is as it should be."""
    try:
        judge(sandbox, account)
    except (AssertionError, ValueError) as found:
        return (str(found).splitlines() or [type(found).__name__])[0][:300]
    return ""


def points_of(name: str) -> list[Point]:
    """The requests of a run that is left alone."""
    case = CASES[name]
    sandbox, account = prepared(case, None, 0)
    before = len(sandbox.requests())
    run = run_flow(case, case.arguments(), account)
    assert run.error is None, f"{name}: {run.error}"
    case.judge(sandbox, account)
    counts = Counter(r["operation"] for r in sandbox.requests()[before:])
    sandbox.stop()
    return [
        Point(operation, nth)
        for operation, count in sorted(counts.items())
        for nth in range(1, 1 + (count if _changes(operation) else min(count, POLLS)))
    ]


class Cell(NamedTuple):
    """One case of the matrix."""

    case: str
    point: Point
    trouble: Trouble

    def __str__(self) -> str:
        return f"{self.case} / {self.point} / {self.trouble.name}"


def matrix(names: Iterable[str] = CASES, at_once: int = 1) -> list[Cell]:
    """All cases, from a clean run of each flow."""
    cells = []
    with ThreadPoolExecutor(at_once) as pool:
        found = [(n, pool.submit(copy_context().run, points_of, n)) for n in names]
    for name, recorded in found:
        points = recorded.result()
        for trouble in TROUBLES:
            if trouble.is_of_clocks:
                cells.append(Cell(name, points[0], trouble))
                continue
            cells += [Cell(name, p, trouble) for p in points if trouble.concerns(p.operation)]
    return cells


def sample_of(cells: Sequence[Cell], size: int | None, seed: int = 1) -> list[Cell]:
    """So many of the cases, the same ones each time; all of them for None."""
    return list(cells) if size is None else random.Random(seed).sample(cells, min(size, len(cells)))


def try_all(
    cells: Sequence[Cell], at_once: int, told: Callable[[Cell, Verdict], None] = lambda *_: None
) -> list[tuple[Cell, Verdict]]:
    """Try cases, some at once; each has a cloud and an account of its own."""
    with striking() as arm, ThreadPoolExecutor(at_once) as pool:

        def one(cell: Cell) -> Verdict:
            verdict = try_case(cell.case, cell.trouble, cell.point, arm)
            told(cell, verdict)
            return verdict

        # Prefect's settings are kept in the context, which a new thread does not inherit.
        begun = [(c, pool.submit(copy_context().run, one, c)) for c in cells]
        return [(cell, future.result()) for cell, future in begun]


def table_of(found: Iterable[tuple[Cell, Verdict]]) -> str:
    """The figures of a campaign, by flow, as markdown."""
    rows: dict[str, Counter[str]] = {}
    for cell, verdict in found:
        rows.setdefault(cell.case, Counter())[verdict.word] += 1
    words = ("kept", "unfinished", "broken")
    total: Counter[str] = sum(rows.values(), Counter())
    lines = [
        "| flow | cases | kept | unfinished, with a true report | broken |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, row in [*sorted(rows.items()), ("all", total)]:
        figures = [str(row[word]) for word in words]
        cases = sum(row[word] for word in words)
        lines.append(f"| {name} | {cases} | {' | '.join(figures)} |")
    return "\n".join(lines)
