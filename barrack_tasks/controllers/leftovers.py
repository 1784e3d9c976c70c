"""Leftovers of an account: what people were told of them, and deleting them after that."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from barrack_tasks.api import BarrackError
from barrack_tasks.api.models import Snapshot, UserVM, VolumeResponse
from barrack_tasks.controllers.leases import read_leases, read_leases_of_things
from barrack_tasks.controllers.proofs import proven_snapshots
from barrack_tasks.controllers.run import Run
from barrack_tasks.plans import lease_keys
from barrack_tasks.plans.forgotten.leases import Lease, holders
from barrack_tasks.plans.forgotten.leftovers import (
    Left,
    Leftover,
    LeftoverGuards,
    judge_leftovers,
)
from barrack_tasks.plans.forgotten.notices import Notice, Stage, notices_after
from barrack_tasks.runtime.leases import Hold
from barrack_tasks.runtime.observe import confirmed_gone, depended_on
from barrack_tasks.server.events import emit
from barrack_tasks.server.tables import merge_all, read_all
from barrack_tasks.tasks.snapshots import delete_snapshot
from barrack_tasks.tasks.volumes import delete_volume


class Leftovers:
    """What one run does about snapshots and volumes that belong to nothing.

    Attributes:
        done: what was to be deleted, by `Left.thing`: None if that was done, and else why not.
    """

    def __init__(self, run: Run, rules: Sequence[Leftover], grace: timedelta) -> None:
        self._run, self._rules, self._grace = run, rules, grace
        self._deletes = any(rule.then == "delete" for rule in rules)
        self.done: dict[str, str | None] = {}

    @cached_property
    def _written(self) -> dict[str, Any]:
        return read_all(self._prefix) if self._deletes else {}

    @cached_property
    def _noticed(self) -> dict[str, Notice]:
        found = {}
        for key, written in self._written.items():
            with suppress(TypeError, ValueError, OverflowError, OSError):
                found[key] = Notice.read(written)
        return found

    @property
    def _prefix(self) -> str:
        return f"barrack_leftovers_{self._run.account.account}_"

    def judge(
        self,
        snapshots: Sequence[Snapshot],
        volumes: Iterable[VolumeResponse],
        instances: Mapping[str, UserVM],
        held: Mapping[str, Lease],
        at: datetime,
        used: Mapping[str, str] | None = None,
    ) -> list[Left]:
        """What belongs to nothing, and how far the rules have come with it.

        Args:
            snapshots: all of the account.
            volumes: of the account.
            instances: of the account, by id.
            held: machines that somebody needs now, by id.
            at: by the cloud's clock.
            used: what other runs work on, by `Left.thing`.
        """
        disks = tuple(volumes)
        if not self._deletes:
            return judge_leftovers(self._rules, snapshots, disks, instances, at)
        account = self._run.account
        orphans = {s.instance_id for s in snapshots if s.instance_id not in instances}
        machines = {id_ for id_ in orphans if id_}
        old = [s.id for s in snapshots if s.instance_id in machines]
        # A notice was given only once that was certain, and what is gone does not come back.
        told = {key.partition(" ")[2] for key in self._noticed}
        gone = {
            s.instance_id
            for s in snapshots
            if s.instance_id in machines and f"snapshot:{s.id}" in told
        }
        dry_run = self._run.dry_run
        fresh = confirmed_gone(account, machines - gone, instances.keys(), dry_run=dry_run)
        kept = LeftoverGuards(
            self._run.never,
            {**held, **self._things(at)},
            {*fresh, *(id_ for id_ in gone if id_)},
            proven_snapshots(account.account),
            depended_on(account.get_client(), old),
            used,
        )
        return judge_leftovers(
            *(self._rules, snapshots, disks, instances, at, kept, self._noticed, self._grace)
        )

    def remember(self, left: Iterable[Left], at: datetime, untold: frozenset[str]) -> None:
        """Remember what people were told; a notice that nobody heard is not remembered."""
        if not self._deletes:
            return
        own, held = {rule.key for rule in self._rules}, self._things(at)
        after = notices_after(self._noticed, left, own, at, held, untold)
        merge_all(self._prefix, self._written, {k: one.written() for k, one in after.items()})

    def _things(self, at: datetime) -> dict[str, Lease]:
        """The snapshots and volumes that somebody needs now."""
        return holders(read_leases_of_things(self._run.account.account), at)

    def delete(self, left: Iterable[Left]) -> None:
        """Delete what is due, once it was looked at again under the lock."""
        due = {one.thing: one for one in left if one.stage is Stage.DUE}
        if not due:
            return
        keys = {
            thing: lease_keys.snapshot(one.id) if one.kind == "snapshot" else thing
            for thing, one in due.items()
        }
        with self._run.holding() as hold:
            refused = hold.claim({key: due[thing].name for thing, key in keys.items()})
            used = {thing: refused[key] for thing, key in keys.items() if key in refused}
            for one in self._look_again(used):
                if one.thing in due and one.stage is Stage.DUE and one.thing not in self.done:
                    self.done[one.thing] = self._deleted(hold, one, keys[one.thing])

    def _look_again(self, used: Mapping[str, str]) -> list[Left]:
        account = self._run.account
        client = account.get_client()
        kinds = {rule.of for rule in self._rules if rule.then == "delete"}
        snapshots = list(client.snapshots.list()) if "snapshots" in kinds else []
        volumes = list(client.volumes.list()) if "volumes" in kinds else []
        instances = {one.id: one for one in client.instances.list()}
        at = client.now()
        held = holders(read_leases(account.account), at)
        return self.judge(snapshots, volumes, instances, held, at, used)

    def _deleted(self, hold: Hold, one: Left, key: str) -> str | None:
        """None if it was deleted, and else why not."""
        guarded, what = hold.guarded(self._run.account, key), f"{one.kind} {one.name}"
        try:
            (delete_snapshot if one.kind == "snapshot" else delete_volume)(guarded, one.id)
        except BarrackError as error:
            self._run.log.error("%s could not be deleted: %s", what, error)
            return str(error)
        self._run.log.info("%s deleted", what)
        if one.kind == "snapshot":
            emit("barrack.snapshot.deleted", one.id, one.name)
        return None
