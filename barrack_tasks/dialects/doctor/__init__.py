"""Holding this library's reading of the API against the API itself, without changing anything."""

from barrack_tasks.dialects.doctor.checkup import checkup
from barrack_tasks.dialects.doctor.report import Difference, DoctorReport, Finding, Readiness
from barrack_tasks.dialects.doctor.trying import CAN_BE_TRIED, try_change

__all__ = [
    "CAN_BE_TRIED",
    "Difference",
    "DoctorReport",
    "Finding",
    "Readiness",
    "checkup",
    "try_change",
]
