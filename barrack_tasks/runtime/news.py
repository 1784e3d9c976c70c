"""What people were told already, so that a run every few minutes tells them once."""

from __future__ import annotations

from collections.abc import Iterable

from barrack_tasks.server.tables import merge_all, read_all
from barrack_tasks.server.variables import key_of_id


def news_of(account: str, purpose: str, keys: Iterable[str]) -> set[str]:
    """Those of the keys that the last run of the same purpose did not have; remembers them all.

    Args:
        account: see `BarrackCredentials.account`.
        purpose: what the run is for; see `intent_of`.
        keys: what there is to tell, each by a text that stays the same while it lasts.
    """
    prefix = f"barrack_told_{account}_"
    before = read_all(prefix)
    current = {f"{purpose}:{key_of_id(key)}": key for key in keys}
    after = {k: v for k, v in before.items() if not k.startswith(f"{purpose}:")}
    after |= dict.fromkeys(current, 0)
    merge_all(prefix, before, after)
    return {key for written, key in current.items() if written not in before}
