"""Startup scripts."""

from __future__ import annotations

from barrack_tasks.api import models as m
from barrack_tasks.sandbox.cloud.clock import to_datetime
from barrack_tasks.sandbox.cloud.keys_and_scripts import StartupScript
from barrack_tasks.sandbox.cloud.world import CloudState
from barrack_tasks.sandbox.handlers.registry import SandboxCall, handles, one_page


def _shown(script: StartupScript) -> m.Script:
    return m.Script(
        id=script.id,
        name=script.name,
        content=script.content,
        description=script.description,
        created_at=to_datetime(script.created),
        updated_at=to_datetime(script.updated),
    )


@handles("list_scripts")
def list_scripts(world: CloudState, call: SandboxCall) -> m.ScriptListResponse:
    page, pagination = one_page(
        call, (x for x in world.scripts.all() if world.is_listed(x.created))
    )
    return m.ScriptListResponse(scripts=[_shown(x) for x in page], pagination=pagination)


@handles("get_script")
def get_script(world: CloudState, call: SandboxCall) -> m.Script:
    return _shown(world.scripts.get(call.path["script_id"]))


@handles("create_script")
def create_script(world: CloudState, call: SandboxCall) -> m.Script:
    ask: m.CreateScriptRequest = call.body
    script = world.scripts.add(
        StartupScript,
        ask.name,
        content=ask.content,
        description=ask.description,
        updated=world.micros,
    )
    return _shown(script)


@handles("update_script")
def update_script(world: CloudState, call: SandboxCall) -> m.Script:
    ask: m.UpdateScriptRequest = call.body
    script = world.scripts.get(call.path["script_id"])
    if ask.name is not None:
        world.scripts.need_name(ask.name, but=script.id)
    changes = ask.model_dump(exclude_none=True)
    for name, value in changes.items():
        setattr(script, name, value)
    script.updated = world.micros
    world.scripts.record(script, f"changed: {', '.join(changes)}")
    return _shown(script)


@handles("delete_script")
def delete_script(world: CloudState, call: SandboxCall) -> m.MessageResponse:
    world.scripts.remove(call.path["script_id"])
    return m.MessageResponse()


@handles("delete_scripts")
def delete_scripts(world: CloudState, call: SandboxCall) -> m.MessageResponse:
    ask: m.DeleteScriptsRequest = call.body
    for id_ in ask.script_ids:
        world.scripts.get(id_)  # all of them, or none
    for id_ in ask.script_ids:
        world.scripts.remove(id_)
    return m.MessageResponse()
