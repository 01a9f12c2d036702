"""What a connector keeps that claims to write on the condition of what was read."""

# ruff: noqa: D102 - the names of the tests are sentences

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pyarrow as pa
import pytest

from isthmus.conformance.material import Material, Scratch, ids, positioned
from isthmus.connector import Connector, Receipt, Standing, Status


class Conditional(Material):
    """Conflicts cost the position they are of, in every table, and nothing else."""

    @pytest.fixture
    def conditional(self, writer: Connector) -> Connector:
        """Give the connector if it claims to write conditionally."""
        if not writer.capabilities().conditional:
            pytest.skip("writes without condition only")
        return writer

    def stood(self, scratch: Scratch, rows: pa.Table, absent: Sequence[int] = ()) -> Standing:
        """Say that these rows of the root stood there, one position each, and none for the absent ones."""
        there = [position for position in range(rows.num_rows) if position not in absent]
        batch = positioned(rows.take(pa.array(there, pa.int64())), there)
        return Standing(scratch.table, (scratch.key,), batch, pa.array(list(absent), pa.int32()))

    def test_what_stands_as_it_was_read_is_written(self, conditional: Connector, scratch: Scratch) -> None:
        first = self.rows(scratch, ids(4), texts=["trailing  ", "", "O'Neil", "\U0001f600"])
        conditional.write(self.change(scratch, first))
        read = self.all(conditional, scratch).rename_columns(first.column_names)
        wanted = self.rows(scratch, ids(4), texts=["a", "b", "c", "d"])
        change = replace(self.change(scratch, wanted), standing=(self.stood(scratch, read),))
        outcome = conditional.write(change)
        self.well_formed(outcome, 4)
        assert outcome.status.to_pylist() == [Status.UPDATED] * 4
        self.same(self.all(conditional, scratch), wanted, scratch)

    def test_a_row_that_changed_since_it_was_read_is_left_alone_and_the_others_are_written(
        self, conditional: Connector, scratch: Scratch
    ) -> None:
        first = self.rows(scratch, ids(3))
        conditional.write(self.change(scratch, first))
        conditional.write(self.change(scratch, self.rows(scratch, ids(3), texts=["n", "theirs", "n"])))
        ours = self.rows(scratch, ids(3), texts=["ours", "ours", "ours"])
        for dry_run in (True, False):
            change = self.change(scratch, ours, dry_run=dry_run)
            outcome = conditional.write(replace(change, standing=(self.stood(scratch, first),)))
            self.well_formed(outcome, 3)
            assert outcome.status.to_pylist() == [Status.UPDATED, Status.CONFLICT, Status.UPDATED]
            assert outcome.problems.select(["position", "table", "column", "code"]).to_pylist() == [
                {"position": 1, "table": scratch.table, "column": scratch.text, "code": "changed meanwhile"}
            ]
            assert "theirs" not in str(outcome.problems.to_pylist())
        texts = self.all(conditional, scratch).column(f"A.{scratch.text}").to_pylist()
        assert texts == ["ours", "theirs", "ours"]

    def test_a_change_that_is_there_already_conflicts_as_any_other(
        self, conditional: Connector, scratch: Scratch
    ) -> None:
        conditional.write(self.change(scratch, self.rows(scratch, ids(1), texts=["same"])))
        change = self.change(scratch, self.rows(scratch, ids(1), texts=["same"]))
        standing = self.stood(scratch, self.rows(scratch, ids(1)))
        outcome = conditional.write(replace(change, standing=(standing,)))
        assert outcome.status.to_pylist() == [Status.CONFLICT]

    def test_a_row_that_is_gone_is_not_made_again(self, conditional: Connector, scratch: Scratch) -> None:
        both = self.rows(scratch, ids(2))
        conditional.write(self.change(scratch, self.rows(scratch, ids(1))))
        outcome = conditional.write(
            replace(self.change(scratch, both), standing=(self.stood(scratch, both),))  # the second never stood
        )
        assert outcome.status.to_pylist() == [Status.UNCHANGED, Status.CONFLICT]
        assert self.all(conditional, scratch).num_rows == 1

    def test_a_row_that_appeared_where_none_stood_is_not_overwritten(
        self, conditional: Connector, scratch: Scratch
    ) -> None:
        conditional.write(self.change(scratch, self.rows(scratch, ids(1), texts=["theirs"])))
        ours = self.rows(scratch, ids(2), texts=["ours", "ours"])
        by_position = self.stood(scratch, ours, absent=[0, 1])
        keys = positioned(ours.select([scratch.key]), [0, 1])
        for standing in (by_position, replace(by_position, absent=None, absent_keys=keys)):
            change = replace(self.change(scratch, ours, dry_run=True), standing=(standing,))
            assert conditional.write(change).status.to_pylist() == [Status.CONFLICT, Status.INSERTED]
        outcome = conditional.write(replace(self.change(scratch, ours), standing=(by_position,)))
        assert outcome.status.to_pylist() == [Status.CONFLICT, Status.INSERTED]
        assert self.all(conditional, scratch).column(f"A.{scratch.text}").to_pylist() == ["theirs", "ours"]

    def test_a_conflict_in_one_table_leaves_the_position_alone_in_all(
        self, conditional: Connector, scratch: Scratch
    ) -> None:
        first, second = ids(2)
        root, lines = self.rows(scratch, ids(2)), [(first, "001", "a"), (second, "001", "b")]
        conditional.write(self.listed(scratch, root, lines, [0, 1]))
        conditional.write(self.listed(scratch, root, [(first, "001", "theirs"), (second, "001", "b")], [0, 1]))
        ours = self.rows(scratch, ids(2), texts=["ours", "ours"])
        change = self.listed(scratch, ours, [(first, "001", "ours"), (second, "001", "ours")], [0, 1])
        items = Standing(
            scratch.item or "", (scratch.key, scratch.line), positioned(self.items(scratch, lines), [0, 1])
        )
        outcome = conditional.write(replace(change, standing=(self.stood(scratch, root), items)))
        assert outcome.status.to_pylist() == [Status.CONFLICT, Status.UPDATED]
        assert self.all(conditional, scratch).column(f"A.{scratch.text}").to_pylist() == ["n", "ours"]

    def test_a_row_that_joined_a_list_is_not_deleted_unseen(self, conditional: Connector, scratch: Scratch) -> None:
        first, second, third = ids(3)
        root, lines = self.rows(scratch, ids(3)), [(first, "001", "a"), (second, "001", "b")]
        theirs = [*lines, (second, "002", "theirs"), (third, "001", "theirs")]
        conditional.write(self.listed(scratch, root, theirs, [0, 1, 1, 2]))
        fewer = [(first, None, None), (second, None, None), (third, None, None)]
        key = (scratch.key, scratch.line)
        stood = positioned(self.items(scratch, lines), [0, 1])
        items = Standing(scratch.item or "", key, stood, absent=pa.array([2], pa.int32()))
        change = self.listed(scratch, root, fewer, [0, 1, 2])
        outcome = conditional.write(replace(change, standing=(items,)))
        assert outcome.status.to_pylist() == [Status.UPDATED, Status.CONFLICT, Status.CONFLICT]
        assert self.lines(conditional, scratch) == [(second, "001"), (second, "002"), (third, "001")]

    def test_a_conflict_does_not_keep_the_receipt_from_being_left(
        self, keeper: Connector, conditional: Connector, scratch: Scratch
    ) -> None:
        conditional.write(self.change(scratch, self.rows(scratch, ids(1), texts=["theirs"])))
        ours = self.rows(scratch, ids(2), texts=["ours", "ours"])
        receipt = Receipt("run", "1", 1, "digest")
        change = replace(
            self.change(scratch, ours, receipt=receipt), standing=(self.stood(scratch, ours, absent=[0, 1]),)
        )
        assert conditional.write(change).status.to_pylist() == [Status.CONFLICT, Status.INSERTED]
        assert keeper.receipts("run")["1"].counts == {f"{scratch.table}.inserted": 1}
        assert conditional.write(change).already
