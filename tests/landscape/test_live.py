from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from psycopg import sql
from typer.testing import CliRunner

from isthmus.errors import ConfigError
from isthmus.ledger import migrate
from isthmus.store import drop_database, ensure_database, layout
from isthmus.store.place import Place
from landscape import create, live
from landscape.command import app
from landscape.live_day import KINDS, Manifest, kept
from tests.flows.house import household

NOW = datetime(2026, 1, 2, 10, 30, tzinfo=UTC)
CHANGES = 300
OBJECTS = ("business_partner", "contract_account", "contract")
PARTNER = (
    "SELECT b.partner, b::text || string_agg(coalesce(d::text || a::text, ''), '') FROM but000 b LEFT JOIN but020 d "
    "ON d.partner = b.partner LEFT JOIN adrc a ON a.addrnumber = d.addrnumber GROUP BY b.partner, b"
)
# What a record of an object consists of, by its number, on each side.
RECORDS = {
    "isu": {
        "business_partner": PARTNER,
        "contract_account": "SELECT k.vkont, k::text || p::text FROM fkkvk k JOIN fkkvkp p ON p.vkont = k.vkont",
        "contract": "SELECT e.vertrag, e::text || string_agg(h::text, '' ORDER BY h.bis) FROM ever e "
        "JOIN everh h ON h.vertrag = e.vertrag GROUP BY e.vertrag, e",
    },
    "crm": {
        "business_partner": PARTNER,
        "contract_account": "SELECT b.buag_id, b::text || h::text FROM crmm_buag b "
        "JOIN crmm_buag_h h ON h.buag_guid = b.buag_guid",
        "contract": "SELECT a.a4isucontr, a::text || i::text || h::text FROM crmd_isuexta4 a "
        "JOIN crmd_orderadm_i i ON i.guid = a.guid JOIN crmd_orderadm_h h ON h.guid = i.header",
    },
}
TOUCHED = {
    "isu": {"to crm", "agreed", "conflict", "owner decides", "created in crm", "nothing"},
    "crm": {"to isu", "agreed", "conflict", "owner decides", "refused", "put right", "created in isu", "duplicate"},
}


class Sides:
    """IS-U and CRM after the initial download."""

    def __init__(self, urls: dict[str, str]) -> None:
        self.urls = urls

    def ask(self, system: str, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.urls[system]) as connection:
            return connection.execute(statement, values or None).fetchall()

    def one(self, system: str, statement: str, *values: Any) -> list[Any]:
        return [row[0] for row in self.ask(system, statement, *values)]

    def records(self) -> dict[tuple[str, str], dict[str, str]]:
        return {
            (system, name): dict(self.ask(system, statement))
            for system, objects in RECORDS.items()
            for name, statement in objects.items()
        }

    def play(self, changes: int = CHANGES, seed: int = 3, now: datetime = NOW, **options: Any) -> Manifest:
        return live.live(self.urls["isu"], self.urls["crm"], changes, seed, now, **options)


