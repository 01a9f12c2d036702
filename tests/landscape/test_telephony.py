"""The telephone system's files: what is drawn, what is written, and what the files connector makes of it."""

from __future__ import annotations

import hashlib
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from isthmus.connector import Connector, KeyRange, connect
from isthmus.mapping.compile import compile_read
from isthmus.mapping.load import load_catalogue
from isthmus.mapping.plan import Records
from isthmus.project import Project
from landscape import center, telephony
from landscape.telephony import COLUMNS, Broken, Delivery, intervals, write

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 1, 13, 6, tzinfo=UTC)  # a Tuesday
SIZE: dict[str, Any] = {"contracts": 20_000, "seed": 5}


@pytest.fixture(scope="module")
def year() -> list[dict[str, Any]]:
    """The lines of two working weeks."""
    days = [date(2025, 11, number) for number in range(3, 15)]
    lines: list[dict[str, Any]] = pa.concat_tables([intervals(day, **SIZE) for day in days]).to_pylist()
    return lines


def _opened(delivery: Delivery) -> Connector:
    options = dict(Project.load(ROOT).system("tel").options)
    return connect(
        "files",
        {**options, "path": str(delivery.path.parent.parent), "pattern": f"calls/{delivery.path.name}"},
    )


def _read(delivery: Delivery) -> tuple[Records, list[dict[str, Any]]]:
    """Read one file as the pickup does; return its records, and the lines that are no lines."""
    plan = compile_read(load_catalogue(ROOT), "tel", "call_interval")
    connector = _opened(delivery)
    try:
        assert connector.discover() == ["calls"]
        table = pa.Table.from_batches(
            list(connector.read(plan.query, KeyRange())),
            pa.schema([(str(column), pa.string()) for column in plan.query.columns]),
        )
        return plan.apply(table.combine_chunks().to_batches()[0]), connector.rejected().to_pylist()  # type: ignore[attr-defined]
    finally:
        connector.close()


def test_a_file_that_is_read_back_says_what_was_drawn(tmp_path: Path) -> None:
    for delivery in write(tmp_path, days=4, now=NOW, **SIZE):
        records, unread = _read(delivery)
        drawn = intervals(delivery.day, **SIZE)
        assert (unread, records.rejects.num_rows, records.seen) == ([], 0, drawn.num_rows)
        assert delivery.lines == drawn.num_rows > 100
        names = [name for name in records.root.schema.names if name not in ("interval_at", "direction")]
        assert len(names) == len(COLUMNS) - 2
        for name, column in zip(names, [c for c in COLUMNS if c not in ("INTERVAL_START", "DIRECTION")], strict=True):
            assert records.root.column(name).to_pylist() == drawn.column(column).to_pylist(), name
        said = [moment.strftime("%Y%m%d%H%M%S") for moment in records.root.column("interval_at").to_pylist()]
        assert said == drawn.column("INTERVAL_START").to_pylist()
        ways = {"IN": "inbound", "OUT": "outbound"}
        assert records.root.column("direction").to_pylist() == [ways[way] for way in drawn["DIRECTION"].to_pylist()]


def test_the_counts_of_every_line_fit_together(year: list[dict[str, Any]]) -> None:
    assert len({tuple(line[name] for name in COLUMNS[:4]) for line in year}) == len(year)
    for line in year:
        assert line["OFFERED"] == line["ANSWERED"] + line["ABANDONED"] > 0
        assert 0 <= line["ABANDONED_SHORT"] <= line["ABANDONED"]
        assert 0 <= line["ANSWERED_20S"] <= line["ANSWERED"]
        assert (line["TALK_SECONDS"] > 0) == (line["ANSWERED"] > 0)
        assert line["AGENT"] in (*center.AGENTS, telephony.NOBODY)
        slow = line["ANSWERED"] - line["ANSWERED_20S"]
        assert 21 * slow <= line["WAIT_SECONDS"]


