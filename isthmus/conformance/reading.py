"""What a connector keeps when it describes, cuts and reads."""

# ruff: noqa: D102 - the names of the tests are sentences

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
import pytest

from isthmus.conformance.material import Material, Place, Scratch, ids
from isthmus.connector import (
    ColumnRef,
    Comparison,
    Connector,
    KeyRange,
    Keys,
    Source,
)
from isthmus.errors import IsthmusError


class Reading(Material):
    """Describe, partitions, ranges, keys, filters, joins."""

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

    def test_of_several_tied_rows_the_last_one_is_taken_whole(
        self, connector: Connector, scratch: Scratch, place: Place
    ) -> None:
        if not connector.capabilities().joins or scratch.item is None:
            pytest.skip("joins nothing")
        place(scratch.table, self.rows(scratch, ids(3)))
        lines = [(ids(3)[0], "001", "b"), (ids(3)[0], "003", "c"), (ids(3)[0], "002", "c"), (ids(3)[2], "001", "a")]
        place(scratch.item, self.items(scratch, lines))
        on = (Comparison(ColumnRef("I", scratch.key), "=", ColumnRef("A", scratch.key)),)
        query = self.query(scratch)
        query = replace(
            query,
            sources=(*query.sources, Source("I", scratch.item, on, last=scratch.value)),
            columns=(ColumnRef("A", scratch.key), ColumnRef("I", scratch.value), ColumnRef("I", scratch.line)),
        )
        read = self.table(connector.read(query, KeyRange())).to_pylist()
        assert [tuple(row.values()) for row in read] == [
            (ids(3)[0], "c", "003"),
            (ids(3)[1], None, None),
            (ids(3)[2], "a", "001"),
        ]

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
