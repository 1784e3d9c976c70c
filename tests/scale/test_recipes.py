"""The files in deployments/ for several workers and servers agree with Prefect and each other."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.cli._app import _app as prefect
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.server.events.schemas.automations import EventTrigger as ServerTrigger
from prefect.server.events.schemas.events import RelatedResource, Resource
from prefect.settings import Settings
from prefect.settings.legacy import _get_settings_fields
from prefect.states import (
    AwaitingRetry,
    Cancelled,
    Completed,
    Crashed,
    Failed,
    InfrastructurePending,
    Late,
    Pending,
    Running,
    Scheduled,
    Submitting,
)

from barrack_tasks.cli.deployments import POOL
from barrack_tasks.cli.main import app as barrack
from barrack_tasks.server import worker
from tests.scale.engines import ADDRESSES, ENGINES

ROOT = Path(__file__).resolve().parents[2]
PLACE = ROOT / "deployments"
COMPOSE: dict[str, Any] = yaml.safe_load((PLACE / "compose.yaml").read_text())
KUBERNETES: list[dict[str, Any]] = yaml.safe_load((PLACE / "kubernetes.yaml").read_text())["items"]
UNIT = (PLACE / "barrack.service").read_text()
OURS = {name: one for name, one in COMPOSE["services"].items() if one["image"] == "barrack:1"}
"""The services that run the image of this package."""
OF_INTEGRATIONS = ("PREFECT_REDIS_", "PREFECT_INTEGRATIONS_KUBERNETES_")


def containers() -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Every container of the Kubernetes recipe, with its pod."""
    for thing in KUBERNETES:
        pod = thing.get("spec", {}).get("template", {}).get("spec", {})
        for one in [*pod.get("initContainers", ()), *pod.get("containers", ())]:
            yield one, pod


COMMANDS = [
    *(one["command"] for one in OURS.values()),
    *(one["command"] for one, _ in containers()),
    re.findall(r"ExecStart=/opt/barrack/bin/(.*)", UNIT)[0].split(),
]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_and_each_of_its_options_exists(words: list[str]) -> None:
    if words[:3] == ["python", "-m", worker.__name__]:
        assert worker.arguments(words[3:]).limit == 8
        return
    tool = {"prefect": prefect, "barrack": barrack}[words[0]]
    tool.parse_args(words[1:], exit_on_error=False, print_error=False)


def test_prefect_knows_every_variable() -> None:
    named = {name for one in OURS.values() for name in one["environment"]}
    named |= {each["name"] for one, _ in containers() for each in one["env"]}
    named |= {name for one in KUBERNETES if one["kind"] == "ConfigMap" for name in one["data"]}
    known = set(_get_settings_fields(Settings))
    unknown = {n for n in named if n not in known and not n.startswith(OF_INTEGRATIONS)}
    assert unknown == {"BARRACK_API_KEY"}


def test_all_recipes_use_the_engines_in_the_way_that_is_tested() -> None:
    [settings] = [one["data"] for one in KUBERNETES if one["kind"] == "ConfigMap"]
    for service in ("migrate", "server-1", "server-2", "services"):
        assert OURS[service]["environment"].items() >= ENGINES.items()
        assert OURS[service]["environment"].keys() >= set(ADDRESSES)
    assert settings.items() >= ENGINES.items()
    served = [one for one, _ in containers() if one["command"][1] == "server"]
    assert len(served) == 3
    for one in served:
        assert {each["name"] for each in one["env"]} >= set(ADDRESSES)


def test_all_who_serve_have_one_database_one_redis_and_one_password() -> None:
    servers = [one["environment"] for one in OURS.values() if "server" in one["command"]]
    assert len(servers) == 4
    assert all(one == servers[0] for one in servers)
    asked = [one["environment"]["PREFECT_API_AUTH_STRING"] for one in OURS.values() if
             "PREFECT_API_URL" in one["environment"]]  # fmt: skip
    assert set(asked) == {servers[0]["PREFECT_SERVER_API_AUTH_STRING"]}


def test_no_secret_is_written_in_a_recipe_and_a_missing_one_is_refused() -> None:
    text = (PLACE / "compose.yaml").read_text()
    named = re.findall(r"\$\{([A-Z_]+)([^}]*)\}", text)
    assert {name for name, _ in named} == {"POSTGRES_PASSWORD", "REDIS_PASSWORD", "PREFECT_AUTH",
                                           "BARRACK_API_KEY"}  # fmt: skip
    assert {how for _, how in named} == {":?"}
    head = (PLACE / "kubernetes.yaml").read_text().partition("apiVersion")[0]
    made = set(re.findall(r"--from-literal=(\w+)=", head))
    taken = [e["valueFrom"]["secretKeyRef"] for c, _ in containers() for e in c["env"]
             if "valueFrom" in e]  # fmt: skip
    assert {one["key"] for one in taken} == made
    assert {one["name"] for one in taken} == {"prefect"}


def test_only_the_deploying_service_is_given_the_key() -> None:
    assert [n for n, one in OURS.items() if "BARRACK_API_KEY" in one["environment"]] == ["deploy"]


