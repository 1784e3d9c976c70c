"""Reading what was spent, from the billing records of each thing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from barrack_tasks.api import Barrack, BarrackError, BarrackNotFoundError
from barrack_tasks.api.models import Snapshot, UserVM, VolumeResponse
from barrack_tasks.controllers.money.funds import Funds
from barrack_tasks.controllers.money.seen import (
    Entries,
    read_chats,
    read_sightings,
    write_chats,
    write_sightings,
)
from barrack_tasks.plans.money.bill import Bill, Charge, Thing, charge_of, chat_charge, clipped
from barrack_tasks.plans.money.burn import priced
from barrack_tasks.plans.money.cost_report import CostReport
from barrack_tasks.plans.money.kept import BilledThing, KeptChats, Observed, sightings, to_ask
from barrack_tasks.plans.report import money
from barrack_tasks.server.credentials import BarrackCredentials

_MOST_THREADS = 16
_NOTED_WITHIN = timedelta(hours=1)


def read_bill(
    credentials: BarrackCredentials,
    funds: Funds,
    start: datetime,
    end: datetime,
    zone: str = "UTC",
    names: Sequence[str] = (),
    keep: bool = True,
) -> Bill:
    """All that was spent between two moments, as far as billing records tell.

    In one task run. The API has no list of all charges, so each thing is asked for alone: once,
    and then again for what is new when lists show that it has changed; see `plans.money.kept`. A
    thing that is gone is known only if this library saw it while it was there.

    Args:
        credentials: the account.
        funds: the account as it is.
        start: zone-aware.
        end: zone-aware, not after now by the cloud's clock: `funds.at`, for all until now.
        zone: whose days the bill is divided into.
        names: names, globs and ids of instances: only these, there or gone, and nothing else;
            everything, if not given.
        keep: whether what was seen and read is kept for later bills.
    """
    return _in_one_task(lambda: _read_bill(credentials, funds, start, end, zone, names, keep))


def bill_of_what_is_there(
    credentials: BarrackCredentials, funds: Funds, start: datetime, end: datetime, zone: str = "UTC"
) -> Bill:
    """What things that are there have cost between two moments; it needs no Prefect server.

    What is gone is not part of it, since a server remembers that, nor is AI chat. For the
    arguments, see `read_bill`.
    """
    seen = sightings(_there(funds, ()), (), {s.instance_id for s in funds.snapshots}, end)
    asking = to_ask(seen, start, end)
    client = credentials.get_client()
    with ThreadPoolExecutor(min(_MOST_THREADS, credentials.max_concurrency)) as pool:
        answers = pool.map(lambda n: _asked(client, seen[n], asking[n], end), asking)
        asked = dict(zip(asking, answers, strict=True))
    missing = [_sentence(one, error, funds) for one, error in asked.values() if error]
    charges = [
        charge
        for n, one in enumerate(seen)
        if one.is_billed(start)
        for charge in asked.get(n, (one, ""))[0].charges(end)
    ]
    unread = (*funds.missing, *sorted(missing))
    currency = str(funds.balance.currency)
    return Bill(start, end, currency, zone, clipped(charges, start, end), unread, not unread)


@task(name="read_billing", cache_policy=NO_CACHE, persist_result=False)
def _in_one_task(read: Callable[[], Bill]) -> Bill:
    # Prefect looks into all that a task is given: ten thousand instances would take it seconds.
    return read()


def _read_bill(
    credentials: BarrackCredentials,
    funds: Funds,
    start: datetime,
    end: datetime,
    zone: str,
    names: Sequence[str],
    keep: bool = True,
) -> Bill:
    client = credentials.get_client()
    seen, written = _sightings_now(credentials, funds, end)
    meant = [n for n, s in enumerate(seen) if not names or s.thing.is_called(names)]
    asking = {meant[n]: since for n, since in to_ask([seen[n] for n in meant], start, end).items()}
    missing: list[str] = []
    with ThreadPoolExecutor(min(_MOST_THREADS, credentials.max_concurrency)) as pool:
        answers = pool.map(lambda n: _asked(client, seen[n], asking[n], end), asking)
        for place, (after, error) in zip(asking, answers, strict=True):
            seen[place] = after
            if error:
                missing.append(_sentence(after, error, funds))
    if keep:
        write_sightings(credentials.account, written, seen)
    billed = [seen[n] for n in meant if seen[n].is_billed(start)]
    charges = [charge for s in billed for charge in s.charges(end)]
    if not names:
        charges += _of_chats(credentials, start, end, missing, keep)
    is_read = not missing and not funds.unread
    missing += [
        _sentence(s, "the API has no bill of it any more", funds)
        for s in billed
        if s.settled and not s.is_known(start)
    ]
    return Bill(
        start,
        end,
        str(funds.balance.currency),
        zone,
        clipped(charges, start, end),
        (*funds.missing, *sorted(missing)),
        is_read,
    )


def note_sightings(credentials: BarrackCredentials, funds: Funds) -> None:
    """Note what is there, so that it stays on later bills when it is gone. Reads no bill."""
    seen, written = _sightings_now(credentials, funds, funds.at)
    write_sightings(credentials.account, written, seen)


def _sightings_now(
    credentials: BarrackCredentials, funds: Funds, now: datetime
) -> tuple[list[BilledThing], Entries]:
    """What is there and what was seen before, and what is written of it."""
    before, written = read_sightings(credentials.account)
    snapshotted = {s.instance_id for s in funds.snapshots}
    return sightings(_there(funds, before), before, snapshotted, now), written


def _asked(
    client: Barrack, one: BilledThing, since: datetime, end: datetime
) -> tuple[BilledThing, str]:
    """A thing with its bill from a moment on, and why that cannot be read; empty if it can."""
    readers = {
        "instance": client.instances.billing,
        "volume": client.volumes.billing,
        "snapshot": client.snapshots.billing,
    }
    read: Callable[..., Any] = readers[one.thing.kind]
    try:
        answer = read(one.thing.id, since, end)
    except BarrackNotFoundError as error:
        if one.is_new(end):
            return one, ""
        after = one.unanswered(end) if error.is_api_answer else one
        return after, "" if after.settled else str(error)
    except BarrackError as error:
        return one, str(error)
    charges = [charge_of(one.thing, record, end) for record in answer.records]
    after = one.answered(since, charges, end)
    is_bill = after.settled or not one.is_vanished(since, charges)
    return after, "" if is_bill else "the API has no charge where it had one before"


def _sentence(one: BilledThing, why: str, funds: Funds) -> str:
    text = f"{one.thing.kind} {one.thing.name}: {why}"
    if one.kept is None:
        return text
    cost, until = money(one.kept.cost, str(funds.balance.currency)), one.kept.until
    return f"{text.rstrip('.')}; what was read until {until:%Y-%m-%d %H:%M} UTC counts: {cost}"


def spent_since(credentials: BarrackCredentials, funds: Funds, start: datetime) -> Decimal | None:
    """What the whole account spent since a moment; None if it cannot be read in full."""
    bill = read_bill(credentials, funds, start, funds.at)
    return None if bill.missing else bill.total


def _there(funds: Funds, before: Iterable[BilledThing]) -> list[BilledThing]:
    """All that is paid for now."""
    there = [
        *(_sighted(thing_of(priced(i, funds.tariff)), i) for i in funds.instances),
        *(
            _sighted(Thing("volume", v.id, v.name, region=str(v.region or "")), v)
            for v in funds.volumes
        ),
        *(
            _sighted(Thing("snapshot", s.id, s.name, region=str(s.region or "")), s)
            for s in funds.snapshots
        ),
    ]
    # What was seen earlier is not gone because its list cannot be read.
    there += [s for s in before if s.gone is None and not funds.is_read(s.thing.kind)]
    return there


def _sighted(thing: Thing, listed: UserVM | VolumeResponse | Snapshot) -> BilledThing:
    size = thing.hourly if isinstance(listed, UserVM) else listed.size_gb
    told = f"{listed.status} {size} {listed.updated_at}"
    return BilledThing(
        thing,
        look=Observed(
            str(listed.status) if isinstance(listed, UserVM) else "",
            hashlib.blake2s(told.encode(), digest_size=4).hexdigest(),
            listed.updated_at is not None,
            listed.created_at,
        ),
    )


def instances_seen(account: str) -> list[Thing]:
    """The instances that were seen in this account, gone or not."""
    return [seen.thing for seen in read_sightings(account)[0] if seen.thing.kind == "instance"]


def hardware_seen(account: str) -> dict[str, tuple[str, int]]:
    """GPU model and count of instances that were seen in this account, by id, gone or not."""
    found = {}
    for thing in instances_seen(account):
        count, _, model = thing.model.partition("x ")
        if count.isdigit():
            found[thing.id] = (model, int(count))
    return found


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


def _of_chats(
    account: BarrackCredentials, start: datetime, end: datetime, missing: list[str], keep: bool
) -> Iterable[Charge]:
    """Each use of AI chat: read once, and kept, for none of them changes any more."""
    kept = read_chats(account.account)
    asked = start if kept is None else kept.resumes(start)
    try:
        history = list(account.get_client().ai.usage_history(asked, end))
    except BarrackError as error:
        told = f"; what was read until {kept.until:%Y-%m-%d %H:%M} UTC counts" if kept else ""
        missing.append(f"AI chat: {str(error).rstrip('.')}{told}")
        return kept.charges.values() if kept else ()
    new = {t.id: chat_charge(t.id, t.model or "", t.created_at, t.cost) for t in history}
    now = (kept or KeptChats(asked, end, {})).answered(asked, new, end)
    # That nothing was used need not be noted each time.
    is_old = kept is None or end - kept.until > _NOTED_WITHIN or asked < kept.since
    if keep and (kept is None or is_old or now.charges != kept.charges):
        write_chats(account.account, now)
    return now.charges.values()


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
