"""What each flow needs of a dialect: operations that must exist, fields that must be readable."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from barrack_tasks.api.dialect.codec import kind_of
from barrack_tasks.api.dialect.model import Dialect
from barrack_tasks.api.errors import BarrackConfigurationError
from barrack_tasks.api.operations import OPERATIONS


@dataclass(frozen=True)
class Needs:
    """Operations by name, fields as `Schema.field`.

    `uses` are operations that the flow calls where they are there, each with what it does
    without. Of each group in `either` it needs one operation, whichever is there.
    """

    operations: tuple[str, ...]
    fields: tuple[str, ...]
    uses: Mapping[str, str] = field(default_factory=dict)
    either: tuple[tuple[str, ...], ...] = ()

    def without(self, dialect: Dialect) -> list[str]:
        """What the flow does without, because the dialect lacks what it only uses."""
        return [
            f"The API has no {name}: {what}"
            for name, what in self.uses.items()
            if name not in dialect.operations
        ]

    @staticmethod
    def _lacking_of(operation: str, dialect: Dialect) -> str:
        """The entry that keeps an operation from telling what it is needed for, or nothing."""
        if operation not in dialect.operations:
            return f"operations.{operation}"
        field_ = TOLD_IN.get(operation)
        return f"schemas.{field_}" if field_ and not dialect.tells(*field_.split(".")) else ""

    def missing(self, dialect: Dialect) -> list[str]:
        """The entries of a dialect file that say that something needed does not exist."""
        lacking = [f"operations.{o}" for o in self.operations if o not in dialect.operations]
        for group in self.either:
            options = [self._lacking_of(o, dialect) for o in group]
            if all(options):
                lacking.append(" or ".join(options))
        for place in self.fields:
            schema, name = place.split(".")
            if not dialect.tells(schema, name) and not _is_in_path(dialect, place):
                lacking.append(f"schemas.{schema}.{name}")
        return lacking


def told_by_parents(operation: str, wire: Mapping[str, Any]) -> set[str]:
    """Fields of the things in a list that are known because the list lies under something."""
    known = OPERATIONS[operation]
    if known.path_parameters or not known.result:
        return set()
    kind = kind_of(known.response.model_fields[known.result].annotation)[0]
    return {f"{kind.__name__}.{name}" for name in wire.get("parents") or ()} if kind else set()


def _is_in_path(dialect: Dialect, place: str) -> bool:
    """Whether a field of a request stands in the path of its operation, or tells what it is in."""
    schema, name = place.split(".")
    if any(
        place in told_by_parents(operation, {"parents": wire.parents})
        for operation, wire in dialect.operations.items()
        if wire.parents
    ):
        return True
    return any(
        operation.request is not None
        and operation.request.__name__ == schema
        and f"{{{name}}}" in dialect.operations[operation.name].path
        for operation in OPERATIONS.values()
        if operation.name in dialect.operations
    )


_NO_DETAILS = "what a list no longer shows counts as unknown, not as gone."
_NO_SPECS = "which flavors cannot hibernate is learned from refusals."
_NO_VOLUMES = "what volumes cost is not counted."
_NO_SNAPSHOTS = "what snapshots cost is not counted."
_NO_PRICES = "prices come from the instances alone."
_NO_STOCK = "whether a GPU is in stock is learned from the restore itself."
_LOOKING = ("UserVM.id", "UserVM.name", "UserVM.status", "ListUserVMsResponse.instances")
_SNAPSHOTS = (
    "Snapshot.id",
    "Snapshot.name",
    "Snapshot.status",
    "Snapshot.instance_id",
    "ListSnapshotsResponse.snapshots",
    "CreateSnapshotRequest.instance_id",
    "CreateSnapshotRequest.name",
    "CreateSnapshotResponse.snapshot",
)
_PRICES = ("UserVM.hourly_price", "UserVM.currency")
_BILLS = ("AggregatedBillingResponse.records", "BillingRecord.start", "BillingRecord.cost")
_BALANCE = ("CreditBalanceResponse.data", "Data.balance", "Balance.amount", "Balance.currency")

_IMAGES_OF = ("list_snapshot_images", "get_snapshot_image", "list_images")
"""What tells which images depend on a snapshot."""
TOLD_IN = {"list_images": "Image.snapshot_id"}
"""Of operations in `either`, the field without which they tell nothing."""

NEEDS: dict[str, Needs] = {
    "snapshot_before_stop": Needs(
        (
            "list_instances",
            "list_snapshots",
            "create_snapshot",
            "hibernate_instance",
        ),
        (*_LOOKING, *_SNAPSHOTS),
        {"get_instance": _NO_DETAILS, "get_snapshot": _NO_DETAILS, "get_gpu_specs": _NO_SPECS},
    ),
    "hibernate": Needs(
        ("list_instances", "get_instance", "hibernate_instance"),
        _LOOKING,
        {"get_gpu_specs": _NO_SPECS},
    ),
    "restore": Needs(
        ("list_instances", "get_instance", "restore_instance"),
        _LOOKING,
        {"get_gpu_stock": _NO_STOCK},
    ),
    "restore_from_snapshot": Needs(
        ("list_instances", "list_snapshots", "restore_snapshot"),
        (
            *_LOOKING,
            "Snapshot.id",
            "Snapshot.name",
            "Snapshot.status",
            "ListSnapshotsResponse.snapshots",
            "RestoreSnapshotRequest.name",
        ),
    ),
    "end_expired": Needs(
        ("list_instances", "get_instance", "hibernate_instance", "delete_instance"), _LOOKING
    ),
    "keep_machine": Needs(("list_instances",), _LOOKING),
    "reap_forgotten": Needs(
        ("list_instances", "get_instance"),
        _LOOKING,
        {
            "hibernate_instance": "it reports machines, and hibernates none.",
            "delete_instance": "it reports machines, and deletes none.",
            "get_gpu_specs": _NO_SPECS,
            "get_gpu_stock": _NO_STOCK,
        },
    ),
    "verify_snapshots": Needs(
        (
            "list_instances",
            "list_snapshots",
            "restore_snapshot",
            "delete_instance",
        ),
        (
            *_LOOKING,
            "Snapshot.id",
            "Snapshot.name",
            "Snapshot.status",
            "Snapshot.instance_id",
            "Snapshot.created_at",
            "ListSnapshotsResponse.snapshots",
            "RestoreSnapshotRequest.name",
        ),
    ),
    "publish_image": Needs(
        (
            "list_instances",
            "list_snapshots",
            "create_snapshot",
            "list_images",
            "create_image",
            "delete_image",
        ),
        (*_LOOKING, *_SNAPSHOTS, "Image.id", "Image.name", "Image.description"),
        either=(_IMAGES_OF,),
    ),
    "follow_schedule": Needs(
        ("list_instances", "get_instance", "hibernate_instance", "restore_instance"),
        _LOOKING,
        {"get_gpu_specs": _NO_SPECS, "get_gpu_stock": _NO_STOCK},
    ),
    "watch_balance": Needs(
        ("get_credit_balance", "list_instances"),
        (*_LOOKING, *_PRICES, *_BALANCE),
        {
            "hibernate_instance": "it warns, and hibernates nothing.",
            "get_pricing": _NO_PRICES,
            "list_volumes": _NO_VOLUMES,
            "list_snapshots": _NO_SNAPSHOTS,
        },
    ),
    "watch_account": Needs(
        ("list_instances", "list_snapshots", "list_volumes"),
        (*_LOOKING, "UserVM.public_ip", "Snapshot.id", "Snapshot.name", "Snapshot.status"),
    ),
    "enforce_budget": Needs(
        ("get_credit_balance", "list_instances", "get_instance_billing", "hibernate_instance"),
        (*_LOOKING, *_PRICES, *_BALANCE, *_BILLS),
    ),
    "prune_snapshots": Needs(
        ("list_snapshots", "delete_snapshot"),
        (
            "Snapshot.id",
            "Snapshot.name",
            "Snapshot.status",
            "Snapshot.description",
            "Snapshot.instance_id",
            "Snapshot.created_at",
            "ListSnapshotsResponse.snapshots",
        ),
        either=(_IMAGES_OF,),
    ),
    "report_costs": Needs(
        ("get_credit_balance", "list_instances", "get_instance_billing"),
        (*_LOOKING, *_PRICES, *_BALANCE, *_BILLS),
    ),
    "watch_gpu_stock": Needs(
        ("get_gpu_stock", "list_instances"),
        (
            "GPUStocksResponse.stocks",
            "GPUStockItem.region",
            "GPUStockItem.gpu_model",
            "GPUStockItem.available",
            *_LOOKING,
        ),
        {
            "create_instance": "it reports stock, and claims nothing.",
            "get_pricing": "prices of what is in stock are unknown.",
            "get_gpu_specs": "what is offered is what the stock names.",
            "list_regions": "the regions are those that the stock names.",
        },
    ),
}
"""By flow. What a flow reads but can do without is not named here, nor what only caps need."""


def check_needs(dialect: Dialect, flow: str, also: Iterable[str] = ()) -> None:
    """Refuse before anything is changed if the dialect lacks what the flow needs.

    Args:
        dialect: of the account.
        flow: by its name.
        also: operations that the flow needs for what it was called with.

    Raises:
        BarrackConfigurationError: names each entry that is missing.
    """
    missing = NEEDS[flow].missing(dialect)
    more = (f"operations.{name}" for name in also if name not in dialect.operations)
    missing += [place for place in more if place not in missing]
    if missing:
        raise BarrackConfigurationError(
            f"the dialect {dialect.name!r} lacks what {flow} needs: {', '.join(missing)}; "
            "add it to the dialect file"
        )
