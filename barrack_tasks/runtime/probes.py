"""Asks probes about machines: one that is down, slow or wrong gives no evidence, and no error."""

from __future__ import annotations

import ipaddress
import json
import os
import re
import selectors
import ssl
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import cache
from typing import Any, Protocol

import httpx

from barrack_tasks.api.models import UserVM, VMStatus
from barrack_tasks.api.models.text import one_line
from barrack_tasks.api.transport.network import limit, within
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
_MOST_PRINTED = 65_536
"""So many bytes a command may print; numbers for some thousand GPUs are fewer."""
_PIECE = 16_384
_LONGEST = 200
_LOOKS = 20
"""So often within a window a series must have been told of, but for once."""
_PLACE = re.compile(r"\{(address|name|id)\}")
_MATCHER = re.compile(
    r"""(=~|!~|!=|=)\s*("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)""", re.DOTALL
)
"""One comparison of a PromQL matcher: the operator, and the text with its quotes."""


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
        found = probe(instance, now)
    except Exception as error:  # noqa: BLE001 - whatever it raises is no evidence
        return Evidence(None, f"a probe failed: {one_line(str(error), _LONGEST)}")
    if not isinstance(found, Evidence):
        return Evidence(None, f"a probe gave {type(found).__name__} instead of evidence")
    return found


def ask_prometheus(probe: PrometheusProbe, instance: UserVM) -> Evidence:
    """Whether every series of a machine stayed below the bound for the whole window."""
    address = _address(instance)
    if address is None and "{address}" in probe.labels:
        return Evidence(None, "it has no address that Prometheus could know it by")
    series = f"{probe.metric}{{{matcher_of(probe.labels, instance, address)}}}"
    window = f"{int(probe.window.total_seconds())}s"
    step = max(1, int(probe.window.total_seconds()) // _LOOKS)
    least = int(probe.window.total_seconds()) // step - 1
    # These say that the series still lives, is as old as the window, and was told of all through
    # it: an exporter that died, was just started, or was away for a while would look idle.
    queries = (
        f"max_over_time({series}[{window}])",
        series,
        f"{series} offset {window}",
        f"count_over_time({series}[{window}:{step}s])",
    )
    with httpx.Client(timeout=_PATIENCE, verify=_tls()) as client, within(_PATIENCE):
        limit(client)
        highest, now, before, told = (_series(client, probe.url, query) for query in queries)
    what = f"{probe.metric} over {window}"
    verdict = judge_numbers(highest.values(), probe.below, what)
    whole = {name for name, times in told.items() if times >= least}
    if verdict.is_idle and not highest.keys() <= (now.keys() & before.keys() & whole):
        return Evidence(None, f"{what} does not cover the whole window")
    return verdict


@cache
def _tls() -> ssl.SSLContext:
    """What certificates are checked with; it is dear to make, and machines are many."""
    return httpx.create_ssl_context()


def _series(client: httpx.Client, url: str, query: str) -> dict[str, float]:
    """The value of each series that a query finds, by its labels without the metric's name."""
    body, where = bytearray(), f"{url.rstrip('/')}/api/v1/query"
    plain = {"Accept-Encoding": "identity"}
    with client.stream("POST", where, data={"query": query}, headers=plain) as answer:
        for piece in answer.iter_raw():
            body += piece
            if len(body) > _MOST_BYTES:
                raise ValueError("Prometheus answered with more than a megabyte")
    told = json.loads(body)
    if told.get("status") != "success":
        raise ValueError(f"Prometheus refused the query: {told.get('error', answer.status_code)}")
    return {
        str(sorted((k, v) for k, v in one["metric"].items() if k != "__name__")): float(
            one["value"][1]
        )
        for one in told["data"]["result"]
    }


def matcher_of(labels: str, instance: UserVM, address: str | None) -> str:
    """A matcher with what the machine has; nothing that it is called can be read as more.

    Raises:
        ValueError: the machine is called what cannot be written between backticks.
    """
    values: Mapping[str, str] = {
        "address": address or "",
        "name": instance.name,
        "id": instance.id,
    }

    def matcher(found: re.Match[str]) -> str:
        operator, text = found[1], found[2]
        quote = text[0]

        def value(place: re.Match[str]) -> str:
            # Escaped for the regular expression, if it is one, and then for the text around it.
            said = values[place[1]]
            said = re.escape(said) if operator.endswith("~") else said
            if quote == "`":
                if quote in said:
                    raise ValueError(f"{said!r} cannot be written between backticks")
                return said
            escaped = said.replace("\\", "\\\\").replace(quote, f"\\{quote}")
            return escaped.replace("\n", "\\n")

        return f"{operator}{_PLACE.sub(value, text)}"

    return _MATCHER.sub(matcher, labels)


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
        code, printed, complained = _run_bounded(words, seconds)
    except subprocess.TimeoutExpired:
        return Evidence(None, f"the command over ssh did not end within {seconds:g} s")
    except OverflowError:
        return Evidence(None, f"the command over ssh printed more than {_MOST_PRINTED} bytes")
    if code != 0:
        said = one_line(complained.strip(), _LONGEST) or f"it ended with {code}"
        return Evidence(None, f"the command over ssh failed: {said}")
    return judge_output(printed, probe.below, "the command over ssh")


def _run_bounded(words: Sequence[str], seconds: float) -> tuple[int, str, str]:
    """Run a command that may print so much and no more: its exit code, and what it printed.

    Raises:
        subprocess.TimeoutExpired: it did not end in time.
        OverflowError: it printed more; it is killed, and nothing of it is kept.
    """
    until = time.monotonic() + seconds
    pipe = subprocess.PIPE
    with subprocess.Popen(  # noqa: S603 - the user's own ssh
        words, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe
    ) as child:
        try:
            found = _read_bounded(child, until)
            code = child.wait(max(0.0, until - time.monotonic()))
        except BaseException:
            child.kill()
            raise
    printed, complained = (bytes(one).decode(errors="replace") for one in found)
    return code, printed, complained


def _read_bounded(child: subprocess.Popen[bytes], until: float) -> list[bytearray]:
    pipes = [one for one in (child.stdout, child.stderr) if one is not None]
    found = [bytearray() for _ in pipes]
    with selectors.DefaultSelector() as waiting:
        for pipe, into in zip(pipes, found, strict=True):
            waiting.register(pipe, selectors.EVENT_READ, into)
        while waiting.get_map():
            left = until - time.monotonic()
            if left <= 0:
                raise subprocess.TimeoutExpired(child.args, 0)
            for key, _ in waiting.select(left):
                piece = os.read(key.fd, _PIECE)
                key.data.extend(piece)
                if not piece:
                    waiting.unregister(key.fileobj)
                if len(key.data) > _MOST_PRINTED:
                    raise OverflowError
    return found


def _address(instance: UserVM) -> str | None:
    """The address where a machine is reached, if it is one and nothing else.

    The zone of an IPv6 address may hold any text, and so it is not taken.
    """
    told = instance.address or ""
    try:
        return None if "%" in told else str(ipaddress.ip_address(told))
    except ValueError:
        return None
