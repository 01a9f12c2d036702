"""Files brought into order: each table is read once into an embedded, memory-bounded database sorted by its key.

Sorting and filtering spill to a private folder, which `close` removes.  A table is read again when its files
have changed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import reduce
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from connectors.files import nem12, readings
from connectors.files.formats import Numbering, format_of, lines
from connectors.files.intervals import ACCUMULATED, RUNS
from connectors.files.settings import Settings
from connectors.files.source import File, FileFault, Note, Part, parts, stamp_of
from isthmus.connector import Table

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True, slots=True)
class Staged:
    """One table ready to be asked, with what was found wrong on the way.

    `relations` are the database's tables behind it: one, or for meter data the runs and the accumulated
    readings.  `columns` gives the expression of each column, `types` the database's own type name.
    """

    table: Table
    relations: tuple[str, ...]
    columns: Mapping[str, str]
    types: Mapping[str, str]
    rejects: tuple[Note, ...] = ()
    warnings: tuple[Note, ...] = ()
    superseded: int = 0

    @property
    def meter(self) -> bool:
        """Say whether the rows are meter readings, which are made from days when they are asked for."""
        return len(self.relations) > 1

    def source(self, days: str = "") -> str:
        """Return what stands after FROM; `days` is a condition on `day_id` that meter data may be narrowed by."""
        return readings.source(self.relations[0], self.relations[1], days) if self.meter else self.relations[0]


@dataclass(slots=True)
class _Notes:
    rejects: list[Note] = field(default_factory=list)
    warnings: list[Note] = field(default_factory=list)


class Stage:
    """The embedded database of one connector; `session` gives a cursor of its own to each reader."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._made: dict[tuple[str, tuple[str, ...]], tuple[tuple[File, ...], Staged]] = {}
        self._count = 0

    def session(self) -> duckdb.DuckDBPyConnection:
        """Return a cursor on the database, which is opened on first use."""
        if self._connection is None:
            import duckdb  # costs tens of milliseconds, so not before it is needed

            self._folder = tempfile.TemporaryDirectory(prefix="isthmus-files-")
            self._connection = duckdb.connect(
                ":memory:",
                config={
                    "memory_limit": self._settings.memory,
                    "temp_directory": self._folder.name,
                    "threads": 2,
                    "autoinstall_known_extensions": False,
                    "autoload_known_extensions": False,
                },
            )
            self._connection.execute("SET enable_external_access = false")  # data is handed in, never opened by name
        return self._connection.cursor()

    def get(self, table: Table, key: tuple[str, ...], files: tuple[File, ...]) -> Staged:
        """Return a table sorted by a key, read anew when its files are not the same as last time."""
        known = self._made.get((table.name, key))
        if known is not None and known[0] == files:
            return known[1]
        if known is not None:
            self._drop(known[1])
        self._count += 1
        make = self._meter if self._settings.format == "nem12" else self._plain
        staged = make(table, key, files)
        self._made[table.name, key] = (files, staged)
        return staged

    def close(self) -> None:
        """Close the database and remove what it spilled."""
        self._made.clear()
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def _drop(self, staged: Staged) -> None:
        session = self.session()
        for name in staged.relations:
            session.execute(f"DROP TABLE IF EXISTS {name}")

    # --- csv, jsonl, parquet --------------------------------------------------------------------------------------

    def _plain(self, table: Table, key: tuple[str, ...], files: tuple[File, ...]) -> Staged:
        session, notes, reader = self.session(), _Notes(), format_of(self._settings)
        schema = pa.schema([(column.name, column.type) for column in table.columns])
        columns = {name: f"c{at}" for at, name in enumerate(schema.names)}
        raw, name = f"raw{self._count}", f"staged{self._count}"
        _create(session, raw, _renamed(schema))

        def take(part: Part, number: int) -> None:
            for batch in _keyed(part, key, reader.read(part, schema, notes.rejects), notes.rejects):
                _insert(session, raw, _renamed(batch), number)

        self._each(session, (raw,), files, take, notes)
        order = f"ORDER BY {', '.join(columns[column] for column in key)}" if key else ""
        session.execute(f"CREATE TABLE {name} AS SELECT * EXCLUDE (part) FROM {raw} {order}")
        session.execute(f"DROP TABLE {raw}")
        types = {row[0]: row[1] for row in session.execute(f"DESCRIBE {name}").fetchall()}
        return Staged(
            table,
            (name,),
            columns,
            {column: types[columns[column]] for column in schema.names},
            rejects=tuple(notes.rejects),
            warnings=tuple(notes.warnings),
        )

    # --- meter data -----------------------------------------------------------------------------------------------

    def _meter(self, table: Table, key: tuple[str, ...], files: tuple[File, ...]) -> Staged:
        session, notes = self.session(), _Notes()
        runs, accumulated = f"runs{self._count}", f"accumulated{self._count}"
        for name, schema in ((runs, RUNS), (accumulated, ACCUMULATED)):
            _create(session, name, schema)

        def take(part: Part, number: int) -> None:
            parser = nem12.Parser(part.name)
            try:
                for block in parser.parse(lines(part, self._settings.encoding)):
                    _insert(session, runs, block.runs, number)
                    _insert(session, accumulated, block.accumulated, number)
            finally:
                notes.rejects += parser.rejects
                notes.warnings += parser.warnings

        self._each(session, (runs, accumulated), files, take, notes)
        superseded = readings.keep_newest(session, runs, accumulated)
        return Staged(
            table,
            (runs, accumulated),
            {column.name: f'"{column.name}"' for column in table.columns},
            {column.name: "VARCHAR" for column in table.columns},
            rejects=tuple(sorted(notes.rejects)),
            warnings=tuple(sorted(notes.warnings)),
            superseded=superseded,
        )

    # --- shared ---------------------------------------------------------------------------------------------------

    def _each(
        self,
        session: duckdb.DuckDBPyConnection,
        relations: tuple[str, ...],
        files: tuple[File, ...],
        take: Callable[[Part, int], None],
        notes: _Notes,
    ) -> None:
        """Take every part of every file; one with a fault leaves nothing behind but its name.

        Rows carry the number of their part and are deleted by it: a transaction per part would hold every
        block of it in memory until it ends.
        """
        number = 0
        for file in files:
            try:
                for part in parts(file, self._settings.limits):
                    number += 1
                    try:
                        _take(file, part, number, take)
                    except (FileFault, OSError) as error:
                        notes.rejects.append(_note(part.name, error))
                        for name in relations:
                            session.execute(f"DELETE FROM {name} WHERE part = {number}")
            except (FileFault, OSError) as error:
                notes.rejects.append(_note(file.name, error))


