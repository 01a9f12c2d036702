"""Packages under way: how far ahead is read, what becomes of them when one fails, what must not be decided early."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from threading import Event

import pytest

from isthmus.connector import KeyRange
from isthmus.errors import DataError
from isthmus.ledger import Claimed
from isthmus.levels.line import UNDER_WAY, Ahead, Item, Line
from isthmus.levels.package import Ready
from tests.flows.conftest import Build
from tests.flows.house import OBJECTS

PARENTS = OBJECTS[:-1]


def claimed(number: int) -> Claimed:
    return Claimed("run", f"p{number}", "flow", "", number, KeyRange(), 1, "me", timedelta(0), datetime.min)


class Source:
    """Gives packages by number; `None` is one that another worker holds."""

    def __init__(self, *numbers: int | None) -> None:
        self.left, self.taken, self.asked = list(numbers), [], []
        self.broken: int | None = None

    def take(self, wait: bool) -> Ahead | None:
        self.asked.append(wait)
        number = self.left.pop(0) if self.left else None
        if number is None:
            return None
        self.taken.append(number)
        return Ahead(claimed(number), None)  # type: ignore[arg-type]

    def make(self, ahead: Ahead) -> Ready:
        if ahead.claimed.number == self.broken:
            raise DataError("this one cannot be made ready")
        return None  # type: ignore[return-value]


def numbers(items: list[Item]) -> list[int]:
    return [item.claimed.number for item in items]


def test_no_more_than_two_packages_are_under_way_beside_the_one_in_hand() -> None:
    source = Source(*range(1, 9))
    with Line(source.take, source.make) as line:
        for number in range(1, 9):
            item = line.next()
            assert item is not None and item.claimed.number == number
            time.sleep(0.02)  # time enough to read further ahead than it may
            assert len(source.taken) <= number + UNDER_WAY
        assert line.next() is None
        assert line.wait() is None
    assert source.asked[-1] is True


def test_what_others_hold_is_waited_for_only_when_asked() -> None:
    source = Source(1, None, None, 2)
    found = []
    with Line(source.take, source.make) as line:
        while (item := line.next()) is not None:
            found.append(item)
        assert numbers(found) == [1]
        assert not any(source.asked)
        for step in (line.wait, line.next, line.wait):
            if (item := step()) is not None:
                found.append(item)
    assert numbers(found) == [1, 2]


def test_everything_claimed_is_abandoned_when_one_cannot_be_made_ready() -> None:
    source = Source(1, 2, 3, 4)
    source.broken = 2
    with Line(source.take, source.make) as line:
        assert line.next() is not None
        with pytest.raises(DataError):
            line.next()
        assert sorted(one.number for one in line.abandoned()) == source.taken[1:]


def test_a_package_is_made_ready_while_another_is_written_and_a_third_is_read() -> None:
    source, reached = Source(1, 2, 3), {"read": Event(), "made": Event()}

    def take(wait: bool) -> Ahead | None:
        ahead = source.take(wait)
        if ahead is not None and ahead.claimed.number == 3:
            reached["read"].set()
        return ahead

    def make(ahead: Ahead) -> Ready:
        if ahead.claimed.number == 2:
            assert reached["read"].wait(10), "the third is not read before the second is ready"
            reached["made"].set()
        return source.make(ahead)

    with Line(take, make) as line:
        assert line.next() is not None
        assert reached["made"].wait(10)


def test_two_contracts_of_different_packages_that_name_one_item_of_crm_do_not_share_it(build: Build) -> None:
    house = build("schema", True, PARENTS)
    item = "SELECT a4isucontr, guid FROM crmd_isuexta4 WHERE a4isucontr = ANY(%s) ORDER BY a4isucontr LIMIT 1"
    ((first, guid),) = house.ask("crm", item, list(house.manifest.defect(22).keys))
    ranked = "SELECT e.*, rank() OVER (ORDER BY vertrag) AS place FROM ever e"
    next_package = f"SELECT max(vertrag) FROM ({ranked}) e WHERE place BETWEEN 401 AND 780 AND vertrag LIKE '0%%'"
    second = house.one("isu", f"{next_package} AND loevm = '' AND auszdat = '99991231' AND vertrag > %s", first)
    house.tell("crm", "UPDATE crmd_isuexta4 SET a4isucontr = '' WHERE guid = %s", guid)
    house.tell("isu", "UPDATE everh SET contractpos = %s WHERE vertrag = %s", guid, second)
    house.load(("contract",))
    assert house.ask("crm", "SELECT a4isucontr FROM crmd_isuexta4 WHERE guid = %s", guid) == [(first,)]
    held = {key.zfill(10): code for key, code in house.exceptions("contract", "rejected").items()}
    assert held[second] == "key map disagrees"
    assert first not in held
