"""Run the checks across rows: fields are read through the mapping, block by block, and compared in DuckDB."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from functools import reduce
from itertools import chain
from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa
import pyarrow.compute as pc

from isthmus.connector import Connector
from isthmus.gate import GateFinding
from isthmus.ledger import Ledger
from isthmus.mapping.bind import switched
from isthmus.mapping.compile import compile_read, setting, specs_of
from isthmus.mapping.plan import BoundPipe, ReadPlan, Records
from isthmus.mapping.spec import Catalogue, MappingSpec, Scenario
from isthmus.project import Project
from quality.check import Check, load_checks

if TYPE_CHECKING:
    import duckdb

KEYS_NAMED = 20
MEMORY = "300MB"  # beyond it DuckDB goes to disk
PACKAGE = "checks"


@dataclass(frozen=True)
class Across:
    """What checks are run on: one system as its mappings speak it, on one day."""

    project: Project
    scenario: Scenario
    today: date
    connector: Connector

    def plans(self, system: str, object_: str, fields: Sequence[str]) -> list[ReadPlan]:
        """Compile what reads the key and some fields of an object, and nothing else, for each variant in force."""
        given = setting(self.scenario.switches, self.today)
        speaks = self.project.system(system).speaks
        plans = []
        for spec in specs_of(self.project.catalogue, speaks, object_, given):
            catalogue = _only(self.project.catalogue, _slim(spec, fields))
            plans.append(compile_read(catalogue, speaks, object_, spec.variant, given))
        return plans


def run_checks(project: Project, ledger: Ledger, scenario: Scenario, run: str, today: date) -> list[GateFinding]:
    """Run every check whose object a flow of the scenario carries, and keep the findings with the run, once.

    Raises SpecError for a wrong checks.yaml, SystemUnavailable when the source does not answer.
    """
    findings: dict[str, list[GateFinding]] = {}
    checks = load_checks(project.folder, project.catalogue)
    given = setting(scenario.switches, today)
    flows = [flow for flow in scenario.flows if switched(flow.condition, given)]
    for flow in flows:
        wanted = [c for c in checks if c.object == flow.object and c.system == project.system(flow.source).speaks]
        if wanted:
            connector = project.connector(flow.source)
            try:
                across = Across(project, scenario, today, connector)
                name = f"{flow.object}.{flow.source}.{flow.target}"
                findings[name] = [run_check(across, flow.source, check) for check in wanted]
            finally:
                connector.close()
    for name, found in findings.items():
        told = any(result.package == PACKAGE for result in ledger.gate_results.list(name, run, limit=100_000))
        if not told and any(item.state != "passed" for item in found):
            ledger.gate_results.put(name, "warned", said(found), run, PACKAGE)
    return list(chain.from_iterable(findings.values()))


def said(found: Sequence[GateFinding]) -> dict[str, Any]:
    """Return findings as the ledger keeps them, failed ones as warnings too, so that summaries count them."""
    warnings = [
        {"field": item.expectation, "code": "check", "message": item.about, "rows": item.unexpected, "keys": item.keys}
        for item in found
        if item.state == "failed"
    ]
    return {"findings": [asdict(item) for item in found], "warnings": warnings}


def run_check(across: Across, system: str, check: Check) -> GateFinding:
    """Run one check over all rows of its object."""
    if check.expect == "own_spelling":
        checked, unexpected, keys = _own_spelling(across, system, check)
    elif check.expect == "one_object":
        checked, unexpected, keys = _one_object(across, system, check)
    else:
        checked, unexpected, keys = _all_or_none(across, system, check)
    state = "failed" if unexpected else "passed"
    return GateFinding(check.name, check.about, check.severity, cast(Any, state), unexpected, checked, "", tuple(keys))


Found = tuple[int, int, list[str]]


def _one_object(across: Across, system: str, check: Check) -> Found:
    columns = _numbered(check.same)
    names, set_ = ", ".join(columns), " AND ".join(f"{name} IS NOT NULL" for name in columns)
    with _database() as database:
        _fill(database, "objects", len(check.same), _rows(across, system, check.object, check.same))
        database.execute(
            f"CREATE TABLE several AS SELECT {names}, min_by(key, (length(key), key)) AS first "
            f"FROM objects WHERE {set_} GROUP BY {names} HAVING count(DISTINCT key) > 1"
        )
        surplus = f"SELECT DISTINCT {names}, key FROM objects JOIN several USING ({names}) WHERE key <> first"
        return _answer(database, f"SELECT count(DISTINCT key) FROM objects WHERE {set_}", surplus)


def _all_or_none(across: Across, system: str, check: Check) -> Found:
    same, differ = _numbered(check.same), f"c{len(check.same)}"
    names, set_ = ", ".join(same), " AND ".join(f"{name} IS NOT NULL" for name in same)
    with _database() as database:
        _fill(database, "objects", len(check.fields), _rows(across, system, check.object, check.fields))
        _fill(database, "users", 1, _rows(across, system, check.used_by[0], (check.used_by[1],)))
        database.execute(
            f"CREATE TABLE sides AS SELECT {names}, {differ}, bool_or(key IN (SELECT c0 FROM users)) AS used "
            f"FROM objects WHERE {set_} AND {differ} IS NOT NULL GROUP BY {names}, {differ}"
        )
        halves = f"SELECT {names} FROM sides GROUP BY {names} HAVING bool_or(used) AND NOT bool_and(used)"
        lonely = (
            f"SELECT DISTINCT key FROM objects JOIN sides USING ({names}, {differ}) JOIN ({halves}) USING ({names}) "
            "WHERE NOT used"
        )
        pairs = f"SELECT count(*) FROM (SELECT {names} FROM sides GROUP BY {names} HAVING count(*) > 1)"
        return _answer(database, pairs, lonely)


def _own_spelling(across: Across, system: str, check: Check) -> Found:
    checked, unexpected, keys = 0, 0, list[str]()
    list_ = "" if check.of == "key" else check.of
    for plan in across.plans(system, check.object, (f"{list_}.",) if list_ else ()):
        entry = next((entry for entry in plan.lists if entry.name == list_), None)
        query, pipe = (entry.query, entry.period) if entry and entry.period else (plan.query, plan.key)
        names = entry.parent if entry else plan.key_columns
        for range_ in across.connector.partitions(plan.query, across.project.package_rows):
            for batch in across.connector.read(query, range_):
                odd = _odd(pipe, batch)
                checked, unexpected = checked + batch.num_rows, unexpected + int(pc.sum(odd).as_py() or 0)
                if len(keys) < KEYS_NAMED:
                    keys += _read(plan.key, names, batch).filter(odd).slice(0, KEYS_NAMED - len(keys)).to_pylist()
    return checked, unexpected, keys


def _odd(pipe: BoundPipe, batch: pa.RecordBatch) -> pa.Array:
    """Tell which rows Isthmus would write in another spelling than they have."""
    raw = tuple(batch.column(name) for name in pipe.columns)
    arrays = raw
    for step in pipe.steps:
        arrays = step.read(arrays).arrays
    for step in reversed(pipe.steps):
        if step.write is not None:
            arrays = step.write(arrays).arrays
    differs = [pc.fill_null(pc.not_equal(is_, own), False) for is_, own in zip(raw, arrays, strict=True)]
    return reduce(pc.or_, differs)


def _read(key: BoundPipe, names: Sequence[str], batch: pa.RecordBatch) -> pa.Array:
    arrays = tuple(batch.column(name) for name in names)
    for step in key.steps:
        arrays = step.read(arrays).arrays
    return arrays[0]


# --- reading through the mapping ----------------------------------------------------------------------------------


def _rows(across: Across, system: str, object_: str, fields: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Yield `key` and `c0`, `c1`, ... of every object that is not marked for deletion, one row for each list entry."""
    for plan in across.plans(system, object_, fields):
        for range_ in across.connector.partitions(plan.query, across.project.package_rows):
            root = _whole(across.connector, plan, range_)
            lists = {}
            for entry in plan.lists:
                batches = list(across.connector.read(entry.query, range_))
                if batches:
                    lists[entry.name] = pa.Table.from_batches(batches).combine_chunks().to_batches()[0]
            if root is not None and len(lists) == len(plan.lists):
                yield _laid_out(plan.apply(root, lists), fields)


