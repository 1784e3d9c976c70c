"""Asks probes about machines: one that is down, slow or wrong gives no evidence, and no error."""

from __future__ import annotations

import ipaddress
import re
import subprocess
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any, Protocol

import httpx

from barrack_tasks.api.models import UserVM, VMStatus
from barrack_tasks.api.models.text import one_line
from barrack_tasks.plans.forgotten.idleness import (
    ApiProbe,
    Evidence,
    Idleness,
    PrometheusProbe,
    SshProbe,
    asked_of_api,
    combined,
    judge_numbers,
    judge_output,
)

_AT_ONCE = 16
_PATIENCE = 10.0
_MOST_BYTES = 1_000_000
_LONGEST = 200


class Asked(Protocol):
    """A probe: anything that can be asked whether a machine is idle."""

    def __call__(self, instance: UserVM, now: datetime) -> Evidence: ...


def find_evidence(
    idleness: Idleness,
    instances: Iterable[UserVM],
    now: datetime,
    more: Iterable[Asked] = (),
) -> dict[str, Evidence]:
    """What all probes together tell of each machine, by its id.

    Args:
        idleness: the probes, and how they are combined.
        instances: as a list shows them.
        now: by the cloud's clock.
        more: probes of your own.

    Example:
        >>> find_evidence(Idleness(probes=[SshProbe()]), instances, client.now())
    """
    machines = list(instances)
    probes = [*idleness.probes, *more]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        asked = {
            one.id: [pool.submit(_ask, probe, one, now) for probe in probes] for one in machines
        }
        return {
            id_: combined([future.result() for future in found], idleness.combine)
            for id_, found in asked.items()
        }


def _ask(probe: Any, instance: UserVM, now: datetime) -> Evidence:
    try:
        match probe:
            case ApiProbe():
                return asked_of_api(instance, probe, now)
            case PrometheusProbe():
                return ask_prometheus(probe, instance)
            case SshProbe():
                return ask_over_ssh(probe, instance)
        found: Evidence = probe(instance, now)
    except Exception as error:  # noqa: BLE001 - whatever it raises is no evidence
        return Evidence(None, f"a probe failed: {one_line(str(error), _LONGEST)}")
    return found


def ask_prometheus(probe: PrometheusProbe, instance: UserVM) -> Evidence:
    """Whether every series of a machine stayed below the bound for the whole window."""
    address = _address(instance)
    if address is None and "{address}" in probe.labels:
        return Evidence(None, "it has no address that Prometheus could know it by")
    series = f"{probe.metric}{{{_filled(probe.labels, instance, address)}}}"
    window = f"{int(probe.window.total_seconds())}s"
    # The last says that the series is as old as the window, and the one before that it still lives:
    # without these an exporter that died, or was just started, would look idle.
    queries = (f"max_over_time({series}[{window}])", series, f"{series} offset {window}")
    with httpx.Client(timeout=_PATIENCE) as client:
        highest, now, before = (_series(client, probe.url, query) for query in queries)
    what = f"{probe.metric} over {window}"
    verdict = judge_numbers(highest.values(), probe.below, what)
    if verdict.is_idle and not highest.keys() <= (now.keys() & before.keys()):
        return Evidence(None, f"{what} does not cover the whole window")
    return verdict


def _series(client: httpx.Client, url: str, query: str) -> dict[str, float]:
    """The value of each series that a query finds, by its labels without the metric's name."""
    answer = client.post(f"{url.rstrip('/')}/api/v1/query", data={"query": query})
    if len(answer.content) > _MOST_BYTES:
        raise ValueError("Prometheus answered with more than a megabyte")
    told = answer.json()
    if told.get("status") != "success":
        raise ValueError(f"Prometheus refused the query: {told.get('error', answer.status_code)}")
    return {
        str(sorted((k, v) for k, v in one["metric"].items() if k != "__name__")): float(
            one["value"][1]
        )
        for one in told["data"]["result"]
    }


def _filled(labels: str, instance: UserVM, address: str | None) -> str:
    """A matcher with what the machine has; nothing that it is called can be read as more."""
    values: Mapping[str, str] = {
        "address": address or "",
        "name": instance.name,
        "id": instance.id,
    }

    def value(found: re.Match[str]) -> str:
        # Escaped for the regular expression, and then for the text that it stands in.
        return re.escape(values[found[1]]).replace("\\", "\\\\").replace('"', '\\"')

    return re.sub(r"\{(address|name|id)\}", value, labels)


def ask_over_ssh(probe: SshProbe, instance: UserVM) -> Evidence:
    """What a command on a machine prints; a machine that is off cannot be asked."""
    address = _address(instance)
    if instance.status is not VMStatus.ACTIVE or address is None:
        return Evidence(None, f"it is {instance.status} and cannot be asked over ssh")
    seconds = probe.timeout.total_seconds()
    words = [
        "ssh",
        *("-o", "BatchMode=yes", "-o", f"ConnectTimeout={max(1, int(seconds / 2))}"),
        *probe.options,
        *("--", f"{probe.user}@{address}", probe.command),
    ]
    try:
        done = subprocess.run(  # noqa: S603 - the user's own ssh
            words,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Evidence(None, f"the command over ssh did not end within {seconds:g} s")
    if done.returncode != 0:
        said = one_line(done.stderr.strip(), _LONGEST) or f"it ended with {done.returncode}"
        return Evidence(None, f"the command over ssh failed: {said}")
    return judge_output(done.stdout, probe.below, "the command over ssh")


def _address(instance: UserVM) -> str | None:
    """The address where a machine is reached, if it is one and nothing else."""
    try:
        return str(ipaddress.ip_address(instance.address or ""))
    except ValueError:
        return None
