"""Ten flows at once on one Prefect server with SQLite: its locks reach nobody."""

from __future__ import annotations

import contextvars
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from barrack_tasks.sandbox import Sandbox
from barrack_tasks.server.services import Services
from flows.snapshot_before_stop import snapshot_before_stop
from tests.flows.conftest import account_of, cloud, states

__all__ = ["cloud"]
AT_ONCE = 10


class _Told(logging.Handler):
    """Keeps what is logged anywhere in this process."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.getMessage()} {record.exc_text or record.exc_info or ''}")


def test_what_runs_beside_a_server_of_ours_waits_for_a_busy_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "PREFECT_CLIENT_MAX_RETRIES"
    monkeypatch.delenv(name, raising=False)
    given = Services(tmp_path).environment("http://127.0.0.1:4200/api")
    with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: given[name]}):
        times = PREFECT_CLIENT_MAX_RETRIES.value()
    assert sum(2**n for n in range(times)) > 120, "seconds, as Prefect's client waits"
    monkeypatch.setenv(name, "3")
    assert Services(tmp_path).environment("http://127.0.0.1:4200/api")[name] == "3"


@pytest.mark.slow
def test_ten_flows_at_once_are_told_of_no_locked_database(
    cloud: Callable[..., Sandbox], prefect_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("barrack_tasks.controllers.reports.told_of_left_ends", lambda *_, **__: [])
    clouds = [cloud(fleet=2) for _ in range(AT_ONCE)]
    told = _Told()
    loggers = [logging.getLogger(name) for name in ("", "prefect", "prefect.flow_runs")]
    for logger in loggers:
        logger.addHandler(told)
    try:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            begun = [
                pool.submit(
                    contextvars.copy_context().run,
                    snapshot_before_stop,
                    ["*"],
                    credentials=account_of(one),
                )
                for one in clouds
            ]
            reports = [one.result() for one in begun]
    finally:
        for logger in loggers:
            logger.removeHandler(told)
    assert [report.ok for report in reports] == [True] * AT_ONCE
    assert all(set(states(one).values()) == {"HIBERNATED"} for one in clouds)
    assert told.lines, "the flows log what they do"
    assert [line for line in told.lines if "database is locked" in line] == []
