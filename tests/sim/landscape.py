"""The tiny landscape of the simulation: two systems of three tables each, and the mappings between them.

`back` numbers things and stamps days or seconds, `front` names things by GUID and stamps seconds.  Every policy that a
field may have is here once.  `audit` in both notes who wrote what, in the order it was written.
"""

from __future__ import annotations

from pathlib import Path

from isthmus.connector import FeedKind

FIELDS = {  # field of the model -> (column, table of back, table of front)
    "name": ("name", "partner", "person"),
    "phone": ("phone", "partner", "person"),
    "tag": ("tag", "partner", "person"),
    "rank": ("rank", "partner", "person"),
    "grp": ("grp", "partner", "person"),
    "street": ("street", "paddr", "place"),
    "city": ("city", "paddr", "place"),
    "deleted": ("gone", "partner", "person"),
    "label": ("label", "deal", "item"),
    "state": ("state", "deal", "item"),
}
REFUSED = "REFUSED"  # a tag that the mapping of back rejects

TABLES = {
    "back": """
CREATE TABLE partner (partner text PRIMARY KEY, name text, phone text, tag text, rank text, grp text,
    gone text NOT NULL DEFAULT '', chdat text);
CREATE TABLE paddr (partner text PRIMARY KEY, street text, city text, chdat text);
CREATE TABLE deal (deal text PRIMARY KEY, partner text, label text, state text, gone text NOT NULL DEFAULT '',
    chdat text);
""",
    "front": """
CREATE TABLE person (guid bytea PRIMARY KEY, number text, name text, phone text, tag text, rank text, grp text,
    gone text NOT NULL DEFAULT '', changed_at text);
CREATE TABLE place (guid bytea PRIMARY KEY, street text, city text, changed_at text);
CREATE TABLE item (guid bytea PRIMARY KEY, number text, person bytea, label text, state text,
    gone text NOT NULL DEFAULT '', changed_at text);
""",
}
AUDIT = """
CREATE TABLE audit (seq bigserial PRIMARY KEY, who text NOT NULL DEFAULT current_setting('application_name'),
    tab text NOT NULL, op text NOT NULL, was jsonb, now jsonb);
CREATE FUNCTION audited() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO audit (tab, op, was, now) VALUES (TG_TABLE_NAME, TG_OP,
        CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) END, CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) END);
    RETURN NULL;
END $$;
"""
AUDITED = "CREATE TRIGGER audited AFTER INSERT OR UPDATE OR DELETE ON {} FOR EACH ROW EXECUTE FUNCTION audited();\n"
NAMES = {"back": ("partner", "paddr", "deal"), "front": ("person", "place", "item")}