def test_servers_start_one_after_the_other_once_the_database_is_up_to_date() -> None:
    def after(service: str) -> dict[str, str]:
        return {n: how["condition"] for n, how in OURS[service]["depends_on"].items()}

    assert after("migrate") == {"postgres": "service_healthy"}
    assert after("server-1")["migrate"] == "service_completed_successfully"
    assert after("server-2") == {"server-1": "service_healthy"}
    assert after("services") == {"server-1": "service_healthy"}
    [servers] = [one["spec"] for one in KUBERNETES if one["kind"] == "StatefulSet"]
    assert servers["podManagementPolicy"] == "OrderedReady"
    assert "upgrade" in servers["template"]["spec"]["initContainers"][0]["command"]
    for name, one in COMPOSE["services"].items():
        assert all(other in COMPOSE["services"] for other in one.get("depends_on", ())), name


def test_services_run_apart_from_the_servers() -> None:
    serving = [words for words in COMMANDS if words[:3] == ["prefect", "server", "start"]]
    assert len(serving) == 3
    assert all("--no-services" in words for words in serving)
    apart = [words for words in COMMANDS if words == ["prefect", "server", "services", "start"]]
    assert len(apart) == 2, "one in each recipe"


def test_every_port_is_the_one_that_is_listened_on() -> None:
    proxy = COMPOSE["services"]["proxy"]
    port = OURS["server-1"]["command"][OURS["server-1"]["command"].index("--port") + 1]
    assert {proxy["environment"][n] for n in ("SERVER_ONE", "SERVER_TWO")} == {
        f"server-1:{port}",
        f"server-2:{port}",
    }
    own = proxy["environment"]["BIND"].partition(":")[2]
    assert proxy["ports"] == [f"127.0.0.1:{own}:{own}"], "nobody else reaches it unasked"
    assert OURS["worker"]["environment"]["PREFECT_API_URL"] == f"http://proxy:{own}/api"
    assert f":{port}/api/ready" in OURS["server-1"]["healthcheck"]["test"][-1]
    [service] = [one for one in KUBERNETES if one["kind"] == "Service"]
    [server] = [one for one, _ in containers() if one["name"] == "server"]
    assert service["spec"]["ports"] == [{"port": 4200, "targetPort": 4200}]
    assert server["ports"] == [{"containerPort": 4200}]
    assert server["command"][server["command"].index("--port") + 1] == "4200"


def test_workers_poll_the_pool_that_the_deployments_are_in() -> None:
    own = [worker.arguments(words[3:]) for words in COMMANDS if worker.__name__ in words]
    assert [one.pool for one in own] == [POOL, POOL], "compose and systemd"
    assert OURS["worker"]["deploy"]["replicas"] == 3


def test_images_have_exact_tags_and_run_as_nobody_special() -> None:
    images = {one["image"] for one in COMPOSE["services"].values()} - {"barrack:1"}
    base = re.findall(r"^ARG BASE=(.*)", (PLACE / "Dockerfile").read_text(), re.MULTILINE)
    assert len(images) == 3
    for image in [*images, *base]:
        assert re.fullmatch(r"\w+:\d+\.\d+(\.\d+)?-(slim-)?bookworm(@sha256:[0-9a-f]{64})?", image)
    [user] = re.findall(r"^USER (\d+):\d+$", (PLACE / "Dockerfile").read_text(), re.MULTILINE)
    for one in OURS.values():
        assert one["cap_drop"] == ["ALL"]
    for one, pod in containers():
        assert pod["securityContext"]["runAsUser"] == int(user)
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert one["securityContext"]["allowPrivilegeEscalation"] is False


def test_the_image_is_made_of_files_that_exist_and_of_packages_with_hashes() -> None:
    text = (PLACE / "Dockerfile").read_text()
    for line in re.findall(r"^COPY (?!--)(.*)", text, re.MULTILINE):
        *sources, _ = line.split()
        assert [name for name in sources if not (ROOT / name).exists()] == []
    assert "--require-hashes -r hashes.txt -r deployments/hashes.txt" in text
    pins = re.findall(r"^[\w.-]+==[\w.]+", (PLACE / "constraints.txt").read_text(), re.MULTILINE)
    hashed = re.findall(r"^([\w.-]+==[\w.]+) \\\n +--hash=sha256:", (PLACE / "hashes.txt")
                        .read_text(), re.MULTILINE)  # fmt: skip
    assert pins == hashed


def test_every_selector_of_kubernetes_finds_its_pods() -> None:
    labels = []
    for one in KUBERNETES:
        if "template" in one.get("spec", {}):
            theirs = one["spec"]["template"]["metadata"]["labels"]
            assert one["spec"]["selector"]["matchLabels"] == theirs
            labels.append(theirs)
    [service] = [one for one in KUBERNETES if one["kind"] == "Service"]
    assert service["spec"]["selector"] in labels
    assert {one["metadata"]["namespace"] for one in KUBERNETES} == {"barrack"}


