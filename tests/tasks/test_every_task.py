"""Each task once, through Prefect and over HTTP: what comes back, and what it has done.

A test is named after its task. The account has three ACTIVE instances: alpha in CANADA-1, beta in
NORWAY-1 and gamma in US-1.
"""

from __future__ import annotations

import asyncio
import base64
import typing
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

import barrack_tasks as tasks
from barrack_tasks import BarrackCredentials
from barrack_tasks.api import (
    BarrackConflictError,
    BarrackNotFoundError,
    BarrackOutOfStockError,
    BarrackValidationError,
)
from barrack_tasks.api import models as m
from barrack_tasks.api.operations import OPERATIONS
from barrack_tasks.sandbox import Sandbox

LONG = 3600
"""Sandbox seconds in which everything that was begun is done."""
FLEET = {"alpha": "CANADA-1", "beta": "NORWAY-1", "gamma": "US-1"}
S = m.VMStatus


class Cloud:
    """An account, and what a test needs to know of it."""

    def __init__(self, sandbox: Sandbox, account: BarrackCredentials) -> None:
        self.sandbox = sandbox
        self.account = account
        self.client = account.get_client()
        self.alpha, self.beta, self.gamma = (x["id"] for x in sandbox.state()["instances"])
        self.called: set[str] = set()

    def call(self, task: Any, *args: Any, **kwargs: Any) -> Any:
        """Call a task as a user does, and check that it gives what its signature says.

        It is awaited, as people do in a notebook, which is more than a plain call.
        """
        self.called.add(task.name)

        async def cell() -> Any:
            return await task(self.account, *args, **kwargs)

        result = asyncio.run(cell())
        check(result, typing.get_type_hints(task.fn)["return"])
        return result

    def wait(self) -> None:
        """Let everything that was begun be done."""
        self.sandbox.advance(LONG)

    def status(self, id_: str) -> m.VMStatus:
        return self.client.instances.get(id_).status

    def snapshot(self, name: str = "copy", **how: Any) -> str:
        """The id of a snapshot of alpha that is ready."""
        snapshot = self.client.snapshots.create(self.alpha, name, **how)
        self.wait()
        return snapshot.id

    def image(self, name: str = "base") -> str:
        """The id of an image that is ready."""
        image = self.client.images.create(self.snapshot(), name)
        self.wait()
        return image.id

    def volume(self, name: str = "data", size_gb: int = 100) -> str:
        """The id of a volume in alpha's region that is ready."""
        volume = self.client.volumes.create(name, size_gb, FLEET["alpha"])
        self.wait()
        return volume.id

    def firewall(self, name: str = "web") -> str:
        """The id of a firewall in alpha's region."""
        return self.client.firewalls.create(name, FLEET["alpha"]).id

    def script(self, name: str = "tools") -> str:
        return self.client.scripts.create(name, "#!/bin/sh\ntrue\n").id


def check(result: Any, annotation: Any) -> None:
    if typing.get_origin(annotation) is list:
        assert isinstance(result, list)
        [kind] = typing.get_args(annotation)
        assert all(isinstance(item, kind) for item in result)
    else:
        assert isinstance(result, annotation)


def public_key(kind: bytes = b"ssh-ed25519") -> str:
    blob = b"".join(len(part).to_bytes(4, "big") + part for part in (kind, b"\7" * 32))
    return f"{kind.decode()} {base64.b64encode(blob).decode()} me@laptop"


@pytest.fixture
def cloud(
    sandbox: Sandbox, account: BarrackCredentials, request: pytest.FixtureRequest
) -> Iterator[Cloud]:
    """Checks at the end that the task was called, and that the cloud has had its request."""
    cloud = Cloud(sandbox, account)
    yield cloud
    name = request.function.__name__.removeprefix("test_")
    assert cloud.called == {name}
    assert [r for r in sandbox.requests() if r["operation"] == name and r["status"] == 200]


def refuses(error: type[Exception], match: str) -> Any:
    return pytest.raises(error, match=match)


def test_there_is_a_test_for_every_operation() -> None:
    assert {f"test_{name}" for name in OPERATIONS} <= set(globals())


# Balance, GPUs, regions, prices


def test_get_credit_balance(cloud: Cloud) -> None:
    balance = cloud.call(tasks.get_credit_balance)
    assert balance == m.Balance(amount=Decimal(5000), currency=m.CurrencyEnum.USD)


