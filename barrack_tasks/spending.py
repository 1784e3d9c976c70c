"""Reading what was spent, from the billing records of each thing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from barrack_tasks.api import Barrack, BarrackError, BarrackNotFoundError
from barrack_tasks.api.models import AITransaction, UserVM
from barrack_tasks.credentials import BarrackCredentials
from barrack_tasks.funds import Funds
from barrack_tasks.plans.money.burn import priced
from barrack_tasks.plans.money.cost_report import CostReport
from barrack_tasks.plans.money.spending import Bill, Charge, Thing, charge_of, clipped
from barrack_tasks.shelves import read_all, write_all

_MOST_THREADS = 16


def read_bill(
    credentials: BarrackCredentials,
    funds: Funds,
    start: datetime,
    end: datetime,
    zone: str = "UTC",
    instances: Iterable[Thing] | None = None,
) -> Bill:
    """All that was spent between two moments, as far as billing records tell.

    One request for each thing, in one task run: the API has no list of all charges. A thing that
    is gone is known only if this library saw it while it was there.

    Args:
        credentials: the account.
        funds: the account as it is.
        start: zone-aware.
        end: zone-aware, not after now.
        zone: whose days the bill is divided into.
        instances: only these instances, and nothing else; everything, if not given.
    """
    return _read_bill(credentials, funds, start, end, zone, instances)


@task(name="read_billing", cache_policy=NO_CACHE, persist_result=False)
def _read_bill(
    credentials: BarrackCredentials,
    funds: Funds,
    start: datetime,
    end: datetime,
    zone: str,
    instances: Iterable[Thing] | None,
) -> Bill:
    client = credentials.get_client()
    things = list(instances) if instances is not None else everything(credentials, funds)
    readers = {
        "instance": client.instances.billing,
        "volume": client.volumes.billing,
        "snapshot": client.snapshots.billing,
    }
    missing: list[str] = []

    def one(thing: Thing) -> tuple[Charge, ...]:
        read: Callable[..., Any] = readers[thing.kind]
        try:
            answer = read(thing.id, start, end)
        except BarrackNotFoundError:
            return ()
        except BarrackError as error:
            missing.append(f"{thing.kind} {thing.name}: {error}")
            return ()
        return tuple(charge_of(thing, record, end) for record in answer.records)

    with ThreadPoolExecutor(min(_MOST_THREADS, credentials.max_concurrency)) as pool:
        charges = [charge for some in pool.map(one, things) for charge in some]
    if instances is None:
        charges += _of_chats(client, start, end, missing)
    return Bill(
        start,
        end,
        str(funds.balance.currency),
        zone,
        clipped(charges, start, end),
        tuple(sorted(missing)),
    )


def spent_since(credentials: BarrackCredentials, funds: Funds, start: datetime) -> Decimal | None:
    """What the whole account spent since a moment; None if it cannot be read in full."""
    bill = read_bill(credentials, funds, start, datetime.now(UTC))
    return None if bill.missing else bill.total


def everything(credentials: BarrackCredentials, funds: Funds) -> list[Thing]:
    """All that is paid for, and what was seen earlier and is gone now; what is new is noted."""
    there = [
        *(thing_of(priced(i, funds.tariff)) for i in funds.instances),
        *(Thing("volume", v.id, v.name, region=str(v.region or "")) for v in funds.volumes),
        *(Thing("snapshot", s.id, s.name, region=str(s.region or "")) for s in funds.snapshots),
    ]
    known = {(t.kind, t.id) for t in there}
    prefix = _things(credentials.account)
    before = read_all(prefix)
    gone = [
        Thing(kind, id_, str(told[0]), str(told[1]), str(told[2]))
        for key, told in before.items()
        for kind, _, id_ in [key.partition(":")]
        if (kind, id_) not in known
    ]
    noted = {f"{t.kind}:{t.id}": [t.name, t.model, t.region] for t in (*there, *gone)}
    if noted != before:
        write_all(prefix, noted)
    return [*there, *gone]


def hardware_seen(account: str) -> dict[str, tuple[str, int]]:
    """GPU model and count of instances that were seen in this account, by id, gone or not."""
    found = {}
    for key, told in read_all(_things(account)).items():
        kind, _, id_ = key.partition(":")
        count, _, model = str(told[1]).partition("x ")
        if kind == "instance" and count.isdigit():
            found[id_] = (model, int(count))
    return found


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
