"""Rules that are checked before anything goes on the wire, and what they say when broken."""

from __future__ import annotations

import base64
import ipaddress
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError

from barrack_tasks.api import models as m
from barrack_tasks.api.models import rules

OPEN = {"protocol": "tcp"}
RULE_REQUESTS = [m.VMSecurityRuleRequest, m.AddFirewallRuleRequest]


def refusal(kind: type[BaseModel], **fields: Any) -> tuple[str, str]:
    """The one field that is refused ("" for the whole request), and why."""
    with pytest.raises(ValidationError) as caught:
        kind(**fields)
    (error,) = caught.value.errors(include_url=False)
    place = ".".join(str(part) for part in error["loc"])
    return place, error["msg"].removeprefix("Value error, ")


# Networks


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        ("10.0.0.5/24", "has host bits set: '10.0.0.5/24' lies in the network 10.0.0.0/24"),
        ("2001:db8::1/32", "has host bits set: '2001:db8::1/32' lies in the network 2001:db8::/32"),
        ("10.0.0.1", "must include the prefix length; '10.0.0.1' alone means 10.0.0.1/32"),
        (
            "10.0.0.0/255.255.255.0",
            "must give the prefix length as a number; '10.0.0.0/255.255.255.0' means 10.0.0.0/24",
        ),
        *(
            (
                text,
                "must be a network in CIDR notation, such as 203.0.113.0/24 or 2001:db8::/32; "
                f"got {text!r}",
            )
            for text in ("", "/", "anywhere", "10.0.0.0/33", "10.0.0/8", "10.0.0.0/8/8", "::/129",
                         "fe80::%eth0/64", " 10.0.0.0/8", "10.0.0.0/-1", "10.0.0.256/32")
        ),
    ],
)  # fmt: skip
def test_a_prefix_that_is_no_network(given_: str, message: str) -> None:
    for kind in RULE_REQUESTS:
        assert refusal(kind, **OPEN, remote_ip_prefix=given_) == ("remote_ip_prefix", message)


@given(st.ip_addresses(), st.data())
def test_every_network_is_taken_and_every_host_shown_its_network(address: Any, data: Any) -> None:
    length = data.draw(st.integers(0, address.max_prefixlen))
    network = ipaddress.ip_network((address, length), strict=False)
    assert rules.check_cidr(str(network)) == str(network)
    version = f"IPv{network.version}"
    rule = m.AddFirewallRuleRequest(
        protocol=m.ProtocolEnum.TCP, ethertype=version, remote_ip_prefix=str(network)
    )
    assert rule.remote_ip_prefix == str(network)
    assume(address != network.network_address)
    with pytest.raises(ValueError, match="has host bits set") as caught:
        rules.check_cidr(f"{address}/{length}")
    assert str(caught.value).endswith(f" {network}")


@given(st.text())
def test_text_is_a_network_in_its_shortest_form_or_refused(text: str) -> None:
    try:
        network = rules.check_cidr(text)
    except ValueError:
        return
    assert rules.check_cidr(network) == network
    assert ipaddress.ip_network(text) == ipaddress.ip_network(network)


def test_a_network_is_sent_in_its_shortest_form() -> None:
    assert rules.check_cidr("2001:DB8:0:0::/32") == "2001:db8::/32"


def test_a_network_of_the_other_version() -> None:
    assert refusal(m.VMSecurityRuleRequest, **OPEN, remote_ip_prefix="::/0") == (
        "",
        "remote_ip_prefix ::/0 is IPv6, but ethertype is IPv4",
    )
    assert refusal(
        m.AddFirewallRuleRequest, **OPEN, ethertype="IPv6", remote_ip_prefix="10.0.0.0/8"
    ) == ("", "remote_ip_prefix 10.0.0.0/8 is IPv4, but ethertype is IPv6")


@pytest.mark.parametrize("kind", RULE_REQUESTS)
def test_no_prefix_means_everywhere_in_its_version(kind: Any) -> None:
    assert kind(protocol="tcp").remote_ip_prefix == "0.0.0.0/0"
    assert kind(protocol="tcp", ethertype="ipv6").remote_ip_prefix == "::/0"
    assert kind(protocol="tcp", ethertype=m.EthertypeEnum.IPV6).remote_ip_prefix == "::/0"


# Ports


@given(st.integers(1, 65535), st.integers(1, 65535))
def test_ports_in_order_are_taken_and_others_refused(one: int, other: int) -> None:
    least, most = sorted((one, other))
    rule = m.VMSecurityRuleRequest(
        protocol=m.ProtocolEnum.UDP, port_range_min=least, port_range_max=most
    )
    assert (rule.port_range_min, rule.port_range_max) == (least, most)
    assume(least != most)
    assert refusal(
        m.VMSecurityRuleRequest, protocol="udp", port_range_min=most, port_range_max=least
    ) == ("", f"port_range_min {most} is greater than port_range_max {least}")


