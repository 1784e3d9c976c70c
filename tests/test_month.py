"""The month of a team of 12 that docs/leases.md tells: no work is put to rest."""

from __future__ import annotations

import pytest

from docs.generate import month


@pytest.mark.slow
def test_the_flows_put_no_work_to_rest_in_a_day_of_the_sandbox(prefect_server: str) -> None:
    day = month.play("leases and idleness", days=1, people=4)
    assert day.torn == 0
    assert day.notices > 0
    left_alone = month.PRICE * 24 * 4
    assert day.bill < left_alone
