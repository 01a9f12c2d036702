"""What one bad row in a block of 65,536 costs: the block is staged and merged, clean and with the row, A B A B."""

from __future__ import annotations

import time

import numpy as np
import psycopg
import pyarrow as pa

from bench import landscapes, measure, server
from isthmus.connector import Change, Connector, Status, TableRows
from isthmus.project import Project

ROWS = 65_536
DATABASE = "bench_block"
BAD = {"CHECK rule": "BAD", "length": "x" * 60, "trigger": "TRIGGER"}
_TRIGGER = """
CREATE FUNCTION bench_refuses() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN IF NEW.text35 = 'TRIGGER' THEN RAISE EXCEPTION 'no'; END IF; RETURN NEW; END $$;
CREATE TRIGGER bench_refuses BEFORE INSERT ON crmm_buag FOR EACH ROW EXECUTE FUNCTION bench_refuses();
"""


def prepare(contracts: int) -> None:
    """Make an empty CRM whose agreements have a rule that one row breaks."""
    landscapes.isu(contracts)
    server.clone(landscapes.empty_crm_name(contracts), DATABASE)
    with psycopg.connect(server.url(DATABASE)) as connection:
        connection.execute("ALTER TABLE crmm_buag ADD CONSTRAINT bench_rule CHECK (text35 <> 'BAD')")


def block(bad: str | None) -> Change:
    """Make a block of business agreements; the one in the middle has this text."""
    numbers = np.arange(ROWS, dtype=np.uint64)
    words = np.empty((ROWS, 2), ">u8")
    words[:, 0], words[:, 1] = numbers, numbers * np.uint64(0x9E3779B97F4A7C15)
    guids = pa.Array.from_buffers(pa.binary(16), ROWS, [None, pa.py_buffer(words.tobytes())]).cast(pa.binary())
    texts = ["Account"] * ROWS
    if bad:
        texts[ROWS // 2] = bad
    numbered = pa.array([f"{n:012d}" for n in range(ROWS)])
    rows = pa.record_batch(
        {
            "BUAG_GUID": guids, "BUAG_ID": numbered, "TEXT35": pa.array(texts), "PARTNER_GUID": guids,
            "BUAG_ID_LEGACY": numbered, "position": pa.array(np.arange(ROWS, dtype=np.int32)),
        }
    )  # fmt: skip
    written = ("BUAG_ID", "TEXT35", "PARTNER_GUID", "BUAG_ID_LEGACY")
    return Change("contract_account", ROWS, (TableRows("CRMM_BUAG", rows, ("BUAG_GUID",), written),))


def run(contracts: int, pairs: int) -> dict[str, tuple[list[float], list[float]]]:
    """Return, for each kind of fault, the seconds of clean blocks and of blocks with one bad row."""
    prepare(contracts)
    found = {}
    with landscapes.reached({"crm": DATABASE}):
        project = Project.load(server.ROOT)
        clean = block(None)
        for kind, text in BAD.items():
            if kind == "trigger":
                with psycopg.connect(server.url(DATABASE)) as connection:
                    connection.execute(_TRIGGER)
            wrong, connector = block(text), project.connector("crm")
            write(connector, clean, 0)
            left, right = [], []
            for _ in range(pairs):
                left.append(write(connector, clean, 0))
                right.append(write(connector, wrong, 1))
            found[kind] = (left, right)
            connector.close()
    return found


def write(connector: Connector, change: Change, refused: int) -> float:
    """Write a block into the emptied table and return the seconds; raises RuntimeError unless so many are refused."""
    with psycopg.connect(server.url(DATABASE), autocommit=True) as connection:
        connection.execute("TRUNCATE crmm_buag")
    server.checkpoint()
    began = time.perf_counter()
    outcome = connector.write(change)
    took = time.perf_counter() - began
    found = int((np.asarray(outcome.status) == Status.REJECTED).sum())
    if found != refused:
        raise RuntimeError(f"{found} rows were refused, expected {refused}")
    return took


def ratio(sides: tuple[list[float], list[float]]) -> float:
    """Return how much longer a block with a bad row takes."""
    return measure.median(sides[1]) / measure.median(sides[0])
