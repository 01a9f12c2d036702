"""Feeds of every kind drive the delta of a loaded landscape: what changed arrives, what did not is not read."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import psycopg
import pytest
from typer.testing import CliRunner

from isthmus.errors import ConfigError, DataError
from isthmus.feed_command import app
from isthmus.levels.changed import Changed
from isthmus.levels.delta import delta_flow
from isthmus.levels.download import begin, download, finish_flow, load_flow, plan_flow
from isthmus.levels.feed import begin_side, poll_side
from isthmus.levels.watch import feed_of, watched_in
from tests.flows.conftest import Build
from tests.flows.house import House

PARTNERS = ("business_partner",)


def feed_by(house: House, kind: str, system: str = "isu") -> None:
    """Say in isthmus.yaml how a system's changes are found."""
    file = house.folder / "isthmus.yaml"
    text = re.sub(r", feed: \w+", "", file.read_text(encoding="utf-8"))
    file.write_text(text.replace(f"connection: {system},", f"connection: {system}, feed: {kind},"), encoding="utf-8")


def poll(house: House, object_: str = "business_partner") -> Changed:
    with house.desk() as desk:
        return poll_side(desk, desk.flow(object_), "source")


def settle(house: House, object_: str = "business_partner") -> dict[str, int]:
    with house.desk() as desk:
        return dict(delta_flow(desk, desk.flow(object_)).counts)


def partners(house: House, count: int) -> list[str]:
    statement = "SELECT partner FROM but000 WHERE client = '100' ORDER BY partner LIMIT %s"
    return [key for (key,) in house.ask("isu", statement, count)]


def plain(keys: list[str]) -> list[str]:
    return sorted(key.lstrip("0") for key in keys)


@pytest.fixture
def loaded_by(build: Build) -> Callable[[str], House]:
    """Make a landscape without defects whose partners were loaded while its feed was of a kind."""

    def make(kind: str) -> House:
        house = build("schema", defects=False)
        if kind == "pointer":
            install(house)
        feed_by(house, kind)
        house.load(PARTNERS)
        return house

    return make


def install(house: House) -> None:
    with house.desk() as desk:
        watched = watched_in(desk.project, desk.scenario, "isu", desk.today)
        isu = desk.project.connector("isu")
        isu.install_feed(watched)  # type: ignore[attr-defined]
        isu.close()


# --- every kind -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["pointer", "snapshot"])
def test_a_change_in_an_address_alone_arrives(loaded_by: Callable[[str], House], kind: str) -> None:
    house = loaded_by(kind)
    (key,) = partners(house, 1)
    moved = (
        "UPDATE adrc SET city1 = 'Elsewhere' WHERE addrnumber IN (SELECT addrnumber FROM but020 WHERE client = '100'"
        " AND partner = %s)"
    )
    assert house.tell("isu", moved, key) == 1
    assert poll(house).keys.to_pylist() == plain([key])
    assert settle(house)["updated"] == 1
    arrived = (
        "SELECT city1 FROM adrc JOIN but020 USING (client, addrnumber) JOIN but000 USING (client, partner)"
        " WHERE partner = %s"
    )
    assert house.one("crm", arrived, key) == "Elsewhere"
    again = settle(house)
    assert again.get("read", 0) == again.get("updated", 0) == 0


@pytest.mark.parametrize("kind", ["date", "pointer", "snapshot"])
def test_nothing_is_remembered_by_reading_alone(loaded_by: Callable[[str], House], kind: str) -> None:
    house = loaded_by(kind)
    (key,) = partners(house, 1)
    house.tell("isu", "UPDATE but000 SET name_last = 'Twice', chdat = '20260102' WHERE partner = %s", key)
    first, second = poll(house), poll(house)
    assert first.keys.to_pylist() == second.keys.to_pylist() == plain([key])


@pytest.mark.parametrize("kind", ["pointer", "snapshot"])
def test_a_partner_deleted_in_the_source_is_marked_in_the_target(loaded_by: Callable[[str], House], kind: str) -> None:
    house = loaded_by(kind)
    first, second, kept = partners(house, 3)
    house.tell("isu", "DELETE FROM but000 WHERE partner IN (%s, %s)", first, second)
    assert sorted(poll(house).gone.to_pylist()) == plain([first, second])
    assert settle(house)["gone"] == 2
    marked = "SELECT partner, xdele FROM but000 WHERE client = '100' AND partner = ANY(%s) ORDER BY 1"
    assert house.ask("crm", marked, [first, second, kept]) == [(first, "X"), (second, "X"), (kept, "")]
    assert settle(house).get("gone", 0) == 0


