"""The roles of the private store: the owner migrates, the engine works, the analyst reads."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import psycopg
import pyarrow as pa
import pytest

from isthmus.ledger import Blackout, Ledger, Pairs, Settlement, migrate
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
        flow, ids = "contract.isu.crm", pairs.ids
        image = pa.record_batch([ids, keys], ["id", "number"])
        ledger.images.prepare(flow, [image.schema.field("number")])
        ledger.images.put(flow, image)
        ledger.queue.put(flow, ids, "isu", keys, cursors={"isu": "1"})
        claimed = ledger.queue.claim(flow, "w", timedelta(minutes=5), 10)
        assert claimed is not None
        disagrees = pa.table({"id": ids.slice(0, 1), "kind": ["disagrees"]})
        ledger.queue.settle(claimed, Settlement(image=image, conflicts=disagrees, run=run.id))
        assert ledger.conflicts.decide([1], "source", by="ops") == 1
        ledger.flows.lag(flow, "isu")
        ledger.flows.black_out(Blackout(flow, "moving", "ops", ends_at=ledger.database.now()))
        assert ledger.keys.count("contract", "crm") == 2
        assert ledger.prune(ledger.database.now())["months of events"] == 0


def test_an_analyst_reads_and_cannot_change_its_shape(private_ledger: Place) -> None:
    with psycopg.connect(store_url("analyst", private_ledger)) as connection:
        connection.execute("SET TRANSACTION READ WRITE")
        assert connection.execute("SELECT count(*) FROM ledger.runs").fetchone() == (0,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT ledger.add_keys('contract', 'isu', true)")
