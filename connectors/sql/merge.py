"""Compare staged rows with what stands in the table, and write only what differs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from connectors.sql.client import Settings
from connectors.sql.outcome import verbs
from connectors.sql.stage import Stage, copy_in, fetch, quoted, target
from connectors.sql.statement import client_of, literal
from connectors.sql.wanted import KEEP_BITS, Mask, Positions, as_mask, problem_rows

Words = list[np.ndarray[Any, np.dtype[np.int64]]]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done with one table: rows by number, which of them are new, and the columns kept in each.

    A bit of `keep` stands for a column with a `canonical` kernel whose content is equal after it.
    `owners` are the positions that lose rows of their scope, `doomed` how many each.
    """

    stage: Stage
    numbers: Positions
    positions: Positions
    fresh: Mask
    keep: Words
    owners: Positions
    doomed: Positions

    def without(self, rejected: Mask) -> Plan:
        """Return the plan for the positions that are not rejected."""
        owners = ~rejected[self.owners]
        plan = self.only(~rejected[self.positions])
        return replace(plan, owners=self.owners[owners], doomed=self.doomed[owners])

    def only(self, rows: Mask) -> Plan:
        """Return the plan for these rows alone."""
        return replace(
            self,
            numbers=self.numbers[rows],
            positions=self.positions[rows],
            fresh=self.fresh[rows],
            keep=[word[rows] for word in self.keep],
        )

    @property
    def touched(self) -> Positions:
        """Return the positions that change something, each once."""
        return np.unique(np.concatenate([self.positions, self.owners]))

    def counts(self) -> dict[str, int]:
        """Return how many rows are inserted, updated and deleted; what is zero is left out."""
        return verbs(self.stage.wanted.name, self.fresh, self.doomed)


def of_client(stage: Stage, settings: Settings, alias: str = "t") -> list[str]:
    """Return the condition that the table's row is of our client, if it has one."""
    shape = stage.wanted.shape
    return [f"{alias}.{quoted(shape.client)} = {literal(client_of(settings, shape))}"] if shape.client else []


def matched(stage: Stage, settings: Settings, names: Sequence[str], source: str = "s") -> str:
    """Return the condition that ties the table's row to the staged one by these columns."""
    return " AND ".join(
        [*of_client(stage, settings), *(f"t.{quoted(name)} = {stage.at(name, source)}" for name in names)]
    )


def looked_up(stage: Stage, settings: Settings, names: Sequence[str], source: str = "s") -> str:
    """Return the table as the right side of a join with the stage, by these columns.

    Where an index serves them, each staged row looks its own up: a package is small beside its table, and a
    planner without statistics would rather scan the whole table for every package.
    """
    table, tie = target(stage.wanted.shape), matched(stage, settings, names, source)
    if stage.wanted.shape.indexed(names):
        return f"LATERAL (SELECT * FROM {table} t WHERE {tie} OFFSET 0) t ON true"
    return f"{table} t ON {tie}"


def refused_by_rules(session: Any, stage: Stage) -> list[pa.Table]:
    """Evaluate the CHECK rules of the table on its stage; return `PROBLEMS` rows naming the rule."""
    wanted = stage.wanted
    rules = [rule for rule in wanted.shape.rules if set(rule.columns) <= set(wanted.columns)]
    if not rules:
        return []
    broken = [f"NOT ({rule.expression})" for rule in rules]
    which = " ".join(f"WHEN {text} THEN {i}" for i, text in enumerate(broken))
    alive = f"{quoted(wanted.key[-1])} IS NOT NULL"
    query = f"SELECT position, CASE {which} END FROM {stage.rows} WHERE {alive} AND ({' OR '.join(broken)})"
    found = fetch(session, query, {"position": pa.int32(), "rule": pa.int32()})
    problems = []
    for i, rule in enumerate(rules):
        positions = found.filter(pc.equal(found["rule"], i))["position"].to_numpy()
        if len(positions):
            said = f"the rule {rule.name} of the table refuses the row"
            columns = ", ".join(wanted.asked[column] for column in rule.columns)
            problems.append(problem_rows(positions, wanted.name, columns, "check", said))
    return problems


