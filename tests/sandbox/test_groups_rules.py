"""Security rules of instances, and firewalls."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from barrack_tasks.sandbox import Sandbox
from tests.sandbox.conftest import KEY, Api

SSH = {"protocol": "tcp", "port_range_min": 22, "port_range_max": 22}
BAD: list[tuple[dict[str, Any], str]] = [
    ({}, "protocol"),
    ({"protocol": "carrier-pigeon"}, "protocol"),
    ({**SSH, "port_range_max": 70_000}, "port_range_max"),
    ({**SSH, "port_range_min": "22"}, "port_range_min"),
    ({**SSH, "remote_ip_prefix": "10.0.0.5/24"}, "remote_ip_prefix"),
    ({**SSH, "direction": "sideways"}, "direction"),
    ({"protocol": "icmp", "port_range_min": 1, "port_range_max": 2}, "body"),
    ({"protocol": "tcp", "port_range_min": 22}, "body"),
    ({**SSH, "port_range_min": 23}, "body"),
    ({**SSH, "ethertype": "IPv6", "remote_ip_prefix": "10.0.0.0/8"}, "body"),
]


def test_security_rules_of_an_instance(sandbox: Sandbox, api: Api) -> None:
    id_ = sandbox.seed_instance("alpha")
    at = f"/instances/{id_}/security-rules"
    rule = api.ok("POST", at, SSH)["security_rule"]
    number = rule.pop("id")
    assert rule == {
        "direction": "ingress",
        "ethertype": "IPv4",
        "protocol": "tcp",
        "port_range_min": 22,
        "port_range_max": 22,
        "remote_ip_prefix": "0.0.0.0/0",
        "status": "ACTIVE",
    }
    assert api.ok("GET", f"/instances/{id_}")["instance"]["security_rules"] == [
        {"id": number, **rule}
    ]
    assert api.ok("GET", "/instances")["instances"][0]["security_rules"] == [{"id": number, **rule}]
    assert api.no(409, "POST", at, SSH)["error_reason"] == "duplicate_rule"
    other = api.ok("POST", at, {"protocol": "icmp", "ethertype": "IPv6"})["security_rule"]
    assert other["remote_ip_prefix"] == "::/0"
    api.ok("DELETE", f"{at}/{number}")
    api.no(404, "DELETE", f"{at}/{number}")
    left = api.ok("GET", f"/instances/{id_}")["instance"]["security_rules"]
    assert [x["id"] for x in left] == [other["id"]]
    api.no(404, "POST", "/instances/none/security-rules", SSH)
    api.no(404, "DELETE", f"/instances/none/security-rules/{other['id']}")
    details = [x["detail"] for x in sandbox.ledger() if "rule" in x["detail"]]
    assert details[0] == f"rule {number} added: ingress tcp 22-22 0.0.0.0/0"


def test_a_rule_without_ports_is_about_all(sandbox: Sandbox, api: Api) -> None:
    at = f"/instances/{sandbox.seed_instance('alpha')}/security-rules"
    api.ok("POST", at, {"protocol": "tcp"})
    api.no(409, "POST", at, {"protocol": "TCP", "port_range_min": 1, "port_range_max": 65535})
    api.ok("POST", at, {"protocol": "udp"})


@pytest.mark.parametrize(("sent", "field"), BAD)
def test_rules_that_are_refused(
    sandbox: Sandbox, api: Api, sent: dict[str, Any], field: str
) -> None:
    id_ = sandbox.seed_instance("alpha")
    body = api.no(422, "POST", f"/instances/{id_}/security-rules", sent)
    assert list(body["errors"]) == [field]
    firewall = api.ok("POST", "/firewalls", {"name": "f", "region": "US-1"})["firewall"]["id"]
    body = api.no(422, "POST", f"/firewalls/{firewall}/rules", sent)
    assert list(body["errors"]) == [field]


def test_a_new_instance_has_the_rules_it_asks_for(api: Api) -> None:
    ask = {"name": "beta", "region": "CANADA-1", "gpu_model": "L40", "image_id": 1}
    made = api.ok("POST", "/instances", {**ask, "security_rules": [SSH]})["instance"]["id"]
    rules = api.ok("GET", f"/instances/{made}")["instance"]["security_rules"]
    assert [(x["protocol"], x["port_range_min"]) for x in rules] == [("tcp", 22)]


def test_golden_shape_and_life_of_a_firewall() -> None:
    start = datetime(2026, 11, 25, 8, 0, tzinfo=UTC)
    with Sandbox(api_key=KEY, speed=0, fleet=0, start=start) as sandbox:
        api = Api(sandbox)
        id_ = sandbox.seed_instance("alpha")
        ask = {"name": "web", "region": "CANADA-1", "description": "in front"}
        made = api.ok("POST", "/firewalls", ask)["firewall"]
        assert made == {
            "id": 7101,
            "name": "web",
            "description": "in front",
            "status": "SUCCESS",
            "environment": {"name": "default-CANADA-1", "region": "CANADA-1"},
            "rules": [],
            "attachments": [],
            "created_at": "2026-11-25T08:00:00Z",
            "updated_at": "2026-11-25T08:00:00Z",
        }
        assert api.no(409, "POST", "/firewalls", ask)["error_reason"] == "duplicate_name"
        rule = api.ok("POST", "/firewalls/7101/rules", SSH)["rule"]
        assert (rule["protocol"], rule["status"]) == ("tcp", "SUCCESS")
        assert rule["created_at"] == "2026-11-25T08:00:00Z"
        api.no(409, "POST", "/firewalls/7101/rules", SSH)
        sandbox.advance(60)
        attached = api.ok("POST", "/firewalls/7101/attach", {"instance_ids": [id_]})["attachments"]
        assert attached == [
            {
                "id": attached[0]["id"],
                "instance": {"id": id_, "name": "alpha", "status": "ACTIVE"},
                "status": "SUCCESS",
                "created_at": "2026-11-25T08:01:00Z",
            }
        ]
        now = api.ok("GET", "/firewalls/7101")["firewall"]
        assert now == {
            **made,
            "rules": [rule],
            "attachments": attached,
            "updated_at": "2026-11-25T08:01:00Z",
        }
        listed = api.ok("GET", "/firewalls")
        assert listed["firewalls"] == [now]
        assert listed["pagination"]["total"] == 1
        (guard,) = api.ok("GET", f"/instances/{id_}/firewalls")["firewalls"]
        assert (guard["id"], guard["rules"]) == (7101, [rule])
        assert guard["attached_at"] == "2026-11-25T08:01:00Z"
        assert api.no(409, "DELETE", "/firewalls/7101")["error_reason"] == "firewall_in_use"
        api.ok("DELETE", f"/firewalls/7101/rules/{rule['id']}")
        api.no(404, "DELETE", f"/firewalls/7101/rules/{rule['id']}")
        sandbox.set_instance_status(id_, "DELETED")
        assert api.ok("GET", "/firewalls/7101")["firewall"]["attachments"] == []
        api.ok("DELETE", "/firewalls/7101")
        api.no(404, "GET", "/firewalls/7101")
        api.no(404, "DELETE", "/firewalls/7101")


def test_attach_to_many_or_none(sandbox: Sandbox, api: Api) -> None:
    one, two = sandbox.seed_instance("one"), sandbox.seed_instance("two", status="SHUTOFF")
    far = sandbox.seed_instance("far", region="US-1")
    asleep = sandbox.seed_instance("asleep", status="HIBERNATED")
    api.ok("POST", "/firewalls", {"name": "web", "region": "CANADA-1"})

    def attach(*ids: str) -> dict[str, Any]:
        return {"instance_ids": list(ids)}

    at = "/firewalls/7101/attach"
    assert api.no(409, "POST", at, attach(one, far))["error_reason"] == "wrong_region"
    api.no(409, "POST", at, attach(one, asleep))
    api.no(404, "POST", at, attach(one, "none"))
    api.no(422, "POST", at, attach())
    api.no(422, "POST", at, attach(one, one))
    assert api.ok("GET", "/firewalls/7101")["firewall"]["attachments"] == []
    first = api.ok("POST", at, attach(one))["attachments"]
    both = api.ok("POST", at, attach(one, two))["attachments"]
    assert both[0] == first[0]
    assert [x["instance"]["id"] for x in both] == [one, two]
    assert api.ok("GET", "/firewalls/7101")["firewall"]["attachments"] == both
    api.no(404, "POST", "/firewalls/1/attach", attach(one))
    api.no(404, "GET", "/instances/none/firewalls")
    eligible = api.ok("GET", "/firewalls/eligible-instances")["instances"]
    assert [x["name"] for x in eligible] == ["one", "two", "far"]


def test_firewalls_that_are_refused(api: Api) -> None:
    for sent, field in [
        ({"name": "f", "region": "MARS-1"}, "region"),
        ({"name": "", "region": "US-1"}, "name"),
        ({"name": "f"}, "region"),
    ]:
        assert list(api.no(422, "POST", "/firewalls", sent)["errors"]) == [field]
    assert api.ok("GET", "/firewalls")["firewalls"] == []


def test_protocols(api: Api) -> None:
    names = [x["name"] for x in api.ok("GET", "/firewalls/protocols")["protocols"]]
    assert {"any", "tcp", "udp", "icmp"} <= set(names)
