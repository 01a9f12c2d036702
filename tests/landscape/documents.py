"""How tests read quotations, opportunities and contacts: by the mappings, and by plain SQL."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa

from isthmus.connector import KeyRange, connect
from isthmus.mapping.compile import compile_read
from isthmus.mapping.load import load_catalogue
from isthmus.mapping.plan import Records
from landscape.schema import tables
from tests.landscape.conftest import Standing

CATALOGUE = load_catalogue(Path(__file__).parents[2])
NOW = datetime(2026, 1, 5, 9, 30, tzinfo=UTC)
OF_BUSINESS = [name for name in tables("crm") if name.startswith(("CRMD_", "CRM_J"))]

# Each object once more, by plain SQL over the tables: its key, then fields in the order of the mapping.
QUOTATIONS = """
SELECT upper(encode(i.guid, 'hex')), h.object_id || '.' || i.number_int, ltrim(h.object_id, '0'),
    ltrim(i.number_int, '0'), upper(encode(x.a4bpguid, 'hex')), i.ordered_prod,
    (ARRAY['electricity', 'gas', 'water', 'heat'])[x.a4division::int], (ARRAY['supply', 'grid'])[x.a4type::int],
    (ARRAY['telephone', 'email', 'internet', 'fax', 'letter'])[o.dis_channel::int / 10], o.sales_org,
    CASE j.stat WHEN 'I1004' THEN 'open' WHEN 'I1005' THEN 'accepted' WHEN 'I1006' THEN 'rejected' ELSE 'expired' END,
    to_date(h.posting_date, 'YYYYMMDD'),
    CASE WHEN j.stat <> 'I1004'
        THEN (SELECT to_date(max(d.udate), 'YYYYMMDD') FROM crm_jcds d WHERE d.objnr = i.guid) END,
    to_date(x.a4validto, 'YYYYMMDD'), p.quantity,
    CASE p.quan_unit WHEN 'KWH' THEN 'kwh' WHEN 'M3' THEN 'm3' ELSE 'mwh' END,
    p.net_value, p.currency, p.zzgrid_cost, p.zzprocure_cost, p.zzprocess_cost, p.zzsales_cost,
    nullif(ltrim(x.a4isucontr, '0'), ''), nullif(c.zzcampaign, ''), x.a4cancelled = 'X'
FROM crmd_isuexta4 x
JOIN crmd_orderadm_i i ON i.guid = x.guid
JOIN crmd_orderadm_h h ON h.guid = i.header
JOIN crmd_pricing_i p ON p.guid = i.guid
JOIN crmd_customer_h c ON c.guid = h.guid
JOIN crm_jest j ON j.objnr = i.guid AND j.inact = ''
JOIN crmd_link l ON l.guid_hi = h.guid JOIN crmd_orgman o ON o.guid = l.guid_set
WHERE x.a4quotation = 'X'
"""
OPPORTUNITIES = """
SELECT upper(encode(h.guid, 'hex')), ltrim(h.object_id, '0'),
    (SELECT p.partner_no FROM crmd_partner p JOIN crmd_link l ON l.guid_set = p.guid
        WHERE l.guid_hi = h.guid AND p.no_type = 'BP'),
    (SELECT p.partner_no FROM crmd_partner p JOIN crmd_link l ON l.guid_set = p.guid
        WHERE l.guid_hi = h.guid AND p.no_type = 'US'),
    i.ordered_prod, (ARRAY['identified', 'qualified', 'quoted', 'negotiated'])[o.curr_phase::int], o.probability::int,
    to_date(h.posting_date, 'YYYYMMDD'), to_date(o.expect_end, 'YYYYMMDD'),
    CASE WHEN j.stat <> 'I1003'
        THEN (SELECT to_date(max(d.udate), 'YYYYMMDD') FROM crm_jcds d WHERE d.objnr = h.guid) END,
    CASE j.stat WHEN 'I1003' THEN 'open' WHEN 'I1010' THEN 'won' ELSE 'lost' END, o.exp_revenue, o.currency