def test_get_gpu_stock(cloud: Cloud) -> None:
    cloud.sandbox.set_stock("NORWAY-1", "L40", 3)
    cloud.sandbox.set_stock("US-1", "L40", 250)
    stock = {(s.region, s.gpu_model): s for s in cloud.call(tasks.get_gpu_stock)}
    assert stock["NORWAY-1", "L40"].count.at_least == 3
    assert [(c.gpu_count, c.available) for c in stock["NORWAY-1", "L40"].configurations][:2] == [
        (1, 3),
        (2, 1),
    ]
    assert stock["US-1", "L40"].count.at_least == 200
    assert stock["US-1", "L40"].count.is_open_ended


def test_get_gpu_specs(cloud: Cloud) -> None:
    specs = {g.gpu_model: g for g in cloud.call(tasks.get_gpu_specs)}
    assert specs["L40"].memory_gb == 48
    assert [s.gpu_count for s in specs["L40"].specs] == [1, 2, 4, 8, 10]


def test_list_regions(cloud: Cloud) -> None:
    assert {r.name for r in cloud.call(tasks.list_regions)} == set(FLEET.values())


def test_get_pricing(cloud: Cloud) -> None:
    prices = {(p.gpu_model, p.gpu_count): p for p in cloud.call(tasks.get_pricing)}
    assert prices["H100-PCIe-80GB", 8].hourly == Decimal("18.00")
    assert {p.currency for p in prices.values()} == {"USD"}


def test_quote_price(cloud: Cloud) -> None:
    [price] = cloud.call(tasks.quote_price, "L40", 2, region="US-1", currency="INR")
    assert (price.hourly, price.currency, price.region) == (Decimal("202.30"), "INR", "US-1")
    with refuses(BarrackValidationError, "gpu_count.*got 3"):
        cloud.call(tasks.quote_price, "L40", 3)


# Instances


def test_create_instance(cloud: Cloud) -> None:
    key = cloud.client.ssh_keys.create("laptop", public_key()).id
    script, volume = cloud.script(), cloud.volume()
    made = cloud.call(
        tasks.create_instance,
        "train-1",
        "CANADA-1",
        "L40",
        2,
        tier="on-demand",
        image_id="1",
        ssh_key_id=key,
        public_ip=False,
        script_id=script,
        volume_ids=[volume],
        security_rules=[{"protocol": "tcp", "port_range_min": 22, "port_range_max": 22}],
    )
    assert made.status.is_transitional
    cloud.wait()
    there = cloud.client.instances.get(made.id)
    assert (there.name, there.region, there.gpu_model) == ("train-1", "CANADA-1", "L40")
    assert (there.status, there.gpu_count, there.public_ip) == (S.ACTIVE, 2, None)
    assert there.ssh_key == "laptop"
    assert [v.id for v in there.volumes] == [volume]
    assert [r.port_range_max for r in there.security_rules] == [22]

    before = len(cloud.sandbox.requests())
    with refuses(BarrackValidationError, "exactly one of image_id, snapshot_id and volume_id"):
        cloud.call(tasks.create_instance, "train-2", "CANADA-1", "L40")
    assert len(cloud.sandbox.requests()) == before
    with refuses(BarrackConflictError, "train-1"):
        cloud.call(tasks.create_instance, "train-1", "CANADA-1", "L40", image_id="1")
    cloud.sandbox.set_stock("CANADA-1", "A40", 0)
    with refuses(BarrackOutOfStockError, "A40"):
        cloud.call(tasks.create_instance, "train-2", "CANADA-1", "A40", image_id="1")


def test_list_instances(cloud: Cloud) -> None:
    cloud.sandbox.set_instance_status(cloud.beta, "SHUTOFF")
    assert [i.name for i in cloud.call(tasks.list_instances)] == list(FLEET)
    assert [i.name for i in cloud.call(tasks.list_instances, "SHUTOFF")] == ["beta"]
    assert [i.name for i in cloud.call(tasks.list_instances, region="US-1")] == ["gamma"]
    for number in range(120):
        cloud.sandbox.seed_instance(f"more-{number}")
    assert len(cloud.call(tasks.list_instances)) == 123


