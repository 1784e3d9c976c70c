"""A cloud that is not quite what it is taken for: each difference, on the wire."""

from __future__ import annotations

from typing import Any

import pytest

from barrack_tasks.sandbox import Sandbox
from tests.sandbox.conftest import KEY, Api


def _differences(api: Api) -> dict[str, Any]:
    instances = api.ok("GET", "/instances")["instances"]
    specs = api.ok("GET", "/gpu-specs")["gpus"][0]["specs"][0]
    return {
        "get_gpu_stock": [api.http.get(x).status_code for x in ("/gpu-stocks", "/gpu-stock")],
        "UserVM.hourly_price": [x in instances[0] for x in ("hourly_price", "price_per_hour")],
        "Price.currency": "currency" in api.ok("GET", "/pricing")["prices"][0],
        "Balance.frozen": "frozen" in api.ok("GET", "/balance")["data"]["balance"],
        "Specs.vcpus": type(specs["vcpus"]),
        "UserVM.status": [x["status"] for x in instances],
        "Region.name": "ICELAND-1" in [x["name"] for x in api.ok("GET", "/regions")["regions"]],
    }


@pytest.mark.parametrize("process", [False, True], ids=["thread", "process"])
def test_every_difference_shows(process: bool) -> None:
    with Sandbox(api_key=KEY, speed=0, fleet=2, drift=True, process=process) as sandbox:
        seen = _differences(Api(sandbox))
        assert {change.place for change in sandbox.drift} == set(seen)
    assert seen == {
        "get_gpu_stock": [404, 200],
        "UserVM.hourly_price": [False, True],
        "Price.currency": False,
        "Balance.frozen": True,
        "Specs.vcpus": str,
        "UserVM.status": ["PAUSED", "ACTIVE"],
        "Region.name": True,
    }


def test_nothing_drifts_unasked() -> None:
    with Sandbox(api_key=KEY, speed=0, fleet=2) as sandbox:
        seen = _differences(Api(sandbox))
        assert list(sandbox.drift) == []
    assert seen == {
        "get_gpu_stock": [200, 404],
        "UserVM.hourly_price": [True, False],
        "Price.currency": True,
        "Balance.frozen": False,
        "Specs.vcpus": int,
        "UserVM.status": ["ACTIVE", "ACTIVE"],
        "Region.name": False,
    }
