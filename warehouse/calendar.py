"""The days analysts count in: the zone that moments are seen in, and a table of days with their working days."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

# Days, hours and half hours of a moment are those of the business, whatever zone a session runs in.
ZONE = "Europe/Berlin"
FIRST_YEAR, LAST_YEAR = 1990, 2060


def easter(year: int) -> date:
    """Return Easter Sunday (Gregorian, after Gauss and Butcher).

    >>> easter(2024)
    datetime.date(2024, 3, 31)
    """
    century, rest = divmod(year, 100)
    golden = year % 19
    leap_centuries, century_rest = divmod(century, 4)
    shift = (century - (century + 8) // 25 + 1) // 3
    epact = (19 * golden + century - leap_centuries - shift + 15) % 30
    leaps, leap_rest = divmod(rest, 4)
    weekday = (32 + 2 * century_rest + 2 * leaps - epact - leap_rest) % 7
    late = (golden + 11 * epact + 22 * weekday) // 451
    month, day = divmod(epact + weekday - 7 * late + 114, 31)
    return date(year, month, day + 1)


def holidays(year: int) -> dict[date, str]:
    """Return the public holidays that all of Germany keeps; those of single states are working days here."""
    sunday = easter(year)
    return {
        date(year, 1, 1): "New Year",
        sunday - timedelta(days=2): "Good Friday",
        sunday + timedelta(days=1): "Easter Monday",
        date(year, 5, 1): "Labour Day",
        sunday + timedelta(days=39): "Ascension Day",
        sunday + timedelta(days=50): "Whit Monday",
        date(year, 10, 3): "German Unity Day",
        date(year, 12, 25): "Christmas Day",
        date(year, 12, 26): "Boxing Day",
    }


def days(first: int = FIRST_YEAR, last: int = LAST_YEAR) -> Iterator[tuple[date, bool, str]]:
    """Yield every day of the years `first` to `last`: the day, whether it is worked on, the holiday it is or ''."""
    for year in range(first, last + 1):
        named = holidays(year)
        day = date(year, 1, 1)
        while day.year == year:
            yield day, day.weekday() < 5 and day not in named, named.get(day, "")
            day += timedelta(days=1)
