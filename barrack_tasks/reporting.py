"""How a flow run ends: with its report as an artifact, and Failed if some of its work failed."""

from __future__ import annotations

import logging

from prefect.artifacts import create_markdown_artifact

from barrack_tasks.plans.report import Report, failures

_log = logging.getLogger(__name__)


class WorkFailed(Exception):
    """Some instances failed, after all others were finished. `report` has the rows of all."""

    def __init__(self, report: Report) -> None:
        super().__init__(
            f"{len(report.failed)} of {len(report.rows)} instances failed: "
            f"{failures(report.failed)}"
        )
        self.report = report

    def __reduce__(self) -> tuple[type[WorkFailed], tuple[Report]]:
        return type(self), (self.report,)


def conclude(report: Report) -> Report:
    """Leave the report as an artifact and return it.

    Raises:
        WorkFailed: an instance failed; the flow run ends Failed.
    """
    try:
        create_markdown_artifact(
            markdown=report.markdown(),
            key=report.flow.replace("_", "-"),
            description=f"What {report.flow} did",
            _sync=True,  # type: ignore[call-arg]
        )
    except Exception as error:  # noqa: BLE001 - what was done is done, artifact or not
        _log.warning("the report could not be kept as an artifact: %s", error)
    if not report.ok:
        raise WorkFailed(report)
    return report
