"""Comparing a barrack.yaml with a Prefect server and its accounts, and applying it there."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import UUID

import yaml
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentUpdate

from barrack_tasks import flows
from barrack_tasks.api import BarrackConfigurationError, BarrackError
from barrack_tasks.api.models.text import one_line
from barrack_tasks.cli.accounts import IMPATIENT
from barrack_tasks.cli.arming import leaving_no_runs, run_dry
from barrack_tasks.cli.config.changes import (
    Digests,
    OwnedElsewhereError,
    PlannedChange,
    Present,
    begun,
    changes,
    digest,
    digests,
)
from barrack_tasks.cli.config.checking import Config
from barrack_tasks.cli.config.deployments import (
    DRY_RUN,
    PARAMETER,
    TRIGGER,
    WantedDeployment,
    key_of,
    values_of,
    wanted_deployments,
    with_values,
)
from barrack_tasks.cli.config.reading import masked
from barrack_tasks.cli.config.tags import merged_tags, owner_of
from barrack_tasks.cli.deployments import (
    _APPLIED,
    _block_of,
    _deploy,
    _ensure_pool,
    _key,
    _schedule_of,
    deployments_file,
    deployments_of_ours,
)
from barrack_tasks.cli.failing import said_of
from barrack_tasks.plans.durations import read_positive
from barrack_tasks.plans.money.caps import Caps
from barrack_tasks.plans.report import Report, effect_of
from barrack_tasks.runtime.health import due_after
from barrack_tasks.server.credentials import BarrackCredentials, saved_accounts
from barrack_tasks.server.events import account_resource
from barrack_tasks.server.tables import change_all, read_all
from barrack_tasks.server.variables import Records, key_of_id

HOURS_A_MONTH = 730
_ANY_MONTH = datetime(2026, 1, 1, tzinfo=UTC)
_MOST_RUNS = 1_000
_PAGE = 200
_TRIES = 30
_LOST = 600
"""Seconds after which an apply that was heard of no more counts as lost."""
_CLOCK = "barrack_yaml_clock"
_ACCOUNT = "account "
_NOT_NOTED_BY_UP = ("paused", "description", "work pool", "concurrency limit")
_NO_CAPS = digest(None)
_PROTECTED = "protected"
"""What the record of a file holds besides digests: what it protects, by account."""


@dataclass(frozen=True)
class Foreseen:
    """What a deployment would do now.

    Attributes:
        key: of the deployment.
        title: as Prefect calls it.
        section: of the file.
        armed: whether it acts, once the file is applied.
        report: of its dry run; None if there is none.
        problem: why there is none, as a sentence.
        failed: whether its dry run failed, or could not be tried since the account cannot be read.
        unread: whether the account cannot be read, whatever the flow.
        lasts: how long what a run makes lasts at most; None if it stays.
        runs: how often a month it makes such a thing at most.
    """

    key: str
    title: str
    section: str
    armed: bool
    report: Report | None = None
    problem: str = ""
    failed: bool = False
    unread: bool = False
    lasts: timedelta | None = None
    runs: int = 1

    @property
    def hourly(self) -> Decimal | None:
        """How much more the account would cost an hour; less than nothing if less."""
        return None if self.report is None else effect_of(self.report).change

    @property
    def once(self) -> Decimal | None:
        """What one run costs at most; None if what it does stays, or is not known."""
        if self.hourly is None or self.lasts is None:
            return None
        return self.hourly * Decimal(self.lasts.total_seconds()) / 3600

    @property
    def monthly(self) -> Decimal | None:
        """The same in a month of 730 hours; at most, if what a run makes does not stay."""
        if self.hourly is None or self.lasts is None:
            return None if self.hourly is None else self.hourly * HOURS_A_MONTH
        return None if self.once is None else self.once * self.runs


@dataclass(frozen=True)
class Plan:
    """What an apply of a file would do, and what its flows would do now.

    Attributes:
        config: the file.
        wanted: the deployments that it becomes, by key.
        changes: to deployments, and to what accounts protect and limit.
        ids: of the deployments that are there, by key.
        titles: how Prefect calls each, by key.
        others: deployments of this library for the same accounts that no file made.
        foreseen: what each would do now; empty if that was not asked.
    """

    config: Config
    wanted: Mapping[str, WantedDeployment]
    changes: tuple[PlannedChange, ...]
    ids: Mapping[str, str] = field(default_factory=dict)
    titles: Mapping[str, str] = field(default_factory=dict)
    others: tuple[str, ...] = ()
    foreseen: tuple[Foreseen, ...] = ()
    said: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """What the file says, value by value, by key."""
    tags: Mapping[str, list[str]] = field(default_factory=dict)
    """Of the deployments that are there, by key."""
    known: Mapping[str, Digests] = field(default_factory=dict)
    """What of the things that are there is none of a person's doing, by key."""

    @property
    def is_done(self) -> bool:
        """Whether an apply would do something."""
        return any(one.is_done for one in self.changes)

    @property
    def differs(self) -> bool:
        """Whether the server is not as the file says."""
        return any(one.action != "none" for one in self.changes)

    @property
    def is_unread(self) -> bool:
        """Whether an account could not be read, so that nothing is known of what flows would do."""
        return any(one.unread for one in self.foreseen)

    @property
    def newly_armed(self) -> tuple[str, ...]:
        """Keys of the deployments that act after an apply, and do not act now."""
        name = f"{PARAMETER}{DRY_RUN}"
        return tuple(
            one.key
            for one in self.changes
            if one.action in ("create", "change")
            and any(d.name == name and d.new is False and not d.kept for d in one.differences)
        )

    @property
    def unforeseeable(self) -> tuple[Foreseen, ...]:
        """What would act after an apply for the first time, and fails even as a dry run."""
        armed = self.newly_armed
        return tuple(one for one in self.foreseen if one.failed and one.key in armed)


