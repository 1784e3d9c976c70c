"""The demo's servers, kept running: nobody but who sees their password gets in."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).resolve().parents[2]
ELSEWHERE = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}


@pytest.mark.slow
def test_a_demo_that_is_kept_is_open_to_whoever_has_its_password_alone(tmp_path: Path) -> None:
    # A copy, since the demo keeps its files beside the script and clears them at first.
    script = tmp_path / "scripts" / "demo.py"
    script.parent.mkdir()
    shutil.copy(ROOT / "scripts" / "demo.py", script)
    given = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "BARRACK_"))}
    demo = subprocess.Popen(
        [sys.executable, script, "--keep", "1"],
        env={**given, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert demo.stdout is not None
    patience = threading.Timer(240, demo.kill)
    patience.start()
    said = ""
    try:
        for line in demo.stdout:
            said += line
            if "Ctrl-C ends both" in line:
                break
        ui = re.search(r"Prefect UI: +(\S+)", said)
        password = re.search(r"Sign in with: +(\S+)", said)
        cloud = re.search(r"Barrack sandbox: (\S+)", said)
        assert ui is not None
        assert password is not None
        assert cloud is not None
        api = f"{ui[1]}/api"
        user, _, secret = password[1].partition(":")
        read = {"include_secrets": True}
        assert httpx.post(f"{api}/block_documents/filter", json=read).status_code == 401
        signed_in = httpx.post(f"{api}/flow_runs/filter", json={}, auth=(user, secret))
        assert [run["state_type"] for run in signed_in.json()] == ["COMPLETED"]
        preflight = httpx.options(f"{api}/block_documents/filter", headers=ELSEWHERE)
        assert "access-control-allow-origin" not in preflight.headers
        control = cloud[1].replace("/v1", "/_sandbox/advance")
        for headers in ({"Origin": ELSEWHERE["Origin"]}, {"Host": "evil.example"}):
            refused = httpx.post(control, json={"seconds": 1}, headers=headers)
            assert refused.status_code == 403, refused.text
        assert oct((tmp_path / ".demo").stat().st_mode)[-3:] == "700"
        demo.send_signal(signal.SIGINT)
        assert demo.wait(60) == 0
        with pytest.raises(httpx.TransportError):
            httpx.get(f"{api}/health")
        assert not (tmp_path / ".demo").exists()
    finally:
        patience.cancel()
        demo.kill()
        demo.stdout.close()
