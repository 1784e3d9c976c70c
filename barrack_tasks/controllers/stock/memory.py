"""What watchers remember of the stock: its edges where every worker sees them, its history here."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from barrack_tasks.plans.stock.claims import Refusal, Shunned
from barrack_tasks.plans.stock.edges import Edge, PlaceSeen
from barrack_tasks.plans.stock.history import Spell
from barrack_tasks.plans.stock.wants import Place
from barrack_tasks.runtime.alerts import scope_of
from barrack_tasks.server.tables import change_all, merge_all, read_all


def read_seen(account: str, scope: str) -> dict[Place, PlaceSeen]:
    """What was last seen of each place by those who tell the same people; see `scope_of_stock`."""
    found: dict[Place, PlaceSeen] = {}
    for key, written in read_all(_prefix("stock", account, scope)).items():
        with suppress(TypeError, ValueError):
            since, count, most, told, told_at, zero_since, *last = written
            found[_place(key)] = PlaceSeen(
                _moment(since),
                count,
                most,
                told,
                _moment(told_at),
                _moment(zero_since),
                _moment(last[0] if last else told_at),
            )
    return found


def write_seen(account: str, scope: str, seen: Mapping[Place, PlaceSeen]) -> None:
    """Keep what was seen beside what other watchers saw elsewhere.

    Places that never had stock need no memory.
    """
    content = {
        f"{p.region}/{p.gpu_model}/{p.gpu_count}": None
        if s == PlaceSeen()
        else [
            _seconds(s.since),
            s.count,
            s.most,
            s.told,
            _seconds(s.told_at),
            _seconds(s.zero_since),
            _seconds(s.last),
        ]
        for p, s in seen.items()
    }

    def together(stands: dict[str, Any]) -> dict[str, Any]:
        return {key: told for key, told in {**stands, **content}.items() if told is not None}

    change_all(_prefix("stock", account, scope), together)


def read_shunned(account: str) -> list[Shunned]:
    """The places that the API refused lately, and that are left alone for a while."""
    found = []
    for key, written in read_all(_prefix("shunned", account)).items():
        with suppress(TypeError, ValueError):
            claim, _, place = key.partition("@")
            until, code, why = written
            refusal = Refusal(code, why)
            found.append(
                Shunned(
                    claim,
                    _place(place) if place else None,
                    refusal,
                    datetime.fromtimestamp(until, UTC),
                )
            )
    return found


def write_shunned(account: str, shunned: Iterable[Shunned], now: datetime) -> None:
    """Keep what is left alone, beside what other watchers leave alone. Nothing new costs nothing.

    Args:
        account: see `BarrackCredentials.account`.
        shunned: what this run knows; what is over is forgotten.
        now: zone-aware.
    """
    content = {
        f"{one.claim}@{one.place.region}/{one.place.gpu_model}/{one.place.gpu_count}"
        if one.place
        else f"{one.claim}@": [_seconds(one.until), one.refusal.code, one.refusal.why[:_LONGEST]]
        for one in shunned
        if one.until > now
    }
    if not content:
        return

    def together(stands: dict[str, Any]) -> dict[str, Any]:
        living = {k: v for k, v in stands.items() if v[0] > now.timestamp()}
        return {**living, **content}

    change_all(_prefix("shunned", account), together)


_LONGEST = 300
"""Characters of a refusal that are kept."""


def history_file(account: str, folder: Path | None = None) -> Path:
    """Where the history of the stock is kept, on this machine."""
    if folder is None:
        base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
        folder = Path(base) / "prefect-barrack"
    return folder / f"gpu-stock-{account}.jsonl"


def note_history(file: Path, edges: Iterable[Edge]) -> None:
    """Append the spells that ended. One line each, so that several watchers may write."""
    ended = [e for e in edges if e.until is not None]
    if not ended:
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    lines = [
        json.dumps(
            {
                "region": e.place.region,
                "gpu_model": e.place.gpu_model,
                "gpu_count": e.place.gpu_count,
                "start": e.since.isoformat(),
                "end": e.until.isoformat() if e.until else None,
                "most": e.most,
            }
        )
        for e in ended
    ]
    with file.open("a", encoding="utf-8") as out:
        out.write("".join(f"{line}\n" for line in lines))


def read_history(file: Path) -> list[Spell]:
    """The spells that were noted; a line that cannot be read is left out."""
    found: list[Spell] = []
    if not file.exists():
        return found
    for line in file.read_text(encoding="utf-8").splitlines():
        with suppress(KeyError, TypeError, ValueError):
            told = json.loads(line)
            found.append(
                Spell(
                    Place(told["region"], told["gpu_model"], int(told["gpu_count"])),
                    datetime.fromisoformat(told["start"]),
                    datetime.fromisoformat(told["end"]),
                    int(told["most"]),
                )
            )
    return found


def spells_now(seen: Mapping[Place, PlaceSeen]) -> list[Spell]:
    """The spells that have not ended yet, as far as they were seen."""
    return [
        Spell(p, s.since, s.until, s.most)
        for p, s in seen.items()
        if s.since is not None and s.until is not None
    ]


def _place(key: str) -> Place:
    region, model, count = key.split("/")
    return Place(region, model, int(count))


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def _seconds(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp())


def changed_refusals(
    account: str, scope: str, refused: Mapping[str, Refusal], names: Iterable[str]
) -> list[str]:
    """Names that are refused for a reason which nobody was told of yet; those told are remembered.

    Figures move with the balance from look to look: only another reason is news.

    Args:
        account: see `BarrackCredentials.account`.
        scope: see `scope_of`.
        refused: why, by name.
        names: all that this run wants; what is not refused any more is forgotten.
    """
    prefix = _prefix("refused", account, scope)
    before = read_all(prefix)
    wanted = set(names)
    codes = {name: refusal.code for name, refusal in refused.items()}
    after = {k: v for k, v in before.items() if k not in wanted} | codes
    merge_all(prefix, before, after)
    return [name for name, code in codes.items() if before.get(name) != code]


def scope_of_stock(notify: Iterable[str]) -> str:
    """Whose memory of the stock counts: that of all runs which tell the same people.

    What others were told was not told to these; a run that tells nobody has the memory of those.
    """
    told = sorted(notify)
    return scope_of((), told) if told else ""


def _prefix(kind: str, account: str, scope: str = "") -> str:
    return f"barrack_{kind}_{account}_{scope and f'{scope}_'}"