def test_an_interaction_center_is_busy_in_the_morning_and_keeps_most_people_waiting_for_a_short_time(
    year: list[dict[str, Any]],
) -> None:
    def total(name: str, hours: tuple[str, ...] = ()) -> int:
        lines = (one for one in year if one["DIRECTION"] == "IN")
        return sum(line[name] for line in lines if not hours or line["INTERVAL_START"][8:10] in hours)

    assert 0.7 < total("ANSWERED_20S") / total("OFFERED") < 0.92
    assert 0.01 < total("ABANDONED") / total("OFFERED") < 0.08
    assert total("OFFERED", ("09", "10")) > 2 * total("OFFERED", ("17", "18"))
    late, early = (total("ANSWERED_20S", hours) / total("OFFERED", hours) for hours in (("17", "18"), ("09", "10")))
    assert late > early + 0.05
    handled = sum(total(name) for name in ("TALK_SECONDS", "HOLD_SECONDS", "WRAP_SECONDS"))
    assert 200 < handled / total("ANSWERED") < 450
    assert {line["QUEUE"] for line in year} == set(center.QUEUES)


def test_the_same_arguments_write_the_same_files_and_sundays_have_none(tmp_path: Path) -> None:
    one, other = (write(tmp_path / name, days=8, now=NOW, **SIZE) for name in ("one", "other"))
    assert [delivery.day.weekday() for delivery in one] == [0, 1, 2, 3, 4, 5, 0]
    assert [delivery.path.read_bytes() for delivery in one] == [delivery.path.read_bytes() for delivery in other]
    another = write(tmp_path / "another", days=8, now=NOW, contracts=20_000, seed=6)
    assert one[0].path.read_bytes() != another[0].path.read_bytes()


def test_the_marker_of_a_file_holds_its_digest(tmp_path: Path) -> None:
    for delivery in write(tmp_path, days=2, now=NOW, **SIZE):
        assert delivery.marker.read_text().strip() == hashlib.sha256(delivery.path.read_bytes()).hexdigest()


def _broken(folder: Path, kind: Broken) -> Delivery:
    delivery = write(folder, days=3, now=NOW, broken=[kind], **SIZE)[-1]
    assert delivery.broken == kind
    return delivery


def test_a_file_that_was_cut_has_a_line_too_short_and_another_digest_than_its_marker(tmp_path: Path) -> None:
    delivery = _broken(tmp_path, "cut")
    records, unread = _read(delivery)
    assert [(one["file"], one["code"]) for one in unread] == [(f"calls/{delivery.path.name}", "field_count")]
    assert unread[0]["line"] == records.seen + 2
    assert 0 < records.seen < delivery.lines
    assert delivery.marker.read_text().strip() != hashlib.sha256(delivery.path.read_bytes()).hexdigest()


def test_a_file_with_another_column_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(Exception, match=r'no column "ANSWERED_20S".*ANSWERED_30S'):
        _read(_broken(tmp_path, "column"))


def test_a_negative_count_is_rejected_by_its_key(tmp_path: Path) -> None:
    delivery = _broken(tmp_path, "negative")
    records, unread = _read(delivery)
    assert unread == []
    rejects = records.rejects.to_pylist()
    assert "a count is negative" in [one["message"] for one in rejects]
    assert len({one["key"] for one in rejects}) == 1
    assert rejects[0]["key"].startswith(f"{delivery.day:%Y%m%d}")
    assert records.root.num_rows == delivery.lines - 1


def test_a_day_that_is_not_in_the_calendar_is_rejected(tmp_path: Path) -> None:
    records, _ = _read(_broken(tmp_path, "date"))
    assert [one["field"] for one in records.rejects.to_pylist()] == ["interval_at"]


def test_a_file_may_repeat_the_day_before_and_one_may_still_be_on_its_way(tmp_path: Path) -> None:
    before, twice, incomplete = write(tmp_path, days=4, now=NOW, broken=["twice", "incomplete"], **SIZE)[-3:]
    assert twice.path.read_bytes() == before.path.read_bytes()
    assert twice.marker.exists()
    assert incomplete.path.exists()
    assert not incomplete.marker.exists()
    assert not list(tmp_path.glob("calls/*.part"))
