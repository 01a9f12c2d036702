"""Files of the telephone system: taken when complete, once by content, moved when done, refused whole when broken."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from landscape.telephony import Delivery, write
from tests.flows.house import House
from tests.warehouse.feeding.conftest import live, rows
from warehouse import orchestrate, requests, undo
from warehouse.depot import Depot
from warehouse.feed import Load
from warehouse.pickup import pick_up, waiting_files

NOW = datetime(2026, 1, 10, 8, tzinfo=UTC)


def deliver(house: House, days: int = 1, now: datetime = NOW, **options: object) -> tuple[Delivery, ...]:
    """Let the telephone system deliver its last days."""
    return write(house.folder / "telephony/inbox", contracts=400, days=days, seed=3, now=now, **options)  # type: ignore[arg-type]


def take(depot: Depot) -> list[Load]:
    """Pick up what is there and make it hold."""
    store = depot.store("call_interval")
    loads = pick_up(depot, store, store.feeds[0])
    orchestrate.check(depot, store)
    orchestrate.activate(depot, store)
    return loads


def names(house: House, folder: str) -> list[str]:
    """Return what lies in a folder beside the inbox."""
    place = house.folder / "telephony" / folder / "calls"
    return sorted(path.name for path in place.iterdir()) if place.is_dir() else []


def test_every_complete_file_is_a_request_and_moves_to_done(lone: House, empty: Depot) -> None:
    delivered = deliver(lone, days=3)
    loads = take(empty)
    assert [load.because for load in loads] == [f"calls/{one.path.name}" for one in delivered]
    assert len(live(empty, "call_interval")) == sum(one.lines for one in delivered)
    assert names(lone, "inbox") == []
    assert len(names(lone, "done")) == 2 * len(delivered)
    assert take(empty) == []


def test_a_file_without_its_marker_stays_where_it_is(lone: House, empty: Depot) -> None:
    (one,) = deliver(lone, broken=("incomplete",))
    assert take(empty) == []
    assert names(lone, "inbox") == [one.path.name]
    assert waiting_files(empty, empty.store("call_interval"), empty.store("call_interval").feeds[0]) == 1


@pytest.mark.parametrize(
    ("broken", "why"), [("cut", "cut on its way"), ("column", "has no column"), ("empty", "the file is empty")]
)
def test_a_broken_file_is_refused_whole_with_its_reason(lone: House, empty: Depot, broken: str, why: str) -> None:
    (one,) = deliver(lone, broken=() if broken == "empty" else (broken,))
    if broken == "empty":
        one.path.write_bytes(b"")
    (load,) = take(empty)
    assert load.request is None
    assert f"{one.path.name} is refused: " in load.because
    assert live(empty, "call_interval") == []
    assert names(lone, "inbox") == names(lone, "done") == []
    (reason,) = (lone.folder / "telephony/refused/calls").glob("*.reason.txt")
    assert why in reason.read_text(encoding="utf-8")
    assert rows(empty, "SELECT state FROM warehouse.files") == [("refused",)]


@pytest.mark.parametrize("broken", ["negative", "date"])
def test_a_bad_value_leaves_its_line_out_and_the_file_is_taken(lone: House, empty: Depot, broken: str) -> None:
    (one,) = deliver(lone, broken=(broken,))  # type: ignore[arg-type]
    (load,) = take(empty)
    assert load.request is not None
    held = rows(empty, "SELECT count(DISTINCT key) FROM warehouse.held WHERE kind = 'unread' AND state = 'open'")
    assert held[0][0] >= 1
    assert len(live(empty, "call_interval")) == one.lines - held[0][0]


def test_the_same_content_is_taken_once_whatever_it_is_called(lone: House, empty: Depot) -> None:
    deliver(lone, days=1)
    take(empty)
    before = live(empty, "call_interval")
    (done,) = (lone.folder / "telephony/done/calls").glob("*.csv")
    again = lone.folder / "telephony/inbox/calls/20990101.csv"
    again.write_bytes(done.read_bytes())
    again.with_suffix(".done").touch()
    (load,) = take(empty)
    assert load.request is None
    assert "has loaded" in load.because
    assert live(empty, "call_interval") == before
    assert "20990101.csv" in names(lone, "done")


def test_a_corrected_file_of_the_same_day_replaces_what_it_says(lone: House, empty: Depot) -> None:
    (one,) = deliver(lone)
    take(empty)
    text = next((lone.folder / "telephony/done/calls").glob("*.csv")).read_text(encoding="utf-8")
    header, first, *rest = text.splitlines()
    cells = first.split(",")
    cells[4] = "99"
    one.path.write_text("\n".join([header, ",".join(cells), *rest, ""]), encoding="utf-8")
    one.marker.touch()
    take(empty)
    assert len(live(empty, "call_interval")) == one.lines
    assert (99,) in live(empty, "call_interval", "offered")
    assert len(names(lone, "done")) == 4


def test_a_file_whose_request_was_deleted_can_be_taken_again(lone: House, empty: Depot) -> None:
    deliver(lone)
    (load,) = take(empty)
    assert load.request is not None
    undo.delete_request(empty.connection, empty.warehouse, empty.store("call_interval"), load.request.id, empty.clock())
    assert live(empty, "call_interval") == []
    for path in (lone.folder / "telephony/done/calls").iterdir():
        path.replace(lone.folder / "telephony/inbox/calls" / path.name)
    (again,) = take(empty)
    assert again.request is not None
    assert len(live(empty, "call_interval")) > 0


def test_a_mended_file_is_taken_after_it_was_refused(lone: House, empty: Depot) -> None:
    (one,) = deliver(lone, broken=("column",))
    take(empty)
    refused = lone.folder / "telephony/refused/calls" / one.path.name
    header, *rest = refused.read_text(encoding="utf-8").splitlines()
    (sound,) = deliver(lone)
    right = sound.path.read_text(encoding="utf-8").splitlines()[0]
    assert header != right
    one.path.write_text("\n".join([right, *rest, ""]), encoding="utf-8")
    one.marker.touch()
    (load,) = take(empty)
    assert load.request is not None
    assert len(live(empty, "call_interval")) == one.lines


def test_a_reader_that_died_before_it_moved_the_file_takes_nothing_twice(lone: House, empty: Depot) -> None:
    (one,) = deliver(lone)
    content, marker = one.path.read_bytes(), one.marker.read_bytes()
    take(empty)
    before = len(requests.list_requests(empty.connection, "call_interval"))
    one.path.write_bytes(content)  # as it lay there when the request was loaded
    one.marker.write_bytes(marker)
    take(empty)
    assert len(requests.list_requests(empty.connection, "call_interval")) == before
    assert Path(one.path).exists() is False