def test_get_instance(cloud: Cloud) -> None:
    instance = cloud.call(tasks.get_instance, cloud.alpha)
    assert (instance.name, instance.power_state) == ("alpha", "RUNNING")
    with refuses(BarrackNotFoundError, "BRK-0000000"):
        cloud.call(tasks.get_instance, "BRK-0000000")


def test_get_instance_billing(cloud: Cloud) -> None:
    began = cloud.sandbox.now()
    cloud.sandbox.advance(2 * 3600)
    bill = cloud.call(tasks.get_instance_billing, cloud.alpha)
    assert (bill.summary.total, bill.summary.currency) == (Decimal("4.50"), "USD")
    hour = (began, began + timedelta(hours=1))
    assert cloud.call(tasks.get_instance_billing, cloud.alpha, *hour).summary.total == Decimal(
        "2.25"
    )


def test_get_hibernated_instances(cloud: Cloud) -> None:
    cloud.sandbox.set_instance_status(cloud.alpha, "HIBERNATED")
    asleep = cloud.call(tasks.get_hibernated_instances)
    assert (asleep.count, [x.name for x in asleep.recent]) == (1, ["alpha"])
    assert asleep.billing.rate_per_hour == Decimal("0.01")


def test_start_instance(cloud: Cloud) -> None:
    change_state(cloud, tasks.start_instance, S.SHUTOFF, S.STARTING, S.ACTIVE)


def test_stop_instance(cloud: Cloud) -> None:
    change_state(cloud, tasks.stop_instance, S.ACTIVE, S.STOPPING, S.SHUTOFF)


def test_reboot_instance(cloud: Cloud) -> None:
    change_state(cloud, tasks.reboot_instance, S.ACTIVE, S.REBOOTING, S.ACTIVE)


def test_hibernate_instance(cloud: Cloud) -> None:
    change_state(cloud, tasks.hibernate_instance, S.ACTIVE, S.HIBERNATING, S.HIBERNATED)


def test_restore_instance(cloud: Cloud) -> None:
    change_state(cloud, tasks.restore_instance, S.HIBERNATED, S.RESTORING, S.ACTIVE)
    cloud.sandbox.set_instance_status(cloud.alpha, "HIBERNATED")
    cloud.sandbox.set_stock("CANADA-1", "H100-PCIe-80GB", 0)
    with refuses(BarrackOutOfStockError, "H100-PCIe-80GB"):
        cloud.call(tasks.restore_instance, cloud.alpha)


def change_state(
    cloud: Cloud, task: Any, before: m.VMStatus, through: m.VMStatus, after: m.VMStatus
) -> None:
    cloud.sandbox.set_instance_status(cloud.alpha, before)
    answer = cloud.call(task, cloud.alpha)
    assert (answer.id, answer.status) == (cloud.alpha, through)
    with refuses(BarrackConflictError, str(through)):
        cloud.call(task, cloud.alpha)
    cloud.wait()
    assert cloud.status(cloud.alpha) is after


def test_toggle_public_ip(cloud: Cloud) -> None:
    def address() -> str | None:
        return cloud.client.instances.get(cloud.alpha).public_ip

    assert address()
    assert cloud.call(tasks.toggle_public_ip, cloud.alpha).id == cloud.alpha
    assert address() is None
    cloud.call(tasks.toggle_public_ip, cloud.alpha)
    assert address()


def test_add_security_rule(cloud: Cloud) -> None:
    before = len(cloud.client.instances.get(cloud.alpha).security_rules)
    web = {"port_range_min": 443, "port_range_max": 443}
    rule = cloud.call(tasks.add_security_rule, cloud.alpha, "tcp", **web)
    assert (rule.protocol, rule.remote_ip_prefix) == ("tcp", "0.0.0.0/0")
    there = cloud.client.instances.get(cloud.alpha).security_rules
    assert len(there) == before + 1
    assert rule.id in [r.id for r in there]
    other = cloud.call(
        tasks.add_security_rule,
        cloud.alpha,
        m.ProtocolEnum.UDP,
        port_range_min=5000,
        port_range_max=5010,
        remote_ip_prefix="2001:db8::/32",
        direction="egress",
        ethertype="IPv6",
    )
    assert (other.direction, other.ethertype, other.port_range_max) == ("egress", "IPv6", 5010)
    with refuses(BarrackValidationError, "host bits"):
        cloud.call(tasks.add_security_rule, cloud.alpha, "tcp", remote_ip_prefix="10.0.0.1/8")
    with refuses(BarrackConflictError, "rule"):
        cloud.call(tasks.add_security_rule, cloud.alpha, "tcp", **web)


