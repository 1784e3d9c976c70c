"""Balance, stock, specifications, regions, prices."""

from __future__ import annotations

import pytest

from barrack_tasks.sandbox import Sandbox
from tests.sandbox.conftest import KEY, Api

USD = {
    "H100-SXM5-80GB": "2.69",
    "H100-PCIe-NVLink-80GB": "2.29",
    "H100-PCIe-80GB": "2.25",
    "A100-SXM4-80GB-NVLink": "1.59",
    "A100-PCIe-80GB": "1.55",
    "L40": "1.19",
    "RTX-A6000": "0.69",
    "A40": "0.69",
}


def test_balance(api: Api) -> None:
    assert api.ok("GET", "/balance")["data"] == {"balance": {"amount": "100.00", "currency": "USD"}}


def test_prices(api: Api) -> None:
    prices = api.ok("GET", "/pricing")["prices"]
    single = {p["gpu_model"]: p["hourly"] for p in prices if p.get("gpu_count") == 1}
    assert single == USD
    (sleep,) = [p for p in prices if p["resource_type"] == "hibernated_instance"]
    assert sleep == {"resource_type": "hibernated_instance", "hourly": "0.01", "currency": "USD"}


def test_quote(api: Api) -> None:
    ask = {"gpu_model": "L40", "gpu_count": 4, "region": "US-1"}
    assert api.ok("POST", "/pricing", ask)["prices"] == [
        {
            "resource_type": "instance",
            "hourly": "4.76",
            "currency": "USD",
            "gpu_model": "L40",
            "gpu_count": 4,
            "region": "US-1",
            "tier": "on-demand",
        }
    ]
    rupees = api.ok("POST", "/pricing", {**ask, "currency": "INR"})["prices"][0]
    assert (rupees["hourly"], rupees["currency"]) == ("404.60", "INR")
    assert "currency" in api.no(422, "POST", "/pricing", {**ask, "currency": "XAU"})["errors"]
    assert "gpu_model" in api.no(422, "POST", "/pricing", {"gpu_count": 1})["errors"]


@pytest.mark.parametrize(("currency", "hourly"), [("EUR", "1.19"), ("INR", "101.15")])
def test_currencies(currency: str, hourly: str) -> None:
    with Sandbox(api_key=KEY, speed=0, fleet=0, currency=currency, balance=500) as sandbox:
        api = Api(sandbox)
        assert api.ok("GET", "/balance")["data"]["balance"]["currency"] == currency
        id_ = sandbox.seed_instance("alpha")
        shown = api.ok("GET", f"/instances/{id_}")["instance"]
        assert (shown["hourly_price"], shown["currency"]) == (hourly, currency)


def test_stock_is_never_over_reported(sandbox: Sandbox, api: Api) -> None:
    sandbox.set_stock("US-1", "L40", 203)
    sandbox.set_stock("US-1", "A40", 199)
    stocks = {(x["region"], x["gpu_model"]): x for x in api.ok("GET", "/gpu-stocks")["stocks"]}
    assert len(stocks) == 3 * 8
    assert stocks["US-1", "L40"] == {
        "region": "US-1",
        "gpu_model": "L40",
        "available": "200+",
        "configurations": [
            {"gpu_count": 1, "available": 203},
            {"gpu_count": 2, "available": 101},
            {"gpu_count": 4, "available": 50},
            {"gpu_count": 8, "available": 25},
            {"gpu_count": 10, "available": 20},
        ],
    }
    assert stocks["US-1", "A40"]["available"] == "199"


def test_regions_and_specs(api: Api) -> None:
    regions = api.ok("GET", "/regions")["regions"]
    assert [r["name"] for r in regions] == ["CANADA-1", "NORWAY-1", "US-1"]
    body = api.ok("GET", "/gpu-specs")
    assert {g["gpu_model"] for g in body["gpus"]} == set(USD)
    assert body["metadata"]["count"] == len(USD)
    (a6000,) = [g for g in body["gpus"] if g["gpu_model"] == "RTX-A6000"]
    assert [s["gpu_count"] for s in a6000["specs"]] == [1, 2, 4, 8, 10]
    assert a6000["specs"][1] == {
        "gpu_count": 2,
        "flavor": "n3-RTX-A6000x2",
        "vcpus": 56,
        "ram_gb": 116,
        "disk_gb": 100,
        "ephemeral_gb": 850,
        "can_hibernate": True,
    }
