"""What can be set about a sandbox while it runs."""

from __future__ import annotations

from decimal import Decimal

from pydantic import BaseModel, ConfigDict, Field

DURATIONS: dict[str, float] = {
    "create": 60,
    "start": 30,
    "stop": 20,
    "reboot": 20,
    "hibernate": 40,
    "restore": 60,
    "delete": 10,
    "snapshot": 90,
    "delete_snapshot": 5,
    "image": 60,
    "delete_image": 5,
    "volume": 15,
    "delete_volume": 5,
}


class Settings(BaseModel):
    """Knobs of a sandbox. All times are sandbox seconds.

    `durations` says how long each kind of work takes, give or take the share `jitter` of it.
    `list_lag` is how long a new thing is missing from lists. `profile_complete` is whether the
    account's owner has filled in what a restore asks for. `depletion_takes_snapshots` makes the
    end of the credits take the snapshots too, `depletion_takes_volumes` the volumes.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    durations: dict[str, float] = Field(default_factory=lambda: dict(DURATIONS))
    jitter: float = Field(default=0.1, ge=0, le=0.9)
    list_lag: float = Field(default=0, ge=0)
    profile_complete: bool = True
    depletion_takes_snapshots: bool = False
    depletion_takes_volumes: bool = False

    def changed(self, changes: dict[str, object]) -> Settings:
        """These settings with some changed; durations that are not named stay.

        Raises:
            ValueError: an unknown name, or a value that cannot be one.
        """
        durations = changes.get("durations", {})
        if not isinstance(durations, dict):
            raise ValueError("durations must be an object, for example {'stop': 5}")
        unknown = sorted(set(durations) - set(self.durations))
        if unknown:
            known = ", ".join(self.durations)
            raise ValueError(f"durations has no {', '.join(unknown)}; it has {known}")
        if any(not isinstance(v, int | float | Decimal) or v < 0 for v in durations.values()):
            raise ValueError("durations must be seconds, none of them negative")
        merged = {**self.model_dump(), **changes, "durations": {**self.durations, **durations}}
        return Settings.model_validate(merged)
