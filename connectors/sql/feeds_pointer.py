"""The feed by change pointers: which rows were touched since a snapshot, led back to the keys of their objects.

Triggers note every touched row with the id of its transaction.  Numbers say nothing about the order of commits, so
the cursor is what was visible when it was taken: every pointer that was not visible then is read, however low its
number.  One transaction reads the pointers, the rows they lead to and the next cursor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from connectors.sql.client import PostgresClient
from connectors.sql.feeds_clock import gathered
from connectors.sql.feeds_cursor import PointerCursor, lost
from connectors.sql.statement import Resolved, client_of
from isthmus.connector import ColumnRef, Polled, Query, Watched
from isthmus.errors import ConfigError

Resolve = Callable[[Query], Resolved]
TRIGGERS = "isthmus_point_"
BLOCK = 20_000  # pointers led back by one statement

INSTALLED = "SELECT to_regclass('isthmus.change_pointer') IS NOT NULL"
STATE = """
SELECT pg_current_snapshot()::text, f.feed || '/' || s.system_identifier || '/' || CASE
        WHEN pg_is_in_recovery() THEN (SELECT timeline_id FROM pg_control_checkpoint())::text
        ELSE ltrim(left(pg_walfile_name(pg_current_wal_lsn()), 8), '0') END,
    f.pruned::text::bigint
FROM isthmus.change_feed f, pg_control_system() s
"""
RECORDED = """
SELECT string_to_array(encode(tgargs, 'escape'), '\\000'), bool_and(tgenabled IN ('A', 'O')), count(*),
    md5(string_agg(t.oid || ':' || t.xmin::text, ',' ORDER BY t.oid))
