"""Startup scripts: what an instance runs when it first boots."""

from __future__ import annotations

from typing import Self

from pydantic import ConfigDict, model_validator

from barrack_tasks.api.models.base import Answer, Id, Model, Request, Timestamp
from barrack_tasks.api.models.common import Pagination
from barrack_tasks.api.models.rules import Ids, Name, Text

__all__ = [
    "CreateScriptRequest", "DeleteScriptsRequest", "Script", "ScriptListResponse",
    "UpdateScriptRequest",
]  # fmt: skip


class Script(Model):
    """A startup script.

    Also the whole answer of `get_script`, `create_script` and `update_script` [D name]: what
    stands beside its fields, status and message, is kept in `unknown`.
    """

    id: Id
    name: str
    content: str | None = None
    description: str | None = None
    created_at: Timestamp | None = None
    updated_at: Timestamp | None = None


class ScriptListResponse(Answer):
    """Answer of `list_scripts`."""

    scripts: list[Script]
    pagination: Pagination | None = None


class CreateScriptRequest(Request):
    """A new startup script."""

    name: Name
    content: Text
    description: str | None = None


class UpdateScriptRequest(Request):
    """What is to be changed of a startup script. What is not given stays as it is [I]."""

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [
                {"required": [name], "properties": {name: {"type": "string"}}}
                for name in ("name", "content", "description")
            ]
        }
    )
    name: Name | None = None
    content: Text | None = None
    description: str | None = None

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if self.name is None and self.content is None and self.description is None:
            raise ValueError("at least one of name, content and description must be given")
        return self


class DeleteScriptsRequest(Request):
    """Startup scripts to be deleted, in the body of the request [I]."""

    script_ids: Ids
