"""CSV, JSON lines and Parquet as streams of record batches, and back.  Text stays the text it is in the file."""

from __future__ import annotations

import csv
import io
import json
import operator
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from connectors.files.settings import Settings
from connectors.files.source import FileFault, Note, Part

BLOCK = 4 << 20  # characters or bytes read at a time; a longer line is refused, and a CSV row of a quarter of it
ROWS = 16_384


class Number(str):
    """A number of a JSON line, kept in the very digits it is written with."""


def lines(part: Part, encoding: str) -> Iterator[list[str]]:
    """Yield the lines of a text file in blocks, without their ends; raises FileFault for another encoding."""
    rest = ""
    try:
        with part.open() as stream, io.TextIOWrapper(stream, encoding, newline="") as text:
            first = True
            while block := text.read(BLOCK):
                block, first = (block.removeprefix("\ufeff") if first else block), False
                head, end, rest = (rest + block).rpartition("\n")
                if len(rest) > BLOCK:
                    raise FileFault("line_length", f"a line is longer than {BLOCK} characters")
                if end:
                    yield head.split("\n")
    except UnicodeError as error:
        raise FileFault(
            "encoding", f"the file is not {encoding} text; declare its encoding in the connection"
        ) from error
    if rest:
        yield [rest]


class Format(Protocol):
    """How one kind of file is read and written."""

    def schema(self, part: Part) -> pa.Schema:
        """Return the columns of a part; raises FileFault when it cannot be read."""

    def read(self, part: Part, schema: pa.Schema, notes: list[Note]) -> Iterator[tuple[pa.RecordBatch, Numbering]]:
        """Yield the rows of a part and how they are numbered; rows of the wrong shape go to `notes`."""

    def write(self, path: Path, schema: pa.Schema) -> AbstractContextManager[Callable[[pa.RecordBatch], None]]:
        """Open a new file for rows of a schema, and yield what writes a batch."""


Numbering = Callable[[int], int]


class Csv:
    """CSV with a header.  An empty field is missing, a quoted empty field is an empty text; nothing is guessed."""

    def __init__(self, settings: Settings) -> None:
        self._encoding = settings.encoding
        self._delimiter = settings.delimiter

    def schema(self, part: Part) -> pa.Schema:
        """Return the columns the header names, all text."""
        try:
            with part.open() as stream, io.TextIOWrapper(stream, self._encoding, newline="") as text:
                header = next(csv.reader(iter(lambda: text.readline(BLOCK), ""), delimiter=self._delimiter), [])
        except (UnicodeError, csv.Error) as error:
            raise FileFault("encoding", f"the header is not {self._encoding} text with the delimiter given") from error
        names = [name.removeprefix("\ufeff").strip() for name in header]
        if not names or not all(names):
            raise FileFault("header_missing", "the header is missing or leaves a column without a name")
        if len({name.casefold() for name in names}) < len(names):
            raise FileFault("header_twice", "the header names a column twice")
        return pa.schema([(name, pa.string()) for name in names])

    def read(self, part: Part, schema: pa.Schema, notes: list[Note]) -> Iterator[tuple[pa.RecordBatch, Numbering]]:
        """Yield the rows in the order of the schema; a row with another number of fields goes to `notes`."""
        names = self.schema(part).names
        if sorted(names) != sorted(schema.names):
            raise FileFault("header_other", "the header names other columns than the first file of the table")
        skipped: list[int] = []

        def odd(row: Any) -> str:
            skipped.append(row.number)
            message = f"the row has {row.actual_columns} fields, the header has {row.expected_columns}"
            notes.append(Note(part.name, row.number, "field_count", message))
            return "skip"

        read = pacsv.ReadOptions(
            use_threads=False, block_size=BLOCK // 4, column_names=names, skip_rows=1, encoding=self._encoding
        )
        parse = pacsv.ParseOptions(delimiter=self._delimiter, newlines_in_values=True, invalid_row_handler=odd)
        convert = pacsv.ConvertOptions(
            column_types={name: pa.string() for name in names},
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            null_values=[""],
            include_columns=schema.names,
        )
        try:
            with part.open() as stream, pacsv.open_csv(stream, read, parse, convert) as reader:
                done = 0
                for batch in reader:
                    yield batch, partial(_numbered, skipped, done)
                    done += batch.num_rows
        except (UnicodeError, pa.ArrowInvalid) as error:
            if "Empty CSV file" in str(error):
                return
            if isinstance(error, UnicodeError) or "UTF8" in str(error):
                raise FileFault("encoding", f"the file is not {self._encoding} text; declare its encoding") from error
            raise FileFault("unreadable", "the file cannot be cut into rows; check delimiter and quotes") from error

    @contextmanager
    def write(self, path: Path, schema: pa.Schema) -> Iterator[Callable[[pa.RecordBatch], None]]:
        """Open a new CSV; every text is quoted, what is missing is left empty, nothing is put before a `=`."""
        options = pacsv.WriteOptions(delimiter=self._delimiter, quoting_style="needed")
        with pacsv.CSVWriter(str(path), schema, write_options=options) as writer:
            yield writer.write_batch


