"""Volumes: make, grow, clone, attach, detach."""

from __future__ import annotations

import builtins
from collections.abc import Iterator, Sequence

from barrack_tasks.api import models as m
from barrack_tasks.api.errors import BarrackValidationError
from barrack_tasks.api.models.rules import check_growth
from barrack_tasks.api.models.times import Moment
from barrack_tasks.api.resources.base import Resource, by_hand, make_call, operation

__all__ = ["Volumes"]


class Volumes(Resource):
    """Operations of the group Volumes. Sizes in GB."""

    @operation("list_volumes")
    def list(self) -> Iterator[m.VolumeResponse]:
        """All volumes of the account, page after page.

        Returns:
            The volumes, attached or not. Sizes in GB.

        Raises:
            BarrackError: the key was refused, or no answer came.

        Example:
            >>> [v.name for v in client.volumes.list() if not v.attachments]
        """

    def next_name(self) -> str | None:
        """A name that is free for a new volume, where the API offers one."""
        answer: m.GetVolumesWithNextNameResponse = self._carry_out(make_call("list_volumes", {}))
        return answer.next_name

    @operation("get_volume")
    def get(self, volume_id: str) -> m.VolumeResponse:
        """One volume.

        Args:
            volume_id: id of the volume.

        Returns:
            The volume with what it is attached to. Size in GB.

        Raises:
            BarrackNotFoundError: there is no such volume.

        Example:
            >>> client.volumes.get("9").size_gb
        """

    @operation("create_volume")
    def create(
        self,
        name: str,
        size_gb: int,
        region: m.RegionEnum | str,
        volume_type: m.VolumeTypeEnum | str = m.VolumeTypeEnum.CLOUD_SSD,
        image_id: str | None = None,
    ) -> m.VolumeResponse:
        """Make a volume. It costs per GB while it exists (documented); it is never made twice.

        Args:
            name: 1 to 50 printable characters, unique among the account's volumes (inferred).
            size_gb: size in GB, 1 or more. It can grow later, never shrink (upstream).
            region: such as `CANADA-1`. It can be attached to instances there.
            volume_type: one of `list_volume_types`.
            image_id: the image it is filled with, so that it can be booted from (upstream); empty,
                if not given.

        Returns:
            The volume as it is at its beginning, with its id.

        Raises:
            BarrackValidationError: a field breaks a rule; nothing was sent.
            BarrackConflictError: the name is taken.

        Example:
            >>> client.volumes.create("datasets", 500, "CANADA-1")
        """

    @operation("delete_volume")
    def delete(self, volume_id: str) -> None:
        """Delete a volume and what is on it, for good.

        Args:
            volume_id: id of the volume.

        Returns:
            Nothing.

        Raises:
            BarrackNotFoundError: there is no such volume.
            BarrackConflictError: it is attached to an instance (upstream).

        Example:
            >>> client.volumes.delete("9")
        """

    @by_hand("resize_volume")
    def resize(self, volume_id: str, size_gb: int) -> m.VolumeResponse:
        """Let a volume grow. It is looked at first, since it cannot shrink (upstream).

        Args:
            volume_id: id of the volume.
            size_gb: the new size in GB, more than the present one.

        Returns:
            The volume, which may take a while to grow.

        Raises:
            BarrackValidationError: it would not grow; nothing was sent to change it.
            BarrackNotFoundError: there is no such volume.
            BarrackConflictError: its state does not allow it.

        Example:
            >>> client.volumes.resize("9", 1000)
        """
        call = make_call("resize_volume", {"volume_id": volume_id, "size_gb": size_gb})
        present = self.get(volume_id).size_gb
        if present is not None:
            _check_growth(present, call.sent["size_gb"])
        answer: m.ResizeVolumeResponse = self._carry_out(call)
        return answer.volume

    @operation("clone_volume")
    def clone(self, volume_id: str, name: str) -> m.VolumeResponse:
        """Make a new volume with the contents of another. It is never made twice.

        Args:
            volume_id: id of the volume to be copied.
            name: of the new volume: 1 to 50 printable characters, unique (inferred).

        Returns:
            The new volume as it is at its beginning, with its id.

        Raises:
            BarrackValidationError: the name breaks a rule; nothing was sent.
            BarrackNotFoundError: there is no such volume.
            BarrackConflictError: the name is taken, or its state does not allow it.

        Example:
            >>> client.volumes.clone("9", "datasets-copy")
        """

    @operation("attach_volumes")
    def attach(
        self, instance_id: str, volume_ids: Sequence[str]
    ) -> builtins.list[m.VMVolumeAttachment]:
        """Attach volumes to an instance of the same region.

        Args:
            instance_id: id of the instance.
            volume_ids: ids of the volumes: at least one, none twice.

        Returns:
            The volumes as the instance shows them.

        Raises:
            BarrackValidationError: no ids, or one twice; nothing was sent.
            BarrackNotFoundError: there is no such instance or volume.
            BarrackConflictError: a volume is attached already, or a state does not allow it.

        Example:
            >>> client.volumes.attach("BRK-A1B2C3D", ["9"])
        """

    @operation("detach_volumes")
    def detach(self, instance_id: str, volume_ids: Sequence[str]) -> None:
        """Detach volumes from an instance. What is on them stays.

        Args:
            instance_id: id of the instance.
            volume_ids: ids of the volumes: at least one, none twice.

        Returns:
            Nothing.

        Raises:
            BarrackValidationError: no ids, or one twice; nothing was sent.
            BarrackNotFoundError: there is no such instance or volume.
            BarrackConflictError: a volume is not attached to it, or a state does not allow it.

        Example:
            >>> client.volumes.detach("BRK-A1B2C3D", ["9"])
        """

    @operation("list_volume_types")
    def types(self) -> builtins.list[m.VolumeTypeEnum]:
        """Kinds of disks that a volume can be.

        Returns:
            The words that `create_volume` takes as `volume_type`.

        Raises:
            BarrackError: the key was refused, or no answer came.

        Example:
            >>> client.volumes.types()
        """

    @operation("get_volume_billing")
    def billing(
        self, volume_id: str, start: Moment | None = None, end: Moment | None = None
    ) -> m.VolumeHourlyBillingResponse:
        """What a volume has cost between two moments.

        Args:
            volume_id: id of the volume, which may be deleted by now.
            start: zone-aware, or ISO 8601; the beginning, if not given.
            end: zone-aware, or ISO 8601; now, if not given.

        Returns:
            The total as a Decimal with its currency, and the records that add up to it.

        Raises:
            BarrackNotFoundError: there never was such a volume.

        Example:
            >>> client.volumes.billing("9").summary.total
        """


def _check_growth(present: int, wanted: int) -> None:
    try:
        check_growth(present, wanted)
    except ValueError as error:
        raise BarrackValidationError(
            str(error),
            operation="resize_volume",
            fields={"size_gb": str(error).removeprefix("size_gb ")},
        ) from None
