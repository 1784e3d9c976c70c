"""Write docs/cli.schema.json: what each command answers with `--json`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from barrack_tasks.cli import answers

TARGET = Path(__file__).resolve().parent.parent / "docs" / "cli.schema.json"
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


def page() -> str:
    """The document as text."""
    return json.dumps(schema(), indent=2) + "\n"


if __name__ == "__main__":
    TARGET.write_text(page(), encoding="utf-8")