def test_remove_security_rule(cloud: Cloud) -> None:
    rule = cloud.client.instances.add_security_rule(cloud.alpha, "icmp")
    assert rule.id
    cloud.call(tasks.remove_security_rule, cloud.alpha, rule.id)
    assert rule.id not in [r.id for r in cloud.client.instances.get(cloud.alpha).security_rules]
    with refuses(BarrackNotFoundError, rule.id):
        cloud.call(tasks.remove_security_rule, cloud.alpha, rule.id)


def test_delete_instance(cloud: Cloud) -> None:
    assert cloud.call(tasks.delete_instance, cloud.alpha).status is S.DELETING
    cloud.wait()
    assert [i.name for i in cloud.client.instances.list()] == ["beta", "gamma"]


# OS images, keys


def test_list_os_images(cloud: Cloud) -> None:
    everywhere = {i.name for i in cloud.call(tasks.list_os_images)}
    canada = {i.name for i in cloud.call(tasks.list_os_images, "CANADA-1")}
    assert "Ubuntu 24.04 LTS" in canada
    assert canada < everywhere


def test_list_ssh_keys(cloud: Cloud) -> None:
    assert cloud.call(tasks.list_ssh_keys) == []
    made = cloud.client.ssh_keys.create("laptop", public_key())
    assert [k.id for k in cloud.call(tasks.list_ssh_keys)] == [made.id]


def test_get_ssh_key(cloud: Cloud) -> None:
    made = cloud.client.ssh_keys.create("laptop", public_key())
    key = cloud.call(tasks.get_ssh_key, made.id)
    assert (key.name, key.public_key) == ("laptop", public_key())
    assert key.fingerprint == made.fingerprint


def test_create_ssh_key(cloud: Cloud) -> None:
    key = cloud.call(tasks.create_ssh_key, "laptop", public_key() + "\n")
    assert cloud.client.ssh_keys.get(key.id).name == "laptop"
    with refuses(BarrackConflictError, "laptop"):
        cloud.call(tasks.create_ssh_key, "laptop", public_key())
    secret = "-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0\n-----END OPENSSH PRIVATE KEY-----"
    with refuses(BarrackValidationError, "is a private key") as caught:
        cloud.call(tasks.create_ssh_key, "oops", secret)
    assert "c2VjcmV0" not in str(caught.value)


def test_delete_ssh_key(cloud: Cloud) -> None:
    made = cloud.client.ssh_keys.create("laptop", public_key())
    cloud.call(tasks.delete_ssh_key, made.id)
    assert list(cloud.client.ssh_keys.list()) == []
    with refuses(BarrackNotFoundError, made.id):
        cloud.call(tasks.delete_ssh_key, made.id)


# Volumes


def test_list_volumes(cloud: Cloud) -> None:
    assert cloud.call(tasks.list_volumes) == []
    free = cloud.client.volumes.next_name()
    assert free
    cloud.volume(free)
    assert [v.name for v in cloud.call(tasks.list_volumes)] == [free]
    assert cloud.client.volumes.next_name() not in (free, None)
    for number in range(120):
        cloud.client.volumes.create(f"more-{number}", 1, "CANADA-1")
    assert len(cloud.call(tasks.list_volumes)) == 121


def test_create_volume(cloud: Cloud) -> None:
    volume = cloud.call(tasks.create_volume, "data", 100, "CANADA-1", image_id="1")
    cloud.wait()
    there = cloud.client.volumes.get(volume.id)
    assert (there.name, there.size_gb, there.region) == ("data", 100, "CANADA-1")
    assert there.status
    assert there.status.is_ready
    assert there.bootable
    assert there.volume_type == "Cloud-SSD"
    with refuses(BarrackConflictError, "data"):
        cloud.call(tasks.create_volume, "data", 100, "CANADA-1")
    with refuses(BarrackValidationError, "size_gb"):
        cloud.call(tasks.create_volume, "more", 0, "CANADA-1")


def test_get_volume(cloud: Cloud) -> None:
    volume = cloud.call(tasks.get_volume, cloud.volume())
    assert (volume.name, volume.size_gb, volume.attachments) == ("data", 100, [])


