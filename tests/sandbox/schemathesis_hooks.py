"""Hooks of the Schemathesis runs: they lead its requests to things that are there.

Without them nearly every id that it makes up is unknown, and nothing beyond a 404 is tried.
"""

from __future__ import annotations

import os
from functools import lru_cache
from itertools import count
from typing import Any

import httpx
import schemathesis
from schemathesis import GenerationMode

KINDS = {
    "instance_id": "instances",
    "snapshot_id": "snapshots",
    "image_id": "images",
    "volume_id": "volumes",
    "firewall_id": "firewalls",
    "key_id": "ssh_keys",
    "script_id": "scripts",
}
_control = httpx.Client(base_url=os.environ["SANDBOX_CONTROL"], trust_env=False)
_calls = count(1)


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Let the sandbox's time go on, put ports in order, and name what there is."""
    number = next(_calls)
    if number % 10 == 0:
        _control.post("/_sandbox/clock", json={"advance": 60}).raise_for_status()
    if case.meta is not None and case.meta.generation.mode is not GenerationMode.POSITIVE:
        return
    _put_in_order(case.body)
    if number % 2:
        _name_what_there_is(case, number)


def _put_in_order(body: Any) -> None:
    """The one rule that the document cannot tell."""
    if not isinstance(body, dict):
        return
    low, high = body.get("port_range_min"), body.get("port_range_max")
    if isinstance(low, int | float) and isinstance(high, int | float) and low > high:
        body["port_range_min"], body["port_range_max"] = high, low
    rules = body.get("security_rules")
    for rule in rules if isinstance(rules, list) else []:
        _put_in_order(rule)


@lru_cache(maxsize=1)
def _there(_when: int) -> dict[str, list[str]]:
    state = _control.get("/_sandbox/state").json()
    return {name: [x["id"] for x in state[kind]] for name, kind in KINDS.items()}


def _name_what_there_is(case: Any, number: int) -> None:
    there = _there(number // 20)
    places = [case.path_parameters]
    if isinstance(case.body, dict):
        places.append(case.body)
        if "messages" in case.body:
            case.body["model"] = "qwen3-8b"
        if "gpu_model" in case.body and case.body.get("image_id") is not None:
            case.body |= {"image_id": 1, "ssh_key_id": None, "script_id": None, "volume_ids": []}
            return
    for place in places:
        for name, ids in there.items():
            if ids and place and place.get(name) is not None:
                place[name] = ids[number % len(ids)]
            if ids and place and place.get(f"{name}s"):
                place[f"{name}s"] = [ids[number % len(ids)]]
