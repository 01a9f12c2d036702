"""A witness of both sides: what IS-U and CRM say of partners, accounts and contracts, read and compared by SQL alone.

Nothing of the engine is used: no mapping, no query, no key map.  What a side says of a thing is one JSON value by the
fields of the model; rows are laid side by side in a session of IS-U that leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg

from landscape.codes import CLIENT
from landscape.live_day import Manifest, Played
from landscape.rows import Connection

EXPECTED = {
    "to crm": "isu IS NOT DISTINCT FROM isu0 AND crm IS NOT DISTINCT FROM isu0",
    "to isu": "crm IS NOT DISTINCT FROM crm0 AND isu IS NOT DISTINCT FROM crm0",
    "agreed": "isu IS NOT DISTINCT FROM isu0 AND crm IS NOT DISTINCT FROM isu0 AND crm0 IS NOT DISTINCT FROM isu0",
    "owner decides": "isu IS NOT DISTINCT FROM owned AND crm IS NOT DISTINCT FROM owned",
    "put right": "isu IS NOT DISTINCT FROM owned AND crm IS NOT DISTINCT FROM owned",
    "conflict": "isu IS NOT DISTINCT FROM isu0 AND crm IS NOT DISTINCT FROM crm0 AND isu IS DISTINCT FROM crm "
    "AND 'both changed' = ANY (kinds)",
    "refused": "isu IS NOT DISTINCT FROM isu0 AND crm IS NOT DISTINCT FROM crm0 AND 'refused' = ANY (kinds)",
    "created in crm": "crm_said = isu_said",
    "created in isu": "crm_said = isu_said",
    "duplicate": "crm_said IS NOT NULL AND isu_said IS NULL AND 'duplicate' = ANY (kinds)",
    "nothing": "isu_said = isu_said0 AND crm_said = crm_said0",
}  # what has to be true of one field of one thing; `0` is what stood there when the day was over


def _text(column: str) -> str:
    return f"nullif(btrim({column}), '')"


def _key(column: str) -> str:
    """Spell a number without its zeros, as people do."""
    return f"CASE WHEN {column} ~ '^ *[0-9]+ *$' THEN ltrim(btrim({column}), '0') ELSE btrim({column}) END"


def _day(column: str) -> str:
    return f"nullif(nullif(btrim({column}), '00000000'), '')"


def _end(column: str) -> str:
    return f"nullif({_day(column)}, '99991231')"


def _guid(column: str) -> str:
    return f"nullif(upper(encode({column}, 'hex')), repeat('0', 32))"


def _flag(column: str) -> str:
    return f"(btrim({column}) <> '')"


def _look(object_: str, key: str, guid: str, fields: Mapping[str, str], source: str) -> str:
    said = ", ".join(f"'{name}', {value}" for name, value in fields.items())
    return f"SELECT '{object_}', {key}, {_guid(guid)}, jsonb_build_object({said}) FROM {source}"


_PARTNER = _look(
    "business_partner",
    _key("p.partner"),
    "p.partner_guid",
    {
        "number": _key("p.partner"), "guid": _guid("p.partner_guid"), "kind": _text("p.type"),
        "partner_type": _text("p.bpkind"), "grouping": _text("p.bu_group"), "external": _text("p.bpext"),
        "title": _text("p.title"), "organisation": _text("p.name_org1"), "organisation_2": _text("p.name_org2"),
        "last_name": _text("p.name_last"), "first_name": _text("p.name_first"), "born_on": _day("p.birthdt"),
        "search_1": _text("p.bu_sort1"), "search_2": _text("p.bu_sort2"), "blocked": _flag("p.xblck"),
        "deleted": _flag("p.xdele"), "created_on": _day("p.crdat"), "address_number": _key("b.addrnumber"),
        "address_guid": _guid("b.address_guid"), "address_name": _text("a.name1"), "street": _text("a.street"),
        "house_number": _text("a.house_num1"), "house_suffix": _text("a.house_num2"),
        "postal_code": _text("a.post_code1"), "city": _text("a.city1"), "district": _text("a.city2"),
        "country": _text("a.country"), "region": _text("a.region"), "city_code": _text("a.city_code"),
        "street_code": _text("a.strt_code"), "time_zone": _text("a.time_zone"),
    },
    "but000 p LEFT JOIN but020 b ON b.client = p.client AND b.partner = p.partner AND b.xdfadr = 'X' "
    "LEFT JOIN adrc a ON a.client = b.client AND a.addrnumber = b.addrnumber AND a.date_from = '00010101' "
    f"AND a.nation = '' WHERE p.client = '{CLIENT}'",
)  # fmt: skip
LOOKS: Mapping[str, Sequence[str]] = {
    "isu": (
        _PARTNER,
        _look(
            "contract_account",
            _key("k.vkont"),
            "p.guid",
            {
                "number": _key("k.vkont"), "guid": _guid("p.guid"), "partner": _key("p.gpart"),
                "class": "CASE k.vktyp WHEN '01' THEN 'STANDARD' WHEN '02' THEN 'COLLECTIVE' ELSE k.vktyp END",
                "text": _text("k.vkbez"), "legacy_number": _text("k.vkona"), "reference": _text("p.exvko"),
                "payment_in": _text("p.ezawe"), "bank_in": _text("p.ebvty"), "bank_out": _text("p.abvty"),
                "deleted": _flag("k.loevm"),
            },
            f"fkkvk k JOIN fkkvkp p ON p.mandt = k.mandt AND p.vkont = k.vkont WHERE k.mandt = '{CLIENT}'",
        ),
        _look(
            "contract",
            _key("e.vertrag"),
            "(SELECT s.contractpos FROM everh s WHERE s.mandt = e.mandt AND s.vertrag = e.vertrag "
            "ORDER BY s.bis DESC, s.num DESC LIMIT 1)",
            {
                "number": _key("e.vertrag"), "account": _key("e.vkonto"), "customer": _key("p.gpart"),
                "division": "CASE e.sparte WHEN '07' THEN '01' ELSE e.sparte END", "text": _text("e.vbez"),
                "product": _guid("h.product_guid"), "product_id": _text("h.crm_product"),
                "starts_on": _day("e.einzdat"), "ends_on": _end("e.auszdat"), "deleted": _flag("e.loevm"),
            },
            "ever e JOIN fkkvkp p ON p.mandt = e.mandt AND p.vkont = e.vkonto LEFT JOIN LATERAL (SELECT * FROM everh s "
            "WHERE s.mandt = e.mandt AND s.vertrag = e.vertrag AND s.ab <= to_char(now(), 'YYYYMMDD') "
            "AND (s.bis >= to_char(now(), 'YYYYMMDD') OR s.bis = '00000000') ORDER BY s.bis, s.num DESC LIMIT 1) h "
            f"ON true WHERE e.mandt = '{CLIENT}'",
        ),
    ),
    "crm": (
        _PARTNER,
        _look(
            "contract_account",
            _key("k.buag_id"),
            "k.buag_guid",
            {
                "number": _key("k.buag_id"), "guid": _guid("k.buag_guid"), "partner": _key("p.partner"),
                "class": _text("h.buag_class"), "text": _text("k.text35"), "legacy_number": _text("k.buag_id_legacy"),
                "reference": _text("h.ref_number"), "payment_in": _text("h.pay_meth_in"),
                "bank_in": _text("h.bdid_in"), "bank_out": _text("h.bdid_out"), "deleted": _flag("k.deletion_flag"),
            },
            "crmm_buag k JOIN crmm_buag_h h ON h.client = k.client AND h.buag_guid = k.buag_guid "
            "AND h.valid_to = '99991231' LEFT JOIN but000 p ON p.client = k.client "
            f"AND p.partner_guid = k.partner_guid WHERE k.client = '{CLIENT}'",
        ),
        _look(
            "contract",
            _key("x.a4isucontr"),
            "x.guid",
            {
                "number": _key("x.a4isucontr"), "account": _key("k.buag_id"), "customer": _key("p.partner"),
                "division": _text("x.a4division"), "text": _text("h.description"), "product": _guid("i.product"),
                "product_id": _text("i.ordered_prod"), "starts_on": _day("x.a4contstart"),
                "ends_on": _end("x.a4contend"), "deleted": _flag("x.a4cancelled"),
            },
            "crmd_isuexta4 x JOIN crmd_orderadm_i i ON i.client = x.client AND i.guid = x.guid "
            "JOIN crmd_orderadm_h h ON h.client = i.client AND h.guid = i.header "
            "LEFT JOIN crmm_buag k ON k.client = x.client AND k.buag_guid = x.a4buagguid "
            "LEFT JOIN but000 p ON p.client = x.client AND p.partner_guid = x.a4bpguid "
            f"WHERE x.client = '{CLIENT}' AND x.a4quotation = ''",
        ),
    ),
}  # fmt: skip
TABLES = """
CREATE TEMP TABLE looks (at text, side text, object text, key text, guid text, said jsonb);
CREATE TEMP TABLE held (object text, key text, guid text, field text, kind text);
CREATE TEMP TABLE asked (place int, object text, key text, field text, expected text, owner text)
"""
HELD = """
COPY (
    SELECT split_part(flow, '.', 1), source_key, CASE WHEN source_key IS NULL THEN target_key END, field, kind
    FROM ledger.conflicts WHERE state IN ('open', 'decided')
    UNION ALL
    SELECT split_part(flow, '.', 1), key, key, '', kind FROM ledger.exceptions WHERE state = 'open'
) TO STDOUT
"""
# What IS-U holds back may name a counterpart in CRM that names another contract.
NAMED = """
INSERT INTO held SELECT h.object, NULL, l.guid, h.field, h.kind FROM held h
JOIN looks l ON l.at = 'after' AND l.side = 'isu' AND (l.object, l.key) = (h.object, h.key)
WHERE h.field = '' AND l.guid IS NOT NULL
"""
SIDES = """
SELECT coalesce(i.object, c.object) AS object, coalesce(i.key, c.key) AS key, i.said AS isu, c.said AS crm, c.guid
FROM (SELECT * FROM looks WHERE at = 'after' AND side = 'isu') i
FULL JOIN (SELECT * FROM looks WHERE at = 'after' AND side = 'crm') c USING (object, key)
"""
AGREEMENT = f"""
WITH sides AS MATERIALIZED ({SIDES}), differing AS (
    SELECT s.object, s.key, e.field, EXISTS (
        SELECT FROM held h WHERE h.object = s.object AND h.key = s.key AND h.field IN ('', e.field)) AS held
    FROM sides s, LATERAL (SELECT f FROM jsonb_object_keys(s.isu) f WHERE s.isu -> f <> s.crm -> f) e (field)
    WHERE s.isu <> s.crm
), alone AS (
    SELECT s.object, s.isu IS NOT NULL AS isu, EXISTS (SELECT FROM held h WHERE h.object = s.object
        AND (h.key = s.key OR h.guid = s.guid)) AS held
    FROM sides s WHERE s.isu IS NULL OR s.crm IS NULL
)
SELECT o.object, count(*) FILTER (WHERE s.isu IS NOT NULL AND s.crm IS NOT NULL),
    coalesce(sum((SELECT count(*) FROM jsonb_object_keys(s.isu))) FILTER (WHERE s.crm IS NOT NULL), 0),
    (SELECT count(*) FROM differing d WHERE d.object = o.object AND d.held),
    (SELECT count(*) FROM differing d WHERE d.object = o.object AND NOT d.held),
    (SELECT count(*) FROM alone a WHERE a.object = o.object AND a.isu AND a.held),
    (SELECT count(*) FROM alone a WHERE a.object = o.object AND NOT a.isu AND a.held),
    (SELECT count(*) FROM alone a WHERE a.object = o.object AND NOT a.held)
