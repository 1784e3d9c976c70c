"""Time zones by their names."""

from __future__ import annotations

import difflib
from functools import cache
from zoneinfo import available_timezones

_NOT_PLACES = {"localtime", "posixrules", "Factory"}
"""Files among the zones whose meaning depends on the machine, or that have none."""


@cache
def _names() -> dict[str, str]:
    return {name.casefold(): name for name in sorted(available_timezones() - _NOT_PLACES)}


def zone_called(name: str) -> str | None:
    """The zone's name as the database spells it; None if there is no such zone."""
    return _names().get(name.casefold())


def nearest_zones(name: str) -> list[str]:
    """Up to three zones with names like this one, by the whole name or by the city alone."""
    names, wanted = _names(), name.casefold()
    city = wanted.rsplit("/", 1)[-1]
    by_city: dict[str, list[str]] = {}
    for folded, proper in names.items():
        by_city.setdefault(folded.rsplit("/", 1)[-1], []).append(proper)
    whole = difflib.get_close_matches(wanted, names, n=3, cutoff=0.75)
    cities = difflib.get_close_matches(city, by_city, n=2, cutoff=0.75)
    found = [names[match] for match in whole] + [
        min(by_city[match], key=lambda proper: (proper.count("/") != 1, proper)) for match in cities
    ]
    return list(dict.fromkeys(found))[:3]