@given(st.integers().filter(lambda port: not 1 <= port <= 65535))
def test_ports_that_are_none(port: int) -> None:
    message = (
        "Input should be greater than or equal to 1"
        if port < 1
        else "Input should be less than or equal to 65535"
    )
    for end in ("port_range_min", "port_range_max"):
        ports = {"port_range_min": 80, "port_range_max": 80, end: port}
        assert refusal(m.AddFirewallRuleRequest, **OPEN, **ports) == (end, message)


@pytest.mark.parametrize("kind", RULE_REQUESTS)
@pytest.mark.parametrize("end", ["port_range_min", "port_range_max"])
def test_one_end_of_a_range_alone(kind: Any, end: str) -> None:
    missing = {"port_range_min", "port_range_max"} - {end}
    assert refusal(kind, **OPEN, **{end: 22}) == (
        "",
        f"port_range_min and port_range_max go together; {missing.pop()} is missing "
        "(for one port, give it twice)",
    )


@pytest.mark.parametrize("protocol", [p for p in m.ProtocolEnum if not p.has_ports])
def test_ports_of_a_protocol_that_has_none(protocol: m.ProtocolEnum) -> None:
    assert m.VMSecurityRuleRequest(protocol=protocol).port_range_min is None
    ports = {"port_range_min": 1, "port_range_max": 2}
    assert refusal(m.VMSecurityRuleRequest, protocol=protocol, **ports) == (
        "",
        "port_range_min and port_range_max must not be given: "
        f"the protocol {protocol} has no ports",
    )


def test_which_protocols_have_ports() -> None:
    with_ports = {str(p) for p in m.ProtocolEnum if p.has_ports}
    assert with_ports == {"tcp", "udp", "sctp", "dccp", "udplite"}


# Words


def test_a_word_that_nobody_knows_is_refused_and_the_known_are_named() -> None:
    place, message = refusal(m.AddFirewallRuleRequest, protocol="tpc")
    assert place == "protocol"
    assert message.startswith("must be any, tcp, udp, icmp, ")
    assert message.endswith(" or vrrp; got tpc")
    assert refusal(m.AddFirewallRuleRequest, **OPEN, direction="in") == (
        "direction",
        "must be ingress or egress; got in",
    )
    assert refusal(m.AddFirewallRuleRequest, **OPEN, ethertype="IPv5") == (
        "ethertype",
        "must be IPv4 or IPv6; got IPv5",
    )


def test_a_known_word_is_taken_in_any_case() -> None:
    rule = m.VMSecurityRuleRequest.model_validate({"protocol": "TCP", "direction": "Egress"})
    assert rule.protocol is m.ProtocolEnum.TCP
    assert rule.direction is m.DirectionEnum.EGRESS


@given(st.integers(-(2**31), 2**31))
def test_gpu_counts(count: int) -> None:
    deployment = {"name": "alpha", "region": "CANADA-1", "gpu_model": "L40", "image_id": 1}
    if count in (1, 2, 4, 8, 10):
        assert m.DeploymentRequest(**deployment, gpu_count=count).gpu_count == count
        assert m.PricingRequest(gpu_model="L40", gpu_count=count).gpu_count == count
        return
    refused = ("gpu_count", f"must be 1, 2, 4, 8 or 10; got {count}")
    assert refusal(m.DeploymentRequest, **deployment, gpu_count=count) == refused
    assert refusal(m.PricingRequest, gpu_model="L40", gpu_count=count) == refused


def test_models_and_regions_that_nobody_knows_may_be_asked_for() -> None:
    ask = m.PricingRequest.model_validate({"gpu_model": "B300", "region": "MARS-1"})
    assert (ask.gpu_model, ask.region) == ("B300", "MARS-1")


# Names

NAMED: list[tuple[type[BaseModel], dict[str, Any]]] = [
    (m.CreateVolumeRequest, {"size_gb": 1, "region": "CANADA-1"}),
    (m.CloneVolumeRequest, {}),
    (m.CreateFirewallRequest, {"region": "CANADA-1"}),
    (m.CreateScriptRequest, {"content": "#!/bin/sh"}),
    (m.UpdateScriptRequest, {}),
    (m.CreateImageFromSnapshotRequest, {"snapshot_id": 1}),
]


@given(st.text(max_size=60))
def test_names_are_1_to_50_printable_characters(name: str) -> None:
    is_good = 1 <= len(name) <= 50 and name.isprintable()
    for kind, others in NAMED:
        if is_good:
            assert kind(name=name, **others).model_dump()["name"] == name
        else:
            assert refusal(kind, name=name, **others)[0] == "name"


