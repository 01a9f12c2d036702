"""The tables that stores and cubes ask for: columns with types and meanings, keys, in the order they are created."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from warehouse import tables
from warehouse.expression import otherwise, quoted
from warehouse.spec import Cube, Posted, Posting, Store, StoreField, Type, Warehouse

TEXT = 'text COLLATE "C"'  # keys sort and compare by code point on every server
OPEN_END = "9999-12-31"


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its SQL type, what stands behind the type in DDL, what it means."""

    name: str
    type: str
    meaning: str
    default: str = ""  # of a column that is never null; a column without may be null
    required: bool = False
    made: str = ""  # the expression that PostgreSQL makes its values by

    @property
    def ddl(self) -> str:
        """Return the column as CREATE TABLE and ADD COLUMN take it."""
        type_ = TEXT if self.type == "text" else self.type
        if self.made:
            return f"{quoted(self.name)} {type_} GENERATED ALWAYS AS ({self.made}) STORED"
        never_null = " NOT NULL" if self.required or self.default else ""
        return f"{quoted(self.name)} {type_}{never_null}{f' DEFAULT {self.default}' if self.default else ''}"


@dataclass(frozen=True, slots=True)
class Table:
    """One table of a store or cube; `role` is inbound, active, changes, history, facts or totals."""

    name: str
    role: str
    of: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    meaning: str
    options: str = ""

    @property
    def ddl(self) -> str:
        """Return the CREATE TABLE statement."""
        lines = [*(column.ddl for column in self.columns), f"PRIMARY KEY ({', '.join(map(quoted, self.key))})"]
        body = ",\n    ".join(lines)
        return f"CREATE TABLE {self.name} (\n    {body}\n){self.options}"

    @property
    def comments(self) -> Iterator[str]:
        """Yield the comments on the table and its columns."""
        yield comment("TABLE", self.name, self.meaning)
        for column in self.columns:
            yield comment("COLUMN", f"{self.name}.{quoted(column.name)}", column.meaning)


def comment(kind: str, name: str, text: str) -> str:
    """Return a COMMENT ON statement."""
    return f"COMMENT ON {kind} {name} IS '{text.replace(chr(39), chr(39) * 2)}'"


# --- stores -------------------------------------------------------------------------------------------------------


def store_tables(warehouse: Warehouse, store: Store) -> tuple[Table, ...]:
    """Return the tables of a store: inbound, active, change log, and history where former values are kept."""
    built = (_inbound(store), _active(warehouse, store), _changes(warehouse, store))
    return (*built, _history(store)) if store.history else built


def posted_type(warehouse: Warehouse, posted: Posted) -> Type:
    """Return the type of a posted attribute: that of the field it is looked up in."""
    dimension = warehouse.dimensions[posted.dimension]
    store = warehouse.stores[dimension.store]
    found = store.field(posted.attribute)
    if found is not None:
        return found.type
    again = next((item for item in store.posted if item.name == posted.attribute), None)
    return posted_type(warehouse, again) if again else Type("text")


def meaning_of(field: StoreField, store: Store) -> str:
    """Return a field's comment: what it means, its type with unit or currency, where it comes from."""
    source = f"{store.object}.{field.source or field.name}" if store.object else field.source or field.name
    return _sentence(field.meaning, f"{field.type}, from {source}.")


def _sentence(meaning: str, rest: str) -> str:
    return f"{meaning.rstrip('.')}. {rest[0].upper()}{rest[1:]}" if meaning else f"{rest[0].upper()}{rest[1:]}"


def _request(meaning: str = "Request it came with.") -> Column:
    return Column("request_id", "bigint", meaning, required=True)


SOURCE = Column(
    "source", "text", "System the record comes from; warehouse where it is made of other stores.", required=True
)
SEQUENCE = Column("sequence", "text", "Tells which of two records of one key is the newer; null: the later request.")


def _fields(store: Store, *, null: bool = False) -> Iterator[Column]:
    """Yield a store's fields; keys are never null, except in what arrived, where a rule may refuse them."""
    for field in store.fields:
        required = field.name in store.key and not null
        yield Column(field.name, tables.sql_type(field.type), meaning_of(field, store), required=required)


def _posted(warehouse: Warehouse, store: Store) -> Iterator[Column]:
    for posted in store.posted:
        when = f"as of {posted.on}" if posted.on else "as it was when the record was activated"
        text = f"{posted.attribute} of {posted.dimension} {posted.by}, {when}: as posted, it never changes later."
        yield Column(posted.name, tables.sql_type(posted_type(warehouse, posted)), _sentence("", text))


def _inbound(store: Store) -> Table:
    own = (
        _request(),
        Column("package_no", "integer", "Package within the request.", required=True),
        Column("record_no", "bigint", "Record within the package.", required=True),
        Column(
            "record_mode", "text", "Empty: after image; N: new; D: delete (key only); R: delete (whole record).", "''"
        ),
        SEQUENCE,
        SOURCE,
    )
    return Table(
        tables.inbound(store),
        "inbound",
        store.name,
        (*own, *_fields(store, null=True)),
        ("request_id", "package_no", "record_no"),
        f"What arrived for {store.name}: one row per record of a request, as delivered. {store.about}",
    )


def _active(warehouse: Warehouse, store: Store) -> Table:
    own = (
        _request("Request that changed the record last."),
        SEQUENCE,
        Column("deleted", "boolean", "True: a tombstone, so that a late older record does not bring it back.", "false"),
    )
    return Table(
        tables.active(store),
        "active",
        store.name,
        (SOURCE, *_fields(store), *_posted(warehouse, store), *own),
        ("source", *store.key),
        f"What holds for {store.name} now: one row per source and {', '.join(store.key)}. {store.about}",
        " WITH (fillfactor = 90)",  # room for new versions of rows beside the old ones: no index is touched
    )


