"""Sessions with a database: settings, connections, and errors in words that hide every secret."""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

import pyarrow as pa

from isthmus.errors import ConfigError, DataError, IsthmusError, SystemUnavailable, did_you_mean

BLOCK_BYTES = 4 << 20
AGAIN = ("08", "40001", "40P01", "53", "55P03", "57P")  # SQLSTATEs after which the same call may go through
CONNECT_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Settings:
    """What a connection is made of.

    `client` is the SAP client every read is filtered by and every write is filled with; `client_columns` are
    the names it goes by.  `journal` says where receipts live: `schema`, `none`, or None to look.
    `zeros_blank` makes a text of zeros only count as blank.  `lock_seconds` is how long a conditional write waits
    for a row that another session holds.  `feed_overlap_s` is how far a feed by timestamp reads back (clock skew and
    the longest transaction), `feed_day_slack_h` how long after midnight UTC a day still counts as not over.
    """

    url: str
    client: str | None = None
    client_columns: tuple[str, ...] = ("MANDT", "CLIENT")
    schema: str | None = None
    journal: Literal["schema", "none"] | None = None
    zeros_blank: bool = True
    max_rows: int = 50_000
    lock_seconds: float = 5.0
    feed_overlap_s: float = 300.0
    feed_day_slack_h: float = 12.0

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> Settings:
        """Read settings as a file gives them (texts allowed); raises ConfigError for names or values unknown."""
        known = [field.name for field in fields(cls)]
        for name in values:
            if name not in known:
                raise ConfigError(
                    f'The sql connector knows no setting "{name}".{did_you_mean(name, known)} '
                    f"It knows: {', '.join(known)}."
                )
        url = str(values.get("url") or "")
        if "://" not in url and not url.startswith("sqlite:"):
            raise ConfigError(
                'The sql connector needs "url", e.g. postgresql://user@host:5432/database or sqlite:///file.db.'
            )
        journal = values.get("journal")
        if journal not in (None, "schema", "none"):
            raise ConfigError(f'Setting "journal" is {journal!r}, expected "schema" or "none".')
        columns = values.get("client_columns", cls.__dataclass_fields__["client_columns"].default)
        names = columns.replace(",", " ").split() if isinstance(columns, str) else columns
        return cls(
            url=url,
            client=None if values.get("client") in (None, "") else str(values["client"]),
            client_columns=tuple(name.casefold() for name in names),
            schema=values.get("schema") or None,
            journal=journal,
            zeros_blank=str(values.get("zeros_blank", True)).casefold() not in ("false", "no", "0"),
            max_rows=int(values.get("max_rows", 50_000)),
            lock_seconds=float(values.get("lock_seconds", 5.0)),
            feed_overlap_s=float(values.get("feed_overlap_s", 300.0)),
            feed_day_slack_h=float(values.get("feed_day_slack_h", 12.0)),
        )

    @property
    def postgres(self) -> bool:
        """Return whether the bulk paths of PostgreSQL apply."""
        return re.match(r"postgres(ql)?(\+\w+)?://", self.url) is not None

    @property
    def libpq(self) -> str:
        """Return the URL as PostgreSQL's own library reads it, without SQLAlchemy's driver name."""
        return re.sub(r"^postgres(ql)?(\+\w+)?://", "postgresql://", self.url)

    @property
    def place(self) -> str:
        """Return the address in words that may be shown: no user, no password, no query string."""
        parts = urlsplit(self.url)
        try:
            port = f":{parts.port}" if parts.port else ""
        except ValueError:
            port = ""
        host = f" at {parts.hostname}{port}" if parts.hostname else ""
        return f'database "{parts.path.lstrip("/")}"{host}'

    def masked(self, text: str) -> str:
        """Return the text with the password (as written and decoded) replaced."""
        parts = urlsplit(self.url)
        secrets = {parts.password or "", unquote(parts.password or ""), parts.query}
        secrets |= set(re.findall(r"password=([^&\s]+)", self.url))
        for secret in sorted(filter(None, secrets), key=len, reverse=True):
            text = text.replace(secret, "***")
        return text


