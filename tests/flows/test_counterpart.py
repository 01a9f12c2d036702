"""The pair in EVERH and CRMD_ISUEXTA4 agrees: every slice of a contract names its item, and none loses another's."""

from __future__ import annotations

import json

import pytest

from isthmus.levels.baseline import baseline, forecast
from isthmus.levels.limits import MASS_CHANGE
from isthmus.levels.repair import compare_flow
from tests.flows.both_ways import a_day_in_step, sync
from tests.flows.conftest import Build
from tests.flows.house import House
from tests.flows.test_product_slices import running, sell
from tests.flows.test_synchronize import writes

BORN = "0000999001"
NOBODY = bytes(16)
STRANGER = bytes.fromhex("0050568A1F2E4D3C8B7A6958473625CC")
ITEM = "SELECT i.guid, i.header FROM crmd_isuexta4 u JOIN crmd_orderadm_i i ON i.guid = u.guid WHERE u.a4isucontr = %s"
NAMED = "SELECT contractpos, contracthead FROM everh WHERE vertrag = %s ORDER BY bis"


@pytest.fixture
def house(build: Build) -> House:
    """A landscape without defects, three objects kept in step since three days."""
    made = build("schema", defects=False, begin=a_day_in_step)
    made.clock.forward(days=2)
    return made


def move_in(house: House, like: str) -> None:
    """Let IS-U make a contract with the slices of another one; neither names an item of CRM."""
    today = f"{house.clock():%Y%m%d}"
    copied = "INSERT INTO {0} SELECT (jsonb_populate_record(t, %s::jsonb)).* FROM {0} t WHERE vertrag = %s"
    house.tell("isu", copied.format("ever"), json.dumps({"vertrag": BORN, "erdat": today, "aedat": "00000000"}), like)
    blank = {"vertrag": BORN, "contractpos": "\\x" + NOBODY.hex(), "contracthead": "\\x" + NOBODY.hex()}
    house.tell("isu", copied.format("everh"), json.dumps(blank), like)


def named(house: House, contract: str) -> list[tuple[bytes, bytes]]:
    return [(bytes(item), bytes(header)) for item, header in house.ask("isu", NAMED, contract)]


def item_of(house: House, contract: str) -> tuple[bytes, bytes]:
    ((item, header),) = house.ask("crm", ITEM, contract)
    return bytes(item), bytes(header)


def naming_nobody(house: House) -> int:
    return int(house.one("isu", "SELECT count(*) FROM everh WHERE contractpos = %s", NOBODY))


def with_history(house: House) -> str:
    """Return a running contract that has several slices."""
    asked = (
        "SELECT vertrag FROM ever v WHERE auszdat = '99991231' AND loevm = '' AND einzdat < '20250101' AND"
        " (SELECT count(*) FROM everh h WHERE h.vertrag = v.vertrag) > 1 ORDER BY vertrag LIMIT 1"
    )
    return str(house.one("isu", asked))


def touch(house: House, contract: str) -> None:
    """Change the text of a contract in CRM, as an agent does."""
    said = (
        "UPDATE crmd_orderadm_h h SET description = 'told by an agent', changed_at = %s FROM crmd_isuexta4 u"
        " JOIN crmd_orderadm_i i ON i.guid = u.guid WHERE h.guid = i.header AND u.a4isucontr = %s"
    )
    assert house.tell("crm", said, int(f"{house.clock():%Y%m%d%H%M%S}"), contract) == 1


def test_a_contract_born_in_isu_names_its_item_at_once_and_the_next_run_writes_nothing(house: House) -> None:
    like = with_history(house)
    move_in(house, like)
    assert writes(sync(house, "contract")) == {"created_target": 1, "updated_source": 1}
    names = named(house, BORN)
    assert len(names) > 1
    assert set(names) == {item_of(house, BORN)}
    assert writes(sync(house, "contract")) == {}


def test_loading_and_the_first_run_after_it_fill_nothing_in(house: House) -> None:
    everything = house.one("isu", "SELECT count(*) FROM everh")
    assert naming_nobody(house) == everything
    with house.desk() as desk:
        flow = desk.flow("contract")
        assert [item.field for item in forecast(desk, flow).fields] == []
        assert compare_flow(desk, flow, repair=False, dry_run=False, cap=0.2, guard=False)["agrees"]


def test_a_contract_that_is_touched_names_its_item_and_the_others_do_not(house: House) -> None:
    contract = with_history(house)
    touch(house, contract)
    assert writes(sync(house, "contract")) == {"updated_source": 1}
    names = named(house, contract)
    assert set(names) == {item_of(house, contract)}
    assert naming_nobody(house) == house.one("isu", "SELECT count(*) FROM everh") - len(names)
    assert writes(sync(house, "contract")) == {}


