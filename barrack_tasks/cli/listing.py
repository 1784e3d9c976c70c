"""What commands show of an account: rows made of what the API lists, chosen and in order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any, TypeVar

from barrack_tasks.api.models import (
    BillingRecord,
    GpuModelEnum,
    GPUStockItem,
    Image,
    ImageStatus,
    RegionEnum,
    Snapshot,
    SnapshotStatus,
    UserVM,
    VMStatus,
    VolumeResponse,
    VolumeStatus,
)
from barrack_tasks.cli.answers import (
    ImageShown,
    InstanceShown,
    JsonAnswer,
    SnapshotShown,
    StockShown,
    VolumeShown,
)
from barrack_tasks.plans.durations import said
from barrack_tasks.plans.money.burn import Tariff, priced
from barrack_tasks.plans.prices import hourly_cost
from barrack_tasks.plans.report import money
from barrack_tasks.plans.selection import SelectionError, is_named, what_exists

S = TypeVar("S", bound=JsonAnswer)


@dataclass(frozen=True)
class Filter:
    """What is shown of a list. Nothing given shows all: a list changes nothing.

    Args:
        names: names, globs and ids.
        regions: globs, whatever the case.
        models: the same, of GPU models.
        states: the same.

    Example:
        >>> Filter(names=("train-*",), regions=("canada-*",))
    """

    names: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    also: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Further names of things, by id, such as that of the instance of a snapshot."""

    def chosen(self, rows: Iterable[S], noun: str) -> list[S]:
        """The rows that are meant.

        Args:
            rows: all that there are.
            noun: what one of them is, for a sentence.

        Raises:
            SelectionError: a name means none of them, or there is no such region, GPU model or
                state; says which are near.
        """
        everything = list(rows)
        for name in self.names:
            if not any(self._is_called(row, [name]) for row in everything):
                known = {_name_of(row) for row in everything}
                raise SelectionError(f"no {noun} matches {name!r}; {what_exists(name, known)}")
        wanted = {"region": self.regions, "gpu_model": self.models, _state_key(noun): self.states}
        for (flag, words, key), globs in zip(_KNOWN[noun], wanted.values(), strict=True):
            there = {str(found) for row in everything if (found := getattr(row, key, None))}
            _check_words(flag, globs, None if words is None else {*words, *there}, noun)
        return [
            row
            for row in everything
            if (not self.names or self._is_called(row, self.names))
            and all(_fits(getattr(row, key, None), globs) for key, globs in wanted.items() if globs)
        ]

    def _is_called(self, row: JsonAnswer, names: Sequence[str]) -> bool:
        id_, name = str(getattr(row, "id", "")), _name_of(row)
        others = self.also.get(id_, ())
        return any(is_named(id_, one, names) for one in (name, *others))


def _name_of(row: JsonAnswer) -> str:
    return str(getattr(row, "name", None) or getattr(row, "gpu_model", ""))


def _state_key(noun: str) -> str:
    return "state" if noun == "run" else "status"


_RUN_STATES = (
    *("Pending", "Running", "Paused", "Suspended", "Cancelling", "Late", "AwaitingRetry"),
    *("Retrying", "Completed", "Failed", "Crashed", "Cancelled", "TimedOut", "Cached"),
)
"""Names that Prefect gives to states of runs."""
_REGIONS = tuple(str(one) for one in RegionEnum)
_MODELS = tuple(str(one) for one in GpuModelEnum)
_STATES = tuple(VMStatus.__members__)


def _flags(
    noun: str,
    regions: Sequence[str] | None,
    models: Sequence[str] | None,
    states: Sequence[str] | None,
) -> tuple[tuple[str, Sequence[str] | None, str], ...]:
    return (
        ("region", regions, "region"),
        ("model", models, "gpu_model"),
        ("state", states, _state_key(noun)),
    )


