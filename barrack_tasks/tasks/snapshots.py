"""Tasks of the group Snapshots."""

from barrack_tasks.api.resources import Snapshots
from barrack_tasks.tasks.base import task_of

list_snapshots = task_of(Snapshots.list)
get_snapshot = task_of(Snapshots.get, "look at snapshot {snapshot_id}")
list_snapshot_eligible_instances = task_of(Snapshots.eligible_instances)
get_snapshot_billing = task_of(Snapshots.billing, "billing of snapshot {snapshot_id}")
create_snapshot = task_of(Snapshots.create, "snapshot {instance_id}")
delete_snapshot = task_of(Snapshots.delete, "delete snapshot {snapshot_id}")
restore_snapshot = task_of(Snapshots.restore, "restore snapshot {snapshot_id} as {name}")
