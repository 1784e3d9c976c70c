"""Tasks of the groups Instance management and Deploy Instance."""

from barrack_tasks.api.resources import Instances
from barrack_tasks.tasks.base import task_of
from barrack_tasks.tasks.images import resolve_image

create_instance = task_of(Instances.create, "create {name}", {"image_id": resolve_image})
list_instances = task_of(Instances.list)
get_instance = task_of(Instances.get, "look at {instance_id}")
get_instance_billing = task_of(Instances.billing, "billing of {instance_id}")
get_hibernated_instances = task_of(Instances.hibernated)
start_instance = task_of(Instances.start, "start {instance_id}")
stop_instance = task_of(Instances.stop, "stop {instance_id}")
reboot_instance = task_of(Instances.reboot, "reboot {instance_id}")
hibernate_instance = task_of(Instances.hibernate, "hibernate {instance_id}")
restore_instance = task_of(Instances.restore, "restore {instance_id}")
toggle_public_ip = task_of(Instances.toggle_public_ip, "toggle public IP of {instance_id}")
add_security_rule = task_of(
    Instances.add_security_rule, "let {direction} {protocol} through to {instance_id}"
)
remove_security_rule = task_of(
    Instances.remove_security_rule, "remove security rule {rule_id} of {instance_id}"
)
delete_instance = task_of(Instances.delete, "delete {instance_id}")
