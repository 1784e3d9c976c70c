"""Where a secret could be kept, and how to look for it there in any spelling."""

from __future__ import annotations

import base64
import time
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from prefect.client.orchestration import get_client

from tests.conftest import asked

ROOT = Path(__file__).resolve().parents[2]


def spellings(secret: str) -> list[bytes]:
    """A secret as text, in UTF-16, in hexadecimal, and in base64 wherever it begins."""
    plain = secret.encode()
    found = [plain, secret.encode("utf-16-le"), plain.hex().encode()]
    for text in (plain, secret.encode("utf-16-le")):
        for skipped in range(3):
            # The first and last characters depend on what stands beside it.
            sealed = base64.b64encode(b"x" * skipped + text)
            found.append(sealed[4 if skipped else 0 : -4])
    return found


def holds(content: bytes | str, secret: str) -> bool:
    """Whether a secret is in something, in any spelling."""
    raw = content.encode(errors="surrogatepass") if isinstance(content, str) else content
    return any(one in raw for one in spellings(secret))


def files_with(secret: str, *folders: Path) -> list[str]:
    """The files that hold a secret, whatever kind of files they are."""
    found = []
    for folder in folders:
        for path in folder.rglob("*"):
            try:
                if path.is_file() and holds(path.read_bytes(), secret):
                    found.append(str(path.relative_to(folder)))
            except FileNotFoundError:
                continue  # the database drops its journals now and then
    return sorted(found)


def told_by_server(server: str, kind: str) -> str:
    """All that a Prefect server tells of a kind of thing, page by page, as it tells it."""
    texts: list[str] = []
    if kind == "events":
        wanted: dict[str, Any] = {"filter": {"event": {"prefix": [""]}}, "limit": 50}
        answer = asked("POST", f"{server}/events/filter", body=wanted).raise_for_status()
        while True:
            texts.append(answer.text)
            following = answer.json()["next_page"]
            if not following:
                return "\n".join(texts)
            answer = asked("GET", following).raise_for_status()
    while True:
        page = {"limit": 200, "offset": 200 * len(texts)}
        answer = asked("POST", f"{server}/{kind}/filter", body=page).raise_for_status()
        texts.append(answer.text)
        if len(answer.json()) < 200:
            return "\n".join(texts)


KINDS = (
    "flow_runs",
    "task_runs",
    "flow_run_states",
    "logs",
    "events",
    "artifacts",
    "variables",
    "deployments",
    "block_documents",
)


def states_of(server: str) -> str:
    """The states of all flow runs."""
    answer = asked("POST", f"{server}/flow_runs/filter", body={"limit": 200})
    runs = answer.raise_for_status().json()
    return "\n".join(
        asked("GET", f"{server}/flow_run_states/?flow_run_id={run['id']}").text for run in runs
    )


def settled(server: str, patience: float = 20) -> None:
    """Wait until no more events arrive: they reach the server later than what they tell."""
    until = time.monotonic() + patience
    last = -1
    with get_client(sync_client=True) as client:
        while time.monotonic() < until:
            wanted = {"filter": {"event": {"prefix": [""]}}, "limit": 1}
            path: Any = "/events/filter"
            total = client.request("POST", path, json=wanted).json()["total"]
            if total == last:
                return
            last = total
            time.sleep(1.5)


def frames_with(error: BaseException, secret: str, own: Iterable[str] = ("tests",)) -> list[str]:
    """The frames of a traceback, and of all errors behind it, whose locals show a secret.

    Frames of the tests themselves, which were given the secret, do not count.
    """
    told = traceback.TracebackException.from_exception(error, capture_locals=True)
    return [
        f"{frame.filename}:{frame.lineno} {name}"
        for one in _all(told)
        for frame in one.stack
        if not any(f"/{part}/" in frame.filename for part in own)
        for name, value in (frame.locals or {}).items()
        if holds(value, secret)
    ]


def _all(
    told: traceback.TracebackException | None,
) -> Iterator[traceback.TracebackException]:
    if told is not None:
        yield told
        yield from _all(told.__cause__)
        yield from _all(told.__context__)
