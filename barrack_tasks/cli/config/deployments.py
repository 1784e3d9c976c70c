"""The deployments that a barrack.yaml becomes, in the form of Prefect's prefect.yaml.

Whatever a section does not say is as in the deployment of its flow that comes with this release.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from barrack_tasks.cli.config.checking import Config, Section
from barrack_tasks.cli.config.sections import KINDS
from barrack_tasks.cli.config.tags import tag_of, with_state

PARAMETER, TRIGGER = "parameter ", "trigger "
DRY_RUN = "dry_run"
_USUAL_BLOCK = "barrack"
_ENVIRONMENT = "environment"


@dataclass(frozen=True)
class WantedDeployment:
    """A deployment that is wanted.

    Attributes:
        section: of the file.
        flow: the function of its flow, as it is called in Python.
        account: the block of its account; None for the account of the worker's environment.
        armed: whether it acts; also of one that only looks.
        spec: an item of `deployments` of a prefect.yaml.
    """

    section: str
    flow: str
    account: str | None
    armed: bool
    spec: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Of the deployment."""
        return str(self.spec["name"])

    @property
    def key(self) -> str:
        """What no other deployment is called: the flow's function and the name."""
        return key_of(self.flow, self.name)

    @property
    def acts(self) -> bool:
        """Whether its flow has something to do that a dry run shows."""
        return KINDS[self.section].acts


def key_of(flow: str, name: str) -> str:
    """What a deployment is called here, whatever its flow is called in Prefect.

    Example:
        >>> key_of("watch_balance", "guard")
        'watch_balance/guard'
    """
    return f"{flow}/{name}"


def wanted_deployments(
    config: Config,
    templates: Iterable[Mapping[str, Any]],
    resources: Mapping[str | None, str] | None = None,
    taken: Mapping[str, str | None] | None = None,
) -> list[WantedDeployment]:
    """The deployments that a file becomes: one for each section and account, and no other.

    Stock that is claimed for a time needs somebody who ends that time, so that it brings the
    deployment of `ends` along.

    Args:
        config: the file.
        templates: the deployments of the release, as its prefect.yaml has them.
        resources: by block, the id of the account's resource, whose events triggers take.
        taken: by key, the block of each deployment that a server has. An account has the plain
            names of the release if its own deployments have them already, or if they are free and
            it is the usual one; else they end in the name of its block.

    Example:
        >>> [one.key for one in wanted_deployments(config, templates)]
        ['watch_balance/guard']
    """
    by_flow = {str(one["entrypoint"]).rpartition(".")[2]: one for one in templates}
    found: list[WantedDeployment] = []
    for block in config.accounts:
        sections = config.of_account(block)
        stock = sections.get("stock")
        if stock is not None and stock.parameters.get("expires") and "ends" not in sections:
            sections["ends"] = Section(stock.armed, {})
        names = [key_of(KINDS[one].flow, by_flow[KINDS[one].flow]["name"]) for one in sections]
        suffix = _suffix(block, names, taken or {})
        resource = (resources or {}).get(block)
        found += [
            _wanted(config, section, sections[section], by_flow, block, suffix, resource)
            for section in KINDS
            if section in sections
        ]
    return found


def _suffix(block: str | None, names: Iterable[str], taken: Mapping[str, str | None]) -> str:
    """What is added to the names of an account's deployments: no two accounts share one."""
    owners = {taken[name] for name in names if name in taken}
    is_usual = block in (None, _USUAL_BLOCK)
    return "" if owners == {block} or (not owners and is_usual) else f"-{block or _ENVIRONMENT}"


def _wanted(
    config: Config,
    name: str,
    section: Section,
    by_flow: Mapping[str, Mapping[str, Any]],
    block: str | None,
    suffix: str,
    resource: str | None,
) -> WantedDeployment:
    kind = KINDS[name]
    spec: dict[str, Any] = copy.deepcopy(dict(by_flow[kind.flow]))
    if suffix:
        spec["name"] += suffix
        for trigger in spec.get("triggers") or []:
            trigger["name"] += f" ({suffix.removeprefix('-')})"
    for trigger in spec.get("triggers") or []:
        if resource is not None:
            trigger["match_related"] = {
                "prefect.resource.id": resource,
                "prefect.resource.role": "account",
            }
    spec["parameters"] = {
        **({DRY_RUN: not section.armed} if kind.acts else {}),
        **section.parameters,
        **({"credentials": block} if block is not None else {}),
    }
    spec["schedules"] = _schedules(section, spec.get("schedules") or [], acts=kind.acts)
    tags = with_state(spec.get("tags") or [], spec["parameters"].get(DRY_RUN))
    spec["tags"] = [*tags, tag_of(config.name)]
    return WantedDeployment(name, kind.flow, block, section.armed or not kind.acts, spec)


def _schedules(
    section: Section, usual: Iterable[Mapping[str, Any]], *, acts: bool
) -> list[dict[str, Any]]:
    """When it runs. What is not armed runs by itself only where it does so in the release."""
    given = section.schedule
    if given is None:
        is_on = section.armed or not acts
        return [{**one, "active": is_on or bool(one.get("active"))} for one in usual]
    if given.every is not None:
        seconds = int(given.every.total_seconds())
        return [{"interval": seconds, "timezone": given.timezone, "active": True}]
    return [{"cron": given.cron, "timezone": given.timezone, "active": True}]


def values_of(spec: Mapping[str, Any]) -> dict[str, Any]:
    """What of a deployment is compared and may be changed by hand, flat.

    Example:
        >>> values_of({"parameters": {"days": 7}})["parameter days"]
        7
    """
    limit = spec.get("concurrency_limit")
    values: dict[str, Any] = {
        f"{PARAMETER}{name}": value for name, value in (spec.get("parameters") or {}).items()
    }
    values["schedules"] = [dict(one) for one in spec.get("schedules") or []]
    for trigger in spec.get("triggers") or []:
        values[f"{TRIGGER}{trigger['name']}"] = bool(trigger["enabled"])
    values["paused"] = bool(spec.get("paused"))
    values["description"] = spec.get("description") or ""
    pool = spec.get("work_pool") or {}
    values["work pool"] = pool.get("name")
    if pool.get("job_variables"):
        values["job variables"] = dict(pool["job_variables"])
    values["concurrency limit"] = limit["limit"] if isinstance(limit, Mapping) else limit
    return values


def with_values(spec: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """A deployment with other values; see `values_of`."""
    made: dict[str, Any] = copy.deepcopy(dict(spec))
    made["parameters"] = {
        name.removeprefix(PARAMETER): value
        for name, value in values.items()
        if name.startswith(PARAMETER)
    }
    made["tags"] = with_state(made.get("tags") or [], made["parameters"].get(DRY_RUN))
    made["schedules"] = list(values.get("schedules", []))
    # A trigger without a value is one that somebody deleted.
    triggers = [t for t in made.get("triggers") or [] if f"{TRIGGER}{t['name']}" in values]
    for trigger in triggers:
        trigger["enabled"] = values[f"{TRIGGER}{trigger['name']}"]
    if "triggers" in made:
        made["triggers"] = triggers
    made["paused"] = values.get("paused", False)
    made["description"] = values.get("description", "")
    made["work_pool"] = {
        **(made.get("work_pool") or {}),
        "name": values.get("work pool"),
        "job_variables": dict(values.get("job variables") or {}),
    }
    limit = made.get("concurrency_limit")
    now = values.get("concurrency limit")
    if isinstance(limit, dict) and now is not None:
        limit["limit"] = now
    else:
        made["concurrency_limit"] = now
    return made
