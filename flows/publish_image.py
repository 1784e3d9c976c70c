"""Publish a golden image: from an instance or a snapshot, verified, the newest ones kept."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from prefect import runtime
from pydantic import Field

from barrack_tasks.controllers.images import begin, delete_images, held_by_another, verified
from barrack_tasks.controllers.reports import conclude
from barrack_tasks.credentials import BarrackCredentials, Credentials
from barrack_tasks.dialects.needs import check_needs
from barrack_tasks.plans.memory import Memory, Target, decide_each
from barrack_tasks.plans.snapshots.images import (
    PublishReport,
    beyond,
    check_family,
    decide_publishing,
    rows_of_images,
)
from barrack_tasks.plans.steps import Finished, Next
from barrack_tasks.plans.world import World
from barrack_tasks.runtime.leases import holding, intent_of
from barrack_tasks.runtime.loop import now, work
from barrack_tasks.runtime.notify import Notify, find_notifiers
from barrack_tasks.runtime.observe import observe, with_images
from barrack_tasks.runtime.parameters import Timeout, span_of
from barrack_tasks.server.logs import get_run_logger
from barrack_tasks.tasks.base import barrack_flow
from barrack_tasks.tasks.instances import list_instances
from barrack_tasks.tasks.snapshots import list_snapshots


@barrack_flow(name="publish_image")
def publish_image(
    source: Annotated[
        str, Field(description="An instance's or a snapshot's name or id, or latest:<instance>.")
    ],
    family: Annotated[str, Field(description="Name of the image, without the moment.")],
    keep: Annotated[int, Field(ge=1, description="Images of the family that are kept.")] = 3,
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
    log = get_run_logger()
    account = BarrackCredentials.resolve(credentials)
    check_needs(account.get_client().dialect, "publish_image")
    check_family(family)
    notifiers = find_notifiers(notify)
    span = span_of(timeout)
    memory = Memory()
    run, called = str(runtime.flow_run.id), f"run {runtime.flow_run.name}"
    # A dry run takes nothing up of a run that was cut off: the next real one does.
    purpose = intent_of("publish_image", source, family, run if dry_run else None)

    def see() -> World:
        # What the image is made of is held anew if the lease was lost meanwhile.
        if holder := held_by_another(hold, one):
            memory.held_by[one.key] = holder
        return with_images(account, observe(account))

    with holding(account.account, run, called, purpose) as hold:
        instances, snapshots = list_instances(account), list_snapshots(account)
        one = begin(source, family, hold.first_moment, instances, snapshots)
        target = Target(one.key, one.name, now())
        if dry_run:
            world = with_images(account, observe(account))
            end: Next = decide_publishing(one, world, memory)
        elif holder := held_by_another(hold, one):
            world, end = World(), Finished("skipped", f"held by {holder}")
        else:
            world, done = work(
                account,
                hold,
                (target,),
                memory,
                look=see,
                decide=lambda world, moment: decide_each(
                    (target,),
                    lambda _: decide_publishing(one, world, memory),
                    memory,
                    world,
                    (),
                    span,
                    moment,
                ),
                on_done={},
                protected=frozenset(),
                timeout=span,
                log=log,
            )
            end = verified(account, one, world, done[one.key])
        is_made = isinstance(end, Finished) and end.outcome == "done"
        old = beyond(world.images, family, keep - dry_run) if dry_run or is_made else []
        refused = {} if dry_run else delete_images(account, hold, old, log)
    rows = rows_of_images(one, end, world, old, refused, dry_run)
    id_ = rows[0].instance_id or None
    report = PublishReport(flow="publish_image", dry_run=dry_run, rows=rows, image_id=id_)
    return conclude(report, notifiers)