def compare(session: Any, stage: Stage, settings: Settings) -> Plan:
    """Find which staged rows are missing or differ, in one plain SELECT: equal rows cost no lock and no WAL.

    Columns with a `canonical` kernel that differ as they are come back, to be compared after it.
    """
    wanted = stage.wanted
    if not wanted.data.num_rows:
        none = np.zeros(0, np.int32)
        return Plan(stage, none, none, np.zeros(0, np.bool_), [np.zeros(0, np.int64)] * wanted.words, none, none)
    kernels = [name for name in wanted.compared if name in wanted.canonical]
    plain = [name for name in wanted.compared if name not in wanted.canonical]
    differs = {name: f"t.{quoted(name)} IS DISTINCT FROM {stage.at(name)}" for name in wanted.compared}
    missing = f"t.{quoted(wanted.key[0])} IS NULL"
    types: dict[str, pa.DataType] = {"n": pa.int32(), "position": pa.int32(), "fresh": pa.bool_(), "other": pa.bool_()}
    other = " OR ".join(differs[name] for name in plain) or "false"
    listed = ["s.n", "s.position", missing, f"({other})"]
    for i, name in enumerate(kernels):
        column, current = wanted.shape.column(name), f"t.{quoted(name)}"
        current = f"encode({current}, 'hex')" if pa.types.is_binary(column.type) else current
        listed += [f"({differs[name]})", f"CASE WHEN {differs[name]} THEN {current} END"]
        types |= {f"d{i}": pa.bool_(), f"c{i}": column.type}
    alive = " AND ".join(f"s.{quoted(name)} IS NOT NULL" for name in wanted.key)
    found = fetch(
        session,
        f"SELECT {', '.join(listed)} FROM {stage.rows} s LEFT JOIN {looked_up(stage, settings, wanted.key)} "
        f"WHERE {alive} AND ({' OR '.join([missing, *differs.values()])})",
        types,
    )
    owners, doomed = unwanted(session, stage, settings)
    return _decided(stage, found, kernels, owners, doomed)


