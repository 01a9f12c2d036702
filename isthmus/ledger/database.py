"""The ledger's connections: a pool of its own, short transactions, Arrow in by binary COPY."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pgpq
import psycopg
import pyarrow as pa
from psycopg import sql
from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, InvalidatePoolError, OperationalError

from isthmus.errors import ConfigError, SystemUnavailable

Clock = Callable[[], datetime]
OLDEST_SERVER = 150000
IDLE_SECONDS = 1.0  # a session idle for longer is asked whether it lives


def utc_now() -> datetime:
    """Return the time of day, in UTC."""
    return datetime.now(UTC)


def connect(url: str) -> Engine:
    """Make an engine for a PostgreSQL URL of any driver; nothing is connected yet. Raises ConfigError."""
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise ConfigError(
            "the ledger's URL cannot be read; expected postgresql://user:secret@host:port/database"
        ) from error
    if parsed.get_backend_name() not in ("postgresql", "postgres"):
        raise ConfigError(f"the ledger lives in PostgreSQL 15 or newer; the URL names {parsed.get_backend_name()}")
    engine = create_engine(
        parsed.set(drivername="postgresql+psycopg"),
        pool_size=4,
        max_overflow=8,
        # Plans must see the arrays they are run with: their length decides between index and hash join.
        connect_args={"prepare_threshold": None, "application_name": "isthmus ledger", "options": "-c jit=off"},
    )
    _ask_the_idle(engine)
    return engine


def _ask_the_idle(engine: Engine) -> None:
    """Have a session that was idle for a while asked whether its server still answers, and replaced if not.

    SQLAlchemy's own pre-ping asks before every transaction: a quarter of all statements of a small load.
    """

    @event.listens_for(engine, "checkin")
    def put_back(session: Any, record: Any) -> None:
        record.info["idle_since"] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def taken(session: Any, record: Any, _: Any) -> None:
        if time.monotonic() - record.info.get("idle_since", math.inf) > IDLE_SECONDS:
            try:
                engine.dialect.do_ping(session)
            except psycopg.Error as error:
                raise InvalidatePoolError from error


class Database:
    """The PostgreSQL that holds the ledger, and the clock its stamps come from; safe for threads."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self.engine = engine
        self.now = clock

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Open one short transaction; raises SystemUnavailable when the server does not answer."""
        with unavailable(self.engine), self.engine.begin() as connection:
            yield connection

    def close(self) -> None:
        """Close every connection of the pool."""
        self.engine.dispose()


@contextmanager
def unavailable(engine: Engine) -> Iterator[None]:
    """Turn a lost or refused connection into SystemUnavailable; every other error passes."""
    try:
        yield
    except (OperationalError, InterfaceError, psycopg.OperationalError, psycopg.InterfaceError) as error:
        if isinstance(error, DBAPIError) and isinstance(error.orig, psycopg.errors.InsufficientPrivilege):
            raise
        where = f"{engine.url.host or 'local socket'}:{engine.url.port or 5432}/{engine.url.database}"
        raise SystemUnavailable(
            f"the ledger at {where} does not answer ({type(error).__name__}); nothing is lost, try again, "
            "and look at the server with `isthmus store status`"
        ) from error


def check_server(connection: Connection) -> None:
    """Raise ConfigError when the server is older than the ledger needs."""
    version = raw(connection).info.server_version
    if version < OLDEST_SERVER:
        raise ConfigError(
            f"the ledger needs PostgreSQL 15 or newer, this server is {version // 10000}; "
            "upgrade it, or unset ISTHMUS_DATABASE_URL to use the private one"
        )


def raw(connection: Connection) -> psycopg.Connection[Any]:
    """Return psycopg's connection beneath: same session, same transaction."""
    driver: psycopg.Connection[Any] = connection.connection.driver_connection  # type: ignore[assignment]
    return driver


def copy_in(connection: Connection, table: sql.Composable, rows: pa.RecordBatch) -> None:
    """Copy a batch into the columns of a table that bear its columns' names, in binary."""
    if not rows.num_rows:
        return
    encoder = pgpq.ArrowToPostgresBinaryEncoder(rows.schema)
    columns = sql.SQL(", ").join(map(sql.Identifier, rows.schema.names))
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(table, columns)
    with raw(connection).cursor() as cursor, cursor.copy(statement) as copy:
        copy.write(encoder.write_header())
        copy.write(encoder.write_batch(rows))
        copy.write(encoder.finish())
