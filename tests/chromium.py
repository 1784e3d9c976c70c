"""A headless Chromium that is told what to do over its DevTools protocol."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.sync.client import ClientConnection, connect

QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


class Chromium:
    """One browser with one page.

    Args:
        folder: for its profile.
        names: host names that lead to this machine, as an attacker's own name server may say.
    """

    def __init__(self, folder: Path, names: tuple[str, ...] = ()) -> None:
        program = shutil.which("chromium")
        if program is None:
            pytest.skip("Chromium is not installed (Debian's package chromium)")
        rules = ",".join(f"MAP {name} 127.0.0.1" for name in names)
        told = [f"--user-data-dir={folder}", "--remote-debugging-port=0", "--window-size=1440,1000"]
        if rules:
            told.append(f"--host-resolver-rules={rules}")
        self._process = subprocess.Popen(
            [program, *QUIET, *told, "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._count = 0
        self._page = connect(self._address(folder), max_size=None)

    def _address(self, folder: Path) -> str:
        told = folder / "DevToolsActivePort"
        until = time.monotonic() + 60
        while time.monotonic() < until:
            try:
                port = told.read_text().split()[0]
                pages = httpx.get(f"http://127.0.0.1:{port}/json", trust_env=False).json()
            except (OSError, IndexError, httpx.HTTPError):
                time.sleep(0.1)
                continue
            for page in pages:
                if page["type"] == "page":
                    return str(page["webSocketDebuggerUrl"])
            time.sleep(0.1)
        raise AssertionError("Chromium did not start")

    def __enter__(self) -> Chromium:
        return self

    def __exit__(self, *_: object) -> None:
        self._page.close()
        self._process.terminate()
        self._process.wait(30)

    @property
    def page(self) -> ClientConnection:
        """The connection to the page."""
        return self._page

    def tell(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command of the protocol, and its result."""
        self._count += 1
        sent = {"id": self._count, "method": method, "params": parameters}
        self._page.send(json.dumps(sent))
        while True:
            answer = json.loads(self._page.recv(timeout=60))
            if answer.get("id") == self._count:
                assert "error" not in answer, answer
                return dict(answer["result"])

    def open(self, url: str) -> None:
        """Show a page, and wait until it has loaded."""
        self.tell("Page.navigate", url=url)
        self.wait_for("document.readyState === 'complete' && location.href !== 'about:blank'")

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression; a promise is waited for."""
        how = {"returnByValue": True, "awaitPromise": True, "userGesture": True}
        result = self.tell("Runtime.evaluate", expression=script, **how)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def wait_for(self, condition: str, seconds: float = 60) -> None:
        """Wait until a JavaScript expression is true."""
        until = time.monotonic() + seconds
        while not self.run(f"Boolean({condition})"):
            assert time.monotonic() < until, f"never: {condition}; there is: {self.text()[:2000]}"
            time.sleep(0.2)

    def text(self) -> str:
        """What the page says."""
        return str(self.run("document.body ? document.body.innerText : ''"))

    def type_into(self, selector: str, text: str) -> None:
        """Type into a field."""
        self.run(f"document.querySelector({json.dumps(selector)}).focus()")
        self.tell("Input.insertText", text=text)

    def press_enter(self) -> None:
        """Press the Enter key."""
        key = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "text": "\r"}
        self.tell("Input.dispatchKeyEvent", type="keyDown", **key)
        self.tell("Input.dispatchKeyEvent", type="keyUp", **key)

    def picture(self, file: Path) -> None:
        """Save what the page looks like, as PNG."""
        file.write_bytes(base64.b64decode(self.tell("Page.captureScreenshot")["data"]))
