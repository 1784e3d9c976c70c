"""Images of the account's own: made from snapshots, on which they go on depending."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from barrack_tasks.api.models import ImageStatus
from barrack_tasks.sandbox.cloud import catalogue, refusals
from barrack_tasks.sandbox.cloud.account import CloudAccount
from barrack_tasks.sandbox.cloud.clock import to_datetime
from barrack_tasks.sandbox.cloud.copy import Copy

S = ImageStatus
FIRST_ID = 6101


@dataclass
class Template:
    """An image. Moments are microseconds since 1970."""

    id: str
    name: str
    description: str | None
    status: ImageStatus
    size_gb: int
    snapshot_id: str
    region: str
    serial: int
    created: int
    updated: int

    def called(self) -> str:
        """The image in a sentence."""
        return f"Image {self.name!r} ({self.id})"


class ImageStore:
    """All images of the account's own.

    They cost nothing: what is paid for is the snapshot behind each [I]. An image that a snapshot
    was asked to become is there, PENDING, from the start, so that its name is taken [I].
    """

    def __init__(self, account: CloudAccount) -> None:
        self._account = account
        self._all: dict[str, Template] = {}
        self._names: set[str] = set()
        self._next_id = FIRST_ID

    def all(self) -> list[Template]:
        """Images that exist, in order of creation."""
        return list(self._all.values())

    def get(self, id_: str) -> Template:
        """One image.

        Raises:
            Refused: 404.
        """
        image = self._all.get(id_)
        if image is None:
            raise refusals.not_found("Image", id_)
        return image

    def need_bootable(self, id_: str, region: str) -> tuple[str, str]:
        """Id and name of an image to boot from in a region, of the account's own or offered.

        Raises:
            Refused: 404, 409.
        """
        image = self._all.get(id_)
        if image is None:
            offered = catalogue.OS_IMAGES.get(id_)
            if offered is None:
                raise refusals.not_found("Image", id_)
            if offered.region not in (None, region):
                raise refusals.wrong_region(offered.name, offered.region)
            return offered.id, offered.name
        if not image.status.is_ready:
            raise refusals.conflict(
                f"{image.called()} is {image.status}; it must be SUCCESS", "image_not_ready"
            )
        if image.region != region:
            raise refusals.wrong_region(image.called(), image.region)
        return image.id, image.name

    def of(self, snapshot_id: str) -> list[Template]:
        """Images that depend on a snapshot."""
        return [image for image in self._all.values() if image.snapshot_id == snapshot_id]

    def need_name(self, name: str) -> None:
        """Refuse a name that is taken.

        Raises:
            Refused: 409.
        """
        if name in self._names:
            raise refusals.duplicate("Image", name)

    def create(self, copy: Copy, name: str, description: str | None) -> Template:
        """Begin to make an image of a snapshot that is ready.

        Raises:
            Refused: 409 for a name that is taken.
        """
        self.need_name(name)
        image = self._add(copy, name, description, S.CREATING, "create")
        self._make(image)
        if "vanish" in self._account.twists:
            self._account.later(
                self._account.twists["vanish"], lambda: self._remove(image, "vanished")
            )
        return image

    def promise(self, copy: Copy) -> Template:
        """Note that a snapshot that is being taken is to become an image of the same name.

        The caller has made sure of the name.
        """
        return self._add(copy, copy.name, copy.description, S.PENDING, "promised")

    def delete(self, id_: str) -> Template:
        """Begin to delete an image.

        Raises:
            Refused: 404, 409.
        """
        image = self.get(id_)
        if image.status in (S.PENDING, S.CREATING, S.DELETING):
            raise refusals.conflict(f"{image.called()} is {image.status} and cannot be deleted now")
        account = self._account
        self._enter(image, S.DELETING, "delete")
        took = account.duration("delete_image")
        if "stuck" not in account.twists:
            account.later(took, lambda: self._remove(image, "delete finished"))
        return image

    # What becomes of the snapshot behind

    def snapshot_ready(self, snapshot_id: str) -> None:
        """Begin to make the image that a snapshot was to become."""
        for image in self.of(snapshot_id):
            if image.status is S.PENDING:
                self._enter(image, S.CREATING, "snapshot finished")
                self._make(image)

    def snapshot_lost(self, snapshot_id: str, why: str) -> None:
        """Without their snapshot images are no more."""
        for image in self.of(snapshot_id):
            self._remove(image, why)

    def _add(
        self, copy: Copy, name: str, description: str | None, status: ImageStatus, why: str
    ) -> Template:
        account = self._account
        image = Template(
            id=str(self._next_id),
            name=name,
            description=description,
            status=status,
            size_gb=copy.size_gb,
            snapshot_id=copy.id,
            region=copy.region,
            serial=account.next_serial(),
            created=account.micros,
            updated=account.micros,
        )
        self._next_id += 1
        self._all[image.id] = image
        self._names.add(name)
        account.record("image", image.id, name, f"{status}: {why}: of snapshot {copy.id}")
        return image

    def _make(self, image: Template) -> None:
        account = self._account
        took = account.duration("image")
        if "stuck" not in account.twists:
            end = S.FAILED if "fail" in account.twists else S.SUCCESS
            account.later(took, lambda: self._finish(image, end))

    def _finish(self, image: Template, status: ImageStatus) -> None:
        if image.id in self._all and image.status is S.CREATING:
            self._enter(image, status, "image finished")

    def _enter(self, image: Template, status: ImageStatus, why: str) -> None:
        before, image.status, image.updated = image.status, status, self._account.micros
        self._account.record("image", image.id, image.name, f"{before} -> {status}: {why}")

    def _remove(self, image: Template, why: str) -> None:
        if self._all.pop(image.id, None) is not None:
            self._names.discard(image.name)
            detail = f"{image.status} -> DELETED: {why}"
            self._account.record("image", image.id, image.name, detail)

    def dump(self) -> list[dict[str, Any]]:
        """Images as JSON values, under the library's own names."""
        return [
            {
                "id": x.id,
                "name": x.name,
                "status": str(x.status),
                "snapshot_id": x.snapshot_id,
                "region": x.region,
                "created_at": to_datetime(x.created).isoformat(),
            }
            for x in self.all()
        ]
