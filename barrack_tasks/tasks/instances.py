"""Tasks of the groups Instance management and Deploy Instance."""

from barrack_tasks.api import BarrackConflictError, BarrackNotFoundError
from barrack_tasks.api.models import UserVM
from barrack_tasks.api.resources import Instances
from barrack_tasks.server.credentials import BarrackCredentials
from barrack_tasks.tasks.base import barrack_task, task_of
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


@barrack_task("look for instance {name}")
def get_instance_by_name(credentials: BarrackCredentials, name: str) -> UserVM:
    """The one instance that has a name, as the list of instances shows it.

    Args:
        credentials: the account; the environment's, if not given.
        name: the whole name, as it is spelt.

    Returns:
        The instance, with id and address.

    Raises:
        BarrackNotFoundError: no instance has the name.
        BarrackConflictError: several have it; their ids are named.
        BarrackError: the key was refused, or no answer came.

    Example:
        >>> get_instance_by_name(account, "train-1").public_ip
    """
    found = [one for one in credentials.get_client().instances.list() if one.name == name]
    match found:
        case [instance]:
            return instance
        case []:
            error = BarrackNotFoundError(f"no instance is called {name!r}")
            error.advice = "Check the name; `list_instances` shows all names of the account."
            raise error
    ids = ", ".join(one.id for one in found)
    clash = BarrackConflictError(f"{len(found)} instances are called {name!r}: {ids}")
    clash.advice = "Use `get_instance` with the id of the one that is meant."
    raise clash
