"""Tasks of the group SSH Keys."""

from barrack_tasks.api.resources import SshKeys
from barrack_tasks.tasks.base import task_of

list_ssh_keys = task_of(SshKeys.list)
get_ssh_key = task_of(SshKeys.get, "look at SSH key {key_id}")
create_ssh_key = task_of(SshKeys.create, "keep SSH key {name}")
delete_ssh_key = task_of(SshKeys.delete, "delete SSH key {key_id}")
