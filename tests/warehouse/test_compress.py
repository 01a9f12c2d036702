"""Compression: older facts become part of the totals; what adds up to nothing is left out."""

from __future__ import annotations

from decimal import Decimal

from tests.warehouse.engine import Stage, line, partner
from warehouse import compress, verify
from warehouse.requests import list_requests


def totals(stage: Stage) -> list[tuple[object, ...]]:
    return stage.ask("SELECT kind, net, lines, records FROM warehouse.totals_lines ORDER BY kind")


def squeeze(stage: Stage, **more: int) -> dict[str, int]:
    return compress.compress(stage.connection, stage.warehouse, stage.now, **more)


def holds(stage: Stage) -> bool:
    cubes = stage.warehouse.cubes.values()
    return all(verify.verify(stage.connection, stage.warehouse, cube, stage.now).holds for cube in cubes)


def test_requests_are_kept_for_a_week_and_then_compressed(bare: Stage) -> None:
    bare.bring("line", "isu", [line("D1")])
    bare.later(days=4)
    bare.bring("line", "isu", [line("D2")])
    assert squeeze(bare) == {"billing": 0, "lines": 0}
    bare.later(days=3)
    assert squeeze(bare) == {"billing": 1, "lines": 1}
    assert [made.state for made in list_requests(bare.connection)] == ["PUBLISHED", "COMPRESSED"]
    assert totals(bare) == [("energy", Decimal("-33.33"), 1, 1)]
    assert holds(bare)


def test_up_to_a_request_everything_published_is_compressed_whatever_its_age(bare: Stage) -> None:
    first, _ = bare.bring("line", "isu", [line("D1")]), bare.bring("line", "isu", [line("D2")])
    assert squeeze(bare, up_to=first.id) == {"billing": 1, "lines": 1}
    assert bare.ask("SELECT count(DISTINCT request_id) FROM warehouse.facts_lines") == [(1,)]
    assert holds(bare)


def test_what_is_not_published_is_not_compressed(bare: Stage) -> None:
    made = bare.load("line", "isu", [line("D1")])
    bare.check(made)
    bare.activate(made)
    bare.roll_up(made)
    assert squeeze(bare, days=0) == {"billing": 0, "lines": 0}


def test_cells_that_add_up_to_nothing_are_left_out(bare: Stage) -> None:
    bare.bring("line", "isu", [line("D1"), line("D2", kind="flat")])
    squeeze(bare, days=0)
    bare.bring("line", "isu", [line("D1", kind="rental")])
    squeeze(bare, days=0)
    assert [row[0] for row in totals(bare)] == ["flat", "rental"]
    bare.bring("line", "isu", [line("D1", mode="D"), line("D2", mode="D")])
    squeeze(bare, days=0)
    assert totals(bare) == []
    assert holds(bare)


def test_a_cell_whose_amounts_cancel_out_stays_while_it_has_records(bare: Stage) -> None:
    bare.bring("line", "isu", [line("D1"), line("D2", amount=Decimal("-33.33"))])
    squeeze(bare, days=0)
    assert totals(bare) == [("energy", 0, 2, 2)]


def test_compressing_again_changes_nothing(bare: Stage) -> None:
    bare.bring("line", "isu", [line("D1")])
    squeeze(bare, days=0)
    was = totals(bare)
    assert squeeze(bare, days=0) == {"billing": 0, "lines": 0}
    assert totals(bare) == was


def test_requests_of_stores_without_cubes_are_compressed_with_the_others(bare: Stage) -> None:
    made = bare.bring("partner", "crm", [partner()])
    squeeze(bare, days=0)
    assert bare.state(made) == "COMPRESSED"