def _whole(connector: Connector, plan: ReadPlan, range_: Any) -> pa.RecordBatch | None:
    batches = [batch for batch in connector.read(plan.query, range_) if batch.num_rows]
    return pa.Table.from_batches(batches).combine_chunks().to_batches()[0] if batches else None


def _laid_out(records: Records, fields: Sequence[str]) -> pa.RecordBatch:
    list_ = fields[0].partition(".")[0] if "." in fields[0] else ""
    key, rows = records.key, records.root
    there = None if records.deleted is None else pc.invert(pc.fill_null(records.deleted, False))
    if list_:
        entry = records.lists[list_]
        key, rows = key.take(entry.parent), entry.rows
        there = None if there is None else there.take(entry.parent)
    columns = {"key": key} | {f"c{n}": rows.column(name.rpartition(".")[2]) for n, name in enumerate(fields)}
    batch = pa.RecordBatch.from_pydict(columns)
    return batch if there is None else batch.filter(there)


def _only(catalogue: Catalogue, spec: MappingSpec) -> Catalogue:
    return replace(catalogue, mappings={**catalogue.mappings, (spec.system, spec.object): (spec,)})


def _slim(spec: MappingSpec, fields: Sequence[str]) -> MappingSpec:
    """Leave of a mapping its key, its delete marker and some fields; tables that none of them needs are not read."""
    inner = [name.partition(".") for name in fields if "." in name]
    lists = [
        replace(
            entry,
            fields=tuple(line for line in entry.fields if any(n == line.name for _, _, n in inner)),
            reads=tuple(line for line in entry.reads if any(n == line.name for _, _, n in inner)),
        )
        for entry in spec.lists
        if any(name == entry.name for name, _, _ in inner)
    ]
    return replace(
        spec,
        fields=tuple(line for line in spec.fields if line.name in fields),
        reads=tuple(line for line in spec.reads if line.name in fields),
        lists=tuple(lists),
        rejects=(),
        warns=(),
        known_as={},
    )


