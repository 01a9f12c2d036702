"""Extraction: an object of one system in the model's values, everything, what changed, or what stands of some keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pyarrow as pa
import pytest

from isthmus.connector import FeedLost
from isthmus.errors import ConfigError
from isthmus.levels.extract import (
    Extracted,
    Origin,
    begin_cursor,
    extract_all,
    extract_changed,
    extract_keys,
    flat,
    keys_of,
    keys_within,
    opened_origin,
    values_of,
)
from isthmus.levels.watch import watched_in
from tests.flows.conftest import Build
from tests.flows.house import SCENARIO, House

Open = Callable[..., AbstractContextManager[Origin]]


@pytest.fixture
def untouched(build: Build) -> House:
    """A landscape without defects, nothing loaded."""
    return build("schema", defects=False)


@pytest.fixture
def opened(untouched: House) -> Open:
    """Opens objects of the house's systems."""

    @contextmanager
    def open_(object_: str, system: str = "isu", **options: bool) -> Iterator[Origin]:
        project = untouched.project
        with opened_origin(project, project.scenario(SCENARIO), system, object_, untouched.clock, **options) as origin:
            yield origin

    return open_


def keys(packages: list[Extracted]) -> list[str]:
    """Return the keys of all records, sorted."""
    return sorted(key for package in packages for records in package.records for key in records.key.to_pylist())


def install_pointers(house: House) -> None:
    """Let IS-U record what is touched."""
    connector = house.project.connector("isu")
    try:
        watched = watched_in(house.project, house.project.scenario(SCENARIO), "isu", house.clock().date())
        connector.install_feed(watched)  # type: ignore[attr-defined]
    finally:
        connector.close()


def test_everything_is_read_once_in_packages(untouched: House, opened: Open) -> None:
    with opened("contract") as origin:
        found = list(extract_all(origin))
    wanted = [row[0].lstrip("0") for row in untouched.ask("isu", "SELECT vertrag FROM ever ORDER BY 1")]
    assert len(found) > 1
    assert keys(found) == sorted(wanted)
    assert sum(package.seen for package in found) == len(wanted)


def test_what_changed_after_the_cursor_is_read_and_what_was_deleted_is_gone(untouched: House, opened: Open) -> None:
    install_pointers(untouched)
    with opened("contract") as origin:
        cursor = begin_cursor(origin)
        (low,), (high,) = untouched.ask("isu", "SELECT vertrag FROM ever ORDER BY 1 LIMIT 2")
        untouched.tell("isu", "UPDATE ever SET vbez = 'changed' WHERE vertrag = %s", low)
        untouched.tell("isu", "DELETE FROM ever WHERE vertrag = %s", high)
        changed = extract_changed(origin, cursor)
        (found,) = extract_keys(origin, changed.keys)
        assert keys([found]) == [low.lstrip("0")]
        assert found.gone.to_pylist() == [high.lstrip("0")]
        assert len(extract_changed(origin, changed.cursor).keys) == 0


def test_polling_twice_from_one_cursor_finds_the_same(untouched: House, opened: Open) -> None:
    install_pointers(untouched)
    with opened("contract") as origin:
        cursor = begin_cursor(origin)
        untouched.tell("isu", "UPDATE ever SET vbez = 'x' WHERE vertrag IN (SELECT vertrag FROM ever LIMIT 9)")
        first, second = (extract_changed(origin, cursor).keys.to_pylist() for _ in range(2))
    assert first == second == sorted(first)
    assert len(first) == 9


def test_a_cursor_that_was_never_taken_is_lost(opened: Open) -> None:
    with opened("contract") as origin, pytest.raises(FeedLost, match="never begun"):
        extract_changed(origin, None)


def test_rows_that_the_mapping_rejects_come_out_with_their_reason(untouched: House, opened: Open) -> None:
    untouched.tell("isu", "UPDATE ever SET anlage = '' WHERE vertrag = (SELECT min(vertrag) FROM ever)")
    with opened("contract") as origin:
        rejects = pa.concat_tables([package.rejects for package in extract_all(origin)])
    assert rejects.num_rows >= 1
    assert "the contract has no installation" in rejects["message"].to_pylist()


def test_entries_of_a_list_are_laid_out_with_the_fields_of_their_object(untouched: House, opened: Open) -> None:
    with opened("device") as origin:
        frames = [flat(records, "registers") for package in extract_all(origin) for records in package.records]
    rows = sum(frame.num_rows for frame in frames)
    assert rows == untouched.one("isu", "SELECT count(*) FROM etdz")
    assert {"number", "register", "from", "until", "object_key", "object_deleted"} <= set(frames[0].schema.names)
    assert all(frame.column("number").equals(frame.column("object_key")) for frame in frames)


def test_the_key_tells_its_fields_and_they_tell_the_key(opened: Open) -> None:
    with opened("contract") as origin:
        plan = origin.feed.plans[0]
    values = values_of(plan, ("number",), pa.array(["4711", "A1"]))
    assert values is not None
    assert values["number"].to_pylist() == ["4711", "A1"]
    found = keys_of(plan, values)
    assert found is not None
    assert found.to_pylist() == ["4711", "A1"]
    assert values_of(plan, ("number", "division"), pa.array(["4711"])) is None
    assert keys_of(plan, {"division": pa.array(["electricity"])}) is None


def test_keys_of_a_month_are_those_whose_day_lies_in_it(untouched: House, opened: Open) -> None:
    ((month,),) = untouched.ask("isu", "SELECT substr(min(einzdat), 1, 6) FROM ever")
    wanted = untouched.ask("isu", "SELECT vertrag FROM ever WHERE substr(einzdat, 1, 6) = %s", month)
    year, number = int(month[:4]), int(month[4:])
    first, after = f"{year}-{number:02d}-01", f"{year + number // 12}-{number % 12 + 1:02d}-01"
    with opened("contract") as origin:
        found = keys_within(origin, "starts_on", (first, after))
        assert sorted(found.to_pylist()) == sorted(row[0].lstrip("0") for row in wanted)
        with pytest.raises(ConfigError, match="does not speak of contract"):
            keys_within(origin, "begins_on", (first, after))


def test_a_folder_of_files_is_read_as_a_whole(opened: Open) -> None:
    with opened("meter_reading", "nem") as origin:
        assert origin.whole
        assert sum(package.seen for package in extract_all(origin)) > 0