def test_another_product_splits_once_and_both_slices_name_the_item(house: House) -> None:
    contract = running(house)
    before = len(named(house, contract))
    product = house.one("isu", "SELECT product_guid FROM everh WHERE vertrag = %s ORDER BY bis DESC LIMIT 1", contract)
    sell(house, contract, bytes(product))
    assert writes(sync(house, "contract")) == {"updated_source": 1}
    names = named(house, contract)
    assert len(names) == before + 1
    assert set(names) == {item_of(house, contract)}
    assert writes(sync(house, "contract")) == {}


def test_an_earlier_slice_that_names_another_item_keeps_it(house: House) -> None:
    contract = with_history(house)
    first = "SELECT min(bis) FROM everh WHERE vertrag = %s"
    house.tell(
        "isu", f"UPDATE everh SET contractpos = %s WHERE vertrag = %s AND bis = ({first})", STRANGER, contract, contract
    )
    touch(house, contract)
    sync(house, "contract")
    item, header = item_of(house, contract)
    names = named(house, contract)
    assert names == [(STRANGER, header), *[(item, header)] * (len(names) - 1)]


def test_a_last_slice_that_names_another_item_is_left_and_told_of(house: House) -> None:
    contract = with_history(house)
    house.tell("isu", "UPDATE everh SET contractpos = %s WHERE vertrag = %s", STRANGER, contract)
    touch(house, contract)
    assert writes(sync(house, "contract")) == {}
    assert {item for item, _ in named(house, contract)} == {STRANGER}
    ((key, because),) = house.ask("ledger", "SELECT source_key, because FROM ledger.conflicts WHERE kind = 'disagrees'")
    assert key == contract.lstrip("0")
    assert because == "isu names another contract of crm as its counterpart"


def test_a_last_slice_that_names_another_document_is_left_and_told_of(house: House) -> None:
    contract = with_history(house)
    item, _ = item_of(house, contract)
    house.tell(
        "isu", "UPDATE everh SET contractpos = %s, contracthead = %s WHERE vertrag = %s", item, STRANGER, contract
    )
    touch(house, contract)
    assert writes(sync(house, "contract")) == {"updated_source": 1}
    assert set(named(house, contract)) == {(item, STRANGER)}
    assert house.one("isu", "SELECT vbez FROM ever WHERE vertrag = %s", contract) == "told by an agent"
    ((field, because),) = house.ask("ledger", "SELECT field, because FROM ledger.conflicts WHERE kind = 'refused'")
    assert field == "document"
    assert STRANGER.hex().upper() in because


def test_a_slice_that_appears_while_it_is_written_keeps_what_it_names(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    from isthmus.levels import synchronize

    contract = with_history(house)
    touch(house, contract)
    saved: list[str] = []

    def back_office(name: str) -> None:
        if name == "before write source" and not saved:
            saved.append(name)
            first = "SELECT min(bis) FROM everh WHERE vertrag = %s"
            said = f"UPDATE everh SET contractpos = %s WHERE vertrag = %s AND bis = ({first})"
            house.tell("isu", said, STRANGER, contract, contract)

    monkeypatch.setattr(synchronize, "passing", back_office)
    assert sync(house, "contract")["again"] == 1
    first, *others = (item for item, _ in named(house, contract))
    assert first == STRANGER
    assert set(others) == {item_of(house, contract)[0]}


def test_a_baseline_says_beforehand_that_it_fills_in_and_then_does(house: House) -> None:
    contracts = house.one("isu", "SELECT count(*) FROM ever")
    with house.desk() as desk:
        flow = desk.flow("contract")
        said = {item.field: item.counts["to_source"] for item in forecast(desk, flow, whole=True).fields}
        assert said == {"counterpart": contracts, "document": contracts}
        desk.ledger.approvals.ask("takeover", "contract.isu.crm", MASS_CHANGE, 1.0)
        desk.ledger.approvals.approve("takeover", "contract.isu.crm", MASS_CHANGE, "operations")
        counts = baseline(desk, flow, "takeover")
        assert (counts["updated_source"], counts["things"]) == (contracts, contracts)
        assert [item.field for item in forecast(desk, flow, whole=True).fields] == []
    assert naming_nobody(house) == 0
    items = dict(house.ask("crm", "SELECT a4isucontr, guid FROM crmd_isuexta4"))
    assert dict(house.ask("isu", "SELECT DISTINCT vertrag, contractpos FROM everh")) == items
    assert writes(sync(house, "contract")) == {}
