"""Rules of requests that the models check in functions of their own, as JSON schema.

A document that says less than the server checks promises what the server then refuses. One rule
cannot be said in JSON schema and is missing here: that a range of ports is in order.
"""

from __future__ import annotations

import typing
from collections.abc import Callable
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from barrack_tasks.sandbox.cloud.catalogue import MOST_VOLUME_GB

Json = dict[str, Any]
_OCTET = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"


def _ipv4_networks() -> str:
    """A pattern of the networks of IPv4: no bit is set behind the prefix."""
    kinds = []
    for length in range(33):
        whole, part = divmod(length, 8)
        octets = [_OCTET] * whole
        if part:
            octets.append(f"({'|'.join(str(n) for n in range(0, 256, 1 << (8 - part)))})")
        octets += ["0"] * (4 - len(octets))
        kinds.append(r"\.".join(octets) + f"/{length}")
    return f"^({'|'.join(kinds)})$"


IPV4 = {"type": "string", "pattern": _ipv4_networks()}
IPV6 = {"type": "string", "pattern": r"^(::/0|[1-9a-f][0-9a-f]{3}(:[0-9a-f]{1,4}){1,2}::/48)$"}
_PRINTABLE = r"^[ -~]{1,50}$"
_VISIBLE = "[!-~]"
FIELDS: dict[str, Json] = {
    "check_instance_name": {"pattern": r"^[A-Za-z0-9 _.\-]{2,30}$"},
    "check_snapshot_name": {"minLength": 1, "maxLength": 50},
    "check_name": {"pattern": _PRINTABLE},
    # White space is not the same set of characters everywhere: one visible one is promised.
    "check_text": {"pattern": _VISIBLE},
    "check_ids": {"minItems": 1, "uniqueItems": True},
    "_say_something": {"minItems": 1},
    "check_public_key": {
        "pattern": r"^ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI[A-P][A-Za-z0-9+/]{42}( [!-~]+)?$"
    },
}
"""What a field's own check asks for, by the name of the check."""


LIMITS: dict[str, Json] = {"size_gb": {"maximum": MOST_VOLUME_GB}}
"""What the sandbox asks of a field beside its model, by the field's name."""


def checks_of(info: FieldInfo) -> list[Any]:
    """The checks of a field, also where it may be null."""
    arms = typing.get_args(info.annotation)
    annotated = [arm for arm in arms if typing.get_origin(arm) is typing.Annotated]
    return [*info.metadata, *(check for arm in annotated for check in typing.get_args(arm)[1:])]


def of_field(name: str, checks: list[Any], schema: Json) -> Json:
    """A field's schema with what its checks ask for."""
    schema = {**schema, **LIMITS.get(name, {})}
    for check in checks:
        rule = getattr(getattr(check, "func", None), "__name__", "")
        schema = {**schema, **FIELDS.get(rule, {})}
        if rule == "check_ids":
            schema["items"] = {**schema.get("items", {}), "pattern": _VISIBLE}
    return schema


def of_model(model: type[BaseModel], named: Callable[[str], str | None]) -> list[Json]:
    """Schemas that an object must meet beside its fields' own.

    `named` gives the wire's name of a field, or None where it does not lie in the object itself.
    """
    fields = model.model_fields
    rules: list[Json] = []
    boots = [named(f) for f in ("image_id", "snapshot_id", "volume_id")]
    if model.__name__ == "DeploymentRequest" and all(boots):
        rules.append({"oneOf": [_only(name, boots) for name in boots]})
    ports = [named(f) for f in ("port_range_min", "port_range_max")]
    protocol, kind, prefix = (named(f) for f in ("protocol", "ethertype", "remote_ip_prefix"))
    if "port_range_min" in fields and all(ports) and protocol and kind and prefix:
        both = {
            "required": ports,
            "properties": {
                **{name: {"type": "integer"} for name in ports if name},
                protocol: {"enum": ["tcp", "udp"]},
            },
        }
        neither = {"properties": {name: {"type": "null"} for name in ports if name}}
        rules.append({"anyOf": [both, neither]})
        v4 = {"properties": {kind: {"const": "IPv4"}, prefix: IPV4}}
        v6 = {"required": [kind], "properties": {kind: {"const": "IPv6"}, prefix: IPV6}}
        rules.append({"anyOf": [v4, v6]})
    if model.__name__ == "UpdateScriptRequest":
        given = [{"required": [n], "properties": {n: {"type": "string"}}}
                 for n in map(named, fields) if n]  # fmt: skip
        rules.append({"anyOf": given})
    return rules


def _only(name: str | None, among: list[str | None]) -> Json:
    others = {other: {"type": "null"} for other in among if other and other != name}
    some = {"anyOf": [{"type": "integer"}, {"type": "string", "minLength": 1}]}
    return {"required": [name], "properties": {name: some, **others}}
