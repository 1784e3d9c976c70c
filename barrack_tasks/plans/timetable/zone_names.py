"""Time zones by their names.

The names are those of the data in use. `pendulum.timezones()` has those of the wheel alone, and a
`pendulum.timezone` is looked up 40 times as slowly as a `ZoneInfo`, which it is, too.
"""

from __future__ import annotations

import difflib
import re
from functools import cache
from typing import Annotated, Any
from zoneinfo import ZoneInfo, available_timezones

from pydantic import BeforeValidator

from barrack_tasks.plans.plain_words import nearest_are

_NOT_PLACES = {"localtime", "posixrules", "Factory"}
"""Files among the zones whose meaning depends on the machine, or that have none."""

_CITY_MEANT = {"EST": "America/New_York", "MST": "America/Denver", "HST": "Pacific/Honolulu"}
"""The city that most people mean by an abbreviation which is one offset the whole year."""
_OFFSET = re.compile(r"(?:Etc/)?GMT([+-])([1-9]\d?)")


@cache
def _names() -> dict[str, str]:
    return {name.casefold(): name for name in sorted(available_timezones() - _NOT_PLACES)}


def zone_named(zone: Any) -> str:
    """A zone's name as the database spells it, from a name in any case or a zone of pendulum.

    Raises:
        ValueError: there is no such zone; says which are near.

    Example:
        >>> zone_named("europe/berlin"), zone_named(pendulum.timezone("Asia/Tokyo"))
        ('Europe/Berlin', 'Asia/Tokyo')
    """
    name = getattr(zone, "key", zone)
    if isinstance(name, str) and (found := _names().get(name.casefold())):
        return found
    near = _nearest(name) if isinstance(name, str) else ()
    hint = nearest_are(near) if near else "write one such as Europe/Berlin"
    raise ValueError(f"there is no time zone called {name!r}; {hint}")


def zone_of(zone: str | ZoneInfo) -> ZoneInfo:
    """A zone by its name; see `zone_named`."""
    return ZoneInfo(zone_named(zone))


Zone = Annotated[str, BeforeValidator(lambda zone: getattr(zone, "key", zone))]
"""The name of a time zone, which a `pendulum.timezone` and a `ZoneInfo` have too."""


def _nearest(name: str) -> list[str]:
    """Up to three zones with names like this one, by the whole name or by the city alone."""
    names, wanted = _names(), name.casefold()
    city = wanted.rsplit("/", 1)[-1]
    by_city: dict[str, list[str]] = {}
    for folded, proper in names.items():
        by_city.setdefault(folded.rsplit("/", 1)[-1], []).append(proper)
    whole = difflib.get_close_matches(wanted, names, n=3, cutoff=0.85)
    cities = difflib.get_close_matches(city, by_city, n=2, cutoff=0.75)
    found = [names[match] for match in whole] + [
        min(by_city[match], key=lambda proper: (proper.count("/") != 1, proper)) for match in cities
    ]
    return list(dict.fromkeys(found))[:3]


def same_all_year(name: str) -> str | None:
    """A sentence about a zone that is one offset the whole year, with the city to write instead.

    None for a zone that is a place, and for UTC, which is meant as it is.

    Example:
        >>> same_all_year("EST")
        'EST is UTC-5 the whole year and knows no summer time; if New York is meant, write \
America/New_York'
    """
    if city := _CITY_MEANT.get(name):
        hours = {"EST": 5, "MST": 7, "HST": 10}[name]
        place = city.rpartition("/")[2].replace("_", " ")
        return (
            f"{name} is UTC-{hours} the whole year and knows no summer time; if {place} is meant, "
            f"write {city}"
        )
    if offset := _OFFSET.fullmatch(name):
        sign = "-" if offset[1] == "+" else "+"
        return (
            f"{name} is UTC{sign}{offset[2]} (its sign is reversed) the whole year and knows no "
            "summer time; write the city that is meant, for example Europe/Berlin"
        )
    return None
