"""The client's methods, one class a resource."""

from barrack_tasks.api.resources.ai import *
from barrack_tasks.api.resources.catalogue import *
from barrack_tasks.api.resources.firewalls import *
from barrack_tasks.api.resources.images import *
from barrack_tasks.api.resources.instances import *
from barrack_tasks.api.resources.scripts import *
from barrack_tasks.api.resources.snapshots import *
from barrack_tasks.api.resources.ssh_keys import *
from barrack_tasks.api.resources.volumes import *
