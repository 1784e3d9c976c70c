"""Values that can be read and can hardly be meant are named with the line to change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from barrack_tasks.api import models as m
from barrack_tasks.api.dialect import Dialect, load_dialect
from barrack_tasks.api.dialect.loading import merged
from barrack_tasks.dialects.doctor import checkup
from barrack_tasks.dialects.doctor.sense import DOCUMENTED, make_no_sense
from barrack_tasks.sandbox import Sandbox
from tests.api.helpers import client_of

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def instance(**about: Any) -> m.UserVM:
    given = {"id": "1", "name": "one", "status": "ACTIVE", "gpu_model": "L40", "gpu_count": 2}
    return m.UserVM.model_validate({**given, **about})


def told(thing: Any, operation: str = "list_instances", **before: Any) -> list[tuple[str, str]]:
    return [(d.field, d.line) for d in make_no_sense(operation, thing, before, NOW)]


def test_every_documented_price_makes_sense_in_each_currency() -> None:
    for model, price in DOCUMENTED.items():
        for currency, rate in (("USD", 1), ("EUR", 1), ("INR", 85)):
            one = instance(gpu_model=model, hourly_price=2 * price * rate, currency=currency)
            assert told(one) == []


@pytest.mark.parametrize(
    ("price", "times"), [("238", '"0.01"'), ("2380", '"0.001"'), ("0.0238", '"100"')]
)
def test_a_price_in_another_unit_is_named_with_its_factor(price: str, times: str) -> None:
    [(field, line)] = told(instance(hourly_price=price, currency="USD"))
    assert (field, line) == (
        "hourly_price",
        f"values: {{UserVM: {{hourly_price: {{times: {times}}}}}}}",
    )


def test_an_unknown_price_model_or_state_is_not_judged() -> None:
    assert told(instance()) == []
    assert told(instance(gpu_model="B300", hourly_price=400)) == []
    assert told(instance(status="HIBERNATED", hourly_price=Decimal("0.01"))) == []


def test_times_ahead_of_the_cloud_and_of_another_age_are_named() -> None:
    assert told(instance(created_at=NOW + timedelta(minutes=5))) == []
    [(_, ahead)] = told(instance(created_at=NOW + timedelta(hours=1)))
    assert ahead == "values: {UserVM: {created_at: {zone: <its time zone>}}}"
    [(_, old)] = told(instance(created_at=datetime(1970, 1, 21, tzinfo=UTC)))
    assert old == "values: {UserVM: {created_at: {epoch: seconds}}}"


def test_an_id_that_the_list_spells_otherwise_is_named() -> None:
    assert told(instance(), "get_instance", list_instances=[instance()]) == []
    found = told(instance(), "get_instance", list_instances=[instance(id="vm-1")])
    assert found[0][0] == "id"


def test_the_doctor_names_a_price_in_cents_and_its_line_mends_it(tmp_path: Path) -> None:
    def read(text: str) -> Dialect:
        file = tmp_path / "d.yaml"
        file.write_text(text)
        return load_dialect(file)

    fields = "{hourly_price: {times: '0.01'}}"
    cents = read(f"values: {{UserVM: {fields}, VMInstance: {fields}}}")
    with Sandbox(fleet=2, speed=0.001, dialect=cents, api_key="key-1") as sandbox:
        with client_of(sandbox) as client:
            report = checkup(client)
        assert not report.ok
        assert set(read(report.file).values) == {"UserVM", "VMInstance"}
        with client_of(sandbox, dialect=read(report.file)) as client:
            assert checkup(client).file == ""


def test_what_the_dialect_says_already_is_what_is_to_be_changed() -> None:
    price = instance(hourly_price="0.0238", currency="USD")
    cents = merged({"values": {"UserVM": {"hourly_price": {"times": "0.01"}}}}, "cents.yaml")
    [found] = make_no_sense("list_instances", price, {}, NOW, cents)
    assert found.line == 'values: {UserVM: {hourly_price: {times: "1"}}}'
    join = {"operation": "get_pricing", "match": {"gpu_model": "gpu_model"},
            "take": {"hourly_price": "hourly"}}  # fmt: skip
    joined = merged({"joins": {"UserVM": join}}, "joined.yaml")
    [found] = make_no_sense("list_instances", instance(hourly_price="238"), {}, NOW, joined)
    assert found.line == 'values: {Price: {hourly: {times: "0.01"}}}'
    seconds = merged({"values": {"UserVM": {"created_at": {"epoch": "seconds"}}}}, "epoch.yaml")
    late = instance(created_at=NOW + timedelta(hours=9))
    [found] = make_no_sense("list_instances", late, {}, NOW, seconds)
    assert found.line == "values: {UserVM: {created_at: {epoch: milliseconds}}}"
    assert "9 hours in the future" in str(found)


def test_all_four_are_named_and_what_is_to_be_written_is_one_file(tmp_path: Path) -> None:
    about = {"hourly_price": {"times": "0.01"}, "created_at": {"zone": "Asia/Tokyo"}}
    spoken = merged(
        {
            "values": {"UserVM": about, "VMInstance": about},
            "words": {"VMStatus": {"nap": "HIBERNATED"}},
            "schemas": {"VMInstance": {"id": "uuid"}},
        },
        "spoken.yaml",
    )
    broken = merged({"schemas": {"VMInstance": {"id": "name"}}}, "broken.yaml")
    fleet = [{"name": "one"}, {"name": "two", "status": "HIBERNATED"}]
    with (
        Sandbox(fleet=fleet, speed=0, dialect=spoken, api_key="key-1") as sandbox,
        client_of(sandbox, dialect=broken) as client,
    ):
        report = checkup(client)
    assert not report.ok
    assert yaml.safe_load(report.file) == {
        "words": {"VMStatus": {"nap": "<what it means>"}},
        "values": {
            schema: {"hourly_price": {"times": "0.01"}, "created_at": {"zone": "<its time zone>"}}
            for schema in ("UserVM", "VMInstance")
        },
        "schemas": {"VMInstance": {"id": "<where the id of the list stands>"}},
    }
