"""What a file becomes: for each section the deployment it needs, and no other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from barrack_tasks.cli.config.checking import Config, Section, config_of
from barrack_tasks.cli.config.deployments import (
    WantedDeployment,
    values_of,
    wanted_deployments,
    with_values,
)
from barrack_tasks.cli.config.reading import ConfigDocument
from barrack_tasks.cli.config.sections import KINDS
from barrack_tasks.cli.config.tags import owner_of, tag_of

ROOT = Path(__file__).resolve().parents[3]
TEMPLATES: list[dict[str, Any]] = yaml.safe_load(
    (ROOT / "deployments" / "prefect.yaml").read_text()
)["deployments"]
BY_FLOW = {one["entrypoint"].rpartition(".")[2]: one for one in TEMPLATES}


def made(text: str) -> list[WantedDeployment]:
    return wanted_deployments(config_of(ConfigDocument(yaml.safe_load(text))), TEMPLATES)


def test_each_section_becomes_its_deployment_and_no_other() -> None:
    found = made("balance: {}\ncosts: {days: 7}\nretention: {armed: true, select: [a]}")
    assert [one.section for one in found] == ["balance", "retention", "costs"]
    balance, retention, costs = (one.spec for one in found)
    assert balance["parameters"] == {"dry_run": True, "credentials": "barrack"}
    assert retention["parameters"] == {"dry_run": False, "select": ["a"], "credentials": "barrack"}
    assert costs["parameters"] == {"days": 7, "credentials": "barrack"}


def test_costs_are_reported_every_monday_to_the_channels_of_the_section() -> None:
    [costs] = made("notify: {team: slack-webhook/team}\ncosts: {days: 21, notify: [team]}")
    assert costs.spec["parameters"]["notify"] == ["slack-webhook/team"]
    assert [one["cron"] for one in costs.spec["schedules"]] == ["0 7 * * 1"]


@pytest.mark.parametrize("armed", [True, False])
def test_what_is_not_armed_runs_by_itself_only_where_it_does_so_in_the_release(
    armed: bool,
) -> None:
    config = Config(sections={name: Section(armed, {}) for name in KINDS})
    for one in wanted_deployments(config, TEMPLATES):
        usual = BY_FLOW[one.flow]["schedules"]
        is_on = [s["active"] for s in one.spec["schedules"]]
        assert is_on == [armed or s["active"] for s in usual]


def test_a_schedule_of_the_file_takes_the_place_of_the_usual_one() -> None:
    [every, cron] = made(
        "watch: {schedule: {every: 10m}}\n"
        "costs: {schedule: {cron: '0 7 * * 1', timezone: Europe/Berlin}}\n"
    )[::-1]
    assert every.spec["schedules"] == [{"interval": 600, "timezone": "UTC", "active": True}]
    assert cron.spec["schedules"] == [
        {"cron": "0 7 * * 1", "timezone": "Europe/Berlin", "active": True}
    ]


def test_each_account_has_its_own_deployments_and_triggers() -> None:
    config = config_of(
        ConfigDocument(
            {
                "accounts": ["barrack", "team-b"],
                "timetables": {"rules": [{"select": ["*"], "timetable": "always"}]},
            }
        )
    )
    resources: dict[str | None, str] = {"barrack": "r.a", "team-b": "r.b"}
    first, second = wanted_deployments(config, TEMPLATES, resources)
    usual = BY_FLOW["follow_schedule"]
    assert (first.name, second.name) == (usual["name"], f"{usual['name']}-team-b")
    assert first.spec["parameters"]["credentials"] == "barrack"
    assert second.spec["parameters"]["credentials"] == "team-b"
    for one, resource in ((first, "r.a"), (second, "r.b")):
        [trigger] = one.spec["triggers"]
        assert trigger["match_related"]["prefect.resource.id"] == resource
    assert first.spec["triggers"][0]["name"] != second.spec["triggers"][0]["name"]


def test_stock_that_ends_brings_along_who_ends_it() -> None:
    text = "stock: {expires: 8h, armed: true, wants: [{gpu_model: L40}]}"
    assert [(one.section, one.armed) for one in made(text)] == [("stock", True), ("ends", True)]
    [only] = made("stock: {wants: [{gpu_model: L40}]}")
    assert only.section == "stock"


def test_the_account_of_the_environment_has_no_credentials() -> None:
    [one] = made("accounts: [{environment: BARRACK_API_KEY}]\nbalance: {}")
    assert one.spec["parameters"] == {"dry_run": True}
    assert one.account is None


def test_what_a_file_made_is_known_by_its_tag() -> None:
    [one] = made("name: team-a\nwatch: {}")
    assert owner_of(one.spec["tags"]) == "team-a"
    assert "barrack" in one.spec["tags"]
    assert owner_of(["barrack", "guard"]) is None


@pytest.mark.parametrize(("armed", "state"), [(True, "armed"), (False, "dry")])
def test_a_tag_that_says_whether_it_acts_is_right(armed: bool, state: str) -> None:
    templates = [{**one, "tags": ["barrack", "dry"]} for one in TEMPLATES]
    config = Config(sections={"balance": Section(armed, {})})
    [one] = wanted_deployments(config, templates)
    assert one.spec["tags"] == ["barrack", state, tag_of("barrack")]


def test_the_release_is_not_changed_by_what_is_made_of_it() -> None:
    before = yaml.safe_dump(TEMPLATES)
    made("accounts: [a, b]\nbalance: {armed: true}\nwatch: {}")
    assert yaml.safe_dump(TEMPLATES) == before


@given(st.sampled_from(TEMPLATES), st.dictionaries(st.sampled_from("abc"), st.integers()))
def test_values_go_into_a_deployment_and_come_out_again(
    template: dict[str, Any], parameters: dict[str, int]
) -> None:
    values = {
        **{k: v for k, v in values_of(template).items() if not k.startswith("parameter ")},
        **{f"parameter {k}": v for k, v in parameters.items()},
    }
    assert values_of(with_values(template, values)) == values


@pytest.mark.parametrize(
    ("block", "taken", "suffix"),
    [
        ("barrack", None, ""),
        ("team-a", None, "-team-a"),
        ("team-a", "team-a", ""),
        ("barrack", "team-a", "-barrack"),
        ("barrack", "barrack", ""),
        ("team-b", "team-a", "-team-b"),
        (None, "team-a", "-environment"),
    ],
)
def test_no_account_takes_the_name_of_anothers_deployment(
    block: str | None, taken: str | None, suffix: str
) -> None:
    config = Config(accounts=(block,), sections={"balance": Section(False, {})})
    usual = BY_FLOW["watch_balance"]["name"]
    there = {f"watch_balance/{usual}": taken} if taken else {}
    [one] = wanted_deployments(config, TEMPLATES, {}, there)
    assert one.name == f"{usual}{suffix}"


def test_each_account_gets_the_rules_of_its_own_section() -> None:
    found = made(
        "accounts: [a, b]\nwatch: {}\nstock:\n"
        "  - {account: a, expires: 8h, wants: [{gpu_model: L40}]}\n"
        "  - {account: b, armed: true, wants: [{gpu_model: A40}]}\n"
    )
    assert [(one.section, one.account) for one in found] == [
        *[("stock", "a"), ("ends", "a"), ("watch", "a")],
        *[("stock", "b"), ("watch", "b")],
    ]
    stock = {one.account: one for one in found if one.section == "stock"}
    assert [stock[name].armed for name in "ab"] == [False, True]
    models = [stock[name].spec["parameters"]["wants"][0]["gpu_model"] for name in "ab"]
    assert models == ["L40", "A40"]
