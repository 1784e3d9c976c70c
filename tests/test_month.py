"""The month of a team of 12: no work is put to rest, and the page tells what came out."""

from __future__ import annotations

import pytest

from docs.generate import run_month
from docs.generate.month import PAGE, play, spent, table


@pytest.mark.parametrize("seed", [1, 2])
def test_leases_and_idleness_save_and_disturb_no_work(seed: int) -> None:
    week = play(days=6, people=4, seed=seed)
    nothing, evidence = week["without anything"], week["leases and idleness"]
    assert sum(machine.torn for machine in evidence) == 0
    assert spent(evidence)["at work"] == spent(nothing)["at work"], "the work is the same"
    assert spent(evidence)["for nothing"] < spent(nothing)["for nothing"]


@pytest.mark.slow
def test_the_real_flows_put_no_work_to_rest_in_a_day_of_the_sandbox(prefect_server: str) -> None:
    day = run_month.play("leases and idleness", days=1, people=4)
    assert day.torn == 0
    assert day.notices > 0
    left_alone = run_month.PRICE * 24 * 4
    assert day.bill < left_alone


@pytest.mark.slow
def test_the_page_tells_what_came_out() -> None:
    assert table(play()) in PAGE.read_text(), "run: python -m docs.generate.month"
