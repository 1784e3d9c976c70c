"""Reading what was spent, from the billing records of each thing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from barrack_tasks.api import Barrack, BarrackError, BarrackNotFoundError
from barrack_tasks.api.models import AITransaction, UserVM
from barrack_tasks.controllers.money.funds import Funds
from barrack_tasks.credentials import BarrackCredentials
from barrack_tasks.plans.money.bill import (
    Bill,
    Charge,
    Sighting,
    Thing,
    charge_of,
    clipped,
    sightings,
)
from barrack_tasks.plans.money.burn import priced
from barrack_tasks.plans.money.cost_report import CostReport
from barrack_tasks.server.tables import merge_all, read_all

_MOST_THREADS = 16


def read_bill(
    credentials: BarrackCredentials,
    funds: Funds,
    start: datetime,
    end: datetime,
    zone: str = "UTC",
    names: Sequence[str] = (),
) -> Bill:
    """All that was spent between two moments, as far as billing records tell.

    One request for each thing, in one task run: the API has no list of all charges. A thing that
    is gone is known only if this library saw it while it was there.

    Args:
        credentials: the account.
        funds: the account as it is.
        start: zone-aware.
        end: zone-aware, not after now by the cloud's clock: `funds.at`, for all until now.
        zone: whose days the bill is divided into.
        names: names, globs and ids of instances: only these, there or gone, and nothing else;
            everything, if not given.
    """
    return _read_bill(credentials, funds, start, end, zone, names)


@task(name="read_billing", cache_policy=NO_CACHE, persist_result=False)
def _read_bill(
    credentials: BarrackCredentials,
    funds: Funds,
    start: datetime,
    end: datetime,
    zone: str,
    names: Sequence[str],
) -> Bill:
    client = credentials.get_client()
    things = everything(credentials, funds, end)
    if names:
        things = [t for t in things if t.is_called(names)]
    readers = {
        "instance": client.instances.billing,
        "volume": client.volumes.billing,
        "snapshot": client.snapshots.billing,
    }
    missing: list[str] = []
    unknown: list[Thing] = []

    def one(thing: Thing) -> tuple[Charge, ...]:
        read: Callable[..., Any] = readers[thing.kind]
        try:
            answer = read(thing.id, start, end)
        except BarrackNotFoundError:
            unknown.append(thing)
            return ()
        except BarrackError as error:
            missing.append(f"{thing.kind} {thing.name}: {error}")
            return ()
        return tuple(charge_of(thing, record, end) for record in answer.records)

    with ThreadPoolExecutor(min(_MOST_THREADS, credentials.max_concurrency)) as pool:
        charges = [charge for some in pool.map(one, things) for charge in some]
    _settle(credentials.account, unknown)
    if not names:
        charges += _of_chats(client, start, end, missing)
    return Bill(
        start,
        end,
        str(funds.balance.currency),
        zone,
        clipped(charges, start, end),
        (*funds.missing, *sorted(missing)),
    )


def spent_since(credentials: BarrackCredentials, funds: Funds, start: datetime) -> Decimal | None:
    """What the whole account spent since a moment; None if it cannot be read in full."""
    bill = read_bill(credentials, funds, start, funds.at)
    return None if bill.missing else bill.total


def everything(credentials: BarrackCredentials, funds: Funds, now: datetime) -> list[Thing]:
    """All that is paid for, and what was seen earlier and is gone now; what is new is noted.

    Args:
        credentials: the account.
        funds: the account as it is.
        now: zone-aware.
    """
    there = [
        *(thing_of(priced(i, funds.tariff)) for i in funds.instances),
        *(Thing("volume", v.id, v.name, region=str(v.region or "")) for v in funds.volumes),
        *(Thing("snapshot", s.id, s.name, region=str(s.region or "")) for s in funds.snapshots),
    ]
    before = _sightings(credentials.account)
    # What was seen earlier is not gone because its list cannot be read.
    there += [s.thing for s in before if s.gone is None and not funds.is_read(s.thing.kind)]
    seen = sightings(there, before, {s.instance_id for s in funds.snapshots}, now)
    _write_sightings(credentials.account, before, seen)
    return [*there, *(s.thing for s in seen if s.gone is not None and s.is_billed(now))]


def instances_seen(account: str) -> list[Thing]:
    """The instances that were seen in this account, gone or not."""
    return [seen.thing for seen in _sightings(account) if seen.thing.kind == "instance"]


def hardware_seen(account: str) -> dict[str, tuple[str, int]]:
    """GPU model and count of instances that were seen in this account, by id, gone or not."""
    found = {}
    for seen in _sightings(account):
        count, _, model = seen.thing.model.partition("x ")
        if seen.thing.kind == "instance" and count.isdigit():
            found[seen.thing.id] = (model, int(count))
    return found


def _settle(account: str, things: Iterable[Thing]) -> None:
    """Note that the API has no bill of these any more: those that are gone are asked for no more.

    One that is there and has no bill yet is too new.
    """
    settled = {(t.kind, t.id) for t in things}
    before = _sightings(account) if settled else []
    after = [
        replace(s, settled=True) if s.gone and (s.thing.kind, s.thing.id) in settled else s
        for s in before
    ]
    _write_sightings(account, before, after)


def _sightings(account: str) -> list[Sighting]:
    found = []
    for key, written in read_all(_things(account)).items():
        kind, _, id_ = key.partition(":")
        with suppress(TypeError, ValueError):
            name, model, region, gone, settled = written
            since = datetime.fromtimestamp(int(gone), UTC) if gone else None
            thing = Thing(kind, id_, str(name), str(model), str(region))
            found.append(Sighting(thing, since, bool(settled)))
    return found


def _write_sightings(account: str, before: list[Sighting], after: list[Sighting]) -> None:
    merge_all(_things(account), _written(before), _written(after))


def _written(seen: list[Sighting]) -> dict[str, list[Any]]:
    return {
        f"{s.thing.kind}:{s.thing.id}": [
            s.thing.name,
            s.thing.model,
            s.thing.region,
            int(s.gone.timestamp()) if s.gone else 0,
            s.settled,
        ]
        for s in seen
    }


def _things(account: str) -> str:
    return f"barrack_things_{account}_"


def thing_of(instance: UserVM) -> Thing:
    """An instance as something that is paid for."""
    model = f"{int(instance.gpu_count or 1)}x {instance.gpu_model}" if instance.gpu_model else ""
    return Thing(
        "instance",
        instance.id,
        instance.name,
        model,
        str(instance.region or ""),
        instance.hourly_price,
    )


def _of_chats(client: Barrack, start: datetime, end: datetime, missing: list[str]) -> list[Charge]:
    try:
        history: list[AITransaction] = list(client.ai.usage_history(start, end))
    except BarrackError as error:
        missing.append(f"AI chat: {error}")
        return []
    return [
        Charge(
            Thing("ai chat", t.id, t.model or "chat", t.model or ""),
            t.created_at,
            t.created_at,
            "ai chat",
            0,
            t.cost,
        )
        for t in history
    ]


def check_file(path: Path | None) -> None:
    """Refuse a file that cannot be written, before anything is read.

    Raises:
        ValueError: another ending than .csv or .json, or no such folder.
    """
    if path is None:
        return
    if path.suffix not in (".csv", ".json"):
        raise ValueError(f"save_to: {path.name} must end in .csv or .json")
    if not path.parent.is_dir():
        raise ValueError(f"save_to: there is no folder {path.parent}")


def save(report: CostReport, path: Path) -> None:
    """Write a report's records, as CSV or JSON by the file's ending; all of it or nothing."""
    text = report.csv() if path.suffix == ".csv" else report.json()
    draft = path.with_name(f".{path.name}.part")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)
