"""What becomes of a report where the Prefect server cannot keep it."""

from __future__ import annotations

import http.server
import logging
import threading
from collections.abc import Iterator

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from barrack_tasks.controllers.reports import WorkFailed, conclude
from barrack_tasks.plans.report import Report, Row

DONE = Row(instance_id="BRK-1", instance="alpha", was="ACTIVE", now="HIBERNATED", outcome="done")


class Full(http.server.BaseHTTPRequestHandler):
    """Answers as a Prefect server does whose disk is full."""

    def answer(self) -> None:
        body = b'{"exception_message":"Internal Server Error"}'
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(500)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PATCH = do_DELETE = answer  # noqa: N815 - names of the base class


@pytest.fixture
def full() -> Iterator[str]:
    """The address of a Prefect API that can keep nothing."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Full) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/api"
        server.shutdown()


@pytest.mark.filterwarnings("ignore:Artifact creation outside")
def test_a_report_that_cannot_be_kept_is_logged_whole_and_returned(
    full: str, caplog: pytest.LogCaptureFixture
) -> None:
    failed = DONE.model_copy(update={"instance": "beta", "outcome": "failed", "why": "no"})
    with temporary_settings({PREFECT_API_URL: full}), caplog.at_level(logging.WARNING):
        report = conclude(Report(flow="hibernate", rows=(DONE,)), "teama")
        with pytest.raises(WorkFailed):
            conclude(Report(flow="hibernate", rows=(DONE, failed)), "teama")
    assert report.rows == (DONE,)
    told = [one.getMessage() for one in caplog.records if one.levelno == logging.ERROR]
    kept = [text for text in told if text.startswith("the report could not be saved: ")]
    assert len(kept) == 2
    assert "| alpha | ACTIVE → HIBERNATED |" in kept[0]
    assert "| beta | ACTIVE → HIBERNATED |" in kept[1]
