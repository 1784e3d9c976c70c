"""How a flow run ends: with its report as an artifact, and Failed if some of its work failed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeVar, cast

from prefect import get_client
from prefect.artifacts import create_markdown_artifact
from prefect.blocks.abstract import NotificationBlock
from prefect.client.schemas.filters import ArtifactCollectionFilter, ArtifactCollectionFilterKey
from prefect.client.schemas.objects import State
from prefect.states import Completed

from barrack_tasks.api.models.text import printable
from barrack_tasks.controllers.adoption import told_of_left_ends
from barrack_tasks.plans.names import artifact_key
from barrack_tasks.plans.report import Report, failures
from barrack_tasks.runtime.health import SKIPPED, tell_of_blind_guards
from barrack_tasks.runtime.post import Item, Post
from barrack_tasks.server.events import get_logger
from barrack_tasks.server.runs import deployment_of_run

_log = get_logger(__name__)
R = TypeVar("R", bound=Report)


def keep(
    what: str,
    account: str,
    markdown: str,
    description: str,
    is_news: bool = True,
    post: Post | None = None,
) -> None:
    """Keep markdown as an artifact of the run; what cannot be kept is logged instead.

    A guard that runs every few minutes leaves none where it found nothing new. Every run that
    reports comes by here at its end, so this is where guards are looked after too, and where what
    is left in its post is sent.

    Args:
        what: it is of, such as the flow's name; the artifact's key begins with it.
        account: see `BarrackCredentials.account`; the key ends with it.
        markdown: its text.
        description: what it is.
        is_news: whether it says more than that all is as it should be.
        post: of the run.
    """
    text = printable(markdown)
    key = artifact_key(what, account)
    try:
        if deployment_of_run() is None or (is_news and text != _latest(key)):
            create_markdown_artifact(
                markdown=text,
                key=key,
                description=description,
                _sync=True,  # type: ignore[call-arg]
            )
    except Exception as error:  # noqa: BLE001 - what was done is done, artifact or not
        # Nobody finds it anywhere else.
        _log.error("the report could not be saved: %s\n%s", error, text)
    (post or Post(account, tell_of_blind_guards)).close()


def _latest(key: str) -> Any:
    """What the latest artifact of a key says; None if there is none."""
    with get_client(sync_client=True) as client:
        found = client.read_latest_artifacts(
            artifact_filter=ArtifactCollectionFilter(key=ArtifactCollectionFilterKey(any_=[key]))
        )
    return found[0].data if found else None


class WorkFailed(Exception):
    """Some instances failed, after all others were finished. `report` has the rows of all."""

    def __init__(self, report: Report) -> None:
        how = "would fail (a dry run: nothing was changed)" if report.dry_run else "failed"
        super().__init__(
            f"{len(report.failed)} of {len(report.rows)} {report.noun} {how}: "
            f"{failures(report.failed)}"
        )
        self.report = report

    def __reduce__(self) -> tuple[type[WorkFailed], tuple[Report]]:
        return type(self), (self.report,)


def conclude(report: R, account: str, post: Post | None = None, now: datetime | None = None) -> R:
    """Leave the report as an artifact, send what is left in the post, and return the report.

    Ends that are overdue and that no known account owns are told in its notes.

    Args:
        report: of the run.
        account: see `BarrackCredentials.account`.
        post: of the run.
        now: by the cloud's clock, by which ends are set; this machine's, if not given.

    Raises:
        WorkFailed: something failed; the flow run ends Failed.
    """
    if not report.dry_run:
        report = report.model_copy(update={"notes": (*report.notes, *_left_ends(now))})
    what = "would do (dry run)" if report.dry_run else "did"
    description = f"What {report.flow} {what}"
    keep(report.flow, account, report.artifact(), description, report.is_news, post)
    if report.ok:
        return report
    raise WorkFailed(report)


def add_failure(post: Post, report: Report, notifiers: Mapping[str, NotificationBlock]) -> None:
    """Add to the post of a run, once, what failed in it; nothing if nothing did, or in a dry run.

    Args:
        post: of the run.
        report: of the run; its rows are enough.
        notifiers: who is told.
    """
    if report.ok or report.dry_run or post.has_failure:
        return
    post.has_failure = True
    subject = f"Barrack {report.flow} failed"
    post.add(Item(notifiers, subject, str(WorkFailed(report)), severity="failure"))


def _left_ends(now: datetime | None) -> list[str]:
    try:
        found = told_of_left_ends(now)
    except Exception as error:  # noqa: BLE001 - what was done is done, and is reported
        _log.warning(
            "it cannot be read whether records of ends are left that no account owns: %s", error
        )
        return []
    for sentence in found:
        _log.warning("%s", sentence)
    return found


def stand_aside(report: R, account: str, post: Post | None = None) -> R:
    """Leave the report of a run that did nothing since another run is at the same work.

    The run ends in the state `Skipped`, which is no failure: and yet it has not done its work, so
    it does not count as one that completed. Whoever calls the flow gets the report.
    """
    description = f"Why {report.flow} did nothing"
    keep(report.flow, account, report.artifact(), description, False, post)
    skipped: State[R] = Completed(name=SKIPPED, message="; ".join(report.notes), data=report)
    return cast(R, skipped)  # the flow's engine takes the report out of it
