"""Holding this library's reading of the API against the API itself, without changing anything."""

from barrack_tasks.api.doctor.checkup import checkup
from barrack_tasks.api.doctor.report import Difference, DoctorReport, Finding, Readiness

__all__ = ["Difference", "DoctorReport", "Finding", "Readiness", "checkup"]