FROM pg_trigger t WHERE tgrelid = to_regclass(%s) AND starts_with(tgname, 'isthmus_point_') GROUP BY 1
"""
# Pointers that were not visible at the cursor: those of its snapshot's xmin and later are few, an index finds them.
UNSEEN = "tab = %(tab)s AND xid >= %(xmin)s::text::xid8 AND NOT pg_visible_in_snapshot(xid, %(snapshot)s::pg_snapshot)"


@dataclass(frozen=True, slots=True)
class Recorder:
    """What the triggers of one table record, and the mark by which it is known whether they ever paused."""

    columns: tuple[str, ...]
    mark: str


def begin(client: PostgresClient, resolve: Resolve, watched: Sequence[Watched]) -> str:
    """Return the cursor of this moment; raises ConfigError when pointers are not recorded for a table."""
    tables = {full_name(resolve(table.query), table): needed(resolve(table.query), table) for table in watched}
    with one_moment(client) as session:
        snapshot, server, _ = state(session)
        return PointerCursor(
            snapshot, server, {name: recorder.mark for name, recorder in recorders(session, client, tables).items()}
        ).text()


def poll(client: PostgresClient, resolve: Resolve, watched: Sequence[Watched], cursor: str | None) -> Polled:
    """Return the objects that the pointers since the cursor lead to; raises FeedLost, ConfigError."""
    if cursor is None:
        raise lost("it was never begun")
    since = PointerCursor.parse(cursor)
    resolved = [resolve(table.query) for table in watched]
    tables: dict[str, set[str]] = {}
    for table, query in zip(watched, resolved, strict=True):
        tables.setdefault(full_name(query, table), set()).update(needed(query, table))
    with one_moment(client) as session:
        snapshot, server, pruned = state(session)
        found = recorders(session, client, tables)
        now = PointerCursor(snapshot, server, {name: recorder.mark for name, recorder in found.items()})
        refuse_lost(since, now, pruned)
        refuse_truncated(session, since, list(tables))
        return _read(session, list(zip(watched, resolved, strict=True)), since, now)


def _read(
    session: Any, watched: Sequence[tuple[Watched, Resolved]], since: PointerCursor, now: PointerCursor
) -> Polled:
    changed: list[Sequence[pa.Array]] = []
    gone: list[Sequence[pa.Array]] = []
    types: list[pa.DataType] = []
    rows = 0
    for table, query in watched:
        types = types or [query.column(ref).type for ref in table.query.key]
        columns, pointers, touched = unseen(session, table, query, since)
        rows += touched
        for start in range(0, len(pointers[0]), BLOCK):
            block = [values[start : start + BLOCK] for values in pointers]
            there, missing = led_back(session, table, query, columns, block, types)
            changed.append(there)
            gone.append(missing)
    return Polled(gathered(changed, types), now.text(), rows, gathered(gone, types))


@contextmanager
def one_moment(client: PostgresClient) -> Iterator[Any]:
    """Give a session in which everything is read as of one moment; raises ConfigError without pointers."""
    with client.speaking() as session:
        session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        try:
            # The objects of some pointers are found by index; without statistics of them a table seems cheap to scan.
            session.execute("SET LOCAL enable_seqscan = off")
            if not session.execute(INSTALLED).fetchone()[0]:
                raise missing(client)
            yield session
        finally:
            if not session.closed:
                session.execute("ROLLBACK")


def state(session: Any) -> tuple[str, str, int]:
    """Return what is visible now, which history of transactions it belongs to, and how far pointers were pruned."""
    snapshot, server, pruned = session.execute(STATE).fetchone()
    return snapshot, server, pruned


def recorders(session: Any, client: PostgresClient, tables: Mapping[str, set[str]]) -> dict[str, Recorder]:
    """Return what is recorded of each table; raises ConfigError naming every table that is not recorded in full."""
    found, wrong = {}, []
    for name, columns in sorted(tables.items()):
        rows = session.execute(RECORDED, [name]).fetchall()
        arguments, enabled, count, mark = rows[0] if len(rows) == 1 else ([], False, 0, "")
        recorded = tuple(filter(None, arguments))
        if count != 4 or not enabled or not columns <= set(recorded):
            wrong.append(name)
        found[name] = Recorder(recorded, mark)
    if wrong:
        raise ConfigError(
            f"The {client.settings.place} does not record the changes of {', '.join(wrong)} as the mappings need it "
            "(triggers missing, disabled, or without a key column). `isthmus feed install SYSTEM` puts it right."
        )
    return found


def refuse_lost(since: PointerCursor, now: PointerCursor, pruned: int) -> None:
    """Raise FeedLost where pointers between the cursor and now may be missing."""
    if since.server != now.server:
        raise lost("the database was restored, failed over, or its pointers were installed anew")
    if since.xmax > now.xmax:
        raise lost("the database is older than the cursor")
    if since.xmin < pruned:
        raise lost("pointers that it needs were pruned")
    for table, mark in now.triggers.items():
        if since.triggers.get(table) != mark:
            raise lost(f"the changes of {table} were not recorded all the time since")


def refuse_truncated(session: Any, since: PointerCursor, tables: Sequence[str]) -> None:
    """Raise FeedLost where a table was truncated: no pointer says which rows went."""
    for name in tables:
        statement = f"SELECT EXISTS (SELECT FROM isthmus.change_pointer WHERE {UNSEEN} AND op = 'T')"
        if session.execute(statement, _since(name, since)).fetchone()[0]:
            raise lost(f"{name} was truncated")


def unseen(
    session: Any, table: Watched, query: Resolved, since: PointerCursor
) -> tuple[list[str], list[list[str]], int]:
    """Return the recorded columns that lead to the key, their distinct values by column, and how many pointers."""
    shape, alias = query.shapes[alias_of(table)], alias_of(table)
    columns = [query.column(ColumnRef(alias, name)).name for name in leading(table)]
    values = _since(full_name(query, table), since)
    client = ""
    if shape.client is not None:
        client = " AND key ->> %(client_column)s = %(client)s"
        values |= {"client_column": shape.client, "client": client_of(query.settings, shape)}
    names = [f"n{place}" for place in range(len(columns))]
    picked = ", ".join(f"key ->> %({name})s AS {name}" for name in names)
    places = ", ".join(str(place + 1) for place in range(len(names)))
    distinct = (
        f"SELECT {picked}, count(*) AS pointers FROM isthmus.change_pointer WHERE {UNSEEN}{client} GROUP BY {places}"
    )
    gathered_ = ", ".join(f"array_agg({name})" for name in names)
    statement = f"SELECT {gathered_}, sum(pointers) FROM ({distinct}) p"
    *arrays, pointers = session.execute(statement, values | dict(zip(names, columns, strict=True))).fetchone()
    return columns, [array or [] for array in arrays], int(pointers or 0)


def led_back(
    session: Any,
    table: Watched,
    query: Resolved,
    columns: Sequence[str],
    block: Sequence[list[str]],
    types: Sequence[pa.DataType],
) -> tuple[list[pa.Array], list[pa.Array]]:
    """Return the keys of the objects that touched rows belong to, and of those that are not there any more."""
    if table.root:
        return _roots(session, table, query, columns, block, types)
    keys = [query.at(ref) for ref in table.query.key]
    alias, joins, where = alias_of(table), [], []
    for source in query.query.sources:
        if source.alias == alias:
            continue
        joins.append(query.table(source.alias))
        where += query.of_client(source.alias)
    for source in query.query.sources:
        for term in source.on:
            if source.alias == alias and not (isinstance(term.right, ColumnRef) and term.operator == "="):
                continue  # of a touched row only what ties it is recorded; to read a key too many does no harm
            where.append(query.condition(term))
    where += [query.condition(term) for term in query.query.where if term.left.alias != alias]
    statement = f"SELECT DISTINCT {', '.join(keys)} FROM {', '.join([_touched(query, alias, columns), *joins])}"
    statement += f" WHERE {' AND '.join(where)}" if where else ""
    return _columns(session, statement, block, types), [pa.array([], type_) for type_ in types]


def _roots(
    session: Any,
    table: Watched,
    query: Resolved,
    columns: Sequence[str],
    block: Sequence[list[str]],
    types: Sequence[pa.DataType],
) -> tuple[list[pa.Array], list[pa.Array]]:
    alias, name = alias_of(table), query.dialect.name
    keys = [f"touched.{name(column)}" for column in columns]
    same = [f"{query.at(ColumnRef(alias, column))} = touched.{name(column)}" for column in columns]
    same += [
        *query.of_client(alias),
        *(query.condition(term) for term in query.query.where if term.left.alias == alias),
    ]
    there = f"EXISTS (SELECT FROM {query.table(alias)} WHERE {' AND '.join(same)})"
    touched = _touched(query, alias, columns, "touched")
    found = [
        _columns(session, f"SELECT DISTINCT {', '.join(keys)} FROM {touched} WHERE {condition}", block, types)
        for condition in (there, f"NOT {there}")
    ]
    return found[0], found[1]


def _touched(query: Resolved, alias: str, columns: Sequence[str], named: str = "") -> str:
    """Return the touched rows as a table in FROM; their number is known to the planner."""
    texts = ", ".join("%s::text[]" for _ in columns)
    listed = ", ".join(f"p{place}" for place in range(len(columns)))
    typed = []
    for place, column in enumerate(columns):
        described, kind = query.column(ColumnRef(alias, column)), query.shapes[alias].kind(column)
        value = f"decode(p{place}, 'hex')" if pa.types.is_binary(described.type) else f'p{place}::"{kind}"'
        typed.append(f"{value} AS {query.dialect.name(column)}")
    return f"(SELECT {', '.join(typed)} FROM unnest({texts}) AS p ({listed})) AS {query.dialect.name(named or alias)}"


def _columns(session: Any, statement: str, block: Sequence[list[str]], types: Sequence[pa.DataType]) -> list[pa.Array]:
    names = [f"k{place}" for place in range(len(types))]
    gathered_ = ", ".join(f"array_agg({name})" for name in names)
    row = session.execute(
        f"SELECT {gathered_} FROM ({statement}) AS f ({', '.join(names)})", list(block), binary=True
    ).fetchone()
    return [pa.array(values or [], type_) for values, type_ in zip(row, types, strict=True)]


def alias_of(table: Watched) -> str:
    """Return the alias of the watched table in its query."""
    return table.alias or next(s.alias for s in table.query.sources if s.table.casefold() == table.table.casefold())


def leading(table: Watched) -> list[str]:
    """Return the columns of a watched table by which a touched row leads to its object: key and ties."""
    alias = alias_of(table)
    refs = [ref for ref in table.query.key if ref.alias == alias]
    for source in table.query.sources if not table.root else ():
        for term in source.on:
            if isinstance(term.right, ColumnRef) and (term.operator == "=" or source.alias != alias):
                refs += [ref for ref in (term.left, term.right) if ref.alias == alias]
    return list(dict.fromkeys(ref.column for ref in refs))


def needed(query: Resolved, table: Watched) -> set[str]:
    """Return the columns that pointers of a table must hold, as the database spells them, the client among them."""
    alias = alias_of(table)
    shape = query.shapes[alias]
    held = {query.column(ColumnRef(alias, name)).name for name in leading(table)}
    return held | ({shape.client} if shape.client else set())


def full_name(query: Resolved, table: Watched) -> str:
    """Return the watched table's quoted name with its schema: what pointers call it."""
    shape = query.shapes[alias_of(table)]
    return f'"{shape.schema}"."{shape.table.name}"'


def missing(client: PostgresClient) -> ConfigError:
    """Make the error of a database that records no pointers."""
    return ConfigError(
        f"The {client.settings.place} records no change pointers. `isthmus feed install SYSTEM` makes them "
        "(`isthmus feed script SYSTEM` prints what the DBA would run), or set `feed: date`, `timestamp` or `snapshot`."
    )


def _since(name: str, since: PointerCursor) -> dict[str, Any]:
    return {"tab": name, "xmin": str(since.xmin), "snapshot": since.snapshot}
