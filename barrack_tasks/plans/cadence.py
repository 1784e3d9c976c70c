"""How often to look."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Cadence:
    """Seconds until the next look: short while things move, longer while nothing does.

    Example:
        >>> cadence = Cadence(0.5, 10.0)
        >>> cadence.after(moved=True), cadence.after(moved=False), cadence.after(moved=False)
        (0.5, 0.75, 1.125)
    """

    shortest: float = 0.5
    longest: float = 10.0
    growth: float = 1.5
    _now: float = 0.0

    def after(self, moved: bool) -> float:
        """The pause after a look that did or did not show anything new."""
        grown = max(self.shortest, self._now * self.growth)
        self._now = self.shortest if moved or not self._now else min(self.longest, grown)
        return self._now