def test_delete_volume(cloud: Cloud) -> None:
    id_ = cloud.volume()
    cloud.call(tasks.delete_volume, id_)
    cloud.wait()
    assert list(cloud.client.volumes.list()) == []
    with refuses(BarrackNotFoundError, id_):
        cloud.call(tasks.delete_volume, id_)


def test_resize_volume(cloud: Cloud) -> None:
    id_ = cloud.volume(size_gb=100)
    cloud.call(tasks.resize_volume, id_, 150)
    cloud.wait()
    assert cloud.client.volumes.get(id_).size_gb == 150
    for size in (150, 149, 1):
        with refuses(BarrackValidationError, f"more than the present 150 GB, got {size}") as caught:
            cloud.call(tasks.resize_volume, id_, size)
        assert set(caught.value.fields) == {"size_gb"}
        assert caught.value.took_effect is False
    before = len(cloud.sandbox.requests())
    with refuses(BarrackValidationError, "size_gb"):
        cloud.call(tasks.resize_volume, id_, 0)
    assert len(cloud.sandbox.requests()) == before
    sent = [r for r in cloud.sandbox.requests() if r["operation"] == "resize_volume"]
    assert len(sent) == 1


def test_clone_volume(cloud: Cloud) -> None:
    id_ = cloud.volume()
    copy = cloud.call(tasks.clone_volume, id_, "data-copy")
    cloud.wait()
    there = cloud.client.volumes.get(copy.id)
    assert there.id != id_
    assert (there.name, there.size_gb) == ("data-copy", 100)


def test_attach_volumes(cloud: Cloud) -> None:
    ids = [cloud.volume("one"), cloud.volume("two")]
    attached = cloud.call(tasks.attach_volumes, cloud.alpha, ids)
    assert [v.id for v in attached] == ids
    cloud.wait()
    assert {v.id for v in cloud.client.instances.get(cloud.alpha).volumes} == set(ids)
    assert cloud.client.volumes.get(ids[0]).attachments[0].instance_id == cloud.alpha
    with refuses(BarrackValidationError, "at least one"):
        cloud.call(tasks.attach_volumes, cloud.alpha, [])


def test_detach_volumes(cloud: Cloud) -> None:
    ids = [cloud.volume("one"), cloud.volume("two")]
    cloud.client.volumes.attach(cloud.alpha, ids)
    cloud.wait()
    cloud.call(tasks.detach_volumes, cloud.alpha, ids[:1])
    cloud.wait()
    assert [v.id for v in cloud.client.instances.get(cloud.alpha).volumes] == ids[1:]
    assert cloud.client.volumes.get(ids[0]).attachments == []


def test_list_volume_types(cloud: Cloud) -> None:
    assert m.VolumeTypeEnum.CLOUD_SSD in cloud.call(tasks.list_volume_types)


def test_get_volume_billing(cloud: Cloud) -> None:
    began = cloud.sandbox.now()
    id_ = cloud.volume(size_gb=1000)
    bill = cloud.call(tasks.get_volume_billing, id_)
    assert bill.summary.total == Decimal("0.1")
    assert sum(record.cost for record in bill.records) == bill.summary.total
    half = (began, began + timedelta(minutes=30))
    assert cloud.call(tasks.get_volume_billing, id_, *half).summary.total == Decimal("0.05")


# Firewalls


def test_list_firewalls(cloud: Cloud) -> None:
    assert cloud.call(tasks.list_firewalls) == []
    cloud.firewall("web")
    assert [f.name for f in cloud.call(tasks.list_firewalls)] == ["web"]


def test_get_firewall(cloud: Cloud) -> None:
    firewall = cloud.call(tasks.get_firewall, cloud.firewall("web"))
    assert (firewall.name, firewall.rules, firewall.attachments) == ("web", [], [])


def test_list_firewall_protocols(cloud: Cloud) -> None:
    assert {"tcp", "udp", "icmp"} <= {p.name for p in cloud.call(tasks.list_firewall_protocols)}


