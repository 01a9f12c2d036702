"""Files of the warehouse become values."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from isthmus.errors import SpecError
from isthmus.mapping.load import load_catalogue
from warehouse.check_scope import column_types
from warehouse.grammar import Formula, read_expression, read_formula
from warehouse.load_spec import load_warehouse, read_warehouse
from warehouse.spec import Type, Warehouse

GOOD = Path(__file__).parent / "good"


@pytest.fixture(scope="module")
def good() -> Warehouse:
    return load_warehouse(GOOD, load_catalogue(GOOD))


def test_a_store_says_where_its_fields_come_from_and_what_they_mean(good: Warehouse) -> None:
    store = good.stores["product_slice"]
    first = store.field("starts_on")
    assert first is not None
    assert (store.object, store.list, store.key) == ("contract", "products", ("contract", "product", "starts_on"))
    assert (first.type, first.source, first.meaning) == (Type("date"), "from", "First day of the slice.")


def test_a_feed_of_other_stores_is_full_and_names_its_query(good: Warehouse) -> None:
    feed = good.stores["customer_month"].feed("warehouse")
    assert feed is not None
    assert (feed.mode, feed.query, feed.control) == ("full", "customer_month.sql", ())
    assert good.made_of("customer_month") == ("customer_month", *feed.reads)
    assert "billing_line" in feed.reads


def test_a_posting_says_which_functions_a_field_goes_through(good: Warehouse) -> None:
    posting = good.cubes["billing"].postings[0]
    size, energy = posting.dimensions["size"], posting.figures["energy"]
    assert [(call.name, call.args) for call in size.calls] == [("band", ("1000", "10000"))]
    assert (energy.field, energy.when and energy.when.text) == ("quantity", 'division in ("electricity", "gas")')
    assert posting.spread and posting.spread.figures == ("energy", "net")
    assert posting.dimensions["consumption_month"].field == "spread.month"


def test_a_word_in_quotes_is_a_literal_and_so_is_a_number(good: Warehouse) -> None:
    posting = good.cubes["contract_movement"].postings[0]
    assert (posting.dimensions["kind"].literal, posting.dimensions["kind"].field) == ("begin", "")
    assert posting.figures["contracts"].literal == "1"


def test_without_a_catalogue_a_warehouse_is_read_but_not_compared_with_the_model() -> None:
    assert load_warehouse(GOOD, None).stores["billing_line"].fields[0].meaning == ""


def test_a_project_without_a_warehouse_has_an_empty_one(tmp_path: Path) -> None:
    assert load_warehouse(tmp_path, None) == Warehouse()


def test_all_mistakes_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    for folder, name in (("stores", "a"), ("cubes", "b")):
        (tmp_path / "warehouse" / folder).mkdir(parents=True)
        (tmp_path / "warehouse" / folder / f"{name}.yaml").write_text("about: x\n", encoding="utf-8")
    with pytest.raises(SpecError) as told:
        load_warehouse(tmp_path, None)
    assert {finding.file for finding in told.value.findings} == {"warehouse/stores/a.yaml", "warehouse/cubes/b.yaml"}


def test_a_file_in_the_wrong_place_is_told_of_and_not_read(tmp_path: Path) -> None:
    shutil.copytree(GOOD / "warehouse", tmp_path / "warehouse")
    stores = tmp_path / "warehouse" / "stores"
    (stores / "call.yaml").rename(stores / "call.yml")
    (stores / "old").mkdir()
    (stores / "customer_month.yaml").rename(stores / "old" / "customer_month.yaml")
    (stores / "elsewhere.yaml").symlink_to(GOOD / "isthmus.yaml")
    warehouse, findings = read_warehouse(tmp_path, None)
    assert not {"call", "customer_month", "elsewhere"} & set(warehouse.stores)
    assert [str(finding) for finding in findings if finding.file.startswith("warehouse/stores")] == [
        'warehouse/stores/call.yml:1:1: the name ends with ".yml". Rename the file to "call.yaml".',
        "warehouse/stores/elsewhere.yaml:1:1: this file is a link out of its folder. Put the file itself here.",
        'warehouse/stores/old/customer_month.yaml:1:1: a file stands in "stores" itself, not in a folder below it. '
        "Move it there.",
    ]


def test_a_posted_attribute_has_the_type_of_the_field_it_comes_from_through_other_stores(good: Warehouse) -> None:
    assert column_types(good, good.stores["billing_line"])["city"] == Type("text", ("40",))


def test_what_is_made_of_a_field_means_what_the_field_means(good: Warehouse) -> None:
    meanings = {item.name: item.meaning for item in good.cubes["billing"].dimensions}
    assert meanings["division"] == "What is delivered."
    assert meanings["posting_month"] == "Day of posting, by month."
    assert meanings["consumption_month"] == "Month that this share of a spread record belongs to."
    assert meanings["contract"] == "Contract that was billed."


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("net / energy", "(net / energy)"),
        ("a - b - c", "((a - b) - c)"),
        ("a + b * c", "(a + (b * c))"),
        ("(a + b) * 1.5", "((a + b) * 1.5)"),
        ("-a * b", "((0 - a) * b)"),
        ("a / b / c", "((a / b) / c)"),
    ],
)
def test_a_formula_is_read_as_one_reckons(text: str, shown: str) -> None:
    def show(part: Formula) -> str:
        return part.word or f"({show(part.parts[0])} {part.operator} {show(part.parts[1])})"

    assert show(read_formula(text)) == shown


def test_a_sign_belongs_to_a_number_and_to_a_field() -> None:
    number, field = read_expression("-1"), read_expression("-amount when kind = 'x'")
    assert (number.literal, number.negative) == ("-1", False)
    assert (field.field, field.negative, field.when and field.when.text) == ("amount", True, "kind = 'x'")
