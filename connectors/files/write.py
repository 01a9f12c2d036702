"""Upsert into one file per table: the new file is written beside the old one and takes its name when it is whole."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from connectors.files.describe import NAME
from connectors.files.formats import ROWS, Jsonl, format_of
from connectors.files.merge import Merge, accepted, judge
from connectors.files.settings import Settings
from connectors.files.source import File, FileFault, Note, matches, parts, stamp_of
from isthmus.connector import DIFFERENCES, PROBLEMS, Change, Outcome, Status, TableRows
from isthmus.errors import ConfigError, ConflictError, DataError, did_you_mean

SUFFIXES = {"csv": ".csv", "jsonl": ".jsonl", "parquet": ".parquet"}


@contextmanager
def locked(root: Path) -> Iterator[None]:
    """Hold the folder alone; the lock is the kernel's and goes with the process."""
    handle = os.open(root, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def target(settings: Settings, table: str, files: Sequence[File]) -> Path:
    """Return the file a table is written to; raises ConfigError where it cannot be one file below the root."""
    name = table + SUFFIXES[settings.format]
    if files:
        if len(files) > 1 or "/" in files[0].name or files[0].zipped:
            raise ConfigError(
                f'Table "{table}" is made of parts or an archive; only a single plain file is written to.'
            )
        return files[0].path
    if not NAME.match(table) or not matches(name, settings.patterns):
        raise ConfigError(f'"{name}" is no name for a new file here; it must match the pattern of the connection.')
    return settings.root / name


def write(settings: Settings, change: Change, files: Mapping[str, tuple[File, ...]]) -> Outcome:
    """Apply a change; one status per position.  The caller holds the folder's lock.

    Each table's file is replaced whole or not at all; several tables are replaced one after the other.
    Raises DataError when a file holds rows that cannot be read, for they would be lost.
    """
    cased = {name.casefold(): found for name, found in files.items()}
    targets = [target(settings, rows.table, cased.get(rows.table.casefold(), ())) for rows in change.tables]
    schemas = [_schema(settings, rows, path) for rows, path in zip(change.tables, targets, strict=True)]
    judged = [judge(rows, schema) for rows, schema in zip(change.tables, schemas, strict=True)]
    problems = pa.concat_tables([PROBLEMS.empty_table(), *(found for _, found in judged)])
    refused = problems["position"].unique()
    merges = [
        Merge(rows, accepted(rows, wanted, refused), schema)
        for rows, (wanted, _), schema in zip(change.tables, judged, schemas, strict=True)
    ]
    _apply(settings, change, list(zip(merges, targets, strict=True)))
    found = [table for merge in merges for table in merge.differences] if change.dry_run else []
    return Outcome(
        _statuses(change.size, merges, refused),
        problems,
        pa.concat_tables([DIFFERENCES.empty_table(), *found]) if change.dry_run else None,
        counts={name: count for merge in merges for name, count in _counts(merge).items()},
    )


def _apply(settings: Settings, change: Change, merges: Sequence[tuple[Merge, Path]]) -> None:
    """Write every new file beside its old one, then let them take their names; until then nothing is changed."""
    beside = [(merge, path, path.with_name(f".{path.name}.part")) for merge, path in merges]
    try:
        for merge, path, fresh in beside:
            _rewrite(settings, merge, path, fresh)
        _guard(change, [merge for merge, _ in merges])
        for merge, path, fresh in beside:
            if not change.dry_run and not merge.idle:
                os.replace(fresh, path)
        _settle(settings.root)
    finally:
        for _, _, fresh in beside:
            fresh.unlink(missing_ok=True)


def _guard(change: Change, merges: Sequence[Merge]) -> None:
    """Raise ConflictError when more rows would be updated or deleted than allowed."""
    found = sum(merge.updated + merge.deleted for merge in merges)
    if change.allowance is not None and found > change.allowance and not change.dry_run:
        raise ConflictError(
            f"The package of {change.object} would update or delete {found} rows, {change.allowance} are allowed; "
            "nothing was written. Approve the change, or correct its source."
        )


def _rewrite(settings: Settings, merge: Merge, path: Path, fresh: Path) -> None:
    """Stream the old file through the merge into the new one, then what is added, and force it to disk."""
    reader, notes = format_of(settings), list[Note]()
    with reader.write(fresh, merge.schema) as put:
        if path.exists():
            part = next(iter(parts(File(path.name, path, stamp_of(path)), settings.limits)))
            try:
                for batch, _ in reader.read(part, merge.schema, notes):
                    put(merge.through(batch))
            except FileFault as error:
                raise DataError(f'The file "{path.name}" cannot be rewritten: {error}.') from error
        for batch in merge.added().to_batches(ROWS):
            put(batch)
    if notes:
        raise DataError(
            f'The file "{path.name}" is not rewritten: line {notes[0].line}: {notes[0].message}. Put it right.'
        )
    if isinstance(reader, Jsonl) and not reader.plain and not merge.idle:
        raise DataError(
            f'The file "{path.name}" is not rewritten: it holds numbers or nested values, which a table of texts '
            "could not write back as they are. Write to a file of text members, or to Parquet."
        )
    _to_disk(fresh)


def _schema(settings: Settings, rows: TableRows, path: Path) -> pa.Schema:
    """Return the columns of the target: those of its file, or for a new one those of the rows."""
    given = pa.schema([column for column in rows.rows.schema if column.name != "position"])
    if not path.exists():
        return given if settings.format == "parquet" else pa.schema([(name, pa.string()) for name in given.names])
    try:
        schema = format_of(settings).schema(next(iter(parts(File(path.name, path, stamp_of(path)), settings.limits))))
    except FileFault as error:
        raise DataError(f'The file "{path.name}" cannot be written to: {error}.') from error
    if settings.format == "jsonl":
        return pa.schema([(name, pa.string()) for name in dict.fromkeys([*schema.names, *given.names])])
    unknown = next((name for name in given.names if name not in schema.names), None)
    if unknown is not None:
        hint = did_you_mean(unknown, schema.names)
        raise ConfigError(
            f'The file of table "{rows.table}" has no column "{unknown}".{hint} Add it to the file first.'
        )
    return schema


def _statuses(size: int, merges: Sequence[Merge], refused: pa.ChunkedArray) -> pa.Array:
    """A position is inserted when its row of the first table is new, updated when anything else changed."""
    status: npt.NDArray[np.uint8] = np.full(size, int(Status.UNCHANGED), np.uint8)
    for merge in merges:
        status[merge.touched] = int(Status.UPDATED)
    if merges:
        status[merges[0].position[~merges[0].seen]] = int(Status.INSERTED)
    status[refused.to_numpy()] = int(Status.REJECTED)
    return pa.array(status, pa.uint8())


def _counts(merge: Merge) -> Mapping[str, int]:
    counts = {"inserted": int((~merge.seen).sum()), "updated": merge.updated, "deleted": merge.deleted}
    return {f"{merge.rows.table}.{name}": count for name, count in counts.items() if count}


def _to_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _settle(folder: Path) -> None:
    """Force the new names to disk."""
    _to_disk(folder)
