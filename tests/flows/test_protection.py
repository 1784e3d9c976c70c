"""Protection holds for what a thing is called at the moment of the decision."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from barrack_tasks.api.dialect import builtin
from barrack_tasks.plans.names import snapshot_description, snapshot_name
from barrack_tasks.sandbox import Sandbox
from flows.hibernate import hibernate
from flows.prune_snapshots import prune_snapshots
from flows.restore import restore
from flows.snapshot_before_stop import snapshot_before_stop
from tests.flows.conftest import account_of, rename, spoken, states

Cloud = Callable[..., Sandbox]
LONG_AGO = datetime(2026, 1, 1, 12, tzinfo=UTC)
ONE = {"last": 1, "daily": 0, "weekly": 0, "monthly": 0}


@contextmanager
def renamed_after(sandbox: Sandbox, operation: str, old: str, new: str) -> Iterator[None]:
    """Somebody renames an instance as soon as an operation was asked for."""
    before = sum(r["operation"] == operation for r in sandbox.requests())

    def wait() -> None:
        for _ in range(3000):
            asked = [r for r in sandbox.requests() if r["operation"] == operation]
            if len(asked) > before:
                rename(sandbox, old, new)
                return
            time.sleep(0.01)

    person = threading.Thread(target=wait)
    person.start()
    yield
    person.join()


@pytest.mark.parametrize("then", ["delete", "hibernate"])
def test_an_instance_that_is_renamed_into_protection_meanwhile_is_not_touched(
    cloud: Cloud, then: str
) -> None:
    sandbox = cloud(fleet=0, speed=30)
    sandbox.seed_instance("scratch", gpu_model="L40")
    with renamed_after(sandbox, "create_snapshot", "scratch", "prod-1"):
        report = snapshot_before_stop(
            select=["scratch"],
            then=then,  # type: ignore[arg-type]
            credentials=account_of(sandbox, protect=["prod-*"]),
        )
    assert [(r.outcome, r.why) for r in report.rows] == [("skipped", "protected")]
    assert states(sandbox) == {"prod-1": "ACTIVE"}


@pytest.mark.parametrize("flow", [hibernate, restore])
def test_protection_that_misses_by_letter_case_alone_protects(cloud: Cloud, flow: Any) -> None:
    sandbox = cloud(fleet=0)
    for name in ("prod-1", "other"):
        sandbox.seed_instance(
            name, gpu_model="L40", status="ACTIVE" if flow is hibernate else "HIBERNATED"
        )
    was = states(sandbox)["prod-1"]
    report = flow(select=["*"], protect=["PROD-*"], credentials=account_of(sandbox))
    assert {r.instance: r.outcome for r in report.rows} == {"prod-1": "skipped", "other": "done"}
    assert states(sandbox)["prod-1"] == was


def with_history(sandbox: Sandbox, *names: str) -> dict[str, str]:
    """Instances with three snapshots of this library each; ids by name."""
    ids = {name: sandbox.seed_instance(name, gpu_model="L40") for name in names}
    client = account_of(sandbox).get_client()
    for _ in range(3):
        for name, id_ in ids.items():
            client.snapshots.create(
                id_, snapshot_name(name, id_, sandbox.now()), description=snapshot_description(id_)
            )
        sandbox.advance(86400)
    return ids


def pruned(sandbox: Sandbox, dialect: Path | None = None) -> set[str]:
    """Of which instances a run deletes snapshots, by the name that they had at first."""
    more = {} if dialect is None else {"dialect": str(dialect)}
    account = account_of(sandbox, protect=["prod-*"], **more)
    report = prune_snapshots(select=["*"], retention=ONE, credentials=account)
    gone = {row.snapshot for row in report.rows if row.outcome == "done"}
    there = {s["name"] for s in sandbox.state()["snapshots"] if s["status"] == "SUCCESS"}
    assert not gone & there
    return {str(name).rpartition("-")[0] for name in gone}


@pytest.fixture
def nameless(cloud: Cloud, tmp_path: Path) -> tuple[Sandbox, Path]:
    """A cloud whose snapshots do not carry the name of their instance, and its dialect."""
    dialect = spoken() or builtin()
    schemas = dict(dialect.schemas)
    schemas["Snapshot"] = {**schemas.get("Snapshot", {}), "instance_name": None}
    dialect = dialect.model_copy(update={"schemas": schemas})
    file = tmp_path / "nameless.yaml"
    file.write_text(dialect.model_dump_json())
    return cloud(fleet=0, speed=0, balance="90000", start=LONG_AGO, dialect=dialect), file


def test_snapshots_of_an_instance_that_is_protected_by_its_present_name_stay(cloud: Cloud) -> None:
    sandbox = cloud(fleet=0, speed=0, balance="90000", start=LONG_AGO)
    with_history(sandbox, "first", "other")
    rename(sandbox, "first", "prod-1")
    assert pruned(sandbox) == {"other"}


def test_snapshots_that_carry_a_protected_name_stay(cloud: Cloud) -> None:
    sandbox = cloud(fleet=0, speed=0, balance="90000", start=LONG_AGO)
    with_history(sandbox, "prod-1", "other")
    rename(sandbox, "prod-1", "scratch")
    assert pruned(sandbox) == {"other"}


def test_without_names_on_snapshots_those_of_protected_instances_stay_all_the_same(
    nameless: tuple[Sandbox, Path],
) -> None:
    sandbox, dialect = nameless
    ids = with_history(sandbox, "prod-1", "gone", "other")
    account_of(sandbox).get_client().instances.delete(ids["gone"])
    sandbox.advance(3600)
    assert pruned(sandbox, dialect) == {"other"}


def test_what_cannot_be_judged_stays_and_the_report_says_why(
    nameless: tuple[Sandbox, Path],
) -> None:
    sandbox, dialect = nameless
    ids = with_history(sandbox, "prod-1")
    account_of(sandbox).get_client().instances.delete(ids["prod-1"])
    sandbox.advance(3600)
    how = {"dialect": str(dialect), "protect": ["prod-*"]}
    report = prune_snapshots(select=["*"], retention=ONE, credentials=account_of(sandbox, **how))
    assert {row.outcome for row in report.rows} == {"already"}
    assert any("it is not known what its instance was called" in row.why for row in report.rows)


def test_an_instance_renamed_after_the_decision_and_before_the_deletion_keeps_its_snapshots(
    cloud: Cloud,
) -> None:
    sandbox = cloud(fleet=0, speed=0, balance="90000", start=LONG_AGO)
    with_history(sandbox, "first")
    with renamed_after(sandbox, "list_snapshot_images", "first", "prod-1"):
        sandbox.fault("latency", operation="list_instances", seconds=1, after=2, count=1)
        assert pruned(sandbox) == set()
