"""`barrack init`: a first barrack.yaml, from the account as it is."""

from __future__ import annotations

from pathlib import Path

from barrack_tasks.api import BarrackConfigurationError
from barrack_tasks.api.models import Balance, UserVM
from barrack_tasks.cli.accounts import client_from_environment
from barrack_tasks.cli.check import FILE
from barrack_tasks.cli.screen import Screen
from barrack_tasks.cli.servers import known_server
from barrack_tasks.cli.up import BLOCK


def init(file: Path = FILE, /, *, credentials: str = BLOCK) -> int:
    """Write a first barrack.yaml: the account as it is, all guards dry, with comments.

    A file that is there is never overwritten. Nothing is changed on the account or a server.

    Parameters
    ----------
    file
        The file; barrack.yaml in this folder, if not given.
    credentials
        Name of the block that holds the account. Without such a block on the server, the account
        of BARRACK_API_KEY is read.
    """
    import yaml

    from barrack_tasks.cli.config.beginning import first_file

    if file.exists():
        raise BarrackConfigurationError(
            f"{file} is there already, and was not changed; name another file, such as "
            f"`barrack init other.yaml`"
        )
    instances, balance = _read_account(credentials)
    from barrack_tasks.cli.deployments import deployments_file

    templates = yaml.safe_load(deployments_file().read_text(encoding="utf-8"))["deployments"]
    text = first_file(credentials, templates, instances, balance)
    try:
        with file.open("x", encoding="utf-8") as opened:
            opened.write(text)
    except OSError as error:
        raise BarrackConfigurationError(
            f"{file} cannot be written: {error.strerror}; name another file"
        ) from None
    Screen().print(f"{file} is written. Edit it, then run: barrack check && barrack plan")
    return 0


def _read_account(block: str) -> tuple[list[UserVM], Balance]:
    """What the block's account has, or the environment's if there is no such block."""
    with known_server() as server:
        if server.answers:
            from barrack_tasks.server.credentials import BarrackCredentials, saved_accounts

            if any(one._block_document_name == block for one in saved_accounts()):
                client = BarrackCredentials.find(block).get_client()
                return list(client.instances.list()), client.balance.get()
    with client_from_environment() as client:
        return list(client.instances.list()), client.balance.get()