_KNOWN = {
    "instance": _flags("instance", _REGIONS, _MODELS, _STATES),
    "snapshot": _flags("snapshot", _REGIONS, None, tuple(str(s) for s in SnapshotStatus)),
    "image": _flags("image", _REGIONS, None, tuple(str(s) for s in ImageStatus)),
    "volume": _flags("volume", _REGIONS, None, tuple(str(s) for s in VolumeStatus)),
    "GPU model": _flags("GPU model", _REGIONS, _MODELS, None),
    "deployment": _flags("deployment", None, None, None),
    "run": _flags("run", None, None, _RUN_STATES),
}
"""The flags that choose rows of each list, the words that they can have, and the field of a row;
None where a row has none."""


def _check_words(flag: str, globs: Iterable[str], known: Iterable[str] | None, noun: str) -> None:
    """Refuse what no row can ever have: else a misspelt word would show that there is none.

    Raises:
        SelectionError: says which words there are.
    """
    for glob in globs:
        if known is None:
            raise SelectionError(
                f"--{flag} does not apply here, because no {noun} has one; leave it out"
            )
        if not any(_fits(word, [glob]) for word in known):
            what = {"model": "GPU model"}.get(flag, flag)
            by_fold = {word.casefold(): word for word in known}
            near = get_close_matches(glob.casefold(), by_fold, n=1)
            hint = f"did you mean {by_fold[near[0]]!r}?" if near else f"there are {_all(known)}"
            raise SelectionError(f"no {what} is called {glob!r}; {hint}")


def _all(words: Iterable[str]) -> str:
    return ", ".join(sorted(words))


def _fits(value: object, globs: Iterable[str]) -> bool:
    return value is not None and any(
        fnmatchcase(str(value).casefold(), glob.casefold()) for glob in globs
    )


def dearest_first(rows: Iterable[S]) -> list[S]:
    """The rows by what they cost an hour; what has no known price comes first, for it may be much.

    Example:
        >>> [row.name for row in dearest_first(rows)]
    """

    def key(row: S) -> tuple[bool, Decimal, str]:
        hourly: Decimal | None = getattr(row, "hourly", None)
        return hourly is not None, -(hourly or Decimal(0)), _name_of(row)

    return sorted(rows, key=key)


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def instance_shown(instance: UserVM, tariff: Tariff) -> InstanceShown:
    """An instance as a row, with what it costs in its state."""
    known = priced(instance, tariff)
    return InstanceShown(
        id=known.id,
        name=known.name,
        status=str(known.status),
        region=_text(known.region),
        gpu_model=_text(known.gpu_model),
        gpu_count=None if known.gpu_count is None else int(known.gpu_count),
        hourly=hourly_cost(known),
        currency=_text(known.currency),
        public_ip=known.address,
        created_at=known.created_at,
    )


def snapshot_shown(
    snapshot: Snapshot, tariff: Tariff, currency: str | None, names: Mapping[str, str]
) -> SnapshotShown:
    """A snapshot as a row; `names` are those of instances by id."""
    id_ = snapshot.instance_id
    return SnapshotShown(
        id=snapshot.id,
        name=snapshot.name,
        status=str(snapshot.status),
        instance=snapshot.instance_name or names.get(id_ or "") or id_,
        instance_id=id_,
        size_gb=snapshot.size_gb,
        hourly=_per_gb(snapshot.size_gb, tariff.snapshot_gb),
        currency=currency,
        region=_text(snapshot.region),
        created_at=snapshot.created_at,
    )


def image_shown(image: Image) -> ImageShown:
    """An image as a row."""
    return ImageShown(
        id=image.id,
        name=image.name,
        status=_text(image.status),
        snapshot_id=image.snapshot_id,
        size_gb=image.size_gb,
        region=_text(image.region),
        created_at=image.created_at,
    )


def volume_shown(volume: VolumeResponse, tariff: Tariff, currency: str | None) -> VolumeShown:
    """A volume as a row."""
    return VolumeShown(
        id=volume.id,
        name=volume.name,
        status=_text(volume.status),
        size_gb=volume.size_gb,
        attached_to=tuple(a.instance_name or a.instance_id for a in volume.attachments),
        hourly=_per_gb(volume.size_gb, tariff.volume_gb),
        currency=currency,
        region=_text(volume.region),
        created_at=volume.created_at,
    )


