"""For every operation that changes something: how to come to where it can be asked for once."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from barrack_tasks.api import Barrack
from barrack_tasks.sandbox import Sandbox

PUBLIC_KEY = (
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGJhcnJhY2shYmFycmFjayFiYXJyYWNrIWJhcnJhY2sh me@here"
)
RULE = {"protocol": "tcp", "remote_ip_prefix": "10.0.0.0/8"}
_numbers = itertools.count(1)


class Account:
    """A cloud and a client that nothing goes wrong for, to prepare with."""

    def __init__(self, sandbox: Sandbox, client: Barrack) -> None:
        self.sandbox = sandbox
        self.client = client

    def name(self) -> str:
        """A name that is free."""
        return f"thing {next(_numbers)}"

    def port(self) -> dict[str, int]:
        """A range of ports that no rule names yet."""
        port = next(_numbers)
        return {"port_range_min": port, "port_range_max": port}

    def instance(self, status: str = "ACTIVE") -> str:
        """The id of a new instance."""
        return self.sandbox.seed_instance(self.name(), status=status)

    def snapshot(self) -> str:
        """The id of a snapshot that is ready."""
        made = self.client.snapshots.create(self.instance(), self.name())
        self.sandbox.advance(200)
        return made.id

    def make(self, operation: str, **arguments: Any) -> str:
        """The id of what a create makes, when it is ready."""
        made = self.client.perform(operation, name=self.name(), **arguments)
        self.sandbox.advance(600)
        return str(made.id)

    def volume(self, size_gb: int = 10) -> str:
        """The id of a volume that is free."""
        return self.make("create_volume", size_gb=size_gb, region="CANADA-1")

    def firewall(self) -> str:
        """The id of a firewall without rules."""
        return self.make("create_firewall", region="CANADA-1")

    def script(self) -> str:
        """The id of a startup script."""
        return self.make("create_script", content="#!/bin/sh\n")


def _rule_of_an_instance(a: Account) -> dict[str, Any]:
    id_ = a.instance()
    rule = a.client.perform("add_security_rule", instance_id=id_, **RULE, **a.port())
    return {"instance_id": id_, "rule_id": rule.id}


def _rule_of_a_firewall(a: Account) -> dict[str, Any]:
    id_ = a.firewall()
    rule = a.client.perform("add_firewall_rule", firewall_id=id_, **RULE, **a.port())
    return {"firewall_id": id_, "rule_id": rule.id}


def _attached(a: Account) -> dict[str, Any]:
    about = {"instance_id": a.instance(), "volume_ids": [a.volume(), a.volume()]}
    a.client.perform("attach_volumes", **about)
    a.sandbox.advance(600)
    return about


Recipe = Callable[[Account], dict[str, Any]]

RECIPES: dict[str, Recipe] = {
    "create_instance": lambda a: {
        "name": a.name(),
        "region": "CANADA-1",
        "gpu_model": "L40",
        "image_id": "1",
    },
    "start_instance": lambda a: {"instance_id": a.instance("SHUTOFF")},
    "stop_instance": lambda a: {"instance_id": a.instance()},
    "reboot_instance": lambda a: {"instance_id": a.instance()},
    "hibernate_instance": lambda a: {"instance_id": a.instance()},
    "restore_instance": lambda a: {"instance_id": a.instance("HIBERNATED")},
    "toggle_public_ip": lambda a: {"instance_id": a.instance()},
    "add_security_rule": lambda a: {"instance_id": a.instance(), **RULE, **a.port()},
    "remove_security_rule": _rule_of_an_instance,
    "delete_instance": lambda a: {"instance_id": a.instance()},
    "create_ssh_key": lambda a: {"name": a.name(), "public_key": PUBLIC_KEY},
    "delete_ssh_key": lambda a: {"key_id": a.make("create_ssh_key", public_key=PUBLIC_KEY)},
    "create_volume": lambda a: {"name": a.name(), "size_gb": 10, "region": "CANADA-1"},
    "delete_volume": lambda a: {"volume_id": a.volume()},
    "resize_volume": lambda a: {"volume_id": a.volume(10), "size_gb": 20},
    "clone_volume": lambda a: {"volume_id": a.volume(), "name": a.name()},
    "attach_volumes": lambda a: {"instance_id": a.instance(), "volume_ids": [a.volume()]},
    "detach_volumes": _attached,
    "create_firewall": lambda a: {"name": a.name(), "region": "CANADA-1"},
    "delete_firewall": lambda a: {"firewall_id": a.firewall()},
    "add_firewall_rule": lambda a: {"firewall_id": a.firewall(), **RULE, **a.port()},
    "remove_firewall_rule": _rule_of_a_firewall,
    "attach_firewall": lambda a: {"firewall_id": a.firewall(), "instance_ids": [a.instance()]},
    "create_script": lambda a: {"name": a.name(), "content": "#!/bin/sh\n"},
    "update_script": lambda a: {"script_id": a.script(), "content": "#!/bin/sh\ntrue\n"},
    "delete_script": lambda a: {"script_id": a.script()},
    "delete_scripts": lambda a: {"script_ids": [a.script(), a.script()]},
    "create_snapshot": lambda a: {"instance_id": a.instance(), "name": a.name()},
    "delete_snapshot": lambda a: {"snapshot_id": a.snapshot()},
    "restore_snapshot": lambda a: {"snapshot_id": a.snapshot(), "name": a.name()},
    "create_image": lambda a: {"snapshot_id": a.snapshot(), "name": a.name()},
    "delete_image": lambda a: {"image_id": a.make("create_image", snapshot_id=a.snapshot())},
    "chat": lambda a: {
        "model": str(a.client.perform("list_ai_models")[0].id),
        "messages": [{"role": "user", "content": "Good morning"}],
    },
}
