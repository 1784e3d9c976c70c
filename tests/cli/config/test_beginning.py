"""The first barrack.yaml: it can be read, nothing in it acts, and it is what the release has."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barrack_tasks.api.models import Balance, UserVM
from barrack_tasks.cli.config.beginning import first_file
from barrack_tasks.cli.config.checking import Config, read_config
from barrack_tasks.cli.config.deployments import wanted_deployments
from barrack_tasks.cli.config.tags import tag_of
from tests.cli.config.test_deployments import BY_FLOW, TEMPLATES


def read(text: str, folder: Path) -> Config:
    file = folder / "barrack.yaml"
    file.write_text(text, encoding="utf-8")
    return read_config(file)


def machine(name: str, price: str | None = "1.19") -> UserVM:
    given: dict[str, Any] = {"id": f"BRK-{name}", "name": name, "status": "ACTIVE"}
    return UserVM.model_validate({**given, "hourly_price": price, "currency": "USD"})


def test_it_agrees_with_the_deployments_of_the_release(tmp_path: Path) -> None:
    found = wanted_deployments(read(first_file("barrack", TEMPLATES), tmp_path), TEMPLATES)
    assert len(found) == 7
    for one in found:
        release = BY_FLOW[one.flow]
        spec = dict(one.spec)
        assert spec.pop("tags") == [*release["tags"], tag_of("barrack")]
        parameters = dict(spec.pop("parameters"))
        assert parameters.pop("credentials") == "barrack"
        assert parameters == release.get("parameters", {})
        assert spec == {k: v for k, v in release.items() if k not in ("tags", "parameters")}


def test_nothing_in_it_acts(tmp_path: Path) -> None:
    found = wanted_deployments(read(first_file("barrack", TEMPLATES), tmp_path), TEMPLATES)
    assert not any(one.armed for one in found if one.acts)
    assert all(one.spec["parameters"]["dry_run"] is True for one in found if one.acts)


def test_it_says_what_the_account_has_the_dearest_first() -> None:
    balance = Balance.model_validate({"amount": "500", "currency": "USD"})
    fleet = [machine("small", "1"), machine("large", "20")]
    text = first_file("team-a", TEMPLATES, fleet, balance)
    assert "2 instances for 21.00 USD an hour; the balance is 500.00 USD" in text
    assert text.index("large") < text.index("small")
    assert "name: team-a\naccounts: [team-a]" in text
    assert "{per: month, soft: 15400, hard: 19200}" in text


def test_a_sum_with_an_unknown_price_is_not_said() -> None:
    text = first_file("barrack", TEMPLATES, [machine("a"), machine("b", None)])
    assert "has 2 instances.\n" in text
    assert "hard: 1000" in text


@given(
    names=st.lists(st.text(min_size=1, max_size=30), max_size=4),
    price=st.decimals("0.01", "90", places=2),
)
def test_no_name_of_an_instance_becomes_a_part_of_the_file(
    names: list[str], price: Decimal, tmp_path_factory: pytest.TempPathFactory
) -> None:
    fleet = [machine(f"{name}\nbalance: {{armed: true}}", str(price)) for name in names]
    text = first_file("barrack", TEMPLATES, fleet)
    config = read(text, tmp_path_factory.mktemp("init"))
    assert not any(one.armed for one in config.sections.values())