def test_haproxy_takes_its_file() -> None:
    if not (found := shutil.which("haproxy", path="/usr/sbin:/usr/bin:/usr/local/bin")):
        pytest.skip("haproxy is not installed.")
    env = {"BIND": "127.0.0.1:1", "SERVER_ONE": "127.0.0.1:2", "SERVER_TWO": "127.0.0.1:3"}
    words = [found, "-c", "-f", str(PLACE / "haproxy.cfg")]
    done = subprocess.run(words, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    proxy = COMPOSE["services"]["proxy"]
    assert proxy["environment"].keys() == env.keys()


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    if not (found := shutil.which("systemd-analyze")):
        pytest.skip("systemd-analyze is not installed.")
    here = UNIT.replace("/opt/barrack/bin/python", sys.executable)
    (tmp_path / "barrack.service").write_text(here)
    done = subprocess.run(
        [found, "verify", str(tmp_path / "barrack.service")], capture_output=True, text=True
    )
    told = [line for line in done.stderr.splitlines() if "barrack.service" in line]
    assert (done.returncode, told) == (0, [])


LOST, UNBEGUN, AGAIN, GIVEN_UP = (
    AutomationCore.model_validate(one)
    for one in yaml.safe_load((PLACE / "lost-runs.yaml").read_text())["automations"]
)


@pytest.mark.parametrize("automation", [LOST, UNBEGUN, AGAIN, GIVEN_UP], ids=lambda a: a.name)
def test_runs_of_others_that_have_our_tag_are_left_alone(automation: AutomationCore) -> None:
    told = automation.trigger.model_dump(mode="json")
    trigger = ServerTrigger.model_validate(told)

    def covers(flow: str, tag: str) -> bool:
        run = Resource({"prefect.resource.id": "prefect.flow-run.1"})
        about = (("flow", "prefect.flow.1", flow), ("tag", f"prefect.tag.{tag}", tag))
        related = [
            RelatedResource(
                {
                    "prefect.resource.role": role,
                    "prefect.resource.id": id_,
                    "prefect.resource.name": name,
                }
            )
            for role, id_, name in about
        ]
        return trigger.covers_resources(run, related)

    assert covers("barrack-hibernate", "barrack")
    assert not covers("their-flow", "barrack")
    assert not covers("barrack-hibernate", "theirs"), "nobody deployed it"


def action_of(automation: AutomationCore) -> dict[str, Any]:
    [action] = automation.model_dump(mode="json")["actions"]
    return dict(action)


def test_a_run_of_a_lost_worker_is_marked_after_more_than_three_heartbeats() -> None:
    trigger = LOST.trigger
    assert isinstance(trigger, EventTrigger)
    heartbeat = Settings.model_fields["flows"].annotation.model_fields["heartbeat_frequency"]  # type: ignore[union-attr]
    assert trigger.posture is Posture.Proactive
    assert trigger.within.total_seconds() > 3 * heartbeat.default
    assert trigger.after == {"prefect.flow-run.Running", "prefect.flow-run.heartbeat"}


@pytest.mark.parametrize("automation", [LOST, UNBEGUN], ids=["lost", "never began"])
def test_silence_alone_never_starts_a_run_that_has_ended(automation: AutomationCore) -> None:
    """Only to Crashed the server refuses to move a run that is Completed."""
    assert action_of(automation)["state"] == "CRASHED"
    assert isinstance(AGAIN.trigger, EventTrigger)
    assert AGAIN.trigger.posture is Posture.Reactive
    assert AGAIN.trigger.expect == {f"prefect.flow-run.{action_of(automation)['name']}"}
    assert action_of(AGAIN)["state"] == "SCHEDULED"


def test_a_run_that_is_lost_again_and_again_is_given_up() -> None:
    trigger = GIVEN_UP.trigger
    assert isinstance(trigger, EventTrigger)
    assert isinstance(LOST.trigger, EventTrigger)
    assert trigger.posture is Posture.Reactive
    assert trigger.expect == {f"prefect.flow-run.{action_of(AGAIN)['name']}"}
    assert trigger.within > (trigger.threshold + 1) * LOST.trigger.within
    given_up = action_of(GIVEN_UP)
    assert (given_up["state"], given_up["name"]) == ("CRASHED", None), "it is not started again"


def test_a_run_that_never_began_is_given_to_another_worker() -> None:
    trigger = UNBEGUN.trigger
    assert isinstance(trigger, EventTrigger)
    waiting = {Pending(), Submitting(), InfrastructurePending()}
    assert trigger.after == {f"prefect.flow-run.{one.name}" for one in waiting}
    assert not trigger.after & trigger.expect, "being taken is no sign that it began"


@pytest.mark.parametrize(
    "state",
    [
        AwaitingRetry(),
        Cancelled(),
        Completed(),
        Crashed(),
        Failed(),
        Late(),
        Crashed(name="Lost"),
        Running(),
        Scheduled(),
    ],
    ids=lambda state: str(state.name),
)
def test_whatever_follows_is_a_sign_of_life(state: Any) -> None:
    for automation in (LOST, UNBEGUN):
        assert isinstance(automation.trigger, EventTrigger)
        assert f"prefect.flow-run.{state.name}" in automation.trigger.expect