@pytest.mark.parametrize("kind", ["date", "pointer", "snapshot"])
def test_what_changes_while_the_load_runs_is_not_lost(build: Build, kind: str) -> None:
    house = build("schema", defects=False)
    if kind == "pointer":
        install(house)
    feed_by(house, kind)
    keys = partners(house, 2)
    rename = "UPDATE but000 SET name_last = 'Meanwhile', chdat = '20260102' WHERE partner = %s"
    with house.desk() as desk, psycopg.connect(house.urls["isu"]) as agent:
        flow = desk.flow("business_partner")
        agent.execute(rename, [keys[0]])  # not committed when the cursor is taken, nor when its row is read
        run = begin(desk, parameters={"objects": list(PARTNERS)})
        plan_flow(desk, flow, run)
        load_flow(desk, flow, run)
        agent.commit()
        house.tell("isu", rename, keys[1])
        finish_flow(desk, flow, run)
        delta_flow(desk, flow)
    name = "SELECT name_last FROM but000 WHERE client = '100' AND partner = ANY(%s)"
    assert house.ask("crm", name, keys) == [("Meanwhile",), ("Meanwhile",)]


def test_a_feed_costs_what_changed_and_not_what_is_there(loaded_by: Callable[[str], House]) -> None:
    house = loaded_by("pointer")
    assert poll(house).rows == 0
    keys = partners(house, 7)
    house.tell("isu", "UPDATE but000 SET name_last = 'Seven' WHERE partner = ANY(%s)", keys)
    changed = poll(house)
    assert (changed.rows, len(changed.keys)) == (7, 7)


def test_pointers_that_are_installed_are_read_unless_the_project_says_another_feed(clean: House) -> None:
    def kinds() -> list[str]:
        with clean.desk() as desk:
            flows = [desk.flow(name) for name in ("business_partner", "contract")]
            return [json.loads(begin_side(desk, flow, "source"))["kind"] for flow in flows]

    assert kinds() == ["date", "date"]
    install(clean)
    assert kinds() == ["pointer", "pointer"]
    clean.tell("isu", "ALTER TABLE ever DISABLE TRIGGER isthmus_point_u")
    assert kinds() == ["pointer", "date"]
    feed_by(clean, "date")
    assert kinds() == ["date", "date"]


def test_every_table_of_every_object_leads_to_its_keys(build: Build) -> None:
    house = build("schema", defects=False)
    install(house)
    feed_by(house, "pointer")
    tables = "SELECT DISTINCT tgrelid::regclass::text FROM pg_trigger WHERE starts_with(tgname, 'isthmus_point_')"
    with house.desk() as desk:
        flows = [flow for flow in desk.flows() if flow.source == "isu"]
        cursors = {flow.object: begin_side(desk, flow, "source") for flow in flows}
        for (table,) in house.ask("isu", tables):
            names = house.ask(
                "isu", "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum = 1", table
            )
            (first,) = names[0]
            few = f"SELECT ctid FROM {table} ORDER BY ({first} = '100') DESC, ctid LIMIT 3"
            house.tell("isu", f"UPDATE {table} SET {first} = {first} WHERE ctid = ANY (ARRAY({few}))")
        for flow in flows:
            changed = poll_side(desk, flow, "source", cursor=cursors[flow.object])
            assert changed.because == ""
            assert changed.rows > 0 and len(changed.keys) > 0, flow.object
            assert len(changed.gone) == 0


@pytest.mark.parametrize("kind", ["pointer", "snapshot", "timestamp"])
def test_the_target_tells_its_changes_by_its_own_keys(clean: House, kind: str) -> None:
    feed_by(clean, kind, "crm")
    with clean.desk() as desk:
        flow = desk.flow("contract")
        crm = desk.project.connector("crm")
        if kind == "pointer":
            watched = feed_of(desk.project, desk.scenario, "crm", "contract", desk.today).watched
            crm.install_feed(watched)  # type: ignore[attr-defined]
        first = begin_side(desk, flow, "target", connector=crm)
        desk.ledger.feeds.advance("contract.isu.crm", "crm", first)
        if kind == "timestamp":
            clean.clock.forward(hours=1)
            desk.ledger.feeds.advance("contract.isu.crm", "crm", begin_side(desk, flow, "target", connector=crm))
        one = "SELECT min(guid) FROM (SELECT encode(guid, 'hex') AS guid FROM crmd_isuexta4) g"
        guid = clean.one("crm", one)
        clean.tell("crm", "UPDATE crmd_isuexta4 SET a4contend = '20270630' WHERE guid = decode(%s, 'hex')", guid)
        stamp = f"{clean.clock():%Y%m%d%H%M%S}"
        clean.tell("crm", "UPDATE crmd_orderadm_i SET changed_at = %s WHERE guid = decode(%s, 'hex')", stamp, guid)
        changed = poll_side(desk, flow, "target", connector=crm)
        crm.close()
    assert (changed.because, changed.keys.to_pylist()) == ("", [guid.upper()])


# --- whole comparisons ------------------------------------------------------------------------------------------------


def test_a_feed_of_another_kind_compares_everything_once_and_says_why(loaded_by: Callable[[str], House]) -> None:
    house = loaded_by("date")
    (key,) = partners(house, 1)
    house.tell("isu", "UPDATE but000 SET name_last = 'Undated' WHERE partner = %s", key)  # no date: by date unseen
    install(house)
    feed_by(house, "pointer")
    changed = poll(house)
    assert "date, now the feed is by pointer" in changed.because
    assert len(changed.keys) == house.one("isu", "SELECT count(*) FROM but000 WHERE client = '100'")
    assert settle(house)["updated"] == 1
    assert (poll(house).because, len(poll(house).keys)) == ("", 0)
    with house.desk() as desk:
        lost = [event for event in desk.ledger.events.list() if event.what == "feed lost"]
    assert "by pointer" in lost[0].details["why"]