def _take(file: File, part: Part, number: int, take: Callable[[Part, int], None]) -> None:
    if part.fault is not None:
        raise part.fault
    take(part, number)
    if stamp_of(file.path) != file.stamp:
        raise FileFault("still_written", "the file changed while it was read; it is read when it rests")


def _insert(session: duckdb.DuckDBPyConnection, name: str, batch: pa.RecordBatch, number: int) -> None:
    session.register("incoming", batch)
    session.execute(f"INSERT INTO {name} SELECT *, {number} FROM incoming")
    session.unregister("incoming")


def _create(session: duckdb.DuckDBPyConnection, name: str, schema: pa.Schema) -> None:
    session.register("incoming", schema.empty_table())
    session.execute(f"CREATE TABLE {name} AS SELECT *, 0 AS part FROM incoming")
    session.unregister("incoming")


def _renamed(columns: pa.RecordBatch | pa.Schema) -> Any:
    """Name columns by their place: the names of a file may be any text and differ only in case."""
    names = [
        f"c{at}" for at in range(len(columns.schema.names if isinstance(columns, pa.RecordBatch) else columns.names))
    ]
    if isinstance(columns, pa.RecordBatch):
        return columns.rename_columns(names)
    return pa.schema([column.with_name(name) for column, name in zip(columns, names, strict=True)])


def _keyed(
    part: Part,
    key: tuple[str, ...],
    batches: Iterator[tuple[pa.RecordBatch, Numbering]],
    notes: list[Note],
) -> Iterator[pa.RecordBatch]:
    """Yield the batches without the rows that lack a part of their key, which go to `notes`."""
    for batch, number in batches:
        lacking = [batch.column(name).is_null() for name in key if batch.column(name).null_count]
        if not lacking:
            yield batch
            continue
        mask = reduce(pc.or_, lacking)
        for at in pc.indices_nonzero(mask).to_pylist():  # the rejected rows only
            notes.append(Note(part.name, number(at), "key_missing", f"the row lacks its key {', '.join(key)}"))
        yield batch.filter(pc.invert(mask))


def _note(name: str, error: FileFault | OSError) -> Note:
    if isinstance(error, FileFault):
        return Note(name, 1, error.code, str(error))
    return Note(name, 1, "unreadable", f"the file cannot be opened: {error.strerror or type(error).__name__}")