def first_line(error: BaseException) -> str:
    """Return the first line of an error; the lines after it may quote rows."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def explain(settings: Settings, error: Exception, *, connecting: bool = False) -> IsthmusError:
    """Turn a driver's error into one of ours, without secrets and without the row it quotes."""
    state = str(getattr(error, "sqlstate", None) or "")
    text = settings.masked(first_line(error))
    if state.startswith("28") or re.search(r"authentication failed|Access denied|no password supplied", str(error)):
        return ConfigError(f"Logging on to {settings.place} was refused: {text}. Check user and password.")
    if state == "3D000" or (connecting and "does not exist" in str(error)):
        return ConfigError(f"There is no such {settings.place}: {text}. Check the URL.")
    if connecting or state.startswith(AGAIN) or (not state and _lost(error)):
        return SystemUnavailable(f"The {settings.place} did not answer: {text}. The same call may go through later.")
    if state == "42501":
        return ConfigError(f"The user of {settings.place} lacks a permission: {text}. Ask the DBA to grant it.")
    # The message of a data error may quote a value; its class and SQLSTATE say enough.
    said = text if state.startswith(("42", "0A", "3F")) or not state else type(error).__name__
    return DataError(f"The {settings.place} refused a statement: {said} (SQLSTATE {state or 'unknown'}).")


def _lost(error: Exception) -> bool:
    words = r"connection|server closed|lost|terminat|could not receive|SSL SYSCALL|database is locked|gone away"
    return type(error).__name__ in ("OperationalError", "InterfaceError") and bool(re.search(words, str(error), re.I))


