"""Read a timetable.

    timetable = rule { ("," | ";") rule } [ ";" except ]
    rule      = "always" | "never" | weekly | absolute
    weekly    = days times zone [ except ]
    days      = day [ "-" day ] { "," day [ "-" day ] }
    times     = time "-" time | time "-" | "-" time
    except    = "except" dates { "," dates }
    dates     = date [ ".." date ] | month-day [ ".." month-day ]
    absolute  = moment ("-" | "/") moment [ zone ]
    moment    = date [ "T" time [ offset ] ]

A comma after a day goes on with the days if a day follows; a comma after an exception goes on
with the exceptions if a date follows, so an absolute rule after one needs the semicolon.
"""

from __future__ import annotations

import re
from datetime import timedelta

from barrack_tasks.plans.timetable.dates import Dates
from barrack_tasks.plans.timetable.grammar_dates import exceptions, moment
from barrack_tasks.plans.timetable.rules import DAY, DAYS, Absolute, Constant, Rule, Weekly
from barrack_tasks.plans.timetable.scanner import Scanner
from barrack_tasks.plans.timetable.zone_names import zone_named

_FULL = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_DAY_NUMBERS = {name: i for i, full in enumerate(_FULL) for name in (full, full[:3])}
_LETTERS = r"[^\W\d_]+"
_ZONE = r"[A-Za-z_][A-Za-z0-9_+\-/]*"
_EXAMPLE = "Mon-Fri 08:00-20:00 Europe/Berlin"


def read(text: str) -> tuple[Rule, ...]:
    """The rules of a timetable.

    Raises:
        TimetableError: the text cannot be read; marks the place.
    """
    scan = Scanner(text)
    if scan.done:
        scan.refuse(f"the timetable is empty; write always, never, or for example {_EXAMPLE}", 0, 1)
    rules: list[Rule] = []
    separator: re.Match[str] | None = None
    while True:
        if rules and separator and separator[0] == ";" and _word(scan) == "except":
            rules = _except_for_all(scan, rules)
            if not scan.done:
                scan.refuse("exceptions for all rules are the last thing in a timetable")
            break
        rules.append(_rule(scan, separator))
        separator = scan.take("[,;]")
        if separator is None:
            break
    if not scan.done:
        scan.refuse("a comma is missing before the next rule, or this does not belong here")
    return tuple(rules)


def _word(scan: Scanner) -> str:
    scan.space()
    match = re.compile(_LETTERS).match(scan.text, scan.at)
    return match[0].casefold() if match else ""


def _rule(scan: Scanner, separator: re.Match[str] | None) -> Rule:
    if scan.done or scan.peek("[,;]"):
        if separator is None:
            scan.refuse("there is no rule before this; take it out", end=scan.at + 1)
        place = separator.start()
        name = "comma" if separator[0] == "," else "semicolon"
        scan.refuse(f"no rule follows this {name}; take it out", place, place + 1)
    word = _word(scan)
    if word in ("always", "never"):
        return _constant(scan)
    if word == "except":
        scan.refuse("exceptions follow a rule, or after a semicolon all of the rules")
    if word:
        return _weekly(scan)
    if scan.peek(r"\d{4}-"):
        return _absolute(scan)
    if scan.peek(r"-?\s*\d"):
        scan.refuse(f"the days are missing before the times; write for example {_EXAMPLE}")
    scan.refuse(f"a rule begins with days, for example {_EXAMPLE}; or it is always or never")


def _constant(scan: Scanner) -> Constant:
    taken = scan.take(_LETTERS)
    on = taken is not None and taken[0].casefold() == "always"
    if on and _word(scan) == "except":
        scan.refuse(
            "always has no windows to take out; "
            "write Mon-Sun 00:00-24:00, a time zone, and then the exceptions"
        )
    return Constant(on)


def _weekly(scan: Scanner) -> Weekly:
    scan.space()
    began = scan.at
    days = _day_list(scan)
    start, end = _times(scan)
    zone = _zone(scan, began, scan.at)
    out = exceptions(scan) if _word(scan) == "except" else Dates()
    return Weekly(days, start, end, zone, out)


def _day_list(scan: Scanner) -> frozenset[int]:
    days: set[int] = set()
    while True:
        scan.space()
        began = scan.at
        first = _day(scan)
        if not scan.peek(r"-\d") and scan.take("-"):
            last = _day(scan)
            if first == last:
                scan.refuse(
                    f"from {DAYS[first]} to {DAYS[first]} is one day or the whole week; "
                    f"write {DAYS[first]} or Mon-Sun",
                    began,
                    scan.at,
                )
            days |= {(first + i) % 7 for i in range((last - first) % 7 + 1)}
        else:
            days.add(first)
        comma = scan.take(",")
        if not comma:
            break
        if not _word(scan):
            scan.refuse(
                "no day follows this comma; take it out, or write the day",
                comma.start(),
                comma.end(),
            )
    if _word(scan) in _DAY_NUMBERS:
        scan.refuse("a comma or a dash is missing between the days")
    return frozenset(days)