FROM unnest(%s::text[]) WITH ORDINALITY o (object, place) LEFT JOIN sides s ON s.object = o.object
GROUP BY o.object, o.place ORDER BY o.place
"""
RULES = " ".join(f"WHEN '{expected}' THEN {rule}" for expected, rule in EXPECTED.items())
ACCOUNT = f"""
WITH story AS (
    SELECT a.*, i.said AS isu_said, c.said AS crm_said, i0.said AS isu_said0, c0.said AS crm_said0,
        i.said ->> a.field AS isu, c.said ->> a.field AS crm, i0.said ->> a.field AS isu0, c0.said ->> a.field AS crm0,
        CASE a.owner WHEN 'isu' THEN i0.said ->> a.field ELSE c0.said ->> a.field END AS owned,
        ARRAY(SELECT h.kind FROM held h WHERE h.object = a.object AND h.field = a.field
            AND (h.key = a.key OR h.guid = c.guid)) AS kinds
    FROM asked a
    LEFT JOIN looks i ON (i.at, i.side, i.object, i.key) = ('after', 'isu', a.object, a.key)
    LEFT JOIN looks c ON (c.at, c.side, c.object, c.key) = ('after', 'crm', a.object, a.key)
    LEFT JOIN looks i0 ON (i0.at, i0.side, i0.object, i0.key) = ('before', 'isu', a.object, a.key)
    LEFT JOIN looks c0 ON (c0.at, c0.side, c0.object, c0.key) = ('before', 'crm', a.object, a.key)
), things AS (
    SELECT place, key, bool_and(coalesce(CASE expected {RULES} END, false)) AS as_expected FROM story GROUP BY 1, 2
)
SELECT place, count(*) FILTER (WHERE as_expected), (array_agg(key) FILTER (WHERE NOT as_expected))[:3]
FROM things GROUP BY 1
"""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How both sides of one object stand: things on both, values compared, what differs and whether a person knows."""

    object: str
    pairs: int
    values: int
    held: int
    unexplained: int
    held_in_isu: int
    held_in_crm: int
    alone: int

    @property
    def agrees(self) -> bool:
        """Tell whether every difference is one that is held for a person."""
        return bool(self.pairs) and not (self.unexplained or self.alone)


