"""Roll-up, publication and verification: cubes are what active data makes, once and all at once."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest

from isthmus.errors import ConflictError
from tests.warehouse.engine import HOUSE, Stage, line, partner, visit
from warehouse import compress, control, rollup, undo, verify
from warehouse.load_spec import load_warehouse
from warehouse.verify import Verification


def facts(stage: Stage) -> list[tuple[object, ...]]:
    return stage.ask("SELECT kind, sum(net), sum(lines), sum(records) FROM warehouse.facts_lines GROUP BY 1 ORDER BY 1")


def verified(stage: Stage, cube: str = "lines") -> Verification:
    return verify.verify(stage.connection, stage.warehouse, stage.warehouse.cubes[cube], stage.now)


def test_a_change_moves_a_record_from_cell_to_cell(bare: Stage) -> None:
    bare.bring("line", "isu", [line("D1"), line("D2")])
    bare.bring("line", "isu", [line("D1", kind="rental"), line("D2", mode="D")])
    cents = Decimal("33.33")
    assert facts(bare) == [("energy", 0, 0, 0), ("rental", -cents, 1, 1)]


def test_before_images_leave_the_cell_they_were_posted_to(bare: Stage) -> None:
    bare.bring("partner", "crm", [partner(region="N")])
    bare.bring("line", "isu", [line("D1")])
    bare.bring("partner", "crm", [partner(region="S")])
    bare.bring("line", "isu", [line("D1", amount=Decimal("1.00"))])
    found = bare.ask("SELECT region, sum(net), sum(records) FROM warehouse.facts_billing GROUP BY 1 ORDER BY 1")
    assert found == [("N", 0, 0), ("S", Decimal("1.00"), 1)]


def test_a_spread_bill_adds_up_to_the_last_digit(bare: Stage) -> None:
    days: dict[str, Any] = {"period_from": date(2023, 3, 17), "period_to": date(2024, 3, 3)}
    bare.bring("line", "isu", [line("D1", quantity=Decimal("1000.001"), amount=Decimal("-0.07"), **days)])
    found = bare.ask("SELECT count(*), sum(energy), sum(net), sum(lines), sum(records) FROM warehouse.facts_billing")
    assert found == [(13, Decimal("1000.001"), Decimal("-0.07"), 1, 1)]


def test_a_request_is_rolled_up_once(bare: Stage) -> None:
    made = bare.bring("line", "isu", [line("D1")])
    was = facts(bare)
    assert bare.roll_up(made) == 0
    bare.connection.execute("DELETE FROM warehouse.rolled_up")
    with pytest.raises(psycopg.errors.UniqueViolation):
        bare.roll_up(made)
    assert facts(bare) == was


def test_a_request_is_rolled_up_when_it_is_active(bare: Stage) -> None:
    made = bare.load("line", "isu", [line("D1")])
    with pytest.raises(ConflictError, match="is LOADED; roll-up needs an ACTIVE one"):
        bare.roll_up(made)


def test_a_store_without_cubes_is_rolled_up_with_nothing(bare: Stage) -> None:
    made = bare.bring("partner", "crm", [partner()])
    assert (made.state, bare.ask("SELECT count(*) FROM warehouse.rolled_up")) == ("PUBLISHED", [(0,)])


# --- publication --------------------------------------------------------------------------------------------------


def test_everything_rolled_up_is_published_at_once(bare: Stage) -> None:
    requests = []
    for store, source, row in (("line", "isu", line("D1")), ("visit", "crm", visit(9)), ("line", "tel", line("D1"))):
        requests.append(bare.load(store, source, [row]))
        bare.check(requests[-1])
        bare.activate(requests[-1])
    for made in requests[:2]:
        bare.roll_up(made)
    assert [bare.publish(), bare.publish()] == [bare.publish()] * 2
    assert [bare.state(made) for made in requests] == ["PUBLISHED", "PUBLISHED", "ACTIVE"]
    assert bare.ask("SELECT run, requests FROM warehouse.publications") == [("run", 2)]


# --- verification -------------------------------------------------------------------------------------------------


def test_verification_counts_every_cell_that_differs_on_either_side(bare: Stage) -> None:
    bare.bring("line", "isu", [line("D1"), line("D2", kind="flat"), line("D3", kind="rental")])
    assert (verified(bare).cells, verified(bare).holds) == (3, True)
    bare.connection.execute("UPDATE warehouse.facts_lines SET net = net + 0.01 WHERE kind = 'flat'")
    bare.connection.execute("DELETE FROM warehouse.facts_lines WHERE kind = 'rental'")
    assert (verified(bare).cells, verified(bare).differing) == (3, 3)
    assert bare.ask("SELECT cells, differing FROM warehouse.verifications WHERE cube = 'lines'") == [(3, 3)]


def test_verification_holds_while_requests_are_active_and_not_rolled_up(bare: Stage) -> None:
    bare.bring("line", "isu", [line("D1"), line("D2")])
    made = bare.load("line", "isu", [line("D1", kind="flat"), line("D2", mode="D"), line("D3")])
    bare.check(made)
    bare.activate(made)
    assert verified(bare).holds and verified(bare, "billing").holds
    bare.roll_up(made)
    assert verified(bare).holds and verified(bare, "billing").holds


def test_a_rebuilt_cube_is_right_again_and_unpublished_requests_stay_deletable(bare: Stage) -> None:
    bare.bring("line", "isu", [line("D1"), line("D2")])
    made = bare.load("line", "isu", [line("D1", kind="flat")])
    bare.check(made)
    bare.activate(made)
    bare.roll_up(made)
    bare.connection.execute("UPDATE warehouse.facts_lines SET net = 7")
    control.mark(bare.connection, "cube", "lines", "somebody wrote into it", bare.now)
    verify.rebuild(bare.connection, bare.warehouse, bare.warehouse.cubes["lines"], bare.now)
    assert verified(bare).holds
    assert control.waiting(bare.connection) == []
    undo.delete_request(bare.connection, bare.warehouse, bare.store("line"), made.id, bare.now)
    assert verified(bare).holds
    assert facts(bare) == []


def test_a_request_that_waits_through_a_rebuild_is_rolled_up_afterwards(bare: Stage) -> None:
    made = bare.load("line", "isu", [line("D1")])
    bare.check(made)
    bare.activate(made)
    cube = bare.warehouse.cubes["lines"]
    assert verify.rebuild(bare.connection, bare.warehouse, cube, bare.now) == 0
    assert rollup.roll_up(bare.connection, bare.warehouse, bare.store("line"), made.id, bare.now) > 0
    assert verified(bare).holds
    bare.publish()
    assert compress.compress(bare.connection, bare.warehouse, bare.now, days=0) == {"billing": 1, "lines": 1}
    assert verified(bare).holds


def test_a_literal_with_a_per_cent_sign_is_a_literal(bare: Stage, tmp_path: Path) -> None:
    shutil.copytree(HOUSE, tmp_path / "house")
    path = tmp_path / "house" / "warehouse" / "cubes" / "lines.yaml"
    path.write_text(path.read_text().replace("store: line\n", 'store: line\n    when: kind = "19%"\n'))
    stage = replace(bare, warehouse=load_warehouse(tmp_path / "house", None))
    stage.bring("line", "isu", [line("D1", kind="19%"), line("D2")])
    assert facts(stage) == [("19%", Decimal("-33.33"), 1, 1)]
    assert verified(stage).holds
    verify.rebuild(stage.connection, stage.warehouse, stage.warehouse.cubes["lines"], stage.now)
    assert verified(stage).holds
