"""Tasks of the group Firewalls."""

from barrack_tasks.api.resources import Firewalls, Instances
from barrack_tasks.tasks.base import task_of

list_firewalls = task_of(Firewalls.list)
get_firewall = task_of(Firewalls.get, "look at firewall {firewall_id}")
list_firewall_protocols = task_of(Firewalls.protocols)
list_instance_firewalls = task_of(Instances.firewalls, "firewalls of {instance_id}")
list_firewall_eligible_instances = task_of(Firewalls.eligible_instances)
create_firewall = task_of(Firewalls.create, "create firewall {name}")
delete_firewall = task_of(Firewalls.delete, "delete firewall {firewall_id}")
add_firewall_rule = task_of(
    Firewalls.add_rule, "let {direction} {protocol} through firewall {firewall_id}"
)
remove_firewall_rule = task_of(
    Firewalls.remove_rule, "remove rule {rule_id} of firewall {firewall_id}"
)
attach_firewall = task_of(Firewalls.attach, "attach firewall {firewall_id} to {instance_ids}")
