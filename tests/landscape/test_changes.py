from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from isthmus.store.place import Place
from landscape import changes
from landscape.schema import tables
from tests.landscape.conftest import Standing, standing
from tests.landscape.test_create import SLICES


@pytest.fixture(scope="module", params=[True, False], ids=["devices", "info_records"])
def own(store: Place, request: pytest.FixtureRequest) -> Iterator[Standing]:
    yield from standing(store, contracts=300, defects=False, devices=request.param)


def test_touched_contracts_are_stamped_and_the_rest_is_not(own: Standing) -> None:
    keys = changes.touch_contracts(own.isu, 5, seed=3)
    assert len(set(keys)) == 5
    assert sorted(row[0] for row in own.ask("SELECT vertrag FROM ever WHERE aedat = '20260102'")) == sorted(keys)


def test_which_contracts_are_touched_follows_from_the_seed(own: Standing) -> None:
    assert changes.touch_contracts(own.isu, 5, seed=3) == changes.touch_contracts(own.isu, 5, seed=3)
    assert changes.touch_contracts(own.isu, 5, seed=4) != changes.touch_contracts(own.isu, 5, seed=3)


def test_a_renamed_partner_has_a_time_of_change(own: Standing) -> None:
    keys = changes.rename_partners(own.isu, 3)
    assert sorted(own.ask("SELECT partner, chtim FROM but000 WHERE name_last LIKE '%%-Moser'")) == [
        (key, "103000") for key in sorted(keys)
    ]


def test_a_swapped_meter_hands_its_logical_numbers_on(own: Standing) -> None:
    new = changes.swap_meters(own.isu, 4)
    history = "egerh" if own.manifest.devices else "egerr"
    pairs = own.ask(
        f"SELECT n.equnr, o.equnr, o.bis FROM {history} n JOIN {history} o ON o.logiknr = n.logiknr "
        "AND o.equnr <> n.equnr WHERE n.equnr = ANY(%s)",
        new,
    )
    assert sorted(row[0] for row in pairs) == sorted(new)
    assert {row[2] for row in pairs} == {"20260101"}
    for table, key, start, end in SLICES:
        neighbours = f"SELECT {start} ab, lag({end}) OVER (PARTITION BY {key} ORDER BY {start}) was FROM {table}"
        broken = f"SELECT * FROM ({neighbours}) s WHERE to_date(ab, 'YYYYMMDD') <> to_date(was, 'YYYYMMDD') + 1"
        assert own.ask(broken) == [], table


def test_a_move_in_makes_contract_history_and_document(own: Standing) -> None:
    numbers = changes.move_in(own.isu, 3)
    assert len(numbers) == 3
    found = own.ask(
        "SELECT e.vertrag, h.bis, v.einzdat FROM ever e JOIN everh h USING (mandt, vertrag) "
        "JOIN eeinv v USING (mandt, vertrag) JOIN eein USING (mandt, einzbeleg) WHERE e.vertrag = ANY(%s) ORDER BY 1",
        numbers,
    )
    assert found == [(number, "99991231", "20260102") for number in numbers]
    assert not own.ask(
        "SELECT anlage FROM ever WHERE auszdat >= '20260102' AND einzdat <= '20260102' GROUP BY 1 HAVING count(*) > 1"
    )


def test_an_agent_edits_what_the_back_office_owns(own: Standing) -> None:
    with psycopg.connect(own.crm) as crm:
        for number in (1, 2, 3):
            guid = bytes([number] * 16)
            crm.execute("INSERT INTO comm_product (client, product_guid) VALUES ('100', %s)", (guid,))
            crm.execute(
                "INSERT INTO zconnobj (client, product_guid, haus) VALUES ('100', %s, %s)", (guid, f"CO{number}")
            )
    keys = changes.agent_edits_view_only(own.crm, 2)
    edited = own.ask_crm("SELECT haus FROM zconnobj JOIN comm_product USING (product_guid) WHERE changed_at > 0")
    assert sorted(row[0] for row in edited) == sorted(keys)
    assert set(tables("crm")) >= {"ZCONNOBJ", "COMM_PRODUCT"}
