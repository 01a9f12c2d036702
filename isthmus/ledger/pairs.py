"""Bring pairs of id and key into the key map: unique per side, harmless when they come again."""

from __future__ import annotations

from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc
from psycopg import errors, sql
from sqlalchemy import Connection

from isthmus.errors import ConflictError
from isthmus.ledger.database import copy_in, raw
from isthmus.ledger.leaves import is_indexed, leaf, leaf_name, walk_indexes
from isthmus.ledger.values import Pairs

State = Literal["p", "c"]

_NEW = """
INSERT INTO {leaf} (client, key, id, state, run)
SELECT DISTINCT ON (key) client, key, id, state, run FROM pg_temp.{stage} ORDER BY key ON CONFLICT DO NOTHING
"""
_JUDGE = """
SELECT (array_agg(s.key) FILTER (WHERE l.id IS DISTINCT FROM s.id))[1:3],
    count(*) FILTER (WHERE l.id = s.id AND l.state <> s.state AND s.state = 'c')
FROM pg_temp.{stage} s LEFT JOIN {leaf} l ON l.key = s.key AND l.client = s.client
"""
_AGAIN = """
UPDATE {leaf} l SET state = 'c', run = s.run FROM pg_temp.{stage} s
WHERE l.key = s.key AND l.client = s.client AND l.id = s.id AND l.state <> 'c'
"""


def add_pairs(connection: Connection, pairs: Pairs, clients: dict[str, str], run: int, state: State = "c") -> int:
    """Write pairs into their partitions and return how many keys were new.

    The partitions must exist; all pairs of one package go in one transaction with its state. Raises ConflictError
    when a key points to another thing, or a thing bears another key on that side.
    """
    added = 0
    for system in sorted(pairs.systems):
        name = leaf_name(pairs.object, system)
        rows = _rows(pairs, system, clients.get(system, ""), run, state)
        if not rows.num_rows:
            continue
        raw(connection).execute(sql.SQL("LOCK TABLE {} IN ROW EXCLUSIVE MODE").format(leaf(name)))
        if is_indexed(connection, name):
            added += _merge(connection, name, rows, pairs.object, system)
        else:
            copy_in(connection, leaf(name), rows)
            added += rows.num_rows
    return added


def _rows(pairs: Pairs, system: str, client: str, run: int, state: State) -> pa.RecordBatch:
    keys = pairs.systems[system]
    keys = keys.combine_chunks() if isinstance(keys, pa.ChunkedArray) else keys
    ids = pairs.ids.combine_chunks() if isinstance(pairs.ids, pa.ChunkedArray) else pairs.ids
    table = pa.record_batch([keys.cast(pa.string()), ids], ["key", "id"])
    wanted = pc.and_(keys.is_valid(), ids.is_valid())
    if not pc.all(wanted).as_py():
        table = table.filter(wanted)
    size = table.num_rows
    return pa.record_batch(
        [
            pa.repeat(pa.scalar(client), size),
            table.column(0),
            table.column(1),
            pa.repeat(pa.scalar(state), size),
            pa.repeat(pa.scalar(run, pa.int32()), size),
        ],
        ["client", "key", "id", "state", "run"],
    )


def _merge(connection: Connection, name: str, rows: pa.RecordBatch, object: str, system: str) -> int:
    stage = f"stage_{name}"
    names = {"leaf": leaf(name), "stage": sql.Identifier(stage)}
    driver = raw(connection)
    columns = 'client text, key text COLLATE "C", id uuid, state "char", run integer'
    driver.execute(sql.SQL(f"CREATE TEMP TABLE {{stage}} ({columns}) ON COMMIT DROP").format(**names))
    copy_in(connection, sql.Identifier("pg_temp", stage), rows)
    walk_indexes(connection)
    added = driver.execute(sql.SQL(_NEW).format(**names)).rowcount
    if added < rows.num_rows:
        _settle(connection, names, object, system)
    driver.execute(sql.SQL("DROP TABLE pg_temp.{stage}").format(**names))
    return added


def _settle(connection: Connection, names: dict[str, sql.Identifier], object: str, system: str) -> None:
    """Look at the pairs that were there already: refuse those that do not agree, confirm the rest."""
    driver = raw(connection)
    wrong, unconfirmed = driver.execute(sql.SQL(_JUDGE).format(**names)).fetchone() or (None, 0)
    if wrong:
        raise ConflictError(
            f"key map of {object} in {system}: key {', '.join(wrong)} points to another thing, or its thing bears "
            "another key there; expected one key per thing and side; nothing of this package was confirmed. "
            f"Look with `isthmus trace {object} {wrong[0]}`"
        )
    if not unconfirmed:
        return
    try:
        driver.execute(sql.SQL(_AGAIN).format(**names))
    except errors.UniqueViolation as error:
        raise ConflictError(
            f"key map of {object} in {system}: a retired key came back, but its thing bears another key there by now; "
            "nothing of this package was confirmed, decide which of the two keys is right"
        ) from error
