"""The sql connector: any database SQLAlchemy can speak to, with Arrow-native bulk paths on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa

from connectors.sql import check, describe, feeds, feeds_install, journal, partition, read, statement
from connectors.sql.client import PortableClient, PostgresClient, Settings
from connectors.sql.describe import Shape
from connectors.sql.portable import CONDITIONAL, PortableWriter
from connectors.sql.write import Writer
from isthmus.connector import (
    Capabilities,
    Change,
    Check,
    Connector,
    FeedKind,
    KeyRange,
    Outcome,
    Polled,
    Query,
    Receipt,
    Recorded,
    Table,
    Watched,
    Where,
)

EVERYTHING = KeyRange()


def SqlConnector(settings: Mapping[str, Any]) -> Connector:
    """Build the connector for a database; see `Settings` for what it takes.  Raises ConfigError."""
    parsed = Settings.parse(settings)
    return PostgresConnector(parsed) if parsed.postgres else PortableConnector(parsed)


class PostgresConnector:
    """PostgreSQL: ADBC reads, binary COPY in, one set-based statement per table."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.client = PostgresClient(settings)
        self.catalogue = describe.Catalogue(lambda table: describe.postgres_shape(self.client, table))
        self._writer = Writer(self.client, self.catalogue)
        self._journal_found = False

    def capabilities(self) -> Capabilities:
        """Say what the database can do; whether it keeps a journal is looked up there."""
        return Capabilities(
            write=True,
            keyset=True,
            joins=True,
            filters=True,
            journal="schema" if self._journal() else "none",
            atomic=True,
            conditional=True,
            promises=True,
            max_rows=self.settings.max_rows,
            changes="timestamp",
            feeds=("date", "timestamp", "pointer"),
        )

    def check(self) -> list[Check]:
        """Try resolve, connect, authenticate, read and write permission."""
        return check.steps(self.settings, self.client, self.discover)

    def discover(self) -> list[str]:
        """List tables and views, by name."""
        return describe.postgres_names(self.client)

    def describe(self, table: str) -> Table:
        """Describe a table; raises ConfigError with the nearest name when it is not there."""
        return self.catalogue.shape(table).table

    def partitions(self, query: Query, rows: int, within: KeyRange | None = None) -> list[KeyRange]:
        """Cut the key range into ranges of `rows` root rows."""
        return partition.postgres_partitions(self.client, self._resolved(query), rows, within or EVERYTHING)

    def read(self, query: Query, where: Where) -> Iterator[pa.RecordBatch]:
        """Yield the rows in blocks of about 4 MB, ordered by key; raises ConfigError for an unknown name."""
        return read.read_postgres(self.client, self._resolved(query), where)

    def write(self, change: Change) -> Outcome:
        """Apply a change in one transaction with its receipt; raises ConflictError when fenced off."""
        return self._writer.write(change, receipts=change.receipt is not None and self._journal())

    def receipts(self, run: str) -> Mapping[str, Receipt]:
        """Return the receipts of a run, by package."""
        return journal.of_run(self.client, run) if self.settings.journal != "none" else {}

    def install_journal(self) -> None:
        """Make the tables of the journal, as `journal.sql` does; running it again changes nothing."""
        journal.install(self.client)

    def poll(self, kind: FeedKind, watched: Sequence[Watched], cursor: str | None, now: datetime) -> Polled:
        """Return the keys of objects changed since the cursor; raises FeedLost, ConfigError, SystemUnavailable."""
        return feeds.poll_postgres(self.client, self._resolved, kind, watched, cursor, now)

    def begin_feed(self, kind: FeedKind, watched: Sequence[Watched], now: datetime) -> str:
        """Return a cursor from which nothing is missed; raises ConfigError where pointers are not installed."""
        return feeds.begin_postgres(self.client, self._resolved, kind, watched, now)

    def feed_script(self, watched: Sequence[Watched]) -> str:
        """Return the SQL that records which rows of these tables are touched."""
        return feeds_install.script(self.client, self._watched(watched))

    def install_feed(self, watched: Sequence[Watched]) -> None:
        """Run that SQL; what is recorded already stays as it is."""
        feeds_install.install(self.client, self._watched(watched))

    def remove_feed(self) -> list[str]:
        """Take triggers and pointers away and return the tables that were recorded."""
        return feeds_install.remove(self.client)

    def show_feed(self, watched: Sequence[Watched]) -> list[Recorded]:
        """Return how each of these tables is recorded."""
        return feeds_install.show(self.client, self._watched(watched))

    def prune_feed(self, cursors: Sequence[str]) -> int:
        """Remove the pointers that none of these cursors needs and return how many."""
        return feeds_install.prune(self.client, cursors)

    def analyze(self, tables: Sequence[str]) -> None:
        """Let the planner learn what a load brought: without it the next join may take minutes instead of one."""
        from psycopg import sql

        with self.client.speaking() as session:
            for table in tables:
                session.execute(sql.SQL("ANALYZE {}").format(sql.Identifier(self.catalogue.shape(table).table.name)))

    def close(self) -> None:
        """Close every session."""
        self.client.close()

    def _journal(self) -> bool:
        if self.settings.journal == "none":
            return False
        if not self._journal_found:
            with self.client.speaking() as session:
                self._journal_found = journal.installed(session)
        if not self._journal_found and self.settings.journal == "schema":
            raise journal.missing(self.settings)
        return self._journal_found

    def _watched(self, watched: Sequence[Watched]) -> list[tuple[Watched, statement.Resolved]]:
        return [(table, self._resolved(table.query)) for table in watched]

    def _resolved(self, query: Query) -> statement.Resolved:
        shapes = {source.alias: self.catalogue.shape(source.table) for source in query.sources}
        return statement.resolve(query, shapes, self.settings, statement.Postgres())


