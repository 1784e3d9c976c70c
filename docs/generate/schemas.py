"""Write the JSON schemas: of barrack.yaml, of a plan, and of what commands answer with `--json`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from barrack_tasks.cli import answers
from barrack_tasks.cli.config.sections import json_schema
from barrack_tasks.cli.plan_views import PlanView

DOCS = Path(__file__).resolve().parent.parent
_ABOUT = (
    "What each command of barrack answers with --json. Money is text with its currency beside it, "
    "moments are ISO 8601 with their zone, durations are seconds, and null is what is not known."
)


class _Plain(GenerateJsonSchema):
    """Without a title for each field, which says nothing that its name does not say."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def schema() -> dict[str, Any]:
    """The document: a schema for each command, under `properties`, and what they share."""
    adapters = {name: TypeAdapter(kind) for name, kind in answers.ANSWERS.items()}
    inputs: Any = [(name, "serialization", adapter) for name, adapter in adapters.items()]
    by_name, shared = TypeAdapter.json_schemas(inputs, schema_generator=_Plain)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "barrack --json",
        "description": _ABOUT,
        "type": "object",
        "properties": {name: by_name[(name, "serialization")] for name in adapters},
        "$defs": shared["$defs"],
    }


def pages() -> dict[str, str]:
    """The text of each schema, by the name of its file."""
    documents = {
        "barrack": json_schema(),
        "cli": schema(),
        "plan": PlanView.model_json_schema(mode="serialization"),
    }
    return {
        f"{name}.schema.json": json.dumps(document, indent=2, ensure_ascii=False) + "\n"
        for name, document in documents.items()
    }


if __name__ == "__main__":
    for name, text in pages().items():
        (DOCS / name).write_text(text, encoding="utf-8")