@pytest.mark.parametrize(("kind", "others"), NAMED)
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "must be 1 to 50 characters long, got 0: ''"),
        ("x" * 51, f"must be 1 to 50 characters long, got 51: '{'x' * 51}'"),
        ("a\tb", r"may hold printable characters only; got '\t' at position 2 of 'a\tb'"),
        ("a\x00", r"may hold printable characters only; got '\x00' at position 2 of 'a\x00'"),
    ],
)
def test_what_a_refused_name_is_told(
    kind: type[BaseModel], others: dict[str, Any], name: str, message: str
) -> None:
    assert refusal(kind, name=name, **others) == ("name", message)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("x", "must be 2 to 30 characters long, got 1: 'x'"),
        ("x" * 31, f"must be 2 to 30 characters long, got 31: '{'x' * 31}'"),
        (
            "gpu/1",
            "may hold letters, digits, spaces, '-', '_' and '.'; got '/' at position 4 of 'gpu/1'",
        ),
    ],
)
def test_names_of_instances(name: str, message: str) -> None:
    assert refusal(m.RestoreSnapshotRequest, name=name) == ("name", message)


def test_names_of_snapshots() -> None:
    assert refusal(m.CreateSnapshotRequest, instance_id="BRK-1", name="") == (
        "name",
        "must be 1 to 50 characters long, got 0: ''",
    )


# Sizes


def test_a_volume_has_a_size() -> None:
    for kind, others in (
        (m.ResizeVolumeRequest, {}),
        (m.CreateVolumeRequest, {"name": "data", "region": "CANADA-1"}),
    ):
        for size in (0, -1):
            assert refusal(kind, **others, size_gb=size) == (
                "size_gb",
                "Input should be greater than or equal to 1",
            )


@given(st.integers(1), st.integers(1))
def test_a_volume_only_grows(old: int, new: int) -> None:
    if new > old:
        assert rules.check_growth(old, new) == new
        return
    with pytest.raises(ValueError, match="size_gb") as caught:
        rules.check_growth(old, new)
    assert str(caught.value) == f"size_gb must be more than the present {old} GB, got {new}"


# Lists of ids

LISTS: list[tuple[type[BaseModel], str]] = [
    (m.AttachVolumesRequest, "volume_ids"),
    (m.DetachVolumesRequest, "volume_ids"),
    (m.AttachFirewallRequest, "instance_ids"),
    (m.DeleteScriptsRequest, "script_ids"),
    (m.GetBatchSnapshotImageRelationshipsRequest, "snapshot_ids"),
]


@pytest.mark.parametrize(("kind", "field"), LISTS)
def test_lists_of_ids(kind: type[BaseModel], field: str) -> None:
    assert kind(**{field: [1, "2"]}).model_dump()[field] == ["1", "2"]
    assert refusal(kind, **{field: []}) == (field, "must name at least one")
    assert refusal(kind, **{field: ["1", 1]}) == (
        field,
        "must not name the same one twice; got '1' again",
    )
    assert refusal(kind, **{field: ["1", " "]}) == (
        field,
        "must not hold an empty id; number 2 is empty",
    )


# Public keys


def ssh_key(kind: str, *fields: bytes, inside: str | None = None) -> str:
    """A public key of this kind: the line of a .pub file without its comment."""
    parts = ((inside or kind).encode(), *(fields or (b"\x01" * 32,)))
    blob = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    return f"{kind} {base64.b64encode(blob).decode()}"


def key_refusal(text: str) -> str:
    place, message = refusal(m.CreateSSHKeyRequest, name="laptop", public_key=text)
    assert place == "public_key"
    return message


REAL = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl github.com"


@pytest.mark.parametrize(
    "key", [REAL, f"  {REAL}\n", *(ssh_key(kind) for kind in rules.PUBLIC_KEY_TYPES)]
)
def test_public_keys(key: str) -> None:
    asked = m.CreateSSHKeyRequest(name="laptop", public_key=f"{key}")
    assert asked.public_key == key.strip()


@given(st.binary(max_size=600), st.sampled_from(rules.PUBLIC_KEY_TYPES), st.text(max_size=20))
def test_public_keys_of_any_contents(body: bytes, kind: str, comment: str) -> None:
    assume("\n" not in comment and "\r" not in comment and "PRIVATE KEY" not in comment)
    key = f"{ssh_key(kind, body)} {comment}".strip()
    assert rules.check_public_key(key) == key


