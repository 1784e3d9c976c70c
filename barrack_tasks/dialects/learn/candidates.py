"""What a probe may ask: reads that look like lists, under the names they may have."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from barrack_tasks.api.dialect.builtin import builtin
from barrack_tasks.api.operations import OPERATIONS
from barrack_tasks.dialects.learn.calls import ALSO_AT
from barrack_tasks.dialects.learn.likeness import words_of

PREFIXES = ("", "/v1", "/api/v1", "/core", "/v1/core", "/api", "/v2", "/api/v2")
AUTHS: tuple[tuple[str, str], ...] = (
    ("x-api-key", ""),
    ("api_key", ""),
    ("Authorization", "Bearer"),
    ("api-key", ""),
)
"""Headers and schemes, the built-in dialect's first. Case makes no difference in a header."""
NOUNS = ("instances", "machines", "virtual-machines", "vms", "servers")
LISTS = (
    "list_instances", "get_credit_balance", "list_snapshots", "get_gpu_stock", "list_regions",
    "list_volumes", "get_pricing", "get_gpu_specs", "list_ssh_keys", "list_images",
    "list_firewalls", "list_scripts", "list_os_images", "list_snapshot_eligible_instances",
    "list_volume_types", "list_firewall_protocols", "list_ai_models", "get_ai_usage",
    "list_ai_usage_history",
)  # fmt: skip
"""Operations without an id, the more useful first."""
DETAILS: tuple[tuple[str, str], ...] = (
    ("get_instance", "list_instances"),
    ("get_snapshot", "list_snapshots"),
    ("get_instance_billing", "list_instances"),
    ("get_snapshot_image", "list_snapshots"),
    ("get_volume", "list_volumes"),
    ("get_image", "list_images"),
    ("get_firewall", "list_firewalls"),
    ("list_instance_firewalls", "list_instances"),
    ("get_ssh_key", "list_ssh_keys"),
    ("get_script", "list_scripts"),
    ("get_snapshot_billing", "list_snapshots"),
    ("get_volume_billing", "list_volumes"),
)
"""Operations with an id, and the list whose answer the id is read from."""
_ACTIONS = (
    "start", "stop", "hibernat", "restor", "delet", "reboot", "restart", "resum", "wake", "sleep",
    "terminat", "destroy", "remov", "creat", "deploy", "launch", "attach", "detach", "resiz",
    "clon", "toggl", "reset", "suspend", "shut", "halt", "kill", "purge", "cancel", "update",
    "rebuild", "lock", "unlock", "power", "logout", "revoke", "rotate", "assign", "release",
)  # fmt: skip
SIZES = ("page_size", "pageSize", "limit", "per_page", "perPage", "size")
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,79}")


def is_safe(path: str) -> bool:
    """Whether no segment of a path is, or begins with, a word for doing something."""
    return not any(word.startswith(_ACTIONS) for word in words_of(path))


def styled(path: str, style: str) -> str:
    """A path with the words of its segments joined in a style: kebab, camel or snake."""
    parts = [p if p.startswith("{") else _join(p, style) for p in path.strip("/").split("/")]
    return "/" + "/".join(parts)


def _join(part: str, style: str) -> str:
    words = part.split("-")
    if style == "camel":
        return words[0] + "".join(w.capitalize() for w in words[1:])
    return ("_" if style == "snake" else "-").join(words)


def guesses(name: str, styles: tuple[str, ...], nouns: tuple[str, ...]) -> Iterator[str]:
    """Paths that an operation may have, the likelier first, each once."""
    given: set[str] = set()
    bases = [builtin().operations[name].path, *ALSO_AT.get(name, ())]
    if name == "list_images":
        # Where the account's own images have a path of their own, /images is the system's.
        bases = [*bases[1:], bases[0]]
    for base in bases:
        for noun in nouns:
            for style in styles:
                path = styled(base.replace("{}", "{id}"), style)
                head, *rest = path.strip("/").split("/")
                head = noun if head == "instances" else head
                rest = [p.replace("eligible-instances", f"eligible-{noun}") for p in rest]
                path = "/".join(["", head, *rest])
                if path not in given and is_safe(re.sub(r"\{[^}]*\}", "", path)):
                    given.add(path)
                    yield path


def plain_id(value: Any) -> str:
    """An id of an answer, if it can stand in a path and says nothing that could be an action."""
    text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    return text if _PLAIN.fullmatch(text) and is_safe(text) and ".." not in text else ""


def list_operations() -> tuple[str, ...]:
    """The reads that need no id."""
    return tuple(n for n in LISTS if n in OPERATIONS and OPERATIONS[n].method == "GET")
