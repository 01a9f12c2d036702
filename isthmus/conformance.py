"""What every connector must keep, as a pytest class to inherit: it reads the capabilities and tests what is claimed.

class TestMine(ConnectorSuite):
    @pytest.fixture
    def connector(self): ...       # open, on a scratch system
    @pytest.fixture
    def place(self): ...           # puts rows into a scratch object, past the connector
"""

# ruff: noqa: D102 - the names of the tests are sentences

from __future__ import annotations

import decimal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pytest

from isthmus.connector import (
    DIFFERENCES,
    PROBLEMS,
    Change,
    ColumnRef,
    Comparison,
    Connector,
    KeyRange,
    Keys,
    Outcome,
    Query,
    Receipt,
    Source,
    Status,
    TableRows,
)
from isthmus.errors import ConflictError, IsthmusError

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


class ConnectorSuite:
    """The suite; a subclass gives the fixtures `connector` and `place`, and others where they differ."""

    # --- fixtures ------------------------------------------------------------------------------------------------

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

    # --- describe --------------------------------------------------------------------------------------------------

    def test_describe_is_stable_and_finds_a_table_whatever_its_case(
        self, connector: Connector, scratch: Scratch
    ) -> None:
        table = connector.describe(scratch.table)
        assert connector.describe(scratch.table.lower()) == table == connector.describe(scratch.table.upper())
        assert [name.casefold() for name in table.key] == [scratch.key.casefold()]
        assert table.column(scratch.text) is not None
        assert len({column.name for column in table.columns}) == len(table.columns)

    def test_discover_lists_the_table_in_a_stable_order(self, connector: Connector, scratch: Scratch) -> None:
        found = connector.discover()
        assert scratch.table.casefold() in [name.casefold() for name in found]
        assert found == connector.discover()

    def test_a_table_that_is_not_there_is_refused_with_the_nearest_name(
        self, connector: Connector, scratch: Scratch
    ) -> None:
        with pytest.raises(IsthmusError, match="Did you mean"):
            connector.describe(f"{scratch.table}S_")

    def test_extreme_values_come_back_as_they_are(self, connector: Connector, scratch: Scratch, place: Place) -> None:
        texts = [
            "0000",
            "",
            "trailing  ",
            "  leading",
            "O'Neil; --",
            'say "no"',
            "back\\slash \\N",
            "tab\tline\nend",
            "𝒳 \U0001f600 é",
            "NULL",
            "x" * 40,
            "a,b|c;d",
        ]
        days = ["99991231", "00000000", "", "20240229", *[""] * 8]
        rows = self.rows(scratch, ids(12), texts, days)
        place(scratch.table, rows)
        self.same(self.all(connector, scratch), rows, scratch)

    # --- read ------------------------------------------------------------------------------------------------------

    def test_the_partitions_together_are_the_whole_without_overlap(
        self, connector: Connector, scratch: Scratch, place: Place
    ) -> None:
        place(scratch.table, self.rows(scratch, ids(25)))
        query = self.query(scratch)
        parts = connector.partitions(query, 10)
        read = [self.column(connector.read(query, part), scratch.key) for part in parts]
        assert [key for keys in read for key in keys] == ids(25)
        assert [part.rows for part in parts] == [len(keys) for keys in read]
        assert parts[0].low is None and parts[-1].high is None
        assert [part.high for part in parts[:-1]] == [part.low for part in parts[1:]]
        assert len({part.low for part in parts}) == len(parts)

    def test_partitions_of_a_range_stay_within_it(self, connector: Connector, scratch: Scratch, place: Place) -> None:
        place(scratch.table, self.rows(scratch, ids(25)))
        within = KeyRange((ids(25)[4],), (ids(25)[20],))
        parts = connector.partitions(self.query(scratch), 5, within)
        assert (parts[0].low, parts[-1].high) == (within.low, within.high)
        assert sum(part.rows or 0 for part in parts) == 16

    def test_an_empty_table_is_one_range_without_rows(
        self, connector: Connector, scratch: Scratch, place: Place
    ) -> None:
        place(scratch.table, self.rows(scratch, []))
        assert connector.partitions(self.query(scratch), 10) == [KeyRange(None, None, 0)]
        assert self.column(connector.read(self.query(scratch), KeyRange()), scratch.key) == []

    def test_rows_come_ordered_by_key(self, connector: Connector, scratch: Scratch, place: Place) -> None:
        place(scratch.table, self.rows(scratch, ids(30)[::-1]))
        assert self.column(connector.read(self.query(scratch), KeyRange()), scratch.key) == ids(30)

    def test_a_range_and_its_keys_give_the_same_rows(
        self, connector: Connector, scratch: Scratch, place: Place
    ) -> None:
        place(scratch.table, self.rows(scratch, ids(20)))
        query = self.query(scratch)
        ranged = self.table(connector.read(query, KeyRange((ids(20)[5],), (ids(20)[9],))))
        keyed = self.table(connector.read(query, Keys((pa.array(ids(20)[5:9][::-1]),))))
        assert ranged.num_rows == 4
        assert ranged.equals(keyed)

    def test_a_key_asked_for_twice_comes_once_and_an_unknown_one_not_at_all(
        self, connector: Connector, scratch: Scratch, place: Place
    ) -> None:
        place(scratch.table, self.rows(scratch, ids(3)))
        keys = Keys((pa.array([ids(3)[1], ids(3)[1], "nobody", "o'b\"r\\"]),))
        assert self.column(connector.read(self.query(scratch), keys), scratch.key) == [ids(3)[1]]

    def test_only_the_columns_asked_for_come_under_the_names_asked_for(
        self, connector: Connector, scratch: Scratch, place: Place
    ) -> None:
        place(scratch.table, self.rows(scratch, ids(2)))
        columns = (ColumnRef("A", scratch.day), ColumnRef("A", scratch.text))
        read = self.table(connector.read(replace(self.query(scratch), columns=columns), KeyRange()))
        assert read.column_names == [f"A.{scratch.day}", f"A.{scratch.text}"]

    def test_an_unknown_column_is_refused_with_the_nearest_name(self, connector: Connector, scratch: Scratch) -> None:
        query = replace(self.query(scratch), columns=(ColumnRef("A", f"{scratch.text}S"),))
        with pytest.raises(IsthmusError, match="Did you mean"):
            list(connector.read(query, KeyRange()))

    def test_a_filter_is_applied_or_refused_but_never_dropped(
        self, connector: Connector, scratch: Scratch, place: Place
    ) -> None:
        place(scratch.table, self.rows(scratch, ids(6), days=["99991231", "", "00000000", "20240101", "", "x"]))
        day = ColumnRef("A", scratch.day)
        expected = {
            Comparison(day, "is blank"): [2, 3, 5],
            Comparison(day, "is set"): [1, 4, 6],
            Comparison(day, "=", "x"): [6],
            Comparison(day, "<>", "x"): [1, 2, 3, 4, 5],
            Comparison(day, "in", ("x", "20240101")): [4, 6],
            Comparison(day, ">=", "20240101"): [1, 4, 6],
        }
        for comparison, numbers in expected.items():
            query = replace(self.query(scratch), where=(comparison,))
            if not connector.capabilities().filters:
                with pytest.raises(IsthmusError):
                    list(connector.read(query, KeyRange()))
                continue
            assert self.column(connector.read(query, KeyRange()), scratch.key) == [ids(6)[n - 1] for n in numbers]

    def test_joined_tables_are_tied_and_a_missing_row_leaves_nulls(
        self, connector: Connector, scratch: Scratch, place: Place
    ) -> None:
        if not connector.capabilities().joins or scratch.item is None:
            pytest.skip("joins nothing")
        place(scratch.table, self.rows(scratch, ids(3)))
        place(
            scratch.item,
            self.items(scratch, [(ids(3)[0], "001", "a"), (ids(3)[0], "002", "b"), (ids(3)[2], "001", "c")]),
        )
        on = (Comparison(ColumnRef("I", scratch.key), "=", ColumnRef("A", scratch.key)),)
        query = self.query(scratch)
        query = replace(
            query,
            sources=(*query.sources, Source("I", scratch.item, on)),
            columns=(ColumnRef("A", scratch.key), ColumnRef("I", scratch.value)),
        )
        read = self.table(connector.read(query, KeyRange())).to_pylist()
        values = sorted((row[f"A.{scratch.key}"], row[f"I.{scratch.value}"] or "-") for row in read)
        assert values == [(ids(3)[0], "a"), (ids(3)[0], "b"), (ids(3)[1], "-"), (ids(3)[2], "c")]

    def test_distinct_gives_each_combination_once(self, connector: Connector, scratch: Scratch, place: Place) -> None:
        place(scratch.table, self.rows(scratch, ids(4), texts=["a", "b", "a", "b"]))
        name = ColumnRef("A", scratch.text)
        query = replace(self.query(scratch), columns=(name,), key=(name,), distinct=True)
        assert self.column(connector.read(query, KeyRange()), scratch.text) == ["a", "b"]

    def test_no_block_is_larger_than_declared(self, connector: Connector, scratch: Scratch, place: Place) -> None:
        place(scratch.table, self.rows(scratch, ids(500)))
        limits = connector.capabilities()
        blocks = list(connector.read(self.query(scratch), KeyRange()))
        assert sum(block.num_rows for block in blocks) == 500
        assert all(block.num_rows <= limits.max_rows and block.nbytes <= limits.max_bytes for block in blocks)

    # --- write -----------------------------------------------------------------------------------------------------

    def test_every_row_has_one_outcome_in_order_and_arrives(self, writer: Connector, scratch: Scratch) -> None:
        rows = self.rows(scratch, ids(5)[::-1])
        outcome = writer.write(self.change(scratch, rows))
        self.well_formed(outcome, 5)
        assert outcome.status.to_pylist() == [Status.INSERTED] * 5
        self.same(self.all(writer, scratch), rows.sort_by(scratch.key), scratch)

    def test_a_load_into_empty_tables_arrives_and_may_be_repeated(self, writer: Connector, scratch: Scratch) -> None:
        rows = self.rows(scratch, ids(5))
        assert writer.write(self.change(scratch, rows, fill=True)).status.to_pylist() == [Status.INSERTED] * 5
        assert writer.write(self.change(scratch, rows, fill=True)).status.to_pylist() == [Status.UNCHANGED] * 5
        self.same(self.all(writer, scratch), rows, scratch)

    def test_extreme_values_are_written_as_they_are(self, writer: Connector, scratch: Scratch) -> None:
        texts = [
            "0000",
            "",
            "trailing  ",
            "O'Neil; --",
            'say "no"',
            "back\\slash \\N",
            "tab\tline\nend",
            "\U0001f600 é",
        ]
        for fill, keys in ((True, ids(8)), (False, ids(16)[8:])):
            rows = self.rows(scratch, keys, texts)
            writer.write(self.change(scratch, rows, fill=fill))
            assert writer.write(self.change(scratch, rows)).status.to_pylist() == [Status.UNCHANGED] * 8
        self.same(self.all(writer, scratch), self.rows(scratch, ids(16), texts * 2), scratch)

    def test_a_second_write_is_unchanged_and_writes_nothing(self, writer: Connector, scratch: Scratch) -> None:
        change = self.change(scratch, self.rows(scratch, ids(5)))
        writer.write(change)
        outcome = writer.write(change)
        assert outcome.status.to_pylist() == [Status.UNCHANGED] * 5
        assert dict(outcome.counts) == {}

    def test_only_what_differs_is_written(self, writer: Connector, scratch: Scratch) -> None:
        writer.write(self.change(scratch, self.rows(scratch, ids(4))))
        changed = self.rows(scratch, ids(5), texts=["n", "new", "n", "n", "n"])
        outcome = writer.write(self.change(scratch, changed))
        assert outcome.status.to_pylist() == [0, Status.UPDATED, 0, 0, Status.INSERTED]
        assert sum(outcome.counts.values()) == 2
        self.same(self.all(writer, scratch), changed, scratch)

    def test_a_bad_row_costs_itself_only_and_says_why_without_its_value(
        self, writer: Connector, scratch: Scratch
    ) -> None:
        column = writer.describe(scratch.table).column(scratch.text)
        if column is None or column.length is None:
            pytest.skip("no text has a length")
        secret = "confidential" * (column.length // 10 + 1)
        for fill in (True, False):
            outcome = writer.write(
                self.change(scratch, self.rows(scratch, ids(3), texts=["a", secret, "c"]), fill=fill)
            )
            self.well_formed(outcome, 3)
            assert outcome.status.to_pylist()[1] == Status.REJECTED
            problem = outcome.problems.to_pylist()[0]
            assert (problem["position"], problem["column"], problem["code"]) == (1, scratch.text, "length")
            assert "confidential" not in str(outcome.problems.to_pylist())
        assert self.column(writer.read(self.query(scratch), KeyRange()), scratch.key) == [ids(3)[0], ids(3)[2]]

    def test_a_key_twice_in_one_package_is_refused_the_second_time(self, writer: Connector, scratch: Scratch) -> None:
        keys = [ids(2)[0], ids(2)[1], ids(2)[0]]
        outcome = writer.write(self.change(scratch, self.rows(scratch, keys, texts=["first", "b", "second"])))
        assert outcome.status.to_pylist() == [Status.INSERTED, Status.INSERTED, Status.REJECTED]
        assert outcome.problems["code"].to_pylist() == ["duplicate key in the package"]
        assert self.column(writer.read(self.query(scratch), KeyRange()), scratch.text) == ["first", "b"]

    def test_a_row_that_several_positions_share_is_taken_from_the_first(
        self, writer: Connector, scratch: Scratch
    ) -> None:
        keys = [ids(1)[0]] * 3
        change = self.change(scratch, self.rows(scratch, keys, texts=["first", "b", "c"]), shared=True)
        outcome = writer.write(change)
        assert outcome.status.to_pylist() == [Status.INSERTED, Status.UNCHANGED, Status.UNCHANGED]
        assert self.column(writer.read(self.query(scratch), KeyRange()), scratch.text) == ["first"]
        assert writer.write(change).status.to_pylist() == [Status.UNCHANGED] * 3

    def test_columns_set_on_insert_are_never_overwritten(self, writer: Connector, scratch: Scratch) -> None:
        once = (scratch.day,)
        first = self.rows(scratch, ids(1), days=["20240101"])
        writer.write(self.change(scratch, first, initial=once))
        again = self.rows(scratch, ids(1), texts=["new"], days=["20250101"])
        assert writer.write(self.change(scratch, again, initial=once)).status.to_pylist() == [Status.UPDATED]
        assert self.column(writer.read(self.query(scratch), KeyRange()), scratch.day) == ["20240101"]

    def test_another_spelling_of_the_same_value_is_left_alone(self, writer: Connector, scratch: Scratch) -> None:
        def padded(array: pa.Array) -> pa.Array:
            return pa.compute.utf8_ltrim(array, characters="0")

        writer.write(self.change(scratch, self.rows(scratch, ids(2), texts=["007", "7"])))
        change = self.change(scratch, self.rows(scratch, ids(2), texts=["7", "0008"]), canonical={scratch.text: padded})
        outcome = writer.write(change)
        assert outcome.status.to_pylist() == [Status.UNCHANGED, Status.UPDATED]
        other = self.rows(scratch, ids(2), texts=["7", "8"], days=["20240101", "20240101"])
        writer.write(self.change(scratch, other, canonical={scratch.text: padded}))
        assert self.column(writer.read(self.query(scratch), KeyRange()), scratch.text) == ["007", "0008"]

    def test_rows_of_a_list_that_are_not_wanted_any_more_are_deleted(self, writer: Connector, scratch: Scratch) -> None:
        first, second, third = ids(3)
        root = self.rows(scratch, ids(3))
        lines = [(first, "001", "a"), (first, "002", "b"), (second, "001", "c"), (third, "001", "d")]
        writer.write(self.listed(scratch, root, lines, [0, 0, 1, 2]))
        fewer = [(first, "002", "b"), (second, "001", "c"), (third, None, None)]
        outcome = writer.write(self.listed(scratch, root, fewer, [0, 1, 2]))
        assert outcome.status.to_pylist() == [Status.UPDATED, Status.UNCHANGED, Status.UPDATED]
        assert outcome.counts == {f"{scratch.item}.deleted": 2}
        assert self.lines(writer, scratch) == [(first, "002"), (second, "001")]
        assert dict(writer.write(self.listed(scratch, root, fewer, [0, 1, 2])).counts) == {}

    def test_a_refused_position_leaves_all_its_tables_and_its_list_alone(
        self, writer: Connector, scratch: Scratch
    ) -> None:
        first, second = ids(2)
        root = self.rows(scratch, ids(2))
        writer.write(self.listed(scratch, root, [(first, "001", "a"), (second, "001", "b")], [0, 1]))
        outcome = writer.write(self.listed(scratch, root, [(first, "9" * 50, "x"), (second, "002", "y")], [0, 1]))
        assert outcome.status.to_pylist() == [Status.REJECTED, Status.UPDATED]
        assert self.lines(writer, scratch) == [(first, "001"), (second, "002")]

    def test_a_dry_run_says_what_would_happen_and_writes_nothing(self, writer: Connector, scratch: Scratch) -> None:
        writer.write(self.change(scratch, self.rows(scratch, ids(2))))
        change = self.change(scratch, self.rows(scratch, ids(3), texts=["n", "new", "n"]), dry_run=True)
        outcome = writer.write(change)
        assert outcome.status.to_pylist() == [Status.UNCHANGED, Status.UPDATED, Status.INSERTED]
        assert outcome.differences is not None and outcome.differences.schema.equals(DIFFERENCES)
        shown = {tuple(row.values()) for row in outcome.differences.to_pylist()}
        assert (1, scratch.table, scratch.text, "n", "new") in shown
        self.same(self.all(writer, scratch), self.rows(scratch, ids(2)), scratch)

    # --- receipts --------------------------------------------------------------------------------------------------

    def test_a_package_leaves_a_receipt_and_is_not_written_twice(self, keeper: Connector, scratch: Scratch) -> None:
        receipt = Receipt("run", "1", 1, "digest", {"read": 2})
        keeper.write(self.change(scratch, self.rows(scratch, ids(2)), receipt=receipt))
        found = keeper.receipts("run")["1"]
        assert (found.epoch, found.digest, found.counts["read"]) == (1, "digest", 2)
        assert found.counts[f"{scratch.table}.inserted"] == 2
        other = self.rows(scratch, ids(2), texts=["late", "late"])
        outcome = keeper.write(self.change(scratch, other, receipt=receipt))
        assert outcome.already and len(outcome.status) == 2
        self.same(self.all(keeper, scratch), self.rows(scratch, ids(2)), scratch)
        assert keeper.receipts("another run") == {}

    def test_a_writer_that_was_overtaken_is_fenced_off(self, keeper: Connector, scratch: Scratch) -> None:
        keeper.write(self.change(scratch, self.rows(scratch, ids(1)), receipt=Receipt("run", "1", 2, "digest")))
        late = self.change(scratch, self.rows(scratch, ids(2)), receipt=Receipt("run", "1", 1, "digest"))
        with pytest.raises(ConflictError, match="epoch 2"):
            keeper.write(late)
        newer = self.change(scratch, self.rows(scratch, ids(2)), receipt=Receipt("run", "1", 3, "digest"))
        assert keeper.write(newer).status.to_pylist() == [Status.UNCHANGED, Status.INSERTED]
        assert keeper.receipts("run")["1"].epoch == 3

    def test_a_dry_run_leaves_no_receipt(self, keeper: Connector, scratch: Scratch) -> None:
        receipt = Receipt("run", "1", 1, "digest")
        keeper.write(self.change(scratch, self.rows(scratch, ids(1)), receipt=receipt, dry_run=True))
        assert keeper.receipts("run") == {}

    # --- check -----------------------------------------------------------------------------------------------------

    def test_a_check_of_a_working_system_passes(self, connector: Connector) -> None:
        assert {step.state for step in connector.check()} <= {"ok", "not tried"}
        assert connector.check()[0].state == "ok"

    def test_a_check_never_raises_and_never_shows_a_secret(self, unreachable: tuple[Connector, str] | None) -> None:
        if unreachable is None:
            pytest.skip("there is no such thing as an address that does not answer")
        connector, secret = unreachable
        steps = connector.check()
        assert any(step.state == "failed" for step in steps)
        assert steps[-1].state != "ok"
        assert secret not in str(steps)

    def test_a_connector_may_be_closed_twice(self, connector: Connector) -> None:
        connector.discover()
        connector.close()
        connector.close()

    # --- material --------------------------------------------------------------------------------------------------

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
