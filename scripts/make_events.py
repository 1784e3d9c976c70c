"""Write docs/events.md from the catalogue of events."""

from __future__ import annotations

from pathlib import Path

from barrack_tasks.events import EVENTS

TARGET = Path(__file__).resolve().parent.parent / "docs" / "events.md"
HEAD = """\
# Events

Everything that this library does or sees is told as a Prefect event, `barrack.<resource>.<what>` on
the resource `barrack.<resource>.<id>`. What belongs to an instance names it as a related resource
with the role `instance`. This page is written by `scripts/make_events.py` from the catalogue.

In a deployment, `triggers` start a flow on an event. In a notebook a function is called:

```python
from barrack_tasks import on

with on("barrack.instance.*", lambda happening: print(happening.name, happening.event)):
    hibernate(select=["*"])
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
