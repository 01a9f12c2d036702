"""Drill-through: a record that is spread over months is one image of the cell, with what it posted there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from decimal import Decimal

from isthmus.mapping.spec import Catalogue
from tests.warehouse.conftest import LINE
from tests.warehouse.engine import Stage
from warehouse.drill import Traced, drill

NOTHING = Catalogue(models={}, mappings={}, codes={}, systems={}, scenarios={})
QUARTER = {**LINE, "document": "D9", "period_from": date(2024, 1, 1), "period_to": date(2024, 3, 31)}


def traced(stage: Stage, cell: Mapping[str, str]) -> list[Traced]:
    found = drill(stage.connection, stage.warehouse, NOTHING, stage.warehouse.cubes["billing"], cell, {})
    return [replace(item, key=dict(item.key)) for item in found if item.key.get("document") == "D9"]


def test_the_months_of_a_record_are_told_together(stage: Stage) -> None:
    stage.bring("line", "isu", [{**QUARTER, "amount": Decimal("91.00")}])
    (image,) = traced(stage, {})
    assert (image.image, image.figures["net"], image.figures["lines"]) == ("N", Decimal("91.00"), 1)
    (january,) = traced(stage, {"consumption_month": "2024-01"})
    assert january.figures["net"] == Decimal("31.00")


def test_an_image_that_takes_a_value_away_stands_beside_the_one_that_puts_it_back(stage: Stage) -> None:
    stage.bring("line", "isu", [{**QUARTER, "amount": Decimal("91.00")}])
    stage.bring("line", "isu", [{**QUARTER, "amount": Decimal("182.00"), "seq": "2"}])
    told = [(item.image, item.figures["net"]) for item in traced(stage, {})]
    assert sorted(told) == [("", Decimal("182.00")), ("N", Decimal("91.00")), ("X", Decimal("-91.00"))]