FROM crmd_opport_h o
JOIN crmd_orderadm_h h ON h.guid = o.guid
JOIN crmd_orderadm_i i ON i.header = h.guid
JOIN crm_jest j ON j.objnr = h.guid AND j.inact = ''
"""
CONTACTS = """
SELECT upper(encode(h.guid, 'hex')), ltrim(h.object_id, '0'),
    (SELECT p.partner_no FROM crmd_partner p JOIN crmd_link l ON l.guid_set = p.guid WHERE l.guid_hi = h.guid),
    nullif(ltrim(c.zzisucontr, '0'), ''),
    CASE a.category WHEN '202' THEN 'telephone' WHEN '401' THEN 'email' WHEN '403' THEN 'internet' WHEN '302' THEN 'fax'
        ELSE 'letter' END,
    CASE a.direction WHEN '0' THEN 'inbound' ELSE 'outbound' END,
    (SELECT CASE s.code WHEN 'BILL' THEN 'bill' WHEN 'PAYM' THEN 'payment' WHEN 'READ' THEN 'reading'
        WHEN 'MOVE' THEN 'move' WHEN 'CONT' THEN 'contract' WHEN 'PRIC' THEN 'price'
        WHEN 'OUTA' THEN 'outage' WHEN 'CMPL' THEN 'complaint'
        ELSE 'data' END FROM crmd_subject s JOIN crmd_link l ON l.guid_set = s.guid WHERE l.guid_hi = h.guid),
    h.created_by,
    (SELECT o.service_team FROM crmd_orgman o JOIN crmd_link l ON l.guid_set = o.guid WHERE l.guid_hi = h.guid),
    to_timestamp(h.created_at::text, 'YYYYMMDDHH24MISS'),
    CASE j.stat WHEN 'I1002' THEN 'open' WHEN 'I1003' THEN 'in_process' WHEN 'I1005' THEN 'completed'
        ELSE 'cancelled' END,
    nullif(c.zzcampaign, ''), j.stat = 'I1032'
FROM crmd_activity_h a
JOIN crmd_orderadm_h h ON h.guid = a.guid
JOIN crmd_customer_h c ON c.guid = h.guid
JOIN crm_jest j ON j.objnr = h.guid AND j.inact = ''
"""
PLAIN = {
    "quotation": (
        QUOTATIONS,
        ("number", "document", "item", "customer", "product_id", "division", "usage", "channel", "sales_org", "status",
         "created_on", "decided_on", "valid_until", "quantity", "unit", "amount", "currency", "grid_cost",
         "procurement_cost", "processing_cost", "sales_cost", "contract", "campaign"),
    ),
    "opportunity": (
        OPPORTUNITIES,
        ("number", "customer", "owner", "product_id", "stage", "probability", "created_on", "expected_on", "closed_on",
         "outcome", "amount", "currency"),
    ),
    "contact": (
        CONTACTS,
        ("number", "customer", "contract", "channel", "direction", "reason", "agent", "team", "created_at", "status",
         "campaign"),
    ),
}  # fmt: skip


def read(url: str, object_: str) -> Records:
    """Read an object of CRM through its mapping."""
    plan = compile_read(CATALOGUE, "crm", object_)
    connector = connect("sql", {"url": url, "client": "100"})
    try:
        found = pa.Table.from_batches(list(connector.read(plan.query, KeyRange()))).combine_chunks().to_batches()
        return plan.apply(found[0])
    finally:
        connector.close()


def rows(records: Records, names: tuple[str, ...]) -> list[tuple[Any, ...]]:
    """Return the key, some fields and, where there is one, the delete marker of records, by key."""
    columns = [records.key, *(records.root.column(name) for name in names)]
    columns += [records.deleted] if records.deleted is not None else []
    return sorted(zip(*(column.to_pylist() for column in columns), strict=True))


def same(standing_: Standing, object_: str) -> None:
    """Assert that what the mapping reads of an object is what plain SQL says, in every row and to the cent."""
    statement, names = PLAIN[object_]
    records = read(standing_.crm, object_)
    assert records.rejects.num_rows == 0, records.rejects.slice(0, 3).to_pylist()
    expected = sorted(standing_.ask_crm(statement))
    assert len(expected) > 20
    assert rows(records, names) == expected


def digest(url: str) -> dict[str, Any]:
    with psycopg.connect(url) as connection:
        return {
            name: connection.execute(
                f"SELECT md5(string_agg(t::text, '' ORDER BY {', '.join(tables('crm')[name].key)})) FROM {name} t"
            ).fetchone()
            for name in OF_BUSINESS
        }