def test_list_instance_firewalls(cloud: Cloud) -> None:
    assert cloud.call(tasks.list_instance_firewalls, cloud.alpha) == []
    cloud.client.firewalls.attach(cloud.firewall("web"), [cloud.alpha])
    assert [f.name for f in cloud.call(tasks.list_instance_firewalls, cloud.alpha)] == ["web"]
    assert [f.name for f in cloud.client.instances.firewalls(cloud.alpha)] == ["web"]


def test_list_firewall_eligible_instances(cloud: Cloud) -> None:
    cloud.sandbox.set_instance_status(cloud.gamma, "HIBERNATED")
    names = [i.name for i in cloud.call(tasks.list_firewall_eligible_instances)]
    assert names == ["alpha", "beta"]


def test_create_firewall(cloud: Cloud) -> None:
    made = cloud.call(tasks.create_firewall, "web", "CANADA-1", "for the front")
    there = cloud.client.firewalls.get(made.id)
    assert (there.name, there.description, there.rules) == ("web", "for the front", [])
    assert there.environment
    assert there.environment.region == "CANADA-1"
    with refuses(BarrackConflictError, "web"):
        cloud.call(tasks.create_firewall, "web", "CANADA-1")


def test_delete_firewall(cloud: Cloud) -> None:
    id_ = cloud.firewall()
    cloud.call(tasks.delete_firewall, id_)
    assert list(cloud.client.firewalls.list()) == []
    with refuses(BarrackNotFoundError, id_):
        cloud.call(tasks.delete_firewall, id_)


def test_add_firewall_rule(cloud: Cloud) -> None:
    id_ = cloud.firewall()
    rule = cloud.call(
        tasks.add_firewall_rule,
        id_,
        "tcp",
        port_range_min=8000,
        port_range_max=8080,
        remote_ip_prefix="203.0.113.0/24",
    )
    [there] = cloud.client.firewalls.get(id_).rules
    assert there.id == rule.id
    assert (there.direction, there.protocol, there.port_range_min) == ("ingress", "tcp", 8000)
    assert there.remote_ip_prefix == "203.0.113.0/24"
    everyone = cloud.call(tasks.add_firewall_rule, id_, "icmp", ethertype="IPv6")
    assert everyone.remote_ip_prefix == "::/0"
    with refuses(BarrackValidationError, "port_range_max is missing"):
        cloud.call(tasks.add_firewall_rule, id_, "tcp", port_range_min=80)


def test_remove_firewall_rule(cloud: Cloud) -> None:
    id_ = cloud.firewall()
    rule = cloud.client.firewalls.add_rule(id_, "udp")
    assert rule.id
    cloud.call(tasks.remove_firewall_rule, id_, rule.id)
    assert cloud.client.firewalls.get(id_).rules == []
    with refuses(BarrackNotFoundError, rule.id):
        cloud.call(tasks.remove_firewall_rule, id_, rule.id)


def test_attach_firewall(cloud: Cloud) -> None:
    id_ = cloud.firewall()
    attached = cloud.call(tasks.attach_firewall, id_, [cloud.alpha])
    assert [a.instance.id for a in attached] == [cloud.alpha]
    assert [a.instance.name for a in cloud.client.firewalls.get(id_).attachments] == ["alpha"]
    with refuses(BarrackConflictError, "NORWAY-1"):
        cloud.call(tasks.attach_firewall, id_, [cloud.beta])


# Startup scripts


def test_list_scripts(cloud: Cloud) -> None:
    assert cloud.call(tasks.list_scripts) == []
    cloud.script("tools")
    assert [s.name for s in cloud.call(tasks.list_scripts)] == ["tools"]


def test_get_script(cloud: Cloud) -> None:
    script = cloud.call(tasks.get_script, cloud.script("tools"))
    assert (script.name, script.content) == ("tools", "#!/bin/sh\ntrue\n")


def test_create_script(cloud: Cloud) -> None:
    script = cloud.call(tasks.create_script, "tools", "#!/bin/sh\n", "what I need")
    there = cloud.client.scripts.get(script.id)
    assert (there.name, there.content, there.description) == (
        "tools",
        "#!/bin/sh\n",
        "what I need",
    )
    with refuses(BarrackConflictError, "tools"):
        cloud.call(tasks.create_script, "tools", "#!/bin/sh\n")