# --- DuckDB -------------------------------------------------------------------------------------------------------


def _database() -> duckdb.DuckDBPyConnection:
    import duckdb

    return duckdb.connect(config={"memory_limit": MEMORY, "threads": 2})


def _numbered(names: Sequence[object]) -> list[str]:
    return [f"c{n}" for n in range(len(names))]


def _fill(database: duckdb.DuckDBPyConnection, table: str, columns: int, batches: Iterator[pa.RecordBatch]) -> None:
    """Put batches of `key` and so many columns into a table; without rows it is there all the same."""
    made = False
    for batch in batches:
        database.register("block", batch)
        database.execute(f"INSERT INTO {table} SELECT * FROM block" if made else f"CREATE TABLE {table} AS FROM block")
        database.unregister("block")
        made = True
    if not made:
        names = ", ".join(f"{name} VARCHAR" for name in ("key", *_numbered(range(columns))))
        database.execute(f"CREATE TABLE {table} ({names})")


def _answer(database: duckdb.DuckDBPyConnection, total: str, unexpected: str) -> Found:
    database.execute(f"CREATE TABLE unexpected AS {unexpected}")
    checked, count = (
        int((database.execute(query).fetchone() or (0,))[0]) for query in (total, "SELECT count(*) FROM unexpected")
    )
    named = database.execute(f"SELECT DISTINCT key FROM unexpected ORDER BY length(key), key LIMIT {KEYS_NAMED}")
    return checked, count, [str(row[0]) for row in named.fetchall()]
