"""`barrack doctor`."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter
from rich.text import Text

from barrack_tasks.api.models.text import one_line
from barrack_tasks.cli.accounts import client_from_environment
from barrack_tasks.cli.screen import Screen, table
from barrack_tasks.cli.servers import known_server
from barrack_tasks.dialects.doctor import DoctorReport, Finding, checkup, try_change

_COLOURS = {
    "works": "green",
    "differs": "yellow",
    "not tried": "dim",
    "ready": "green",
    "unknown": "yellow",
}


def doctor(*, attempt: Annotated[list[str] | None, Parameter(name="--try")] = None) -> int:
    """Check, without changing anything, how far this release understands your account's API.

    Runs every read-only operation once with BARRACK_API_KEY, says what differs from what is
    expected, with the line to correct it, and whether the account is ready for the flows.

    Parameters
    ----------
    attempt
        Also try this change on a temporary resource, and remove it again: create_ssh_key or
        create_script. Only the changes named here are tried.
    """
    console = Screen()
    failed = False
    with client_from_environment() as client:
        console.print(f"Checking {client.base_url} with the dialect {client.dialect.name}")
        report = checkup(client, lambda finding: _tell(console, finding))
        with known_server() as server:
            if server.answers:
                from barrack_tasks.runtime.health import readiness_of_server

                readiness = (*report.readiness, readiness_of_server(client))
                report = report.model_copy(update={"readiness": readiness})
        for name in attempt or []:
            for finding in try_change(client, name):
                _tell(console, finding)
                failed = failed or finding.is_trouble
    _show_readiness(console, report)
    _show_unowned(console)
    return 0 if report.ok and not failed else 1


def _show_unowned(console: Screen) -> None:
    with known_server() as server:
        if not server.answers:
            return
        from barrack_tasks.controllers.adoption import told_of_unowned

        for sentence in told_of_unowned():
            console.print(sentence, style="yellow")


def _tell(console: Screen, finding: Finding) -> None:
    verdict = (f"{finding.verdict:15}", _COLOURS.get(finding.verdict, "red"))
    said = f"  {finding.said}" if finding.said else ""
    console.print(Text.assemble("  ", verdict, f" {finding.operation}", one_line(said)))
    for difference in finding.differences:
        console.print(f"{'':18}{difference}")


def _show_readiness(console: Screen, report: DoctorReport) -> None:
    found = table("what", "state", "why", title="Ready for the flows?")
    for row in report.readiness:
        found.add_row(row.topic, Text(row.state, _COLOURS.get(row.state, "red")), row.said)
    console.print(found)
    if report.lines:
        console.print("Write these into a file and name it in BARRACK_DIALECT:")
        for line in report.lines:
            console.print(f"  {line}")
    trouble = sum(f.is_trouble for f in report.findings)
    tried = sum(f.verdict != "not tried" for f in report.findings)
    console.print(f"{tried - trouble} of the {tried} operations that were tried can be relied on.")
