"""Tasks of the group Scripts."""

from barrack_tasks.api.resources import Scripts
from barrack_tasks.tasks.base import task_of

list_scripts = task_of(Scripts.list)
get_script = task_of(Scripts.get, "look at script {script_id}")
create_script = task_of(Scripts.create, "create script {name}")
update_script = task_of(Scripts.update, "update script {script_id}")
delete_script = task_of(Scripts.delete, "delete script {script_id}")
delete_scripts = task_of(Scripts.delete_many, "delete scripts {script_ids}")
