"""What `--json` gives: the keys of each command, which stay as they are from release to release.

Money is text with its currency beside it, moments are ISO 8601 with their zone, durations are
seconds, and null is what is not known. `docs/cli.schema.json` is written from these models.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict


class JsonAnswer(BaseModel):
    """Base of all that commands show as JSON."""

    model_config = ConfigDict(frozen=True)


class InstanceShown(JsonAnswer):
    """An instance. `hourly` is what it costs an hour in its state."""

    id: str
    name: str
    status: str
    region: str | None
    gpu_model: str | None
    gpu_count: int | None
    hourly: Decimal | None
    currency: str | None
    public_ip: str | None
    created_at: datetime | None


class SnapshotShown(JsonAnswer):
    """A snapshot. `instance` is the name of the instance that it was taken of, or its id."""

    id: str
    name: str
    status: str
    instance: str | None
    instance_id: str | None
    size_gb: int | None
    hourly: Decimal | None
    currency: str | None
    region: str | None
    created_at: datetime | None


class ImageShown(JsonAnswer):
    """An image of the account's own. `snapshot` is the id of the snapshot that it depends on."""

    id: str
    name: str
    status: str | None
    snapshot_id: str | None
    size_gb: int | None
    region: str | None
    created_at: datetime | None


class VolumeShown(JsonAnswer):
    """A volume. `attached_to` holds names or ids of instances."""

    id: str
    name: str
    status: str | None
    size_gb: int | None
    attached_to: tuple[str, ...]
    hourly: Decimal | None
    currency: str | None
    region: str | None
    created_at: datetime | None


class StockShown(JsonAnswer):
    """A configuration that is offered. `available` is how many can be deployed, at the least."""

    gpu_model: str
    gpu_count: int
    region: str
    available: int
    hourly: Decimal | None
    currency: str | None


class DeploymentShown(JsonAnswer):
    """A deployment. `armed` is null if it has no dry run."""

    id: str
    name: str
    armed: bool | None
    schedule: str
    last_completed: datetime | None
    next_run: datetime | None


class RunShown(JsonAnswer):
    """A run of a flow. `why` is the message of its state."""

    id: str
    name: str
    flow: str
    deployment: str | None
    state: str
    started_at: datetime | None
    seconds: float | None
    why: str


class InstanceDetail(InstanceShown):
    """One instance, and what rests on it.

    `uptime_seconds` is how long it has been ACTIVE without a break, and `spent` what it has cost
    in all, both by its bill.
    """

    uptime_seconds: float | None
    spent: Decimal | None
    snapshots: tuple[SnapshotShown, ...]
    images: tuple[ImageShown, ...]
    volumes: tuple[VolumeShown, ...]
    unread: tuple[str, ...]


class AccountShown(JsonAnswer):
    """What an account has and burns. `runway_seconds` is null if the balance does not end."""

    states: dict[str, int]
    balance: Decimal
    hourly: Decimal
    currency: str
    runway_seconds: float | None
    unread: tuple[str, ...]


class StatusShown(JsonAnswer):
    """The answer of `barrack status`. `server` is null if none is known."""

    account: AccountShown | None
    account_problem: str | None
    server: str | None
    server_problem: str | None
    deployments: tuple[DeploymentShown, ...]
    troubles: tuple[str, ...]
    blind: tuple[str, ...]


class RowShown(JsonAnswer):
    """One instance, or what else a flow is about. `outcome` is done, failed, planned, ..."""

    id: str
    name: str
    was: str
    did: tuple[str, ...]
    now: str
    outcome: str
    why: str
    snapshot: str | None
    hourly_before: Decimal | None
    hourly_now: Decimal | None
    currency: str | None


class ReportShown(JsonAnswer):
    """The answer of `barrack run`. `result` is what a flow returns that has no rows."""

    flow: str
    dry_run: bool
    ok: bool
    rows: tuple[RowShown, ...]
    notes: tuple[str, ...]
    told: tuple[str, ...]
    result: Any = None


class CostShown(JsonAnswer):
    """What one thing costs an hour now, and has cost in the days that are shown."""

    kind: str
    name: str
    state: str
    hourly: Decimal | None
    spent: Decimal | None


class CostsShown(JsonAnswer):
    """The answer of `barrack costs`."""

    days: int
    currency: str
    balance: Decimal
    hourly: Decimal
    runway_seconds: float | None
    spent: Decimal
    month_so_far: Decimal
    month_forecast: Decimal
    saved_by_hibernation: Decimal
    things: tuple[CostShown, ...]
    unread: tuple[str, ...]


class LogShown(JsonAnswer):
    """A line of a run's log."""

    at: datetime
    level: str
    text: str


class EventShown(JsonAnswer):
    """An event of this library."""

    id: str
    at: datetime
    event: str
    resource: str
    name: str | None
    payload: dict[str, Any]


class NotifierShown(JsonAnswer):
    """A notification block. `problem` is null if it can be used."""

    name: str
    type: str
    problem: str | None


class ForecastShown(JsonAnswer):
    """One instance in `barrack schedule preview`. `hours_up` are billed in full."""

    id: str
    name: str
    timetable: str
    now: str
    why: str
    next_change: datetime | None
    next_wish: str | None
    hours_up: float
    cost_without: Decimal | None
    cost_with: Decimal | None
    saving: Decimal | None
    currency: str | None


