"""Wait for a GPU in stock, claim it, run a command on it over ssh, and give it back."""

import subprocess

from prefect import flow, task

from barrack_tasks import get_instance_by_name
from barrack_tasks.flows import snapshot_before_stop, watch_gpu_stock

SSH = ("ssh", "-o", "StrictHostKeyChecking=accept-new", "-o", "BatchMode=yes")
WANT = {"gpu_model": "L40", "max_price": 2, "claim": {"name": "job", "image_id": "1"}}


@task(retries=5, retry_delay_seconds=10)  # a machine that is up may not listen yet
def run_over_ssh(address: str, command: str) -> str:
    """What a command prints on a machine."""
    words = [*SSH, f"root@{address}", command]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


@flow
def claim_and_run(command: str, watch_for: str = "6h") -> str:
    """Claim a machine, run a command, and delete the machine once its snapshot is ready."""
    watch_gpu_stock(wants=[WANT], watch_for=watch_for, expires="12h", on_expiry="delete")
    machine = get_instance_by_name(name="job")  # raises if there was no stock in all that time
    try:
        return run_over_ssh(machine.public_ip, command)
    finally:
        snapshot_before_stop(select={"ids": [machine.id]}, then="delete")


if __name__ == "__main__":
    print(claim_and_run("nvidia-smi"))
