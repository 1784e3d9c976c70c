"""Read the dates in a timetable: exceptions, and the ends of absolute ranges."""

from __future__ import annotations

from datetime import date, datetime

from barrack_tasks.plans.timetable.dates import Dates, days_of_year, is_day_of_year
from barrack_tasks.plans.timetable.scanner import Scanner

_DATE = r"(\d{4})-(\d{2})-(\d{2})(?!\d)"
_MONTH_DAY = r"(\d{2})-(\d{2})(?![\d-])"
_MOMENT = r"(\d{4}-\d{2}-\d{2})(?:[Tt](\d{2}:\d{2}(?::\d{2})?)(?![\d:.]))?"
# A dash and four digits are an offset, unless they are the year of the moment after the dash.
_OFFSET = r"[Zz]|[+-]\d{2}:\d{2}(?!\d)|[+-]\d{4}(?!\d|-\d\d-\d\d)"
_HOW_RANGES = "for example 2026-12-24T08:00:00+01:00-2026-12-26T20:00:00+01:00"


def moment(scan: Scanner) -> tuple[datetime, bool]:
    """An end of an absolute range, naive if no offset is given; and whether it is only a date."""
    scan.space()
    began = scan.at
    taken = scan.take(_MOMENT)
    if not taken:
        scan.refuse(f"a moment in ISO 8601 is expected here, {_HOW_RANGES}")
    offset = _take_close(scan, _OFFSET) if taken[2] else ""
    try:
        found = datetime.fromisoformat(
            f"{taken[1]}T{taken[2] or '00:00'}{offset.upper().replace('Z', '+00:00')}"
        )
    except ValueError:
        scan.refuse("there is no such moment in the calendar", began, scan.at)
    if not 2 <= found.year <= 9998:
        scan.refuse("years go from 0002 to 9998", began, scan.at)
    return found, not taken[2]


def exceptions(scan: Scanner) -> Dates:
    """`except` and the dates after it."""
    scan.take("[^\\W\\d_]+")
    spans: list[tuple[int, int]] = []
    yearly: set[tuple[int, int]] = set()
    while True:
        scan.space()
        began = scan.at
        _no_range(scan)
        if scan.peek(_DATE):
            first = last = _date(scan)
            if scan.take(r"\.\."):
                last = _date(scan)
            if last < first:
                scan.refuse("the dates end before they begin; swap them", began, scan.at)
            spans.append((first.toordinal(), last.toordinal()))
        elif scan.peek(_MONTH_DAY):
            start = end = _month_day(scan)
            if scan.take(r"\.\."):
                end = _month_day(scan)
            yearly.update(days_of_year(start, end))
        else:
            scan.refuse(
                "a date is expected here: 2026-12-24, 2026-12-24..2026-12-26, "
                "or 12-24 for every year"
            )
        if not scan.peek(r",\s*\d"):
            return Dates.of(spans, yearly)
        scan.take(",")


def _no_range(scan: Scanner) -> None:
    """Refuse what might be meant as dates left out, or as a rule of its own."""
    scan.space()
    began = scan.at
    if scan.peek(rf"{_MOMENT}(?:{_OFFSET})?\s*[-/]\s*\d{{4}}-\d\d-\d\d|{_DATE}[Tt]\d"):
        scan.refuse(
            "excepted dates are joined by two dots, 2026-12-24..2026-12-26; "
            "if this is a rule of its own, put a semicolon before it",
            began,
        )


def _date(scan: Scanner) -> date:
    scan.space()
    began = scan.at
    taken = scan.take(_DATE)
    if not taken:
        scan.refuse("a date with its year is expected here, such as 2026-12-31")
    try:
        return date(int(taken[1]), int(taken[2]), int(taken[3]))
    except ValueError:
        scan.refuse("there is no such date in the calendar", began, scan.at)


def _month_day(scan: Scanner) -> tuple[int, int]:
    scan.space()
    began = scan.at
    taken = scan.take(_MONTH_DAY)
    if not taken:
        scan.refuse("a day of the year is expected here, such as 12-31")
    found = int(taken[1]), int(taken[2])
    if not is_day_of_year(*found):
        scan.refuse("there is no such day in the year; write month and day", began, scan.at)
    return found


def _take_close(scan: Scanner, pattern: str) -> str:
    """Read the pattern if it follows without space."""
    if scan.text[scan.at : scan.at + 1].isspace():
        return ""
    taken = scan.take(pattern)
    return taken[0] if taken else ""