@dataclass(frozen=True)
class _Deployed:
    """The deployments of this library on a server."""

    present: Mapping[str, Present]
    ids: Mapping[str, str]
    titles: Mapping[str, str]
    blocks: Mapping[str, str | None]
    tags: Mapping[str, list[str]]


def plan_of(config: Config, *, overwrite: bool = False, foresee: bool = True) -> Plan:
    """Compare a file with the server, and find out what its flows would do now.

    Nothing is changed, neither on the account nor on the server: the runs of the dry runs are
    deleted there again.

    Args:
        config: the file.
        overwrite: whether what was changed by hand becomes as the file says.
        foresee: whether dry runs are made.

    Raises:
        BarrackConfigurationError: an account has no block, or a deployment is another file's.

    Example:
        >>> plan_of(read_config(Path("barrack.yaml"))).differs
        True
    """
    accounts = {block: _account(block) for block in config.accounts}
    found = _compared(config, accounts, overwrite)
    if not foresee:
        return found
    unread = {block: _why_unread(account) for block, account in accounts.items()}
    acting = [one for one in found.wanted.values() if one.acts]
    values = {one.key: one.values or {} for one in found.changes}
    with leaving_no_runs():
        foreseen = tuple(
            _foreseen(
                one,
                found.titles[one.key],
                values[one.key],
                _as_applied(config, accounts[one.account], values),
                unread[one.account],
            )
            for one in acting
        )
    return replace(found, foreseen=foreseen)