class PostgresClient:
    """Sessions with one PostgreSQL: ADBC for reading Arrow, psycopg for everything that writes."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._writer: Any = None
        self._idle: dict[bool, list[Any]] = {False: [], True: []}  # by whether they look joined rows up by index

    def session(self) -> Any:
        """Return the writing session (psycopg, autocommit), opened on first use; raises SystemUnavailable."""
        import psycopg

        if self._writer is None or self._writer.closed:
            try:
                self._writer = psycopg.connect(
                    self.settings.libpq, autocommit=True, connect_timeout=CONNECT_SECONDS, prepare_threshold=None
                )
                # Packages are joined by key with much larger tables; parallel or compiled plans only cost here.
                self._writer.execute("SET standard_conforming_strings = on")
                self._writer.execute("SET jit = off")
                self._writer.execute("SET client_min_messages = warning")
            except psycopg.Error as error:
                raise explain(self.settings, error, connecting=True) from None
        return self._writer

    @contextlib.contextmanager
    def speaking(self) -> Iterator[Any]:
        """Give the writing session and translate what the driver raises; a broken session is dropped."""
        import psycopg

        session = self.session()
        try:
            yield session
        except psycopg.Error as error:
            if session.closed or session.broken:
                self._writer = None
                raise explain(self.settings, error, connecting=True) from None
            raise explain(self.settings, error) from None
        except BaseException:
            # Interrupted in the middle of something: what the session holds is not known any more.
            if session.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
                self._writer = None
                session.close()
            raise

    def stream(self, statement: str, by_index: bool = False) -> Iterator[pa.RecordBatch]:
        """Yield the result of a statement as Arrow blocks of about 4 MB; the session is given back at the end.

        `by_index`: every joined row is looked up, whatever the planner makes of it.
        """
        import adbc_driver_manager

        session = self._reader(by_index)
        healthy = False
        try:
            # A statement must be closed before its connection.
            with session.cursor() as cursor:
                cursor.adbc_statement.set_options(**{"adbc.postgresql.batch_size_hint_bytes": str(BLOCK_BYTES)})
                cursor.execute(statement)
                with cursor.fetch_record_batch() as reader:
                    yield from reader
                healthy = True
        except (adbc_driver_manager.Error, pa.ArrowException, OSError) as error:
            raise explain(self.settings, error) from None
        finally:
            if healthy:
                self._idle[by_index].append(session)
            else:
                with contextlib.suppress(Exception):
                    session.close()

    def _reader(self, by_index: bool) -> Any:
        import adbc_driver_manager
        from adbc_driver_manager import dbapi

        if self._idle[by_index]:
            return self._idle[by_index].pop()
        settings = ["standard_conforming_strings = on", "jit = off", "default_transaction_read_only = on"]
        settings += ["enable_hashjoin = off", "enable_mergejoin = off"] if by_index else []
        joint = "&" if "?" in self.settings.libpq else "?"
        try:
            known = _known_to_adbc(f"{self.settings.libpq}{joint}connect_timeout={CONNECT_SECONDS}")
            session = dbapi.Connection(_Lasting(), adbc_driver_manager.AdbcConnection(known), autocommit=True)  # type: ignore[arg-type]
            with session.cursor() as cursor:
                for setting in settings:
                    cursor.execute(f"SET {setting}")
            return session
        except adbc_driver_manager.Error as error:
            raise explain(self.settings, error, connecting=True) from None

    def close(self) -> None:
        """Close every session; safe to call twice."""
        sessions = [*self._idle[False], *self._idle[True], *([self._writer] if self._writer is not None else [])]
        self._idle, self._writer = {False: [], True: []}, None
        for session in sessions:
            with contextlib.suppress(Exception):
                session.close()


@functools.lru_cache(maxsize=16)
def _known_to_adbc(url: str) -> Any:
    """Return what the driver knows of a database, which it takes 50 ms to read: its types; no session stays open.

    A type that is made later does not matter: what is not among `describe.TYPES` is asked for as text.
    """
    import adbc_driver_postgresql

    return adbc_driver_postgresql.connect(url)


class _Lasting:
    """What a session closes at its end in place of the knowledge it shares with others."""

    def close(self) -> None:
        """Close nothing."""


class PortableClient:
    """One session with any database SQLAlchemy can speak to."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._engine: Any = None

    def engine(self) -> Any:
        """Return the SQLAlchemy engine; raises ConfigError when the URL or its driver is unknown."""
        import sqlalchemy as sa

        if self._engine is None:
            try:
                self._engine = sa.create_engine(self.settings.url)
                if self._engine.dialect.name == "sqlite":
                    _begin_ourselves(self._engine)
            except (sa.exc.ArgumentError, sa.exc.NoSuchModuleError, ImportError) as error:
                said = self.settings.masked(first_line(error))
                raise ConfigError(
                    f"The URL of {self.settings.place} cannot be used: {said}. Is its driver installed?"
                ) from None
        return self._engine

    @contextlib.contextmanager
    def speaking(self) -> Iterator[Any]:
        """Give a SQLAlchemy connection of its own and translate what the driver raises."""
        import sqlalchemy as sa

        try:
            connection = self.engine().connect()
        except sa.exc.SQLAlchemyError as error:
            raise explain(self.settings, _cause(error), connecting=True) from None
        with connection:
            try:
                yield connection
            except sa.exc.DBAPIError as error:
                raise explain(self.settings, _cause(error), connecting=error.connection_invalidated) from None

    def close(self) -> None:
        """Close the pool; safe to call twice."""
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None


def _begin_ourselves(engine: Any) -> None:
    """Make SQLite's transactions whole: its driver begins one too late for a savepoint to nest in."""
    import sqlalchemy as sa

    sa.event.listen(engine, "connect", lambda session, _: setattr(session, "isolation_level", None))
    sa.event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))


def _cause(error: Exception) -> Exception:
    cause = getattr(error, "orig", None)
    return cause if isinstance(cause, Exception) else error
