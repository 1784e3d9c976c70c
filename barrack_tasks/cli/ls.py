"""`barrack ls` and `barrack show`: what an account holds, and one instance of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from difflib import get_close_matches
from typing import Annotated, Any

from cyclopts import Parameter

from barrack_tasks.api import Barrack, BarrackError
from barrack_tasks.api.models import UserVM
from barrack_tasks.cli.accounts import account_to_look_at
from barrack_tasks.cli.answers import ANSWERS, InstanceDetail
from barrack_tasks.cli.inputs import AsJson, between
from barrack_tasks.cli.listing import (
    SPARE,
    Filter,
    cells_of,
    dearest_first,
    gpu_text,
    image_shown,
    instance_shown,
    snapshot_shown,
    stock_shown,
    up_since,
    volume_shown,
)
from barrack_tasks.cli.names import remember
from barrack_tasks.cli.screen import Screen
from barrack_tasks.plans.durations import said
from barrack_tasks.plans.money.burn import Tariff, tariff_of
from barrack_tasks.plans.names import nearest
from barrack_tasks.plans.report import about_error, money
from barrack_tasks.plans.selection import SelectionError

KINDS = ("instances", "snapshots", "images", "volumes", "stock", "deployments", "runs")
_OF_A_SERVER = ("deployments", "runs")
_NOUNS = {"stock": "GPU model"}


def ls(
    what: list[str] | None = None,
    /,
    *,
    region: list[str] | None = None,
    model: list[str] | None = None,
    state: list[str] | None = None,
    limit: Annotated[int, between(1, 200), Parameter(name=["--limit", "-n"])] = 20,
    credentials: str | None = None,
    json: AsJson = False,
) -> int:
    """List what there is, the dearest first. Changes nothing.

    Parameters
    ----------
    what
        instances (if not given), snapshots, images, volumes, stock, deployments or runs; then
        names, globs and ids of those that are listed, as in `select` of a flow.
    region
        Only in these regions; globs, whatever the case.
    model
        Only with these GPU models.
    state
        Only in these states.
    limit
        At most so many runs, the newest first.
    credentials
        Name of the account's block; the environment's account, else the block `barrack`.
    json
        Show JSON instead of a table.
    """
    kind, names = _kind_of(what or [])
    only = Filter(tuple(names), tuple(region or ()), tuple(model or ()), tuple(state or ()))
    screen = Screen()
    if kind in _OF_A_SERVER:
        from barrack_tasks.cli.prefect_lists import list_of_server

        return list_of_server(screen, kind, only, limit, json)
    with account_to_look_at(credentials) as client:
        rows: Sequence[Any] = _LISTS[kind](client, only)
        now = client.now()
    _show(screen, kind, rows, now, json)
    return 0


def _kind_of(words: list[str]) -> tuple[str, list[str]]:
    """What is listed, and the names of those that are."""
    if not words:
        return KINDS[0], []
    first, *rest = words
    for kind in KINDS:
        if first in (kind, kind.removesuffix("s")):
            return kind, rest
    if near := get_close_matches(first, KINDS, n=1, cutoff=0.8):
        raise SelectionError(
            f"there is no list of {first!r}; did you mean {near[0]!r}? An instance of this name is "
            f"listed by `barrack ls instances {first}`"
        )
    return KINDS[0], words


def _show(screen: Screen, kind: str, rows: Sequence[Any], now: datetime, as_json: bool) -> None:
    if as_json:
        screen.print_json(list(rows), ANSWERS[f"ls {kind}"])
        return
    if not rows:
        screen.print("The stock is empty." if kind == "stock" else f"There are no such {kind}.")
        return
    columns, cells = cells_of(rows, now)
    screen.print_rows("", columns, cells, [name for name in SPARE if name in columns])
    hourly = [row.hourly for row in rows if hasattr(row, "hourly")]
    if kind in ("stock", "images"):
        return
    known = [one for one in hourly if one is not None]
    total = money(sum(known), next((row.currency for row in rows if row.currency), None))
    unknown = len(hourly) - len(known)
    end = f", not counting {unknown} of unknown price" if unknown else ""
    noun = kind.removesuffix("s") if len(rows) == 1 else kind
    screen.print(f"{len(rows)} {noun}: {total} an hour{end}.")


def _prices(client: Barrack) -> tuple[Tariff, str | None]:
    """What things cost; of what cannot be read no price is known."""
    try:
        prices = client.pricing.list()
    except BarrackError:
        return Tariff(), None
    currency = next((str(p.currency) for p in prices), None)
    return tariff_of(prices, currency), currency


def _instances(client: Barrack, only: Filter) -> Sequence[Any]:
    found = list(client.instances.list())
    remember(client.base_url, [one.name for one in found])
    is_priced = all(one.hourly_price is not None for one in found)
    tariff = Tariff() if is_priced else _prices(client)[0]
    rows = [instance_shown(one, tariff) for one in found]
    return dearest_first(only.chosen(rows, "instance"))


def _snapshots(client: Barrack, only: Filter) -> Sequence[Any]:
    names = {one.id: one.name for one in client.instances.list()}
    tariff, currency = _prices(client)
    rows = [snapshot_shown(one, tariff, currency, names) for one in client.snapshots.list()]
    also = {row.id: [name for name in (row.instance, row.instance_id) if name] for row in rows}
    chosen = Filter(only.names, only.regions, only.models, only.states, also)
    return dearest_first(chosen.chosen(rows, "snapshot"))


def _images(client: Barrack, only: Filter) -> Sequence[Any]:
    rows = only.chosen((image_shown(one) for one in client.images.list()), "image")
    return sorted(rows, key=lambda row: row.name)


def _volumes(client: Barrack, only: Filter) -> Sequence[Any]:
    tariff, currency = _prices(client)
    rows = [volume_shown(one, tariff, currency) for one in client.volumes.list()]
    also = {row.id: row.attached_to for row in rows}
    chosen = Filter(only.names, only.regions, only.models, only.states, also)
    return dearest_first(chosen.chosen(rows, "volume"))


def _stock(client: Barrack, only: Filter) -> Sequence[Any]:
    rows = stock_shown(client.gpu_stocks.list(), *_prices(client))
    return dearest_first(only.chosen(rows, "GPU model"))


_LISTS: dict[str, Callable[[Barrack, Filter], Sequence[Any]]] = {
    "instances": _instances,
    "snapshots": _snapshots,
    "images": _images,
    "volumes": _volumes,
    "stock": _stock,
}


def show(name: str, /, *, credentials: str | None = None, json: AsJson = False) -> int:
    """Show one instance: its state, what it costs, how long it is up, and what rests on it.

    Parameters
    ----------
    name
        Its name or id.
    credentials
        Name of the account's block; the environment's account, else the block `barrack`.
    json
        Show JSON instead of text.
    """
    with account_to_look_at(credentials) as client:
        detail = _detail(client, _called(name, list(client.instances.list())))
        now = client.now()
    screen = Screen()
    if json:
        screen.print_json(detail)
    else:
        _show_detail(screen, detail, now)
    return 0


def _called(name: str, instances: Sequence[UserVM]) -> UserVM:
    """The instance of a name or an id.

    Raises:
        SelectionError: there is none, or several; says what there is.
    """
    found = [one for one in instances if name in (one.id, one.name)]
    if len(found) == 1:
        return found[0]
    if not found:
        near = nearest(name, [one.name for one in instances])
        raise SelectionError(f"no instance is called {name!r}; {near}")
    ids = " and ".join(one.id for one in found)
    raise SelectionError(f"{name!r} means several instances; give one of the ids {ids}")


def _detail(client: Barrack, instance: UserVM) -> InstanceDetail:
    unread: list[str] = []

    def read(operation: str, call: Callable[[], Any], otherwise: Any) -> Any:
        try:
            return call()
        except BarrackError as error:
            unread.append(about_error(operation, error))
            return otherwise

    tariff, currency = _prices(client)
    bill = read("get_instance_billing", lambda: client.instances.billing(instance.id), None)
    names = {instance.id: instance.name}
    snapshots = [
        snapshot_shown(one, tariff, currency, names)
        for one in read("list_snapshots", lambda: list(client.snapshots.list()), [])
        if one.instance_id == instance.id
    ]
    ids = {one.id for one in snapshots}
    images = [
        image_shown(one)
        for one in read("list_images", lambda: list(client.images.list()), [])
        if one.snapshot_id in ids
    ]
    volumes = [
        volume_shown(one, tariff, currency)
        for one in read("list_volumes", lambda: list(client.volumes.list()), [])
        if any(a.instance_id == instance.id for a in one.attachments)
    ]
    since = up_since(bill.records) if bill else None
    is_up = since is not None and instance.has_come_up
    return InstanceDetail(
        **dict(instance_shown(instance, tariff)),
        uptime_seconds=(client.now() - since).total_seconds() if is_up and since else None,
        spent=bill.summary.total if bill else None,
        snapshots=tuple(sorted(snapshots, key=lambda s: str(s.created_at), reverse=True)),
        images=tuple(images),
        volumes=tuple(volumes),
        unread=tuple(unread),
    )


def _show_detail(screen: Screen, one: InstanceDetail, now: datetime) -> None:
    up = "-" if one.uptime_seconds is None else said(timedelta(seconds=one.uptime_seconds))
    rows = (
        ("instance", f"{one.name} ({one.id})"),
        ("state", one.status),
        ("costs", f"{money(one.hourly, one.currency)} an hour"),
        ("spent", f"{money(one.spent, one.currency)} in all"),
        ("up for", up),
        ("GPU", gpu_text(one.gpu_count, one.gpu_model)),
        ("region", one.region or "-"),
        ("address", one.public_ip or "-"),
        ("made", f"{one.created_at:%Y-%m-%d %H:%M} UTC" if one.created_at else "-"),
    )
    for name, value in rows:
        screen.print(f"{name + ':':10} {value}")
    for title, things in (
        ("Snapshots", one.snapshots),
        ("Images of its snapshots", one.images),
        ("Volumes", one.volumes),
    ):
        if things:
            screen.print()
            columns, cells = cells_of(things, now)
            screen.print_rows(title, columns, cells, [name for name in SPARE if name in columns])
    if not (one.snapshots or one.volumes):
        screen.print("It has no snapshots and no volumes.")
    for sentence in one.unread:
        screen.print(f"Could not be read: {sentence}", style="yellow")
