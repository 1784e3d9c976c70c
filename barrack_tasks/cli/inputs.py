"""Numbers on the command line, and what is said of those that cannot be meant."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import Parameter


def between(least: float, most: float) -> Parameter:
    """A parameter that takes a number between two.

    Args:
        least: the smallest.
        most: the largest.

    Example:
        >>> Port = Annotated[int, between(1, 65535)]
    """

    def check(_: Any, value: float) -> None:
        # A comparison, and not two: what is not a number at all is within nothing.
        if not least <= value <= most:
            raise ValueError(f"It must be between {least:g} and {most:g}.")

    return Parameter(validator=check)


Port = Annotated[int, between(1, 65535)]
Minutes = Annotated[float, between(0.01, 10_000)]
Days = Annotated[int, between(1, 3660)]
AsJson = Annotated[bool, Parameter(name="--json", negative="")]
"""Show the answer as JSON, with the keys of docs/cli.schema.json."""
