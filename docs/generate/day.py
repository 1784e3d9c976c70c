"""Write docs/a-day-with-barrack-yaml.md: the first day with a file, with what each command showed.

`python -m docs.generate.day` runs the day on a sandbox, a Prefect server and a worker of its own.
tests/cli/test_a_day_with_a_file.py runs it as well, and compares the page with what it saw.
"""

from __future__ import annotations

import os
import re
import secrets
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prefect.client.orchestration import get_client

from barrack_tasks import BarrackCredentials
from barrack_tasks.cli.config.tags import owner_of
from barrack_tasks.cli.deployments import deployments_of_ours
from barrack_tasks.sandbox import Sandbox
from barrack_tasks.server.services import Services
from docs.generate.cli_page import free_port
from docs.generate.mistakes import Mistake, ended

TARGET = Path(__file__).resolve().parent.parent.parent / "docs" / "a-day-with-barrack-yaml.md"
ACCOUNT = "team-a"
HEAD = """\
# A day with a barrack.yaml

A new account with three machines gets guards that lie in a file. [barrack.yaml](barrack-yaml.md)
says what each word means. `python -m docs.generate.day` runs all of it on the sandbox and writes
this page. A Prefect server runs, with a worker, and the account's key is saved there as the block
`team-a` ([accounts](accounts.md)); no deployment is there yet.
"""
EDITS = (
    ("protect: []", "protect: [prod-*]"),
    ("Mon-Fri 08:00-20:00 Europe/Berlin", "never"),
    ("timetables:\n  armed: false", "timetables:\n  armed: false\n  strict: true\n  adopt: now"),
)
ARMING = ("timetables:\n  armed: false", "timetables:\n  armed: true")


def new_block() -> str:
    """A name for a block, as long as that on the page, so that tables are as wide."""
    return f"a{secrets.token_hex(3)}"[: len(ACCOUNT)]


@contextmanager
def sandbox_of_the_day() -> Iterator[Sandbox]:
    """An account with three machines; a second is two minutes there."""
    with Sandbox(fleet=0, speed=120, balance="5000") as made:
        for name in ("train-1", "train-2", "prod-1"):
            made.seed_instance(name, gpu_model="L40")
        yield made


def of_file(name: str) -> list[dict[str, Any]]:
    """The deployments that a file made, as the server has them."""
    with get_client(sync_client=True) as client:
        return [one for _, one in deployments_of_ours(client) if owner_of(one["tags"]) == name]