def apply(
    plan: Plan, *, overwrite: bool = False, tell: Callable[[str], None] = lambda _: None
) -> None:
    """Apply a plan that was shown.

    Accounts come first, so that nothing acts before what is protected is; then deployments are made
    and changed, and at last removed. Whoever applies the same file at the same time waits.

    Args:
        plan: what was shown.
        overwrite: as it was planned with.
        tell: is told each step.

    Raises:
        BarrackConfigurationError: the server is not any more as it was when the plan was made, or
            another apply goes on, or Prefect refused something.
    """
    config = plan.config
    with _alone(config.name) as check:
        accounts = {block: _account(block) for block in config.accounts}
        now = _compared(config, accounts, overwrite)
        if now.changes != plan.changes:
            raise BarrackConfigurationError(
                "the server was changed after the plan was shown, so nothing was applied; look at "
                "the new plan and apply that"
            )
        check()
        said = {key: digests(values) for key, values in now.said.items()}
        # What is applied by an apply that does not end was not set by hand.
        keys = [one.key for one in now.changes]
        both = {key: begun(now.known.get(key, {}), said.get(key, {})) for key in keys}
        _note(config, both, ended=False)
        for one in now.changes:
            if one.key.startswith(_ACCOUNT) and one.is_done:
                _save_account(accounts[one.key.removeprefix(_ACCOUNT)], one.values or {})
                tell(f"{one.key}: changed.")
        with get_client(sync_client=True) as client:
            _ensure_pool(client)
            due = [one for one in now.changes if one.key in now.wanted and one.is_done]
            check()
            _deploy(_file_of([_spec_of(now, one) for one in due]))
            _give_templates(client, now, due)
            for one in due:
                tell(
                    f"{now.titles[one.key]}: {'created' if one.action == 'create' else 'changed'}."
                )
            check()
            for one in now.changes:
                if one.action == "remove":
                    _remove(client, now.ids[one.key])
                    tell(f"{now.titles[one.key]}: removed.")
        _note(config, said)


def _compared(
    config: Config, accounts: Mapping[str | None, BarrackCredentials | None], overwrite: bool
) -> Plan:
    """The plan without dry runs."""
    templates = yaml.safe_load(deployments_file().read_text(encoding="utf-8"))["deployments"]
    resources = {
        block: account_resource(account.account_to_be)
        for block, account in accounts.items()
        if account is not None
    }
    with get_client(sync_client=True) as client:
        named = list(deployments_of_ours(client))
        items = [one for _, one in named]
        taken = {
            _key_of_item(one): _block_of(one["parameters"].get("credentials")) for one in items
        }
        found_wanted = wanted_deployments(config, templates, resources, taken)
        wanted = {one.key: one for one in found_wanted}
        standing = _standing(client, named, taken, wanted)
    record = read_all(_prefix(config.name))
    last: dict[str, Digests] = {k: v for k, v in record.items() if isinstance(v, dict)}
    known: dict[str, Digests] = {**_applied_by_up(standing), **last}
    by_key = {key: values_of(one.spec) for key, one in wanted.items()}
    present = dict(standing.present)
    for block, account in accounts.items():
        if account is None or block is None:
            continue
        key = f"{_ACCOUNT}{block}"
        ours = record.get(f"{_PROTECTED} {block}")
        said = _said_of_account(config, account, ours, last.get(key, {}))
        if said:
            own = account.without_environment()
            there = {"protect": sorted(own.protect), "caps": _caps_of(own.caps)}
            # What was never applied was not changed by hand since, and what others protect besides
            # stays anyway: only what was applied and is not protected any more was changed.
            before = {**digests(there), **last.get(key, {})}
            if set(ours if isinstance(ours, list) else ()) <= set(own.protect):
                before["protect"] = digest(there["protect"])
            known[key] = before
            by_key[key] = said
            present[key] = Present({k: v for k, v in there.items() if k in said}, config.name)
    try:
        found = changes(by_key, present, known, config.name, overwrite=overwrite)
    except OwnedElsewhereError as error:
        title = standing.titles.get(error.key, error.key)
        raise BarrackConfigurationError(
            f"{title} was made by the file that is called {error.owner!r}, and this one is called "
            f"{config.name!r}; give the other account a block of its own, or leave the section out "
            f"of one of the two files"
        ) from None
    titles = {
        **standing.titles,
        **{key: f"{getattr(flows, one.flow).name}/{one.name}" for key, one in wanted.items()},
    }
    others = sorted(
        standing.titles[key]
        for key, one in standing.present.items()
        if one.owner is None
        and key not in wanted
        and standing.blocks[key] in config.accounts
        and any(w.flow == key.partition("/")[0] for w in wanted.values())
    )
    return Plan(
        config,
        wanted,
        tuple(found),
        standing.ids,
        titles,
        tuple(others),
        said=by_key,
        tags=standing.tags,
        known={key: known.get(key) or digests(one.values) for key, one in present.items()},
    )


