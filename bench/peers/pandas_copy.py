# mypy: disable-error-code="import-not-found, untyped-decorator"
"""pandas in chunks with COPY into temporary tables and one upsert each: `python pandas_copy.py ISU_URL CRM_URL`."""

from __future__ import annotations

import io
import sys
from typing import Any

import numpy as np
import pandas as pd
import psycopg
import sqlalchemy as sa
from mapping_arrow import BASE64, C22, DIVISIONS, LOOKUPS, USAGES

ZERO = "00" * 16
KEYS = {
    "crmd_orderadm_i": ["client", "guid"], "crmd_orderadm_h": ["client", "guid"], "crmd_isuexta4": ["client", "guid"],
    "crm_jest": ["mandt", "objnr", "stat"],
}  # fmt: skip
INITIAL = {"header", "object_id", "number_int", "itm_type", "object_type", "created_by", "process_type", "chgnr",
           "descr_language", "logical_system", "a4isulogsys"}  # fmt: skip


def hexed(value: Any) -> str | None:
    """Spell bytes in hex: pandas has no bytes."""
    return None if value is None else bytes(value).hex()


def spelled(value: Any) -> Any:
    """Spell bytes in hex, leave the rest."""
    return value.hex() if isinstance(value, bytes) else value


def raw(column: pd.Series) -> pd.Series:
    """Spell hex as PostgreSQL reads bytes."""
    return "\\x" + column


def lookups(crm: str) -> dict[str, dict[Any, Any]]:
    """Read what foreign keys are translated by."""
    found = {}
    with psycopg.connect(crm) as connection:
        for name, query in LOOKUPS.items():
            rows = connection.execute(query, [BASE64, C22] if "%s" in query else None).fetchall()
            found[name] = {spelled(key): spelled(value) for key, value in rows}
    return found


def is_date(column: pd.Series) -> pd.Series:
    """Tell which texts are a day that exists; initial and open dates count."""
    parsed = pd.to_datetime(column, format="%Y%m%d", errors="coerce")
    return parsed.notna() | column.isin(["00000000", "99991231"])


def padded(column: pd.Series, width: int) -> pd.Series:
    """Spell numbers with their leading zeros."""
    bare = column.str.strip(" ").str.lstrip("0")
    return bare.str.zfill(width).where(bare.str.isdecimal(), column.str.strip(" "))


def mapped(rows: pd.DataFrame, known: dict[str, dict[Any, Any]]) -> tuple[dict[str, pd.DataFrame], pd.DataFrame]:
    """Map a chunk: rows of the four tables, and the refused ones with their reason."""
    number, partner = padded(rows["vertrag"], 10), padded(rows["gpart"], 10)
    account, customer = padded(rows["vkonto"], 12).map(known["account"]), partner.map(known["partner"])
    pod = rows["int_ui"].str.rstrip(" ").map(known["pod"])
    product_guid = rows["product_guid"].map(hexed)
    product = product_guid.map(known["product"])
    division, usage = rows["sparte"].map(DIVISIONS), rows["intcode"].map(USAGES)
    ends = rows["auszdat"].where(rows["auszdat"] != "00000000", "99991231")
    masks = [
        number.duplicated(keep=False), rows["eanl_anlage"].isna(), rows["gpart"].isna(), division.isna(),
        usage.isna() & rows["intcode"].notna(), ~rows["abrsperr"].isin(["", "01", "02", "03"]),
        ~is_date(rows["einzdat"]), rows["einzdat"] == "00000000", ~is_date(rows["auszdat"]),
        ~is_date(rows["kuenddat"]), ends < rows["einzdat"], account.isna(), customer.isna(),
        pod.isna() & rows["int_ui"].notna(), product.isna() & product_guid.notna() & (product_guid != ZERO),
    ]  # fmt: skip
    texts = [
        "key: ambiguous", "missing row in EANL", "missing row in FKKVKP", "division: code", "usage: code",
        "billing_block: code", "starts_on: date", "starts_on: required", "ends_on: date", "cancelled_on: date",
        "the contract ends before it starts", "waits for contract_account", "waits for business_partner",
        "waits for point_of_delivery", "waits for product",
    ]  # fmt: skip
    reason = pd.Series(np.select([mask.to_numpy(bool) for mask in masks], texts, ""), index=rows.index)
    values = number.astype("int64")
    made = values.map(lambda v: f"{v:016x}{(v * 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF:016x}")
    header = values.map(lambda v: f"{v:016x}{((v * 0x9E3779B97F4A7C15) ^ 0x5DEECE66D) & 0xFFFFFFFFFFFFFFFF:016x}")
    contractpos = rows["contractpos"].map(hexed)
    guid = contractpos.where(contractpos.notna() & (contractpos != ZERO), made)
    text = rows["vbez"].str.rstrip(" ")
    tables = {
        "crmd_orderadm_i": pd.DataFrame({
            "client": "100", "guid": raw(guid), "header": raw(header), "product": raw(product.fillna(ZERO)),
            "ordered_prod": rows["crm_product"].str.rstrip(" ").fillna(""), "description": text,
            "number_int": "0000000010", "itm_type": "UTIL", "object_type": "BUS2000149", "created_by": "PEER"}),
        "crmd_orderadm_h": pd.DataFrame({
            "client": "100", "guid": raw(header), "object_id": number, "process_type": "ISUC", "description": text,
            "descr_language": "E", "logical_system": "CRMCLNT100", "created_by": "PEER", "object_type": "BUS2000249"}),
        "crmd_isuexta4": pd.DataFrame({
            "client": "100", "guid": raw(guid), "a4type": usage.fillna(""), "a4isucontr": number,
            "a4isulogsys": "ISUCLNT100", "a4podguid": pod.fillna(""), "a4division": division,
            "a4buagguid": raw(account), "a4bpno": partner, "a4bpguid": raw(customer), "a4contstart": rows["einzdat"],
            "a4contend": ends, "a4cancelled": rows["loevm"]}),
        "crm_jest": pd.DataFrame({"mandt": "100", "objnr": raw(guid), "stat": "I1004", "chgnr": "001"}),
    }  # fmt: skip
    good = reason == ""
    return {name: table[good] for name, table in tables.items()}, pd.DataFrame({"key": number, "reason": reason})[~good]