def test_update_script(cloud: Cloud) -> None:
    id_ = cloud.script("tools")
    cloud.call(tasks.update_script, id_, content="#!/bin/bash\n")
    there = cloud.client.scripts.get(id_)
    assert (there.name, there.content) == ("tools", "#!/bin/bash\n")
    assert cloud.call(tasks.update_script, id_, "better tools").name == "better tools"
    with refuses(BarrackValidationError, "at least one of name, content and description"):
        cloud.call(tasks.update_script, id_)


def test_delete_script(cloud: Cloud) -> None:
    id_ = cloud.script()
    cloud.call(tasks.delete_script, id_)
    assert list(cloud.client.scripts.list()) == []
    with refuses(BarrackNotFoundError, id_):
        cloud.call(tasks.delete_script, id_)


def test_delete_scripts(cloud: Cloud) -> None:
    ids = [cloud.script(name) for name in ("one", "two", "three")]
    cloud.call(tasks.delete_scripts, ids[:2])
    assert [s.id for s in cloud.client.scripts.list()] == ids[2:]
    with refuses(BarrackValidationError, "twice"):
        cloud.call(tasks.delete_scripts, [ids[2], ids[2]])


# Snapshots


def test_list_snapshots(cloud: Cloud) -> None:
    cloud.snapshot("of-alpha")
    cloud.client.snapshots.create(cloud.beta, "of-beta")
    assert [s.name for s in cloud.call(tasks.list_snapshots)] == ["of-alpha", "of-beta"]
    assert [s.name for s in cloud.call(tasks.list_snapshots, cloud.beta)] == ["of-beta"]


def test_get_snapshot(cloud: Cloud) -> None:
    snapshot = cloud.call(tasks.get_snapshot, cloud.snapshot("copy"))
    assert (snapshot.name, snapshot.instance_id) == ("copy", cloud.alpha)
    assert snapshot.status.is_ready


def test_list_snapshot_eligible_instances(cloud: Cloud) -> None:
    cloud.sandbox.set_instance_status(cloud.beta, "SHUTOFF")
    names = [i.name for i in cloud.call(tasks.list_snapshot_eligible_instances)]
    assert names == ["alpha", "gamma"]


def test_get_snapshot_billing(cloud: Cloud) -> None:
    began = cloud.sandbox.now()
    id_ = cloud.snapshot()
    bill = cloud.call(tasks.get_snapshot_billing, id_)
    assert bill.summary.total == Decimal("0.01")
    half = (began, began + timedelta(minutes=30))
    assert cloud.call(tasks.get_snapshot_billing, id_, *half).summary.total == Decimal("0.005")


def test_create_snapshot(cloud: Cloud) -> None:
    made = cloud.call(tasks.create_snapshot, cloud.alpha, "copy", "before the upgrade", True)
    assert not made.status.is_ready
    with refuses(BarrackConflictError, "one at a time"):
        cloud.call(tasks.create_snapshot, cloud.alpha, "another")
    cloud.wait()
    there = cloud.client.snapshots.get(made.id)
    assert (there.name, there.description, there.is_image) == ("copy", "before the upgrade", True)
    assert there.status.is_ready
    with refuses(BarrackConflictError, "copy"):
        cloud.call(tasks.create_snapshot, cloud.beta, "copy")
    with refuses(BarrackValidationError, "1 to 50 characters"):
        cloud.call(tasks.create_snapshot, cloud.beta, "x" * 51)


def test_delete_snapshot(cloud: Cloud) -> None:
    id_ = cloud.snapshot()
    cloud.call(tasks.delete_snapshot, id_)
    cloud.wait()
    assert list(cloud.client.snapshots.list()) == []
    with refuses(BarrackNotFoundError, id_):
        cloud.call(tasks.delete_snapshot, id_)


def test_restore_snapshot(cloud: Cloud) -> None:
    id_ = cloud.snapshot()
    made = cloud.call(tasks.restore_snapshot, id_, "alpha-restored")
    cloud.wait()
    there = cloud.client.instances.get(made.id)
    assert (there.name, there.region, there.status) == ("alpha-restored", "CANADA-1", S.ACTIVE)
    assert there.boot_source == "snapshot"
    with refuses(BarrackConflictError, "alpha-restored"):
        cloud.call(tasks.restore_snapshot, id_, "alpha-restored")
    with refuses(BarrackValidationError, "2 to 30 characters"):
        cloud.call(tasks.restore_snapshot, id_, "x")


# Images of the account's own


