"""Waking a machine: restored, and waited for until its ssh answers."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Callable, Iterator

import pytest

from barrack_tasks import release_lease
from barrack_tasks.controllers.leases import read_leases
from barrack_tasks.controllers.wake import NotAwakeError, Woken, awaken
from barrack_tasks.sandbox import Sandbox
from flows.end_expired import end_expired
from tests.flows.conftest import account_of, cloud, effects, states

__all__ = ["cloud"]
Cloud = Callable[..., Sandbox]


@pytest.fixture
def ssh_port() -> Iterator[int]:
    """Something that says what an ssh server says first."""

    class Greeter(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.sendall(b"SSH-2.0-tests\r\n")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Greeter) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def reachable(sandbox: Sandbox, id_: str) -> None:
    """The machine has an address of this computer."""
    assert sandbox._server is not None
    sandbox._server.config.app.world.machines.ever(id_).public_ip = "127.0.0.1"


@pytest.mark.parametrize("rest", ["hibernate", "stop"])
def test_what_rests_is_brought_back_once_and_leased(cloud: Cloud, ssh_port: int, rest: str) -> None:
    sandbox = cloud(fleet=0)
    id_ = sandbox.seed_instance("train", gpu_model="L40")
    account = account_of(sandbox)
    getattr(account.get_client().instances, rest)(id_)
    sandbox.advance(600)

    def sleep(seconds: float) -> None:
        sandbox.advance(600)
        reachable(sandbox, id_)

    woken = awaken(account, "train", "8h", "ann", "10m", "ubuntu", ssh_port, sleep)
    assert woken == Woken(id_, "train", "127.0.0.1", "ubuntu", ssh_port)
    assert states(sandbox) == {"train": "ACTIVE"}
    operation = "restore_instance" if rest == "hibernate" else "start_instance"
    assert len(effects(sandbox, operation)) == 1
    assert [one.owner for one in read_leases(account.account)] == ["ann"]


def test_one_whose_ssh_does_not_answer_is_given_up_and_says_why(cloud: Cloud) -> None:
    sandbox = cloud(fleet=0)
    id_ = sandbox.seed_instance("train", gpu_model="L40")
    reachable(sandbox, id_)
    passed = iter([0.0, 1.0, 700.0])
    with pytest.raises(NotAwakeError, match="within 10 min: ssh does not answer at 127"):
        awaken(
            *(account_of(sandbox), "train", None, None, "10m", "ubuntu", 1),
            sleep=lambda _: None,
            elapsed=lambda: next(passed),
        )


def test_no_name_can_write_a_line_of_its_own_into_the_ssh_configuration() -> None:
    entry = Woken("BRK-1", "a\n    ProxyCommand rm", "203.0.113.7", port=2222).ssh_config
    assert entry.splitlines() == [
        "Host a-----ProxyCommand-rm",
        "    HostName 203.0.113.7",
        "    User ubuntu",
        "    Port 2222",
    ]


@pytest.mark.slow
def test_who_wakes_a_machine_that_its_lease_put_to_rest_may_keep_it(
    cloud: Cloud, ssh_port: int
) -> None:
    sandbox = cloud(fleet=0)
    id_ = sandbox.seed_instance("train", gpu_model="L40")
    account = account_of(sandbox)
    release_lease(account, "train", owner="ann")
    end_expired(credentials=account)
    sandbox.advance(600)
    assert states(sandbox) == {"train": "HIBERNATED"}

    def sleep(seconds: float) -> None:
        sandbox.advance(600)
        reachable(sandbox, id_)

    awaken(account, "train", None, None, "10m", "ubuntu", ssh_port, sleep)
    sandbox.advance(11 * 60)
    end_expired(credentials=account)
    assert len(effects(sandbox, "hibernate_instance")) == 1