def _day(scan: Scanner) -> int:
    scan.space()
    taken = scan.take(_LETTERS)
    if not taken:
        scan.refuse(f"a day is expected here: {', '.join(DAYS)}")
    name = taken[0]
    number = _DAY_NUMBERS.get(name.casefold())
    if number is None:
        scan.refuse(
            f"no day is called {name!r}; days are {', '.join(DAYS)} or their full English names",
            scan.at - len(name),
            scan.at,
        )
    return number


def _times(scan: Scanner) -> tuple[int | None, int | None]:
    scan.space()
    began = scan.at
    if not scan.peek(r"-?\d"):
        scan.refuse("the times are missing after the days; write for example 08:00-20:00")
    start = None if scan.peek("-") else _time(scan, is_end=False)
    if not scan.take("-"):
        scan.refuse(
            "a dash is missing after this time: 08:00-20:00 is a window, "
            "08:00- restores only, -20:00 hibernates only",
            began,
            scan.at,
        )
    if not scan.peek(r"\d"):
        if scan.peek("-"):
            scan.refuse("there are two dashes; write one between the times", end=scan.at + 1)
        return start, None
    end = _time(scan, is_end=True)
    if start is None:
        return None, end
    if start == end:
        scan.refuse(
            "the window ends when it begins; for a whole day write 00:00-24:00", began, scan.at
        )
    return start, end if end > start else end + DAY


def _time(scan: Scanner, *, is_end: bool) -> int:
    scan.space()
    began = scan.at
    taken = scan.take(r"(\d{1,2}):(\d{2})(?![\w:.])")
    if not taken:
        word = scan.take(r"[\w:.]+")
        scan.refuse(
            f"{word[0] if word else ''!r} is not a time of day; "
            "write hours and minutes on the 24-hour clock, for example 08:00",
            began,
            scan.at,
        )
    hour, minute = int(taken[1]), int(taken[2])
    if minute > 59:
        scan.refuse("an hour has minutes from 00 to 59", began, scan.at)
    if hour * 60 + minute > DAY:
        scan.refuse(
            "a day ends at 24:00; for a window over midnight write the hour of the next day, "
            "for example 22:00-06:00",
            began,
            scan.at,
        )
    if hour == 24 and not is_end:
        scan.refuse("nothing begins at 24:00; write 00:00 of the next day", began, scan.at)
    return hour * 60 + minute


def _zone(scan: Scanner, began: int, until: int) -> str:
    if _word(scan) in ("", "except", *_DAY_NUMBERS) and not scan.peek("[+-]"):
        text = scan.text[began:until]
        scan.refuse(
            f"the time zone is missing; write for example {' '.join(text.split())} Europe/Berlin, "
            "or UTC",
            *_last_word(scan.text, began, until),
        )
    taken = scan.take(_ZONE)
    if not taken:
        scan.refuse(
            "a time zone is a name such as Europe/Berlin or UTC; "
            "an offset does not tell when clocks change"
        )
    try:
        return zone_named(taken[0])
    except ValueError as error:
        scan.refuse(str(error), taken.start(), taken.end())


def _last_word(text: str, began: int, until: int) -> tuple[int, int]:
    end = began + len(text[began:until].rstrip())
    return max(began, text.rfind(" ", began, end) + 1), end


def _absolute(scan: Scanner) -> Absolute:
    scan.space()
    began = scan.at
    start, _ = moment(scan)
    if not scan.take("[-/]"):
        scan.refuse("the end is missing; write a dash and another moment", began, scan.at)
    end, whole_day = moment(scan)
    until = scan.at
    if whole_day:
        end += timedelta(days=1)
    zone = None
    if start.tzinfo is None or end.tzinfo is None:
        zone = _zone(scan, began, until)
    elif _word(scan) and _word(scan) != "except":
        scan.refuse("both moments carry their offset; take the time zone out")
    if _word(scan) == "except":
        scan.refuse("exceptions belong to weekly rules; write two ranges instead")
    rule = Absolute(start, end, zone)
    first, last = rule.moments()
    if first >= last:
        what = "begins when it ends" if first == last else "ends before it begins"
        scan.refuse(f"the range {what}; write the earlier moment first", began, until)
    return rule


def _except_for_all(scan: Scanner, rules: list[Rule]) -> list[Rule]:
    scan.space()
    began = scan.at
    out = exceptions(scan)
    if not any(isinstance(rule, Weekly) for rule in rules):
        scan.refuse("exceptions belong to weekly rules, and there is none", began)
    return [
        Weekly(r.days, r.start, r.end, r.zone, r.exceptions | out) if isinstance(r, Weekly) else r
        for r in rules
    ]
