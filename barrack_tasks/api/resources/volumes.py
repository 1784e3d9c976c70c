"""Volumes: make, grow, clone, attach, detach."""

from __future__ import annotations

import builtins
from collections.abc import Iterator, Sequence
from datetime import datetime

from barrack_tasks.api import models as m
from barrack_tasks.api.errors import BarrackValidationError
from barrack_tasks.api.models.rules import check_growth
from barrack_tasks.api.resources.base import Resource, make_call


class Volumes(Resource):
    """Operations of the group Volumes. Sizes in GB."""

    def list(self) -> Iterator[m.VolumeResponse]:
        """All volumes, lazily."""
        return self._pages(m.VolumeResponse, "list_volumes")

    def next_name(self) -> str | None:
        """A name that is free for a new volume, where the API offers one."""
        answer: m.GetVolumesWithNextNameResponse = self._carry_out(make_call("list_volumes", {}))
        return answer.next_name

    def get(self, volume_id: str) -> m.VolumeResponse:
        """One volume."""
        return self._one(m.VolumeResponse, "get_volume", volume_id=volume_id)

    def create(
        self,
        name: str,
        size_gb: int,
        region: m.RegionEnum | str,
        volume_type: m.VolumeTypeEnum | str = m.VolumeTypeEnum.CLOUD_SSD,
        image_id: str | None = None,
    ) -> m.VolumeResponse:
        """Make a volume, empty or from an image. Never makes two."""
        return self._one(
            m.VolumeResponse,
            "create_volume",
            name=name,
            size_gb=size_gb,
            region=region,
            volume_type=volume_type,
            image_id=image_id,
        )

    def delete(self, volume_id: str) -> None:
        """Delete a volume and what is on it, for good."""
        self._done("delete_volume", volume_id=volume_id)

    def resize(self, volume_id: str, size_gb: int) -> m.VolumeResponse:
        """Let a volume grow. Looks at its present size first.

        Raises:
            BarrackValidationError: it would not grow; nothing was sent to change it.
        """
        call = make_call("resize_volume", {"volume_id": volume_id, "size_gb": size_gb})
        present = self.get(volume_id).size_gb
        if present is not None:
            _check_growth(present, call.sent["size_gb"])
        answer: m.ResizeVolumeResponse = self._carry_out(call)
        return answer.volume

    def clone(self, volume_id: str, name: str) -> m.VolumeResponse:
        """Make a new volume with the contents of this one. Never makes two."""
        return self._one(m.VolumeResponse, "clone_volume", volume_id=volume_id, name=name)

    def attach(
        self, instance_id: str, volume_ids: Sequence[str]
    ) -> builtins.list[m.VMVolumeAttachment]:
        """Attach volumes to an instance."""
        return self._list(
            m.VMVolumeAttachment, "attach_volumes", instance_id=instance_id, volume_ids=volume_ids
        )

    def detach(self, instance_id: str, volume_ids: Sequence[str]) -> None:
        """Detach volumes from an instance."""
        self._done("detach_volumes", instance_id=instance_id, volume_ids=volume_ids)

    def types(self) -> builtins.list[m.VolumeTypeEnum]:
        """Kinds of disks that there are."""
        answer: m.GetVolumeTypesResponse = self._carry_out(make_call("list_volume_types", {}))
        return answer.volume_types

    def billing(
        self, volume_id: str, start: datetime | None = None, end: datetime | None = None
    ) -> m.VolumeHourlyBillingResponse:
        """What a volume has cost between two moments."""
        return self._one(
            m.VolumeHourlyBillingResponse,
            "get_volume_billing",
            volume_id=volume_id,
            start=start,
            end=end,
        )


def _check_growth(present: int, wanted: int) -> None:
    try:
        check_growth(present, wanted)
    except ValueError as error:
        raise BarrackValidationError(
            str(error),
            operation="resize_volume",
            fields={"size_gb": str(error).removeprefix("size_gb ")},
        ) from None