def stock_shown(
    items: Iterable[GPUStockItem], tariff: Tariff, currency: str | None
) -> list[StockShown]:
    """The stock as rows: one for each number of GPUs that is offered, or one if none is told."""
    found = []
    for item in items:
        counts = {int(c.gpu_count): c.available for c in item.configurations}
        for count, available in (counts or {1: item.count.at_least}).items():
            model, region = str(item.gpu_model), str(item.region)
            found.append(
                StockShown(
                    gpu_model=model,
                    gpu_count=count,
                    region=region,
                    available=available,
                    hourly=tariff.of(model, count, region),
                    currency=currency,
                )
            )
    return found


def _per_gb(size_gb: int | None, price: Decimal | None) -> Decimal | None:
    return None if size_gb is None or price is None else size_gb * price


def up_since(records: Iterable[BillingRecord]) -> datetime | None:
    """Since when an instance has been ACTIVE without a break, by its bill; None if it is not.

    Records that follow each other within a minute are one stretch.
    """
    stretch: list[BillingRecord] = []
    for record in sorted(records, key=lambda r: r.start):
        end = stretch[-1].end if stretch else None
        is_next = end is not None and record.start - end <= timedelta(minutes=1)
        if record.status is not VMStatus.ACTIVE:
            stretch = []
        else:
            stretch = [*stretch, record] if is_next else [record]
    return stretch[0].start if stretch else None


def cells_of(
    rows: Sequence[JsonAnswer], now: datetime
) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Columns and cells of a list, what a person needs first at the left."""
    match rows[0]:
        case InstanceShown():
            columns: tuple[str, ...] = (
                *("name", "state", "an hour", "GPU", "region", "address", "age", "id"),
            )
        case SnapshotShown():
            columns = ("name", "state", "instance", "GB", "an hour", "age", "region", "id")
        case ImageShown():
            columns = ("name", "state", "snapshot", "GB", "age", "region", "id")
        case VolumeShown():
            columns = ("name", "state", "GB", "attached to", "an hour", "age", "region", "id")
        case _:
            columns = ("GPU", "available", "an hour", "region")
    return columns, [_cells(row, now) for row in rows]


def _cells(row: Any, now: datetime) -> tuple[str, ...]:
    def age() -> str:
        return said(max(now - row.created_at, timedelta(0))) if row.created_at else "-"

    def cost() -> str:
        return money(row.hourly, row.currency)

    match row:
        case InstanceShown():
            gpu = gpu_text(row.gpu_count, row.gpu_model)
            place = (gpu, row.region or "-", row.public_ip or "-")
            return row.name, row.status, cost(), *place, age(), row.id
        case SnapshotShown():
            size = _size(row.size_gb)
            first = (row.name, row.status, row.instance or "-", size)
            return *first, cost(), age(), row.region or "-", row.id
        case ImageShown():
            where = (row.snapshot_id or "-", _size(row.size_gb))
            return row.name, row.status or "-", *where, age(), row.region or "-", row.id
        case VolumeShown():
            on = ", ".join(row.attached_to) or "-"
            first = (row.name, row.status or "-", _size(row.size_gb), on)
            return *first, cost(), age(), row.region or "-", row.id
        case _:
            gpu = gpu_text(row.gpu_count, row.gpu_model)
            return gpu, str(row.available), cost(), row.region


def gpu_text(count: int | None, model: str | None) -> str:
    """Hardware as people say it.

    Example:
        >>> gpu_text(8, "H100-SXM5-80GB"), gpu_text(None, None)
        ('8x H100-SXM5-80GB', '-')
    """
    return f"{count or 1}x {model}" if model else "-"


SPARE = ("region", "age", "id")
"""Columns that a narrow screen does without."""


def _size(size_gb: int | None) -> str:
    return "-" if size_gb is None else str(size_gb)
