"""Reckoning with dates: how long between two, and what date is so long before or after one."""

from __future__ import annotations

import re
import unicodedata
from calendar import monthrange
from dataclasses import dataclass
from datetime import date, timedelta

__all__ = ["reckon"]

_DATE = re.compile(
    r"(?P<before>公元前|前|BCE?\s*)?\s*(?P<year>\d{1,4})"
    r"(?:\s*(?:年|[-/.](?=\s*\d{1,2}(?!\d)))\s*(?:(?P<month>\d{1,2})(?!\d)\s*(?:月|[-/.](?=\s*\d))?\s*"
    r"(?:(?P<day>\d{1,2})(?!\d)\s*日?)?)?)?"
    r"\s*(?P<after>BCE?|B\.C\.)?",
    re.I,
)
_STEP = re.compile(
    r"(?P<sign>[+-])\s*(?P<count>\d{1,6})\s*(?P<unit>days?|weeks?|months?|years?|天|日|周|星期|个月|年)\s*\Z", re.I
)
_UNITS = {"天": "day", "日": "day", "周": "week", "星期": "week", "个月": "month", "年": "year"}
_BETWEEN = re.compile(r"\s*(?:-{1,2}|–|—|~|to|until|till|and|minus|,|到|至|和|与|减)\s*", re.I)
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@dataclass(frozen=True, slots=True)
class _Date:
    """A date of which month and day may be unknown; the year 0 is 1 BC."""

    year: int
    month: int | None = None
    day: int | None = None

    @property
    def exact(self) -> date | None:
        """As a date of the Gregorian calendar, if it is one since the year 1."""
        if self.month is None or self.day is None or self.year < 1:
            return None
        return date(self.year, self.month, self.day)

    def __str__(self) -> str:
        year = f"{self.year}" if self.year > 0 else f"{1 - self.year} BC"
        parts = [f"{part:02d}" for part in (self.month, self.day) if part is not None]
        return "-".join([year, *parts])


def reckon(text: str) -> str:
    """What a text such as "1865-04-14 to 1912-04-15", "1912年4月15日 + 30 days" or "221 BC to 1912" comes to.

    Of two dates the days between them and the whole years; of two years the years (there is no year 0); of a date with
    a time to add or to take away that date. A single date's weekday. All by the Gregorian calendar.
    """
    plain = unicodedata.normalize("NFKC", text).strip().rstrip("?=").strip()
    try:
        step = _STEP.search(plain)
        if step is not None:
            start = _read(plain[: step.start()])
            return _moved(start, int(step["sign"] + step["count"]), step["unit"])
        first = _DATE.match(plain)
        if first is None:
            raise ValueError
        if first.end() == len(plain):
            return _about(_read(plain))
        between = _BETWEEN.match(plain, first.end())
        if between is None:
            raise ValueError
        return _difference(_read(first[0]), _read(plain[between.end() :]))
    except (ValueError, OverflowError):
        return (
            'error: write two dates, like "1865-04-14 to 1912-04-15", or a date and a time, like "1912-04-15 + 30 days"'
        )


def _read(text: str) -> _Date:
    match = _DATE.fullmatch(text.strip())
    if match is None:
        raise ValueError
    year = int(match["year"])
    month, day = (None if match[name] is None else int(match[name]) for name in ("month", "day"))
    before = bool(match["before"] or match["after"])
    if not year or (month is not None and not 1 <= month <= 12):
        raise ValueError
    if day is not None and month is not None and not 1 <= day <= monthrange(2000 if before else year, month)[1]:
        raise ValueError
    return _Date(1 - year if before else year, month, day)


def _about(one: _Date) -> str:
    exact = one.exact
    return str(one) if exact is None else f"{one} is a {_WEEKDAYS[exact.weekday()]}"


def _difference(one: _Date, other: _Date) -> str:
    first, last = sorted((one, other), key=lambda d: (d.year, d.month or 1, d.day or 1))
    if first.exact is not None and last.exact is not None:
        earlier = (last.exact.month, last.exact.day) < (first.exact.month, first.exact.day)
        years = last.year - first.year - earlier
        return f"{(last.exact - first.exact).days} days, {years} whole years"
    if first.month is not None and last.month is not None:
        months = (last.year - first.year) * 12 + last.month - first.month
        return f"{months} months, {months // 12} whole years"
    return f"{last.year - first.year} years"


def _moved(start: _Date, count: int, unit: str) -> str:
    unit = _UNITS.get(unit, unit.lower().rstrip("s"))
    if unit in ("day", "week"):
        if start.exact is None:
            raise ValueError
        end = start.exact + timedelta(days=count * (7 if unit == "week" else 1))
        return _about(_Date(end.year, end.month, end.day))
    if unit == "month":
        if start.month is None:
            raise ValueError
        month = start.month - 1 + count
        year = start.year + month // 12
        return _about(_clipped(_Date(year, month % 12 + 1, start.day)))
    return _about(_clipped(_Date(start.year + count, start.month, start.day)))


def _clipped(one: _Date) -> _Date:
    """The last day of the month instead of one that it does not have."""
    if one.month is None or one.day is None:
        return one
    last = monthrange(one.year if one.year > 0 else 2000, one.month)[1]
    return _Date(one.year, one.month, min(one.day, last))