def upsert(connection: psycopg.Connection[Any], name: str, rows: pd.DataFrame) -> None:
    """COPY a chunk into a temporary table and merge it: only rows that differ are touched."""
    names = list(rows.columns)
    listed, key = ", ".join(names), ", ".join(KEYS[name])
    written = [column for column in names if column not in KEYS[name] and column not in INITIAL]
    connection.execute(
        f"CREATE TEMP TABLE IF NOT EXISTS new_{name} (LIKE {name} INCLUDING DEFAULTS) ON COMMIT DELETE ROWS"
    )
    connection.execute(f"TRUNCATE new_{name}")
    sink = io.StringIO()
    rows.to_csv(sink, index=False, header=False, quoting=1)
    with connection.cursor().copy(
        f"COPY new_{name} ({listed}) FROM STDIN (FORMAT csv, FORCE_NOT_NULL ({listed}))"
    ) as copy:
        copy.write(sink.getvalue())
    then = "NOTHING"
    if written:
        mine, theirs = (", ".join(f"{alias}.{c}" for c in written) for alias in ("t", "excluded"))
        changes = ", ".join(f"{c} = excluded.{c}" for c in written)
        then = f"UPDATE SET {changes} WHERE ({mine}) IS DISTINCT FROM ({theirs})"
    connection.execute(
        f"INSERT INTO {name} AS t ({listed}) SELECT {listed} FROM new_{name} ON CONFLICT ({key}) DO {then}"
    )


def main() -> None:
    """Carry all contracts."""
    isu, crm = sys.argv[1:3]
    known = lookups(crm)
    engine = sa.create_engine(isu.replace("postgresql://", "postgresql+psycopg://"))
    with engine.connect().execution_options(stream_results=True) as source, psycopg.connect(crm) as target:
        target.execute("CREATE TABLE IF NOT EXISTS bench_refused (key text, reason text, PRIMARY KEY (key, reason))")
        for chunk in pd.read_sql("SELECT * FROM bench_contract", source, chunksize=50_000):
            tables, refused = mapped(chunk, known)
            for name, rows in tables.items():
                upsert(target, name, rows)
            with target.cursor() as cursor:
                cursor.executemany(
                    "INSERT INTO bench_refused VALUES (%s, %s) ON CONFLICT DO NOTHING", refused.to_numpy().tolist()
                )
            target.commit()


if __name__ == "__main__":
    main()
