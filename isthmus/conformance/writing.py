"""What a connector keeps when it writes; those that only read skip it."""

# ruff: noqa: D102 - the names of the tests are sentences

from __future__ import annotations

import pyarrow as pa
import pytest

from isthmus.conformance.material import Material, Scratch, ids
from isthmus.connector import (
    DIFFERENCES,
    Connector,
    KeyRange,
    Receipt,
    Status,
)
from isthmus.errors import ConflictError


class Writing(Material):
    """Outcomes, differences, refusals, lists, receipts."""

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