def test_list_images(cloud: Cloud) -> None:
    assert cloud.call(tasks.list_images) == []
    cloud.image("base")
    assert [i.name for i in cloud.call(tasks.list_images)] == ["base"]


def test_get_image(cloud: Cloud) -> None:
    image = cloud.call(tasks.get_image, cloud.image("base"))
    assert image.name == "base"
    assert image.status.is_ready


def test_create_image(cloud: Cloud) -> None:
    snapshot = cloud.snapshot()
    made = cloud.call(tasks.create_image, snapshot, "base", "with CUDA")
    cloud.wait()
    there = cloud.client.images.get(made.id)
    assert (there.name, there.description, there.snapshot_id) == ("base", "with CUDA", snapshot)
    with refuses(BarrackConflictError, "base"):
        cloud.call(tasks.create_image, snapshot, "base")


def test_delete_image(cloud: Cloud) -> None:
    id_ = cloud.image()
    cloud.call(tasks.delete_image, id_)
    cloud.wait()
    assert list(cloud.client.images.list()) == []
    with refuses(BarrackNotFoundError, id_):
        cloud.call(tasks.delete_image, id_)


def test_get_snapshot_image(cloud: Cloud) -> None:
    snapshot = cloud.snapshot()
    assert not cloud.call(tasks.get_snapshot_image, snapshot).has_image
    made = cloud.client.images.create(snapshot, "base")
    relationship = cloud.call(tasks.get_snapshot_image, snapshot)
    assert relationship.has_image
    assert [i.id for i in relationship.images] == [made.id]


def test_list_snapshot_images(cloud: Cloud) -> None:
    plain, imaged = cloud.snapshot("plain"), cloud.snapshot("imaged", is_image=True)
    found = cloud.call(tasks.list_snapshot_images, [imaged, plain])
    assert {r.snapshot_id: r.has_image for r in found} == {imaged: True, plain: False}
    with refuses(BarrackValidationError, "at least one"):
        cloud.call(tasks.list_snapshot_images, [])


# AI chat


def a_model(cloud: Cloud) -> str:
    return cloud.client.ai.models()[0].id


HELLO = [{"role": "user", "content": "Hello, what is a GPU?"}]


def test_list_ai_models(cloud: Cloud) -> None:
    models = cloud.call(tasks.list_ai_models)
    assert models
    assert all(isinstance(model.output_price, Decimal) for model in models)


def test_chat(cloud: Cloud) -> None:
    before = cloud.client.balance.get().amount
    messages = [m.ChatMessage(role=m.ChatRole.SYSTEM, content="Be brief."), *HELLO]
    answer = cloud.call(tasks.chat, a_model(cloud), messages, max_tokens=50, temperature=0.5)
    assert answer.text
    assert answer.usage
    assert 0 < answer.usage.completion_tokens <= 50
    assert cloud.client.balance.get().amount < before
    with refuses(BarrackValidationError, "at least one message"):
        cloud.call(tasks.chat, a_model(cloud), [])
    with refuses(BarrackValidationError, "system, user or assistant"):
        cloud.call(tasks.chat, a_model(cloud), [{"role": "robot", "content": "Beep."}])


def talk(cloud: Cloud, times: int) -> list[Any]:
    answers = []
    for _ in range(times):
        answers.append(cloud.client.ai.chat(a_model(cloud), HELLO))
        cloud.sandbox.advance(60)
    return answers


def test_get_ai_usage(cloud: Cloud) -> None:
    answers = talk(cloud, 3)
    usage = cloud.call(tasks.get_ai_usage)
    assert usage.requests == 3
    assert usage.total > 0
    assert usage.total_tokens == sum(a.usage.total_tokens for a in answers)
    now = cloud.sandbox.now()
    assert cloud.call(tasks.get_ai_usage, now - timedelta(seconds=90), now).requests == 1


def test_list_ai_usage_history(cloud: Cloud) -> None:
    answers = talk(cloud, 3)
    history = cloud.call(tasks.list_ai_usage_history)
    assert {t.id for t in history} == {a.id for a in answers}
    assert sum(t.cost for t in history) == cloud.client.ai.usage().total
    now = cloud.sandbox.now()
    recent = cloud.call(tasks.list_ai_usage_history, start=now - timedelta(seconds=90))
    assert [t.id for t in recent] == [answers[-1].id]
