"""A process that brings requests of the house one after the other: `python -m tests.warehouse.sim.worker URL`.

Started again it goes on where it was; `ISTHMUS_FAILPOINT` names the statement behind which it is killed.
"""

from __future__ import annotations

import sys
from random import Random

import psycopg

from tests.warehouse.engine import Stage, house
from tests.warehouse.sim import records
from warehouse import compress, inbound, requests, undo

LOADS = 14


def bring(stage: Stage, number: int) -> None:
    """Bring one delivery as far as it goes, wherever it stopped before."""
    random = Random(number)
    store, source = random.choice((("line", "isu"), ("line", "tel"), ("partner", "crm"), ("visit", "crm")))
    full = store == "visit"
    rows = records.some(random, store, full=full) or [records.one(random, store, None)]
    stage.loads = number
    made = stage.load(store, source, rows, "FULL" if full else "REPEAT", load_key=f"delivery {number}")
    if made.state == "LOADED" and full:
        inbound.differences_only(stage.connection, stage.store(store), made)
    stage.check(made)
    stage.activate(made)
    stage.roll_up(made)
    stage.publish()
    if number % 5 == 4:
        undo.delete_request(stage.connection, stage.warehouse, stage.store(store), made.id, stage.now)
    if number % 6 == 5:
        up_to = requests.list_requests(stage.connection)[3].id
        compress.compress(stage.connection, stage.warehouse, stage.now, up_to=up_to)


def work(stage: Stage) -> None:
    """Bring every delivery, the ones that were brought before included."""
    for number in range(LOADS):
        stage.later(hours=7)
        key = f"delivery {number}"
        found = [made for made in requests.list_requests(stage.connection) if made.load_key == key]
        if not found or found[0].state not in ("COMPRESSED", "DELETED"):
            bring(stage, number)


if __name__ == "__main__":
    with psycopg.connect(sys.argv[1], autocommit=True) as connection:
        work(Stage(connection, house()))