@pytest.fixture(scope="module")
def template(store: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A landscape whose partners, accounts and contracts CRM has; a few contracts bear the deletion flag."""
    parts = {part: f"live_{uuid.uuid4().hex[:10]}_{part}" for part in ("isu", "crm", "ledger")}
    urls = {part: ensure_database(name, place=store) for part, name in parts.items()}
    migrate(urls["ledger"])
    manifest = create(urls["isu"], urls["crm"], contracts=400, seed=5, defects=False)
    with psycopg.connect(urls["isu"]) as isu:
        isu.execute("UPDATE ever SET loevm = 'X' WHERE right(vertrag, 2) = '77'")
    folder = tmp_path_factory.mktemp("live")
    with pytest.MonkeyPatch.context() as patch, household(folder, urls, "none", manifest, patch) as house:
        house.load()
    yield urls
    for name in parts.values():
        drop_database(name, place=store)


@pytest.fixture
def copies(template: dict[str, str], store: Place) -> Iterator[Any]:
    made: list[str] = []

    def copy() -> Sides:
        urls = {}
        with closing(layout.connect(store, "postgres")) as admin:
            for part in ("isu", "crm"):
                source = urlsplit(template[part])
                made.append(f"live_{uuid.uuid4().hex[:10]}_{part}")
                names = (made[-1], source.path[1:], source.username or "")
                admin.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {}").format(*map(sql.Identifier, names)))
                urls[part] = urlunsplit(source._replace(path=f"/{made[-1]}"))
        return Sides(urls)

    yield copy
    for name in made:
        drop_database(name, place=store)


@pytest.fixture
def sides(copies: Any) -> Sides:
    found: Sides = copies()
    return found


def test_the_manifest_accounts_for_every_record_that_changed_and_no_other(sides: Sides) -> None:
    before = sides.records()
    manifest = sides.play()
    after = sides.records()
    for (system, name), records in after.items():
        changed = {key for key, content in records.items() if before[system, name].get(key) != content}
        said = [key for p in manifest.played if p.object == name and p.expected in TOUCHED[system] for key in p.keys]
        if (system, name) == ("crm", "business_partner"):
            assert len(records) - len(before[system, name]) == sum(
                p.count for p in manifest.played if p.expected in ("created in isu", "duplicate")
            )
        assert sorted(said) == sorted(changed), (system, name)


def test_nobody_is_met_twice_when_a_day_is_played_in_parts(sides: Sides) -> None:
    parts = [sides.play(during=True), sides.play(), sides.play(seed=4)]
    for name in OBJECTS:
        keys = [key for part in parts for played in part.played if played.object == name for key in played.keys]
        assert len(keys) == len(set(keys)) > CHANGES / 10


def test_every_kind_of_change_happens_and_nobody_is_met_twice(sides: Sides) -> None:
    manifest = sides.play()
    assert {played.kind for played in manifest.played} == {kind.name for kind in KINDS}
    assert sum(played.count for played in manifest.played) in range(CHANGES - 20, CHANGES + 1)
    for name in OBJECTS:
        keys = [key for played in manifest.played if played.object == name for key in played.keys]
        assert len(keys) == len(set(keys))
    assert all(len(played.keys) == played.count for played in manifest.played)


def test_the_same_seed_does_the_same_and_another_seed_something_else(copies: Any) -> None:
    first, second, third = copies(), copies(), copies()
    assert first.play() == second.play()
    assert first.records() == second.records()
    assert third.play(seed=4).kind("cancelled_in_crm").keys != kept(first.urls["isu"])[0].kind("cancelled_in_crm").keys


def test_the_systems_stamp_what_people_do_and_not_what_silent_programmes_do(sides: Sides) -> None:
    played = sides.play()
    stamped = {
        ("isu", "SELECT partner FROM but000 WHERE greatest(chdat, crdat) = '20260102'"): ("business_partner", "isu"),
        ("crm", "SELECT partner FROM but000 WHERE greatest(chdat, crdat) = '20260102'"): ("business_partner", "crm"),
        (
            "isu",
            "SELECT vkont FROM fkkvk JOIN fkkvkp USING (mandt, vkont) "
            "WHERE '20260102' IN (aedat, aedatp) AND 'AGENT07' IN (aenam, aenamp)",
        ): ("contract_account", "isu"),
        ("crm", "SELECT buag_id FROM crmm_buag WHERE changed_at = 20260102103000 AND changed_by = 'AGENT21'"): (
            "contract_account",
            "crm",
        ),
        ("isu", "SELECT vertrag FROM ever WHERE '20260102' IN (aedat, erdat)"): ("contract", "isu"),
        (
            "crm",
            "SELECT a4isucontr FROM crmd_isuexta4 a JOIN crmd_orderadm_i i ON i.guid = a.guid JOIN crmd_orderadm_h h "
            "ON h.guid = i.header WHERE i.changed_at = 20260102103000 AND h.changed_by = 'AGENT21'",
        ): ("contract", "crm"),
    }
    for (system, statement), (name, side) in stamped.items():
        said = [
            key
            for p in played.played
            if p.object == name and p.expected in TOUCHED[side] and p.stamped
            for key in p.keys
        ]
        assert sorted(set(sides.one(system, statement))) == sorted(said), (system, name)
    silent = [p for p in played.played if not p.stamped]
    assert len(silent) == 2 and all(p.count for p in silent)


def test_both_sides_agree_where_they_should_and_differ_where_they_should(sides: Sides) -> None:
    manifest = sides.play()
    isu_bank = "SELECT vkont, ebvty, abvty FROM fkkvkp WHERE vkont = ANY(%s) ORDER BY 1"
    crm_bank = (
        "SELECT buag_id, bdid_in, bdid_out FROM crmm_buag JOIN crmm_buag_h USING (client, buag_guid) "
        "WHERE buag_id = ANY(%s) ORDER BY 1"
    )
    alike = list(manifest.kind("repayment_entered_on_both").keys)
    assert sides.ask("isu", isu_bank, alike) == sides.ask("crm", crm_bank, alike)
    apart = list(manifest.kind("bank_changed_differently_on_both").keys)
    pairs = zip(sides.ask("isu", isu_bank, apart), sides.ask("crm", crm_bank, apart), strict=True)
    assert {(back[1], front[1]) for back, front in pairs} == {("0007", "0008")}
    texts = "SELECT description FROM crmd_orderadm_h h JOIN crmd_orderadm_i i USING (client, description) "
    texts += "JOIN crmd_isuexta4 a ON a.guid = i.guid WHERE i.header = h.guid AND a4isucontr = ANY(%s) ORDER BY 1"
    same = list(manifest.kind("text_changed_alike_on_both").keys)
    assert sides.one("crm", texts, same) == sides.one(
        "isu", "SELECT vbez FROM ever WHERE vertrag = ANY(%s) ORDER BY 1", same
    )


def test_a_bill_stands_in_the_way_of_what_is_to_be_refused_and_of_nothing_else(sides: Sides) -> None:
    manifest = sides.play()
    bills = dict(sides.ask("isu", "SELECT vertrag, max(endabrpe) FROM erch WHERE simulation = '' GROUP BY 1"))
    items = {
        row[0]: row[1:] for row in sides.ask("crm", "SELECT a4isucontr, a4contstart, a4contend FROM crmd_isuexta4")
    }
    starts = dict(sides.ask("isu", "SELECT vertrag, einzdat FROM ever"))
    ends = dict(sides.ask("isu", "SELECT vertrag, auszdat FROM ever"))
    for key in manifest.kind("ended_inside_a_bill_in_crm").keys:
        assert starts[key] < items[key][1] < bills[key]
    for key in manifest.kind("started_later_in_crm").keys:
        assert starts[key] < items[key][0] <= bills[key]
    for key in manifest.kind("cancelled_in_crm").keys:
        assert items[key][1] > bills.get(key, "")
    for key in manifest.kind("moved_out_in_isu").keys:
        assert max(bills.get(key, ""), "20260102") < ends[key] < "99991231"


def test_the_history_of_products_stays_without_gaps(sides: Sides) -> None:
    manifest = sides.play()
    neighbours = "SELECT vertrag, ab, lag(bis) OVER (PARTITION BY vertrag ORDER BY ab) was FROM everh"
    broken = f"SELECT * FROM ({neighbours}) s WHERE to_date(ab, 'YYYYMMDD') <> to_date(was, 'YYYYMMDD') + 1"
    assert sides.ask("isu", broken) == []
    moved = list(manifest.kind("product_changed_in_isu").keys)
    slices = sides.ask(
        "isu",
        "SELECT old.bis, new.ab, new.bis, old.crm_product <> new.crm_product, left(old.crm_product, 1) = "
        "left(new.crm_product, 1) OR old.crm_product LIKE 'DUMMY%%' "
        "FROM everh old JOIN everh new USING (mandt, vertrag) "
        "WHERE vertrag = ANY(%s) AND new.ab = '20260102' AND old.bis = '20260101'",
        moved,
    )
    assert slices == [("20260101", "20260102", "99991231", True, True)] * len(moved)
    ended = list(manifest.kind("moved_out_in_isu").keys)
    last = "SELECT e.vertrag FROM ever e JOIN everh h ON h.vertrag = e.vertrag AND h.bis = e.auszdat "
    assert sorted(sides.one("isu", f"{last} WHERE e.vertrag = ANY(%s)", ended)) == sorted(ended)


def test_a_product_that_is_sold_is_one_of_the_same_division(sides: Sides) -> None:
    item = (
        "SELECT a4isucontr, ordered_prod, product_id FROM crmd_isuexta4 a JOIN crmd_orderadm_i i ON i.guid = a.guid "
        "JOIN comm_product p ON p.product_guid = i.product"
    )
    before = {row[0]: row[1:] for row in sides.ask("crm", item)}
    manifest = sides.play()
    after = {row[0]: row[1:] for row in sides.ask("crm", item)}
    sold = manifest.kind("product_sold_in_crm").keys
    assert sold
    for key in sold:
        assert after[key][0] == after[key][1] != before[key][0]
        assert before[key][0].startswith("DUMMY") or after[key][0][0] == before[key][0][0]


def test_new_addresses_are_in_streets_that_are_known(sides: Sides) -> None:
    sides.play()
    unknown = (
        "SELECT a.addrnumber FROM adrc a JOIN but020 d USING (client, addrnumber) WHERE NOT EXISTS "
        "(SELECT FROM adrstreet s WHERE s.strt_code = a.strt_code AND s.city_code = a.city_code)"
    )
    assert sides.ask("isu", unknown) == []
    known = set(sides.one("isu", "SELECT strt_code FROM adrstreet"))
    assert set(sides.one("crm", "SELECT strt_code FROM adrc WHERE house_num1 > '200'")) <= known


def test_a_duplicate_resembles_the_partner_it_names(sides: Sides) -> None:
    manifest = sides.play()
    for name in ("entered_again_in_crm", "entered_again_with_another_spelling"):
        played = manifest.kind(name)
        pairs = sides.ask(
            "crm",
            "SELECT n.partner FROM unnest(%s::text[], %s::text[]) v(n, o) JOIN but000 n ON n.partner = v.n "
            "JOIN but000 o ON o.partner = v.o AND o.birthdt = n.birthdt AND lower(o.name_last) = lower(n.name_last)",
            list(played.keys),
            list(played.others),
        )
        assert len(pairs) == played.count > 0
        assert not set(played.keys) & set(sides.one("isu", "SELECT partner FROM but000"))


def test_during_a_download_only_the_back_office_works(sides: Sides) -> None:
    before = sides.records()
    manifest = sides.play(during=True)
    after = sides.records()
    assert {played.expected for played in manifest.played} <= TOUCHED["isu"]
    for name in OBJECTS:
        assert after["crm", name] == before["crm", name]
        assert after["isu", name] != before["isu", name]


def test_a_second_day_follows_the_first(sides: Sides) -> None:
    first = sides.play(60)
    second = sides.play(60, now=NOW + timedelta(days=1))
    assert not set(first.kind("born_in_crm").keys) & set(second.kind("born_in_crm").keys)
    assert not set(first.kind("moved_in").keys) & set(second.kind("moved_in").keys)
    assert kept(sides.urls["isu"]) == (first, second)
    assert Manifest.from_json(first.to_json()) == first


def test_a_few_changes_and_a_crm_that_holds_nothing_are_no_trouble(sides: Sides) -> None:
    assert sum(played.count for played in sides.play(5).played) == 5
    with psycopg.connect(sides.urls["crm"]) as crm:
        crm.execute("TRUNCATE but000, but020, adrc, crmm_buag, crmm_buag_h, crmd_isuexta4")
    manifest = sides.play()
    assert {played.kind for played in manifest.played} == {"born_in_crm", "born_in_isu", "moved_in"}


def test_the_command_prints_what_is_expected_and_names_every_key_as_json(sides: Sides) -> None:
    options = ["--changes", "80", "--isu-url", sides.urls["isu"], "--crm-url", sides.urls["crm"]]
    shown = CliRunner().invoke(app, ["live", "--seed", "2", "--now", "2026-01-02T10:30", *options])
    assert shown.exit_code == 0, shown.output
    assert "records changed" in shown.output and "conflict" in shown.output
    again = CliRunner().invoke(app, ["live", "--seed", "9", "--json", *options])
    content = json.loads(again.output)
    assert content["played"][0]["keys"] and content["seed"] == 9
    wrong = CliRunner().invoke(app, ["live", "--now", "yesterday", *options])
    assert isinstance(wrong.exception, ConfigError) and "2026-01-02T10:30" in str(wrong.exception)
