"""Run the notebooks in examples/ again, and keep what they show.

Use: python -m docs.generate.notebooks
"""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parent.parent.parent
_LOGGED = re.compile(r"[0-9]{2}:[0-9]{2}\.[0-9]{3} \| .{0,30}(INFO|WARNING)")
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))


def run(file: Path, folder: Path) -> nbformat.NotebookNode:
    """A notebook after all its cells were run in a new kernel.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell raised something.
    """
    notebook = nbformat.read(file, as_version=4)
    options = {"timeout": 240, "kernel_name": "python3", "record_timing": False}
    # As it is for people: tests and developers have their log set in another way.
    env = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_LOGGING")}
    client = NotebookClient(notebook, resources={"metadata": {"path": str(folder)}}, **options)
    client.execute(env=env)
    for cell in (one for one in notebook.cells if one.cell_type == "code"):
        # Prefect's log tells which server there is, and when it was.
        cell.outputs = [one for one in cell.outputs if not _LOGGED.search(str(one))]
    notebook.metadata.pop("widgets", None)
    notebook.metadata["language_info"] = {"name": "python"}
    return notebook


if __name__ == "__main__":
    # Where no server runs, each kernel starts one of its own, and a busy machine takes long.
    os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "180")
    # On a busy machine its telemetry finds its database locked, and prints that into the cells.
    os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
    with tempfile.TemporaryDirectory() as home:
        # In a home of their own, no flow finds what was deployed here before, and warns of it.
        os.environ |= {"HOME": home, "PREFECT_HOME": f"{home}/.prefect"}
        for file in NOTEBOOKS:
            nbformat.write(run(file, ROOT), file)
            print(f"wrote {file.relative_to(ROOT)}")
