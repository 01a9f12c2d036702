"""Drill-through: from a cell of a cube to the images that made it, what arrived, and the source documents."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

import psycopg

from isthmus.errors import ConfigError, did_you_mean
from isthmus.mapping.spec import Catalogue
from warehouse.expression import condition_sql, dimension_sql, literal, otherwise, quoted
from warehouse.posting import amount_sql, source_sql
from warehouse.spec import Cube, CubeDimension, Posting, Store, Warehouse
from warehouse.statement import Connection, execute
from warehouse.tables import NOTHING, changes, inbound, sql_type

LIMIT = 200


@dataclass(frozen=True, slots=True)
class Traced:
    """One image of a record in a cell: what it posted, when it came, and which document of which system it is.

    `package` and `record` say where it lies in the inbound table; 0 for what a full load found to be gone.
    """

    store: str
    source: str
    key: Mapping[str, Any]
    image: str
    figures: Mapping[str, Decimal | int]
    request: int
    mode: str
    at: datetime
    package: int
    record: int
    document: str


def drill(
    connection: Connection,
    warehouse: Warehouse,
    catalogue: Catalogue,
    cube: Cube,
    cell: Mapping[str, str],
    speaks: Mapping[str, str],
    limit: int = LIMIT,
) -> list[Traced]:
    """Return what makes up a cell (dimensions as text; those left out may be anything), the newest first.

    Images that took a former value away have figures of the opposite sign, so the sum of all figures is the cell as
    `analysis.<cube>` shows it, once everything is published.  Raises ConfigError for what is no dimension, and for a
    value that does not fit.
    """
    for name in cell:
        known = [item.name for item in cube.dimensions]
        if name not in known:
            hint = did_you_mean(name, known) or f" It has {', '.join(known)}."
            raise ConfigError(f'The cube {cube.name} has no dimension "{name}".{hint}')
    found = [
        traced
        for posting in cube.postings
        for traced in _images(connection, warehouse.stores[posting.store], cube, posting, cell, limit)
    ]
    found = sorted(found, key=lambda item: (item.at, item.request), reverse=True)[:limit]
    return [_documented(item, warehouse.stores[item.store], catalogue, speaks) for item in found]


def _images(
    connection: Connection, store: Store, cube: Cube, posting: Posting, cell: Mapping[str, str], limit: int
) -> Iterator[Traced]:
    try:
        rows = execute(connection, statement(store, cube, posting, cell, limit)).fetchall()
    except psycopg.DataError as wrong:
        said = ", ".join(f"{name}={value}" for name, value in cell.items())
        raise ConfigError(f"{cube.name}: {wrong.diag.message_primary} ({said}). Write days as 2025-12-31.") from wrong
    keys, figures = len(store.key), len(cube.figures)
    for row in rows:
        request, mode, at, package, record, image, source, *rest = row
        posted = dict(zip((item.name for item in cube.figures), rest[keys : keys + figures], strict=True))
        key = dict(zip(store.key, rest[:keys], strict=True))
        told = {name: value for name, value in posted.items() if value}
        yield Traced(store.name, source, key, image, told, request, mode, at, package, record, "")


def statement(store: Store, cube: Cube, posting: Posting, cell: Mapping[str, str], limit: int) -> str:
    """Return the SELECT of the images of one posting in a cell, the newest first."""
    known = {item.name: item for item in cube.dimensions}
    where = ["r.sign <> 0", *(_equals(posting, known[name], store, value) for name, value in cell.items())]
    if posting.when:
        where.append(condition_sql(posting.when, store))
    amounts = [f"r.sign * ({amount_sql(posting, figure, store)})" for figure in cube.figures]
    if posting.spread:  # the months of a record that are in the cell are told together
        amounts = [f"sum({amount})" for amount in amounts]
    told = 7 + len(store.key)
    together = f"GROUP BY {', '.join(map(str, range(1, told + 1)))}, r.record_no" if posting.spread else ""
    columns = [*(f"r.{quoted(name)}" for name in store.key), *amounts]
    same = " AND ".join(f"i.{quoted(name)} = r.{quoted(name)}" for name in ("source", *store.key))
    return f"""
SELECT r.request_id, q.mode, q.created_at, coalesce(i.package_no, 0), coalesce(i.record_no, 0), r.image, r.source,
    {", ".join(columns)}
FROM {source_sql(posting, store, changes(store))}
JOIN warehouse.requests AS q ON q.request_id = r.request_id
LEFT JOIN LATERAL (
    SELECT package_no, record_no FROM {inbound(store)} AS i
    WHERE i.request_id = r.request_id AND {same}
    ORDER BY sequence DESC NULLS LAST, package_no DESC, record_no DESC LIMIT 1
) AS i ON true
{f"WHERE {' AND '.join(where)}" if where else ""}
{together}
ORDER BY r.request_id DESC, r.record_no DESC LIMIT {int(limit)}"""


def _equals(posting: Posting, dimension: CubeDimension, store: Store, value: str) -> str:
    said = dimension_sql(posting.dimensions.get(dimension.name), dimension.type, store)
    if value in ("", NOTHING):
        return f"{said} = {otherwise(dimension.type)}"
    if dimension.type.kind == "date" and len(value) == len("2025-12"):
        value = f"{value}-01"
    return f"{said} = {literal(value)}::{sql_type(dimension.type)}"


def _documented(item: Traced, store: Store, catalogue: Catalogue, speaks: Mapping[str, str]) -> Traced:
    """Name the source document: the table of the system that the object's mapping begins with, and the key."""
    specs = catalogue.mappings.get((speaks.get(item.source, item.source), store.object), ())
    table = specs[0].tables[0].table if specs else store.name
    key = " ".join(f"{name}={value}" for name, value in item.key.items())
    said = f"{item.source} {table} {key}" if specs else f"made of other stores: {key}"
    return replace(item, document=said)
