"""Picking files up: one request a file, by its content; taken files move to `done`, broken ones to `refused`.

A file is complete when a marker stands beside it (`20260105.done`), which may hold the SHA-256 of what was sent; where
the connection says `settle_seconds`, also when it has rested that long.  It is read as a whole before a row of it is
written: never half of it is taken.  What was taken before is recognised by its content, whatever it is called.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isthmus.connector import Connector, Rejects, connect
from isthmus.errors import IsthmusError, SystemUnavailable
from isthmus.levels.extract import Extracted, Origin, extract_all
from isthmus.project import System
from warehouse import pointers
from warehouse.arrive import Arrival, take
from warehouse.depot import Depot
from warehouse.feed import Load, failing, finish, load_feed, opened_request, origin_of, turn
from warehouse.requests import load_key
from warehouse.shared import conform_of
from warehouse.spec import Store, StoreFeed
from warehouse.statement import statements

MARKER = ".done"
PASSED_OVER = (MARKER, ".part", ".partial", ".filepart", ".tmp", ".crdownload", ".swp")
DIGEST = re.compile(r"[0-9a-f]{64}")
REASONS = 20  # lines of a broken file that its reason names


class Broken(Exception):
    """A file that is refused as a whole; the text says why."""


@dataclass(frozen=True, slots=True)
class Found:
    """A complete file in the inbox: its table, and its marker where it has one."""

    path: Path
    table: str
    marker: Path | None = None

    @property
    def name(self) -> str:
        """Return how people call it: `calls/20260105.csv`."""
        return f"{self.table}/{self.path.name}"


@dataclass(frozen=True, slots=True)
class Folders:
    """Where files come from, and the folders beside it where they go."""

    inbox: Path
    done: Path
    refused: Path

    @classmethod
    def of(cls, depot: Depot, system: System) -> Folders:
        """Return the folders of a system: `done` and `refused` stand beside its inbox."""
        inbox = depot.project.folder / str(system.options["path"])
        return cls(inbox, inbox.parent / "done", inbox.parent / "refused")


def is_files(depot: Depot, store: Store, feed: StoreFeed) -> bool:
    """Say whether a feed's records come in files that are picked up: a folder that delivers only new records."""
    return feed.mode == "new" and depot.project.system(feed.system).connector == "files"


def pick_up(depot: Depot, store: Store, feed: StoreFeed) -> list[Load]:
    """Take every complete file of a store's inbox, oldest name first, and say what became of each."""
    system = depot.project.system(feed.system)
    folders, loads = Folders.of(depot, system), []
    table = _table(depot, store, feed)
    for found in complete(folders.inbox, table, float(str(system.options.get("settle_seconds", 0))), depot):
        _begin(depot, store, feed)
        with turn(depot, store, feed.system):
            if found.path.is_file():  # nobody else has taken it meanwhile
                loads.append(_take(depot, store, feed, folders, found))
    return loads


def waiting_files(depot: Depot, store: Store, feed: StoreFeed) -> int:
    """Count the files in a store's inbox, complete or not."""
    if not is_files(depot, store, feed):
        return 0
    folders = Folders.of(depot, depot.project.system(feed.system))
    return sum(1 for path in _candidates(folders.inbox, _table(depot, store, feed)))


def complete(inbox: Path, table: str, settle: float, depot: Depot) -> Iterator[Found]:
    """Yield the complete files of a table: those of its folder, and one of its name in the inbox itself."""
    for path in _candidates(inbox, table):
        markers = (path.with_suffix(MARKER), path.with_name(path.name + MARKER))
        marker = next((item for item in markers if item.is_file()), None)
        rested = depot.clock().timestamp() - path.stat().st_mtime
        if marker or (settle and rested >= settle):
            yield Found(path, table, marker)


def _candidates(inbox: Path, table: str) -> Iterator[Path]:
    for path in [*sorted((inbox / table).glob("*")), *sorted(inbox.glob(f"{table}.*"))]:
        if not path.is_symlink() and path.is_file() and path.name[0] != "." and path.suffix not in PASSED_OVER:
            yield path


def _table(depot: Depot, store: Store, feed: StoreFeed) -> str:
    specs = depot.project.catalogue.mappings[depot.project.system(feed.system).speaks, store.object]
    return specs[0].tables[0].table


def _begin(depot: Depot, store: Store, feed: StoreFeed) -> None:
    """Begin the feed with its first file: there is nothing that came before."""
    if pointers.pointer(depot.connection, store.name, feed.system) is None:
        load_feed(depot, store, feed, "INIT_NODATA")


