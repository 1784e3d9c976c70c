"""Applying the deployments to a Prefect server, so that what people changed there stays."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import yaml
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.exceptions import ObjectNotFound

from barrack_tasks.api import BarrackConfigurationError
from barrack_tasks.cli.config.tags import owner_of
from barrack_tasks.cli.retiring import retire
from barrack_tasks.cli.upgrade import (
    Another,
    AnotherAccountError,
    handed_over,
    successor_of,
    suffix_for,
    upgraded,
    with_stance,
)
from barrack_tasks.plans.lease_keys import TOOK_OVER
from barrack_tasks.plans.names import PREFIX, TAG, flow_name
from barrack_tasks.server.account_names import account_name
from barrack_tasks.server.credentials import BarrackCredentials, block_named_by
from barrack_tasks.server.events import account_resource
from barrack_tasks.server.variables import Records

POOL = "barrack"
_APPLIED = "barrack_applied_"
_TIMES = ("interval", "cron", "rrule", "timezone")
_PAGE = 200


@dataclass(frozen=True)
class Deployed:
    """A deployment as the server has it."""

    id: str
    flow: str
    name: str
    parameters: Mapping[str, Any]
    schedules: tuple[Mapping[str, Any], ...]
    paused: bool
    tags: tuple[str, ...] = ()

    @property
    def full_name(self) -> str:
        """Flow and deployment, as Prefect writes them."""
        return f"{self.flow}/{self.name}"

    @property
    def key(self) -> str:
        """The same as part of a variable's name."""
        return _key(self.flow, self.name)

    @property
    def successor(self) -> str | None:
        """The key of what takes its place, if an earlier release made it under another name."""
        found = successor_of(self.flow, self.name)
        return _key(*found) if found else None


def deployments_file() -> Path:
    """The file that comes with this library: of the installed package, or of the checkout."""
    here = Path(__file__).resolve().parents[1]
    installed = here / "_deployments" / "prefect.yaml"
    return installed if installed.exists() else here.parent / "deployments" / "prefect.yaml"


def deployments_of_ours(client: SyncPrefectClient) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each deployment of this library's flows that a server has, behind the name of its flow.

    What else has the tag is other people's.
    """
    seen, page = 0, _PAGE
    while page == _PAGE:
        wanted = {"deployments": {"tags": {"all_": [TAG]}}, "limit": _PAGE, "offset": seen}
        items = client.request("POST", "/deployments/filter", json=wanted).json()
        page = len(items)
        seen += page
        names = _names_of(client, {one["flow_id"] for one in items})
        for one in items:
            if _is_ours(names[one["flow_id"]], one["name"]):
                yield names[one["flow_id"]], one


def read_deployed(client: SyncPrefectClient) -> list[Deployed]:
    """All deployments of this library's flows that a server has, in the order of their names."""
    found = [
        Deployed(
            one["id"],
            flow,
            one["name"],
            one["parameters"],
            tuple(_schedule_of(s) for s in one["schedules"]),
            one["paused"],
            tuple(one["tags"]),
        )
        for flow, one in deployments_of_ours(client)
    ]
    return sorted(found, key=lambda d: d.full_name)


def _is_ours(flow: str, name: str) -> bool:
    """Whether a deployment is of a flow of this release, or of an earlier one."""
    return flow.startswith(PREFIX) or successor_of(flow, name) is not None


