"""Tasks of the groups OS Images and Images."""

from barrack_tasks.api import Barrack
from barrack_tasks.api.resources import Images, OsImages
from barrack_tasks.plans.names import LATEST
from barrack_tasks.plans.snapshots.images import latest_image
from barrack_tasks.tasks.base import task_of


def resolve_image(client: Barrack, image_id: str | None) -> str | None:
    """`latest:<family>` is the newest image that `publish_image` made of a family.

    Raises:
        ValueError: the family has no image that is ready.
    """
    if image_id is None or not image_id.startswith(LATEST):
        return image_id
    return latest_image(list(client.images.list()), image_id.removeprefix(LATEST)).id


list_os_images = task_of(OsImages.list)
list_images = task_of(Images.list)
get_image = task_of(Images.get, "look at image {image_id}")
create_image = task_of(Images.create, "image {name} from snapshot {snapshot_id}")
delete_image = task_of(Images.delete, "delete image {image_id}")
get_snapshot_image = task_of(Images.of_snapshot, "images of snapshot {snapshot_id}")
list_snapshot_images = task_of(Images.of_snapshots, "images of snapshots {snapshot_ids}")
