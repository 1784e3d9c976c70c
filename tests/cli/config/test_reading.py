"""What files say together, and where each word of it stands."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from barrack_tasks.cli.config.checking import config_of, read_config
from barrack_tasks.cli.config.reading import (
    ConfigDocument,
    MistakesError,
    masked,
    read_document,
    texts_in,
)


def test_included_files_add_up_and_every_place_is_that_of_its_file(tmp_path: Path) -> None:
    (tmp_path / "barrack.yaml").write_text("include: [b.yaml]\nprotect: [one]\nwatch: {}\n")
    (tmp_path / "b.yaml").write_text("# more\nprotect: [two, three]\nnotify: {team: slack}\n")
    document = read_document(tmp_path / "barrack.yaml")
    assert document.content == {
        "protect": ["one", "two", "three"],
        "watch": {},
        "notify": {"team": "slack"},
    }
    lines = {
        place: (Path(at.file).name, at.line, at.column) for place, at in document.places.items()
    }
    assert lines[("protect", 0)] == ("barrack.yaml", 2, 11)
    assert lines[("protect", 2)] == ("b.yaml", 2, 16)
    assert lines[("notify", "team")] == ("b.yaml", 3, 10)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("22:00", "22:00"),
        ("no", "no"),
        ("on", "on"),
        ("0700", "0700"),
        ("2026-12-24", "2026-12-24"),
        ("true", True),
        ("12", 12),
        ("-1.5", -1.5),
        ("1e3", 1000.0),
        ("~", None),
        ("", None),
    ],
)
def test_words_and_times_stay_what_they_are(text: str, value: object, tmp_path: Path) -> None:
    file = tmp_path / "barrack.yaml"
    file.write_text(f"a: {text}\n")
    found = read_document(file).content["a"]
    assert found == value
    assert type(found) is type(value)


def test_an_empty_file_says_nothing(tmp_path: Path) -> None:
    file = tmp_path / "barrack.yaml"
    file.write_text("# nothing yet\n")
    config = read_config(file)
    assert config.sections == {}
    assert config.accounts == ("barrack",)


def test_timetables_have_names_and_channels_are_blocks(tmp_path: Path) -> None:
    file = tmp_path / "barrack.yaml"
    file.write_text(
        "notify: {team: slack-webhook/team, boss: mail/boss}\n"
        "timetables:\n  armed: true\n  named: {office: Mon-Fri 08:00-20:00 UTC}\n"
        '  notify: [boss]\n  rules: [{select: ["*"], timetable: office}]\n'
        "balance: {}\n"
    )
    sections = read_config(file).sections
    assert sections["timetables"].armed
    assert sections["timetables"].parameters == {
        "rules": [{"select": ["*"], "timetable": "Mon-Fri 08:00-20:00 UTC"}],
        "notify": ["mail/boss"],
    }
    assert sections["balance"].parameters == {"notify": ["slack-webhook/team", "mail/boss"]}


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0"), max_size=200))
def test_whatever_a_file_holds_it_is_read_or_refused(text: str) -> None:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "barrack.yaml"
        file.write_text(text, encoding="utf-8", newline="")
        with suppress(MistakesError):
            read_config(file)


VALUES = st.recursive(
    st.text(max_size=5) | st.integers() | st.none() | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
SECTIONS = ("accounts", "balance", "budgets", "caps", "include", "name", "notify", "protect")


@given(st.dictionaries(st.sampled_from((*SECTIONS, "stock", "timetables", "ends")), VALUES))
@example({"protect": 1, "budgets": {}})
@example({"protect": "ab", "budgets": {}})
def test_whatever_sections_hold_they_are_read_or_refused(content: dict[str, object]) -> None:
    with suppress(MistakesError):
        config_of(ConfigDocument(content))


def test_what_looks_like_a_key_is_not_shown() -> None:
    assert masked("token: abc") == "token: ***"
    assert masked("x sk-live-0123456789abcdef0123 y") == f"x {'*' * 28} y"
    for plain in ("Mon-Fri 08:00-20:00 Europe/Berlin", "H100-80G-PCIe", "team-a-training-nightly"):
        assert masked(plain) == plain


def test_all_texts_are_found_with_their_places() -> None:
    found = dict(texts_in({"a": ["b", {"c": 1}]}))
    assert found == {("a",): "a", ("a", 0): "b", ("a", 1, "c"): "c"}


def test_each_account_may_have_rules_of_its_own_in_files_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "barrack.yaml"
    file.write_text("include: [a.yaml, b.yaml]\naccounts: [c]\nretention: {select: [x]}\n")
    for name in ("a", "b"):
        (tmp_path / f"{name}.yaml").write_text(
            f"accounts: [{name}]\nbalance:\n  account: {name}\n  remind: {ord(name)}h\n"
        )
    config = read_config(file)
    assert set(config.accounts) == {"a", "b", "c"}
    assert list(config.sections) == ["balance of a", "balance of b", "retention"]
    of_each = {name: config.of_account(name) for name in config.accounts}
    assert of_each["a"]["balance"].parameters == {"remind": "97h"}
    assert of_each["b"]["balance"].parameters == {"remind": "98h"}
    assert [list(of_each[name]) for name in ("a", "c")] == [["balance", "retention"], ["retention"]]


def test_a_mistake_in_the_section_of_one_account_has_its_place(tmp_path: Path) -> None:
    (tmp_path / "barrack.yaml").write_text(
        "include: b.yaml\naccounts: [a, b]\nbalance: {account: a}\n"
    )
    (tmp_path / "b.yaml").write_text("\nbalance:\n  account: b\n  selct: [x]\n")
    with pytest.raises(MistakesError) as caught:
        read_config(tmp_path / "barrack.yaml")
    [mistake] = caught.value.mistakes
    assert mistake.position is not None
    assert (Path(mistake.position.file).name, mistake.position.line) == ("b.yaml", 4)


def test_a_channel_is_told_from_its_severity_on(tmp_path: Path) -> None:
    file = tmp_path / "barrack.yaml"
    file.write_text(
        "notify: {team: slack-webhook/team, call: {block: sms, severity: failure}}\nbalance: {}\n"
    )
    told = read_config(file).sections["balance"].parameters["notify"]
    assert told == ["slack-webhook/team", "sms:failure"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\u2028"])
def test_a_caret_stands_below_what_it_means_however_lines_end(end: str, tmp_path: Path) -> None:
    file = tmp_path / "barrack.yaml"
    file.write_text(f"name: a{end}balance:{end}  armd: true{end}", newline="", encoding="utf-8")
    with pytest.raises(MistakesError) as found:
        read_config(file)
    _, line, caret = str(found.value).split("\n")
    assert line[caret.index("^") : caret.rindex("^") + 1] == "armd"


def test_a_caret_is_no_longer_than_the_line_that_is_shown(tmp_path: Path) -> None:
    file = tmp_path / "barrack.yaml"
    file.write_text(f"name: {'a' * 200}\n")
    with pytest.raises(MistakesError) as found:
        read_config(file)
    _, line, caret = str(found.value).split("\n")
    assert len(caret) == len(line)
