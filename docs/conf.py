"""The documentation site: `make docs` builds it with Sphinx from the pages that the repository has.

The source folder is the whole repository, so that a link between two pages is the same on the site
and in a checkout.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from barrack_tasks.api.version import VERSION

ROOT = Path(__file__).resolve().parent.parent
NAV = {
    "Tutorial": [
        "docs/tutorial",
        "docs/a-day-with-barrack-yaml",
        "docs/first-ten-minutes",
        "examples/first_look",
    ],
    "How-to guides": [
        "docs/how-to/nightly-hibernate",
        "docs/how-to/never-run-out-of-credit",
        "docs/how-to/catch-an-h100",
        "docs/how-to/restore-after-a-disaster",
        "docs/how-to/many-workers",
        "docs/how-to/notify-slack",
        "docs/how-to/from-a-cron-script",
        "docs/compositions",
        "examples/overnight_training",
        "examples/cost_review",
    ],
    "Subjects": [
        "docs/timetables",
        "docs/money",
        "docs/gpu-stock",
        "docs/restoring",
        "docs/leases",
        "docs/accounts",
        "docs/deployments",
        "docs/security",
    ],
    "Reference": [
        "docs/flows",
        "docs/reference",
        "docs/cli",
        "docs/barrack-yaml",
        "docs/events",
        "docs/errors",
        "docs/environment",
        "docs/mistakes",
        "docs/barrack-yaml-mistakes",
        "docs/messages",
        "docs/sentences",
    ],
    "Explanation": [
        "docs/why",
        "docs/promises",
        "docs/architecture",
        "docs/scaling",
        "docs/reliability",
        "docs/key_paths",
        "benchmarks/results",
    ],
    "Project": ["README", "CHANGELOG", "CONTRIBUTING", "SECURITY"],
}
"""Pages by section, in order. A page that is not there is left out, and one that is not named here
stands under "More"."""

project = "prefect-barrack"
author = "the prefect-barrack authors"
release = VERSION
root_doc = "docs/index"
extensions = ["myst_nb"]
include_patterns = [
    *("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"),
    *("docs/**.md", "benchmarks/results.md", "examples/*.ipynb"),
]
exclude_patterns = [".venv", ".cache", ".git", "dist", "build", "tests", "barrack_tasks"]
myst_heading_anchors = 4
nb_execution_mode = "off"
html_theme = "furo"
html_title = f"prefect-barrack {VERSION}"
html_static_path = ["site"]
html_css_files = ["wide.css"]
html_copy_source = False
html_show_copyright = False
html_show_sphinx = False


def existing() -> list[str]:
    """Names of all pages that there are, besides the first one."""
    found = {
        str(file.relative_to(ROOT).with_suffix(""))
        for pattern in include_patterns
        for file in ROOT.glob(pattern.replace("**.md", "**/*.md"))
    }
    return sorted(found - {root_doc})


def navigation() -> str:
    """The table of contents, as MyST."""
    pages = existing()
    named = [page for section in NAV.values() for page in section]
    sections = {**NAV, "More": [page for page in pages if page not in named]}
    blocks = []
    for title, wanted in sections.items():
        if there := [f"/{page}" for page in wanted if page in pages]:
            lines = "\n".join(there)
            blocks.append(f"```{{toctree}}\n:caption: {title}\n:maxdepth: 1\n\n{lines}\n```\n")
    return "\n".join(blocks)


def _add_navigation(_app: Any, page: str, source: list[str]) -> None:
    if page == root_doc:
        source[0] += "\n" + navigation()


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("source-read", _add_navigation)
