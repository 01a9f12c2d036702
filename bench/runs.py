"""The measured situations: every function brings databases into a state, uncounted, then measures one run."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from typing import Any

import psycopg

from bench import landscapes, limit, measure, server
from bench.landscapes import OBJECTS
from bench.measure import Cost
from landscape.codes import CLIENT

CRM, LEDGER = "bench_crm_work", "bench_ledger_work"
# One mapped column of each object's own table, and the key that decides which rows are changed.
CHANGED = {
    "but000": ("bu_sort2", "partner_guid"),
    "crmm_buag": ("text35", "buag_guid"),
    "zconnobj": ("pltxt", "product_guid"),
    "zpremise": ("suppl", "product_guid"),
    "zisupod": ("uitype", "product_guid"),
    "zinstalln": ("tariftyp", "product_guid"),
    "zdevice": ("matnr", "product_guid"),
    "crmd_orderadm_i": ("description", "guid"),
}


class Bench:
    """One size of landscape on the running server."""

    def __init__(self, contracts: int) -> None:
        self.contracts = contracts
        self.postmaster = server.start()
        self.isu = landscapes.isu(contracts)
        self.limit = landscapes.limit(contracts)
        landscapes.ledger()

    # --- the limit ------------------------------------------------------------------------------------------------

    def limit_into_empty(self, objects: Sequence[str] = OBJECTS) -> Cost:
        """Measure the limit into an empty CRM; with some objects, the others are there already."""
        limit.empty(self.limit)
        before = [name for name in OBJECTS[: OBJECTS.index(objects[0])] if name not in objects]
        if before:
            limit.run(self.limit, before)
        with measure.measured(self.postmaster) as cost:
            cost.said = {"took": limit.run(self.limit, objects)}
        return cost

    def limit_into_filled(self, share: int, objects: Sequence[str] = OBJECTS) -> Cost:
        """Measure the limit's merge into a filled CRM of which `share` per cent differ."""
        with psycopg.connect(server.url(self.limit)) as connection:
            held = connection.execute("SELECT EXISTS (SELECT FROM crm.crmd_isuexta4)").fetchone() == (True,)
        if not held:
            limit.empty(self.limit)
            limit.run(self.limit)
        change(self.limit, "crm", share)
        with measure.measured(self.postmaster) as cost:
            cost.said = {"took": limit.run(self.limit, objects, merge=True)}
        return cost

    # --- the engine -----------------------------------------------------------------------------------------------

    def environment(self) -> dict[str, str]:
        """Return the variables of an engine run on the working databases."""
        return landscapes.environment({"isu": self.isu, "crm": CRM}, LEDGER)

    def engine(self, objects: Sequence[str] = OBJECTS, **said: Any) -> Cost:
        """Measure the engine's download into whatever state the working databases are in."""
        arguments = [sys.executable, "-m", "bench.isthmus_run", json.dumps({"objects": objects, **said})]
        return measure.command(self.postmaster, arguments, self.environment())

    def engine_into_empty(self, gate: str = "great_expectations", **said: Any) -> Cost:
        """Measure the engine into an empty CRM with an empty ledger."""
        server.clone(landscapes.empty_crm_name(self.contracts), CRM)
        server.clone(landscapes.LEDGER, LEDGER)
        return self.engine(gate=gate, **said)

    def parents(self) -> None:
        """Bring the working databases into the state before contracts: everything else is loaded."""
        crm, ledger = f"bench_crm_parents_{self.contracts}", f"bench_ledger_parents_{self.contracts}"
        if not server.exists(crm) or not server.exists(ledger):
            server.clone(landscapes.empty_crm_name(self.contracts), CRM)
            server.clone(landscapes.LEDGER, LEDGER)
            self.engine([name for name in OBJECTS if name != "contract"], gate="off")
            vacuum(CRM)
            vacuum(LEDGER)
            server.clone(CRM, crm)
            server.clone(LEDGER, ledger)
        server.clone(crm, CRM)
        server.clone(ledger, LEDGER)
        landscapes.migrate(server.url(LEDGER))

    def engine_contracts_into_empty(self, gate: str = "off") -> Cost:
        """Measure contracts alone, their parents in place: what the peers are given as well."""
        self.parents()
        return self.engine(["contract"], gate=gate)

    def fill(self) -> None:
        """Fill the working databases once, for every run into a filled CRM that follows."""
        self.engine_into_empty("off")
        vacuum(CRM)
        vacuum(LEDGER)

    def engine_into_filled(
        self, share: int, gate: str = "great_expectations", objects: Sequence[str] = OBJECTS
    ) -> Cost:
        """Measure the engine into a filled CRM of which `share` per cent differ, with what it wrote and logged."""
        change(CRM, "public", share)
        server.checkpoint()
        rows, kept, lsn = measure.touched(CRM), ledger_rows(), server.wal_position()
        cost = self.engine(objects, gate=gate, approve=share > 0)
        cost.said["target_rows"] = measure.touched(CRM) - rows
        cost.said["target_wal_records"] = measure.wal_of_tables(lsn, server.wal_position(), CRM)
        cost.said["ledger_rows"] = {k: v - kept.get(k, 0) for k, v in ledger_rows().items() if v != kept.get(k, 0)}
        return cost

    # --- deltas ---------------------------------------------------------------------------------------------------

    def change_contracts(self, rows: int, word: str) -> None:
        """Give the same `rows` contracts another text in the source and stamp them with today."""
        day = f"{landscapes.today():%Y%m%d}"
        with psycopg.connect(server.url(self.isu)) as isu:
            isu.execute(
                "UPDATE ever SET vbez = %s, aedat = %s WHERE mandt = %s AND vertrag IN (SELECT vertrag FROM ever"
                " WHERE mandt = %s AND auszdat = '99991231' ORDER BY md5(vertrag), vertrag LIMIT %s)",
                [f"Reviewed {word}", day, CLIENT, CLIENT, rows],
            )

    def delta(self, rows: int, times: int) -> tuple[list[float], Cost]:
        """Measure deltas of changed contracts in one process: the first is cold, those after it are warm.

        Returns the seconds of each call and the cost of the last process.
        """
        said = {"what": "delta", "object": "contract", "times": times, "wait": True, "gate": "off"}
        child = subprocess.Popen(
            [sys.executable, "-m", "bench.isthmus_run", json.dumps(said)], env={**_environ(), **self.environment()},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=server.ROOT,
        )  # fmt: skip
        assert child.stdin and child.stdout
        watch = measure.Watch(child.pid)
        watch.start()
        for number in range(times):
            assert child.stdout.readline() == "ready\n"
            self.change_contracts(rows, f"{number} {time.time():.0f}")
            child.stdin.write("go\n")
            child.stdin.flush()
            assert child.stdout.readline() == "done\n"
        found = json.loads(child.stdout.readline())
        child.wait()
        return [took for took, _ in found["took"]], Cost(peak_mb=watch.stop(), said=found)

    def cold_delta(self, rows: int) -> Cost:
        """Measure a delta in a process of its own, from its start to its end."""
        self.change_contracts(rows, f"cold {time.time():.0f}")
        said = {"what": "delta", "object": "contract", "gate": "off"}
        arguments = [sys.executable, "-m", "bench.isthmus_run", json.dumps(said)]
        return measure.command(self.postmaster, arguments, self.environment())


