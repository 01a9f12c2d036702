"""Which tables a folder holds and what their columns are."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pyarrow as pa

from connectors.files import readings
from connectors.files.formats import format_of, merged
from connectors.files.settings import Settings
from connectors.files.source import File, FileFault, Note, find, parts
from isthmus.connector import Column, Table
from isthmus.errors import ConfigError, did_you_mean

NAME = re.compile(r"^[^\W.][\w\-#$ ]{0,99}$")


def tables(settings: Settings, before_ns: int | None = None) -> tuple[Mapping[str, tuple[File, ...]], list[Note]]:
    """Return the files of each table, tables by name; and a note for every file that leads out of the root.

    A file is the table of its stem, a folder of part files the table of the folder's name; meter data of all
    folders is the one table `readings`.  Raises ConfigError when the folder is not there.
    """
    if not settings.root.is_dir():
        raise ConfigError(f'The folder "{settings.root.name}" of the files connection is not there or is no folder.')
    found, outside = find(settings.root, settings.patterns, before_ns=before_ns)
    notes = [
        Note(name, 1, "outside", "the name leads out of the folder by a link; it is not followed") for name in outside
    ]
    if settings.format == "nem12":
        return {readings.READINGS: tuple(found)}, notes
    grouped: dict[str, list[File]] = {}
    for file in found:
        grouped.setdefault(file.name.split("/")[0] if "/" in file.name else file.path.stem, []).append(file)
    return {name: tuple(grouped[name]) for name in sorted(grouped)}, notes


def describe(settings: Settings, table: str, files: Mapping[str, tuple[File, ...]]) -> Table:
    """Describe a table of those found; raises ConfigError when its files or its key cannot be read."""
    if settings.format == "nem12":
        return readings.TABLE
    schema = _schema(settings, table, files[table])
    key = tuple(_key_column(table, name, schema) for name in settings.key(table))
    return Table(table, tuple(_column(field, field.name in key) for field in schema), key)


def named(table: str, files: Mapping[str, tuple[File, ...]]) -> str:
    """Return the table of that name, else the one whose name differs in case only; raises ConfigError."""
    if table in files:
        return table
    found = [name for name in files if name.casefold() == table.casefold()]
    if len(found) != 1:
        raise ConfigError(f'The folder holds no table "{table}".{did_you_mean(table, files)}')
    return found[0]


def _schema(settings: Settings, table: str, files: tuple[File, ...]) -> pa.Schema:
    """Return the columns of the first readable part; of JSON lines, those of all parts."""
    reader, found, fault = format_of(settings), [], "it holds no file"
    known = pa.schema([(name, pa.string()) for name in settings.columns.get(table, settings.columns.get("*", ()))])
    for file in files:
        try:
            for part in parts(file, settings.limits):
                if part.fault is None:
                    found.append(reader.schema(part))
                    if settings.format != "jsonl":
                        return found[0]
        except FileFault as error:
            fault = str(error)
    if not found:
        raise ConfigError(f'No file of table "{table}" can be read: {fault}.')
    return merged([known, *found])


def _key_column(table: str, name: str, schema: pa.Schema) -> str:
    names: dict[str, str] = {one.casefold(): one for one in schema.names}
    if name.casefold() not in names:
        raise ConfigError(f'Table "{table}" has no column "{name}" of its key.{did_you_mean(name, schema.names)}')
    return names[name.casefold()]


def _column(field: pa.Field, key: bool) -> Column:
    decimal = pa.types.is_decimal(field.type)
    return Column(
        field.name,
        field.type,
        nullable=field.nullable and not key,
        precision=field.type.precision if decimal else None,
        scale=field.type.scale if decimal else None,
    )
