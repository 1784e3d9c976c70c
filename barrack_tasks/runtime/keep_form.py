"""The link by which people say no: the form of the deployment that keeps a machine."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from urllib.parse import quote

from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_UI_URL

from barrack_tasks.runtime.loop import SERVER_AWAY

ENTRYPOINT = ".keep_machine"
"""How the entrypoint of that deployment ends, whatever the deployment and its flow are called."""


def keeping_link(credentials: str | None = None) -> Callable[[str], str]:
    """What a notice about a machine ends with: the form that keeps it, filled in.

    Opening the link changes nothing: somebody has to start the run that it shows.

    Args:
        credentials: the name of the block of the machine's account; None for the account of the
            deployment. A deployment may be of another account.

    Returns:
        A function of the machine's id. It gives nothing where no such deployment is, or where
        Prefect does not tell the address of its pages.

    Example:
        >>> keeping_link()("BRK-A1B2C3D")
        ', or start this run: https://prefect.example/deployments/deployment/.../run?parameters=...'
    """

    @cache
    def form() -> str | None:
        # Asked only if there is anything to tell.
        address = PREFECT_UI_URL.value()
        try:
            found = _deployment() if address else None
        except SERVER_AWAY:
            return None
        return None if found is None else f"{address}/deployments/deployment/{found}/run"

    def link(id_: str) -> str:
        page = form()
        of = {} if credentials is None else {"credentials": credentials}
        given = quote(json.dumps({"instance": id_, "for_": "8h", **of}))
        return "" if page is None else f", or start this run: {page}?parameters={given}"

    return link


def _deployment() -> str | None:
    wanted = {"deployments": {"tags": {"all_": ["barrack"]}}, "limit": 200}
    with get_client(sync_client=True) as client:
        found = client.request("POST", "/deployments/filter", json=wanted).json()
    ids = (str(d["id"]) for d in found if str(d.get("entrypoint")).endswith(ENTRYPOINT))
    return next(ids, None)