def _take(depot: Depot, store: Store, feed: StoreFeed, folders: Folders, found: Found) -> Load:
    with tempfile.TemporaryDirectory(prefix="isthmus-") as folder:
        copy = Path(folder) / found.table / found.path.name
        copy.parent.mkdir()
        shutil.copyfile(found.path, copy)  # what is read is what the digest is of, whatever happens to the file
        digest = hashlib.sha256(copy.read_bytes()).hexdigest()
        taken = statements("pickup").rows(depot.connection, "taken", {}, store=store.name, digest=digest)
        if taken:
            _move(found, folders.done, digest)
            said = f"{found.name} holds what request {taken[0][0]} has loaded"
            return Load(store.name, feed.system, "DELTA", None, said)
        try:
            _refuse_cut(found, digest)
            with closing(_opened(depot, feed, Path(folder), found)) as connector:
                load = _load(depot, store, feed, found, digest, connector)
        except Broken as broken:
            _refuse(depot, store, folders, found, digest, str(broken))
            return Load(store.name, feed.system, "DELTA", None, f"{found.name} is refused: {broken}")
    _move(found, folders.done, digest)
    return load


def _load(depot: Depot, store: Store, feed: StoreFeed, found: Found, digest: str, connector: Connector) -> Load:
    """Read a whole file, then write its request and that it was taken, all or nothing."""
    with origin_of(depot, store, feed, connector) as origin:
        packages = _read(origin, connector)
        known = pointers.pointer(depot.connection, store.name, feed.system)
        key = load_key(store.name, feed.system, "DELTA", None, digest)
        opened = opened_request(depot, store, feed.system, "DELTA", known.confirmed if known else None, key)
        arrival = Arrival(depot, store, feed, origin, opened, conform_of(depot, store, feed.system))
        cursor = json.dumps({"version": 1, "kind": "file", "name": found.name, "digest": digest})
        with failing(depot, opened):
            take(arrival, packages, remembering=False)
            with depot.connection.transaction():
                done = finish(arrival, cursor)
                _note(depot, store, found, digest, "loaded", request=opened.id)
    return Load(store.name, feed.system, "DELTA", done, found.name)


def _read(origin: Origin, connector: Connector) -> list[Extracted]:
    """Read everything; raises Broken where the file is not what the mapping reads, or a line of it is damaged."""
    try:
        packages = list(extract_all(origin))
    except SystemUnavailable:
        raise
    except IsthmusError as wrong:
        raise Broken(str(wrong)) from wrong
    if isinstance(connector, Rejects):
        faults = connector.rejected().to_pylist()
        said = [f"line {fault['line']}: {fault['message']}" for fault in faults[:REASONS]]
        if faults:
            raise Broken("; ".join([*said, *([f"and {len(faults) - REASONS} lines more"] * (len(faults) > REASONS))]))
    return packages


def _opened(depot: Depot, feed: StoreFeed, folder: Path, found: Found) -> Connector:
    system = depot.project.system(feed.system)
    settings: dict[str, Any] = {**system.options, "path": str(folder), "pattern": found.name}
    settings.pop("settle_seconds", None)
    return connect(system.connector, settings)


def _refuse_cut(found: Found, digest: str) -> None:
    if not found.path.stat().st_size:
        raise Broken("the file is empty")
    said = found.marker.read_text(encoding="utf-8", errors="replace").split()[:1] if found.marker else []
    if said and DIGEST.fullmatch(said[0].lower()) and said[0].lower() != digest:
        raise Broken("its content is not what was sent: the SHA-256 differs from the marker's, it was cut on its way")


def _refuse(depot: Depot, store: Store, folders: Folders, found: Found, digest: str, because: str) -> None:
    _note(depot, store, found, digest, "refused", because)
    moved = _move(found, folders.refused, digest)
    reason = f"{found.name} was refused at {depot.clock():%Y-%m-%d %H:%M:%S} UTC: {because}\n"
    again = "Nothing of it was taken. Mend the cause, then put the file with its marker into the inbox again.\n"
    moved.with_name(f"{moved.name}.reason.txt").write_text(reason + again, encoding="utf-8")


def _note(
    depot: Depot,
    store: Store,
    found: Found,
    digest: str,
    state: str,
    because: str = "",
    request: int | None = None,
) -> None:
    said = {"store": store.name, "digest": digest, "state": state, "because": because, "request": request}
    run = statements("pickup")
    run.run(depot.connection, "note", {}, now=depot.clock(), file=found.name, **said)


def _move(found: Found, folder: Path, digest: str) -> Path:
    """Move a file and its marker; one of the same name that lies there already is kept."""
    place = folder / found.table
    place.mkdir(parents=True, exist_ok=True)
    target = place / found.path.name
    if target.exists():
        target = target.with_name(f"{target.stem}.{digest[:8]}{target.suffix}")
    found.path.replace(target)
    if found.marker:
        found.marker.replace(target.with_suffix(MARKER))
    return target
