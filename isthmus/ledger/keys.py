"""The key map: one Isthmus id per thing, and each system's key that points to it.

`translate` sends unique keys in chunks and joins from the array outwards, index by index. Server CPU for 50,000 of
1M things, neighbouring / scattered: 120 / 210 ms; `= any(array)` 160 / 160 ms; what the planner makes of the same
join 380 / 560 ms. With the client's part that is 0.32M and 0.23M keys/s on one busy core.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql
from sqlalchemy import Connection, select

from isthmus.errors import ConfigError
from isthmus.ledger import tables
from isthmus.ledger.database import Database, raw
from isthmus.ledger.identity import birth_ids
from isthmus.ledger.leaves import Leaves, is_empty, is_indexed, leaf, leaf_name, walk_indexes
from isthmus.ledger.pairs import add_pairs
from isthmus.ledger.stretches import Stretches, packed, packed_ids, unpacked, unpacked_ids
from isthmus.ledger.values import Pairs

CHUNK = 50_000

_TRANSLATE = f"SELECT {packed('s.key')}, {packed('t.key')} FROM unnest(%b::text[]) AS k(key) {{source}} {{target}}"
_KNOWN = f"SELECT {packed('s.key')} FROM unnest(%b::text[]) AS k(key) {{source}}"
_FIND = f"SELECT {packed('s.key')}, {packed_ids('s.id')} FROM unnest(%(asked)b::text[]) AS k(key) {{source}}"
_OF_IDS = f"SELECT {packed('s.key')}, {packed_ids('s.id')} FROM unnest(%(asked)b::bytea[]) AS k(id) {{thing}}"
# What each of them joins with: a confirmed key of a system, the other side of it, a thing by its id.
_TIES = {
    "source": "s.key = k.key AND s.state = 'c' AND s.client = coalesce((SELECT client FROM ledger.systems"
    " WHERE system = {system}), '')",
    "target": "t.id = s.id AND t.state = 'c'",
    "thing": "s.id = encode(k.id, 'hex')::uuid AND s.state = 'c'",
}
_PAGE = """
SELECT s.key, t.key FROM {source} s JOIN {target} t ON t.id = s.id AND t.state = 'c'
WHERE s.state = 'c' AND (%(low)s::text IS NULL OR s.key >= %(low)s) AND (%(high)s::text IS NULL OR s.key < %(high)s)
    AND (%(after)s::text IS NULL OR s.key > %(after)s)
