"""`barrack doctor`."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter
from rich.text import Text

from barrack_tasks.api.models.text import one_line
from barrack_tasks.cli.accounts import IMPATIENT, client_from_environment
from barrack_tasks.cli.answers import DoctorShown, FindingShown, ReadinessShown
from barrack_tasks.cli.inputs import AsJson
from barrack_tasks.cli.screen import Screen
from barrack_tasks.cli.servers import known_server
from barrack_tasks.dialects.doctor import DoctorReport, Finding, checkup, try_change

_COLOURS = {
    "works": "green",
    "differs": "yellow",
    "not tried": "dim",
}


def doctor(
    *, attempt: Annotated[list[str] | None, Parameter(name="--try")] = None, json: AsJson = False
) -> int:
    """Check, without changing anything, how far this release understands your account's API.

    Runs every read-only operation once with BARRACK_API_KEY, says what differs from what is
    expected, with the line to correct it, and whether the account is ready for the flows.

    Parameters
    ----------
    attempt
        Also try this change on a temporary resource, and remove it again: create_ssh_key or
        create_script. Only the changes named here are tried.
    json
        Show JSON instead of text.
    """
    console = Screen()
    tried: list[Finding] = []

    def tell(finding: Finding) -> None:
        if not json:
            _tell(console, finding)

    with client_from_environment(IMPATIENT) as client:
        if not json:
            console.print(f"Checking {client.base_url} with the dialect {client.dialect.name}")
        report = checkup(client, tell)
        with known_server() as server:
            if server.answers and any(f.verdict == "works" for f in report.findings):
                from barrack_tasks.controllers.doctor import readiness_of_server

                readiness = (*report.readiness, readiness_of_server(client))
                report = report.model_copy(update={"readiness": readiness})
        for name in attempt or []:
            for finding in try_change(client, name):
                tell(finding)
                tried.append(finding)
    ok = report.ok and not any(finding.is_trouble for finding in tried)
    if json:
        console.print_json(_shown(report, tried, ok))
    else:
        _show_readiness(console, report)
        _show_unowned(console)
    return 0 if ok else 1


def _shown(report: DoctorReport, tried: list[Finding], ok: bool) -> DoctorShown:
    findings = [
        FindingShown(
            operation=one.operation,
            verdict=one.verdict,
            said=one.said,
            differences=tuple(map(str, one.differences)),
        )
        for one in (*report.findings, *tried)
    ]
    readiness = [ReadinessShown(**one.model_dump()) for one in report.readiness]
    return DoctorShown(ok=ok, findings=tuple(findings), readiness=tuple(readiness))


def _show_unowned(console: Screen) -> None:
    with known_server() as server:
        if not server.answers:
            return
        from barrack_tasks.controllers.adoption import told_of_unowned

        for sentence in told_of_unowned():
            console.print(sentence, style="yellow")


def _tell(console: Screen, finding: Finding) -> None:
    verdict = (f"{finding.verdict:17}", _COLOURS.get(finding.verdict, "red"))
    said = f"  {finding.said}" if finding.said else ""
    console.print(Text.assemble("  ", verdict, f" {finding.operation}", one_line(said)))
    for difference in finding.differences:
        console.print(f"{'':20}{difference}")


def _show_readiness(console: Screen, report: DoctorReport) -> None:
    rows = [(row.topic, row.state, row.said) for row in report.readiness]
    console.print_rows("Ready for the flows?", ("what", "state", "why"), rows)
    if report.lines:
        console.print("Write these into a file and name it in BARRACK_DIALECT:")
        for line in report.file.splitlines():
            console.print(f"  {line}")
    trouble = sum(f.is_trouble for f in report.findings)
    tried = sum(f.verdict != "not tried" for f in report.findings)
    console.print(f"{tried - trouble} of the {tried} operations that were tried can be relied on.")
