"""What a run that waits no longer leaves to the next."""

from __future__ import annotations

from datetime import UTC, datetime

from barrack_tasks.plans.memory import Memory, Target
from barrack_tasks.plans.power.rest import without_waiting
from barrack_tasks.plans.steps import Finished, Next, Step, Wait

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def test_only_what_needs_no_further_request_of_this_run_is_left() -> None:
    memory = Memory(
        under_way={"sending": Step("hibernate_instance", "sending", "sending")},
        acted={"asked", "asked after a snapshot"},
        taken={"snapshot": "1", "asked after a snapshot": "2"},
        woken={"started"},
    )
    waiting = ("stuck", "asked", "asked after a snapshot", "sending", "snapshot", "started")
    targets = [Target(name, name, NOW) for name in (*waiting, "step", "done")]
    targets.append(Target("resumed", "resumed", NOW, resumed=True))
    plan: dict[str, Next] = {t.id: Wait("it takes long") for t in targets}
    plan["step"] = Step("hibernate_instance", "step", "step")
    plan["done"] = Finished("done")
    after = without_waiting(plan, targets, memory)
    left = {id_ for id_ in after if after[id_] != plan[id_]}
    assert left == {"stuck", "asked", "asked after a snapshot"}
    assert after["stuck"] == Finished("skipped", "left to the next run: it takes long")
