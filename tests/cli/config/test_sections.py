"""The sections of a barrack.yaml have the words of the flows' parameters, and no others."""

from __future__ import annotations

import json
from inspect import signature
from pathlib import Path

import pytest
import yaml

from barrack_tasks import flows
from barrack_tasks.cli.config.sections import KINDS, json_schema, model_of

ROOT = Path(__file__).resolve().parents[3]
OWN = {"armed", "schedule", "named", "account", "accounts"}
NOT_IN_THE_FILE = {"credentials", "dry_run"}


@pytest.mark.parametrize("name", KINDS)
def test_a_section_has_the_words_of_its_flow(name: str) -> None:
    flow = getattr(flows, KINDS[name].flow)
    words = set(signature(flow.fn).parameters) - NOT_IN_THE_FILE
    assert set(model_of(name).model_fields) - OWN == words
    assert model_of(name).model_fields.keys() >= {"schedule"}


@pytest.mark.parametrize("name", KINDS)
def test_a_section_can_be_armed_if_its_deployment_has_a_dry_run(name: str) -> None:
    written = yaml.safe_load((ROOT / "deployments" / "prefect.yaml").read_text())["deployments"]
    [one] = [d for d in written if d["entrypoint"].rpartition(".")[2] == KINDS[name].flow]
    has_dry_run = "dry_run" in one.get("parameters", {})
    assert KINDS[name].acts == ("armed" in model_of(name).model_fields) == has_dry_run


def test_every_word_of_the_schema_is_explained() -> None:
    schema = json_schema()
    for name, section in schema["properties"].items():
        assert section.get("description"), name
    for name in KINDS:
        fields = schema["$defs"][f"{name.capitalize()}Section"]["properties"]
        assert all(field.get("description") for field in fields.values()), name


def test_the_published_schema_is_up_to_date() -> None:
    """Write it anew with: barrack schema > docs/barrack.schema.json"""
    published = json.loads((ROOT / "docs" / "barrack.schema.json").read_text())
    assert published == json_schema()
