"""The pages about barrack.yaml: their examples can be read, and they are up to date."""

from __future__ import annotations

import re
from pathlib import Path

from barrack_tasks.cli.config.checking import read_config
from barrack_tasks.cli.config.deployments import wanted_deployments
from barrack_tasks.cli.config.sections import KINDS, file_model
from docs.generate.file_mistakes import DOCUMENT, page
from tests.cli.config.test_deployments import TEMPLATES

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "barrack-yaml.md").read_text()


def test_the_example_of_the_page_can_be_read_and_shows_every_word(tmp_path: Path) -> None:
    example, stock, accounts = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "barrack.yaml").write_text(example)
    (tmp_path / "stock.yaml").write_text(stock)
    config = read_config(tmp_path / "barrack.yaml")
    found = wanted_deployments(config, TEMPLATES)
    assert {one.section for one in found} == KINDS.keys() - {"doctor"}
    assert {one.section for one in found if one.armed and one.acts} == {"balance", "timetables"}
    (tmp_path / "accounts.yaml").write_text(accounts)
    assert set(read_config(tmp_path / "accounts.yaml").accounts) == {"team-a", "team-b"}
    words = file_model().model_fields.keys() - KINDS.keys()
    assert all(re.search(rf"^{word}:", example, re.MULTILINE) for word in words)


def test_the_page_has_a_row_for_each_section() -> None:
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)` \| (yes|no) \|$", PAGE, re.MULTILINE)
    assert rows == [(one.name, one.flow, "yes" if one.acts else "no") for one in KINDS.values()]


def test_the_page_of_mistakes_is_up_to_date() -> None:
    assert DOCUMENT.read_text() == page(), "run: python -m docs.generate.file_mistakes"
