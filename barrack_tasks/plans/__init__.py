"""Pure decisions. No input or output, no clock, no Prefect."""

from barrack_tasks.plans.report import Report, Row
from barrack_tasks.plans.selection import SelectionError, Selector
from barrack_tasks.plans.snapshots.retention import Retention
from barrack_tasks.plans.steps import Finished, Next, Outcome, Step, Wait
from barrack_tasks.plans.timetable import Timetable, TimetableError

__all__ = [
    "Finished",
    "Next",
    "Outcome",
    "Report",
    "Retention",
    "Row",
    "SelectionError",
    "Selector",
    "Step",
    "Timetable",
    "TimetableError",
    "Wait",
]
