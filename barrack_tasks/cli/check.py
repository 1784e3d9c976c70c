"""`barrack check` and `barrack schema`: a barrack.yaml, before anything is asked of a server."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from barrack_tasks.cli.screen import Screen

if TYPE_CHECKING:
    from barrack_tasks.cli.config.checking import Config
    from barrack_tasks.cli.config.reading import MistakesError

FILE = Path("barrack.yaml")


def check(file: Path = FILE, /) -> int:
    """Check a barrack.yaml, and what it includes, without a server or an account.

    Each mistake is shown with its file, line and column. Exits 0 if there is none, else 2.

    Parameters
    ----------
    file
        The file; barrack.yaml in this folder, if not given.
    """
    from barrack_tasks.cli.config.reading import MistakesError

    try:
        config = read(file)
    except MistakesError as error:
        tell(error)
        return 2
    armed = [name for name, one in config.sections.items() if one.armed]
    files = "1 file" if len(config.files) == 1 else f"{len(config.files)} files"
    sections = ", ".join(config.sections) or "none"
    Screen().print(
        f"{files}: no mistake; sections: {sections}; armed: {', '.join(armed) or 'none'}."
    )
    return 0


def schema() -> int:
    """Print the JSON schema of barrack.yaml, which editors complete and check it with.

    The first line of a file may name it: `# yaml-language-server: $schema=barrack.schema.json`.
    """
    from barrack_tasks.cli.config.sections import json_schema

    sys.stdout.write(json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n")
    return 0


def read(file: Path) -> Config:
    """What a barrack.yaml says; the key of the environment must not stand in it.

    Raises:
        MistakesError: what is wrong.
    """
    from barrack_tasks.cli.config.checking import read_config

    return read_config(file, os.environ.get("BARRACK_API_KEY", "").strip())


def tell(error: MistakesError) -> None:
    """Show mistakes on the error output, each with its line."""
    screen = Screen(stderr=True)
    for mistake in error.mistakes:
        first, *rest = str(mistake).split("\n")
        screen.print(first, style="red")
        for line in rest:
            screen.print(line)
