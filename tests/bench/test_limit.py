"""The limit is a fair one: it writes the same rows as the engine, refuses the same, and merges what differs."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from bench import landscapes, limit, server
from bench.runs import CRM, LEDGER, Bench, change
from isthmus.store.place import Place

CONTRACTS = 2_000


@pytest.fixture(scope="module")
def bench(store: Place) -> Iterator[Bench]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server, "PLACE", store)
        made = Bench(CONTRACTS)
        made.fill()
        yield made
        names = (made.isu, made.limit, landscapes.empty_crm_name(CONTRACTS), landscapes.LEDGER, CRM, LEDGER)
        for name in names:
            server.drop(name)


def ask(database: str, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(server.url(database)) as connection:
        return connection.execute(statement).fetchall()


def test_the_limit_writes_the_same_rows_as_the_engine(bench: Bench) -> None:
    bench.limit_into_empty()
    assert limit.hashes(bench.limit, "crm") == limit.hashes(CRM, "public")


def test_the_limit_refuses_the_same_rows_as_the_engine(bench: Bench) -> None:
    bench.limit_into_empty()
    refused = ask(bench.limit, "SELECT object, ltrim(key, '0') FROM bench.refused GROUP BY 1, 2 ORDER BY 1, 2")
    held = ask(
        LEDGER, "SELECT split_part(flow, '.', 1), ltrim(key, '0') FROM ledger.exceptions GROUP BY 1, 2 ORDER BY 1, 2"
    )
    assert refused and refused == held


def test_the_limit_merges_what_was_changed_in_the_target(bench: Bench) -> None:
    bench.limit_into_empty()
    before = limit.hashes(bench.limit, "crm")
    change(bench.limit, "crm", 50)
    assert limit.hashes(bench.limit, "crm") != before
    bench.limit_into_filled(0)
    assert limit.hashes(bench.limit, "crm") == before


def test_a_second_run_of_the_engine_touches_no_row_of_the_target(bench: Bench) -> None:
    cost = bench.engine_into_filled(0, "off")
    assert (cost.said["target_rows"], cost.said["target_wal_records"]) == (0, 0)
    assert not [name for name in cost.said["ledger_rows"] if name.startswith("keys_")]
