"""The interaction center: its teams and agents, the queues of its telephones, and when people call."""

from __future__ import annotations

import numpy as np

from landscape.columns import Days

TEAMS = ("IC01", "IC02", "IC03", "IC04")
AGENTS_OF_A_TEAM = 7
AGENTS = tuple(f"{team}{number:02d}" for team in TEAMS for number in range(1, AGENTS_OF_A_TEAM + 1))
"""User names, the same in CRM and in the telephone system; those of a team stand together."""
SELLERS = tuple(f"SALES{number:02d}" for number in range(1, 13))
QUEUES = ("billing", "moving", "sales", "outage")
"""Each team takes the calls of the queue at its position."""
OPENS, CLOSES = 14, 38
"""The first half hour of a day with calls, and the one after the last: 07:00 to 19:00 UTC."""
CURVE = np.array([4, 9, 15, 20, 24, 26, 25, 23, 20, 16, 14, 15, 17, 19, 20, 19, 17, 14, 12, 9, 7, 5, 4, 3])
"""How many calls come in each half hour from OPENS on, beside the others."""
WEEK = np.array([140, 110, 100, 95, 90, 30, 0])
"""How busy the days are in percent, Monday first; on Sundays nobody answers."""
YEAR = np.array([128, 122, 110, 100, 94, 90, 86, 88, 96, 102, 104, 98])
"""How busy the months are in percent: many bills are sent in winter."""


def weekday(days: Days) -> Days:
    """Return the day of the week of days counted from 1970-01-01, which was a Thursday; 0 is Monday."""
    return np.asarray((days + 3) % 7)


def workday(days: Days) -> Days:
    """Return days as they are, or the Friday before them for those of a weekend."""
    return np.asarray(days - np.maximum(weekday(days) - 4, 0))