@dataclass
class Day:
    """The first day of a new user, hour by hour.

    Attributes:
        sandbox: the account.
        block: its name on the server.
        server: address of the API of the Prefect server.
        folder: for the file.
        play: makes a run of a deployment, given its id, with a worker; gives how it ended.
        edit: changes parameters of a deployment, as somebody does in Prefect's UI.
        parts: of the page.
        said: what each command showed, by the command.
    """

    sandbox: Sandbox
    block: str
    server: str
    folder: Path
    play: Callable[[str], str]
    edit: Callable[[dict[str, Any], dict[str, Any]], None]
    parts: list[str] = field(default_factory=lambda: [HEAD])
    said: dict[str, list[str]] = field(default_factory=dict)

    def run(self, words: str, code: int = 0) -> str:
        """Run a command, show it on the page, and give what it said."""
        told = (
            f"{words} --credentials {self.block}"
            if words.split()[0] in ("init", "run", "watch", "costs")
            else words
        )
        place = f"{self.folder}/barrack.yaml"
        asked = re.sub(r"^(init|check|plan|apply)", rf"\1 {place}", told)
        end = ended(
            Mistake(asked, env={"PREFECT_API_URL": self.server}, width=80),
            self.sandbox,
            self.folder,
        )
        assert end.code == code, (words, end)
        shown = told.replace(self.block, ACCOUNT)
        # What runs on the server besides is another matter on each day.
        told_there = end.out.partition("\nLast runs\n")[0].replace(self.block, ACCOUNT)
        self.parts.append(f"```console\n$ barrack {shown}\n{told_there.rstrip()}\n```\n")
        self.said.setdefault(words, []).append(end.out)
        return end.out

    def say(self, text: str) -> None:
        """Write a paragraph or a heading."""
        self.parts.append(f"{text}\n")

    @property
    def file(self) -> Path:
        """The barrack.yaml."""
        return self.folder / "barrack.yaml"

    def replace(self, *changes: tuple[str, str]) -> None:
        """Edit the file."""
        text = self.file.read_text()
        for old, new in changes:
            assert old in text, old
            text = text.replace(old, new)
        self.file.write_text(text)

    def schedule(self) -> dict[str, Any]:
        """The deployment of the timetables."""
        [found] = [o for o in of_file(self.block) if o["entrypoint"].endswith("follow_schedule")]
        return found

    def states(self) -> dict[str, str]:
        """The state of each machine."""
        return {one["name"]: one["status"] for one in self.sandbox.state()["instances"]}

    def live(self) -> None:
        """Live through the day."""
        self.say("## A first file\n")
        self.run("init")
        # Three sections are enough for the first day.
        self.file.write_text(self.file.read_text().partition("# Deletes old snapshots")[0])
        self.replace(*EDITS)
        self.say(
            "It is edited until three sections are left: the production machine is protected, and "
            "all others are to be down. Nothing is armed yet.\n"
        )
        told = self.file.read_text().replace(self.block, ACCOUNT)
        rest = "\n".join(line for line in told.splitlines() if not line.startswith("#"))
        self.parts.append("```yaml\n" + re.sub(r"\n{2,}", "\n\n", rest).strip() + "\n```\n")
        self.run("check")
        self.say("## Plan, and apply\n")
        self.run("plan")
        self.run("apply --yes")
        self.run("plan --detailed-exitcode")
        self.say(
            "## Somebody changes it by hand\n\nIn Prefect's UI, somebody sets `at_once` to 3.\n"
        )
        now = self.schedule()
        self.edit(now, {**now["parameters"], "at_once": 3})
        self.run("plan --detailed-exitcode", 2)
        self.say("It stays so, unless `--overwrite` is given:\n")
        self.run("apply --yes --overwrite")
        self.say("## Armed\n\n`armed: true` is written into the section `timetables`.\n")
        self.replace(ARMING)
        self.run("plan --detailed-exitcode", 2)
        self.run("apply --yes")
        self.say(
            "Somebody starts a run of it, and the worker does it. Afterwards, the two machines are "
            "down:\n"
        )
        assert self.play(self.schedule()["id"]) == "Completed"
        self.run("watch")
        self.run("plan --detailed-exitcode")
        self.say("One of them is needed again, and a run of a flow brings it up:\n")
        self.run("run restore --select train-1")
        self.run("costs")

    def page(self) -> str:
        """The page."""
        return re.sub(r"\n{3,}", "\n\n", "\n".join(self.parts))


def settled(page: str) -> str:
    """A page without what differs from day to day: figures, and how wide they are."""
    page = re.sub(r"\d[\d.,:/-]*", "#", page)
    page = re.sub(r" +(BRK-\S+|id)$", "", page, flags=re.M)  # it may have no room
    page = re.sub(r"# (s|min|h|d)\b", "# t", page)
    page = re.sub(r"# t # t", "# t", page)
    return re.sub(r" +", " ", page)


def _write() -> None:
    from barrack_tasks.cli.servers import spoken_with
    from tests.deployments import playing

    with tempfile.TemporaryDirectory() as home, sandbox_of_the_day() as sandbox:
        # Nothing of the person's own server is read or changed.
        os.environ["PREFECT_API_DATABASE_CONNECTION_URL"] = f"sqlite+aiosqlite:///{home}/prefect.db"
        services = Services(Path(home))
        url = services.start_server(free_port())
        try:
            with spoken_with(services.environment(url)):
                BarrackCredentials(api_key=sandbox.api_key, base_url=sandbox.url).save(
                    ACCOUNT,
                    _sync=True,  # type: ignore[call-arg]
                )

                def play(id_: str) -> str:
                    with playing.worker(sandbox):
                        return playing.wait_for(playing.start(id_))

                def edit(one: dict[str, Any], parameters: dict[str, Any]) -> None:
                    playing.change(one, parameters=parameters)

                folder = Path(home) / "team"
                folder.mkdir()
                day = Day(sandbox, ACCOUNT, url, folder, play, edit)
                day.live()
                TARGET.write_text(day.page(), encoding="utf-8")
        finally:
            services.stop("server")


if __name__ == "__main__":
    _write()