def _decided(stage: Stage, found: pa.Table, kernels: list[str], owners: Positions, doomed: Positions) -> Plan:
    """Apply the canonical kernels to what differs as it is; rows that are equal after them fall out."""
    numbers, fresh = found["n"].to_numpy(), as_mask(found["fresh"])
    changed = fresh | as_mask(found["other"])
    keep = [np.zeros(len(numbers), np.int64) for _ in range(stage.wanted.words)]
    for i, name in enumerate(kernels):
        rows = np.flatnonzero(as_mask(found[f"d{i}"]) & ~fresh)
        if not len(rows):
            continue
        kernel = stage.wanted.canonical[name]
        at = _places(stage, numbers[rows])
        same = equal_after(kernel, found[f"c{i}"].take(pa.array(rows)), stage.wanted.data[name].take(pa.array(at)))
        keep[i // KEEP_BITS][rows[same]] |= np.int64(1) << np.int64(i % KEEP_BITS)
        changed[rows[~same]] = True
    # A key that is not unique in the table matches several rows: the row number counts once.
    numbers, first = np.unique(numbers[changed], return_index=True)
    positions = found["position"].to_numpy()[changed][first]
    return Plan(stage, numbers, positions, fresh[changed][first], [w[changed][first] for w in keep], owners, doomed)


def _places(stage: Stage, numbers: Positions) -> Positions:
    """Return where rows stand in the stage's Arrow data, given their numbers (ascending there)."""
    known = stage.wanted.data.column(0).to_numpy()
    return np.searchsorted(known, numbers).astype(np.int32)


def equal_after(kernel: Any, current: pa.ChunkedArray, wanted: pa.ChunkedArray) -> Mask:
    """Return which pairs are equal after the kernel; two values it both makes null are equal."""
    left, right = kernel(current.combine_chunks()), kernel(wanted.combine_chunks())
    both = pc.and_(pc.is_null(left), pc.is_null(right))
    return as_mask(pc.or_(pc.fill_null(pc.equal(left, right), False), both))


def unwanted(session: Any, stage: Stage, settings: Settings) -> tuple[Positions, Positions]:
    """Return the positions whose scope holds rows that are not wanted any more, and how many each."""
    none = np.zeros(0, np.int32)
    if not stage.wanted.scope:
        return none, none
    query = f"SELECT position, count(*) FROM ({_doomed(stage, settings)}) x GROUP BY position ORDER BY position"
    found = fetch(session, query, {"position": pa.int32(), "rows": pa.int32()})
    return found["position"].to_numpy(), found["rows"].to_numpy()


def _doomed(stage: Stage, settings: Settings) -> str:
    wanted = stage.wanted
    scope = ", ".join(quoted(name) for name in wanted.scope)
    keys = ", ".join(f"t.{quoted(name)}" for name in wanted.key)
    owners = f"(SELECT {scope}, min(position) AS position FROM {stage.rows} GROUP BY {scope}) o"
    return (
        f"SELECT o.position, {keys} FROM {owners} JOIN {looked_up(stage, settings, wanted.scope, 'o')} "
        f"WHERE NOT EXISTS (SELECT 1 FROM {stage.rows} w WHERE {matched(stage, settings, wanted.key, 'w')})"
    )


def load_todo(session: Any, plan: Plan) -> None:
    """Bring the decisions to the server, once per package."""
    words = {f"keep{i}": pa.array(word) for i, word in enumerate(plan.keep)}
    rows = pa.table({"n": pa.array(plan.numbers, pa.int32()), "fresh": pa.array(plan.fresh), **words})
    copy_in(session, plan.stage.todo, rows.column_names, rows)


def delete_rows(session: Any, plan: Plan, settings: Settings, within: str) -> None:
    """Delete the rows of a scope that are not wanted any more."""
    if len(plan.owners):
        stage, wanted = plan.stage, plan.stage.wanted
        ties = [*of_client(stage, settings), *(f"t.{quoted(name)} = s.{quoted(name)}" for name in wanted.key)]
        session.execute(
            f"DELETE FROM {target(wanted.shape)} t USING ({_doomed(stage, settings)}) s "
            f"WHERE {within} AND {' AND '.join(ties)}"
        )


def write_rows(
    session: Any, plan: Plan, settings: Settings, within: str, counting: Callable[[str], str] | None = None
) -> None:
    """Insert the missing rows in key order and update those that differ.

    `counting` wraps an expression that is evaluated for each row as it is inserted.
    """
    stage, wanted = plan.stage, plan.stage.wanted
    source = f"FROM {stage.rows} s JOIN {stage.todo} d ON d.n = s.n"
    if plan.fresh.any():
        # Another package may bring a shared row at the same time; then that one was first.
        late = " ON CONFLICT DO NOTHING" if wanted.spec.shared else ""
        names, values = [*wanted.columns], [stage.at(name) for name in wanted.columns]
        values[0] = counting(values[0]) if counting else values[0]
        if wanted.shape.client:
            names.insert(0, wanted.shape.client)
            values.insert(0, literal(client_of(settings, wanted.shape)))
        session.execute(
            f"INSERT INTO {target(wanted.shape)} ({', '.join(map(quoted, names))}) "
            f"SELECT {', '.join(values)} {source} WHERE d.fresh AND {within} ORDER BY s.n{late}"
        )
    if len(plan.fresh) and not plan.fresh.all():
        indexed = wanted.shape.indexed(wanted.key)
        # As in `looked_up`: changed rows are few beside the table, so they find it by its index.
        session.execute(f"SET LOCAL enable_hashjoin TO {'off' if indexed else 'DEFAULT'}")
        # Nobody knows statistics of the stage; the limit is all of it, and tells the planner how few rows come.
        few = f"LIMIT {len(plan.fresh) - int(plan.fresh.sum())}"
        session.execute(
            f"WITH s AS MATERIALIZED (SELECT s.*{''.join(f', d.keep{i}' for i in range(len(plan.keep)))} {source} "
            f"WHERE NOT d.fresh AND {within} {few}) UPDATE {target(wanted.shape)} t "
            f"SET {', '.join(_assignments(stage))} FROM s WHERE {matched(stage, settings, wanted.key)}"
        )
        session.execute("SET LOCAL enable_hashjoin TO DEFAULT")


def _assignments(stage: Stage) -> list[str]:
    kernels = [name for name in stage.wanted.compared if name in stage.wanted.canonical]
    assigned = []
    for name in stage.wanted.compared:
        value = stage.at(name)
        if name in kernels:
            word, bit = divmod(kernels.index(name), KEEP_BITS)
            value = f"CASE WHEN s.keep{word} & {1 << bit} <> 0 THEN t.{quoted(name)} ELSE {value} END"
        assigned.append(f"{quoted(name)} = {value}")
    return assigned
