"""Each mistake in a barrack.yaml is told in one sentence at its place, and no key is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from barrack_tasks.cli.config.checking import read_config
from barrack_tasks.cli.config.reading import MistakesError
from tests.cli.config.mistakes import KEY, MADE, Made


@pytest.mark.parametrize("made", MADE.values(), ids=list(MADE))
def test_a_mistake_is_one_sentence_at_its_place(made: Made, tmp_path: Path) -> None:
    file = tmp_path / "barrack.yaml"
    file.write_text(made.text)
    with pytest.raises(MistakesError) as caught:
        read_config(file, KEY)
    [mistake] = caught.value.mistakes
    assert made.said in mistake.said
    assert mistake.position is not None
    assert (mistake.position.line, mistake.position.column) == (made.line, made.column)
    assert "\n" not in mistake.said
    assert KEY not in str(caught.value)
    assert KEY.upper() not in str(caught.value)


def test_a_caret_stands_under_what_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "barrack.yaml"
    file.write_text("balance:\n  selct: [a]\n")
    with pytest.raises(MistakesError) as caught:
        read_config(file)
    told, line, caret = str(caught.value).split("\n")
    assert told.startswith(f"{file}:2:3: ")
    assert line[caret.index("^") : caret.rindex("^") + 1] == "selct"


def test_all_mistakes_are_told_at_once_in_their_order(tmp_path: Path) -> None:
    file = tmp_path / "barrack.yaml"
    file.write_text(
        "drills: {select: [a], at_most: 99}\n"
        "balnce: {}\n"
        "budgets:\n  zon: UTC\n  budgets:\n    - {per: day}\n    - {per: year, hard: 5}\n"
    )
    with pytest.raises(MistakesError) as caught:
        read_config(file)
    places = [
        one.position and (one.position.line, one.position.column) for one in caught.value.mistakes
    ]
    assert places == [(1, 32), (2, 1), (4, 3), (6, 7), (7, 13)]


def test_a_mistake_in_an_included_file_names_that_file(tmp_path: Path) -> None:
    (tmp_path / "barrack.yaml").write_text("include: [teams/*.yaml]\n")
    (tmp_path / "teams").mkdir()
    (tmp_path / "teams" / "a.yaml").write_text("drills: {select: [a], at_most: 0}\n")
    with pytest.raises(MistakesError) as caught:
        read_config(tmp_path / "barrack.yaml")
    [mistake] = caught.value.mistakes
    assert mistake.position is not None
    assert mistake.position.file == str(tmp_path / "teams" / "a.yaml")


@pytest.mark.parametrize("first", ["balance: {}", "notify: {team: a}"])
def test_two_files_do_not_say_the_same(first: str, tmp_path: Path) -> None:
    (tmp_path / "barrack.yaml").write_text(f"include: b.yaml\n{first}\n")
    (tmp_path / "b.yaml").write_text(f"\n{first}\n")
    with pytest.raises(MistakesError, match=r"is already said in .*barrack\.yaml, line 2"):
        read_config(tmp_path / "barrack.yaml")
