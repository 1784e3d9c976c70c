"""Write the new address of each machine that comes back into a file for ssh."""

from pathlib import Path

from prefect import flow
from prefect.events import DeploymentEventTrigger

from barrack_tasks import get_instance

BACK = DeploymentEventTrigger(
    expect={"barrack.instance.restored"},
    match={"prefect.resource.id": "barrack.instance.*"},
    # The id and not the name: another machine may get that name in the meantime.
    parameters={"instance_id": "{{ event.resource.id | replace('barrack.instance.', '') }}"},
)


@flow
def note_address(instance_id: str, folder: Path = Path("ssh.d")) -> Path:
    """Note a machine's present address; `Include ssh.d/*` in an ssh configuration reads it."""
    machine = get_instance(instance_id=instance_id)
    folder.mkdir(exist_ok=True)
    file = folder / machine.id
    file.write_text(f"Host {machine.name}\n  HostName {machine.public_ip}\n")
    return file


if __name__ == "__main__":
    note_address.serve(name="on-restored", triggers=[BACK])
