"""Landscapes of a size, kept as databases: the source, an empty target, an empty ledger, and both as schemas.

An empty CRM holds customizing and the products that agents sell, nothing else.  The limit's database is a copy of
the IS-U database whose tables moved into the schema `isu`, with CRM's tables beside them in the schema `crm`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from typing import Any

import psycopg
import pyarrow as pa
from psycopg import sql

from bench import server
from isthmus.ledger import migrate
from isthmus.ledger.identity import birth_ids
from isthmus.levels.route import compile_route
from isthmus.mapping.writing import tagged
from isthmus.project import Project
from landscape.codes import CLIENT
from landscape.create import create
from landscape.schema import tables

OBJECTS = (
    "business_partner", "contract_account", "connection_object", "premise", "point_of_delivery", "installation",
    "device", "product", "contract",
)  # fmt: skip
SCENARIO = "one_way"
LEDGER = "bench_ledger"
CUSTOMIZING = ("CRMC_BUAG_CLASS", "NRIV", "COMM_PRODUCT")
# The table whose key a thing was born with, and what beside the id is made of it.
ROOTS = {
    "connection_object": ("ehauisu", "haus", ()),
    "premise": ("evbs", "vstelle", ()),
    "point_of_delivery": ("euihead", "int_ui", ()),
    "installation": ("eanl", "anlage", ()),
    "device": ("equi", "equnr", ()),
    "contract": ("ever", "vertrag", ("header",)),
}


def today() -> date:
    """Return the day that `at: today` means, for engine and limit alike."""
    return datetime.now(UTC).date()


def isu(contracts: int) -> str:
    """Return the name of the source of a size, made when it is not there: seed 1, single model, devices, defects."""
    name, crm = f"bench_isu_{contracts}", empty_crm_name(contracts)
    if not server.exists(name) or not server.exists(crm):
        server.create(name)
        server.create(crm)
        create(server.url(name), server.url(crm), contracts=contracts, seed=1, model="single", devices=True)
        empty_out(crm)
        settle(name)
        settle(crm)
    return name


def empty_crm_name(contracts: int) -> str:
    """Return the name of the template of an empty CRM that belongs to a source."""
    return f"bench_crm_{contracts}"


def empty_out(crm: str) -> None:
    """Take out what the demo has agents sell and people enter, and install the journal."""
    with psycopg.connect(server.url(crm)) as connection:
        names = ", ".join(name.lower() for name in tables("crm") if name not in CUSTOMIZING)
        connection.execute(f"TRUNCATE {names}")
        connection.execute("DELETE FROM comm_product WHERE product_type <> '02'")
    with reached({"crm": crm}):
        connector = Project.load(server.ROOT).connector("crm")
        connector.install_journal()  # type: ignore[attr-defined]
        connector.close()


def settle(database: str) -> None:
    """Settle statistics and the visibility map, as time would."""
    with server.admin(database) as connection:
        connection.execute("VACUUM (ANALYZE)")


def ledger() -> str:
    """Return the name of the template of an empty ledger, made or brought up to date where it is not."""
    if not server.exists(LEDGER):
        server.create(LEDGER)
    migrate(server.url(LEDGER))
    return LEDGER


def limit(contracts: int) -> str:
    """Return the name of the limit's database of a size, made when it is not there."""
    name, source = f"bench_limit_{contracts}", isu(contracts)
    if server.exists(name):
        return name
    server.clone(source, name)
    with psycopg.connect(server.url(name), autocommit=True) as connection:
        owner = "isthmus_engine"
        with server.admin(name) as admin:
            admin.execute(f"ALTER SCHEMA public RENAME TO isu; CREATE SCHEMA crm AUTHORIZATION {owner}")
            admin.execute(f"CREATE SCHEMA bench AUTHORIZATION {owner}; GRANT ALL ON SCHEMA isu TO {owner}")
        connection.execute("SET search_path = crm")
        for table in tables("crm").values():
            for statement in (*table.create(), *table.constrain()):
                connection.execute(statement)
        _customize(contracts, connection)
        _bear_ids(source, empty_crm_name(contracts), connection)
    settle(name)
    return name


