"""Timetables: when an instance should be up. Pure; time zone data is all they read."""

from barrack_tasks.plans.timetable.boundaries import Boundary, Window, Wish
from barrack_tasks.plans.timetable.errors import TimetableError
from barrack_tasks.plans.timetable.timetable import Timetable

__all__ = ["Boundary", "Timetable", "TimetableError", "Window", "Wish"]
