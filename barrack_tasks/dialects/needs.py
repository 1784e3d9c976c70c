"""What each flow needs of a dialect: operations that must exist, fields that must be readable."""

from __future__ import annotations

from dataclasses import dataclass

from barrack_tasks.api.dialect.model import Dialect
from barrack_tasks.api.errors import BarrackConfigurationError


@dataclass(frozen=True)
class Needs:
    """Operations by name, fields as `Schema.field`."""

    operations: tuple[str, ...]
    fields: tuple[str, ...]

    def missing(self, dialect: Dialect) -> list[str]:
        """The entries of a dialect file that say that something needed does not exist."""
        lacking = [f"operations.{o}" for o in self.operations if o not in dialect.operations]
        for place in self.fields:
            schema, field = place.split(".")
            if not dialect.tells(schema, field):
                lacking.append(f"schemas.{schema}.{field}")
        return lacking


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
_BALANCE = ("CreditBalanceResponse.data", "Data.balance", "Balance.amount", "Balance.currency")

NEEDS: dict[str, Needs] = {
    "snapshot_before_stop": Needs(
        (
            "list_instances",
            "get_instance",
            "list_snapshots",
            "get_snapshot",
            "create_snapshot",
            "hibernate_instance",
            "stop_instance",
            "delete_instance",
        ),
        (*_LOOKING, *_SNAPSHOTS),
    ),
    "hibernate": Needs(("list_instances", "get_instance", "hibernate_instance"), _LOOKING),
    "restore": Needs(("list_instances", "get_instance", "restore_instance"), _LOOKING),
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
            "get_snapshot_image",
            "delete_image",
        ),
        (*_LOOKING, *_SNAPSHOTS, "Image.id", "Image.name", "Image.description"),
    ),
    "follow_schedule": Needs(
        ("list_instances", "get_instance", "hibernate_instance", "restore_instance"),
        _LOOKING,
    ),
    "watch_balance": Needs(
        ("get_credit_balance", "list_instances", "hibernate_instance"),
        (*_LOOKING, *_PRICES, *_BALANCE),
    ),
    "watch_account": Needs(
        ("list_instances", "list_snapshots", "list_volumes"),
        (*_LOOKING, "UserVM.public_ip", "Snapshot.id", "Snapshot.name", "Snapshot.status"),
    ),
    "enforce_budget": Needs(
        ("get_credit_balance", "list_instances", "get_instance_billing", "hibernate_instance"),
        (*_LOOKING, *_PRICES, *_BALANCE),
    ),
    "prune_snapshots": Needs(
        ("list_snapshots", "list_snapshot_images", "delete_snapshot"),
        (
            "Snapshot.id",
            "Snapshot.name",
            "Snapshot.status",
            "Snapshot.description",
            "Snapshot.instance_id",
            "Snapshot.created_at",
            "ListSnapshotsResponse.snapshots",
        ),
    ),
    "report_costs": Needs(
        ("get_credit_balance", "list_instances", "get_instance_billing"),
        (*_LOOKING, *_PRICES, *_BALANCE),
    ),
    "watch_gpu_stock": Needs(
        ("get_gpu_stock", "create_instance", "list_instances"),
        (
            "GPUStocksResponse.stocks",
            "GPUStockItem.region",
            "GPUStockItem.gpu_model",
            "GPUStockItem.available",
            *_LOOKING,
        ),
    ),
}
"""By flow. What a flow reads but can do without is not named here, nor what only caps need."""


def check_needs(dialect: Dialect, flow: str) -> None:
    """Refuse before anything is changed if the dialect lacks what the flow needs.

    Raises:
        BarrackConfigurationError: names each entry that is missing.
    """
    missing = NEEDS[flow].missing(dialect)
    if missing:
        raise BarrackConfigurationError(
            f"the dialect {dialect.name!r} lacks what {flow} needs: {', '.join(missing)}; "
            "add it to the dialect file"
        )
