"""Timetables: when an instance should be up. Pure; time zone data is all they read."""

from barrack_tasks.plans.timetable.errors import TimetableError
from barrack_tasks.plans.timetable.flow import Boundary, Window, Wish
from barrack_tasks.plans.timetable.table import Timetable

__all__ = ["Boundary", "Timetable", "TimetableError", "Window", "Wish"]
