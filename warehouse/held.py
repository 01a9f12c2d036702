"""Records that leave their load, for a reason, and wait with their key's followers until somebody puts them right."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import pyarrow as pa

from isthmus.errors import ConflictError, DataError, did_you_mean
from warehouse.columns import arrow_type, column, fields, key_text, more
from warehouse.inbound import copy_in, loaded
from warehouse.locks import lock_stores
from warehouse.requests import Request, advance, after_you, load_key, note, open_request, request
from warehouse.spec import Store, StoreField
from warehouse.statement import Connection, statements
from warehouse.tables import inbound

FINDINGS = ("package_no", "record_no", "field", "code", "message")
UNREAD = pa.schema([(name, pa.string()) for name in ("key", "field", "code", "message")])


@dataclass(frozen=True, slots=True)
class Held:
    """A key with open entries: since when, of which kinds and requests, and the reasons of those that were refused."""

    source: str
    key: str
    since: datetime
    kinds: tuple[str, ...]
    requests: tuple[int, ...]
    reasons: tuple[str, ...]


def hold(connection: Connection, store: Store, request_: Request, findings: pa.Table, now: datetime) -> int:
    """Take records out of a request that is LOADED and return how many are out; the same findings again change nothing.

    `findings` has package_no, record_no, field, code and message, a row a reason; no message holds a value.
    """
    with connection.transaction():
        found = request(connection, request_.id, lock=True)
        if found.state != "LOADED":
            raise ConflictError(f"request {found.id} is {found.state}; records are held while it is LOADED")
        _stage(connection, findings.select(FINDINGS))
        parts = {"inbound": inbound(store), "key_text": key_text(store, "i")}
        statements("held").run(connection, "refuse", parts, request=found.id, store=store.name, now=now)
        return note(connection, found.id).excluded


def hold_unread(
    connection: Connection, store: Store, request_: Request, package_no: int, rejects: pa.Table, now: datetime
) -> None:
    """Note the keys of a package that the mapping could not read; a package that is read again notes them anew.

    `rejects` follows `UNREAD`, its key as `columns.key_text` writes it.  Raises ConflictError once the
    request is loaded.
    """
    with connection.transaction():
        found = request(connection, request_.id, lock=True)
        if found.state != "OPEN":
            raise ConflictError(f"request {found.id} is {found.state}; what cannot be read is noted while it is OPEN")
        run = statements("held")
        run.run(connection, "forget unread", {}, request=found.id, package=package_no)
        _stage(connection, rejects.select(UNREAD.names))
        run.run(
            connection,
            "unread",
            {},
            request=found.id,
            package=package_no,
            store=store.name,
            source=found.source,
            now=now,
        )


def checked(connection: Connection, store: Store, request_: Request, now: datetime) -> Request:
    """Let a request go on to its activation, less what is held and what follows it; it may be CHECKED already.

    Raises ConflictError while earlier requests of the store are not checked: their keys' followers are not known yet.
    """
    with connection.transaction():
        lock_stores(connection, [store.name])
        found = request(connection, request_.id, lock=True)
        if found.state != "LOADED":
            return found
        after_you(connection, found, ("OPEN", "LOADED"), "checked")
        hold_followers(connection, store, found, now)
        return advance(connection, found, "CHECKED", now)


def hold_followers(connection: Connection, store: Store, request_: Request, now: datetime) -> int:
    """Hold what a request has for keys that are held already, and return how many records are out now."""
    run = statements("held")
    named = {"store": store.name, "source": request_.source}
    with connection.transaction():
        if run.rows(connection, "is any open", {}, **named)[0][0]:
            parts = {"inbound": inbound(store), "key_text": key_text(store, "i")}
            run.run(connection, "follow", parts, request=request_.id, now=now, **named)
        return note(connection, request_.id).excluded


def open_entries(connection: Connection, store: Store, keys: Sequence[str] | None = None) -> list[Held]:
    """Return what is held of a store: every key, or some."""
    wanted = None if keys is None else list(keys)
    found = statements("held").rows(connection, "open entries", {}, store=store.name, keys=wanted)
    return [Held(s, k, since, tuple(kinds), tuple(ids), tuple(why or ())) for s, k, since, kinds, ids, why in found]


def correct(
    connection: Connection,
    store: Store,
    key: str,
    overlay: Mapping[str, str | None],
    *,
    by: str,
    why: str,
    now: datetime,
    as_of: date,
    source: str | None = None,
    run: str = "",
) -> Request:
    """Put a held key right: its newest record with some fields replaced becomes a CORRECTION request, LOADED.

    `overlay` is text by field, None empties it; by whom and why is kept with the entries, which end as corrected.
    Raises DataError when nothing of the key is held, no record of it arrived, or a value does not fit; ConflictError
    while the feed is being loaded, because what arrives there may be newer.
    """
    typed = _typed(store, overlay)
    with connection.transaction():
        lock_stores(connection, [store.name])
        held = _one(open_entries(connection, store, [key]), store, key, source)
        _not_loading(connection, store, held.source)
        said = json.dumps([key, dict(overlay), held.requests], sort_keys=True)
        delivery = load_key(store.name, held.source, "CORRECTION", None, said)
        made = open_request(connection, store, held.source, "CORRECTION", delivery, as_of=as_of, now=now, run=run)
        _copy_newest(connection, store, made, key, typed)
        _end(connection, store, made.source, made.id, [key], "corrected", by, why, now)
        return loaded(connection, store, made, now=now)


def supersede(
    connection: Connection,
    store: Store,
    request_: Request,
    keys: Sequence[str],
    *,
    by: str,
    why: str,
    now: datetime,
) -> int:
    """End the open entries of keys that a request has read from the source again; returns how many entries ended.

    Call it before the request is checked: until then its records would follow what is held.
    """
    with connection.transaction():
        lock_stores(connection, [store.name])
        return _end(connection, store, request_.source, request_.id, keys, "superseded", by, why, now)


def dismiss(
    connection: Connection, store: Store, key: str, *, by: str, why: str, now: datetime, source: str | None = None
) -> int:
    """End the waiting of a key for which nothing will come: its line was wrong, and another one took its place.

    Nothing of it enters the store; who said so and why stays with the entries, which end as superseded.  Returns how
    many ended.  Raises ConflictError where later records of the key wait, because they would be lost with it.
    """
    with connection.transaction():
        lock_stores(connection, [store.name])
        held = _one(open_entries(connection, store, [key]), store, key, source)
        if "follows" in held.kinds:
            raise ConflictError(
                f"later records of {key!r} wait in store {store.name} and would be lost; `isthmus warehouse correct` "
                "or `resubmit` lets them go on"
            )
        return _end(connection, store, held.source, None, [key], "superseded", by, why, now)


def _stage(connection: Connection, rows: pa.Table) -> None:
    run = statements("held")
    run.run(connection, "drop stage", {})
    run.run(connection, "stage", {})
    types = {"package_no": pa.int32(), "record_no": pa.int64()}
    plain = pa.table({name: rows[name].cast(types.get(name, pa.string())) for name in rows.column_names})
    for name in ("field", "code", "message"):
        position = plain.column_names.index(name)
        plain = plain.set_column(position, name, plain[name].fill_null(""))
    for batch in plain.combine_chunks().to_batches():
        copy_in(connection, "pg_temp.findings", batch)


def _one(found: Sequence[Held], store: Store, key: str, source: str | None) -> Held:
    wanted = [held for held in found if source in (None, held.source)]
    if not wanted:
        raise DataError(f"nothing of {key!r} is held in store {store.name}; `isthmus warehouse held` lists what is")
    if len(wanted) > 1:
        named = ", ".join(held.source for held in wanted)
        raise DataError(f"{key!r} is held in store {store.name} from several sources: {named}; say which one")
    return wanted[0]


def _not_loading(connection: Connection, store: Store, source: str) -> None:
    loading = statements("held").rows(connection, "is loading", {}, store=store.name, source=source)
    if loading:
        raise ConflictError(
            f"request {loading[0][0]} is just being loaded from {source} and may bring newer records of store "
            f"{store.name}; try again when it is loaded, or delete it"
        )


def _copy_newest(connection: Connection, store: Store, made: Request, key: str, typed: Mapping[str, object]) -> None:
    names = fields(store)
    newest = "".join(f", %(new_{name})s" if name in typed else f", {column(name, 'i')}" for name in names)
    parts = {
        "inbound": inbound(store),
        "fields": more(names),
        "newest": newest,
        "key_text": key_text(store, "i"),
    }
    values = {f"new_{name}": value for name, value in typed.items()}
    known = {"request": made.id, "source": made.source, "store": store.name, "key": key}
    copied = statements("held").count(connection, "newest", parts, **known, **values)
    if not copied:
        raise DataError(
            f"no record of {key!r} arrived in store {store.name}, it could not be read at all; mend it in "
            f"{made.source} or its mapping, then run `isthmus warehouse resubmit`. Of a file, bring the mended line, "
            "then `dismiss` this key if the line bears another one"
        )
    statements("requests").run(
        connection, "note package", {}, request=made.id, package=1, records=1, digest="correction"
    )


def _end(
    connection: Connection,
    store: Store,
    source: str,
    by_request: int | None,
    keys: Sequence[str],
    state: str,
    by: str,
    why: str,
    now: datetime,
) -> int:
    return statements("held").count(
        connection,
        "end",
        {},
        store=store.name,
        source=source,
        keys=list(keys),
        state=state,
        by=by,
        why=why,
        now=now,
        ended_by=by_request,
    )


def _typed(store: Store, overlay: Mapping[str, str | None]) -> dict[str, object]:
    """Return the values of a correction in their types; raises DataError with everything that is wrong at once."""
    wrong, typed = [], {}
    for name, text in overlay.items():
        item = store.field(name)
        if item is None:
            wrong.append(f"there is no field {name!r}.{did_you_mean(name, fields(store))}")
        elif name in store.key:
            wrong.append(f"{name} is part of the key and cannot be corrected")
        else:
            try:
                typed[name] = _value(item, text)
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
                wrong.append(f"what {name} shall be does not fit into {item.type}")
    if wrong or not overlay:
        raise DataError(f"store {store.name} cannot be corrected so: {'; '.join(wrong) or 'no field is said'}")
    return typed


def _value(item: StoreField, text: str | None) -> object:
    words = {"yes": "true", "no": "false"}
    said = words.get(text, text) if text is not None and item.type.kind == "boolean" else text
    return pa.array([said], pa.string()).cast(arrow_type(item.type))[0].as_py()