class PreviewShown(JsonAnswer):
    """The answer of `barrack schedule preview`."""

    days: int
    instances: tuple[ForecastShown, ...]
    saving: Decimal | None
    currency: str | None
    warnings: tuple[str, ...]


class FindingShown(JsonAnswer):
    """What `barrack doctor` found of one operation."""

    operation: str
    verdict: str
    said: str
    differences: tuple[str, ...]


class ReadinessShown(JsonAnswer):
    """Whether one thing is ready for the flows: `ready`, `not ready` or `unknown`."""

    topic: str
    state: str
    said: str


class DoctorShown(JsonAnswer):
    """The answer of `barrack doctor`."""

    ok: bool
    findings: tuple[FindingShown, ...]
    readiness: tuple[ReadinessShown, ...]


class SnapshotTaken(JsonAnswer):
    """A snapshot that `barrack snapshot` took. `outcome` is done or failed."""

    instance: str
    snapshot: str | None
    outcome: str
    why: str


class PreviewOfRunShown(JsonAnswer):
    """What a deployment would do now with one set of parameters, or why that is not known."""

    parameters: dict[str, Any]
    report: ReportShown | None
    problem: str | None


class ArmingShown(JsonAnswer):
    """A deployment in the answer of `barrack arm` and `disarm`, as the server has it at the end.

    `armed` is null if it has no dry run, and `changed` is false if nobody agreed.
    """

    deployment: str
    armed: bool | None
    changed: bool
    next_run: datetime | None
    previews: tuple[PreviewOfRunShown, ...]


class AppliedChangeShown(JsonAnswer):
    """A deployment, or an account's block. `action` is create, change or remove."""

    name: str
    action: str
    done: bool


class AppliedShown(JsonAnswer):
    """The answer of `barrack apply`. `problem` says why it did nothing, or stopped."""

    applied: bool
    changes: tuple[AppliedChangeShown, ...]
    problem: str | None


class EntryShown(JsonAnswer):
    """An entry of a dialect, and the file that it is from, or `built-in`."""

    entry: str
    value: Any
    source: str


class PanicShown(JsonAnswer):
    """A line of `barrack panic`: `kind` is `instance`, `told` or `end`.

    First there is a line for each instance, and `text` says what happens to it; then one for each
    thing that happens; and at last one that ends it, with `ok`. `left` has the names of what was
    not hibernated, and `hourly` what that burns, at the least.
    """

    kind: Literal["instance", "told", "end"]
    text: str
    id: str | None = None
    name: str | None = None
    status: str | None = None
    hourly: Decimal | None = None
    currency: str | None = None
    ok: bool | None = None
    left: tuple[str, ...] = ()


class DeployedShown(JsonAnswer):
    """A deployment that `barrack up` has applied. `armed` is null if it has no dry run."""

    name: str
    armed: bool | None


class UpShown(JsonAnswer):
    """The answer of `barrack up`. Places are null where another server is used."""

    url: str
    own: bool
    worker: bool
    password_file: str | None
    environment_file: str | None
    logs: str | None
    deployments: tuple[DeployedShown, ...]


class DueShown(JsonAnswer):
    """A deployment that runs next, and when."""

    deployment: str
    at: datetime


class WatchShown(JsonAnswer):
    """A look of `barrack watch`, which is one line; `problem` says why it shows nothing."""

    at: datetime
    account: AccountShown | None
    instances: tuple[InstanceShown, ...]
    runs: tuple[RunShown, ...]
    due: tuple[DueShown, ...]
    problem: str | None


class LeaseShown(JsonAnswer):
    """A lease, or the end that something was made with: then `owner` is null.

    `until` is null for a lease that cannot be read, which keeps its machine.
    """

    machine: str
    owner: str | None
    until: datetime | None
    state: str


class OwnerShown(JsonAnswer):
    """Whose machines are."""

    machines: str
    owner: str
    team: str
    tell: str
    note: str


ANSWERS: dict[str, Any] = {
    "ls instances": list[InstanceShown],
    "ls snapshots": list[SnapshotShown],
    "ls images": list[ImageShown],
    "ls volumes": list[VolumeShown],
    "ls stock": list[StockShown],
    "ls deployments": list[DeploymentShown],
    "ls runs": list[RunShown],
    "show": InstanceDetail,
    "status": StatusShown,
    "run": ReportShown,
    "hibernate": ReportShown,
    "restore": ReportShown,
    "snapshot": list[SnapshotTaken],
    "costs": CostsShown,
    "logs": list[LogShown],
    "events": list[EventShown],
    "notify ls": list[NotifierShown],
    "schedule preview": PreviewShown,
    "doctor": DoctorShown,
    "arm": list[ArmingShown],
    "disarm": list[ArmingShown],
    "apply": AppliedShown,
    "dialect show": list[EntryShown],
    "panic": PanicShown,
    "up": UpShown,
    "watch": WatchShown,
    "lease ls": list[LeaseShown],
    "owner ls": list[OwnerShown],
}
"""What each command answers with `--json`; of `panic` and `watch` it is one line of the answer."""
