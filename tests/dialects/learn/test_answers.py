"""Questions come in the order of what waits for them, and answers are kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from barrack_tasks.dialects.learn import (
    Learned,
    LearnError,
    answers_text,
    learn_openapi,
    read_answers,
)
from tests.dialects.learn.helpers import dialect, furnished, served


@pytest.fixture(scope="module")
def vague() -> bytes:
    """A document whose verbs for hibernate, restore and stop nobody knows, and without currency."""
    with furnished(dialect("builtin")) as sandbox:
        root: dict[str, Any] = json.loads(served(sandbox))
    for verb, odd in (("hibernate", "freeze_it"), ("restore", "thaw_it"), ("stop", "park_it")):
        node = root["paths"].pop(f"/instances/{{instance_id}}/{verb}")
        node["post"].update(summary=odd, operationId=odd, tags=[], responses={})
        root["paths"][f"/instances/{{instance_id}}/{odd}"] = node
    for schema in ("Balance", "UserVM", "VMInstance", "Price"):
        root["components"]["schemas"][schema]["properties"].pop("currency", None)
    return json.dumps(root).encode()


def test_what_most_flows_wait_for_is_asked_first(vague: bytes) -> None:
    asked = [q.what for q in learn_openapi(vague).questions()]
    assert asked.index("operations.hibernate_instance") < asked.index("operations.restore_instance")
    assert asked.index("operations.restore_instance") < asked.index("operations.stop_instance")


def test_for_one_flow_only_what_it_needs_is_asked(vague: bytes) -> None:
    learned = learn_openapi(vague)
    assert [q.what for q in learned.questions(["hibernate"])] == ["operations.hibernate_instance"]
    assert [q.what for q in learned.questions(["watch_balance"])] == ["currency"]


def test_answers_are_kept_and_taken_again(vague: bytes, tmp_path: Path) -> None:
    learned = learn_openapi(vague)
    learned.answer("operations.hibernate_instance", "POST /instances/{instance_id}/freeze_it")
    learned.answer("currency", 1)
    file = tmp_path / "a.answers.yaml"
    file.write_text(answers_text(learned))
    again = learn_openapi(vague)
    again.recall(read_answers(file))
    assert again.dialect() == learned.dialect()
    assert not {"operations.hibernate_instance", "currency"} & set(again.open)
    said = again.dialect()
    assert said["operations"]["hibernate_instance"] == {
        "path": "/instances/{instance_id}/freeze_it"
    }
    assert said["values"]["Balance"] == {"currency": {"constant": "EUR"}}


def test_what_is_no_table_of_answers_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.answers.yaml"
    file.write_text("- one\n")
    with pytest.raises(LearnError, match="must be a table"):
        read_answers(file)


def test_a_list_of_images_that_names_no_snapshot_tells_nothing() -> None:
    learned = Learned("silent")
    learned.add("operations.list_images", {"method": "GET", "path": "/images"}, "titled", 1.0)
    for what in ("operations.list_snapshot_images", "operations.get_snapshot_image"):
        learned.add(what, None, "there is none", 1.0)

    def lacking() -> tuple[list[str], list[str]]:
        flow = learned.report().flows["prune_snapshots"]
        about = "schemas.Image.snapshot_id"
        return [p for p in flow.open if about in p], [p for p in flow.lacking if about in p]

    assert lacking() == (["schemas.Image.snapshot_id"], [])
    learned.ask("schemas.Image.snapshot_id", "Where is it?")
    [question] = learned.questions()
    assert "prune_snapshots" in learned.waiting_for(question)
    learned.add("schemas.Image.snapshot_id", None, "the schema has no such field", 1.0)
    [place] = lacking()[1]
    assert place.endswith("operations.get_snapshot_image or schemas.Image.snapshot_id")
    learned.add("schemas.Image.snapshot_id", "madeFrom", "titled", 1.0)
    assert lacking() == ([], [])
