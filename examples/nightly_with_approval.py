"""Train every night; a person is asked first if the machine is expensive."""

from prefect import flow, task

from barrack_tasks import get_instance_by_name, guarded_restore, with_approval
from barrack_tasks.flows import restore, snapshot_before_stop

CAPS = {"approve_over": 2, "lasts": "24h"}
"""A person approves what costs more than 2 an hour; the balance must last another day."""


@task
def train(address: str) -> str:
    """Your training, on the machine with this address."""
    return f"trained on {address}"


@flow
def nightly(name: str) -> str:
    """Ask, restore, train, and then snapshot and hibernate."""
    with_approval(guarded_restore, None, CAPS, get_instance_by_name(name=name).id)
    try:
        restore(select=[name])  # waits until it is up
        return train(get_instance_by_name(name=name).public_ip)
    finally:
        snapshot_before_stop(select=[name])


if __name__ == "__main__":
    nightly.serve(name="nightly", cron="0 22 * * *", parameters={"name": "train-1"})
