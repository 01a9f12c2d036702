"""The mapping of contracts in Arrow kernels, for a peer that moves Arrow: a good engineer's hand-written version."""

from __future__ import annotations

import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.compute as pc

DIVISIONS = {"01": "01", "02": "02", "03": "03", "04": "04", "05": "05", "06": "06", "07": "01"}
USAGES = {"01": "2", "02": "1"}
ZERO = bytes(16)
BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
C22 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz{}"
LOOKUPS = {
    "account": "SELECT buag_id, buag_guid FROM crmm_buag WHERE client = '100'",
    "partner": "SELECT partner, partner_guid FROM but000 WHERE client = '100'",
    "pod": "SELECT int_ui, translate(rtrim(encode(product_guid, 'base64'), '='), %s, %s) FROM zisupod"
    " WHERE client = '100'",
    "product": "SELECT product_guid, product_guid FROM comm_product WHERE client = '100' AND product_type = '02'",
}


def lookups(crm: str) -> dict[str, tuple[pa.Array, pa.Array]]:
    """Read what foreign keys are translated by: keys and what they become."""
    found = {}
    with psycopg.connect(crm) as connection:
        for name, query in LOOKUPS.items():
            rows = connection.execute(query, [BASE64, C22] if "%s" in query else None).fetchall()
            found[name] = (pa.array([row[0] for row in rows]), pa.array([row[1] for row in rows]))
    return found


def guids(numbers: pa.Array, salt: int) -> pa.Array:
    """Make ids of 16 bytes from contract numbers: cheap, deterministic, rising with the number."""
    values = pc.cast(numbers, pa.int64()).to_numpy(zero_copy_only=False)
    words = np.empty((len(values), 2), ">u8")
    words[:, 0] = values.astype(np.uint64)
    words[:, 1] = values.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) ^ np.uint64(salt)
    return pa.Array.from_buffers(pa.binary(16), len(values), [None, pa.py_buffer(words.tobytes())]).cast(pa.binary())


def padded(array: pa.Array, width: int) -> pa.Array:
    """Spell a number with its leading zeros."""
    bare = pc.ascii_ltrim(pc.ascii_trim(array, " "), "0")
    return pc.if_else(pc.ascii_is_decimal(bare), pc.ascii_lpad(bare, width, "0"), pc.ascii_trim(array, " "))


def coded(array: pa.Array, codes: dict[str, str]) -> pa.Array:
    """Send a column through a code table; what is unknown becomes null."""
    return pa.array(list(codes.values())).take(pc.index_in(array, pa.array(list(codes))))


def is_date(array: pa.Array) -> pa.Array:
    """Tell which texts are a day that exists; initial and open dates count."""
    parsed = pc.strptime(array, "%Y%m%d", "s", error_is_null=True)
    same = pc.equal(pc.strftime(parsed, "%Y%m%d"), array)
    return pc.or_(pc.fill_null(same, False), pc.is_in(array, pa.array(["00000000", "99991231"])))


