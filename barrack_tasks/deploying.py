"""Applying the deployments to a Prefect server, so that what people changed there stays."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import yaml
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.exceptions import ObjectNotFound

from barrack_tasks.api import BarrackConfigurationError
from barrack_tasks.plans.upgrade import upgraded
from barrack_tasks.records import Records

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

    @property
    def full_name(self) -> str:
        """Flow and deployment, as Prefect writes them."""
        return f"{self.flow}/{self.name}"

    @property
    def key(self) -> str:
        """The same as part of a variable's name."""
        return _key(self.flow, self.name)


def deployments_file() -> Path:
    """The file that comes with this library."""
    return Path(__file__).resolve().parents[1] / "deployments" / "prefect.yaml"


def read_deployed(client: SyncPrefectClient) -> list[Deployed]:
    """All deployments of this library that a server has."""
    found: list[Deployed] = []
    while True:
        wanted = {"deployments": {"tags": {"all_": ["barrack"]}}, "limit": _PAGE}
        page = client.request(
            "POST", "/deployments/filter", json={**wanted, "offset": len(found)}
        ).json()
        names = _names_of(client, {one["flow_id"] for one in page})
        found += [
            Deployed(
                one["id"],
                names[one["flow_id"]],
                one["name"],
                one["parameters"],
                tuple(_schedule_of(s) for s in one["schedules"]),
                one["paused"],
            )
            for one in page
        ]
        if len(page) < _PAGE:
            return sorted(found, key=lambda d: d.full_name)


def apply(file: Path, credentials: str | None = None) -> list[Deployed]:
    """Apply all deployments of a file; those of the server, afterwards.

    Parameters, schedules and whether a trigger is switched on stay as somebody set them on the
    server; the rest follows the file.

    Args:
        file: in the form of `prefect.yaml`.
        credentials: name of the block that runs use where none was named.

    Raises:
        BarrackConfigurationError: Prefect refused it.
    """
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    with get_client(sync_client=True) as client, Records(_APPLIED) as records:
        _ensure_pool(client)
        there = {one.key: one for one in read_deployed(client)}
        last = records.all()
        told = {}
        for one in content["deployments"]:
            flow = one["entrypoint"].rpartition(".")[2]
            key = _key(flow, one["name"])
            new = _values_of(one, credentials)
            old = there.get(key)
            told[key] = new
            before = last.get(_APPLIED + key)
            _take(one, upgraded(new, before, _values_there(client, old, one)))
        _deploy(content)
        for key, new in told.items():
            records.put(key, new)
        return read_deployed(client)


def _key(flow: str, name: str) -> str:
    return f"{flow}__{name}".replace("-", "_").lower()


def _names_of(client: SyncPrefectClient, ids: Iterable[str]) -> dict[str, str]:
    return {id_: client.read_flow(UUID(id_)).name for id_ in ids}


def _schedule_of(told: Mapping[str, Any]) -> dict[str, Any]:
    """A schedule of the server as a file would say it."""
    times = {k: v for k, v in told["schedule"].items() if k in _TIMES and v is not None}
    if "interval" in times:
        times["interval"] = int(float(times["interval"]))
    return {**times, "active": told["active"]}


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
    for trigger in one.get("triggers") or []:
        trigger["enabled"] = values.get(f"trigger {trigger['name']}", trigger["enabled"])


def _ensure_pool(client: SyncPrefectClient) -> None:
    try:
        client.read_work_pool(POOL)
    except ObjectNotFound:
        client.create_work_pool(WorkPoolCreate(name=POOL, type="process"))


def _deploy(content: Mapping[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "prefect.yaml"
        file.write_text(yaml.safe_dump(dict(content), sort_keys=False), encoding="utf-8")
        words = ["--no-prompt", "deploy", "--all", "--prefect-file", str(file)]
        done = subprocess.run(  # noqa: S603 - our own words
            [sys.executable, "-m", "prefect", *words], cwd=folder, capture_output=True, text=True
        )
    if done.returncode:
        said = " ".join((done.stderr or done.stdout).split())
        raise BarrackConfigurationError(f"Prefect refused the deployments: {said[-400:]}")
