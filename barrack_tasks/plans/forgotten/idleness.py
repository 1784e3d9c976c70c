"""Idleness by evidence: what probes tell of a machine, and what several of them tell together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import inf, isnan
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, TypeAdapter, ValidationError, field_validator

from barrack_tasks.api.models import UserVM, VMStatus
from barrack_tasks.plans.durations import PositiveSpan, said
from barrack_tasks.plans.inputs import Given, Texts, said_of
from barrack_tasks.plans.power.drive import is_down
from barrack_tasks.plans.report import escape

GPU_UTILISATION = "nvidia-smi --query-gpu=utilization.gpu --format=csv,noheader,nounits"
"""Prints one number for each GPU: how busy it is, in per cent."""
_LONGEST = 200


@dataclass(frozen=True)
class Evidence:
    """What one probe found. `is_idle` is None where it found nothing: that is no evidence.

    `why` is a sentence for people.
    """

    is_idle: bool | None
    why: str


class PrometheusProbe(Given):
    """Asks a Prometheus server whether a metric of a machine stayed below a bound for a window.

    A machine is idle if every series that matches stayed below; there is no evidence unless the
    series is as old as the window and still told. The default is the GPU utilisation that NVIDIA's
    DCGM exporter tells; for the memory, use `metric="DCGM_FI_DEV_FB_USED", below=500` (MiB).

    Attributes:
        url: of the server, such as `http://prometheus:9090`.
        metric: the metric's name.
        labels: which series are the machine's: a PromQL matcher in which `{address}`, `{name}` and
            `{id}` stand for what the machine has.
        below: the machine is idle if the metric stayed below this.
        window: for how long.

    Example:
        >>> PrometheusProbe(url="http://prometheus:9090", window="30m")
    """

    probe: Literal["prometheus"] = "prometheus"
    url: str
    metric: Annotated[str, Field(pattern=r"^[A-Za-z_:][A-Za-z0-9_:]*$")] = "DCGM_FI_DEV_GPU_UTIL"
    labels: str = 'instance=~"{address}(:[0-9]+)?"'
    below: float = 5.0
    window: PositiveSpan = timedelta(minutes=30)


class SshProbe(Given):
    """Runs a command on a machine, over the ssh of the user, that prints numbers.

    A machine is idle if the command succeeds and every number is below the bound. Anything else
    that it prints, or nothing, is no evidence. For sessions that are logged in, use
    `command="who | wc -l", below=1`.

    Attributes:
        user: who logs in.
        command: what is run there.
        below: the machine is idle if every number is below this.
        options: of ssh, such as `["-p", "2222", "-i", "~/.ssh/barrack"]`.
        timeout: how long it may take.

    Example:
        >>> SshProbe(user="ubuntu", command="who | wc -l", below=1)
    """

    probe: Literal["ssh"] = "ssh"
    user: Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$")] = "ubuntu"
    command: str = GPU_UTILISATION
    below: float = 5.0
    options: Texts = ()
    timeout: PositiveSpan = timedelta(seconds=20)


class ApiProbe(Given):
    """What the API itself tells: a machine that is off is idle, and one just changed is not.

    Of a machine that has been up and unchanged for longer than `recent` it tells nothing.

    Attributes:
        recent: how long after a change a machine counts as in use.
    """

    probe: Literal["api"] = "api"
    recent: PositiveSpan = timedelta(minutes=30)


Probe = Annotated[PrometheusProbe | SshProbe | ApiProbe, Field(discriminator="probe")]
_PROBES: TypeAdapter[list[Any]] = TypeAdapter(list[Probe])


class Idleness(Given):
    """When a machine counts as idle, and how long its work may put off what a timetable asks.

    Attributes:
        probes: what is asked of each machine.
        combine: `all`: idle if every probe says so. `any`: if one does.
        at_most: how long after its boundary a machine that works, or may work, is still left up.

    Example:
        >>> Idleness(probes=[{"probe": "ssh", "command": "who | wc -l", "below": 1}])
    """

    probes: tuple[Probe, ...]
    combine: Literal["all", "any"] = "all"
    at_most: PositiveSpan = timedelta(hours=6)

    @field_validator("probes")
    @classmethod
    def _asks_something(cls, probes: tuple[Any, ...]) -> tuple[Any, ...]:
        if not probes:
            raise ValueError("without a probe there is no evidence; name at least one")
        return probes


def read_idleness(value: Any) -> Idleness | None:
    """Read what a user gives for `idleness`, typed or as a dict; None for no probes.

    Raises:
        ValueError: it cannot be read; says which field, and why.
    """
    if value is None or isinstance(value, Idleness):
        return value
    try:
        return Idleness.model_validate(value)
    except ValidationError as error:
        raise ValueError(f"idleness: {said_of(error)}") from None


GivenIdleness = Annotated[Idleness | None, BeforeValidator(read_idleness)]
"""When a machine counts as idle: an `Idleness`, its fields as a dict, or None for no probes."""


def combined(found: Sequence[Evidence], how: Literal["all", "any"]) -> Evidence:
    """What several probes tell together. No evidence is not evidence of idleness.

    For `all` one probe that saw work is enough to say that the machine works, and one that found
    nothing to say nothing; for `any` one that saw it idle is enough.

    Example:
        >>> combined([Evidence(True, "a"), Evidence(None, "b")], "all").is_idle is None
        True
    """
    decisive = how == "any"
    for kind in (decisive, None, not decisive):
        whys = [one.why for one in found if one.is_idle is kind]
        if whys:
            return Evidence(kind, "; ".join(whys))
    return Evidence(None, "no probe was asked")


def asked_of_api(instance: UserVM, probe: ApiProbe, now: datetime) -> Evidence:
    """What the API itself tells of a machine.

    Args:
        instance: as a list shows it.
        probe: how it is judged.
        now: by the cloud's clock.
    """
    if instance.status is VMStatus.SHUTOFF or is_down(instance.status):
        return Evidence(True, f"it is {instance.status}")
    changed = instance.updated_at
    if changed is not None and now - changed < probe.recent:
        return Evidence(False, f"it was changed {said(now - changed)} ago")
    return Evidence(None, "the API does not tell whether it is at work")


def judge_numbers(numbers: Iterable[float], below: float, what: str) -> Evidence:
    """Idle if there are numbers, and all of them are below a bound.

    NaN, and what is endlessly low, is no evidence.
    """
    found = list(numbers)
    if not found or any(isnan(one) or one == -inf for one in found):
        return Evidence(None, f"{what} told nothing")
    if all(number < below for number in found):
        return Evidence(True, f"{what} stayed below {below:g}, at most {max(found):g}")
    return Evidence(False, f"{what} is at {max(found):g}, not below {below:g}")


def judge_output(output: str, below: float, what: str) -> Evidence:
    """What the numbers that a command has printed tell; other text is no evidence."""
    try:
        numbers = [float(line) for line in output.split()]
    except ValueError:
        return Evidence(
            None, f"{what} printed {escape(output[:_LONGEST])!r}, which is not a number"
        )
    return judge_numbers(numbers, below, what)


def put_off(
    evidence: Evidence, boundary: datetime, at_most: timedelta, now: datetime
) -> str | None:
    """Why a machine that a timetable wants at rest is left up for now; None if it is not.

    One that works, or of which nobody knows, is left up until the limit.

    Args:
        evidence: of all probes together.
        boundary: the moment since which the timetable wants it at rest.
        at_most: how long after that it may be left up.
        now: zone-aware.
    """
    limit = boundary + at_most
    if evidence.is_idle or now >= limit:
        return None
    until = f"the next run asks again, at most until {limit:%Y-%m-%d %H:%M %Z}"
    if evidence.is_idle is None:
        return f"it is not known whether it is at work ({evidence.why}); {until}"
    return f"it is still at work ({evidence.why}); {until}"
