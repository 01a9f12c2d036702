"""What the suite works on: a scratch object, its rows, the changes and queries made of them; the fixtures."""

from __future__ import annotations

import decimal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pytest

from isthmus.connector import (
    PROBLEMS,
    Change,
    ColumnRef,
    Connector,
    KeyRange,
    Outcome,
    Query,
    Receipt,
    Source,
    TableRows,
)

Place = Callable[[str, pa.Table], None]


@dataclass(frozen=True, slots=True)
class Scratch:
    """The object the suite works on, by the names it has in the system under test.

    The root has a text key of 10 characters, a text of at least 40, a text of 8 (a day) and, unless `number` is
    None, a decimal of `digits` digits, `scale` of them after the point.  The list (`item`, or None) has the key
    (`key`, `line`: text of 3) and a text `value`.  Nothing but the key is required.
    """

    table: str = "SCRATCH"
    key: str = "ID"
    text: str = "NAME"
    day: str = "DAY"
    number: str | None = "AMOUNT"
    digits: int = 31
    scale: int = 14
    item: str | None = "SCRATCH_ITEM"
    line: str = "LINE"
    value: str = "VALUE"


def ids(count: int) -> list[str]:
    """Return keys with zeros in front: 0000000001 and on."""
    return [f"{number:010d}" for number in range(1, count + 1)]


class Material:
    """The fixtures a subclass gives, and the rows and changes that the tests are made of."""

    @pytest.fixture
    def connector(self) -> Iterator[Connector]:
        """Give an open connector on a system that holds the scratch object, empty."""
        raise NotImplementedError("give a fixture `connector`: an open connector on a scratch system")

    @pytest.fixture
    def place(self) -> Place:
        """Give a function that puts these rows into a table, past the connector; the table is empty before."""
        raise NotImplementedError("give a fixture `place`: put rows into a table, past the connector")

    @pytest.fixture
    def scratch(self) -> Scratch:
        """Give the names of the scratch object."""
        return Scratch()

    @pytest.fixture
    def unreachable(self) -> tuple[Connector, str] | None:
        """Give a connector to nowhere and the secret it was given, or None where there is no such thing."""
        return None

    @pytest.fixture
    def writer(self, connector: Connector) -> Connector:
        """Give the connector if it claims to write."""
        if not connector.capabilities().write:
            pytest.skip("reads only")
        return connector

    @pytest.fixture
    def keeper(self, writer: Connector) -> Connector:
        """Give the connector if it claims to keep receipts."""
        if writer.capabilities().journal != "schema":
            pytest.skip("keeps no receipts")
        return writer

    def query(self, scratch: Scratch) -> Query:
        """Ask for every column of the scratch object."""
        names = [scratch.key, scratch.text, scratch.day, *([scratch.number] if scratch.number else [])]
        columns = tuple(ColumnRef("A", name) for name in names)
        return Query((Source("A", scratch.table),), columns, (columns[0],))

    def rows(
        self, scratch: Scratch, keys: Sequence[str], texts: Sequence[str] = (), days: Sequence[str] = ()
    ) -> pa.Table:
        """Make rows of the scratch object; numbers are as long as they may be."""
        count = len(keys)
        columns: dict[str, Any] = {
            scratch.key: pa.array(list(keys), pa.string()),
            scratch.text: pa.array(list(texts) or ["n"] * count, pa.string()),
            scratch.day: pa.array(list(days) or [""] * count, pa.string()),
        }
        if scratch.number:
            whole = scratch.digits - scratch.scale
            longest = decimal.Decimal("9" * whole + ("." + "8" * scratch.scale if scratch.scale else ""))
            numbers = [longest, -longest, decimal.Decimal(0), None] * (count // 4 + 1)
            columns[scratch.number] = pa.array(numbers[:count], pa.decimal128(scratch.digits, scratch.scale))
        return pa.table(columns)

    def items(self, scratch: Scratch, lines: Sequence[tuple[str, str | None, str | None]]) -> pa.Table:
        """Make rows of the list."""
        columns = list(zip(*lines, strict=True)) or [(), (), ()]
        names = [scratch.key, scratch.line, scratch.value]
        return pa.table([pa.array(list(column), pa.string()) for column in columns], names=names)

    def change(
        self,
        scratch: Scratch,
        rows: pa.Table,
        *,
        receipt: Receipt | None = None,
        fill: bool = False,
        dry_run: bool = False,
        initial: tuple[str, ...] = (),
        shared: bool = False,
        canonical: dict[str, Any] | None = None,
    ) -> Change:
        """Make a change of the root alone, one position per row."""
        written = tuple(name for name in rows.column_names if name not in initial)
        spec = TableRows(
            scratch.table,
            positioned(rows, range(rows.num_rows)),
            (scratch.key,),
            written,
            initial,
            canonical or {},
            shared=shared,
        )
        return Change("scratch", rows.num_rows, (spec,), receipt, fill, dry_run)

    def listed(
        self,
        scratch: Scratch,
        root: pa.Table,
        lines: Sequence[tuple[str, str | None, str | None]],
        positions: Sequence[int],
    ) -> Change:
        """Make a change of the root and its lists."""
        if scratch.item is None:
            pytest.skip("there are no lists")
        items = TableRows(
            scratch.item,
            positioned(self.items(scratch, lines), positions),
            (scratch.key, scratch.line),
            (scratch.value,),
            scope=(scratch.key,),
            missing="delete",
        )
        change = self.change(scratch, root)
        return replace(change, tables=(*change.tables, items))

    def table(self, blocks: Iterator[pa.RecordBatch]) -> pa.Table:
        """Gather blocks; no block is an empty table."""
        found = list(blocks)
        return pa.Table.from_batches(found) if found else pa.table({})

    def column(self, blocks: Iterator[pa.RecordBatch], name: str) -> list[Any]:
        """Gather one column."""
        return [value for block in blocks for value in block.column(f"A.{name}").to_pylist()]

    def all(self, connector: Connector, scratch: Scratch) -> pa.Table:
        """Read the whole scratch object."""
        return self.table(connector.read(self.query(scratch), KeyRange()))

    def lines(self, connector: Connector, scratch: Scratch) -> list[tuple[str, str]]:
        """Read the keys of the list."""
        key = tuple(ColumnRef("A", name) for name in (scratch.key, scratch.line))
        read = connector.read(Query((Source("A", scratch.item or ""),), key, key), KeyRange())
        return [tuple(row.values()) for row in self.table(read).to_pylist()]

    def same(self, read: pa.Table, expected: pa.Table, scratch: Scratch) -> None:
        """Assert that the rows read are these, value by value."""
        assert [tuple(row.values()) for row in read.to_pylist()] == [tuple(r.values()) for r in expected.to_pylist()]

    def well_formed(self, outcome: Outcome, size: int) -> None:
        """Assert that an outcome has the shape the protocol gives it."""
        assert outcome.status.type == pa.uint8() and len(outcome.status) == size
        assert outcome.problems.schema.equals(PROBLEMS)


def positioned(rows: pa.Table, positions: Sequence[int]) -> pa.RecordBatch:
    """Return rows as one block with the position each belongs to."""
    table = rows.append_column("position", pa.array(list(positions), pa.int32())).combine_chunks()
    batches = table.to_batches()
    return batches[0] if batches else pa.RecordBatch.from_pylist([], table.schema)
