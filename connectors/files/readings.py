"""The dataset `readings`: one row per interval value or accumulated reading, made from days when it is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from isthmus.connector import Column, Table

if TYPE_CHECKING:
    import duckdb

READINGS = "readings"
KEY = "READING_ID"
_LABELS = {
    KEY: "NMI/serial/suffix/start, the same however often the reading is delivered",
    "KIND": "interval or accumulated",
    "NMI": "National Metering Identifier",
    "SERIAL": "Meter serial number",
    "REGISTER_ID": "Register, as the meter names it",
    "SUFFIX": "NMI suffix: the stream of the point, e.g. E1",
    "STREAM": "Market data stream, e.g. N1",
    "UNIT": "Unit of measure as in the file",
    "START": "Start, yyyymmddHHMMSS, market time",
    "END": "End (exclusive), yyyymmddHHMMSS",
    "VALUE": "Quantity as in the file; missing where the quality is N and none was given",
    "QUALITY": "A actual, E estimated, F final substitute, N no data, S substitute",
    "METHOD": "Two digits: how it was estimated or substituted",
    "REASON": "Reason code",
    "REASON_TEXT": "Reason as written",
    "UPDATED_AT": "When the value was last changed by the meter data provider",
    "LOADED_AT": "When the market system loaded it",
    "FILE": "File, with the archive member after it",
    "LINE": "Line of the record in the file",
    "DIRECTION": "E export or I import (accumulated)",
    "PREVIOUS_READ": "Register reading at the start (accumulated)",
    "PREVIOUS_QUALITY": "Quality and method of the reading at the start (accumulated)",
    "CURRENT_READ": "Register reading at the end (accumulated)",
}
TABLE = Table(
    READINGS,
    tuple(Column(name, pa.string(), name not in (KEY, "KIND", "NMI", "START", "END"), label=text)
          for name, text in _LABELS.items()),
    (KEY,),
)  # fmt: skip
_COMMON = (
    "NMI, SERIAL, REGISTER_ID, SUFFIX, STREAM, UNIT, QUALITY, METHOD, REASON, REASON_TEXT, "
    'UPDATED_AT, LOADED_AT, "FILE", "LINE"::VARCHAR AS "LINE"'
)


def _clock(minute: str) -> str:
    return f"(lpad(({minute} // 60)::VARCHAR, 2, '0') || lpad(({minute} % 60)::VARCHAR, 2, '0') || '00')"


def source(runs: str, accumulated: str, days: str = "") -> str:
    """Return the readings as a relation; `days` narrows the days by a condition on `day_id`."""
    where = f"WHERE {days}" if days else ""
    opened = f"""SELECT * EXCLUDE ("values"), unnest("values") AS "VALUE",
        (first + unnest(range(len("values"))))::INTEGER * minutes AS starts FROM {runs} {where}"""
    return f"""(
    SELECT day_id || {_clock("starts")} AS {KEY}, 'interval' AS KIND, {_COMMON},
        day || {_clock("starts")} AS "START",
        CASE WHEN starts + minutes = 1440 THEN next_day || '000000' ELSE day || {_clock("(starts + minutes)")} END
            AS "END",
        "VALUE", NULL::VARCHAR AS DIRECTION, NULL::VARCHAR AS PREVIOUS_READ, NULL::VARCHAR AS PREVIOUS_QUALITY,
        NULL::VARCHAR AS CURRENT_READ
    FROM ({opened})
    UNION ALL
    SELECT day_id, 'accumulated', {_COMMON}, "START", "END", "VALUE", DIRECTION, PREVIOUS_READ,
        PREVIOUS_QUALITY, CURRENT_READ
    FROM {accumulated}
    )"""


def weights(runs: str, accumulated: str) -> str:
    """Return for every day (and accumulated reading) its first key and how many readings it holds."""
    return f"""(SELECT day_id || '000000' AS k0, sum(len("values"))::BIGINT AS weight FROM {runs} GROUP BY day_id
    UNION ALL SELECT day_id, 1 FROM {accumulated})"""


def keep_newest(session: duckdb.DuckDBPyConnection, runs: str, accumulated: str) -> int:
    """Keep one delivery of each day and reading, and return how many readings gave way.

    The record with the highest update time wins, then the last file by name, then the last line.  A day is
    replaced whole: a meter whose interval length changed must not leave values of both lengths behind.
    """
    gone = 0
    stamp = """ROW(rpad(UPDATED_AT, 14, '0'), "FILE", "LINE")"""
    for name, weight in ((runs, 'sum(len("values"))'), (accumulated, "count(*)")):
        newest = f"(SELECT day_id AS id, max({stamp}) AS newest FROM {name} GROUP BY day_id) AS kept"
        older = f"WHERE day_id = id AND {stamp} <> newest"
        gone += int(session.execute(f"SELECT coalesce({weight}, 0) FROM {name}, {newest} {older}").fetchall()[0][0])
        session.execute(f"DELETE FROM {name} USING {newest} {older}")
    return gone
