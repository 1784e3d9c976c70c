"""What may stand in a barrack.yaml: the sections, and the flow that each of them is about.

The words of a section are the parameters of its flow, and are taken from the flow itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from inspect import Parameter, signature
from typing import Annotated, Any, Literal, Self, get_args, get_origin, get_type_hints

from prefect.client.schemas.schedules import CronSchedule
from prefect.utilities.callables import parameter_docstrings
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    create_model,
    field_validator,
    model_validator,
)

from barrack_tasks import flows
from barrack_tasks.plans.durations import PositiveSpan
from barrack_tasks.plans.inputs import Given
from barrack_tasks.plans.money.caps import Caps
from barrack_tasks.plans.money.thresholds import check_may_act, check_order
from barrack_tasks.plans.power.expiry import check_end
from barrack_tasks.plans.stock.wants import check_nothing_old_is_deleted
from barrack_tasks.plans.timetable import Timetable
from barrack_tasks.plans.timetable.zone_names import zone_named

KEY_VARIABLE = "BARRACK_API_KEY"
"""The variable of a worker's environment that holds its account's key."""
_NOT_IN_THE_FILE = ("credentials", "dry_run", "return")
_FIELDS = 5
NAME_PATTERN = r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$"


class Schedule(Given):
    """When a section runs: every so long, or as cron says.

    Attributes:
        every: such as 5m; a minute or longer.
        cron: such as `0 7 * * 1`, with five fields.
        timezone: whose clock cron follows, such as Europe/Berlin.

    Example:
        >>> Schedule(cron="0 7 * * 1", timezone="Europe/Berlin")
    """

    every: PositiveSpan | None = None
    cron: str | None = Field(default=None, description="Such as `0 7 * * 1`, with five fields.")
    timezone: str = Field(default="UTC", description="Such as Europe/Berlin.")

    @field_validator("timezone")
    @classmethod
    def _exists(cls, zone: str) -> str:
        return zone_named(zone)

    @field_validator("cron")
    @classmethod
    def _has_five_fields(cls, cron: str | None) -> str | None:
        if cron is None:
            return None
        try:
            CronSchedule(cron=cron)
            is_cron = len(cron.split()) == _FIELDS
        except ValueError:
            is_cron = False
        if not is_cron:
            raise ValueError(
                f"{cron!r} is not a time of cron; write five fields, such as `0 7 * * 1`"
            )
        return cron

    @model_validator(mode="after")
    def _is_one_of_two(self) -> Self:
        if (self.every is None) == (self.cron is None):
            raise ValueError("a schedule is either `every` or `cron`: give one of the two")
        if self.every is not None and self.every.total_seconds() < 60:
            raise ValueError("`every` is shorter than a minute; give 1m or longer")
        return self


class NamedAccount(Given):
    """An account, by the name of its block or by the environment of the worker; never by its key.

    Attributes:
        block: name of a saved Barrack Credentials block.
        environment: `BARRACK_API_KEY`: the account that the worker's environment names.
        protect: never touched in this account, besides what `protect` of the file names.
        caps: of this account, in place of those of the file.

    Example:
        >>> Account(block="team-a", protect=["prod-*"], caps=Caps(burn=60))
    """

    block: str | None = Field(default=None, description="Name of a Barrack Credentials block.")
    environment: str | None = Field(
        default=None, description=f"{KEY_VARIABLE}: the account of the worker's environment."
    )
    protect: list[str] | None = Field(
        default=None,
        description="What no flow ever touches in this account, besides `protect` of the file.",
    )
    caps: Caps | None = Field(
        default=None,
        description="What every flow may spend at most in this account, in place of `caps` of the "
        "file.",
    )


class Channel(Given):
    """A channel that people are told on, and what it is told.

    Attributes:
        block: the saved notification block, as its name or as `type/name`.
        severity: `info` tells it everything; `warning` only what is wrong, such as a line that was
            crossed; `failure` only what could not be done.

    Example:
        >>> Channel(block="apprise-url/on-call", severity="failure")
    """

    block: str = Field(description="A saved notification block, such as `slack-webhook/team`.")
    severity: Literal["info", "warning", "failure"] = Field(
        default="info", description="From which severity on it is told: info, warning, failure."
    )

    @property
    def told_as(self) -> str:
        """How a flow's `notify` names it.

        Example:
            >>> Channel(block="apprise-url/on-call", severity="failure").told_as
            'apprise-url/on-call:failure'
        """
        return self.block if self.severity == "info" else f"{self.block}:{self.severity}"


@dataclass(frozen=True)
class SectionKind:
    """A kind of section.

    Attributes:
        name: what the section is called in the file.
        flow: the function of its flow, as it is called in Python.
        meaning: one sentence that editors show.
        acts: whether it changes something once it is `armed`.
        check: refuses what each word alone does not show; given the section's model.
    """

    name: str
    flow: str
    meaning: str
    acts: bool = True
    check: Callable[[Any], None] = lambda _: None


def _check_balance(given: Any) -> None:
    check_order(given.thresholds)
    check_may_act(given.thresholds, given.select)


def _check_stock(given: Any) -> None:
    check_end(given.expires, given.on_expiry, "`expires: 8h`")
    check_nothing_old_is_deleted(given.wants, given.on_expiry)


def _is_timetable(text: str | None) -> str | None:
    if text is not None:
        Timetable.parse(text)
    return text


_READ: dict[str, Any] = {
    "zone": Annotated[str, AfterValidator(zone_named)],
    "quiet": Annotated[str | None, AfterValidator(_is_timetable)],
    "notify": Annotated[list[str], Field(description="Channels that are told; all, if not given.")],
}
"""Parameters that the file reads more strictly than a flow, which sees them only as it runs."""


KINDS: dict[str, SectionKind] = {
    kind.name: kind
    for kind in (
        SectionKind(
            "balance",
            "watch_balance",
            "Tells people before the balance runs out, and hibernates instances once it is armed.",
            check=_check_balance,
        ),
        SectionKind(
            "budgets",
            "enforce_budget",
            "Keeps spending within budgets: tells people, and hibernates once it is armed.",
        ),
        SectionKind(
            "timetables",
            "follow_schedule",
            "Keeps each instance in the state that its timetable asks for, once it is armed.",
        ),
        SectionKind("retention", "prune_snapshots", "Deletes old snapshots, once it is armed."),
        SectionKind(
            "drills",
            "verify_snapshots",
            "Proves on temporary instances that snapshots restore, once it is armed.",
        ),
        SectionKind(
            "stock",
            "watch_gpu_stock",
            "Reports GPU stock, and claims what its wants ask for once it is armed.",
            check=_check_stock,
        ),
        SectionKind(
            "ends",
            "end_expired",
            "Once it is armed, ends machines whose lease or planned lifetime is over.",
        ),
        SectionKind(
            "forgotten",
            "reap_forgotten",
            "Names machines that nobody has leased, and puts them to rest once it is armed.",
        ),
        SectionKind("costs", "report_costs", "Reports what was spent on what.", acts=False),
        SectionKind(
            "watch", "watch_account", "Emits an event for each change in the account.", acts=False
        ),
        SectionKind(
            "doctor", "doctor", "Compares the API with what this release expects.", acts=False
        ),
    )
}
"""The sections by name, in the order in which they are shown."""


class _Section(Given):
    """Base of all sections."""

    schedule: Schedule | None = Field(
        default=None,
        description="When it runs; if not given, on the schedule that comes with the release.",
    )
    account: str | None = Field(
        default=None,
        description="The one of `accounts` that it is for; if not given, all of them.",
    )
    accounts: list[str] | None = Field(
        default=None, min_length=1, description="Those of `accounts` that it is for."
    )


class _Acting(_Section):
    """Base of the sections that change something once they are armed."""

    armed: bool = Field(
        default=False, description="Whether it acts; without it, it shows what it would do."
    )


@cache
def model_of(name: str) -> type[BaseModel]:
    """The model of a section: the parameters of its flow, `schedule`, and `armed` if it acts.

    Args:
        name: of the section.

    Example:
        >>> model_of("balance").model_validate({"armed": True, "select": ["*"]})
    """
    kind = KINDS[name]
    flow = getattr(flows, kind.flow)
    said = parameter_docstrings(flow.fn.__doc__)
    defaults = _defaults(flow.fn)
    fields: dict[str, Any] = {}
    for parameter, hint in get_type_hints(flow.fn, include_extras=True).items():
        if parameter in _NOT_IN_THE_FILE:
            continue
        text = said.get(parameter, "")
        how: dict[str, Any] = {}
        if text and parameter != "notify":
            how["description"] = text[:1].upper() + text[1:]
        hint = _READ.get(parameter, hint)
        items = _items(hint)
        if items is not None:
            hint, how["min_length"] = items, 1
        fields[parameter] = (hint, Field(default=defaults.get(parameter, ...), **how))
    if name == "timetables":
        fields["named"] = (
            dict[str, Timetable],
            Field(default={}, description="Timetables by the names that rules call them."),
        )
    base = _Acting if kind.acts else _Section
    made: type[BaseModel] = create_model(
        f"{name.capitalize()}Section", __base__=base, __doc__=kind.meaning, **fields
    )
    return made


def _defaults(function: Callable[..., Any]) -> dict[str, Any]:
    given = signature(function).parameters.values()
    return {one.name: one.default for one in given if one.default is not Parameter.empty}


def _items(hint: Any) -> Any:
    """A list of models without what reads it as one, so that a mistake has the item's place."""
    inner = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    of = get_args(inner)
    is_list = get_origin(inner) is list and isinstance(of[0], type) and issubclass(of[0], Given)
    return inner if is_list else None


