"""What the same people are to hear in a run is one message."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barrack_tasks.runtime.post import Item, Post, digest

PEOPLE: dict[str, Any] = {"a": None, "b": None, "c": None}
Letters = list[tuple[str, str, str, str]]


@pytest.fixture
def letters(monkeypatch: pytest.MonkeyPatch) -> Letters:
    """Who got which subject, body and severity; `c` cannot be told."""
    found: Letters = []

    def tell(
        _to: Any, names: Any, subject: str, body: str, severity: str, **_: Any
    ) -> dict[str, str]:
        found.extend((name, subject, body, severity) for name in names)
        return {name: "it is down" for name in names if name == "c"}

    monkeypatch.setattr("barrack_tasks.runtime.post.tell", tell)
    return found


def item(to: str, subject: str, **given: Any) -> Item:
    return Item({name: PEOPLE[name] for name in to}, subject, **given)


def test_everybody_gets_one_message_with_all_that_is_for_them(letters: Letters) -> None:
    post = Post()
    heard: list[dict[str, str]] = []
    post.add(item("ab", "Barrack x: names", body="one.\ntwo.", severity="warning"))
    post.add(item("bc", "Barrack x failed", body="why", severity="failure", sent=heard.append))
    post.add(item("", "Barrack: nobody's", sent=heard.append))
    assert (heard, letters) == ([{}], []), "nothing is sent yet"
    assert post.send() == {"c": "it is down"}
    assert letters == [
        ("a", "Barrack x: names", "one.\ntwo.", "warning"),
        (
            "b",
            "Barrack x failed (and 1 more message)",
            "why\n\nAlso: x: names\none.\ntwo.",
            "failure",
        ),
        ("c", "Barrack x failed", "why", "failure"),
    ]
    assert heard[1:] == [{"c": "it is down"}]
    post.close()
    assert len(letters) == 3, "nothing is sent twice"


def test_what_is_blind_goes_along_with_the_first_message_and_is_looked_for_at_the_end(
    letters: Letters,
) -> None:
    blind = ["one is blind", "two is blind"]

    def look(post: Post) -> None:
        if blind:
            post.add(item("a", f"Barrack: {blind.pop(0)}", severity="failure"))

    post = Post("x", look)
    post.send()
    assert (letters, len(blind)) == ([], 2), "a run that tells nothing does not look in between"
    post.add(item("a", "Barrack balance: low", severity="warning"))
    post.send()
    post.add(item("a", "Barrack: news"))
    post.send()
    post.close()
    assert [letter[1] for letter in letters] == [
        "Barrack: one is blind (and 1 more message)",
        "Barrack: news",
        "Barrack: two is blind",
    ]


SEVERITIES = st.sampled_from(["info", "success", "warning", "failure"])
ITEMS = st.lists(
    st.builds(
        lambda severity, subject, body: Item({}, f"Barrack: {subject}", body, severity),
        SEVERITIES,
        st.text("xyz ", min_size=1),
        st.text("pq\n"),
    ),
    min_size=1,
)


@given(ITEMS)
def test_a_digest_is_as_bad_as_the_worst_and_says_all(items: list[Item]) -> None:
    one = digest(items)
    ranks = ("failure", "warning", "success", "info")
    assert one.severity == min((i.severity for i in items), key=ranks.index)
    whole = f"{one.subject}\n{one.body}"
    for each in items:
        assert each.subject.removeprefix("Barrack: ") in whole
        assert each.body.strip("\n") in whole


def test_who_wants_only_what_is_severe_gets_nothing_else_of_a_message(letters: Letters) -> None:
    post = Post()
    people: dict[str, Any] = {"a": None, "a:failure": None, "b:warning": None}
    post.add(Item(people, "Barrack x: news"))
    post.add(Item(people, "Barrack x failed", severity="failure"))
    post.send()
    post.add(Item(people, "Barrack x: more news"))
    post.send()
    assert [(name, subject) for name, subject, *_ in letters] == [
        ("a", "Barrack x failed (and 1 more message)"),
        ("a:failure", "Barrack x failed"),
        ("b:warning", "Barrack x failed"),
        ("a", "Barrack x: more news"),
    ]


def test_a_note_does_not_repeat_what_a_message_of_its_own_says() -> None:
    names = Item({}, "Barrack x: names", "protect: 'gone' is gone.", "warning")
    alarm = Item({}, "Barrack x: low", "1 USD left.\nNote: protect: 'gone' is gone.\nNote: else.")
    assert digest([names, alarm]).body == (
        "protect: 'gone' is gone.\n\nAlso: x: low\n1 USD left.\nNote: else."
    )
    assert digest([alarm]).body == alarm.body
