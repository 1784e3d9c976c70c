"""Write docs/cli.md: the commands that people use most, with what they show on the sandbox."""

from __future__ import annotations

import socket
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from barrack_tasks.api import Barrack
from barrack_tasks.api.models import RegionEnum
from barrack_tasks.sandbox import Sandbox
from barrack_tasks.server.services import Services
from docs.generate.mistakes import Mistake, ended

TARGET = Path(__file__).resolve().parent.parent.parent / "docs" / "cli.md"
HEAD = """\
# The command line

`barrack --help` lists all commands, and `barrack COMMAND --help` what one takes. Commands that
look at the account need `BARRACK_API_KEY` and no Prefect server; `ls deployments`, `ls runs`,
`logs`, `events` and `notify` need a server. Without the key they take the account that `barrack up`
saved, and `--credentials NAME` takes another one.

- **Names** are those of `select` in flows: names, globs and ids.
- **`--json`** stands wherever a table is shown. The keys stay as they are;
  [cli.schema.json](cli.schema.json) describes them. Money is text with its currency beside it. What
  goes on (`panic`, `watch`, and `logs` and `events` with `--follow`) answers with a line of JSON
  each time.
- **Tables** fit into 80 columns: what has no room stands below its row. In a pipe each row is one
  line, and nothing is folded or cut, whatever COLUMNS says. `NO_COLOR` takes the colours away.
- **Codes**: 0 all is well, 1 something failed, 2 what was given cannot be meant, 130 you pressed
  Ctrl-C. `barrack plan` ends 1 after any mistake: with `--detailed-exitcode`, 2 means that the
  server is not as the file says. [Mistakes](mistakes.md) shows what is said of each.
- **Completion**: `source <(barrack completion bash)`, the same for zsh, and
  `barrack completion fish | source`. Names of instances are completed, too.

`python -m docs.generate.cli_page` runs what is shown here on the sandbox and writes this page.

## Look

"""
LOOKS = (
    "ls",
    "ls 'al*' --json",
    "ls snapshots",
    "ls volumes",
    "ls stock --model l40 --region us-1",
    "show alpha",
)
ACTS = ("hibernate alpha beta --dry-run", "run prune_snapshots '*' --dry-run --json", "costs")
MORE = {
    "`barrack init`, `check`, `plan`, `apply`": "all guards in one file: [barrack.yaml]"
    "(barrack-yaml.md)",
    "`barrack up`, `down`": "a Prefect server and a worker with every flow deployed, and their end",
    "`barrack arm`, `disarm`": "let a deployment act, after a look at what it would do; end it",
    "`barrack panic`": "hibernates every machine that is not protected; needs the key alone",
    "`barrack lease`, `owner`": "who needs which machine until when, and whose it is: "
    "[leases](leases.md)",
    "`barrack wake NAME`, `ssh NAME`": "brings a machine back and shows how to reach it; connects",
    "`barrack ls deployments`, `ls runs`": "what the Prefect server has; `ls runs` says why a run "
    "failed",
    "`barrack status`": "instances, burn, runway; what is armed and what is dry; what failed, "
    "hangs or is blind",
    "`barrack watch`": "the fleet, what it burns and what runs next, as a live view; in a pipe, "
    "once, or again and again with `--follow`",
    "`barrack run FLOW --help`": "the parameters of a flow as flags; `--watch` shows a line for "
    "each instance",
    "`barrack snapshot NAME...`": "takes snapshots that are yours: no flow deletes them. `--then "
    "hibernate` runs `snapshot_before_stop` instead",
    "`barrack restore NAME...`": "brings instances back",
    "`barrack logs RUN`, `barrack events`": "what a run said; what this library has seen and done. "
    "`--follow` goes on",
    "`barrack notify add team-slack`": "asks for the address of a channel, such as a Slack "
    "webhook, and saves it",
    "`barrack notify test team-slack`, `notify ls`": "sends a message; lists the channels, and "
    "what is wrong with them",
    "`barrack schedule preview FILE`": "what [timetables](timetables.md) will do and save; ends 1 "
    "for a rule that means nothing",
    "`barrack doctor`": "whether the API is as this release expects it; see [your first ten "
    "minutes](first-ten-minutes.md)",
}


def page(server: str) -> str:
    """The page, with what each command shows now.

    Args:
        server: address of the API of a Prefect server, for commands that run flows.
    """
    parts = [HEAD]
    start = datetime(2026, 11, 2, 9, tzinfo=UTC)
    with (
        Sandbox(fleet=3, speed=0, start=start) as sandbox,
        Barrack(sandbox.api_key, sandbox.url) as client,
        tempfile.TemporaryDirectory() as folder,
    ):
        [first, *_] = sorted(client.instances.list(), key=lambda one: one.name)
        client.snapshots.create(first.id, "before-upgrade")
        client.volumes.create("datasets", 500, RegionEnum.CANADA_1)
        sandbox.advance(5 * 3600)
        for command in LOOKS:
            end = ended(Mistake(command, width=80), sandbox, Path(folder))
            parts.append(f"```console\n$ barrack {command}\n{end.out.rstrip()}\n```\n\n")
        parts.append("## Act\n\n")
        for command in ACTS:
            env = {"PREFECT_API_URL": server}
            end = ended(Mistake(command, env=env, width=80), sandbox, Path(folder))
            parts.append(f"```console\n$ barrack {command}\n{end.out.rstrip()}\n```\n\n")
    parts.append("## More\n\n| command | what it does |\n| --- | --- |\n")
    parts += [f"| {command} | {does} |\n" for command, does in MORE.items()]
    return "".join(parts)


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    from barrack_tasks.cli.servers import spoken_with

    with tempfile.TemporaryDirectory() as home:
        services = Services(Path(home))
        url = services.start_server(free_port())
        try:
            with spoken_with(
                {**services.environment(url), "PREFECT_LOGGING_TO_API_ENABLED": "false"}
            ):
                TARGET.write_text(page(url), encoding="utf-8")
        finally:
            services.stop("server")
