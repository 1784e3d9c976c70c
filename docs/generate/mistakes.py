"""Write docs/mistakes.md: mistakes that people make, and what the command line says of each."""

from __future__ import annotations

import io
import os
import re
import shlex
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch

from barrack_tasks.cli import main
from barrack_tasks.sandbox import Sandbox

TARGET = Path(__file__).resolve().parent.parent.parent / "docs" / "mistakes.md"
HEAD = """\
# Mistakes

What people get wrong, and what the command line says: one sentence on the error output, never a
traceback. The exit code is 2 if what was typed has to be corrected, and 1 if the network or a
server failed. A traceback is a bug of this library: please report it.

`python -m docs.generate.mistakes` runs each command on the sandbox and writes this page.
"""
_NOWHERE = "http://127.0.0.1:9"
_VOLATILE = (
    (re.compile(r" \[request [^]]*\]"), ""),
    (re.compile(r"http://127\.0\.0\.1:\d{4,5}(/v1)?"), "https://api.example"),
)


@dataclass(frozen=True)
class Mistake:
    """A command that cannot do what it is told, and the code that it ends with.

    `env` is set beside that of the sandbox; an empty value takes a variable away. `files` are
    written before, and stand in the command as `{name}`.
    """

    command: str
    code: int = 2
    env: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    width: int = 0
    """Cells of a line of the output; none, as in a pipe, if it is 0."""


def _rules(text: str) -> dict[str, str]:
    return {"rules.yaml": text}


MISTAKES: dict[str, list[Mistake]] = {
    "Words of the command line": [
        Mistake("statsu"),
        Mistake("frobnicate"),
        Mistake("ls --reigon CANADA-1"),
        Mistake("ls snapshto"),
        Mistake("show"),
        Mistake("show alpha beta"),
        Mistake("hibernate"),
        Mistake("snapshot alpha --then explode"),
        Mistake("completion tcsh"),
        Mistake("up --port 99999"),
        Mistake("up --port abc"),
        Mistake("panic --yes --minutes nan"),
        Mistake("watch --every 0"),
        Mistake("costs --days 400"),
        Mistake("costs --days ten"),
        Mistake("events --since 5x"),
        Mistake("notify add Team_Slack https://example.com"),
        Mistake("notify frob"),
        Mistake("alert-on-failure"),
        Mistake("learn"),
        Mistake("plan --json --markdown", 1),
    ],
    "Names": [
        Mistake("ls alhpa"),
        Mistake("ls 'prod-*'"),
        Mistake("show alhpa"),
        Mistake("snapshot alhpa"),
        Mistake("snapshot ''"),
        Mistake("ls stock H200"),
        Mistake("ls --state ACTIV"),
        Mistake("ls --region CANDA-1"),
        Mistake("ls --model L4O"),
        Mistake("ls snapshots --model L40"),
        Mistake("ls -n 0"),
        Mistake("panic --yes --protect alhpa"),
        Mistake("doctor --try delete_everything"),
    ],
    "Flows and their parameters": [
        Mistake("run hibernte"),
        Mistake("run hibernate"),
        Mistake("run hibernate --selct alpha"),
        Mistake("run hibernate --select"),
        Mistake("run hibernate alpha --timeout"),
        Mistake("run hibernate alpha --timeout 10x"),
        Mistake("run hibernate alpha --timeout=-5m"),
        Mistake("run hibernate alpha --shutoff burn"),
        Mistake("run hibernate alpha --dry-run=perhaps"),
        Mistake("run hibernate '{region: [CANADA-1]}'"),
        Mistake("run hibernate '{states: [SLEEPING]}'"),
        Mistake("run hibernate '{}'"),
        Mistake("run hibernate ''"),
        Mistake("run doctor alpha"),
        Mistake("run follow_schedule"),
        Mistake("run follow_schedule --rules '[]'"),
        Mistake(
            "run follow_schedule --rules '[{select: [a], timetable: Mon-Fry 08:00-20:00 UTC}]'"
        ),
        Mistake("run follow_schedule --rules '[{selct: [a], timetable: always}]'"),
        Mistake("run watch_balance --thresholds '[]'"),
        Mistake("run watch_balance --thresholds '[{amount: lots}]'"),
        Mistake("run watch_balance --thresholds '[{runway: 24h, actions: [hibernte]}]'"),
        Mistake("run enforce_budget --budgets '[{per: fortnight, hard: 9}]'"),
        Mistake("run enforce_budget --budgets '[{per: day, soft: 9, hard: 5}]'"),
        Mistake("run enforce_budget --budgets '[{per: day}]'"),
        Mistake("run report_costs --days 0"),
        Mistake("run prune_snapshots '*' --retention '{last: -1}'"),
        Mistake("run watch_gpu_stock --wants '[{gpu_modle: L40}]'"),
        Mistake("run verify_snapshots '*' --at-most 0"),
        Mistake("run verify_snapshots '*' --max-cost -5"),
        Mistake("run publish_image --source alpha"),
        Mistake("run restore_from_snapshot latest:alpha --on-expiry explode"),
    ],
    "Files of rules": [
        Mistake("schedule preview"),
        Mistake("schedule preview nowhere.yaml"),
        Mistake("schedule preview {rules.yaml}", files=_rules("- {select: [a")),
        Mistake("schedule preview {rules.yaml}", files=_rules("[]")),
        Mistake("schedule preview {rules.yaml}", files=_rules("hello")),
        Mistake("schedule preview {rules.yaml}", files=_rules("- {select: [], timetable: always}")),
        Mistake(
            "schedule preview {rules.yaml}",
            files=_rules("- {select: [a], timetable: 'Mon-Fri 08:00-20:00 Europe/Berlni'}"),
        ),
        Mistake(
            "schedule preview {rules.yaml}",
            files=_rules("rules: [{select: [a], timetable: never}]\nprotekt: [x]"),
        ),
        Mistake(
            "schedule preview {rules.yaml} --days 0",
            files=_rules("- {select: [a], timetable: never}"),
        ),
    ],
    "Key, address and network": [
        Mistake("ls", env={"BARRACK_API_KEY": ""}),
        Mistake("doctor", env={"BARRACK_API_KEY": ""}),
        Mistake("ls", env={"BARRACK_API_KEY": "wrong"}),
        Mistake("ls", env={"BARRACK_BASE_URL": "api.barrack.ai"}),
        Mistake("ls", env={"BARRACK_BASE_URL": "http://barrack.example"}),
        Mistake("ls", 1, env={"BARRACK_BASE_URL": _NOWHERE}),
        Mistake("show alpha", 1, env={"BARRACK_BASE_URL": _NOWHERE}),
        Mistake("ls", env={"BARRACK_DIALECT": "nowhere.yaml"}),
        Mistake("ls", env={"BARRACK_DIALECT": "{dialect.yaml}"}, files={"dialect.yaml": "[1]"}),
        Mistake("ls --credentials team-a", 1),
    ],
    "The Prefect server": [
        Mistake("ls deployments", 1),
        Mistake("logs lively-fox", 1),
        Mistake("events", 1),
        Mistake("notify ls", 1),
        Mistake("notify test team", 1),
        Mistake("ls runs", 1, env={"PREFECT_API_URL": f"{_NOWHERE}/api"}),
        Mistake("run hibernate alpha", 1, env={"PREFECT_API_URL": f"{_NOWHERE}/api"}),
    ],
}


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


