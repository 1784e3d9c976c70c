"""What a plan says that flows would do now is what they do, instance by instance."""

from __future__ import annotations

import random
import re
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from barrack_tasks import BarrackCredentials, flows
from barrack_tasks.cli.applying import plan_of
from barrack_tasks.cli.check import read
from barrack_tasks.controllers.reports import WorkFailed
from barrack_tasks.plans.report import Report
from barrack_tasks.sandbox import Sandbox

pytestmark = pytest.mark.slow
STAMP = re.compile(r"-\d{8}T\d{6}Z$")
"""What the name of a snapshot has besides that of its instance."""
STATES = ("ACTIVE", "ACTIVE", "HIBERNATED", "SHUTOFF", "ERROR")
MODELS = ("L40", "A40", "H100-PCIe-80GB")
SECTIONS = (
    'timetables: {{strict: true, adopt: now, rules: [{{select: ["{glob}"], timetable: {when}}}]}}',
    'balance: {{select: ["{glob}"], thresholds: [{{runway: 10000h, actions: [hibernate_all]}}]}}',
    'balance: {{select: ["{glob}"], thresholds: [{{runway: 10000h, snapshot: true, '
    "actions: [hibernate_all]}}]}}",
    "budgets: {{enforce_at_once: true, budgets: [{{per: hour, hard: {cap}}}]}}",
)


@pytest.mark.parametrize("section", SECTIONS, ids=["timetables", "balance", "snapshots", "budgets"])
@pytest.mark.parametrize("seed", range(3))
def test_the_plan_and_the_run_agree_on_every_instance(
    seed: int, section: str, prefect_server: str, tmp_path: Path
) -> None:
    rng = random.Random(f"{seed} {section}")
    key = f"key-{uuid.uuid4().hex}"
    with Sandbox(fleet=0, speed=120, balance="900", api_key=key, seed=seed) as sandbox:
        names = [f"{rng.choice(('train', 'prod'))}-{n}" for n in range(rng.randint(3, 7))]
        for name in names:
            sandbox.seed_instance(name, gpu_model=rng.choice(MODELS), status=rng.choice(STATES))
        block = f"kept-{uuid.uuid4().hex[:8]}"
        BarrackCredentials(api_key=key, base_url=sandbox.url).save(block, _sync=True)  # type: ignore[call-arg]
        protected = rng.sample(names, 1)
        file = tmp_path / "barrack.yaml"
        said = section.format(
            glob=rng.choice(("*", "train-*")),
            when=rng.choice(("never", "always")),
            cap=rng.choice((1, 4)),
        )
        file.write_text(f"name: {block}\naccounts: [{block}]\nprotect: {protected}\n{said}\n")
        plan = plan_of(read(file))
        [seen] = plan.foreseen
        assert seen.report is not None, seen.problem
        planned = {row.instance: row for row in seen.report.rows if row.outcome == "planned"}
        assert {entry["operation"] for entry in sandbox.ledger()} <= {"person"}

        spec = plan.wanted[seen.key].spec
        # An apply would put what is protected into the block; the plan counted it already.
        done = ran(plan.wanted[seen.key].flow, {**spec["parameters"], "protect": protected})
        first: dict[str, str] = {}
        for entry in sandbox.ledger():
            if entry["operation"] not in ("person", "clock"):
                first.setdefault(STAMP.sub("", entry["name"]), entry["operation"])
        assert first == {name: row.did[0].replace(" ", "_") for name, row in planned.items()}
        assert protected[0] not in first
        assert {row.instance for row in done.rows if row.did} == planned.keys()
        for row in done.rows:
            if row.instance in planned:
                assert row.outcome == "done"
                assert row.hourly_now == planned[row.instance].hourly_now


def ran(flow: str, parameters: Mapping[str, Any]) -> Report:
    """The report of a flow, run as its deployment would be once it is armed."""
    try:
        report = getattr(flows, flow)(**{**parameters, "dry_run": False})
    except WorkFailed as failed:
        report = failed.report
    assert isinstance(report, Report)
    return report