def test_rows_deleted_while_no_feed_saw_it_are_found_by_the_comparison(loaded_by: Callable[[str], House]) -> None:
    house = loaded_by("date")
    (key,) = partners(house, 1)
    house.tell("isu", "DELETE FROM but000 WHERE partner = %s", key)
    feed_by(house, "snapshot")
    assert poll(house).gone.to_pylist() == plain([key])
    assert settle(house)["gone"] == 1


@pytest.mark.parametrize("kind", ["snapshot", "pointer"])
def test_an_emptied_source_empties_nothing(loaded_by: Callable[[str], House], kind: str) -> None:
    house = loaded_by(kind)
    house.tell("isu", "TRUNCATE but000")
    with pytest.raises(DataError, match="holds no business_partner at all"):
        settle(house)
    assert house.one("crm", "SELECT count(*) FROM but000 WHERE xdele = 'X'") == 0


# --- settings and commands --------------------------------------------------------------------------------------------


def test_a_kind_of_feed_that_is_none_is_refused_with_the_nearest(build: Build) -> None:
    house = build("schema", defects=False)
    feed_by(house, "pointers")
    with pytest.raises(ConfigError, match='Did you mean "pointer"'):
        assert house.project


def test_pointers_that_are_not_installed_stop_the_load_before_it_reads(build: Build) -> None:
    house = build("schema", defects=False)
    feed_by(house, "pointer")
    with house.desk() as desk, pytest.raises(ConfigError, match="isthmus feed install"):
        download(desk, PARTNERS)


def test_without_a_setting_the_kind_is_what_the_mapping_allows(clean: House) -> None:
    with clean.desk() as desk:
        kinds = {
            (system, object_): feed_of(desk.project, desk.scenario, system, object_, desk.today).kind
            for system, object_ in [("isu", "contract"), ("crm", "contract"), ("crm", "business_partner")]
        }
    assert kinds == {("isu", "contract"): "date", ("crm", "contract"): "timestamp", ("crm", "business_partner"): "date"}


def test_every_table_that_a_contract_is_read_from_is_watched(clean: House) -> None:
    with clean.desk() as desk:
        isu = feed_of(desk.project, desk.scenario, "isu", "contract", desk.today).watched
        crm = feed_of(desk.project, desk.scenario, "crm", "contract", desk.today).watched
        partner = feed_of(desk.project, desk.scenario, "isu", "business_partner", desk.today).watched
        account = feed_of(desk.project, desk.scenario, "crm", "contract_account", desk.today).watched
    assert {"EVER", "EVERH", "FKKVKP", "EANL"} <= {table.table for table in isu}
    assert [table.table for table in isu if table.root] == ["EVER"]
    assert {"CRMD_ORDERADM_I", "CRMD_ORDERADM_H", "CRMD_ISUEXTA4", "CRM_JEST"} <= {table.table for table in crm}
    assert {"BUT000", "BUT020", "ADRC"} <= {table.table for table in partner}
    assert {"CRMM_BUAG", "CRMM_BUAG_H"} <= {table.table for table in account}


def test_the_command_installs_shows_prunes_and_removes(clean: House) -> None:
    feed_by(clean, "pointer")

    def run(*words: str) -> str:
        done = CliRunner().invoke(app, list(words), catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.output

    assert "CREATE TRIGGER" in run("script", "isu")
    assert re.search(r"isu records the changes of \d\d tables", run("install", "isu"))
    with clean.desk() as desk:
        flow = desk.flow("contract")
        desk.ledger.feeds.advance("contract.isu.crm", "isu", begin_side(desk, flow, "source"))
    clean.tell(
        "isu",
        "UPDATE ever SET vbez = 'Prune me' WHERE vertrag <= (SELECT max(vertrag) FROM (SELECT vertrag FROM"
        " ever ORDER BY 1 LIMIT 9) first)",
    )
    shown = run("show", "isu")
    assert re.search(r'"ever" +recorded +9 pointers', shown) and "contract.isu.crm" in shown
    assert run("prune", "isu").startswith("0 pointers")
    assert settle(clean, "contract")["updated"] > 0
    assert run("prune", "isu") == "9 pointers of isu removed.\n"
    assert re.match(r"\d\d tables", run("remove", "isu", "--yes"))
    assert "Nothing was installed" in run("remove", "isu", "--yes")


def test_a_system_whose_changes_nobody_reads_is_not_installed_on(clean: House) -> None:
    with pytest.raises(ConfigError, match="reads the changes of crm"):
        CliRunner().invoke(app, ["install", "crm"], catch_exceptions=False)


def test_files_keep_no_pointers(clean: House) -> None:
    with pytest.raises(ConfigError, match="keeps no change pointers"):
        CliRunner().invoke(app, ["install", "nem"], catch_exceptions=False)
