"""Where everything lies: the names of tables and columns, and the control tables of requests.

Schema `warehouse` holds the data, schema `analysis` the views that people query.
"""

from __future__ import annotations

from typing import Literal

from warehouse.spec import Cube, Store, Type

SCHEMA = "warehouse"
VIEWS = "analysis"
NOTHING = "#"  # the member of a dimension for records that say nothing; dimensions are never null

# Names that fields, dimensions and figures may not have: the tables' own columns.
RESERVED = (
    "request_id", "package_no", "record_no", "record_mode", "sequence", "source", "deleted", "image", "sign",
    "was", "former_request_id", "former_sequence", "cell", "records", "valid_from", "valid_to", "spread",
)  # fmt: skip

State = Literal["OPEN", "LOADED", "CHECKED", "ACTIVE", "ROLLED_UP", "PUBLISHED", "COMPRESSED", "FAILED", "DELETED"]
STATES: tuple[State, ...] = (
    "OPEN", "LOADED", "CHECKED", "ACTIVE", "ROLLED_UP", "PUBLISHED", "COMPRESSED", "FAILED", "DELETED",
)  # fmt: skip
Mode = Literal["INIT", "INIT_NODATA", "DELTA", "REPEAT", "FULL", "REPAIR_FULL", "CORRECTION", "REVERSAL"]

# Record modes as BW has them (0RECORDMODE); a store takes these.
AFTER, NEW, DELETE, REVERSE = "", "N", "D", "R"
# Images of the change log: new, after, before, reverse (a before image without an after image).
IMAGES = ("N", "", "X", "R")


def inbound(store: Store) -> str:
    """Return the table of what arrived: request_id, package_no, record_no, record_mode, sequence, source, fields."""
    return f"{SCHEMA}.inbound_{store.name}"


def active(store: Store) -> str:
    """Return the table of what holds: source, fields, posted, request_id, sequence, deleted; key (source, *key)."""
    return f"{SCHEMA}.active_{store.name}"


def changes(store: Store) -> str:
    """Return the change log.

    Columns: request_id, record_no, image, sign (+1, -1), was ('', 'tombstone': what an image N found),
    former_request_id, former_sequence (of the active row before), source, fields, posted.  Values are unsigned:
    `sign` says how they count.  Sign 0 is no image: only the sequence of the record moved on (`was`: row, tombstone
    or nothing), which undo has to know.
    """
    return f"{SCHEMA}.changes_{store.name}"


def history(store: Store) -> str:
    """Return the table of former values: source, key, history fields, valid_from, valid_to (9999-12-31 while open)."""
    return f"{SCHEMA}.history_{store.name}"


def facts(cube: Cube) -> str:
    """Return the facts of requests: request_id, dimensions, figures, records; key (request_id, *dimensions).

    Both tables of a cube also have `cell`, a digest of the dimensions that PostgreSQL writes itself.
    """
    return f"{SCHEMA}.facts_{cube.name}"


def totals(cube: Cube) -> str:
    """Return the compressed facts: dimensions, figures, records; key (*dimensions)."""
    return f"{SCHEMA}.totals_{cube.name}"


def sql_type(type_: Type, *, cube: bool = False) -> str:
    """Return the PostgreSQL type; figures of cubes are wider than the rows they add up.

    >>> sql_type(Type("amount", ("currency",))), sql_type(Type("amount", ("currency",)), cube=True)
    ('numeric(15,2)', 'numeric(24,2)')
    """
    precision, _, scale = (type_.args[0] if type_.args else "").partition(".")
    match type_.kind:
        case "text" | "code":
            return "text"
        case "date":
            return "date"
        case "moment":
            return "timestamptz"
        case "integer" | "count":
            return "bigint"
        case "boolean":
            return "boolean"
        case "amount":
            return "numeric(24,2)" if cube else "numeric(15,2)"
        case "quantity":
            return "numeric(24,3)" if cube else "numeric(17,3)"
        case "decimal":
            return f"numeric({31 if cube else precision},{scale or 0})"
