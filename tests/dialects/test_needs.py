"""What each flow needs of a dialect is stated."""

from __future__ import annotations

from barrack_tasks import flows
from barrack_tasks.api.operations import OPERATIONS
from barrack_tasks.dialects.needs import NEEDS
from barrack_tasks.plans.money.caps import _NEEDS, Caps


def test_every_flow_but_the_check_up_says_what_it_needs() -> None:
    assert set(flows.__all__) - {"doctor"} <= set(NEEDS)
    assert {o for need in NEEDS.values() for o in need.operations} <= set(OPERATIONS)


def test_every_cap_says_what_must_be_read_to_judge_it() -> None:
    assert set(_NEEDS) == set(Caps.model_fields)