def apply(
    file: Path, credentials: str | None = None, another: Another = "refuse"
) -> list[Deployed]:
    """Apply all deployments of a file for one account; those of the server, afterwards.

    Parameters, schedules and whether a trigger is switched on stay as somebody set them on the
    server; the rest follows the file. Triggers take the events of this account alone. What an
    earlier release has deployed under another name is taken over and deleted. It stays, paused,
    while it has runs that have not ended; the next time deletes it.

    Args:
        file: in the form of `prefect.yaml`.
        credentials: name of the block that runs use, and that says whose the deployments are.
            Without it they are for whatever account the environment of a worker names.
        another: what is to become of deployments that belong to another account: `refuse` to
            apply anything, put a set that is named for the block `beside` them, or `move` them
            over, which makes them dry runs again.

    Raises:
        BarrackConfigurationError: they belong to another account, or Prefect refused them.
    """
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    account = None if credentials is None else BarrackCredentials.find(credentials).account_to_be
    with get_client(sync_client=True) as client, Records(_APPLIED) as records:
        _ensure_pool(client)
        before = read_deployed(client)
        there = _by_key(before)
        told = _fit(client, content, there, records.all(), account, credentials, another)
        told = _without_those_of_files(content, told, there)
        _deploy(content)
        for key, new in told.items():
            records.put(key, new)
        after = {one.key: one for one in read_deployed(client)}
        for old in before:
            if old.successor in told:
                retire(client, old.id, after[old.successor].id)
                records.drop(old.key)
        return read_deployed(client)


def exported(
    file: Path, credentials: str, pool: str = POOL, image: str | None = None
) -> dict[str, Any]:
    """What `apply` would apply for an account, in the form of `prefect.yaml`; changes nothing.

    Args:
        file: in the same form, as the release has it.
        credentials: name of the account's block, which runs use.
        pool: the work pool of all deployments.
        image: the image in which a docker or kubernetes pool runs them.

    Raises:
        BarrackConfigurationError: the deployments on the server belong to another account.
    """
    content: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    content.pop("definitions", None)
    account = BarrackCredentials.find(credentials).account_to_be
    with get_client(sync_client=True) as client, Records(_APPLIED) as records:
        there = _by_key(read_deployed(client))
        _fit(client, content, there, records.all(), account, credentials, "refuse")
    for one in content["deployments"]:
        one["work_pool"] = {"name": pool}
        if image is not None:
            one["work_pool"]["job_variables"] = {"image": image}
    return content


def _fit(
    client: SyncPrefectClient,
    content: Mapping[str, Any],
    there: Mapping[str, Deployed],
    last: Mapping[str, Any],
    account: str | None,
    credentials: str | None,
    another: Another,
) -> dict[str, dict[str, Any]]:
    """Fit a file's deployments to an account and to what people changed on the server.

    Returns:
        What the file itself says of each, by key: `apply` notes it for the next time.
    """
    suffix, taken_over = "", frozenset[str]()
    if credentials is not None and account is not None:
        suffix, taken_over = _place_for(content, there, last, account, credentials, another)
    told = {}
    for one in content["deployments"]:
        key = _key_of(one, suffix)
        if account is not None:
            _name_for(one, account, suffix)
        new = _values_of(one, credentials)
        deployed = there.get(key)
        old = _values_there(client, deployed, one)
        if old is not None and key in taken_over:
            old = handed_over(new, old)
        told[key] = new
        _take(one, upgraded(new, last.get(_APPLIED + _noted_as(key, there)), old))
        if deployed is not None:
            _continue(one, deployed, key)
    return told


def _without_those_of_files(
    content: dict[str, Any],
    told: Mapping[str, dict[str, Any]],
    there: Mapping[str, Deployed],
) -> dict[str, dict[str, Any]]:
    """Leave out what a barrack.yaml made: that file says what it is. What is noted of the rest."""
    rest = [key not in there or owner_of(there[key].tags) is None for key in told]
    content["deployments"] = [
        one for one, is_ours in zip(content["deployments"], rest, strict=True) if is_ours
    ]
    return {key: new for (key, new), is_ours in zip(told.items(), rest, strict=True) if is_ours}


def _by_key(deployed: Iterable[Deployed]) -> dict[str, Deployed]:
    """Deployments by their keys; one of an earlier release by that of the one that follows it."""
    found = list(deployed)
    former = {one.successor: one for one in found if one.successor}
    return {**former, **{one.key: one for one in found if not one.successor}}


def _noted_as(key: str, there: Mapping[str, Deployed]) -> str:
    """The key under which is noted what was applied last of a deployment."""
    return there[key].key if key in there else key


