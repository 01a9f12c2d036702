"""In which order stores are brought up to date: after those they look attributes up in, and those their query reads."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from warehouse.spec import OWN, Store, Warehouse

READ = re.compile(r"\bwarehouse\.(?:inbound|active|changes|history)_(\w+)")


def in_order(warehouse: Warehouse, folder: Path, chosen: Iterable[str] = ()) -> list[Store]:
    """Return the stores, each after those it depends on; `chosen` narrows them.

    Stores that depend on each other stand in the order of their names.
    """
    wanted = set(chosen) or set(warehouse.stores)
    depends = {store.name: depends_on(store, warehouse, folder) for store in warehouse.stores.values()}
    done: dict[str, None] = {}

    def visit(name: str, above: frozenset[str]) -> None:
        for parent in depends[name]:
            if parent not in done and parent not in above:
                visit(parent, above | {name})
        done[name] = None

    for name in sorted(warehouse.stores):
        visit(name, frozenset())
    return [warehouse.stores[name] for name in done if name in wanted]


def depends_on(store: Store, warehouse: Warehouse, folder: Path) -> list[str]:
    """Return the stores that have to be up to date before a store."""
    looked_up = [
        warehouse.dimensions[item.dimension].store for item in store.posted if item.dimension in warehouse.dimensions
    ]
    found = dict.fromkeys([*looked_up, *reads_of(store, folder)])
    return sorted(name for name in found if name in warehouse.stores and name != store.name)


def reads_of(store: Store, folder: Path) -> list[str]:
    """Return the stores that a store's query reads."""
    names: dict[str, None] = {}
    for feed in store.feeds:
        file = folder / OWN / "stores" / feed.query if feed.query else None
        if file is not None and file.is_file():
            names |= dict.fromkeys(READ.findall(file.read_text(encoding="utf-8")))
    return list(names)


def is_derived(store: Store) -> bool:
    """Say whether a store's records are made of other stores."""
    return any(feed.system == OWN for feed in store.feeds)


def of_system(stores: Mapping[str, Store], system: str) -> list[str]:
    """Return the names of the stores that a system feeds."""
    return [store.name for store in stores.values() if store.feed(system)]