@given(st.sampled_from(rules.PUBLIC_KEY_TYPES), st.integers(1, 40))
def test_a_key_that_is_cut_short(kind: str, missing: int) -> None:
    front, body = ssh_key(kind, b"\x07" * 64).split()
    with pytest.raises(ValueError, match=r"base64|cut short"):
        rules.check_public_key(f"{front} {body[:-missing]}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", f"must begin with {', '.join(rules.PUBLIC_KEY_TYPES[:-1])} or "
             f"{rules.PUBLIC_KEY_TYPES[-1]}"),
        (ssh_key("ssh-dss"), f"must begin with {', '.join(rules.PUBLIC_KEY_TYPES[:-1])} or "
                             f"{rules.PUBLIC_KEY_TYPES[-1]}"),
        ("ssh-rsa", "is cut short: copy the whole line of the .pub file"),
        ("ssh-rsa AAAA", "is cut short: copy the whole line of the .pub file"),
        ("ssh-rsa not*base64", "must hold valid base64 after ssh-rsa"),
        ("ssh-rsa schlüssel", "must hold valid base64 after ssh-rsa"),
        (ssh_key("ssh-rsa", inside="ssh-ed25519"),
         "begins with ssh-rsa, but holds a key of type ssh-ed25519"),
        (
            ssh_key("ssh-rsa", inside="secret"),
            "begins with ssh-rsa, but holds a key of type unknown",
        ),
        (f"{ssh_key('ssh-rsa')}\n{ssh_key('ssh-rsa')}", "must be one line, as in the .pub file"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0\n-----END OPENSSH PRIVATE KEY-----",
         "is a private key; give the public one, the line of the .pub file"),
    ],
)  # fmt: skip
def test_what_is_no_public_key(text: str, message: str) -> None:
    assert key_refusal(text) == message


@given(st.text())
def test_text_is_a_public_key_or_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"private|one line|begin with|base64|cut short"):
        rules.check_public_key(text)


def test_a_private_key_is_in_no_error() -> None:
    secret = "c2VjcmV0c2VjcmV0"
    for text in (f"-----BEGIN RSA PRIVATE KEY-----\n{secret}", f"ssh-rsa {secret}", secret):
        with pytest.raises(ValidationError) as caught:
            m.CreateSSHKeyRequest(name="laptop", public_key=text)
        assert secret not in str(caught.value)


# Scripts and conversations


def test_a_script_has_contents() -> None:
    assert refusal(m.CreateScriptRequest, name="boot", content=" \n") == (
        "content",
        "must not be empty",
    )


def test_an_update_changes_something() -> None:
    assert refusal(m.UpdateScriptRequest) == (
        "",
        "at least one of name, content and description must be given",
    )
    assert m.UpdateScriptRequest(description="").description == ""


def test_a_conversation_says_something() -> None:
    assert refusal(m.ChatCompletionsRequest, model="llama", messages=[]) == (
        "messages",
        "must hold at least one message",
    )
    wrong = [{"role": "user", "content": "hi"}, {"role": "robot", "content": "hi"}]
    assert refusal(m.ChatCompletionsRequest, model="llama", messages=wrong) == (
        "messages.1.role",
        "must be system, user or assistant; got robot",
    )
    empty = [{"role": "user", "content": ""}]
    assert refusal(m.ChatCompletionsRequest, model="llama", messages=empty) == (
        "messages.0.content",
        "must not be empty",
    )
    assert refusal(m.ChatCompletionsRequest, model=" ", messages=wrong[:1]) == (
        "model",
        "must not be empty",
    )


# What the schemas beside the rules describe


@pytest.mark.parametrize(
    "kind", [rules.InstanceName, rules.SnapshotName, rules.Name, rules.Text, rules.PublicKey]
)
@given(data=st.data())
def test_a_text_that_its_schema_describes_is_taken(kind: Any, data: st.DataObject) -> None:
    adapter = TypeAdapter(kind)
    schema = adapter.json_schema()
    assert set(schema) > {"type"}
    if "pattern" in schema:
        whole = schema["pattern"].startswith("^")
        text = data.draw(st.from_regex(schema["pattern"], fullmatch=whole))
    else:
        text = data.draw(st.text(min_size=schema["minLength"], max_size=schema["maxLength"]))
    assert adapter.validate_python(text) == (text.strip() if kind is rules.PublicKey else text)


@given(data=st.data())
def test_a_network_that_its_schema_describes_is_taken(data: st.DataObject) -> None:
    version = data.draw(st.sampled_from([rules.IPV4, rules.IPV6]))
    prefix = data.draw(st.from_regex(version["pattern"], fullmatch=True))
    assert rules.check_cidr(prefix)


def test_a_schema_of_a_request_tells_its_rules() -> None:
    ids = m.AttachVolumesRequest.model_json_schema()["properties"]["volume_ids"]
    assert (ids["minItems"], ids["uniqueItems"]) == (1, True)
    assert len(m.DeploymentRequest.model_json_schema()["oneOf"]) == 3
    assert len(m.UpdateScriptRequest.model_json_schema()["anyOf"]) == 3
    for kind in RULE_REQUESTS:
        assert len(kind.model_json_schema()["allOf"]) == 2