@contextmanager
def _without_server(env: Mapping[str, str]) -> Iterator[None]:
    """Only the Prefect server that is named there is known, and no account is saved."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    told = {PREFECT_API_URL: env["PREFECT_API_URL"]} if "PREFECT_API_URL" in env else {}
    gone = set() if told else {PREFECT_API_URL}
    with temporary_settings(updates=told, restore_defaults=gone):
        yield


def ended(mistake: Mistake, sandbox: Sandbox, folder: Path) -> Ended:
    """Make a mistake on a sandbox.

    Args:
        mistake: what is done.
        sandbox: where.
        folder: for files; the command finds no server in it.
    """
    places = {}
    for name, text in mistake.files.items():
        (folder / name).write_text(text, encoding="utf-8")
        places[name] = str(folder / name)
    shown = mistake.command
    env = {**sandbox.env, "XDG_STATE_HOME": str(folder), "XDG_CACHE_HOME": str(folder)}
    env |= {k: _filled(v, places) for k, v in mistake.env.items()}
    words = [_filled(word, places) for word in shlex.split(shown)]
    out, err = io.StringIO(), io.StringIO()
    kept = {k: v for k, v in os.environ.items() if not k.startswith("BARRACK_")}
    kept |= {k: v for k, v in env.items() if v}
    code = 0
    with (
        patch.dict(os.environ, kept, clear=True),
        patch.object(sys, "argv", ["barrack", *words]),
        patch.object(sys, "stdin", io.StringIO()),
        patch("barrack_tasks.cli.screen.width_of", lambda _: mistake.width or 10_000),
        _without_server(env),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
    return Ended(code, _settled(out.getvalue(), folder), _settled(err.getvalue(), folder))


def _filled(text: str, places: Mapping[str, str]) -> str:
    for name, place in places.items():
        text = text.replace(f"{{{name}}}", place)
    return text


def _settled(text: str, folder: Path) -> str:
    """The text without what differs from run to run."""
    text = text.replace(_NOWHERE, "https://nowhere.example").replace(f"{folder}/", "")
    for pattern, instead in _VOLATILE:
        text = pattern.sub(instead, text)
    return text


def page() -> str:
    """The page, with what each command says now."""
    parts = [HEAD]
    with Sandbox(fleet=3, speed=0) as sandbox, tempfile.TemporaryDirectory() as folder:
        for title, mistakes in MISTAKES.items():
            parts.append(f"## {title}")
            for one in mistakes:
                end = ended(one, sandbox, Path(folder))
                with_env = "".join(f"{k}={v or chr(39) * 2} " for k, v in one.env.items())
                shown = with_env.replace(_NOWHERE, "https://nowhere.example")
                parts.append("```console" if parts[-1].endswith("```\n") else "\n```console")
                parts += [f"$ cat {name}\n{text.rstrip()}" for name, text in one.files.items()]
                command = re.sub(r"\{([\w.]+\.yaml)\}", r"\1", f"{shown}barrack {one.command}")
                parts.append(f"$ {command}")
                parts.append(end.err.rstrip())
                parts.append(f"# exit code {end.code}\n```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    TARGET.write_text(page(), encoding="utf-8")