def _key_of_item(item: Mapping[str, Any]) -> str:
    return key_of(str(item.get("entrypoint") or "").rpartition(".")[2], item["name"])


def _standing(
    client: SyncPrefectClient,
    named: Iterable[tuple[str, Mapping[str, Any]]],
    blocks: Mapping[str, str | None],
    wanted: Mapping[str, WantedDeployment],
) -> _Deployed:
    present: dict[str, Present] = {}
    ids: dict[str, str] = {}
    titles: dict[str, str] = {}
    tags: dict[str, list[str]] = {}
    for flow, item in named:
        key = _key_of_item(item)
        values: dict[str, Any] = {f"{PARAMETER}{k}": v for k, v in item["parameters"].items()}
        values["schedules"] = [_schedule_of(one) for one in item["schedules"]]
        values["paused"] = bool(item["paused"])
        values["description"] = item["description"] or ""
        values["work pool"] = item["work_pool_name"]
        if item.get("job_variables"):
            values["job variables"] = item["job_variables"]
        limit = item.get("global_concurrency_limit") or {}
        values["concurrency limit"] = limit.get("limit")
        if key in wanted:
            for trigger in wanted[key].spec.get("triggers") or []:
                found = client.read_automations_by_name(trigger["name"])
                if found:
                    values[f"{TRIGGER}{trigger['name']}"] = found[0].enabled
        present[key] = Present(values, owner_of(item["tags"]))
        ids[key], tags[key] = item["id"], item["tags"]
        titles[key] = f"{flow}/{item['name']}"
    return _Deployed(present, ids, titles, blocks, tags)


def _applied_by_up(standing: _Deployed) -> dict[str, Digests]:
    """What `barrack up` applied last of what no file has made yet."""
    with Records(_APPLIED) as records:
        applied = records.all()
    found: dict[str, Digests] = {}
    for key, one in standing.present.items():
        flow, _, name = standing.titles[key].partition("/")
        told = applied.get(_APPLIED + _key(flow, name))
        if one.owner is None and isinstance(told, Mapping):
            # Of the other values it notes nothing, so nobody is said to have changed them.
            others = {k: v for k, v in one.values.items() if k in _NOT_NOTED_BY_UP}
            found[key] = digests({**others, **told})
    return found


def _account(block: str | None) -> BarrackCredentials | None:
    """The account of a block; of the environment, if there is one here."""
    if block is None:
        try:
            return BarrackCredentials.from_environment()
        except BarrackConfigurationError:
            return None
    names = sorted(str(one._block_document_name) for one in saved_accounts())
    if block not in names:
        raise BarrackConfigurationError(
            f"the server has no account in a block that is called {masked(block)!r} (it has "
            f"{', '.join(names) or 'none'}); `barrack up --credentials {masked(block)}` saves one"
        )
    return BarrackCredentials.find(block)


def _said_of_account(
    config: Config, account: BarrackCredentials, before: Any, last: Digests
) -> dict[str, Any]:
    """What a file says of an account itself. What others protect there stays protected.

    What the file said when it was applied last, and does not say any more, is taken away again.
    """
    block = account._block_document_name
    protect, caps = config.protect_of(block), config.caps_of(block)
    said: dict[str, Any] = {}
    ours = set(before if isinstance(before, list) else [])
    if protect is not None or ours:
        others = set(account.without_environment().protect) - ours
        said["protect"] = sorted(others | set(protect or ()))
    if caps is not None or last.get("caps", _NO_CAPS) != _NO_CAPS:
        said["caps"] = _caps_of(caps)
    return said


