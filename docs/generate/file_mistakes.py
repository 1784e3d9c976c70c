"""Write docs/barrack-yaml-mistakes.md: mistakes in a barrack.yaml, and what is said of each."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

from barrack_tasks.cli.config.checking import read_config  # noqa: E402
from barrack_tasks.cli.config.reading import MistakesError  # noqa: E402
from tests.cli.config.mistakes import KEY, MADE  # noqa: E402

DOCUMENT = ROOT / "docs" / "barrack-yaml-mistakes.md"
HEAD = """# Mistakes in a barrack.yaml

What `barrack check` says of each. No line is shown that may hold a key.
`python -m docs.generate.file_mistakes` writes this page, and a test compares it with the code.
"""


def told(text: str) -> str:
    """What is said of a file."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "guards" / "barrack.yaml"
        file.parent.mkdir()
        file.write_text(text)
        try:
            read_config(file, KEY)
        except MistakesError as error:
            return str(error).replace(f"{file.parent}/", "")
    return ""


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for name, made in MADE.items():
        parts.append(f"\n## {name[0].upper()}{name[1:]}\n\n```text\n{told(made.text)}\n```")
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    DOCUMENT.write_text(page())
    sys.stdout.write(f"{DOCUMENT.relative_to(ROOT)}: {len(MADE)} mistakes\n")
