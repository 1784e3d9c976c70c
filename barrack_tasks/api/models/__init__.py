"""Every request, answer and enum of the API, under the names of its reference."""

from barrack_tasks.api.models.balance import *  # noqa: F403
from barrack_tasks.api.models.base import Answer, Model, OpenEnum, OpenIntEnum, Request  # noqa: F401
from barrack_tasks.api.models.common import *  # noqa: F403
from barrack_tasks.api.models.gpus import *  # noqa: F403
from barrack_tasks.api.models.instances import *  # noqa: F403
from barrack_tasks.api.models.pricing import *  # noqa: F403
from barrack_tasks.api.models.snapshots import *  # noqa: F403