def _caps_of(caps: Caps | None) -> dict[str, Any] | None:
    return None if caps is None else caps.model_dump(mode="json", exclude_none=True)


def _as_applied(
    config: Config,
    account: BarrackCredentials | None,
    values: Mapping[str, Mapping[str, Any]],
) -> BarrackCredentials | None:
    """The account as it is once the file is applied, for dry runs."""
    if account is None:
        return None
    new = values.get(f"{_ACCOUNT}{account._block_document_name}", {})
    update: dict[str, Any] = {}
    if "protect" in new:
        # What the environment protects here is protected as well, as it is for flows.
        kept = account.without_environment().protect
        of_environment = [one for one in account.protect if one not in kept]
        update["protect"] = [*of_environment, *new["protect"]]
    if "caps" in new:
        update["caps"] = None if new["caps"] is None else Caps.model_validate(new["caps"])
    return account.model_copy(update=update)


def _save_account(account: BarrackCredentials | None, values: Mapping[str, Any]) -> None:
    if account is None:
        return
    own = account.without_environment()
    if "protect" in values:
        own.protect = list(values["protect"])
    if "caps" in values:
        own.caps = None if values["caps"] is None else Caps.model_validate(values["caps"])
    name = str(account._block_document_name)
    own.save(name, overwrite=True, _sync=True)  # type: ignore[call-arg]


def _why_unread(account: BarrackCredentials | None) -> str:
    """Why nothing can be read of an account, which is told within seconds; empty if it can."""
    if account is None:
        return ""
    try:
        next(iter(account.get_client(IMPATIENT).instances.list()), None)
    except BarrackError as error:
        return said_of(error)
    return ""


def _foreseen(
    one: WantedDeployment,
    title: str,
    values: Mapping[str, Any],
    account: BarrackCredentials | None,
    unread: str,
) -> Foreseen:
    parameters = {
        name.removeprefix(PARAMETER): value
        for name, value in values.items()
        if name.startswith(PARAMETER)
    }
    armed = parameters.pop(DRY_RUN, True) is False
    parameters.pop("credentials", None)
    if account is None:
        problem = "the key of its account is in the environment of the worker, and not here."
        return Foreseen(one.key, title, one.section, armed, problem=problem)
    if unread:
        return Foreseen(
            one.key, title, one.section, armed, problem=f"{unread}.", failed=True, unread=True
        )
    given = {**parameters, "credentials": account}
    found = run_dry(partial(getattr, flows), one.flow, given)
    if isinstance(found, Exception):
        problem = f"its dry run failed: {one_line(str(found)) or type(found).__name__}"
        return Foreseen(one.key, title, one.section, armed, problem=problem, failed=True)
    lasts, runs = duration_of(one.section, parameters, values.get("schedules") or ())
    return Foreseen(one.key, title, one.section, armed, found, lasts=lasts, runs=runs)


def duration_of(
    section: str, parameters: Mapping[str, Any], schedules: Iterable[Mapping[str, Any]]
) -> tuple[timedelta | None, int]:
    """How long what a run makes lasts at most, None if it stays; and how often a month.

    A drill ends its instance within its `timeout`, and what is claimed with `expires` ends then.

    Args:
        section: of the file.
        parameters: of the flow, as they are written.
        schedules: when it runs, as Prefect has them.

    Example:
        >>> duration_of("drills", {"timeout": "1h"}, [{"interval": 86400}])
        (datetime.timedelta(seconds=3600), 30)
    """
    if section == "drills":
        times = [{k: v for k, v in one.items() if k != "active"} for one in schedules]
        runs = due_after(times, _ANY_MONTH, _MOST_RUNS)
        within = [at for at in runs if at - _ANY_MONTH <= timedelta(hours=HOURS_A_MONTH)]
        return read_positive(parameters.get("timeout", "30m")), max(1, len(within))
    if section == "stock" and parameters.get("expires"):
        return read_positive(parameters["expires"]), 1
    return None, 1


