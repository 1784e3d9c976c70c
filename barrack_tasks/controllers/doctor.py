"""What a check-up does besides comparing answers with the dialect, and how it ends."""

from __future__ import annotations

from prefect.client.orchestration import get_client

from barrack_tasks.api import Barrack, BarrackError
from barrack_tasks.controllers.adoption import told_of_unowned
from barrack_tasks.controllers.reports import keep
from barrack_tasks.controllers.run import Run
from barrack_tasks.dialects.doctor import DoctorReport, Finding, Readiness, checkup
from barrack_tasks.plans.health import taken_lately
from barrack_tasks.runtime.notify import saved_notifiers

__all__ = ["CheckupFailed", "DoctorReport", "conclude_checkup", "examine"]

_MOST_ASKED = 50


def examine(run: Run) -> DoctorReport:
    """Try every operation that only reads, and look at what else the flows need."""

    def tell(finding: Finding) -> None:
        run.log.info("%s: %s", finding.operation, finding.verdict)

    client = run.account.get_client()
    report = checkup(client, tell)
    more = (readiness_of_notifiers(), readiness_of_server(client), readiness_of_records())
    return report.model_copy(update={"readiness": (*report.readiness, *more)})


class CheckupFailed(Exception):
    """A check-up found something that does not work or is not ready. `report` has it all."""

    def __init__(self, report: DoctorReport) -> None:
        broken = [f.operation for f in report.findings if f.is_trouble]
        not_ready = [r.topic for r in report.readiness if r.state == "not ready"]
        super().__init__(f"not in order: {', '.join(broken + not_ready)}")
        self.report = report

    def __reduce__(self) -> tuple[type[CheckupFailed], tuple[DoctorReport]]:
        return type(self), (self.report,)


def conclude_checkup(report: DoctorReport, account: str) -> DoctorReport:
    """Leave a check-up as an artifact and return it.

    Raises:
        CheckupFailed: something is not in order; the flow run ends Failed.
    """
    keep("doctor", account, report.page().artifact(), "How well the API is understood")
    if not report.ok:
        raise CheckupFailed(report)
    return report


def readiness_of_notifiers() -> Readiness:
    """Whether every saved block that can notify could tell somebody. Nobody is told anything."""
    saved = saved_notifiers()
    wrong = [problem for problem in saved.values() if problem is not None]
    if wrong:
        return Readiness(topic="notifiers", state="not ready", said="; ".join(wrong))
    said = f"usable are {', '.join(sorted(saved))}" if saved else "no notification block is saved"
    return Readiness(topic="notifiers", state="ready", said=said)


def readiness_of_server(barrack: Barrack) -> Readiness:
    """Whether the snapshots that this library took lately are known to this Prefect server.

    Runs keep out of each other's way by what their server knows: two servers on one account
    exclude nothing. A server has an event about every snapshot that one of its runs has taken.
    """
    topic = "one Prefect server"
    try:
        listed = list(barrack.snapshots.list())
        taken = taken_lately(listed, barrack.now())[:_MOST_ASKED]
    except BarrackError as error:
        return Readiness(topic=topic, state="unknown", said=f"no snapshot can be read: {error}")
    known: set[str] = set()
    if taken:
        wanted = {
            "event": {"prefix": ["barrack.snapshot.created"]},
            "resource": {"id": [f"barrack.snapshot.{s.id}" for s in taken]},
        }
        body = {"filter": wanted, "limit": _MOST_ASKED}
        with get_client(sync_client=True) as client:
            events = client.request("POST", "/events/filter", json=body).json()["events"]
        known = {event["resource"]["prefect.resource.id"] for event in events}
    strange = [s.name for s in taken if f"barrack.snapshot.{s.id}" not in known]
    if not strange:
        return Readiness(
            topic=topic, state="ready", said="no sign of another Prefect server was found"
        )
    return Readiness(
        topic=topic,
        state="unknown",
        said=f"this library took {', '.join(strange[:3])}"
        f"{f' and {len(strange) - 3} more snapshots' if strange[3:] else ''}, and this server has "
        "no event about it: a run was cut off before it emitted one, or another Prefect server "
        "works on this account. Runs on two servers do not exclude each other: use one server for "
        "an account",
    )


def readiness_of_records() -> Readiness:
    """Whether a known account owns all that is remembered on this server."""
    told = told_of_unowned()
    said = " ".join(told) or "a known account owns each record"
    return Readiness(topic="records", state="unknown" if told else "ready", said=said)