def _customize(contracts: int, connection: psycopg.Connection[Any]) -> None:
    """Copy what an empty CRM holds, and keep the products aside: they come back after every run."""
    with psycopg.connect(server.url(empty_crm_name(contracts))) as crm:
        for name in CUSTOMIZING:
            out = f"COPY {name.lower()} TO STDOUT (FORMAT binary)"
            into = f"COPY crm.{name.lower()} FROM STDIN (FORMAT binary)"
            with crm.cursor().copy(out) as rows, connection.cursor().copy(into) as sink:
                for block in rows:
                    sink.write(block)
    connection.execute("CREATE TABLE bench.products AS SELECT * FROM crm.comm_product")


def _bear_ids(source: str, crm: str, connection: psycopg.Connection[Any]) -> None:
    """Put the ids the engine would give into a column of each root table, uncounted: no join, no hash in SQL."""
    with reached({"isu": source, "crm": crm}):
        project = Project.load(server.ROOT)
        scenario = project.scenario(SCENARIO)
        reader, writer = project.connector("isu"), project.connector("crm")
        flows = {flow.object: flow for flow in scenario.flows}
        for object_, (table, key, tags) in ROOTS.items():
            plan = compile_route(project, scenario, flows[object_], reader, writer, today()).reads[0]
            raw = [row[0] for row in connection.execute(f"SELECT {key} FROM isu.{table} WHERE mandt = '{CLIENT}'")]
            arrays: tuple[pa.Array, ...] = (pa.array(raw, pa.string()),)
            for step in plan.key.steps:
                arrays = step.read(arrays).arrays
            ids = birth_ids(object_, "isu", project.system("isu").client, arrays[0])
            _add_column(connection, table, key, raw, "isthmus_guid", tagged(ids, ""))
            for tag in tags:
                _add_column(connection, table, key, raw, f"isthmus_{tag}", tagged(ids, tag))
        reader.close()
        writer.close()


def _add_column(
    connection: psycopg.Connection[Any], table: str, key: str, raw: list[str], name: str, ids: pa.Array
) -> None:
    into = sql.SQL("isu.{}").format(sql.Identifier(table))
    connection.execute("CREATE TEMP TABLE born (key varchar, guid bytea)")
    with connection.cursor().copy("COPY born FROM STDIN") as sink:
        for pair in zip(raw, ids.to_pylist(), strict=True):
            sink.write_row(pair)
    connection.execute("ANALYZE born")
    connection.execute(sql.SQL("ALTER TABLE {} ADD COLUMN {} bytea").format(into, sql.Identifier(name)))
    connection.execute(
        sql.SQL("UPDATE {} t SET {} = b.guid FROM born b WHERE t.mandt = {} AND t.{} = b.key").format(
            into, sql.Identifier(name), sql.Literal(CLIENT), sql.Identifier(key)
        )
    )
    connection.execute("DROP TABLE born")
    connection.execute(sql.SQL("VACUUM FULL {}").format(into))


@contextmanager
def reached(databases: dict[str, str], ledger: str = "") -> Iterator[None]:
    """Let the project's systems (`isu`, `crm`) and the ledger be databases of the server."""
    import os

    before = dict(os.environ)
    os.environ.update(environment(databases, ledger))
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def environment(databases: dict[str, str], ledger: str = "") -> dict[str, str]:
    """Return the variables that make the project's systems and the ledger databases of the server."""
    found = {f"ISTHMUS_CONNECTION_{name.upper()}": server.url(base) for name, base in databases.items()}
    if ledger:
        found["ISTHMUS_DATABASE_URL"] = server.url(ledger)
    return {**found, "ISTHMUS_HOME": str(server.ROOT), "ISTHMUS_SCENARIO": SCENARIO}
