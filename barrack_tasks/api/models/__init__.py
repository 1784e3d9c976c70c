"""Every request, answer and enum of the API, under the names of its reference."""

import types
import typing

from barrack_tasks.api.models.ai import *
from barrack_tasks.api.models.balance import *
from barrack_tasks.api.models.base import *
from barrack_tasks.api.models.common import *
from barrack_tasks.api.models.firewalls import *
from barrack_tasks.api.models.gpus import *
from barrack_tasks.api.models.images import *
from barrack_tasks.api.models.instances import *
from barrack_tasks.api.models.pricing import *
from barrack_tasks.api.models.scripts import *
from barrack_tasks.api.models.snapshots import *
from barrack_tasks.api.models.ssh_keys import *
from barrack_tasks.api.models.volumes import *

if not typing.TYPE_CHECKING:  # mypy reads only lists that are written out, and needs none here
    __all__ = [
        name
        for name, thing in tuple(globals().items())
        if not name.startswith("_") and not isinstance(thing, types.ModuleType)
    ]