@dataclass(frozen=True, slots=True)
class Fared:
    """What became of one kind of change: how many fared as expected, and the keys of some that did not."""

    played: Played
    as_expected: int
    wrong: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Witness:
    """Sessions with both sides; what was seen is kept in temporary tables of the first."""

    isu: Connection
    crm: Connection

    @classmethod
    @contextmanager
    def at(cls, isu_url: str, crm_url: str) -> Iterator[Witness]:
        """Open a witness; raises psycopg.Error when a side cannot be read."""
        with psycopg.connect(isu_url, autocommit=True) as isu, psycopg.connect(crm_url, autocommit=True) as crm:
            for statement in TABLES.split(";"):
                isu.execute(statement)
            yield cls(isu, crm)

    def look(self, at: str, keys: Sequence[str] = ()) -> None:
        """Note what both sides say at a moment: `before` what has to travel does, or `after`; of these keys or all."""
        of = f"WHERE key = ANY ('{{{','.join(key.lstrip('0') for key in keys)}}}')" if keys else ""
        rows = {
            side: f"SELECT '{at}', '{side}', l.* FROM ({' UNION ALL '.join(looks)}) l (object, key, guid, said) {of}"
            for side, looks in LOOKS.items()
        }
        self.isu.execute(f"INSERT INTO looks {rows['isu']}")
        self._copied(self.crm, f"COPY ({rows['crm']}) TO STDOUT", "looks")
        self.isu.execute("CREATE INDEX IF NOT EXISTS looked ON looks (at, side, object, key)")
        self.isu.execute("ANALYZE looks")

    def agreement(self, ledger_url: str, objects: Sequence[str]) -> list[Agreement]:
        """Compare what both sides say after all, beside what the ledger says is held for a person."""
        with psycopg.connect(ledger_url) as ledger:
            self.isu.execute("TRUNCATE held")
            self._copied(ledger, HELD, "held")
        self.isu.execute(NAMED)
        self.isu.execute("CREATE INDEX IF NOT EXISTS held_key ON held (object, key)")
        self.isu.execute("CREATE INDEX IF NOT EXISTS held_guid ON held (object, guid)")
        self.isu.execute("ANALYZE held")
        rows = self.isu.execute(AGREEMENT, [list(objects)])
        return [Agreement(name, *(int(number) for number in numbers)) for name, *numbers in rows]

    def account(self, days: Sequence[Manifest], owners: Mapping[tuple[str, str], str]) -> list[Fared]:
        """Say of each kind of change whether it fared as expected; `owners` are systems by object and field.

        What is held is read by `agreement` before.
        """
        every = [played for day in days for played in day.played]
        self.isu.execute("TRUNCATE asked")
        with self.isu.cursor().copy("COPY asked FROM STDIN") as copy:
            for place, played in enumerate(every):
                for field, expected in (played.fields or {"": played.expected}).items():
                    for key in played.keys:
                        owner = owners.get((played.object, field), "")
                        copy.write_row((place, played.object, key.lstrip("0"), field, expected, owner))
        self.isu.execute("ANALYZE asked")
        found = {place: (right, tuple(wrong or ())) for place, right, wrong in self.isu.execute(ACCOUNT)}
        return [Fared(played, *found.get(place, (0, ()))) for place, played in enumerate(every)]

    def _copied(self, source: Connection, statement: str, table: str) -> None:
        with source.cursor().copy(statement) as rows, self.isu.cursor().copy(f"COPY {table} FROM STDIN") as copy:
            for block in rows:
                copy.write(block)


__all__ = ["Agreement", "Fared", "Witness"]