def _continue(one: dict[str, Any], deployed: Deployed, key: str) -> None:
    """Let a deployment go on where it was, or where the one of an earlier release was."""
    tags = [tag for tag in deployed.tags if tag.startswith(TOOK_OVER)]
    if deployed.key != key:
        tags = [f"{TOOK_OVER}{deployed.id}"]
    one["paused"] = deployed.paused  # Prefect would let it run again
    one["tags"] = [*one["tags"], *tags]


def check_place(file: Path, account: str, credentials: str, another: Another = "refuse") -> None:
    """Find out whether `apply` would refuse because of another account, and change nothing.

    Args:
        file: see `apply`.
        account: what the account is called.
        credentials: name of its block, which need not be there yet.
        another: see `apply`.

    Raises:
        BarrackConfigurationError: deployments belong to another account.
    """
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    with get_client(sync_client=True) as client, Records(_APPLIED) as records:
        there = _by_key(read_deployed(client))
        last = records.all()
    _place_for(content, there, last, account, credentials, another)


def _place_for(
    content: Mapping[str, Any],
    there: Mapping[str, Deployed],
    last: Mapping[str, Any],
    account: str,
    credentials: str,
    another: Another,
) -> tuple[str, frozenset[str]]:
    """What is added to names for an account, and the keys of those that another account loses."""
    plain = _owners(content, there, account, credentials)
    suffix = f"-{credentials}"
    own = _owners(content, there, account, credentials, suffix)
    # Its own set may have been given to another account on the server: that one comes back first.
    is_lost = any(owner != account for owner, _ in own.values())
    if not is_lost:
        owners = {owner for owner, _ in plain.values()}
        try:
            suffix = suffix_for(account, credentials, owners, bool(own), another)
        except AnotherAccountError:
            # What was applied is noted once all of it is there.
            is_noted = any(_APPLIED + _noted_as(key, there) in last for key in plain)
            is_part = not is_noted and len(plain) < len(content["deployments"])
            raise _belong_to(plain, account, credentials, is_part=is_part) from None
    elif another != "move":
        raise _belong_to(own, account, credentials, is_own=True)
    place = own if suffix else plain
    return suffix, frozenset(key for key, (owner, _) in place.items() if owner != account)


def _owners(
    content: Mapping[str, Any],
    there: Mapping[str, Deployed],
    account: str,
    credentials: str,
    suffix: str = "",
) -> dict[str, tuple[str | None, str]]:
    """The account that each of a file's deployments runs for now, and how people call it."""
    found: dict[str, tuple[str | None, str]] = {}
    for one in content["deployments"]:
        key = _key_of(one, suffix)
        if key not in there:
            continue
        block = _block_of(there[key].parameters.get("credentials"))
        if block == credentials:
            found[key] = account, f"the block {block!r}"
        else:
            found[key] = _account_of(block)
    return found


def _block_of(given: Any) -> str | None:
    """The name of the block that a deployment's parameter means; None for the environment."""
    if given is None or isinstance(given, str):
        return given
    try:
        return block_named_by(given)
    except BarrackConfigurationError:
        return "(deleted)"


def _account_of(block: str | None) -> tuple[str | None, str]:
    """The account of a deployment that uses a block, or its worker's environment."""
    said = f"the block {block!r}" if block else "the environment of the worker"
    try:
        return BarrackCredentials.find(block).account_to_be, said
    except BarrackConfigurationError:
        return (account_name(block) if block else None), said


def _belong_to(
    owners: Mapping[str, tuple[str | None, str]],
    account: str,
    block: str,
    is_own: bool = False,
    is_part: bool = False,
) -> BarrackConfigurationError:
    others = " and ".join(sorted({said for owner, said in owners.values() if owner != account}))
    if is_own:
        return BarrackConfigurationError(
            f"the deployments named for the block {block!r} now run for the account of {others}, "
            f"so nothing was changed; set their parameter `credentials` back on the server, or "
            f"pass --move to take them back as dry runs"
        )
    part = (
        ", whose `barrack up` was interrupted before it had applied all of them (run it again to "
        "complete them)"
    )
    return BarrackConfigurationError(
        f"the deployments on this server belong to the account of "
        f"{others}{part if is_part else ''}, not to that of the block {block!r}, so nothing was "
        f"changed; pass --beside to add a separate set for {block!r}, or --move to take them "
        f"from that account, which then has no guards"
    )


