"""SSH keys and startup scripts."""

from __future__ import annotations

import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from barrack_tasks.sandbox import Sandbox
from tests.sandbox.conftest import KEY, Api

PUBLIC = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl me@here"
# What `ssh-keygen -l` prints for it.
FINGERPRINT = "SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU"
DEPLOY = {"name": "beta", "region": "CANADA-1", "gpu_model": "L40", "image_id": 1}


def test_golden_shape_and_life_of_a_key() -> None:
    start = datetime(2026, 11, 25, 8, 0, tzinfo=UTC)
    with Sandbox(api_key=KEY, speed=0, fleet=0, start=start) as sandbox:
        api = Api(sandbox)
        ask = {"name": "laptop", "public_key": f"  {PUBLIC}\n"}
        made = api.ok("POST", "/ssh-keys", ask)["ssh_key"]
        assert made == {
            "id": 3101,
            "name": "laptop",
            "public_key": PUBLIC,
            "fingerprint": FINGERPRINT,
            "created_at": "2026-11-25T08:00:00Z",
        }
        assert api.no(409, "POST", "/ssh-keys", ask)["error_reason"] == "duplicate_name"
        assert api.ok("GET", "/ssh-keys/3101").items() >= made.items()
        listed = api.ok("GET", "/ssh-keys")
        assert listed["ssh_keys"] == [made]
        assert listed["pagination"]["total"] == 1
        api.ok("DELETE", "/ssh-keys/3101")
        api.no(404, "GET", "/ssh-keys/3101")
        api.no(404, "DELETE", "/ssh-keys/3101")
        api.ok("POST", "/ssh-keys", ask)


@pytest.mark.skipif(not shutil.which("ssh-keygen"), reason="ssh-keygen is not installed")
@pytest.mark.parametrize("kind", ["ed25519", "rsa", "ecdsa"])
def test_fingerprints_are_ssh_keygens(api: Api, tmp_path: Path, kind: str) -> None:
    file = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", file], check=True)
    public = file.with_suffix(".pub").read_text()
    said = subprocess.run(["ssh-keygen", "-l", "-f", file], check=True, capture_output=True)
    made = api.ok("POST", "/ssh-keys", {"name": kind, "public_key": public})["ssh_key"]
    assert made["fingerprint"] == said.stdout.decode().split()[1]


@pytest.mark.parametrize(
    "bad",
    ["", "hello", PUBLIC[:60], "-----BEGIN OPENSSH PRIVATE KEY-----", f"{PUBLIC}\n{PUBLIC}"],
)
def test_keys_that_are_refused(api: Api, bad: str) -> None:
    body = api.no(422, "POST", "/ssh-keys", {"name": "k", "public_key": bad})
    assert list(body["errors"]) == ["public_key"]
    assert api.ok("GET", "/ssh-keys")["ssh_keys"] == []


def test_an_instance_with_a_key_and_a_script(sandbox: Sandbox, api: Api) -> None:
    key = api.ok("POST", "/ssh-keys", {"name": "laptop", "public_key": PUBLIC})["ssh_key"]["id"]
    script = api.ok("POST", "/scripts", {"name": "hi", "content": "echo hi"})["id"]
    api.no(404, "POST", "/instances", {**DEPLOY, "ssh_key_id": 1})
    api.no(404, "POST", "/instances", {**DEPLOY, "script_id": 1})
    assert api.ok("GET", "/instances")["instances"] == []
    ask = {**DEPLOY, "ssh_key_id": key, "script_id": str(script)}
    made = api.ok("POST", "/instances", ask)["instance"]["id"]
    sandbox.advance(60)
    api.ok("DELETE", f"/ssh-keys/{key}")
    api.ok("DELETE", f"/scripts/{script}")
    assert api.ok("GET", f"/instances/{made}")["instance"]["ssh_key"] == "laptop"


def test_golden_shape_and_life_of_a_script() -> None:
    start = datetime(2026, 11, 25, 8, 0, tzinfo=UTC)
    with Sandbox(api_key=KEY, speed=0, fleet=0, start=start) as sandbox:
        api = Api(sandbox)
        ask = {"name": "drivers", "content": "#!/bin/sh\napt-get update\n"}
        made = api.ok("POST", "/scripts", ask)
        assert made == {
            "status": True,
            "message": "Create a startup script: done",
            "id": 5101,
            "name": "drivers",
            "content": "#!/bin/sh\napt-get update\n",
            "description": None,
            "created_at": "2026-11-25T08:00:00Z",
            "updated_at": "2026-11-25T08:00:00Z",
        }
        script = {k: v for k, v in made.items() if k not in ("status", "message")}
        assert api.no(409, "POST", "/scripts", ask)["error_reason"] == "duplicate_name"
        assert api.ok("GET", "/scripts")["scripts"] == [script]
        assert api.ok("GET", "/scripts/5101").items() >= script.items()
        sandbox.advance(60)
        now = api.ok("PUT", "/scripts/5101", {"description": "first boot"})
        assert now["content"] == script["content"]
        assert now["description"] == "first boot"
        assert now["updated_at"] == "2026-11-25T08:01:00Z"
        api.ok("DELETE", "/scripts/5101")
        for method in ("GET", "DELETE"):
            api.no(404, method, "/scripts/5101")
        api.no(404, "PUT", "/scripts/5101", {"name": "x"})


def test_scripts_that_are_refused(api: Api) -> None:
    for sent, field in [
        ({"name": "s"}, "content"),
        ({"name": "s", "content": " \n"}, "content"),
        ({"name": "", "content": "x"}, "name"),
    ]:
        assert list(api.no(422, "POST", "/scripts", sent)["errors"]) == [field]
    one, two = (
        api.ok("POST", "/scripts", {"name": name, "content": "x"})["id"] for name in ("one", "two")
    )
    api.no(422, "PUT", f"/scripts/{one}", {})
    api.no(409, "PUT", f"/scripts/{one}", {"name": "two"})
    api.ok("PUT", f"/scripts/{two}", {"name": "two", "content": "y"})


def test_many_scripts_are_deleted_or_none(api: Api) -> None:
    ids = [api.ok("POST", "/scripts", {"name": n, "content": "x"})["id"] for n in "abc"]
    api.no(404, "DELETE", "/scripts", {"script_ids": [*ids, 1]})
    api.no(422, "DELETE", "/scripts", {"script_ids": []})
    api.no(422, "DELETE", "/scripts", {"script_ids": [ids[0], str(ids[0])]})
    api.no(422, "DELETE", "/scripts")
    assert len(api.ok("GET", "/scripts")["scripts"]) == 3
    api.ok("DELETE", "/scripts", {"script_ids": ids[:2]})
    assert [x["id"] for x in api.ok("GET", "/scripts")["scripts"]] == ids[2:]
