"""Publish a golden image: from an instance or a snapshot, verified, the newest ones kept."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import Field

from barrack_tasks.controllers.images import Publication, begin, delete_images
from barrack_tasks.controllers.run import Run, barrack_flow
from barrack_tasks.plans.snapshots.images import (
    PublishReport,
    beyond,
    check_family,
    rows_of_images,
)
from barrack_tasks.plans.steps import Finished
from barrack_tasks.runtime.parameters import Credentials, Notify, Timeout, span_of


@barrack_flow(name="publish_image")
def publish_image(
    source: str,
    family: str,
    keep: Annotated[int, Field(ge=1)] = 3,
    notify: Notify = [],  # noqa: B006 - Prefect shows the default in its form, and copies it
    timeout: Timeout = timedelta(hours=1),
    dry_run: bool = False,
    credentials: Credentials = None,
) -> PublishReport:
    """Make an image, see that it depends on its snapshot, and keep the newest of its family.

    The image is called after its family and the moment; `image_id="latest:<family>"` means the
    newest that is ready, in `create_instance` and in the claims of `watch_gpu_stock`. Where another
    run holds the instance, or is deleting the snapshot, nothing is sent, and the row says so.

    Args:
        source: an instance, of which a snapshot is taken first, or a snapshot.
        family: name without the moment: letters, digits, spaces, `-`, `_` and `.`.
        keep: how many images of the family are kept, the newest. Older ones are deleted; their
            snapshots stay, and go on being paid for.
        notify: names of notification blocks that are told what failed.
        timeout: for all of it: seconds, a timedelta, or text such as `30m`.
        dry_run: show what would be made and deleted, and change nothing.
        credentials: a `BarrackCredentials`, the name of a saved one, or None for the environment.

    Returns:
        A report with one row an image.

    Raises:
        ValueError: no such source, or a family that cannot be a name; nothing was changed.
        BarrackError: the account cannot be read.
        WorkFailed: the image could not be made, or an old one not deleted; carries the report.

    Example:
        >>> publish_image("builder", family="cuda-12", keep=3).image_id
    """
    run = Run.begin("publish_image", credentials, notify, dry_run=dry_run)
    check_family(family)
    # A dry run takes nothing up of a run that was cut off: the next real one does.
    intent = run.intent(source, family, run.id if dry_run else None)
    with run.holding(intent) as hold:
        one = begin(run.account, source, family, hold.first_moment)
        publication = Publication(run, hold, one, span_of(timeout))
        end = publication.planned() if dry_run else publication.work()
        is_made = isinstance(end, Finished) and end.outcome == "done"
        images = publication.world.images
        old = beyond(images, family, keep - dry_run) if dry_run or is_made else []
        refused = {} if dry_run else delete_images(run.account, hold, old, run.log)
    rows = rows_of_images(one, end, publication.world, old, refused, dry_run)
    id_ = rows[0].instance_id or None
    return run.conclude(PublishReport(flow=run.flow, dry_run=dry_run, rows=rows, image_id=id_))
