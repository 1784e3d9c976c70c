"""Compare what this library knows of the API with the API itself, and change nothing."""

from __future__ import annotations

from barrack_tasks.controllers.doctor import DoctorReport, conclude_checkup, examine
from barrack_tasks.controllers.run import Run, barrack_flow
from barrack_tasks.runtime.parameters import Credentials


@barrack_flow(name="doctor")
def doctor(credentials: Credentials = None) -> DoctorReport:
    """Run every read-only operation once, and report how its answer differs from what is expected.

    It also checks whether the saved notification blocks can be used, without sending anything,
    whether another Prefect server seems to work on the same account, and whether there are records
    that no known account owns.

    Args:
        credentials: a `BarrackCredentials`, the name of a saved one, or None for the environment.

    Returns:
        What was found, by operation, and whether the account is ready for the flows.

    Raises:
        CheckupFailed: something does not work or is not ready; carries the report.

    Example:
        >>> print(doctor().readiness)
    """
    run = Run.begin("doctor", credentials)
    return conclude_checkup(examine(run), run.account.account)
