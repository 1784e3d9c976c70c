"""Train on a hibernated machine; a snapshot keeps its disk, however the training ends."""

from prefect import flow, task

from barrack_tasks import get_instance_by_name
from barrack_tasks.flows import restore, snapshot_before_stop


@task
def train(address: str) -> str:
    """Your training, on the machine with this address."""
    return f"trained on {address}"


@flow
def train_with_snapshot(name: str) -> str:
    """Restore, train, and then snapshot and hibernate."""
    try:
        restore(select=[name])
        return train(get_instance_by_name(name=name).public_ip)
    finally:
        # A snapshot first, and hibernation only once it is ready: also if the training failed.
        snapshot_before_stop(select=[name], then="hibernate", keep=3)


if __name__ == "__main__":
    print(train_with_snapshot("train-1"))
