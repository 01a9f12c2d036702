"""A landscape multiplied: every row that contract synchronization reads or writes, copied under shifted keys.

Set-based, in all three databases alike, so that a landscape of millions is there in minutes: contracts, accounts,
partners, installations and points of delivery of copy `k` bear the numbers of the loaded ones plus `k` million, their
GUIDs and ids follow, and so do key map and agreed images.  Products and customizing are shared.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import psycopg

from bench import server
from isthmus.mapping.writing import tagged

STEP = 1_000_000  # between the numbers of one copy and the next: a loaded landscape has fewer of each
GUID, HEX_GUID, C22, POINT = "bench_guid({})", "bench_hex({})", "bench_c22({})", "bench_point({})"
SORTED, HEADER = "bench_sorted({}, 0)", "bench_sorted({}, {mask})"


def number(width: int) -> str:
    """Return how a number of some digits is shifted."""
    return f"coalesce(lpad((nullif({{}}, '')::bigint + k.k * {STEP})::text, {width}, '0'), {{}})"


SHORT = f"({{}}::bigint + k.k * {STEP})::text"  # a canonical number, without leading zeros
ISU: Mapping[str, Mapping[str, str]] = {
    "ever": {"vertrag": number(10), "anlage": number(10), "vkonto": number(12)},
    "eanl": {"anlage": number(10), "vstelle": number(10)},
    "fkkvkp": {"vkont": number(12), "gpart": number(10), "guid": GUID},
    "euiinstln": {"int_ui": POINT, "anlage": number(10)},
    "everh": {"vertrag": number(10), "anlage": number(10)},
    "eeinv": {"vertrag": number(10), "anlage": number(10)},
    "erch": {"belnr": number(12), "vertrag": number(10)},
}
CRM: Mapping[str, Mapping[str, str]] = {
    "crmd_orderadm_h": {"guid": HEADER, "object_id": number(10)},
    "crmd_orderadm_i": {"guid": SORTED, "header": HEADER},
    "crmd_isuexta4": {
        "guid": SORTED, "a4isucontr": number(10), "a4podguid": C22, "a4buagguid": GUID, "a4bpno": number(10),
        "a4bpguid": GUID,
    },
    "crm_jest": {"objnr": SORTED},
}  # fmt: skip
BORN = "bench_born({})"  # an id that follows its number
LEDGER: Mapping[str, Mapping[str, str]] = {
    "keys_contract__isu": {"key": SHORT, "id": BORN},
    "keys_contract__crm": {"key": "bench_item({})", "id": BORN},
    "keys_contract_account__isu": {"key": SHORT, "id": BORN},
    "keys_contract_account__crm": {"key": HEX_GUID, "id": BORN},
    "keys_business_partner__isu": {"key": SHORT, "id": BORN},
    "keys_business_partner__crm": {"key": HEX_GUID, "id": BORN},
    "keys_point_of_delivery__isu": {"key": POINT, "id": "bench_id({})"},
    "keys_point_of_delivery__crm": {"key": HEX_GUID, "id": "bench_id({})"},
    "agreed_contract__isu__crm": {
        "id": BORN, "number": SHORT, "account": SHORT, "customer": SHORT, "customer_number": SHORT,
        "installation": SHORT, "point_of_delivery": POINT,
        "counterpart": "bench_item({})", "document": "bench_document({}, {mask})",
    },
}  # fmt: skip
# A GUID that the back office gave out is hashed anew; an id keeps its tail behind the shifted number it begins with.
FUNCTIONS = f"""
CREATE OR REPLACE FUNCTION bench_md5(t text, k int) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN md5(lower(t) || ':' || k);
CREATE OR REPLACE FUNCTION bench_guid(g bytea, k int) RETURNS bytea LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN decode(md5(encode(g, 'hex') || ':' || k), 'hex');
CREATE OR REPLACE FUNCTION bench_sorted(g bytea, mask bigint, k int) RETURNS bytea LANGUAGE sql IMMUTABLE STRICT
PARALLEL SAFE RETURN decode(lpad(to_hex(('x' || lpad((to_hex(('x' || substr(encode(g, 'hex'), 1, 12))::bit(48)::bigint
    # mask)::bigint + k * {STEP}::bigint)::text, 12, '0'))::bit(48)::bigint # mask), 12, '0')
    || substr(encode(g, 'hex'), 13), 'hex');
CREATE OR REPLACE FUNCTION bench_born(i uuid, k int) RETURNS uuid LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (lpad((substr(replace(i::text, '-', ''), 1, 12)::bigint + k * {STEP}::bigint)::text, 12, '0')
    || substr(replace(i::text, '-', ''), 13))::uuid;
CREATE OR REPLACE FUNCTION bench_item(h text, k int) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN lpad((substr(h, 1, 12)::bigint + k * {STEP}::bigint)::text, 12, '0') || substr(h, 13);
CREATE OR REPLACE FUNCTION bench_c22(c text, k int) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN translate(left(encode(decode(md5(encode(decode(translate(c, '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ'
    || 'abcdefghijklmnopqrstuvwxyz{{}}', 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/') || '==',
    'base64'), 'hex') || ':' || k), 'hex'), 'base64'), 22), 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
    || '0123456789+/', '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz{{}}');
"""
CALLS = {
    "bench_guid({})": "bench_guid({}, k.k)",
    "bench_hex({})": "upper(bench_md5({}, k.k))",
    "bench_c22({})": "bench_c22({}, k.k)",
    "bench_point({})": "overlay({} placing lpad(k.k::text, 2, '0') from 2 for 2)",  # its first places are zeros
    "bench_sorted({}, 0)": "bench_sorted({}, 0, k.k)",
    "bench_sorted({}, {mask})": "bench_sorted({}, {mask}, k.k)",
    "bench_born({})": "bench_born({}, k.k)",
    "bench_item({})": "bench_item({}, k.k)",
    "bench_document({}, {mask})": "upper(encode(bench_sorted(decode({}, 'hex'), {mask}, k.k), 'hex'))",
    "bench_id({})": "bench_md5(replace({}::text, '-', ''), k.k)::uuid",
}
SETTINGS = "SET synchronous_commit = off; SET maintenance_work_mem = '512MB'; SET work_mem = '64MB'"


def multiply(databases: Mapping[str, str], copies: int) -> None:
    """Bring `copies - 1` more of everything into the databases `isu`, `crm` and `ledger`, and settle statistics."""
    if not 1 <= copies < 100:
        raise ValueError(f"a landscape is multiplied by 1 to 99, not by {copies}")
    jobs = [("isu", "public", ISU), ("crm", "public", CRM), ("ledger", "ledger", LEDGER)]
    with ThreadPoolExecutor(2) as workers:
        for done in [workers.submit(_one, databases[name], schema, tables, copies) for name, schema, tables in jobs]:
            done.result()


def _one(database: str, schema: str, tables: Mapping[str, Mapping[str, str]], copies: int) -> None:
    with closing(server.admin(database)) as connection:
        connection.execute(SETTINGS)
        connection.execute("CREATE SCHEMA IF NOT EXISTS bench; SET search_path = bench, public")
        connection.execute(FUNCTIONS.encode())
        for table, shifted in tables.items():
            _table(connection, f"{schema}.{table}", shifted, copies)
        connection.execute("DROP SCHEMA bench CASCADE")
        for table in tables:
            connection.execute(f"VACUUM (ANALYZE) {schema}.{table}".encode())


def _table(connection: psycopg.Connection[Any], table: str, shifted: Mapping[str, str], copies: int) -> None:
    """Copy one table's rows; constraints and indexes are taken away meanwhile and built once."""
    asked = {"table": table}
    constraints = connection.execute(
        "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = %(table)s::regclass"
        " AND contype IN ('p', 'u')", asked,
    ).fetchall()  # fmt: skip
    schema, _, name = table.partition(".")
    for constraint, _ in constraints:
        connection.execute(f'ALTER TABLE {table} DROP CONSTRAINT "{constraint}"'.encode())
    indexes = connection.execute(
        "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = %s AND tablename = %s", [schema, name]
    ).fetchall()
    for index, _ in indexes:
        connection.execute(f'DROP INDEX {schema}."{index}"'.encode())
    columns = [row[0] for row in connection.execute(
        "SELECT attname FROM pg_attribute WHERE attrelid = %(table)s::regclass AND attnum > 0 AND NOT attisdropped"
        " ORDER BY attnum", asked,
    )]  # fmt: skip
    listed = ", ".join(f'"{column}"' for column in columns)
    selected = ", ".join(_expression(column, shifted.get(column)) for column in columns)
    connection.execute(f"CREATE UNLOGGED TABLE bench.base AS SELECT * FROM {table}".encode())
    for k in range(1, copies):
        connection.execute(
            f"INSERT INTO {table} ({listed}) SELECT {selected} FROM bench.base b, (SELECT {k} AS k) k".encode()
        )
    connection.execute("DROP TABLE bench.base")
    for constraint, said in constraints:
        connection.execute(f'ALTER TABLE {table} ADD CONSTRAINT "{constraint}" {said}'.encode())
    for _, said in indexes:
        connection.execute(said.encode())


def _expression(column: str, shift: str | None) -> str:
    if shift is None:
        return f'b."{column}"'
    text = CALLS.get(shift, shift).replace("{mask}", str(header_mask()))
    return text.replace("{}", f'b."{column}"')


def header_mask() -> int:
    """Return what the first six bytes of a contract's id are mixed with to make its header's GUID."""
    import pyarrow as pa

    mixed = tagged(pa.array([bytes(16)], pa.binary(16)), "header")
    return int.from_bytes(mixed[0].as_py()[:6], "big")