def _spec_of(plan: Plan, one: PlannedChange) -> dict[str, Any]:
    """A deployment as it is applied; tags that others gave it stay."""
    spec = with_values(plan.wanted[one.key].spec, one.values or {})
    made = {**spec, "tags": merged_tags(spec["tags"], plan.tags.get(one.key, ()))}
    if _has_templates(one):
        made["work_pool"] = {**made["work_pool"], "job_variables": {}}
    return made


def _has_templates(one: PlannedChange) -> bool:
    return "{{" in json.dumps((one.values or {}).get("job variables"))


def _give_templates(client: SyncPrefectClient, plan: Plan, due: Iterable[PlannedChange]) -> None:
    """Give back the job variables with templates, such as of a secret, that were set by hand.

    `prefect deploy` would fill them in, and the secret would stand in the deployment.
    """
    for one in due:
        if _has_templates(one) and one.key in plan.ids:
            update = DeploymentUpdate(job_variables=(one.values or {})["job variables"])
            client.update_deployment(UUID(plan.ids[one.key]), update)


def _file_of(specs: list[dict[str, Any]]) -> dict[str, Any]:
    return {"name": "prefect-barrack", "pull": [], "deployments": specs}


def _remove(client: SyncPrefectClient, id_: str) -> None:
    client.delete_resource_owned_automations(f"prefect.deployment.{id_}")
    client.delete_deployment(UUID(id_))


def _prefix(name: str) -> str:
    return f"barrack_yaml_{key_of_id(name)}_"


def _note(config: Config, told: Mapping[str, Digests], *, ended: bool = True) -> None:
    """Keep for the next plan what was applied; before it `ended`, beside what was noted."""
    ours = {
        f"{_PROTECTED} {block}": list(config.protect_of(block) or ())
        for block in config.accounts
        if block is not None
    }

    def change(stands: dict[str, Any]) -> Mapping[str, Any]:
        if ended:
            return {**told, **ours}
        both = {key: [*dict.fromkeys([*stands.get(key, ()), *new])] for key, new in ours.items()}
        return {**stands, **told, **both}

    change_all(_prefix(config.name), change)


@contextmanager
def _alone(name: str, sleep: Callable[[float], None] = time.sleep) -> Iterator[Callable[[], None]]:
    """Keep others from applying the same file meanwhile; gives what asks whether that still holds.

    Args:
        name: of the file.
        sleep: waits so many seconds.

    Raises:
        BarrackConfigurationError: another apply goes on.
    """
    prefix = f"barrack_yaml_lock_{key_of_id(name)}_"
    token = secrets.token_hex(8)
    for _ in range(_TRIES):
        if _claimed(prefix, token):
            break
        sleep(1)
    else:
        raise BarrackConfigurationError(
            f"another apply of the file {name!r} is under way; try again when it has ended, or in "
            f"{_LOST // 60} minutes if it was cut off"
        )

    def check() -> None:
        if not _claimed(prefix, token):
            raise BarrackConfigurationError(
                f"this apply paused for so long that another apply of the file {name!r} has begun, "
                f"so it stopped; look at a new plan"
            )

    try:
        yield check
    finally:
        change_all(prefix, lambda stands: {} if stands.get("holder") == token else stands)


def _claimed(prefix: str, token: str) -> bool:
    """Claim the right to apply, anew or again; False if another has it."""
    now = _server_now()

    def change(stands: dict[str, Any]) -> Mapping[str, Any]:
        is_free = stands.get("holder") in (None, token) or stands.get("until", 0) < now
        return {"holder": token, "until": now + _LOST} if is_free else stands

    return change_all(prefix, change).get("holder") == token


def _server_now() -> int:
    """This moment by the clock of the server, in seconds: clocks of machines are minutes apart."""
    with Records(_CLOCK) as records:
        records.put(_CLOCK, secrets.token_hex(4))
        return int(records.stamped()[_CLOCK].written.timestamp())
