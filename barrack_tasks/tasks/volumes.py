"""Tasks of the group Volumes."""

from barrack_tasks.api.resources import Volumes
from barrack_tasks.tasks.base import task_of

list_volumes = task_of(Volumes.list)
create_volume = task_of(Volumes.create, "create volume {name}")
get_volume = task_of(Volumes.get, "look at volume {volume_id}")
delete_volume = task_of(Volumes.delete, "delete volume {volume_id}")
resize_volume = task_of(Volumes.resize, "resize volume {volume_id} to {size_gb} GB")
clone_volume = task_of(Volumes.clone, "clone volume {volume_id} as {name}")
attach_volumes = task_of(Volumes.attach, "attach volumes {volume_ids} to {instance_id}")
detach_volumes = task_of(Volumes.detach, "detach volumes {volume_ids} from {instance_id}")
list_volume_types = task_of(Volumes.types)
get_volume_billing = task_of(Volumes.billing, "billing of volume {volume_id}")
