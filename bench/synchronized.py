"""Landscapes whose contracts are kept in step, of any size, and what people change in them between two runs.

A landscape of at most 100,000 contracts is loaded by the engine, a larger one is a multiple of it.  Both systems
record change pointers, so that a feed costs what was changed; a contract's text that is changed on both sides waits
for a person, so that conflicts are held and not only decided.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from bench import landscapes, measure, multiplied, server
from isthmus.ledger import migrate
from landscape.codes import CLIENT, RATES
from landscape.create import create

SCENARIO = "single_with_devices"
OBJECTS = (
    "business_partner", "contract_account", "connection_object", "premise", "point_of_delivery", "installation",
    "product", "contract",
)  # fmt: skip
LOADED = 100_000  # contracts that the engine loads; more are multiplied
CONFLICTING = 0.01
PARTS = ("isu", "crm", "ledger")
AGENT = "AGENT07"


@dataclass(frozen=True, slots=True)
class Changed:
    """The contracts that were changed, by what happened to them."""

    back_text: Sequence[str]
    back_end: Sequence[str]
    front_text: Sequence[str]
    front_end: Sequence[str]
    front_product: Sequence[str]
    both_text: Sequence[str]


def databases(contracts: int) -> dict[str, str]:
    """Return the databases of a size, made when they are not there."""
    names = {part: f"bench_sync_{part}_{contracts}" for part in PARTS}
    if not all(server.exists(name) for name in names.values()):
        loaded = min(contracts, LOADED)
        if contracts % loaded:
            raise ValueError(f"{contracts:,} contracts are no multiple of {loaded:,}")
        for part, template in _base(loaded).items():
            server.clone(template, names[part])
        if contracts > loaded:
            multiplied.multiply(names, contracts // loaded)
    migrate(server.url(names["ledger"]))  # it may be of an earlier day, and so may what is recorded
    _watch(names)
    return names


def _base(contracts: int) -> dict[str, str]:
    """Load a landscape without defects into an empty CRM once; return the databases."""
    names = {part: f"bench_sync_base_{part}_{contracts}" for part in PARTS}
    if all(server.exists(name) for name in names.values()):
        return names
    for name in names.values():
        server.create(name)
    create(
        server.url(names["isu"]), server.url(names["crm"]), contracts=contracts, seed=1, model="single", devices=True,
        defects=False,
    )  # fmt: skip
    landscapes.empty_out(names["crm"])
    migrate(server.url(names["ledger"]))
    said = {"objects": list(OBJECTS), "gate": "off"}
    unfed = environment(names) | {"ISTHMUS_HOME": str(server.ROOT)}
    measure.command(server.start(), [sys.executable, "-m", "bench.isthmus_run", json.dumps(said)], unfed)
    for name in names.values():
        landscapes.settle(name)
    return names


def environment(names: dict[str, str]) -> dict[str, str]:
    """Return the variables of the engine on these databases."""
    systems = {part: names[part] for part in ("isu", "crm")}
    found = landscapes.environment(systems, names["ledger"])
    return found | {"ISTHMUS_HOME": str(project()), "ISTHMUS_SCENARIO": SCENARIO}


def project() -> Path:
    """Make the project that is measured: both systems feed by pointer, and texts changed on both sides are held."""
    folder = server.PLACE.home / "project"
    shutil.rmtree(folder / "mappings", ignore_errors=True)
    shutil.copytree(server.ROOT / "mappings", folder / "mappings")
    for name in ("quality", "tests"):
        if not (folder / name).exists():
            (folder / name).symlink_to(server.ROOT / name)
    said = (server.ROOT / "isthmus.yaml").read_text(encoding="utf-8")
    said = re.sub(r"(speaks: (?:isu|crm), )", r"\1feed: pointer, ", said)
    (folder / "isthmus.yaml").write_text(said, encoding="utf-8")
    path = folder / "mappings" / "scenarios" / f"{SCENARIO}.yaml"
    text = path.read_text(encoding="utf-8")
    held = r"\1, on_conflict: {text: hold}}"
    path.write_text(re.sub(r"(object: contract, .*level: synchronize)\}", held, text), encoding="utf-8")
    return folder


def _watch(names: dict[str, str]) -> None:
    """Let both systems record what is touched, and begin their feeds."""
    from isthmus.levels import feed
    from isthmus.levels.download import open_desk
    from isthmus.levels.route import flow_name

    with using(names), open_desk(name="bench") as desk:
        flow = desk.flow("contract")
        for side in ("source", "target"):
            watched = feed.side_feed(desk, flow, side).watched
            connector = desk.project.connector(flow.source if side == "source" else flow.target)
            connector.install_feed(watched)  # type: ignore[attr-defined]
            cursor = feed.begin_side(desk, flow, side, connector=connector)
            desk.ledger.feeds.advance(flow_name(flow), flow.source if side == "source" else flow.target, cursor, "")
            connector.close()


@contextmanager
def using(names: dict[str, str]) -> Iterator[None]:
    """Let this process be the engine on these databases."""
    import os

    before = dict(os.environ)
    os.environ.update(environment(names))
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


# --- what people do -----------------------------------------------------------------------------------------------


def change(names: dict[str, str], contracts: int, changes: int, word: str) -> Changed:
    """Change contracts on both sides: half here, half there, one in a hundred differently on both."""
    both = max(1, int(changes * CONFLICTING))
    here = (changes - both) // 2
    there = changes - both - here
    with psycopg.connect(server.url(names["isu"])) as isu, psycopg.connect(server.url(names["crm"])) as crm:
        for connection in (isu, crm):  # few rows of large tables: by index, whatever statistics say
            connection.execute("SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_seqscan = off")
        keys = iter(_picked(isu, contracts, changes, word))

        def take(count: int) -> list[str]:
            return [next(keys) for _ in range(count)]

        third = there // 3
        made = Changed(
            back_text=take(here - here // 2), back_end=take(here // 2), front_text=take(there - 2 * third),
            front_end=take(third), front_product=take(third), both_text=take(both),
        )  # fmt: skip
        _in_back_office(isu, made, word)
        _in_front_office(crm, made, word)
    return made


def change_texts(names: dict[str, str], contracts: int, count: int, word: str) -> None:
    """Give some contracts of IS-U another text, in one transaction."""
    with psycopg.connect(server.url(names["isu"])) as isu:
        _isu(isu, _picked(isu, contracts, count, word), f"vbez = left('Back {word} ' || right(v.a, 6), 35)")


def touch(names: dict[str, str], contracts: int, count: int, word: str) -> list[str]:
    """Let people save some contracts of IS-U as they were."""
    with psycopg.connect(server.url(names["isu"])) as isu:
        keys = _picked(isu, contracts, count, word)
        _isu(isu, keys, "vbez = t.vbez")
    return keys


def _picked(isu: psycopg.Connection[Any], contracts: int, count: int, word: str) -> list[str]:
    """Return contracts without an end from all over the table, other ones for another word."""
    share = min(100.0, 400.0 * count / contracts)
    statement = (
        f"SELECT vertrag FROM ever TABLESAMPLE BERNOULLI ({share}) WHERE mandt = '{CLIENT}' AND auszdat = '99991231'"
        " AND loevm IN ('', ' ') ORDER BY md5(vertrag || %s) LIMIT %s"
    )
    keys = [row[0] for row in isu.execute(statement.encode(), [word, count])]
    if len(keys) < count:
        raise ValueError(f"only {len(keys):,} of {count:,} contracts without an end are there")
    return keys


def _isu(isu: psycopg.Connection[Any], keys: Sequence[str], said: str) -> None:
    isu.execute(
        f"UPDATE ever t SET {said}, aedat = to_char(now(), 'YYYYMMDD'), aenam = '{AGENT}' FROM unnest(%s::text[]) v(a)"
        f" WHERE t.mandt = '{CLIENT}' AND t.vertrag = v.a".encode(),
        [list(keys)],
    )


def _in_back_office(isu: psycopg.Connection[Any], made: Changed, word: str) -> None:
    _isu(isu, [*made.back_text, *made.both_text], f"vbez = left('Back {word} ' || right(v.a, 6), 35)")
    _isu(isu, made.back_end, "auszdat = '20291231'")


def _in_front_office(crm: psycopg.Connection[Any], made: Changed, word: str) -> None:
    util = f"x.client = '{CLIENT}' AND x.a4isucontr = v.a AND x.a4quotation = ''"
    item = f"t.client = '{CLIENT}' AND t.guid = (SELECT x.guid FROM crmd_isuexta4 x WHERE {util})"
    header = (
        f"t.client = '{CLIENT}' AND t.guid = (SELECT i.header FROM crmd_orderadm_i i JOIN crmd_isuexta4 x"
        f" ON x.client = i.client AND x.guid = i.guid WHERE {util})"
    )
    rates = "'{" + ",".join(RATES) + "}'::text[]"
    at = f"array_position({rates}, t.ordered_prod::text)"
    other = f"coalesce(({rates})[({at} - 1) / 3 * 3 + mod({at}, 3) + 1], '{RATES[0]}')"
    stamp = f"changed_at = to_char(now(), 'YYYYMMDDHH24MISS')::numeric, changed_by = '{AGENT}'"
    text = f"description = left('Front {word} ' || right(v.a, 6), 35)"
    sold = f"FROM comm_product p WHERE p.client = t.client AND p.product_id = {other} LIMIT 1"
    product = f"(SELECT p.product_guid {sold})"
    for table, tie, keys, said in (
        ("crmd_orderadm_h", header, [*made.front_text, *made.both_text], f"{text}, {stamp}"),
        ("crmd_isuexta4", util.replace("x.", "t."), made.front_end, "a4contend = '20281231'"),
        ("crmd_orderadm_i", item, made.front_end, stamp),
        ("crmd_orderadm_i", item, made.front_product, f"product = {product}, ordered_prod = {other}, {stamp}"),
    ):
        crm.execute(f"UPDATE {table} t SET {said} FROM unnest(%s::text[]) v(a) WHERE {tie}".encode(), [list(keys)])
