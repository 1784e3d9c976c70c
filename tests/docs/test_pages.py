"""The pages that are made from the code are up to date, and the site is built without a warning."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from barrack_tasks import flows
from docs.generate.pages import VARIABLES, pages, variables_in_code
from tests.docs.blocks import ROOT


@pytest.mark.parametrize("name", ["flows.md", "errors.md", "environment.md"])
def test_the_page_is_the_one_that_the_code_makes(name: str) -> None:
    assert (ROOT / "docs" / name).read_text(encoding="utf-8") == pages()[name], (
        f"docs/{name} is not up to date; run: make pages"
    )


def test_every_flow_has_a_section_with_all_its_parameters() -> None:
    text = pages()["flows.md"]
    assert re.findall(r"^## (\w+)$", text, re.MULTILINE) == sorted(flows.__all__)
    assert "|  |\n" not in text, "every parameter has a meaning"


def test_every_variable_of_the_code_has_a_meaning() -> None:
    assert variables_in_code() == set(VARIABLES)


def test_each_page_stands_in_the_navigation_once() -> None:
    names = runpy.run_path(str(ROOT / "docs" / "conf.py"))
    listed = re.findall(r"^/(\S+)$", names["navigation"](), re.MULTILINE)
    assert sorted(listed) == names["existing"]()
    assert "docs/how-to/notify-slack" in listed
    assert "docs/index" not in listed


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    words = ["-m", "sphinx", "-q", "-W", "--keep-going", "-c", "docs", "-d", tmp_path / "kept"]
    done = subprocess.run(
        [sys.executable, *words, ".", tmp_path / "site"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    for page in ("docs/index", "docs/tutorial", "docs/flows", "docs/reference", "search"):
        assert (tmp_path / "site" / f"{page}.html").exists()
