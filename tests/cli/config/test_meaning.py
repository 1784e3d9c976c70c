"""What a section says twice or in vain; only what surely changes nothing is called so."""

from __future__ import annotations

from fnmatch import fnmatchcase

from hypothesis import given
from hypothesis import strategies as st

from barrack_tasks.api.models import UserVM
from barrack_tasks.cli.config.meaning import in_vain, said_twice
from barrack_tasks.cli.config.sections import model_of
from barrack_tasks.plans.power.schedule import Policy, read_rules, rule_for
from barrack_tasks.plans.protection import is_protected

NAMES = st.text("ab-*", min_size=1, max_size=4)
SELECT = st.lists(NAMES, min_size=1, max_size=2)
RULES = st.lists(SELECT, min_size=1, max_size=4)
FLEET = [
    UserVM(id=f"BRK-{n}", name=name, status="ACTIVE")
    for n, name in enumerate(["a", "b", "ab", "ba", "a-b", "b-a", "aab", "abab"])
]


@given(RULES, SELECT)
def test_a_rule_that_is_called_vain_takes_no_instance(
    selects: list[list[str]], protect: list[str]
) -> None:
    rules = [
        {"select": one, "timetable": "always" if n % 2 else "never"}
        for n, one in enumerate(selects)
    ]
    section = model_of("timetables").model_validate({"rules": rules})
    read = read_rules(rules)
    taken = [rule_for(one, Policy(tuple(read))) for one in FLEET]
    for place, _ in in_vain(section, protect):
        rule = read[int(str(place[1]))]
        if len(place) == 2:
            assert not any(one is rule for one in taken), (place, selects)
        else:
            name = rule.select.names[int(str(place[3]))]
            chosen = [one for one in FLEET if fnmatchcase(one.name, name)]
            assert all(is_protected(protect, one.id, one.name) for one in chosen), (name, protect)


@given(st.lists(st.lists(st.integers(0, 2), unique=True) | st.integers(0, 3)))
def test_a_list_says_something_twice_if_and_only_if_an_item_is_there_again(
    items: list[object],
) -> None:
    is_twice = any(item in items[:number] for number, item in enumerate(items))
    assert bool(list(said_twice({"some": items}))) == is_twice
