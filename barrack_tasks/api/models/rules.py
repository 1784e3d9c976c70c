"""Rules of names and numbers that are checked before anything goes on the wire.

Each rule stands beside the JSON schema that says it. Where a schema cannot say all, it describes
less than is taken, never more: a document that describes more promises what is then refused.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Sequence
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, Field

from barrack_tasks.api.models.base import Id, OpenEnum, OpenIntEnum
from barrack_tasks.api.models.gpus import GpuCountEnum

E = TypeVar("E", bound=OpenEnum | OpenIntEnum)

INSTANCE_NAME_LENGTH = (2, 30)
SNAPSHOT_NAME_LENGTH = (1, 50)
NAME_LENGTH = (1, 50)
PUBLIC_KEY_TYPES = (
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
)
"""Kinds of public keys that OpenSSH makes and a server takes [I]."""
INSTANCE_NAME_STRANGER = re.compile(r"[^A-Za-z0-9 _.\-]")


def check_instance_name(name: str) -> str:
    """Return the name, or raise ValueError with the rule it breaks [D]."""
    _check_length(name, INSTANCE_NAME_LENGTH)
    stranger = INSTANCE_NAME_STRANGER.search(name)
    if stranger:
        raise ValueError(
            f"may hold letters, digits, spaces, '-', '_' and '.'; "
            f"got {stranger.group()!r} at position {stranger.start() + 1} of {name!r}"
        )
    return name


def check_snapshot_name(name: str) -> str:
    """Return the name, or raise ValueError with the rule it breaks [D]."""
    _check_length(name, SNAPSHOT_NAME_LENGTH)
    return name


def check_name(name: str) -> str:
    """Return the name of a volume, firewall, key, script or image, or raise ValueError [I]."""
    _check_length(name, NAME_LENGTH)
    if not name.isprintable():
        position, stranger = next((i, c) for i, c in enumerate(name, 1) if not c.isprintable())
        raise ValueError(
            f"may hold printable characters only; got {stranger!r} at position {position} of "
            f"{name!r}"
        )
    return name


def _check_length(name: str, length: tuple[int, int]) -> None:
    least, most = length
    if not least <= len(name) <= most:
        raise ValueError(f"must be {least} to {most} characters long, got {len(name)}: {name!r}")


def check_known(word: E) -> E:
    """Return a word of an open enum that may be asked for, or raise ValueError.

    Answers may hold words that nobody knows yet; in a request one is a typing error.
    """
    if not word.known:
        raise ValueError(f"must be {_either([str(m.value) for m in type(word)])}; got {word!s}")
    return word


def _either(words: Sequence[str]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}" if len(words) > 1 else words[0]


def check_cidr(prefix: str) -> str:
    """Return a network in its shortest CIDR notation, or raise ValueError.

    The address must be the network's own: `10.0.0.5/24` is refused, and the error shows the
    network that was meant.
    """
    address, slash, length = prefix.partition("/")
    try:
        meant = ipaddress.ip_interface(prefix).network
        if "%" in prefix:
            raise ValueError(prefix)
    except ValueError:
        raise ValueError(
            f"must be a network in CIDR notation, such as 203.0.113.0/24 or 2001:db8::/32; "
            f"got {prefix!r}"
        ) from None
    if not slash:
        raise ValueError(f"must include the prefix length; {prefix!r} alone means {meant}")
    if not (length.isascii() and length.isdigit()):
        raise ValueError(f"must give the prefix length as a number; {prefix!r} means {meant}")
    if ipaddress.ip_address(address) != meant.network_address:
        raise ValueError(f"has host bits set: {prefix!r} lies in the network {meant}")
    return str(meant)


def _ipv4_networks() -> str:
    """A pattern of the networks of IPv4: no bit is set behind the prefix."""
    octet = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
    kinds = []
    for length in range(33):
        whole, part = divmod(length, 8)
        octets = [octet] * whole
        if part:
            octets.append(f"({'|'.join(str(n) for n in range(0, 256, 1 << (8 - part)))})")
        octets += ["0"] * (4 - len(octets))
        kinds.append(r"\.".join(octets) + f"/{length}")
    return f"^({'|'.join(kinds)})$"


IPV4 = {"type": "string", "pattern": _ipv4_networks()}
IPV6 = {"type": "string", "pattern": r"^(::/0|[1-9a-f][0-9a-f]{3}(:[0-9a-f]{1,4}){1,2}::/48)$"}


def check_ports(least: int | None, most: int | None) -> None:
    """Raise ValueError unless both ends of a range of ports are given, in order, or neither."""
    if (least is None) != (most is None):
        missing = "port_range_min" if least is None else "port_range_max"
        raise ValueError(
            f"port_range_min and port_range_max go together; {missing} is missing "
            f"(for one port, give it twice)"
        )
    if least is not None and most is not None and least > most:
        raise ValueError(f"port_range_min {least} is greater than port_range_max {most}")


def check_growth(old: int, new: int) -> int:
    """Return the new size of a volume in GB, or raise ValueError: volumes only grow [U]."""
    if new <= old:
        raise ValueError(f"size_gb must be more than the present {old} GB, got {new}")
    return new


def check_ids(ids: list[str]) -> list[str]:
    """Return a list of ids, or raise ValueError if it is empty or names one twice."""
    if not ids:
        raise ValueError("must name at least one")
    for position, id_ in enumerate(ids):
        if not id_.strip():
            raise ValueError(f"must not hold an empty id; number {position + 1} is empty")
        if id_ in ids[:position]:
            raise ValueError(f"must not name the same one twice; got {id_!r} again")
    return ids


def check_text(text: str) -> str:
    """Return a text that says something, or raise ValueError."""
    if not text.strip():
        raise ValueError("must not be empty")
    return text


def check_public_key(text: str) -> str:
    """Return a public key in OpenSSH's format, one line, or raise ValueError.

    No message repeats what was given: it may have been a private key.
    """
    key = text.strip()
    if "PRIVATE KEY" in key:
        raise ValueError("is a private key; give the public one, the line of the .pub file")
    if "\n" in key or "\r" in key:
        raise ValueError("must be one line, as in the .pub file")
    kind, _, rest = key.partition(" ")
    if kind not in PUBLIC_KEY_TYPES:
        raise ValueError(f"must begin with {_either(PUBLIC_KEY_TYPES)}")
    body = rest.split()
    try:
        blob = base64.b64decode(body[0] if body else "", validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"must hold valid base64 after {kind}") from None
    fields = _ssh_fields(blob)
    if len(fields) < 2:
        raise ValueError("is cut short: copy the whole line of the .pub file")
    inside = fields[0].decode("ascii", "replace")
    if inside != kind:
        said = inside if inside in PUBLIC_KEY_TYPES else "unknown"
        raise ValueError(f"begins with {kind}, but holds a key of type {said}")
    return key


def _ssh_fields(blob: bytes) -> list[bytes]:
    """The fields of a key, each after its length in four bytes; none if they do not add up."""
    fields: list[bytes] = []
    at = 0
    while at < len(blob):
        end = at + 4 + int.from_bytes(blob[at : at + 4], "big")
        if at + 4 > len(blob) or end > len(blob):
            return []
        fields.append(blob[at + 4 : end])
        at = end
    return fields


def says(**schema: Any) -> Any:
    """The JSON schema of what a check asks for."""
    return Field(json_schema_extra=schema)


_VISIBLE = "[!-~]"
# White space is not the same set of characters everywhere: one visible one is promised.
_ID = {"type": ["string", "integer"], "pattern": _VISIBLE}

InstanceName = Annotated[
    str, AfterValidator(check_instance_name), says(pattern=r"^[A-Za-z0-9 _.\-]{2,30}$")
]
SnapshotName = Annotated[str, AfterValidator(check_snapshot_name), says(minLength=1, maxLength=50)]
Name = Annotated[str, AfterValidator(check_name), says(pattern=r"^[ -~]{1,50}$")]
"""Name of a volume, firewall, key, script or image."""
Cidr = Annotated[str, AfterValidator(check_cidr)]
Ids = Annotated[list[Id], AfterValidator(check_ids), says(items=_ID, minItems=1, uniqueItems=True)]
"""Ids of what a request is about: at least one, none twice."""
Text = Annotated[str, AfterValidator(check_text), says(pattern=_VISIBLE)]
PublicKey = Annotated[
    str,
    AfterValidator(check_public_key),
    says(pattern=r"^ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI[A-P][A-Za-z0-9+/]{42}( [!-~]+)?$"),
]
OfferedGpuCount = Annotated[GpuCountEnum, AfterValidator(check_known)]
"""A number of GPUs that can be asked for [U]."""
