"""The page about the language is true: its files have no findings, its examples give what it says."""

from __future__ import annotations

import re
import shutil
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
import yaml

from isthmus.mapping.form import Findings
from isthmus.mapping.load import load_catalogue
from isthmus.mapping.spec import Catalogue
from tests.docs.pages import ROOT, Block, blocks, read
from warehouse.check_expression import FUNCTIONS, Record, given
from warehouse.check_scope import NUMBERS, Scope, column_types
from warehouse.expression import dimension_sql, figure_sql
from warehouse.grammar import read_expression
from warehouse.load_spec import load_warehouse, read_warehouse
from warehouse.posting import cube_sql
from warehouse.shape import apply
from warehouse.spec import Expression, Store, StoreField, Type, Warehouse
from warehouse.tables import active

PAGE = "docs/warehouse-language.md"
FIELDS = {
    "posted_on": (Type("date"), "2024-05-17"),
    "decided_on": (Type("date"), "2024-06-01"),
    "created_at": (Type("moment"), "2024-05-17 14:45 Europe/Berlin"),
    "quantity": (Type("quantity", ("unit",)), "1234.500"),
    "division": (Type("code", ("division",)), "gas"),
    "grid": (Type("boolean"), "no"),
}
STORE = Store("example", "", "", (), tuple(StoreField(name, type_) for name, (type_, _) in FIELDS.items()), ())
ROW = re.compile(r"^\| `(.+?)` \| `(.+?)` \|", re.MULTILINE)


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load_catalogue(ROOT)


def put(project: Path, block: Block) -> None:
    """Write a block as a file, or below the key that its title names and its indentation belongs to."""
    name, _, key = block.title.removeprefix("-- ").partition(", under ")
    file, inside = project / name, block.text.split("\n", 1)[1]
    if not key:
        assert not file.exists(), f"{name} is there already"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(inside, encoding="utf-8")
        return
    text = file.read_text(encoding="utf-8")
    line = f"\n{' ' * (len(inside) - len(inside.lstrip()) - 2)}{key}:\n"
    assert text.count(line) == 1
    file.write_text(text.replace(line, line + inside, 1), encoding="utf-8")


def titled(block: Block) -> Block:
    """Return a block whose first line is a comment of its own language as one with a title."""
    return Block(block.language, re.sub(r"\A-- ", "# ", block.text)) if block.language == "sql" else block


def test_the_files_of_the_page_are_a_warehouse_without_findings(tmp_path: Path, catalogue: Catalogue) -> None:
    shutil.copy(ROOT / "isthmus.yaml", tmp_path)
    written = [block for block in map(titled, blocks(read(PAGE))) if block.title.startswith("warehouse/")]
    for block in written:
        put(tmp_path, block)
    warehouse, findings = read_warehouse(tmp_path, catalogue)
    assert [str(finding) for finding in findings] == []
    assert (set(warehouse.stores), set(warehouse.cubes)) == (
        {"customer", "contract", "billing_line", "customer_year"},
        {"billing", "contract_movement"},
    )
    assert warehouse.cubes["billing"].figures[0].name == "energy_amount"
    assert warehouse.cubes["billing"].dimensions[0].meaning == "Rate category that the line was billed by."


def records(store: Store) -> str:
    """Return the records of a store as a posting takes them."""
    return f"(SELECT *, 1 AS sign FROM {active(store)})"


def test_what_has_no_findings_can_be_created_and_added_up(
    tmp_path: Path, catalogue: Catalogue, fresh_database: str
) -> None:
    for block in map(titled, blocks(read(PAGE))):
        if block.title.startswith("warehouse/"):
            put(tmp_path, block)
    warehouse = load_warehouse(tmp_path, catalogue)
    with psycopg.connect(fresh_database) as connection:
        apply(connection, warehouse, datetime(2025, 6, 1, tzinfo=UTC))
        for cube in warehouse.cubes.values():
            connection.execute(cube_sql(cube, warehouse.stores, records, request=False))
            names = [cube.name, *(f"{cube.name}_{item.name}" for item in (*cube.balances, *cube.distincts))]
            for name in names:
                connection.execute(f"SELECT * FROM analysis.{name}")


def test_every_message_of_the_page_is_a_real_one() -> None:
    mistakes = yaml.load((ROOT / "tests/warehouse/mistakes.yaml").read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
    known = {message for mistake in mistakes for message in mistake["says"]}
    lines = [line for block in blocks(read(PAGE)) for line in block.text.splitlines()]
    shown = [line for line in lines if re.match(r"warehouse/\S+:\d+:\d+: ", line)]
    assert len(shown) >= 10
    assert [message for message in shown if message not in known] == []


def test_every_expression_of_the_page_gives_what_it_says(fresh_database: str) -> None:
    rows = ROW.findall(read(PAGE).partition("## 5. Expressions")[2].partition("## 6.")[0])
    read_ = [(read_expression(text.replace("\\|", "|")), gives) for text, gives in rows]
    assert {call.name for expression, _ in read_ for call in expression.calls} == set(FUNCTIONS)
    values = ", ".join(f"'{value}'::{_sql(type_)} AS {name}" for name, (type_, value) in FIELDS.items())
    columns = ", ".join(f"({_compiled(expression)})::text" for expression, _ in read_)
    with psycopg.connect(fresh_database) as connection:
        found = connection.execute(f"SELECT {columns} FROM (SELECT {values}) AS r").fetchone()
    assert found is not None
    assert list(found) == [gives for _, gives in read_]


def _sql(type_: Type) -> str:
    return {"moment": "timestamptz", "quantity": "numeric(17,3)", "code": "text"}.get(type_.kind, type_.kind)


def _compiled(expression: Expression) -> str:
    """Return an expression as SQL, of the type that the checks say it has."""
    scope = Scope(Warehouse({"example": STORE}), Findings(), frozenset(), {})
    type_ = given(expression, Record("example", column_types(scope.warehouse, STORE), spread=False), scope)
    assert scope.findings.sorted() == ()
    if expression.literal is not None:
        type_ = Type("count") if expression.literal.isdigit() else Type("text")
    assert type_ is not None
    return (figure_sql if type_.kind in NUMBERS else dimension_sql)(expression, type_, STORE)
