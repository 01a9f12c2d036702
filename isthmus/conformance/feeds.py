"""What a connector keeps when it says which objects have changed: every kind of feed it claims is tried."""

# ruff: noqa: D102 - the names of the tests are sentences

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest

from isthmus.conformance.material import Material, Place, Scratch, ids
from isthmus.connector import ColumnRef, Connector, FeedKind, FeedLost, Feeds, Pointers, Polled, Query, Source, Watched
from isthmus.errors import IsthmusError

NOW = datetime(2026, 3, 10, 15, tzinfo=UTC)
TODAY, BEFORE = "20260310", "20250101"


def told(polled: Polled) -> list[str]:
    """Return the keys a feed brought, each once."""
    return sorted(set(polled.keys[0].to_pylist()))


class Feeding(Material):
    """The feeds of a connector; `place` puts rows past it, as other programs do."""

    @pytest.fixture
    def watched(self, scratch: Scratch) -> list[Watched]:
        """Give the scratch object and its list, both leading to the object's key."""
        key = (ColumnRef("A", scratch.key),)
        source = Source("A", scratch.table, optional=False)
        day = (ColumnRef("A", scratch.day),)
        tables = [Watched(scratch.table, Query((source,), key, key), (f"A.{scratch.key}",), day, False, "A", True)]
        if scratch.item is not None:
            item = (ColumnRef("I", scratch.key),)
            query = Query((Source("I", scratch.item, optional=False),), item, item)
            tables.append(Watched(scratch.item, query, (f"I.{scratch.key}",), alias="I"))
        return tables

    @pytest.fixture(params=get_args(FeedKind))
    def fed(
        self, connector: Connector, watched: list[Watched], request: pytest.FixtureRequest
    ) -> Iterator[tuple[Feeds, FeedKind]]:
        """Give the connector with each kind of feed it claims, pointers installed."""
        kind: FeedKind = request.param
        if kind not in connector.capabilities().feeds:
            pytest.skip(f"has no feed by {kind}")
        assert isinstance(connector, Feeds)
        if kind == "pointer":
            assert isinstance(connector, Pointers)
            connector.install_feed(watched)
        yield connector, kind
        if kind == "pointer" and isinstance(connector, Pointers):
            connector.remove_feed()

    def test_what_came_after_the_cursor_is_told(
        self, fed: tuple[Feeds, FeedKind], watched: list[Watched], scratch: Scratch, place: Place
    ) -> None:
        feed, kind = fed
        cursor = feed.begin_feed(kind, watched, NOW)
        place(scratch.table, self.rows(scratch, ids(3), days=[TODAY, TODAY, TODAY]))
        assert told(feed.poll(kind, watched, cursor, NOW)) == ids(3)

    def test_polling_twice_from_one_cursor_tells_the_same(
        self, fed: tuple[Feeds, FeedKind], watched: list[Watched], scratch: Scratch, place: Place
    ) -> None:
        feed, kind = fed
        cursor = feed.begin_feed(kind, watched, NOW)
        place(scratch.table, self.rows(scratch, ids(3), days=[TODAY, BEFORE, ""]))
        first, second = (feed.poll(kind, watched, cursor, NOW) for _ in range(2))
        assert told(first) == told(second) != []

    def test_what_was_settled_long_ago_is_not_told_again(
        self, fed: tuple[Feeds, FeedKind], watched: list[Watched], scratch: Scratch, place: Place
    ) -> None:
        feed, kind = fed
        cursor = feed.begin_feed(kind, watched, NOW)
        place(scratch.table, self.rows(scratch, ids(3), days=[TODAY] * 3))
        for days in (2, 4):
            polled = feed.poll(kind, watched, cursor, NOW + timedelta(days=days))
            cursor = polled.cursor
        assert told(polled) == []

    def test_nothing_changed_is_no_key_at_all(
        self, fed: tuple[Feeds, FeedKind], watched: list[Watched], scratch: Scratch
    ) -> None:
        feed, kind = fed
        polled = feed.poll(kind, watched, feed.begin_feed(kind, watched, NOW), NOW)
        assert told(polled) == [] and polled.rows == 0
        assert len(polled.keys) == 1

    def test_a_cursor_is_text_that_only_its_own_feed_goes_on_from(
        self, fed: tuple[Feeds, FeedKind], watched: list[Watched]
    ) -> None:
        feed, kind = fed
        assert isinstance(feed.begin_feed(kind, watched, NOW), str)
        with pytest.raises(FeedLost):
            feed.poll(kind, watched, '{"version": 1, "kind": "of another feed"}', NOW)
        with pytest.raises(FeedLost):
            feed.poll(kind, watched, '{"version": 0, "kind": "' + kind + '"}', NOW)

    def test_a_feed_that_is_not_claimed_is_refused(self, connector: Connector, watched: list[Watched]) -> None:
        if not isinstance(connector, Feeds):
            pytest.skip("has no feeds")
        for kind in set(get_args(FeedKind)) - set(connector.capabilities().feeds):
            with pytest.raises(IsthmusError):
                connector.begin_feed(kind, watched, NOW)
