"""Set-based edits of CRM's documents: copies of documents with all that belongs to them, statuses, reasons, stamps.

Documents are named by the GUIDs of their headers in hex digits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from landscape.codes import CLIENT
from landscape.fill.order import HEADER, ITEM, SUBJECTS
from landscape.moment import Moment
from landscape.rows import Connection
from landscape.schema import tables

USER = "AGENT21"
_NEW = "decode(md5(encode({guid}, 'hex') || o.salt), 'hex')"  # each copy of a GUID is another one, and always the same
_GUIDS: Mapping[str, tuple[str, ...]] = {
    "crmd_orderadm_h": ("guid",),
    "crmd_orderadm_i": ("guid", "header"),
    "crmd_isuexta4": ("guid",),
    "crmd_pricing_i": ("guid",),
    "crmd_customer_h": ("guid",),
    "crmd_activity_h": ("guid",),
    "crmd_opport_h": ("guid",),
    "crmd_link": ("guid_hi", "guid_set"),
    "crmd_partner": ("guid", "partner_guid"),
    "crmd_orgman": ("guid",),
    "crmd_subject": ("guid",),
}
"""The tables of a document; the first column is what it is found by."""


def numbers(crm: Connection, headers: Sequence[str]) -> tuple[str, ...]:
    """Return the numbers of documents, in order of the GUIDs given."""
    rows = crm.execute(
        "SELECT h.object_id FROM unnest(%s::text[]) WITH ORDINALITY AS v(a, n) "
        f"JOIN crmd_orderadm_h h ON h.client = '{CLIENT}' AND h.guid = decode(v.a, 'hex') ORDER BY v.n",
        (list(headers),),
    )
    return tuple(str(row[0]) for row in rows)


def stamp(crm: Connection, at: Moment, headers: Sequence[str]) -> None:
    """Note in documents and their items that they were changed."""
    said = f"changed_at = {at.stamp}, changed_by = '{USER}'"
    for table, column in (("crmd_orderadm_h", "guid"), ("crmd_orderadm_i", "header")):
        crm.execute(
            f"UPDATE {table} t SET {said} FROM unnest(%s::text[]) AS v(a) "
            f"WHERE t.client = '{CLIENT}' AND t.{column} = decode(v.a, 'hex')",
            (list(headers),),
        )


def items(crm: Connection, headers: Sequence[str]) -> list[str]:
    """Return the items of documents."""
    rows = crm.execute(
        "SELECT encode(i.guid, 'hex') FROM unnest(%s::text[]) WITH ORDINALITY AS v(a, n) "
        f"JOIN crmd_orderadm_i i ON i.client = '{CLIENT}' AND i.header = decode(v.a, 'hex') ORDER BY v.n, i.number_int",
        (list(headers),),
    )
    return [str(row[0]) for row in rows]


def set_status(crm: Connection, at: Moment, objects: Sequence[str], status: str) -> None:
    """Make a status the one that is active of headers or items, and write change documents, but of no first status."""
    counted = "chgnr = lpad((t.chgnr::int + 1)::text, 3, '0')"
    changed = crm.execute(
        f"UPDATE crm_jest t SET inact = 'X', {counted} FROM unnest(%s::text[]) AS v(a) "
        f"WHERE t.mandt = '{CLIENT}' AND t.objnr = decode(v.a, 'hex') AND t.inact = '' AND t.stat <> %s "
        "RETURNING t.objnr, t.stat, t.chgnr, t.inact",
        (list(objects), status),
    ).fetchall()
    made = crm.execute(
        f"INSERT INTO crm_jest AS t (mandt, objnr, stat, chgnr) SELECT '{CLIENT}', decode(v.a, 'hex'), %s, '001' "
        f"FROM unnest(%s::text[]) AS v(a) ON CONFLICT (mandt, objnr, stat) DO UPDATE SET inact = '', {counted} "
        "WHERE t.inact = 'X' RETURNING t.objnr, t.stat, t.chgnr, t.inact",
        (status, list(objects)),
    ).fetchall()
    had_one = {row[0] for row in changed}
    changed += [row for row in made if row[0] in had_one]
    columns = [list(column) for column in zip(*changed, strict=True)] or [[], [], [], []]
    crm.execute(
        "INSERT INTO crm_jcds (mandt, objnr, stat, chgnr, usnam, udate, utime, inact) "
        f"SELECT '{CLIENT}', v.a, v.b, v.c, '{USER}', '{at.date}', '{at.time}', v.d "
        "FROM unnest(%s::bytea[], %s::text[], %s::text[], %s::text[]) AS v(a, b, c, d)",
        columns,
    )


def give_reason(crm: Connection, objects: Sequence[str], kind: str, group: str, codes: Sequence[str]) -> None:
    """Say why headers or items (`kind`) ended so, one code each."""
    values = (list(objects), list(codes))
    given = "unnest(%s::text[], %s::text[]) AS v(a, b)"
    made = "decode(md5(v.a || '.why'), 'hex')"
    crm.execute(
        f"INSERT INTO crmd_link (client, guid_hi, guid_set, objtype_hi, objtype_set) "
        f"SELECT '{CLIENT}', decode(v.a, 'hex'), {made}, '{kind}', '{SUBJECTS}' FROM {given}",
        values,
    )
    crm.execute(
        "INSERT INTO crmd_subject (client, guid, katalogart, codegruppe, code) "
        f"SELECT '{CLIENT}', {made}, 'CR', '{group}', v.b FROM {given}",
        values,
    )


def copy(
    crm: Connection,
    at: Moment,
    headers: Sequence[str],
    changes: Mapping[str, Mapping[str, str]],
    sets: Sequence[str],
    words: Sequence[str] = (),
) -> list[str]:
    """Make a document of today like each of those given and return the new headers.

    `changes` gives other content of columns by table, as SQL that may name the place `o.place` of a document, from 1,
    and its word `o.word`.  Of sets (partners, subjects, ...) those of the kinds in `sets` are made as well; a status
    is left to `set_status`.
    """
    _gather(crm, at, headers, sets, words or [""] * len(headers))
    today = {"created_at": at.stamp, "changed_at": at.stamp, "changed_by": f"'{USER}'"}
    usual = {
        "crmd_orderadm_h": {
            **today,
            "posting_date": f"'{at.date}'",
            "object_id": "lpad((n.top + o.place)::text, 10, '0')",
        },
        "crmd_orderadm_i": {**today, "order_date": at.stamp},
    }
    for table, guids in _GUIDS.items():
        made = {guid: _NEW.format(guid=f"t.{guid}") for guid in guids}
        _insert(crm, table, guids[0], {**usual.get(table, {}), **made, **changes.get(table, {})}, sets)
    rows = crm.execute(
        f"SELECT encode({_NEW.format(guid='o.old')}, 'hex') FROM copied o WHERE o.kind = '{HEADER}' ORDER BY o.place"
    ).fetchall()
    crm.execute("DROP TABLE copied")
    return [str(row[0]) for row in rows]


def _gather(crm: Connection, at: Moment, headers: Sequence[str], sets: Sequence[str], words: Sequence[str]) -> None:
    """Collect the GUIDs of documents, their items and their sets in a table that lasts as long as the copying."""
    crm.execute("CREATE TEMP TABLE copied (kind text, old bytea, place int, word text, salt text)")
    crm.execute(
        f"INSERT INTO copied SELECT '{HEADER}', decode(v.a, 'hex'), v.n, v.b, "
        f"concat_ws('.', '{at.seed}', '{at.stamp}', v.n, (SELECT count(*) FROM crmd_orderadm_h)) "
        "FROM unnest(%s::text[], %s::text[]) WITH ORDINALITY AS v(a, b, n)",
        (list(headers), list(words)),
    )
    crm.execute(
        f"INSERT INTO copied SELECT '{ITEM}', i.guid, o.place, o.word, o.salt FROM copied o "
        f"JOIN crmd_orderadm_i i ON i.client = '{CLIENT}' AND i.header = o.old"
    )
    crm.execute(
        "INSERT INTO copied SELECT 'set', l.guid_set, o.place, o.word, o.salt FROM copied o "
        f"JOIN crmd_link l ON l.client = '{CLIENT}' AND l.guid_hi = o.old AND l.objtype_set = ANY(%s)",
        (list(sets),),
    )


def _insert(crm: Connection, table: str, found_by: str, changes: Mapping[str, str], sets: Sequence[str]) -> None:
    """Copy the rows of one table whose GUID was gathered; documents of a type are numbered on from its last one."""
    names = [name.lower() for name in tables("crm")[table.upper()].names]
    selected = ", ".join(changes.get(name, f"t.{name}") for name in names)
    tie = f"t.client = '{CLIENT}' AND t.{found_by} = o.old"
    if table == "crmd_link":
        tie += f" AND t.objtype_set = ANY('{{{','.join(sets)}}}')"
    top = (
        "JOIN (SELECT object_type, max(object_id)::bigint AS top FROM crmd_orderadm_h "
        f"WHERE client = '{CLIENT}' GROUP BY object_type) n ON n.object_type = t.object_type"
        if table == "crmd_orderadm_h"
        else ""
    )
    source = f"copied o JOIN {table} t ON {tie} {top}"
    crm.execute(f"INSERT INTO {table} ({', '.join(names)}) SELECT {selected} FROM {source}")