class _Top(Given):
    """Guardrails for GPU machines at Barrack: each section becomes the deployments it needs."""

    model_config = ConfigDict(title="barrack.yaml")

    name: str = Field(
        default="barrack",
        json_schema_extra={"pattern": NAME_PATTERN},
        description="The name of the file on the Prefect server; two files there have different "
        "names.",
    )
    include: list[str] | str = Field(
        default=[], description="Further files, or globs, from the folder of this file."
    )
    accounts: list[NamedAccount | str] = Field(
        default=["barrack"],
        min_length=1,
        description="Names of Barrack Credentials blocks, or `{environment: BARRACK_API_KEY}`; "
        "`{block: team-a, protect: [...], caps: {...}}` is for what one account protects and caps.",
    )
    protect: list[str] | None = Field(
        default=None,
        description="Names, globs and ids of instances that no flow ever touches; kept in the "
        "account's block.",
    )
    caps: Caps | None = Field(
        default=None,
        description="What every flow may spend at most; kept in the account's block.",
    )
    notify: dict[str, Channel | str] = Field(
        default={},
        description="Channels by name: each is a saved notification block, such as "
        "`slack-webhook/team`, or `{block: slack-webhook/team, severity: warning}`.",
    )


@cache
def file_model() -> type[BaseModel]:
    """The model of a whole file, which the JSON schema is made of."""
    fields: dict[str, Any] = {
        name: (
            model_of(name) | list[model_of(name)] | None,  # type: ignore[misc]
            Field(default=None, description=kind.meaning),
        )
        for name, kind in KINDS.items()
    }
    made: type[BaseModel] = create_model(
        "BarrackYaml", __base__=_Top, __doc__=_Top.__doc__, **fields
    )
    return made


def json_schema() -> dict[str, Any]:
    """The JSON schema of a barrack.yaml, for editors.

    Example:
        >>> json_schema()["title"]
        'barrack.yaml'
    """
    made = file_model().model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made}
