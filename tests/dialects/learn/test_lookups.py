"""Parts of a request for a new instance that only a list of the API tells are asked for."""

from __future__ import annotations

import json
from typing import Any

import pytest

from barrack_tasks.api.dialect.loading import merged
from barrack_tasks.dialects.learn import Learned, learn_openapi, meaning_of
from tests.dialects.learn.helpers import client, dialect, furnished, served

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIO0mJ6x0iQ8y5bXb0w3n6l8s8G4m1qk0m0oQ4mGJr1Zx me"
TEXT, NUMBER = {"type": "string"}, {"type": "integer"}


def table(**fields: Any) -> dict[str, Any]:
    return {"type": "object", "properties": fields}


def listed(path: str, **fields: Any) -> dict[str, Any]:
    schema = {"content": {"application/json": {"schema": table(**fields)}}}
    return {path: {"get": {"summary": f"All {path[1:]}", "responses": {"200": schema}}}}


@pytest.fixture(scope="module")
def root() -> dict[str, Any]:
    with furnished(dialect("builtin")) as sandbox:
        document: dict[str, Any] = json.loads(served(sandbox))
    asked = table(name=TEXT, flavor_name=TEXT, key_name=TEXT, count=NUMBER, image_id=TEXT,
                  region=TEXT, note=TEXT)  # fmt: skip
    asked["required"] = ["name", "flavor_name", "count"]
    document["components"]["schemas"]["DeploymentRequest"] = asked
    flavor = table(name=TEXT, gpu=TEXT, gpu_count=NUMBER, ram=NUMBER)
    group = table(gpu=TEXT, flavors={"type": "array", "items": flavor})
    document["paths"] |= listed("/flavors", data={"type": "array", "items": group})
    return document


def learned(root: dict[str, Any]) -> Learned:
    return learn_openapi(json.dumps(root).encode(), yes=True)


def test_each_part_is_asked_for_with_the_list_that_tells_it(root: dict[str, Any]) -> None:
    found = learned(root)
    asked = {q.what: q for q in found.questions() if q.what.startswith("lookups.")}
    assert set(asked) == {"lookups.count", "lookups.flavor_name", "lookups.key_name"}
    assert [c.shown for c in asked["lookups.flavor_name"].candidates] == [
        "the name of what GET /flavors shows with that gpu and gpu_count"
    ]
    assert found.waiting_for(asked["lookups.flavor_name"]) == ["watch_gpu_stock"]
    for question in asked.values():
        assert meaning_of(question.what, question.candidates[0].wire).endswith("as chosen here.")


def test_the_answers_make_a_dialect_that_makes_instances(root: dict[str, Any]) -> None:
    found = learned(root)
    for name in ("count", "flavor_name", "key_name"):
        found.answer(f"lookups.{name}", 0)
    mine = merged({**found.dialect(), "base_url": None}, "learned.yaml")
    with furnished(mine) as sandbox, client(sandbox, mine) as barrack:
        key = barrack.ssh_keys.create(name="me", public_key=KEY)
        made = barrack.instances.create(
            name="made", region="CANADA-1", gpu_model="L40", gpu_count=2, ssh_key_id=key.id,
            image_id=next(iter(barrack.os_images.list())).id,
        )  # fmt: skip
        assert (str(made.gpu_model), int(made.gpu_count or 0)) == ("L40", 2)
        [sent] = [r["body"] for r in sandbox.requests()
                  if r["method"] == "POST" and r["path"].endswith("/instances")]  # fmt: skip
    assert (sent["count"], sent["key_name"]) == (1, "me")
    assert not {"gpu_model", "gpu_count"} & set(sent)


def test_lookups_say_nothing_where_no_instance_can_be_made(root: dict[str, Any]) -> None:
    found = learned(root)
    found.answer("lookups.count", 0)
    found.recall({"operations.create_instance": None})
    assert found.dialect()["operations"]["create_instance"] is None


def test_what_our_own_fields_tell_is_not_asked_for() -> None:
    with furnished(dialect("upstream")) as sandbox:
        found = learn_openapi(served(sandbox))
    assert not [what for what in found.open if what.startswith("lookups.")]