PARTNER = """
object: partner
about: Somebody with an address.
key: number
match: [[number]]
deleted: {owner: back_office}
fields:
  number: {type: text(10), owner: back_office, edits: owner, required: yes, meaning: Number.}
  name:   {type: text(40), owner: front_office, meaning: The front office wins.}
  phone:  {type: text(40), owner: back_office, meaning: The back office wins.}
  tag:    {type: text(40), owner: front_office, on_conflict: hold, meaning: A person decides.}
  rank:   {type: text(40), owner: back_office, on_conflict: RANK, meaning: The newer one wins where stamps can tell.}
  grp:    {type: text(40), owner: back_office, edits: owner, meaning: Only the back office may change it.}
  street: {type: text(60), owner: front_office, meaning: Address. The front office wins.}
  city:   {type: text(60), owner: front_office, on_conflict: hold, meaning: Address. A person decides.}
"""
DEAL = """
object: deal
about: What a partner has agreed to.
key: number
match: [[number]]
deleted: {owner: front_office}
fields:
  number:  {type: text(10), owner: back_office, edits: owner, required: yes, meaning: Number.}
  partner: {type: ref(partner), owner: back_office, edits: owner, required: yes, meaning: Whose it is.}
  label:   {type: text(40), owner: front_office, meaning: The front office wins.}
  state:   {type: text(40), owner: back_office, on_conflict: hold, meaning: A person decides.}
"""
BACK_PARTNER = """
object: partner
system: back
about: A partner and its address.
tables:
  PARTNER: {changed: CHDAT | STAMP, initial: {CHDAT: $today.STAMP}}
  PADDR:   {tie: PARTNER = PARTNER.PARTNER, optional: yes, changed: CHDAT | STAMP, initial: {CHDAT: $today.STAMP}}
key: PARTNER.PARTNER | padded(10)
deleted: PARTNER.GONE | flag
fields:
  number: PARTNER.PARTNER | padded(10)
  name:   PARTNER.NAME | trim
  phone:  PARTNER.PHONE | trim
  tag:    PARTNER.TAG | trim
  rank:   PARTNER.RANK | trim
  grp:    PARTNER.GRP | trim
  street: PADDR.STREET | trim
  city:   PADDR.CITY | trim
reject:
  - {when: tag = "REFUSED", because: such a tag does not travel}
examples:
  - given: {PARTNER.PARTNER: "0000000001", PARTNER.NAME: A}
    gives: {number: "1", name: A}
"""
FRONT_PARTNER = """
object: partner
system: front
about: A person and a place.
tables:
  PERSON: {changed: CHANGED_AT | stamp, initial: {CHANGED_AT: $today.stamp}}
  PLACE:  {tie: GUID = PERSON.GUID, optional: yes, changed: CHANGED_AT | stamp, initial: {CHANGED_AT: $today.stamp}}
key: PERSON.GUID | guid(raw)
known_as: {back: PERSON.NUMBER | padded(10)}
deleted: PERSON.GONE | flag
make: {PERSON.GUID: guid}
fields:
  number: PERSON.NUMBER | padded(10)
  name:   PERSON.NAME | trim
  phone:  PERSON.PHONE | trim
  tag:    PERSON.TAG | trim
  rank:   PERSON.RANK | trim
  grp:    PERSON.GRP | trim
  street: PLACE.STREET | trim
  city:   PLACE.CITY | trim
examples:
  - given: {PERSON.NUMBER: "0000000001", PERSON.NAME: A}
    gives: {number: "1", name: A}
"""
BACK_DEAL = """
object: deal
system: back
about: A deal; a process makes it.
create: never
tables:
  DEAL: {changed: CHDAT | STAMP}
key: DEAL.DEAL | padded(10)
deleted: DEAL.GONE | flag
fields:
  number:  DEAL.DEAL | padded(10)
  partner: DEAL.PARTNER | padded(10) | ref(partner)
  label:   DEAL.LABEL | trim
  state:   DEAL.STATE | trim
examples:
  - given: {DEAL.DEAL: "0000000001", DEAL.PARTNER: "0000000002"}
    gives: {number: "1", partner: "2"}
"""
FRONT_DEAL = """
object: deal
system: front
about: An item.
tables:
  ITEM: {changed: CHANGED_AT | stamp, initial: {CHANGED_AT: $today.stamp}}
key: ITEM.GUID | guid(raw)
known_as: {back: ITEM.NUMBER | padded(10)}
deleted: ITEM.GONE | flag
make: {ITEM.GUID: guid}
fields:
  number:  ITEM.NUMBER | padded(10)
  partner: ITEM.PERSON | guid(raw) | ref(partner)
  label:   ITEM.LABEL | trim
  state:   ITEM.STATE | trim
examples:
  - given: {ITEM.NUMBER: "0000000001"}
    gives: {number: "1"}
"""
SCENARIO = """
scenario: sim
about: Two objects, both ways.
switches: {}
roles: {back_office: back, front_office: front}
flows:
  - {object: partner, from: back, to: front, level: synchronize, mass_change: 1}
  - {object: deal, from: back, to: front, level: synchronize, mass_change: 1}
"""
PROJECT = """
systems:
  back:  {{connector: sql, connection: back, journal: {journal}, feed: {back}, feed_overlap_s: {overlap}}}
  front: {{connector: sql, connection: front, journal: {journal}, feed: {front}, feed_overlap_s: {overlap}}}
scenario: sim
package_rows: 1000
gate: off
"""
OVERLAP = 3 * 3600  # clocks of the simulation are an hour wrong at most, ours and theirs


def lay_out(folder: Path, kinds: tuple[FeedKind, FeedKind], journal: str = "none") -> None:
    """Write a project folder whose back and front are read by feeds of these kinds."""
    stamped = kinds[0] != "date"
    files = {
        "isthmus.yaml": PROJECT.format(back=kinds[0], front=kinds[1], journal=journal, overlap=OVERLAP),
        "mappings/model/partner.yaml": PARTNER.replace("RANK", "newest" if stamped else "owner"),
        "mappings/model/deal.yaml": DEAL,
        "mappings/back/_system.yaml": "system: back\nabout: The back office.\n",
        "mappings/front/_system.yaml": "system: front\nabout: The front office.\n",
        "mappings/back/partner.yaml": BACK_PARTNER.replace("STAMP", "stamp" if stamped else "date"),
        "mappings/back/deal.yaml": BACK_DEAL.replace("STAMP", "stamp" if stamped else "date"),
        "mappings/front/partner.yaml": FRONT_PARTNER,
        "mappings/front/deal.yaml": FRONT_DEAL,
        "mappings/scenarios/sim.yaml": SCENARIO,
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text.lstrip(), encoding="utf-8")


def tables(system: str) -> str:
    """Return the DDL of a system's tables, with their audit."""
    return TABLES[system] + AUDIT + "".join(AUDITED.format(name) for name in NAMES[system])
