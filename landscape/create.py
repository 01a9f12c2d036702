"""Create a landscape: both systems' tables, filled side by side, then the defects and the manifest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from itertools import chain
from typing import Literal

import psycopg

from landscape import defects as catalogue
from landscape.columns import Columns
from landscape.draw import Draw
from landscape.fill import Filler, crm_customizing, crm_fillers, isu_customizing, isu_fillers
from landscape.live_day import KEPT
from landscape.load import fill
from landscape.manifest import Manifest, store
from landscape.plan import Plan
from landscape.schema import SystemName, tables
from landscape.world import World

Progress = Callable[[str, int], None]
TODAY = date(2026, 1, 1)
_HEAVY = ("DBERCHZ1", "DBERCHZ3", "ERDK", "EABL", "ERCHC", "EABLG", "ETTIFN", "ERCH", "EVER", "EVERH", "ETDZ",
          "EASTS", "EANLH", "ADRC", "EEINV", "EASTL", "EGERH", "EGERR")  # fmt: skip
_SETTINGS = "SET synchronous_commit = off; SET maintenance_work_mem = '256MB'; SET max_parallel_maintenance_workers = 1"


def create(
    isu_url: str,
    crm_url: str,
    *,
    contracts: int,
    seed: int,
    model: Literal["single", "dual"] = "single",
    devices: bool = True,
    defects: bool = True,
    readings: int = 2,
    business: bool = False,
    today: date = TODAY,
    chunk: int = 50_000,
    progress: Progress = lambda table, rows: None,
) -> Manifest:
    """Create IS-U and CRM anew in two databases and return what was planted.

    The same arguments give the same rows, whatever the chunk (contracts filled at once). `business` adds what the
    business leaves behind: bills line by line, readings with their reasons, facts, and what the front office does.
    `progress` is told each table and its rows when it is done, from two threads. Raises psycopg.Error when a database
    cannot be written.
    """
    plan = Plan(contracts, model == "dual")
    world = World(plan, Draw(seed), devices, readings, today)
    rows = _fill_all(isu_url, "isu", _isu(world, chunk, business), progress)
    _fill_all(crm_url, "crm", _crm(world, chunk, business), progress)
    with psycopg.connect(isu_url) as isu, psycopg.connect(crm_url) as crm:
        planted = catalogue.plant(world, isu, crm) if defects else ()
        manifest = Manifest(contracts, seed, model, devices, today.isoformat(), rows, planted)
        store(isu, manifest)
        isu.execute(f"DROP TABLE IF EXISTS {KEPT}")
    return manifest


def _isu(world: World, chunk: int, business: bool) -> Mapping[str, Iterator[Columns]]:
    return _contents(world, isu_customizing(), isu_fillers(world, business), chunk)


def _crm(world: World, chunk: int, business: bool) -> Mapping[str, Iterator[Columns]]:
    return _contents(world, crm_customizing(world), crm_fillers(world) if business else {}, chunk)


def _contents(
    world: World, customizing: Mapping[str, Columns], fillers: Mapping[str, Filler], chunk: int
) -> Mapping[str, Iterator[Columns]]:
    """Return what goes into each table: its customizing, then what its filler makes, piece by piece."""
    names = dict.fromkeys([*customizing, *fillers])
    first = {name: [customizing[name]] if name in customizing else [] for name in names}
    rest = {name: _parts(world, fillers[name], chunk) if name in fillers else iter(()) for name in names}
    return {name: chain(first[name], rest[name]) for name in names}


def _parts(world: World, filler: Filler, chunk: int) -> Iterator[Columns]:
    for piece in world.plan.chunks(chunk):
        yield from filler(world, piece)


def _fill_all(
    url: str, system: SystemName, contents: Mapping[str, Iterator[Columns]], progress: Progress
) -> dict[str, int]:
    """Fill every table of a system on two connections, the heaviest first."""

    def one(name: str) -> tuple[str, int]:
        with psycopg.connect(url) as connection:
            connection.execute(_SETTINGS)
            rows = fill(connection, tables(system)[name], contents.get(name, iter(())))
        progress(name, rows)
        return name, rows

    order = sorted(tables(system), key=lambda name: _HEAVY.index(name) if name in _HEAVY else len(_HEAVY))
    with ThreadPoolExecutor(2) as pool:
        return dict(pool.map(one, order))


def drop(isu_url: str, crm_url: str) -> None:
    """Drop the tables of both systems and the manifest."""
    urls: tuple[tuple[str, SystemName], ...] = ((isu_url, "isu"), (crm_url, "crm"))
    for url, system in urls:
        with psycopg.connect(url) as connection:
            names = ", ".join(name.lower() for name in (*tables(system), "landscape_manifest", KEPT))
            connection.execute(f"DROP TABLE IF EXISTS {names} CASCADE")
