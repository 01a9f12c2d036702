"""What arrives: packages of records copied in, control totals, and full loads cut down to their differences."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pgpq
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from isthmus.errors import ConflictError, DataError, did_you_mean
from warehouse import pointers
from warehouse.columns import arrow_type, column, differ, fields, key, key_text, listed, more, same
from warehouse.locks import lock_stores
from warehouse.requests import WAITING, Request, advance, after_you, note, request
from warehouse.spec import Store
from warehouse.statement import Connection, analyze, statements
from warehouse.tables import AFTER, DELETE, NEW, REVERSE, active, inbound

TAKEN = (AFTER, NEW, DELETE, REVERSE)
COPY_ROWS = 65_536
COMPARED = ("INIT", "FULL", "REPAIR_FULL")  # modes that bring everything
Window = Mapping[str, tuple[object, object]]


def write_package(
    connection: Connection, store: Store, request_: Request, package_no: int, batch: pa.RecordBatch
) -> int:
    """Copy a package of records in and return how many it has; the same package again writes nothing.

    `batch` has the store's fields, and may have `record_mode` ('', N, D or R) and `sequence`.  A package that was
    read again and is different takes the place of the one before.  Raises DataError for records without a key, for
    unknown record modes and for values that a field cannot hold, ConflictError once the request is loaded.
    """
    rows = _rows(store, request_, package_no, batch)
    digest = _digest(rows)
    noted = statements("requests")
    with connection.transaction():
        state = request(connection, request_.id, lock=True).state
        known = noted.rows(connection, "package", {}, request=request_.id, package=package_no)
        if known and known[0][1] == digest:
            return int(known[0][0])
        if state != "OPEN":
            raise ConflictError(f"request {request_.id} is {state}; packages are written while it is OPEN")
        if known:
            parts = {"inbound": inbound(store)}
            statements("inbound").run(connection, "drop package", parts, request=request_.id, package=package_no)
        copy_in(connection, inbound(store), rows)
        noted.run(
            connection,
            "note package",
            {},
            request=request_.id,
            package=package_no,
            records=rows.num_rows,
            digest=digest,
        )
    return int(rows.num_rows)


def packages(connection: Connection, request_id: int) -> dict[int, int]:
    """Return the packages that a request has: number and records."""
    return dict(statements("requests").rows(connection, "packages", {}, request=request_id))


def start_over(connection: Connection, store: Store, request_: Request) -> None:
    """Drop the packages of an OPEN request, because it is read anew; raises ConflictError for any other state."""
    with connection.transaction():
        state = request(connection, request_.id, lock=True).state
        if state != "OPEN":
            raise ConflictError(f"request {request_.id} is {state}; only an OPEN one is read anew")
        statements("inbound").run(connection, "drop", {"inbound": inbound(store)}, request=request_.id)
        statements("requests").run(connection, "forget packages", {}, request=request_.id)


def loaded(
    connection: Connection,
    store: Store,
    request_: Request,
    *,
    now: datetime,
    cursor_to: str | None = None,
    control: Mapping[str, int | Decimal] | None = None,
) -> Request:
    """Say that a request is complete: compare its control totals, move the pointer of its feed, all or nothing.

    `control` is what the source counted: `records`, and sums by field.  Raises DataError where it differs, and
    ConflictError where another delta has moved the pointer meanwhile; the request then stays OPEN.
    """
    with connection.transaction():
        found = request(connection, request_.id, lock=True)
        if found.state != "OPEN":
            return found
        totals = control_totals(connection, store, found)
        _compare(connection, found, control or {}, totals)
        said = {name: str(value) for name, value in (control or {}).items()}
        counted = {name: str(value) for name, value in totals.items()}
        note(
            connection,
            found.id,
            records=int(totals["records"]),
            control={"source": said, "loaded": counted},
            cursor_to=cursor_to,
        )
        if cursor_to is not None and found.mode in pointers.MOVING:
            if found.mode == "DELTA":
                pointers.begins(connection, found.store, found.source, found.cursor_from)
            pointers.move(connection, found.store, found.source, found.mode, found.id, cursor_to)
        return advance(connection, found, "LOADED", now)


def control_totals(connection: Connection, store: Store, request_: Request) -> dict[str, int | Decimal]:
    """Return how many records arrived, and the sums of the fields that the feed names for control."""
    feed = store.feed(request_.source)
    names = feed.control if feed else ()
    sums = "".join(f", coalesce(sum({column(name)}), 0)" for name in names)
    parts = {"inbound": inbound(store), "sums": sums}
    row = statements("inbound").rows(connection, "totals", parts, request=request_.id)[0]
    return dict(zip(("records", *names), row, strict=True))


def differences_only(connection: Connection, store: Store, request_: Request, within: Window | None = None) -> Request:
    """Cut a full load that is not active yet down to what differs from active data; what it lacks becomes deletes.

    Compared is what the request's source has; `within` names fields and the first and last value that were read, so
    that nothing outside is taken for gone.  Raises DataError when nothing arrived for a store that is filled, and
    ConflictError while earlier requests of the store are not active, and for a request that is no full load.  Done
    once: a second call changes nothing.
    """
    with connection.transaction():
        lock_stores(connection, [store.name])
        found = request(connection, request_.id, lock=True)
        if found.mode not in COMPARED:
            raise ConflictError(f"request {found.id} is a {found.mode}; only a full load tells what is gone")
        if found.control.get("compared") or found.state not in ("LOADED", "CHECKED"):
            return found
        after_you(connection, found, WAITING, "compared with active data")
        return _cut(connection, store, found, within or {})


def must_compare(connection: Connection, store: Store, request_: Request) -> bool:
    """Tell whether a full load still has to be compared with what is active."""
    return (
        request_.mode in COMPARED
        and not request_.control.get("compared")
        and _holds_live(connection, store, request_.source)
    )


def effective(connection: Connection, store: Store, request_: Request, *, held: bool) -> int:
    """Put the record that counts of each key into the TEMP table `effective` and return how many; `held` ones too."""
    run = statements("inbound")
    rest = [name for name in fields(store) if name not in store.key]
    parts = {
        "inbound": inbound(store),
        "key": listed(key(store)),
        "fields": more(rest),
        "unless_held": "" if held else unless_held(request_),
    }
    run.run(connection, "drop effective", {})
    count = run.count(connection, "effective", parts, request=request_.id)
    joined = dict.fromkeys([*key(store), *(item.by for item in store.posted)])
    analyze(connection, "effective", count, listed(joined))
    return count


def unless_held(request_: Request, of: str = "i") -> str:
    """Return the condition that leaves out held records, where the request has any."""
    return statements("inbound").texts["unless held"].format(of=of) if request_.excluded else ""


def request_frame(
    connection: Connection, store: Store, request_: Request, limit: int = 1_000_000
) -> Iterator[pa.RecordBatch]:
    """Yield the records of a request for the gate, in batches of at most `limit` rows; held ones are left out.

    Columns: package_no, record_no, record_mode, sequence, source, and the store's fields in their Arrow types.
    """
    wanted = dict(zip(fields(store), (arrow_type(item.type) for item in store.fields), strict=True))
    own = {"package_no": pa.int64(), "record_no": pa.int64(), "record_mode": pa.string(), "sequence": pa.string()}
    types = {**own, "source": pa.string(), **wanted}
    shown = "".join(f", {_readable(name, kind)}" for name, kind in wanted.items())
    found = request(connection, request_.id)
    for package_no in _package_numbers(connection, store, found):
        parts = {
            "columns": shown,
            "inbound": inbound(store),
            "request": str(int(found.id)),
            "package": str(int(package_no)),
            "unless_held": unless_held(found),
        }
        text = statements("inbound").texts["frame"].format_map(parts)
        with connection.cursor() as cursor, cursor.copy(text.encode()) as copy:
            data = b"".join(bytes(piece) for piece in copy)
        if data:
            yield from _read_csv(data, types).combine_chunks().to_batches(max_chunksize=limit)


def copy_in(connection: Connection, table: str, rows: pa.RecordBatch) -> None:
    """Copy a batch into the columns of a table that bear its columns' names, in binary."""
    # The encoder matches columns by order; plain names keep any character out of its way.
    plain = rows.rename_columns([f"c{number}" for number in range(rows.num_columns)])
    encoder = pgpq.ArrowToPostgresBinaryEncoder(plain.schema)
    text = f"COPY {table} ({listed(rows.schema.names)}) FROM STDIN (FORMAT binary)"
    with connection.cursor() as cursor, cursor.copy(text.encode()) as copy:
        copy.write(encoder.write_header())
        for start in range(0, plain.num_rows, COPY_ROWS):
            copy.write(encoder.write_batch(plain.slice(start, COPY_ROWS)))
        copy.write(encoder.finish())


