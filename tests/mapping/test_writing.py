"""Ids and their derivatives as a target spells them."""

import uuid

import pyarrow as pa

from isthmus.mapping.compile_write import Columns, _fill_constants
from isthmus.mapping.spec import Catalogue, MappedTable
from isthmus.mapping.writing import hex_of, tagged


def ids(count: int) -> pa.Array:
    return pa.array([uuid.UUID(int=number * 7919).bytes for number in range(count)], pa.binary(16))


def test_an_id_is_spelled_as_32_upper_case_digits() -> None:
    assert hex_of(ids(3)).to_pylist() == [uuid.UUID(int=n * 7919).hex.upper() for n in range(3)]


def test_a_slice_of_ids_is_spelled_as_itself() -> None:
    assert hex_of(ids(9).slice(4, 2)).to_pylist() == hex_of(ids(9)).to_pylist()[4:6]


def test_no_ids_are_no_text() -> None:
    assert hex_of(ids(0)).to_pylist() == []


def test_a_tag_derives_a_second_id_that_stays_the_same() -> None:
    first, again, other = tagged(ids(50), "header"), tagged(ids(50), "header"), tagged(ids(50), "item")
    assert first.equals(again)
    assert not set(first.to_pylist()) & set(other.to_pylist())
    assert len(set(first.to_pylist())) == 50


def test_without_a_tag_the_id_itself_is_meant() -> None:
    assert tagged(ids(4), "").to_pylist() == ids(4).to_pylist()


def test_a_first_row_is_dated_with_the_day_it_was_written() -> None:
    tables = [MappedTable("item", "ITEM", initial={"CREATED_AT": "$today.stamp", "MADE": "$today.date", "BY": "ME"})]
    columns = Columns()
    _fill_constants(columns, tables, Catalogue({}, {}, {}, {}, {}), "20250601")
    found = {name: filling.value for name, filling in columns.sources.items()}
    assert found == {"item.CREATED_AT": "20250601000000", "item.MADE": "20250601", "item.BY": "ME"}
