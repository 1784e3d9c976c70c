"""Write docs/events.md from the catalogue of events."""

from __future__ import annotations

from pathlib import Path

from barrack_tasks.server.events import EVENTS

TARGET = Path(__file__).resolve().parent.parent.parent / "docs" / "events.md"
HEAD = """\
# Events

Everything that this library does or sees is told as a Prefect event, `barrack.<resource>.<what>` on
the resource `barrack.<resource>.<id>`. What belongs to an instance names it as a related resource
with the role `instance`. This page is written by `docs/generate/events.py` from the catalogue.

The account is a related resource as well: `barrack.account.<account>` with the role `account`. A
name of lower case letters and digits stands there as it is (the block `barrack` is
`barrack.account.barrack`); any other has a few letters more, and
`BarrackCredentials.resolve("team-a").account` tells them.

In a deployment, `triggers` start a flow on an event. Several accounts may share a server, so let a
trigger take the events of its own account, and pass ids to the flow that it starts: a name may have
come to mean another machine.

```yaml
triggers:
  - name: hibernate what was claimed
    type: event
    match: {"prefect.resource.id": "barrack.instance.*"}
    match_related:
      prefect.resource.id: barrack.account.barrack
      prefect.resource.role: account
    expect: [barrack.instance.claimed]
    parameters:
      select: {ids: ["{{ event.resource.id | replace('barrack.instance.', '') }}"]}
```

`watch_account` says how an instance moved, in the label `barrack.moved` of its events `appeared`
and `changed`: `by-a-run` of this library, `on-its-way` while its state passes, or `otherwise`. A
trigger with `match: {"prefect.resource.id": "barrack.instance.*", "barrack.moved": otherwise}` is
not started by what this library did. With `within: 60` a wave of events starts one run.

In a notebook a function is called:

```python
from barrack_tasks import on
from barrack_tasks.flows import hibernate

with on("barrack.instance.*", lambda happening: print(happening.name, happening.event)):
    hibernate(select=["lab-*"])
```

| event | what it says | payload |
| --- | --- | --- |
"""


def page() -> str:
    """The page."""
    rows = [
        f"| `{name}` | {kind.meaning} | "
        + "; ".join(f"`{field}`: {meaning}" for field, meaning in kind.payload.items())
        + " |"
        for name, kind in EVENTS.items()
    ]
    return HEAD + "\n".join(rows) + "\n"


if __name__ == "__main__":
    TARGET.write_text(page(), encoding="utf-8")