def _rows(store: Store, request_: Request, package_no: int, batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return a package as the inbound table has it; raises DataError with everything that is wrong at once."""
    size = batch.num_rows
    columns: dict[str, pa.Array] = {
        "request_id": pa.repeat(pa.scalar(request_.id, pa.int64()), size),
        "package_no": pa.repeat(pa.scalar(package_no, pa.int32()), size),
        "record_no": pa.array(np.arange(size)),
        "record_mode": _own(batch, "record_mode").fill_null(AFTER),
        "sequence": _own(batch, "sequence"),
        "source": pa.repeat(pa.scalar(request_.source, pa.string()), size),
    }
    wrong = [*_unknown_modes(columns["record_mode"]), *_unknown_columns(store, batch)]
    for item in store.fields:
        if item.name not in batch.schema.names:
            wrong.append(f"{item.name} is missing")
            continue
        try:
            columns[item.name] = batch.column(item.name).cast(arrow_type(item.type))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            kind = batch.schema.field(item.name).type
            wrong.append(f"{item.name} of type {kind} has values that {item.type} cannot hold")
            continue
        empty = columns[item.name].null_count
        if item.name in store.key and empty:
            wrong.append(f"{empty} records have no {item.name}, which is part of the key")
    if wrong:
        said = "; ".join(wrong)
        raise DataError(f"store {store.name}, request {request_.id}, package {package_no}: {said}. Nothing was written")
    return pa.record_batch(list(columns.values()), list(columns))


def _own(batch: pa.RecordBatch, name: str) -> pa.Array:
    if name in batch.schema.names:
        return batch.column(name).cast(pa.string())
    return pa.nulls(batch.num_rows, pa.string())


def _unknown_modes(modes: pa.Array) -> Iterator[str]:
    for mode in pc.unique(modes).to_pylist():
        if mode in TAKEN:
            continue
        why = {
            "X": "a before image is made by the activation, its source sends after images",
            "A": "an additive image cannot be mixed with records that replace each other",
            "Y": "an update image says nothing that a store could keep",
        }.get(mode, "it is no record mode")
        yield f"record mode {mode!r} is refused: {why}; expected '' (after), N (new), D (delete) or R (reverse)"


def _unknown_columns(store: Store, batch: pa.RecordBatch) -> Iterator[str]:
    known = fields(store)
    for name in batch.schema.names:
        if name not in known and name not in ("record_mode", "sequence"):
            yield f"there is no field {name!r}.{did_you_mean(name, known)}"


def _digest(rows: pa.RecordBatch) -> str:
    return hashlib.sha256(memoryview(rows.drop_columns(["request_id"]).serialize())).hexdigest()


def _compare(
    connection: Connection,
    request_: Request,
    said: Mapping[str, int | Decimal],
    totals: Mapping[str, int | Decimal],
) -> None:
    """Raise DataError where the source counted otherwise; records that could not be read are in no sum."""
    unread = statements("inbound").rows(connection, "unread", {}, request=request_.id)[0][0]
    wrong = []
    for name, value in said.items():
        mine = totals.get(name)
        mine = mine + unread if name == "records" and mine is not None else mine
        if mine != value and (name == "records" or not unread):
            wrong.append(f"{name}: the source has {value}, loaded were {mine}")
    if wrong:
        raise DataError(
            f"request {request_.id} of store {request_.store} is not what {request_.source} counted: "
            f"{'; '.join(wrong)}. It stays OPEN; read it anew"
        )


def _cut(connection: Connection, store: Store, request_: Request, within: Window) -> Request:
    run = statements("inbound")
    arrived = effective(connection, store, request_, held=True)
    if not arrived and _holds_live(connection, store, request_.source):
        raise DataError(
            f"request {request_.id}: a full load of store {store.name} from {request_.source} brought nothing, but the "
            "store is filled; an empty load never empties a store. Look at the source, then delete the request"
        )
    rest = [name for name in fields(store) if name not in store.key]
    parts = {
        "inbound": inbound(store),
        "active": active(store),
        "same": same(key(store), "a", "e"),
        "differ": differ(rest, "e", "a"),
        "key": listed(key(store)),
        "a_key": listed(key(store), "a"),
        "key_text": key_text(store, "a"),
        "within": "".join(
            f" AND {column(name, 'a')} BETWEEN %(low_{number})s AND %(high_{number})s"
            for number, name in enumerate(within)
        ),
    }
    bounds: dict[str, Any] = {}
    for number, (low, high) in enumerate(within.values()):
        bounds |= {f"low_{number}": low, f"high_{number}": high}
    kept = run.count(connection, "kept", parts)
    analyze(connection, "kept", kept)
    run.run(connection, "forget others", parts, request=request_.id)
    gone = run.count(connection, "gone", parts, request=request_.id, source=request_.source, store=store.name, **bounds)
    counts = {"compared": True, "arrived": arrived, "differing": kept, "gone": gone}
    return note(connection, request_.id, records=kept + gone, control=counts)


def _holds_live(connection: Connection, store: Store, source: str) -> bool:
    found = statements("inbound").rows(connection, "holds live", {"active": active(store)}, source=source)
    return bool(found[0][0])


def _package_numbers(connection: Connection, store: Store, request_: Request) -> list[int]:
    """Return the numbers of a request's packages; the deletes of a full load are one more."""
    numbers = list(packages(connection, request_.id))
    return [*numbers, max(numbers, default=0) + 1] if request_.control.get("gone") else numbers


def _readable(name: str, kind: pa.DataType) -> str:
    if pa.types.is_timestamp(kind):
        return f"""to_char({column(name)} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""
    return column(name)


def _read_csv(data: bytes, types: Mapping[str, pa.DataType]) -> pa.Table:
    return csv.read_csv(
        pa.BufferReader(data),
        read_options=csv.ReadOptions(column_names=list(types), block_size=max(len(data), 1 << 20)),
        parse_options=csv.ParseOptions(newlines_in_values=True),
        convert_options=csv.ConvertOptions(
            column_types=dict(types),
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            null_values=[""],
            true_values=["t"],
            false_values=["f"],
        ),
    )
