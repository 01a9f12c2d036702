"""Change pointers: the script that makes them, what is there, and taking them away again.

One statement-level trigger per event notes the touched rows of a statement with one INSERT.  The script changes
nothing that is as it should be; a table whose recorded columns change gets new triggers, which its feeds notice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Literal

from connectors.sql.client import PostgresClient
from connectors.sql.feeds_cursor import PointerCursor
from connectors.sql.feeds_pointer import INSTALLED, RECORDED, alias_of, full_name, leading, missing, needed
from connectors.sql.statement import Resolved, literal
from isthmus.connector import ColumnRef, FeedLost, Recorded, Watched
from isthmus.errors import ConfigError

BASE = """\
-- Change pointers of Isthmus: which rows were touched, by which transaction. Running it again changes nothing.
-- The user Isthmus logs on with needs:
--   GRANT USAGE ON SCHEMA isthmus TO <user>;
--   GRANT SELECT, DELETE ON isthmus.change_pointer TO <user>;
--   GRANT SELECT, UPDATE ON isthmus.change_feed TO <user>;
BEGIN;
SET LOCAL lock_timeout = '10s';  -- a trigger waits for the writers of its table, and makes others wait for it
CREATE SCHEMA IF NOT EXISTS isthmus;
CREATE TABLE IF NOT EXISTS isthmus.change_feed (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    feed uuid NOT NULL DEFAULT gen_random_uuid(),
    pruned xid8 NOT NULL DEFAULT '0',
    installed_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE isthmus.change_feed IS 'The one feed of change pointers of this database.';
COMMENT ON COLUMN isthmus.change_feed.one IS 'Always true: there is one row.';
COMMENT ON COLUMN isthmus.change_feed.feed IS 'Tells this installation from any other.';
COMMENT ON COLUMN isthmus.change_feed.pruned IS 'Pointers of transactions below it were removed.';
COMMENT ON COLUMN isthmus.change_feed.installed_at IS 'Since when changes are recorded.';
INSERT INTO isthmus.change_feed DEFAULT VALUES ON CONFLICT DO NOTHING;
CREATE TABLE IF NOT EXISTS isthmus.change_pointer (
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    tab text NOT NULL,
    op "char" NOT NULL,
    key jsonb NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE isthmus.change_pointer IS 'One row per touched row: its key columns only, never its content.';
COMMENT ON COLUMN isthmus.change_pointer.xid IS 'The transaction; says nothing about the order of commits.';
COMMENT ON COLUMN isthmus.change_pointer.tab IS 'The table, quoted, with its schema.';
COMMENT ON COLUMN isthmus.change_pointer.op IS 'I inserted, U updated, D deleted, T the whole table truncated.';
COMMENT ON COLUMN isthmus.change_pointer.key IS 'Columns that lead to the object; of an update before and after.';
COMMENT ON COLUMN isthmus.change_pointer.at IS 'When the transaction began.';
CREATE INDEX IF NOT EXISTS change_pointer_unseen ON isthmus.change_pointer (tab, xid);
"""
FUNCTION = """
-- {tab}
CREATE OR REPLACE FUNCTION isthmus.{function}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $point$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO isthmus.change_pointer (tab, op, key) SELECT {name}, 'I', {key} FROM touched t;
    ELSIF TG_OP = 'UPDATE' THEN
        INSERT INTO isthmus.change_pointer (tab, op, key)
        SELECT {name}, 'U', k FROM (SELECT {key} FROM touched t UNION SELECT {key} FROM before t) u (k);
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO isthmus.change_pointer (tab, op, key) SELECT {name}, 'D', {key} FROM before t;
    ELSE
        INSERT INTO isthmus.change_pointer (tab, op, key) VALUES ({name}, 'T', '{{}}');
    END IF;
    RETURN NULL;
END $point$;
DO $install$ BEGIN
    IF (SELECT count(*) FROM pg_trigger WHERE tgrelid = {name}::regclass AND starts_with(tgname, 'isthmus_point_')
        AND tgenabled = 'A' AND tgfoid = 'isthmus.{function}'::regproc
        AND string_to_array(encode(tgargs, 'escape'), '\\000') = ARRAY[{listed}, '']) = 4
    THEN
        RETURN;
    END IF;
    DROP TRIGGER IF EXISTS isthmus_point_i ON {tab};
    DROP TRIGGER IF EXISTS isthmus_point_u ON {tab};
    DROP TRIGGER IF EXISTS isthmus_point_d ON {tab};
    DROP TRIGGER IF EXISTS isthmus_point_t ON {tab};
    CREATE TRIGGER isthmus_point_i AFTER INSERT ON {tab} REFERENCING NEW TABLE AS touched
        FOR EACH STATEMENT EXECUTE FUNCTION isthmus.{function}({listed});
    CREATE TRIGGER isthmus_point_u AFTER UPDATE ON {tab} REFERENCING NEW TABLE AS touched OLD TABLE AS before
        FOR EACH STATEMENT EXECUTE FUNCTION isthmus.{function}({listed});
    CREATE TRIGGER isthmus_point_d AFTER DELETE ON {tab} REFERENCING OLD TABLE AS before
        FOR EACH STATEMENT EXECUTE FUNCTION isthmus.{function}({listed});
    CREATE TRIGGER isthmus_point_t AFTER TRUNCATE ON {tab}
        FOR EACH STATEMENT EXECUTE FUNCTION isthmus.{function}({listed});
    ALTER TABLE {tab} ENABLE ALWAYS TRIGGER isthmus_point_i;
    ALTER TABLE {tab} ENABLE ALWAYS TRIGGER isthmus_point_u;
    ALTER TABLE {tab} ENABLE ALWAYS TRIGGER isthmus_point_d;
    ALTER TABLE {tab} ENABLE ALWAYS TRIGGER isthmus_point_t;
END $install$;
"""
TRIGGERS = """
SELECT DISTINCT format('%I.%I', n.nspname, c.relname), p.proname
FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_proc p ON p.oid = t.tgfoid JOIN pg_namespace f ON f.oid = p.pronamespace
WHERE f.nspname = 'isthmus' AND starts_with(t.tgname, 'isthmus_point_') ORDER BY 1
"""
REMOVE = """
DO $remove$ DECLARE t record; BEGIN
    SET LOCAL lock_timeout = '10s';
    FOR t IN SELECT c.oid::regclass AS tab, g.tgname AS name, p.oid::regprocedure AS function
        FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid JOIN pg_proc p ON p.oid = g.tgfoid
        JOIN pg_namespace f ON f.oid = p.pronamespace
        WHERE f.nspname = 'isthmus' AND starts_with(g.tgname, 'isthmus_point_')
    LOOP
        EXECUTE format('DROP TRIGGER %I ON %s', t.name, t.tab);
    END LOOP;
    FOR t IN SELECT p.oid::regprocedure AS function FROM pg_proc p JOIN pg_namespace f ON f.oid = p.pronamespace
        WHERE f.nspname = 'isthmus' AND starts_with(p.proname, 'point_')
    LOOP
        EXECUTE format('DROP FUNCTION %s', t.function);
    END LOOP;
    DROP TABLE IF EXISTS isthmus.change_pointer, isthmus.change_feed;
END $remove$;
"""
HELD = """
SELECT tab, count(*), min(at), max(at) FROM isthmus.change_pointer GROUP BY 1 ORDER BY 1
"""


def script(client: PostgresClient, watched: Sequence[tuple[Watched, Resolved]]) -> str:
    """Return the SQL that records the changes of these tables; what is recorded beyond it stays recorded."""
    tables = columns_of(watched)
    with client.speaking() as session:
        for name, columns in tables.items():
            for arguments, *_ in session.execute(RECORDED, [name]).fetchall():
                columns |= set(filter(None, arguments))
    kinds = {
        (full_name(query, table), column.name): query.shapes[alias_of(table)].kind(column.name)
        for table, query in watched
        for column in query.shapes[alias_of(table)].table.columns
    }
    parts = [_table(name, sorted(columns), kinds) for name, columns in sorted(tables.items())]
    return "".join([BASE, *parts, "COMMIT;\n"])


def install(client: PostgresClient, watched: Sequence[tuple[Watched, Resolved]]) -> None:
    """Run the script; raises ConfigError without the right, SystemUnavailable when writers do not make way in time."""
    text = script(client, watched)
    with client.speaking() as session:
        try:
            session.execute(text)
        except BaseException:
            session.execute("ROLLBACK")
            raise


def remove(client: PostgresClient) -> list[str]:
    """Take triggers, functions and pointers away and return the tables that were recorded; receipts stay."""
    with client.speaking() as session, session.transaction():
        tables = [name for name, _ in session.execute(TRIGGERS).fetchall()]
        session.execute(REMOVE)
    return tables


def show(client: PostgresClient, watched: Sequence[tuple[Watched, Resolved]]) -> list[Recorded]:
    """Return how each watched table is recorded, by name; everything is `missing` where nothing is installed."""
    wanted, ties = columns_of(watched), unindexed(watched)
    with client.speaking() as session:
        installed = session.execute(INSTALLED).fetchone()[0]
        held = {name: count for name, count, *_ in session.execute(HELD).fetchall()} if installed else {}
        found = []
        for name, columns in sorted(wanted.items()):
            rows = session.execute(RECORDED, [name]).fetchall()
            arguments, enabled, count, _ = rows[0] if len(rows) == 1 else ([], False, 0, "")
            said: Literal["recorded", "missing", "disabled", "columns missing"]
            said = "missing" if count != 4 else "recorded" if enabled else "disabled"
            if said == "recorded" and not columns <= set(arguments):
                said = "columns missing"
            found.append(Recorded(name, tuple(sorted(columns)), said, held.get(name, 0), ties.get(name, ())))
    return found


def prune(client: PostgresClient, cursors: Sequence[str]) -> int:
    """Remove the pointers that none of these cursors needs and return how many; without cursors none is removed.

    Cursors of feeds of another kind need no pointers.
    """
    needs = []
    for cursor in cursors:
        with suppress(FeedLost):
            needs.append(PointerCursor.parse(cursor).xmin)
    with client.speaking() as session:
        if not session.execute(INSTALLED).fetchone()[0]:
            raise missing(client)
        if not needs:
            return 0
        with session.transaction():
            session.execute(
                "UPDATE isthmus.change_feed SET pruned = greatest(pruned::text::bigint, %s)::text::xid8", [min(needs)]
            )
            gone = session.execute("DELETE FROM isthmus.change_pointer WHERE xid < %s::text::xid8", [str(min(needs))])
            return int(gone.rowcount)


def columns_of(watched: Sequence[tuple[Watched, Resolved]]) -> dict[str, set[str]]:
    """Return the columns that pointers must hold, by quoted table."""
    tables: dict[str, set[str]] = {}
    for table, query in watched:
        tables.setdefault(full_name(query, table), set()).update(needed(query, table))
        if not leading(table):
            raise ConfigError(
                f"Nothing ties {table.table} to the key of {table.query.root.table}; it cannot be watched."
            )
    return tables


def unindexed(watched: Sequence[tuple[Watched, Resolved]]) -> dict[str, tuple[str, ...]]:
    """Return, by watched table, the ties whose other end no index finds: each poll with changes there scans a table."""
    found: dict[str, dict[str, None]] = {}
    for table, query in watched:
        for source in table.query.sources if not table.root else ():
            ends: dict[str, set[str]] = {}
            for term in source.on:
                if term.operator == "=" and isinstance(term.right, ColumnRef):
                    ends.setdefault(term.right.alias, set()).add(query.column(term.right).name)
            for alias, columns in ends.items():
                if alias != alias_of(table) and not query.shapes[alias].indexed(columns):
                    tie = f"{query.shapes[alias].table.name} ({', '.join(sorted(columns))})"
                    found.setdefault(full_name(query, table), {})[tie] = None
    return {name: tuple(ties) for name, ties in found.items()}


def _table(name: str, columns: Sequence[str], kinds: Mapping[tuple[str, str], str]) -> str:
    pairs = []
    for column in columns:
        quoted = '"' + column.replace('"', '""') + '"'
        text = f"upper(encode(t.{quoted}, 'hex'))" if kinds.get((name, column)) == "bytea" else f"t.{quoted}::text"
        pairs.append(f"{literal(column)}, {text}")
    return FUNCTION.format(
        tab=name,
        name=literal(name),
        function=_function(name),
        key=f"jsonb_build_object({', '.join(pairs)})",
        listed=", ".join(literal(column) for column in columns),
    )


def _function(name: str) -> str:
    plain = name.replace('"', "").replace(".", "_").casefold()
    return '"' + f"point_{plain}"[:63] + '"'