def _numbered(skipped: list[int], before: int, at: int) -> int:
    """Return the number in the file, header included, of a row of a block, the rows before it being counted."""
    number = before + at + 2
    for other in sorted(skipped):
        number += other <= number
    return number


class Jsonl:
    """JSON lines: one object a line.  Numbers keep their digits as text; a missing or null member is missing."""

    def __init__(self, settings: Settings) -> None:
        self._encoding = settings.encoding
        self.plain = True  # False once a value was met that is not a text: it cannot be written back as it was

    def schema(self, part: Part) -> pa.Schema:
        """Return every member named in any line, in the order they are met, all text."""
        names: dict[str, None] = {}
        for block in lines(part, self._encoding):
            for row, _ in self._rows(part, block, 0, []):
                names.update(dict.fromkeys(row))
        return pa.schema([(name, pa.string()) for name in names])

    def read(self, part: Part, schema: pa.Schema, notes: list[Note]) -> Iterator[tuple[pa.RecordBatch, Numbering]]:
        """Yield the rows; a line that is no object goes to `notes`."""
        before = 0
        for block in lines(part, self._encoding):
            found = list(self._rows(part, block, before, notes))
            columns = [pa.array([self._text(row.get(name)) for row, _ in found], pa.string()) for name in schema.names]
            numbers = [number for _, number in found]
            yield pa.record_batch(columns, schema=schema), numbers.__getitem__
            before += len(block)

    def _rows(
        self, part: Part, block: list[str], before: int, notes: list[Note]
    ) -> Iterator[tuple[dict[str, Any], int]]:
        # Row by row, because Arrow and DuckDB both read 1.10 as 1.1; the standard decoder keeps the digits.
        for number, line in enumerate(block, before + 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line, parse_float=Number, parse_int=Number)
            except (ValueError, RecursionError):
                row = None
            if isinstance(row, dict):
                yield row, number
            else:
                notes.append(Note(part.name, number, "json", "the line is not one JSON object"))

    def _text(self, value: Any) -> str | None:
        if value is None:
            return None
        self.plain &= type(value) is str
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

    @contextmanager
    def write(self, path: Path, schema: pa.Schema) -> Iterator[Callable[[pa.RecordBatch], None]]:
        """Open a new file; what is missing is left out of its line."""
        with path.open("w", encoding="utf-8", newline="\n") as file:

            def write(batch: pa.RecordBatch) -> None:
                # Row by row: Arrow writes no JSON.  The rows of one block, already in memory.
                for row in batch.to_pylist():
                    kept = {name: value for name, value in row.items() if value is not None}
                    file.write(json.dumps(kept, ensure_ascii=False) + "\n")

            yield write


class Parquet:
    """Parquet, with the types it declares."""

    def schema(self, part: Part) -> pa.Schema:
        """Return the columns with their types."""
        with self._opened(part) as file:
            return file.schema_arrow.remove_metadata()

    def read(self, part: Part, schema: pa.Schema, notes: list[Note]) -> Iterator[tuple[pa.RecordBatch, Numbering]]:
        """Yield the rows; a part whose columns differ from the table's is refused."""
        with self._opened(part) as file:
            found = file.schema_arrow.remove_metadata()
            if (found.names, found.types) != (schema.names, schema.types):
                raise FileFault("header_other", "the file has other columns or types than the first file of the table")
            start = 1
            for batch in file.iter_batches(ROWS):
                yield pa.RecordBatch.from_arrays(batch.columns, schema=schema), partial(operator.add, start)
                start += batch.num_rows

    @contextmanager
    def _opened(self, part: Part) -> Iterator[pq.ParquetFile]:
        try:
            with part.open() as stream:
                if not stream.seekable():
                    raise FileFault("zip_parquet", "Parquet is not read out of an archive; unpack it")
                yield pq.ParquetFile(stream)
        except (pa.ArrowInvalid, OSError) as error:
            raise FileFault("unreadable", "the file is not whole Parquet; it may be cut short") from error

    @contextmanager
    def write(self, path: Path, schema: pa.Schema) -> Iterator[Callable[[pa.RecordBatch], None]]:
        """Open a new file."""
        with pq.ParquetWriter(path, schema) as writer:
            yield writer.write_batch


def format_of(settings: Settings) -> Format:
    """Return how the files of these settings are read and written."""
    kinds: dict[str, Callable[[], Format]] = {
        "csv": lambda: Csv(settings),
        "jsonl": lambda: Jsonl(settings),
        "parquet": Parquet,
    }
    return kinds[settings.format]()


def merged(schemas: Iterable[pa.Schema]) -> pa.Schema:
    """Return the columns of all schemas, in the order they are met."""
    fields: dict[str, pa.Field] = {}
    for schema in schemas:
        for column in schema:
            fields.setdefault(column.name, column)
    return pa.schema(list(fields.values()))
