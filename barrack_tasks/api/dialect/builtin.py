"""The built-in dialect: today's inference. Paths and methods come from the operation table."""

from __future__ import annotations

from functools import cache

from barrack_tasks.api.dialect.model import Dialect, OperationWire
from barrack_tasks.api.operations import OPERATIONS

# Fields whose wire name [I] is not the name that the models use. All others go by their own name.
SCHEMAS: dict[str, dict[str, str]] = {
    "BillingSummary": {"start": "from", "end": "to"},
    "VolumeBillingSummary": {"start": "from", "end": "to"},
    "UsageSummaryResponse": {"start": "from", "end": "to"},
}
QUERY: dict[str, dict[str, str]] = {
    "get_instance_billing": {"start": "from", "end": "to"},
    "get_snapshot_billing": {"start": "from", "end": "to"},
    "get_volume_billing": {"start": "from", "end": "to"},
    "get_ai_usage": {"start": "from", "end": "to"},
    "list_ai_usage_history": {"start": "from", "end": "to"},
}


@cache
def builtin() -> Dialect:
    """The dialect that is in force when the user names no other."""
    return Dialect(
        operations={
            name: OperationWire.model_validate(
                {
                    "method": operation.method,
                    "path": operation.path,
                    "query": {q: QUERY.get(name, {}).get(q, q) for q in operation.query},
                }
            )
            for name, operation in OPERATIONS.items()
        },
        schemas=SCHEMAS,
    )
