"""The connector for a folder of files: what it can do, what it holds, what of it was refused."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pyarrow as pa

from connectors.files import read as reading
from connectors.files import write as writing
from connectors.files.describe import describe, named, tables
from connectors.files.settings import parse
from connectors.files.source import File, FileFault, Note, parts
from connectors.files.stage import Stage, Staged
from isthmus.connector import Capabilities, Change, Check, KeyRange, Outcome, Query, Receipt, Table, Where
from isthmus.errors import ConfigError, IsthmusError, did_you_mean

REJECTED = pa.schema(
    [
        ("key", pa.string()),
        ("file", pa.string()),
        ("line", pa.int32()),
        ("code", pa.string()),
        ("message", pa.string()),
    ]
)


class FilesConnector:
    """Reads CSV, JSON lines, Parquet or meter data below one folder, and writes the first three.

    Settings: `path` (the folder), `format` (csv, jsonl, parquet, nem12), `pattern` (of file names), `key` (the
    key columns, or a mapping of table to columns), `columns` (of JSON lines, in the same shape), `delimiter`,
    `encoding`, `settle_seconds`, the limits of archives `max_members`, `max_bytes`, `max_ratio`, and `memory`
    for sorting.  Raises ConfigError for others.
    """

    def __init__(self, settings: Mapping[str, Any], clock: Callable[[], int] = time.time_ns) -> None:
        self._settings = parse(settings)
        self._clock = clock
        self._stage = Stage(self._settings)
        self._described: dict[str, tuple[tuple[File, ...], Table]] = {}
        self._staged: dict[str, Staged] = {}
        self._outside: list[Note] = []

    def capabilities(self) -> Capabilities:
        """Say what files can do: no joins, no change feed, no journal; several tables are not one transaction."""
        return Capabilities(
            read=True,
            write=self._settings.writable,
            keyset=True,
            joins=False,
            filters=True,
            changes="none",
            journal="none",
            atomic=False,
        )

    def check(self) -> list[Check]:
        """Try the folder, its listing, the first file and the permission to write; never raises."""
        root = self._settings.root
        if not root.is_dir():
            hint = f'the folder "{root.name}" is not there; create it or correct "path"'
            return [Check("folder", "failed", hint), Check("read", "not tried"), Check("write", "not tried")]
        return [Check("folder", "ok"), self._check_read(), self._check_write()]

    def _check_read(self) -> Check:
        try:
            first = next((file for files in self._tables().values() for file in files), None)
            if first is None:
                return Check("read", "not tried", "no file matches the pattern yet")
            for part in parts(first, self._settings.limits):
                with part.open() as stream:
                    stream.read(1)
                break
        except (IsthmusError, FileFault, OSError) as error:
            told = error.strerror if isinstance(error, OSError) else str(error)
            return Check("read", "failed", f"{told}; look at the file and its permissions")
        return Check("read", "ok")

    def _check_write(self) -> Check:
        if not self._settings.writable:
            return Check("write", "not tried", "this kind of file is only read")
        if os.access(self._settings.root, os.W_OK | os.X_OK):
            return Check("write", "ok")
        return Check("write", "failed", "the folder cannot be written to; give the process permission")

    def discover(self) -> list[str]:
        """List the tables: file stems and folders of part files; for meter data `readings`."""
        return list(self._tables())

    def describe(self, table: str) -> Table:
        """Describe a table, whatever the case of its name; raises ConfigError with the nearest name."""
        files = self._tables()
        return self._describe(named(table, files), files)

    def _describe(self, table: str, files: Mapping[str, tuple[File, ...]]) -> Table:
        known = self._described.get(table)
        if known is None or known[0] != files[table]:
            known = (files[table], describe(self._settings, table, files))
            self._described[table] = known
        return known[1]

    def partitions(self, query: Query, rows: int, within: KeyRange | None = None) -> list[KeyRange]:
        """Cut the key range into disjoint, complete ranges of about `rows` rows; an empty table is one range."""
        staged = self._ready(query)
        return reading.partitions(self._stage.session(), query, staged, rows, within or KeyRange())

    def read(self, query: Query, where: Where) -> Iterator[pa.RecordBatch]:
        """Yield the rows of a range or of explicit keys, ordered by key.

        Raises SpecError for a query over several tables, ConfigError for unknown names.
        """
        staged = self._ready(query)
        return reading.read(self._stage.session(), query, staged, where)

    def _ready(self, query: Query) -> Staged:
        reading.refuse_joins(query)
        files = self._tables()
        table = self._describe(named(query.root.table, files), files)
        key = tuple(self._column(table, ref.column) for ref in query.key)
        staged = self._stage.get(table, key, files[table.name])
        self._staged[table.name] = staged
        return staged

    def write(self, change: Change) -> Outcome:
        """Upsert by key; each table's file is replaced whole, or left alone when nothing in it differs.

        Raises ConfigError when these files cannot be written, DataError when rewriting would lose something.
        """
        if not self._settings.writable:
            raise ConfigError(f"Files of format {self._settings.format} in this encoding are only read, not written.")
        with writing.locked(self._settings.root):
            return writing.write(self._settings, change, self._tables(settled=False))

    def receipts(self, run: str) -> Mapping[str, Receipt]:
        """Return nothing: a file and a receipt beside it cannot change in one step, so files keep no journal."""
        return {}

    def rejected(self) -> pa.Table:
        """Return what the last readings of each table refused: key (file:line), file, line, code, message.

        A line of 1 with a file's own code (`not_meter_data`, `zip_ratio`, `encoding`) stands for the whole file.
        """
        notes = {note for staged in self._staged.values() for note in staged.rejects} | set(self._outside)
        return _noted(notes)

    def warnings(self) -> pa.Table:
        """Return what was odd but taken all the same, in the shape of `rejected`."""
        return _noted({note for staged in self._staged.values() for note in staged.warnings})

    def rejects(self) -> pa.Table:
        """Return `rejected` without its key."""
        return self.rejected().drop_columns(["key"])

    def superseded(self) -> int:
        """Return how many readings gave way to a newer delivery of the same interval."""
        return sum(staged.superseded for staged in self._staged.values())

    def close(self) -> None:
        """Close the embedded database and remove what it spilled."""
        self._stage.close()

    def _tables(self, *, settled: bool = True) -> Mapping[str, tuple[File, ...]]:
        rest = int(self._settings.settle * 1e9)
        found, self._outside = tables(self._settings, self._clock() - rest if rest and settled else None)
        return found

    def _column(self, table: Table, name: str) -> str:
        found = table.column(name)
        if found is None:
            hint = did_you_mean(name, [column.name for column in table.columns])
            raise ConfigError(f'Table "{table.name}" has no column "{name}".{hint}')
        return found.name


def _noted(notes: set[Note]) -> pa.Table:
    rows = [(f"{note.file}:{note.line}", note.file, note.line, note.code, note.message) for note in sorted(notes)]
    columns = list(zip(*rows, strict=True)) or [()] * len(REJECTED)
    return pa.table(
        [pa.array(column, kind) for column, kind in zip(columns, REJECTED.types, strict=True)], schema=REJECTED
    )