def _name_for(one: dict[str, Any], account: str, suffix: str) -> None:
    """Name a deployment for an account, and let its triggers take the account's events alone."""
    one["name"] += suffix
    for trigger in one.get("triggers") or []:
        trigger["name"] += f" ({suffix.removeprefix('-')})" if suffix else ""
        trigger["match_related"] = {
            "prefect.resource.id": account_resource(account),
            "prefect.resource.role": "account",
        }


def _key_of(one: Mapping[str, Any], suffix: str = "") -> str:
    return _key(flow_name(one["entrypoint"].rpartition(".")[2]), one["name"] + suffix)


def _key(flow: str, name: str) -> str:
    return f"{flow}__{name}".replace("-", "_").lower()


def _names_of(client: SyncPrefectClient, ids: Iterable[str]) -> dict[str, str]:
    return {id_: client.read_flow(UUID(id_)).name for id_ in ids}


def _schedule_of(told: Mapping[str, Any]) -> dict[str, Any]:
    """A schedule of the server as a file would say it."""
    times = {k: v for k, v in told["schedule"].items() if k in _TIMES and v is not None}
    if "interval" in times:
        times["interval"] = int(float(times["interval"]))
    own = {k: told[k] for k in ("parameters", "slug") if told.get(k)}
    return {**times, **own, "active": told["active"]}


def _values_of(one: Mapping[str, Any], credentials: str | None) -> dict[str, Any]:
    """What people may change of a deployment, flat, as its file says it."""
    given = dict(one.get("parameters") or {})
    if credentials is not None:
        given.setdefault("credentials", credentials)
    values: dict[str, Any] = {f"parameter {k}": v for k, v in given.items()}
    values["schedules"] = list(one.get("schedules") or [])
    for trigger in one.get("triggers") or []:
        values[f"trigger {trigger['name']}"] = trigger["enabled"]
    return values


def _values_there(
    client: SyncPrefectClient, old: Deployed | None, one: Mapping[str, Any]
) -> dict[str, Any] | None:
    """The same as the server has it; None if it has none of it."""
    if old is None:
        return None
    values: dict[str, Any] = {f"parameter {k}": v for k, v in old.parameters.items()}
    values["schedules"] = [dict(s) for s in old.schedules]
    for trigger in one.get("triggers") or []:
        found = client.read_automations_by_name(trigger["name"])
        if found:
            values[f"trigger {trigger['name']}"] = found[0].enabled
    return values


def _take(one: dict[str, Any], values: Mapping[str, Any]) -> None:
    """Put values into what is applied."""
    prefix = "parameter "
    one["parameters"] = {
        name.removeprefix(prefix): v for name, v in values.items() if name.startswith(prefix)
    }
    one["schedules"] = values.get("schedules", [])
    one["tags"] = with_stance(one.get("tags") or (), one["parameters"].get("dry_run"))
    for trigger in one.get("triggers") or []:
        trigger["enabled"] = values.get(f"trigger {trigger['name']}", trigger["enabled"])


def _ensure_pool(client: SyncPrefectClient) -> None:
    try:
        client.read_work_pool(POOL)
    except ObjectNotFound:
        client.create_work_pool(WorkPoolCreate(name=POOL, type="process"))


def _deploy(content: Mapping[str, Any]) -> None:
    if not content["deployments"]:
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "prefect.yaml"
        file.write_text(yaml.safe_dump(dict(content), sort_keys=False), encoding="utf-8")
        words = ["--no-prompt", "deploy", "--all", "--prefect-file", str(file)]
        done = subprocess.run(  # noqa: S603 - our own words
            [sys.executable, "-m", "prefect", *words],
            cwd=folder,
            env={k: v for k, v in os.environ.items() if not k.startswith("BARRACK_")},
            capture_output=True,
            text=True,
        )
    if done.returncode:
        said = " ".join((done.stderr or done.stdout).split())
        raise BarrackConfigurationError(f"Prefect refused the deployments: {said[-400:]}")