def _changes(warehouse: Warehouse, store: Store) -> Table:
    own = (
        _request("Request that changed the record."),
        Column("record_no", "bigint", "Number within the request.", required=True),
        Column("image", "text", "N: new; empty: after; X: before; R: before a delete.", required=True),
        Column("sign", "smallint", "How the row counts: +1, -1; 0 where only the sequence moved on.", required=True),
        Column("was", "text", "What was there: tombstone below N; row, tombstone or nothing with 0.", "''"),
        Column("former_request_id", "bigint", "Request that had changed the record before."),
        Column("former_sequence", "text", "Sequence of the record before."),
        SOURCE,
    )
    return Table(
        tables.changes(store),
        "changes",
        store.name,
        (*own, *_fields(store), *_posted(warehouse, store)),
        ("request_id", "record_no"),
        f"Change log of {store.name}: before and after images of every change, one row per image. {store.about}",
    )


def _history(store: Store) -> Table:
    named = {field.name: field for field in store.fields}
    kept = [named[name] for name in (*store.key, *(name for name in store.history if name not in store.key))]
    columns = [
        Column(field.name, tables.sql_type(field.type), meaning_of(field, store), required=field.name in store.key)
        for field in kept
    ]
    days = (
        Column("valid_from", "date", "First day the values were valid; 0001-01-01: since ever.", required=True),
        Column("valid_to", "date", f"Last day they were; {OPEN_END} while they hold.", required=True),
    )
    return Table(
        tables.history(store),
        "history",
        store.name,
        (SOURCE, *columns, *days),
        ("source", *store.key, "valid_from"),
        f"Former values of {store.name}: one row per source, {', '.join(store.key)} and time slice.",
    )


# --- cubes --------------------------------------------------------------------------------------------------------


def cube_tables(warehouse: Warehouse, cube: Cube) -> tuple[Table, ...]:
    """Return the tables of a cube: facts by request, and totals."""
    columns, names = _cells(warehouse, cube), tuple(dimension.name for dimension in cube.dimensions)
    grain = f"One row per {', '.join(names)}"
    facts = Table(
        tables.facts(cube),
        "facts",
        cube.name,
        (_request("Request whose changes are added up."), *columns),
        ("request_id", *names),
        f"Cells of {cube.name} that requests changed, not yet compressed. {grain} and request. {cube.about}",
    )
    meaning = f"Cells of {cube.name}, compressed. {grain}. {cube.about}"
    return facts, Table(tables.totals(cube), "totals", cube.name, columns, names, meaning)


def dimension_meaning(cube: Cube, name: str, warehouse: Warehouse) -> str:
    """Return the comment of a cube's dimension: what it means, its type, what it shares, where it comes from."""
    found = next(item for item in cube.dimensions if item.name == name)
    shared = warehouse.dimensions.get(found.dimension)
    about = found.meaning or (shared.about if shared else "")
    key = f", key of dimension {found.dimension}" if found.dimension else ""
    return _sentence(about, f"{found.type}{key}; from {_origins(cube, name, 'dimensions') or 'nothing'}.")


def figure_meaning(cube: Cube, name: str) -> str:
    """Return the comment of a figure: what it means, its type with unit or currency, where it comes from."""
    found = next(item for item in cube.figures if item.name == name)
    return _sentence(found.meaning, f"{found.type}; from {_origins(cube, name, 'figures') or 'nothing'}.")


def _origins(cube: Cube, name: str, what: str) -> str:
    return "; ".join(
        dict.fromkeys(_origin(posting, name, what) for posting in cube.postings if name in getattr(posting, what))
    )


def _origin(posting: Posting, name: str, what: str) -> str:
    expression = (posting.figures if what == "figures" else posting.dimensions)[name]
    if expression.literal is not None:
        return f"{posting.store}: {expression.literal}"
    return f"{posting.store}.{expression.text or expression.field}"


def _cells(warehouse: Warehouse, cube: Cube) -> tuple[Column, ...]:
    dimensions = [
        Column(
            item.name, tables.sql_type(item.type), dimension_meaning(cube, item.name, warehouse), otherwise(item.type)
        )
        for item in cube.dimensions
    ]
    figures = [
        Column(item.name, tables.sql_type(item.type, cube=True), figure_meaning(cube, item.name), "0")
        for item in cube.figures
    ]
    records = Column("records", "bigint", "Records in the cell, each counted once.", "0")
    return (*dimensions, *figures, records, cell(cube))


def cell(cube: Cube) -> Column:
    """Return the digest of a cell's dimensions: views unite facts and totals by it, ten times faster than by them."""
    parts = " || ".join(_told_apart(quoted(item.name), item.type) for item in cube.dimensions)
    return Column("cell", "uuid", "Digest of the dimensions.", made=f"md5({parts or chr(39) * 2})::uuid")


def _told_apart(column: str, type_: Type) -> str:
    """Return a dimension as text that ends where it ends: no two lists of members give one text."""
    match type_.kind:
        case "text" | "code":
            return f"length({column})::text || ':' || {column}"
        case "date":
            return f"({column} - '2000-01-01'::date)::text || ','"
        case "moment":
            return f"extract(epoch FROM {column} AT TIME ZONE 'UTC')::text || ','"
    return f"{column}::text || ','"
