"""Make the pictures in docs/pictures/ from the running product: a sandbox, a server, a browser.

Needs Chromium. It starts all of it in a fresh home, and ends all of it again.

Use: python -m docs.generate.pictures
"""

from __future__ import annotations

import base64
import html
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

from barrack_tasks.sandbox import Sandbox  # noqa: E402
from docs.generate.cli_page import free_port  # noqa: E402
from tests.chromium import Chromium  # noqa: E402

PICTURES = ROOT / "docs" / "pictures"
FLEET = ("train-1", "train-2", "notebook", "serving")
TERMINAL = """<body style="margin:0;overflow:hidden;background:#10151c;color:#e6edf3">
<pre style="margin:24px;font:15px/1.45 monospace;white-space:pre-wrap"><b>$ {command}</b>

{said}</pre></body>"""
REPORT = "from barrack_tasks.flows import report_costs; report_costs(days=21)"


def main() -> None:
    """Make all three."""
    PICTURES.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        Sandbox(fleet=FLEET, history="30d", balance=900, speed=1) as sandbox,
    ):
        home = Path(folder)
        env = environment(home) | sandbox.env
        port = free_port()
        try:
            barrack(env, "up", "--port", str(port))
            state = home / ".local" / "state" / "prefect-barrack"
            password = (state / "password").read_text().strip()
            own = {
                "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
                "PREFECT_API_AUTH_STRING": password,
            }
            subprocess.run([sys.executable, "-c", REPORT], env=env | own, check=True)
            with Chromium(home / "chromium") as browser:
                size(browser, 1100, 620)
                shown = barrack(env, "status").replace(str(home), "~")
                page = TERMINAL.format(command="barrack status", said=html.escape(shown))
                text = base64.b64encode(page.encode()).decode()
                browser.open(f"data:text/html;charset=utf-8;base64,{text}")
                save(browser, "status")
                size(browser, 1280, 800)
                browser.open(f"http://127.0.0.1:{port}/deployments")
                browser.wait_for("document.querySelector('input')")
                browser.type_into("input", password)
                browser.press_enter()
                browser.wait_for("document.body.innerText.includes('Dashboard')")
                browser.open(f"http://127.0.0.1:{port}/deployments")
                browser.wait_for("document.body.innerText.includes('follow-schedule')")
                save(browser, "deployments")
                browser.open(f"http://127.0.0.1:{port}/artifacts/key/barrack-costs-barrack")
                link = "document.querySelector('a[href*=\"artifacts/artifact/\"]')"
                browser.wait_for(link)
                browser.run(f"{link}.click()")
                browser.wait_for("document.querySelector('img[src^=\"data:image\"]')", 120)
                size(browser, 1280, 1100)
                save(browser, "costs")
        finally:
            barrack(env, "down")


def environment(home: Path) -> dict[str, str]:
    """The environment of a person who has nothing yet."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "BARRACK_"))}
    return kept | {
        "HOME": str(home),
        "XDG_STATE_HOME": str(home / ".local" / "state"),
        "PREFECT_HOME": str(home / ".prefect"),
        "PYTHONPATH": str(ROOT),
        "COLUMNS": "110",
    }


def barrack(env: dict[str, str], *words: str) -> str:
    """What a command says."""
    command = [sys.executable, "-c", "from barrack_tasks.cli import main; main()", *words]
    done = subprocess.run(
        command, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def size(browser: Chromium, width: int, height: int) -> None:
    """Give the page a size."""
    browser.tell(
        "Emulation.setDeviceMetricsOverride",
        width=width,
        height=height,
        deviceScaleFactor=1,
        mobile=False,
    )


def save(browser: Chromium, name: str) -> None:
    """Keep what the page looks like, as a small file."""
    browser.run("new Promise(done => setTimeout(done, 1500))")
    data = browser.tell("Page.captureScreenshot", format="webp", quality=70)["data"]
    (PICTURES / f"{name}.webp").write_bytes(base64.b64decode(data))
    print(f"wrote docs/pictures/{name}.webp")


if __name__ == "__main__":
    main()