def _environ() -> dict[str, str]:
    import os

    return dict(os.environ)


def change(database: str, schema: str, share: int) -> None:
    """Make `share` per cent of each object's rows differ in the target, and clean up behind it."""
    if not share:
        return
    with closing(server.admin(database)) as connection:
        for table, (column, key) in CHANGED.items():
            connection.execute(
                f"UPDATE {schema}.{table} SET {column} = CASE WHEN {column} = '#' THEN '##' ELSE '#' END"
                f" WHERE abs(hashtext({key}::text)) %% 100 < {share}".replace("%%", "%")
            )
        connection.execute("VACUUM (ANALYZE)")


def vacuum(database: str) -> None:
    """Settle statistics and the visibility map, as time would."""
    with closing(server.admin(database)) as connection:
        connection.execute("VACUUM (ANALYZE)")


def ledger_rows() -> dict[str, int]:
    """Return how many rows each table of the working ledger holds, partitions by their parent's name."""
    with psycopg.connect(server.url(LEDGER)) as connection:
        names = connection.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'ledger'::regnamespace AND relkind = 'r'"
        ).fetchall()
        found = {}
        for (name,) in names:
            row = connection.execute(f'SELECT count(*) FROM ledger."{name}"').fetchone()
            found[str(name)] = int(row[0]) if row else 0
        return found
