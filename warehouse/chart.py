"""Draw an answer: a Vega-Lite chart, rendered to SVG or PNG without a browser and without a network."""

from __future__ import annotations

from typing import Any, cast

import pyarrow as pa
import pyarrow.compute as pc

from isthmus.errors import ConfigError, DataError
from warehouse.query import Answer

MOST_COLORS = 12
INK, FAINT, GRID = "#1d2733", "#55606c", "#e6e8e4"
# Told apart also by those who see few colours (after Okabe and Ito).
COLORS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8c7a3d", "#6f6f6f", "#332288", "#88ccee")
MARKS: dict[str, dict[str, Any]] = {
    "line": {"type": "line", "strokeWidth": 2.2, "point": {"size": 22}},
    "area": {"type": "area", "opacity": 0.85},
    "bar": {"type": "bar"},
    "stack": {"type": "bar"},
    "heat": {"type": "rect"},
}
CONFIG = {
    "background": "white",
    "font": "DejaVu Sans, system-ui, sans-serif",
    "axis": {"labelColor": FAINT, "titleColor": FAINT, "gridColor": GRID, "domainColor": "#b9beb8", "tickColor": GRID},
    "axisX": {"grid": False},
    "legend": {"labelColor": INK, "titleColor": FAINT, "orient": "top", "title": None},
    "view": {"stroke": None},
    "range": {"category": list(COLORS), "heatmap": {"scheme": "blues"}},
    "mark": {"color": COLORS[0]},
}


def svg(answer: Answer, width: int = 820, height: int = 280) -> str:
    """Return the picture of an answer as SVG; raises ConfigError when it cannot be drawn."""
    return str(_converter().vegalite_to_svg(specification(answer, width, height)))


def png(answer: Answer, width: int = 820, height: int = 280, scale: float = 2.0) -> bytes:
    """Return the picture of an answer as PNG; raises ConfigError when it cannot be drawn."""
    return bytes(_converter().vegalite_to_png(specification(answer, width, height), scale=scale))


def _converter() -> Any:
    try:
        import vl_convert
    except ImportError as missing:
        raise ConfigError('Charts need the extra "charts": pip install "isthmus[charts]".') from missing
    return vl_convert


def specification(answer: Answer, width: int = 820, height: int = 280) -> dict[str, Any]:
    """Return the Vega-Lite specification of an answer.

    Raises ConfigError when its query says no chart that fits, DataError when there is nothing to draw.
    """
    query, chart = answer.query, answer.query.chart
    if chart is None:
        raise ConfigError(f'{query.name} says no chart. Add "-- chart: line x=… y=…" to its header.')
    if not len(answer.rows):
        raise DataError(f"{query.name} has no rows, so there is nothing to draw. Ask without --chart to see its stand.")
    channels = dict(chart.channels)
    if chart.mark == "heat":  # what is measured is its colour
        measured = "color"
    else:
        measured = "y" if pa.types.is_string(_type(answer, channels.get("x", ""))) else _measured(answer, channels)
    drawn = {channel: _channel(answer, channel, column, channel == measured) for channel, column in channels.items()}
    if chart.mark in ("area", "stack"):  # rows of finer grain than the picture are added up, not drawn as slivers
        drawn.get("y", {}).setdefault("aggregate", "sum")
    if chart.mark in ("line", "area", "stack"):
        drawn.get("y", {}).setdefault("stack", None if chart.mark == "line" else "zero")
    if chart.mark == "bar" and measured == "x" and "y" in drawn:
        drawn["y"]["sort"] = "-x"
        height = max(120, 22 * min(len(answer.rows), 40))
    if chart.mark == "bar" and "color" in channels:
        drawn["xOffset" if measured == "y" else "yOffset"] = {"field": channels["color"], "type": "nominal"}
    if "facet" in drawn:
        drawn["facet"] |= {"columns": 2, "header": {"labelColor": FAINT}}
        width, height = width // 2 - 60, height // 2
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "width": width,
        "height": height,
        "config": CONFIG,
        "data": {"values": _values(answer.rows)},
        "mark": MARKS[chart.mark],
        "encoding": drawn,
    }


def _measured(answer: Answer, channels: dict[str, str]) -> str:
    numeric = pa.types.is_decimal, pa.types.is_integer, pa.types.is_floating
    upright = _type(answer, channels.get("y", ""))
    return "y" if any(is_number(upright) for is_number in numeric) else "x"


def _type(answer: Answer, column: str) -> pa.DataType:
    names = answer.rows.column_names
    if column not in names:
        raise ConfigError(
            f'the chart of {answer.query.name} names column "{column}", its answer has {", ".join(names)}.'
        )
    return answer.rows.schema.field(column).type


def _channel(answer: Answer, channel: str, column: str, measured: bool) -> dict[str, Any]:
    type_ = _type(answer, column)
    if measured:
        share = answer.query.units.get(column, "").startswith("share")
        sign: dict[str, Any] = {"format": ".0%" if share else "~s"}
        where = {"legend": {"title": titled(answer, column), **sign}} if channel == "color" else {"axis": sign}
        return {"field": column, "type": "quantitative", "title": titled(answer, column), **where}
    if pa.types.is_temporal(type_):
        months = _all_first_days(answer.rows[column])  # a bar is then as wide as its month
        return {"field": column, "type": "temporal", "title": None, **({"timeUnit": "yearmonth"} if months else {})}
    many = len(pc.unique(answer.rows[column])) > MOST_COLORS
    return {"field": column, "type": "nominal", "title": None, **({"axis": {"labelOverlap": True}} if many else {})}


def _all_first_days(days: pa.ChunkedArray) -> bool:
    known = pc.drop_null(days)
    return len(known) > 0 and bool(pc.all(pc.equal(pc.day(known), 1)).as_py())


def titled(answer: Answer, column: str) -> str:
    """Return a column's name with its unit; `in currency` names the one currency that the answer has, if it has one."""
    unit = answer.query.units.get(column, "")
    said = unit.removeprefix("in ")
    if unit.startswith("in ") and said.split()[0] in answer.rows.column_names:
        known = pc.unique(pc.drop_null(answer.rows[said.split()[0]]))
        if len(known) == 1:
            unit = said.replace(said.split()[0], str(known[0]), 1)
    elif unit.startswith("share"):
        unit = ""
    name = column.replace("_", " ")
    return f"{name} ({unit})" if unit and unit != name else name


def _values(rows: pa.Table) -> list[dict[str, Any]]:
    """Return the rows as JSON takes them: a picture needs no more digits than a float has."""
    columns = []
    for name in rows.column_names:
        column = rows[name]
        if pa.types.is_decimal(column.type):
            column = pc.cast(column, pa.float64())
        elif pa.types.is_temporal(column.type):
            column = pc.strftime(pc.cast(column, pa.timestamp("s")), "%Y-%m-%dT%H:%M:%S")
        columns.append(column)
    return cast("list[dict[str, Any]]", pa.Table.from_arrays(columns, names=rows.column_names).to_pylist())
