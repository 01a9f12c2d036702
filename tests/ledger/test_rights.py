"""The roles of the private store: the owner migrates, the engine works, the analyst reads."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pyarrow as pa
import pytest

from isthmus.ledger import Ledger, Pairs, migrate
from isthmus.store import store_url
from isthmus.store.place import Place


@pytest.fixture
def private_ledger(store: Place) -> Iterator[Place]:
    migrate(store_url("owner", store))
    yield store
    with psycopg.connect(store_url("owner", store)) as connection:
        connection.execute("DROP SCHEMA ledger CASCADE")


def test_the_engine_works_in_a_ledger_it_does_not_own(private_ledger: Place) -> None:
    with Ledger.open(store_url("engine", private_ledger)) as ledger:
        run = ledger.runs.start("demo", "initial download", "full", {}, "abc")
        ledger.keys.prepare("contract", ["isu", "crm"])
        keys = pa.array(["1", "2"])
        pairs = Pairs("contract", ledger.keys.ids("contract", "isu", "", keys), {"isu": keys, "crm": keys})
        ledger.keys.confirm_pairs(pairs, run.id)
        ledger.keys.index("contract")
        ledger.keys.confirm_pairs(pairs, run.id)
        ledger.exceptions.put("contract", pa.table({"key": ["3"], "state": ["rejected"]}), run.id)
        ledger.events.put("ops", "looked")
        assert ledger.keys.count("contract", "crm") == 2
        assert ledger.prune(ledger.database.now())["months of events"] == 0


def test_an_analyst_reads_and_cannot_change_its_shape(private_ledger: Place) -> None:
    with psycopg.connect(store_url("analyst", private_ledger)) as connection:
        connection.execute("SET TRANSACTION READ WRITE")
        assert connection.execute("SELECT count(*) FROM ledger.runs").fetchone() == (0,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT ledger.add_keys('contract', 'isu', true)")