GROUP BY 1, 2 ORDER BY 1 LIMIT {rows}
"""


class Keys:
    """Reads and writes the key map; keys are text in the spelling of their system."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._leaves = Leaves(database)
        self._stretches = Stretches()

    def prepare(self, object: str, systems: Sequence[str]) -> None:
        """Make an object's partitions before its initial load, without indexes where they are empty."""
        self._leaves.prepare(object, systems)

    def index(self, object: str) -> None:
        """Build the indexes that an initial load left out; pairs that came twice are dropped.

        Raises ConflictError when one key points to two things.
        """
        self._leaves.index(object)

    def ids(self, object: str, system: str, client: str, keys: pa.Array) -> pa.Array:
        """Return the ids (fixed_size_binary(16)) of things born with these keys; asks nobody."""
        return birth_ids(object, system, client, _whole(keys))

    def translate(self, object: str, source: str, target: str, keys: pa.Array) -> pa.Array:
        """Return the key each thing bears in `target`, null where it is unknown there (text, same length)."""
        coded = _whole(keys).cast(pa.string()).dictionary_encode()
        names = leaf_name(object, source), leaf_name(object, target)
        with self._database.transaction() as connection:
            if not len(coded.dictionary) or not all(self._holds(connection, name) for name in names):
                return pa.nulls(len(keys), pa.string())
            found, wanted, left = self._stretches.translate(connection, coded.dictionary, source, *names)
            if len(left):
                asked = self._ask(connection, _TRANSLATE, left, source, *names)
                found, wanted = (pa.concat_arrays(pair) for pair in zip((found, wanted), asked, strict=True))
        return wanted.take(pc.index_in(coded.dictionary, found)).take(coded.indices)

    def known(self, object: str, system: str, keys: pa.Array) -> pa.BooleanArray:
        """Say for each key whether it points to a thing, confirmed and not retired; null is not known."""
        coded = _whole(keys).cast(pa.string()).dictionary_encode()
        name = leaf_name(object, system)
        with self._database.transaction() as connection:
            if not len(coded.dictionary) or not self._holds(connection, name):
                return pa.repeat(pa.scalar(False), len(keys))
            (found,) = self._ask(connection, _KNOWN, coded.dictionary, system, name)
        return pc.is_in(coded.dictionary, found).take(coded.indices).fill_null(False)

    def find(self, object: str, system: str, keys: pa.Array) -> pa.Array:
        """Return the id (fixed_size_binary(16)) each confirmed key points to, null where it is not known."""
        known, ids = self._match(_FIND, object, system, _whole(keys).cast(pa.string()))
        return ids.take(pc.index_in(_whole(keys).cast(pa.string()), known))

    def of_ids(self, object: str, system: str, ids: pa.Array) -> pa.Array:
        """Return the confirmed key each thing bears in a system (text), null where it bears none."""
        keys, known = self._match(_OF_IDS, object, system, _whole(ids))
        return keys.take(pc.index_in(_whole(ids), known))

    def confirm_pairs(self, pairs: Pairs, run: str, *, pending: bool = False) -> int:
        """Write pairs outside of any package and return how many keys were new; raises ConflictError.

        `pending` marks keys that are promised but not yet seen at their system; a later confirm settles them.
        """
        self.ensure(pairs)
        with self._database.transaction() as connection:
            number = run_number(connection, run)
            return add_pairs(connection, pairs, self.clients(connection), number, "p" if pending else "c")

    def ensure(self, pairs: Pairs) -> None:
        """Make the partitions that pairs need; call it before the transaction that writes them."""
        self._leaves.ensure(pairs.object, list(pairs.systems))

    def clients(self, connection: Connection) -> dict[str, str]:
        """Return the client of every identified system."""
        rows = connection.execute(select(tables.SYSTEMS.c.system, tables.SYSTEMS.c.client))
        return {row.system: row.client for row in rows}

    def retire(self, object: str, system: str, keys: pa.Array) -> int:
        """Mark keys as gone at their system and return how many were not so before; they are never given away."""
        name = leaf_name(object, system)
        with self._database.transaction() as connection:
            if not self._leaves.exists(connection, name):
                return 0
            statement = sql.SQL("UPDATE {} SET state = 'r' WHERE key = ANY(%b::text[]) AND state <> 'r'")
            wanted = pc.unique(_whole(keys).cast(pa.string()).drop_null()).to_pylist()
            return raw(connection).execute(statement.format(leaf(name)), [wanted]).rowcount

    def pairs(
        self, object: str, source: str, target: str, low: str | None = None, high: str | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Yield batches (source text, target text) of things known on both sides, source key in [low, high), sorted."""
        names = leaf_name(object, source), leaf_name(object, target)
        with self._database.transaction() as connection:
            if not all(self._holds(connection, name) for name in names):
                return
        statement = sql.SQL(_PAGE).format(source=leaf(names[0]), target=leaf(names[1]), rows=sql.Literal(CHUNK))
        after: str | None = None
        while True:
            with self._database.transaction() as connection:
                rows = raw(connection).execute(statement, {"low": low, "high": high, "after": after}).fetchall()
            if not rows:
                return
            left, right = zip(*rows, strict=True)
            yield pa.record_batch([pa.array(left, pa.string()), pa.array(right, pa.string())], ["source", "target"])
            after = left[-1]

    def count(self, object: str, system: str, upto: int | None = None) -> int:
        """Count the things of an object that bear a confirmed key in a system; with `upto` at most so many."""
        name = leaf_name(object, system)
        with self._database.transaction() as connection:
            if not self._leaves.exists(connection, name):
                return 0
            what = "count(*)" if is_indexed(connection, name) else "count(DISTINCT (client, key))"
            rows = sql.SQL("SELECT client, key FROM {} WHERE state = 'c' LIMIT {}").format(
                leaf(name), sql.Literal(upto)
            )
            statement = sql.SQL(f"SELECT {what} FROM ({{}}) k").format(rows)
            row = raw(connection).execute(statement).fetchone()
        return int(row[0]) if row else 0

    def estimate(self) -> list[tuple[str, str, int]]:
        """Return object, system and about how many keys, for every partition; counts only where never analyzed."""
        statement = (
            "SELECT substr(relname, 6), reltuples::bigint FROM pg_class WHERE relkind = 'r'"
            " AND relnamespace = to_regnamespace('ledger') AND starts_with(relname, 'keys_') ORDER BY 1"
        )
        with self._database.transaction() as connection:
            found = [(*name.split("__", 1), int(rows)) for name, rows in raw(connection).execute(statement)]
        return [(object, system, self.count(object, system) if rows < 0 else rows) for object, system, rows in found]

    def of(self, object: str, keys: Sequence[str]) -> list[dict[str, Any]]:
        """Return every side of the things that bear one of these keys anywhere: system, client, key, id, state."""
        statement = (
            "SELECT a.id, a.system, a.client, a.key, a.state, r.id AS run FROM ledger.keys a"
            " LEFT JOIN ledger.runs r ON r.number = a.run WHERE a.object = %(object)s AND a.id IN"
            " (SELECT id FROM ledger.keys WHERE object = %(object)s AND key = ANY(%(keys)s)) ORDER BY a.id, a.system"
        )
        with self._database.transaction() as connection:
            rows = raw(connection).execute(statement, {"object": object, "keys": list(keys)})
            names = [column.name for column in rows.description or ()]
            return [dict(zip(names, row, strict=True)) for row in rows]

    def _match(self, statement: str, object: str, system: str, asked: pa.Array) -> tuple[pa.Array, pa.Array]:
        """Return the keys and ids of one side that match what is asked, null left out; a key in several is once."""
        name = leaf_name(object, system)
        wanted = pc.unique(asked.drop_null())
        wanted = wanted.take(pc.sort_indices(wanted))
        keys, ids = [pa.array([], pa.string())], [pa.array([], pa.binary(16))]
        with self._database.transaction() as connection:
            if not len(wanted) or not self._holds(connection, name):
                return keys[0], ids[0]
            composed = _composed(connection, statement, system, {"source": name, "thing": name})
            for start in range(0, len(wanted), CHUNK):
                part = {"asked": wanted.slice(start, CHUNK).to_pylist()}
                texts, lengths, things = raw(connection).execute(composed, part, binary=True).fetchone() or (None,) * 3
                keys.append(unpacked(texts, lengths))
                ids.append(unpacked_ids(things))
        return pa.concat_arrays(keys), pa.concat_arrays(ids)

    def _holds(self, connection: Connection, name: str) -> bool:
        return self._leaves.exists(connection, name) and not is_empty(connection, name)

    def _ask(self, connection: Connection, statement: str, keys: pa.Array, source: str, *leaves: str) -> list[pa.Array]:
        """Run a statement over chunks of sorted keys; neighbours in the map are then read together."""
        composed = _composed(connection, statement, source, {"source": leaves[0], "target": leaves[-1]})
        ordered = keys.take(pc.sort_indices(keys))
        answers = []
        for start in range(0, len(ordered), CHUNK):
            wanted = ordered.slice(start, CHUNK).to_pylist()
            answers.append(raw(connection).execute(composed, [wanted], binary=True).fetchone() or ())
        columns = list(zip(*answers, strict=True))
        pairs = zip(columns[::2], columns[1::2], strict=True)
        return [pa.concat_arrays([unpacked(*part) for part in zip(*pair, strict=True)]) for pair in pairs]


def _composed(connection: Connection, statement: str, system: str, names: Mapping[str, str]) -> sql.Composed:
    """Write the joins of a statement; by index each key looks itself up, whatever is known of the partition's size.

    Without statistics the planner would take a partition for one row, and read all of it for every key.
    """
    indexed = all(is_indexed(connection, name) for name in names.values())
    if indexed:
        walk_indexes(connection)
    alone = (
        indexed and "target" not in names
    )  # measured: both sides of 100,000 keys one by one took thirty times as long
    joins = {}
    for what, name in names.items():
        alias = sql.SQL(_TIES[what][0])
        tie = sql.SQL(_TIES[what]).format(system=sql.Literal(system))
        form = "JOIN LATERAL (SELECT * FROM {0} {1} WHERE {2} OFFSET 0) {1} ON true" if alone else "JOIN {0} {1} ON {2}"
        joins[what] = sql.SQL(form).format(leaf(name), alias, tie)
    return sql.SQL(statement).format(**joins)


def run_number(connection: Connection, run: str) -> int:
    """Return the short number of a run; raises ConfigError when the ledger does not know it."""
    number: int | None = connection.scalar(select(tables.RUNS.c.number).where(tables.RUNS.c.id == run))
    if number is None:
        raise ConfigError(f"run {run!r} is not in the ledger; start it with runs.start before working for it")
    return number


def _whole(keys: pa.Array | pa.ChunkedArray) -> pa.Array:
    return keys.combine_chunks() if isinstance(keys, pa.ChunkedArray) else keys
