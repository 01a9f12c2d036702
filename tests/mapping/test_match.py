"""Duplicates: what two spellings of one value have in common, and how alike two records are."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.mapping.load import load_catalogue
from isthmus.mapping.match import likeness, normalised, score
from isthmus.mapping.spec import Scoring

SCORING = load_catalogue(Path(__file__).parents[2]).models["business_partner"].scoring
assert SCORING is not None
RULES: Scoring = SCORING
BEN = {
    "last_name": "Müller",
    "first_name": "Ben",
    "organisation": None,
    "born_on": date(1980, 2, 29),
    "postal_code": "3220",
    "street": "Hauptstraße",
    "house_number": "12 a",
    "city": "Geelong",
}
names = st.text(max_size=12)


def batch(**change: Any) -> pa.RecordBatch:
    types = {name: pa.date32() if name == "born_on" else pa.string() for name in BEN}
    return pa.RecordBatch.from_pydict(
        {name: pa.array([value], types[name]) for name, value in {**BEN, **change}.items()}
    )


def alike(**change: Any) -> float:
    return float(score(RULES, batch(), batch(**change))[0].as_py())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Müller", "MUELLER"),
        (" O'Neil ", "oneil"),
        ("Weiß", "WEISS"),
        ("Łódź", "lodz"),
        ("12 a", "12A"),
        ("Hauptstr.", "Hauptstraße"),
        ("ﬁnn", "Finn"),
        ("São", "Sa\u0303o"),
    ],
)
def test_spellings_of_one_value_are_one(one: str, other: str) -> None:
    assert normalised(pa.array([one])).equals(normalised(pa.array([other])))


@given(names)
def test_what_is_normalised_stays_so_in_any_case(text: str) -> None:
    once = normalised(pa.array([text]))
    assert normalised(pa.array([text.upper().lower()])).equals(normalised(pa.array([text.lower()])))
    assert once[0].as_py() is None or once[0].as_py().strip()


def test_the_same_person_spelled_otherwise_is_the_same() -> None:
    assert alike() == 1.0
    assert alike(last_name="MUELLER", street="Hauptstr.", house_number="12A") >= RULES.same


@pytest.mark.parametrize(
    "change",
    [{"first_name": "B."}, {"last_name": "Möller"}, {"born_on": None}, {"street": "Bay Road", "house_number": "7"}],
)
def test_a_person_who_differs_a_little_is_doubtful(change: dict[str, Any]) -> None:
    assert RULES.doubtful <= alike(**change) < RULES.same


def test_a_neighbour_or_a_brother_is_somebody_else() -> None:
    assert alike(last_name="Okafor", first_name="Ada", born_on=date(1975, 5, 5)) < RULES.doubtful
    assert alike(first_name="Karl", born_on=date(1983, 1, 1)) < RULES.doubtful


def test_one_shared_city_among_nothing_else_makes_nobody_the_same() -> None:
    nothing = dict.fromkeys(("last_name", "first_name", "born_on", "street", "house_number", "postal_code"))
    assert alike(**nothing) < RULES.doubtful
    empty = batch(**dict.fromkeys(BEN))
    assert score(RULES, empty, empty).to_pylist() == [0.0]


@given(st.lists(st.tuples(st.none() | names, st.none() | names), max_size=6))
def test_likeness_lies_between_0_and_1_and_goes_both_ways(pairs: list[tuple[str | None, str | None]]) -> None:
    one, other = (normalised(pa.array(side, pa.string())) for side in ([a for a, _ in pairs], [b for _, b in pairs]))
    there, back = likeness(one, other).to_pylist(), likeness(other, one).to_pylist()
    assert there == pytest.approx(back)
    assert all(0 <= value <= 1 for value in there)
    equal = [a == b and a is not None for a, b in zip(one.to_pylist(), other.to_pylist(), strict=True)]
    assert all(value == 1.0 for value, same in zip(there, equal, strict=True) if same)