def mapped(rows: pa.Table, known: dict[str, tuple[pa.Array, pa.Array]]) -> tuple[dict[str, pa.Table], pa.Table]:
    """Map a block: rows of the four tables, and the refused ones with their reason."""
    rows = rows.combine_chunks()
    column = {
        name: pa.concat_arrays(rows[name].chunks) if rows.num_rows else rows[name].combine_chunks()
        for name in rows.column_names
    }
    number = padded(column["vertrag"], 10)
    partner_number = padded(column["gpart"], 10)
    found = {}
    for name, keys in (
        ("account", padded(column["vkonto"], 12)), ("partner", partner_number),
        ("pod", pc.ascii_rtrim(column["int_ui"], " ")), ("product", column["product_guid"].cast(pa.binary())),
    ):  # fmt: skip
        found[name] = known[name][1].take(pc.index_in(keys, known[name][0]))
    division, usage = coded(column["sparte"], DIVISIONS), coded(column["intcode"], USAGES)
    zero = pa.scalar(ZERO, pa.binary())
    has_product = pc.fill_null(pc.not_equal(column["product_guid"].cast(pa.binary()), zero), False)
    ends = pc.if_else(pc.equal(column["auszdat"], "00000000"), "99991231", column["auszdat"])
    counts = pc.value_counts(number)
    twice = counts.field(0).filter(pc.greater(counts.field(1), 1))
    reasons = (
        (pc.is_in(number, twice), "key: ambiguous"),
        (pc.is_null(column["eanl_anlage"]), "missing row in EANL"),
        (pc.is_null(column["gpart"]), "missing row in FKKVKP"),
        (pc.is_null(division), "division: code"),
        (pc.and_(pc.is_null(usage), pc.is_valid(column["intcode"])), "usage: code"),
        (pc.invert(pc.is_in(column["abrsperr"], pa.array(["", "01", "02", "03"]))), "billing_block: code"),
        (pc.invert(is_date(column["einzdat"])), "starts_on: date"),
        (pc.equal(column["einzdat"], "00000000"), "starts_on: required"),
        (pc.invert(is_date(column["auszdat"])), "ends_on: date"),
        (pc.invert(is_date(column["kuenddat"])), "cancelled_on: date"),
        (pc.less(ends, column["einzdat"]), "the contract ends before it starts"),
        (pc.is_null(found["account"]), "waits for contract_account"),
        (pc.is_null(found["partner"]), "waits for business_partner"),
        (pc.and_(pc.is_null(found["pod"]), pc.is_valid(column["int_ui"])), "waits for point_of_delivery"),
        (pc.and_(pc.is_null(found["product"]), has_product), "waits for product"),
    )
    reason = pc.case_when(
        pc.make_struct(*(pc.fill_null(mask, False) for mask, _ in reasons)), *(pa.scalar(text) for _, text in reasons),
        pa.scalar(None, pa.string()),
    )  # fmt: skip
    made = guids(number, 0)
    contractpos = column["contractpos"].cast(pa.binary())
    guid = pc.if_else(pc.fill_null(pc.not_equal(contractpos, zero), False), contractpos, made)
    header, size = guids(number, 0x5DEECE66D), rows.num_rows
    text = pc.ascii_rtrim(column["vbez"], " ")

    def same(value: str) -> pa.Array:
        return pa.repeat(pa.scalar(value), size)

    tables = {
        "crmd_orderadm_i": {
            "client": same("100"), "guid": guid, "header": header, "product": pc.coalesce(found["product"], zero),
            "ordered_prod": pc.coalesce(pc.ascii_rtrim(column["crm_product"], " "), ""), "description": text,
            "number_int": same("0000000010"), "itm_type": same("UTIL"), "object_type": same("BUS2000149"),
            "created_by": same("PEER"),
        },
        "crmd_orderadm_h": {
            "client": same("100"), "guid": header, "object_id": number, "process_type": same("ISUC"),
            "description": text, "descr_language": same("E"), "logical_system": same("CRMCLNT100"),
            "created_by": same("PEER"), "object_type": same("BUS2000249"),
        },
        "crmd_isuexta4": {
            "client": same("100"), "guid": guid, "a4type": pc.coalesce(usage, ""), "a4isucontr": number,
            "a4isulogsys": same("ISUCLNT100"), "a4podguid": pc.coalesce(found["pod"], ""), "a4division": division,
            "a4buagguid": found["account"], "a4bpno": partner_number, "a4bpguid": found["partner"],
            "a4contstart": column["einzdat"], "a4contend": ends, "a4cancelled": column["loevm"],
        },
        "crm_jest": {"mandt": same("100"), "objnr": guid, "stat": same("I1004"), "chgnr": same("001")},
    }  # fmt: skip
    good = pc.is_null(reason)
    refused = pa.table({"key": number, "reason": reason}).filter(pc.invert(good))
    return {name: pa.table(columns).filter(good) for name, columns in tables.items()}, refused