class PortableConnector:
    """Any other database, through SQLAlchemy: the same promises, rows through the driver."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.client = PortableClient(settings)
        self.catalogue = describe.Catalogue(self._shape)

    def capabilities(self) -> Capabilities:
        """Say what the database can do; whether it keeps a journal is looked up there."""
        return Capabilities(
            write=True,
            keyset=True,
            joins=True,
            filters=True,
            journal="schema" if self._journal() else "none",
            atomic=True,
            conditional=self.client.engine().dialect.name in CONDITIONAL,
            max_rows=self.settings.max_rows,
            changes="timestamp",
            feeds=("date", "timestamp"),
        )

    def check(self) -> list[Check]:
        """Try resolve, connect, authenticate, read and write permission."""
        return check.steps(self.settings, self.client, self.discover)

    def discover(self) -> list[str]:
        """List tables and views, by name."""
        with self.client.speaking() as connection:
            return describe.portable_names(connection, self.settings)

    def describe(self, table: str) -> Table:
        """Describe a table; raises ConfigError with the nearest name when it is not there."""
        return self.catalogue.shape(table).table

    def partitions(self, query: Query, rows: int, within: KeyRange | None = None) -> list[KeyRange]:
        """Cut the key range into ranges of `rows` root rows."""
        return partition.portable_partitions(self.client, self._resolved(query), rows, within or EVERYTHING)

    def read(self, query: Query, where: Where) -> Iterator[pa.RecordBatch]:
        """Yield the rows in blocks of at most 4 MB, ordered by key; raises ConfigError for an unknown name."""
        return read.read_portable(self.client, self._resolved(query), where)

    def write(self, change: Change) -> Outcome:
        """Apply a change in one transaction with its receipt; raises ConflictError when fenced off."""
        writer = PortableWriter(self.client, self.catalogue, self._dialect())
        return writer.write(change, receipts=change.receipt is not None and self._journal())

    def receipts(self, run: str) -> Mapping[str, Receipt]:
        """Return the receipts of a run, by package."""
        if not self._journal():
            return {}
        with self.client.speaking() as connection:
            return journal.portable_of(connection, run)

    def install_journal(self) -> None:
        """Make the table of the journal; running it again changes nothing."""
        with self.client.speaking() as connection, connection.begin():
            connection.exec_driver_sql(journal.PORTABLE)

    def poll(self, kind: FeedKind, watched: Sequence[Watched], cursor: str | None, now: datetime) -> Polled:
        """Return the keys of objects changed since the cursor; raises FeedLost, ConfigError, SystemUnavailable."""
        return feeds.poll_portable(self.client, self._resolved, kind, watched, cursor, now)

    def begin_feed(self, kind: FeedKind, watched: Sequence[Watched], now: datetime) -> str:
        """Return a cursor from which nothing is missed; raises ConfigError for change pointers."""
        return feeds.begin_portable(self.client, kind, now)

    def close(self) -> None:
        """Close every session."""
        self.client.close()

    def _dialect(self) -> type[statement.Dialect]:
        return statement.MySql if self.client.engine().dialect.name in ("mysql", "mariadb") else statement.Dialect

    def _journal(self) -> bool:
        if self.settings.journal == "none":
            return False
        with self.client.speaking() as connection:
            found = journal.portable_installed(connection)
        if not found and self.settings.journal == "schema":
            raise journal.missing(self.settings)
        return found

    def _shape(self, table: str) -> Shape:
        with self.client.speaking() as connection:
            return describe.portable_shape(connection, self.settings, table)

    def _resolved(self, query: Query) -> statement.Resolved:
        shapes = {source.alias: self.catalogue.shape(source.table) for source in query.sources}
        return statement.resolve(query, shapes, self.settings, self._dialect()())
