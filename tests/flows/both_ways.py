"""Houses whose partners, accounts and contracts are kept in step both ways, and what a test does to them."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from isthmus.levels.synchronize import sync_flow
from tests.flows.house import ROOT, SCENARIO, House

KEPT = ("business_partner", "contract_account", "contract")
PARTNERS = ("business_partner",)


def both_ways(house: House, objects: tuple[str, ...] = KEPT) -> House:
    """Give a house a scenario of its own that synchronizes some objects."""
    mappings = house.folder / "mappings"
    if mappings.is_symlink():
        mappings.unlink()
        shutil.copytree(ROOT / "mappings", mappings)
    synchronize(mappings, objects)
    return house


def a_day_in_step(house: House) -> None:
    """Load a house whose partners, accounts and contracts are kept in step, and keep them so a day later."""
    both_ways(house).load()
    house.clock.forward(days=1)
    sync(house)


def partners_in_step(house: House) -> None:
    """Load the partners of a house, which are kept in step, a day ago."""
    both_ways(house, PARTNERS).load(PARTNERS, run="first")
    house.clock.forward(days=1)


def sync(house: House, *objects: str) -> dict[str, int]:
    """Bring flows in step; return the counts that are not zero, added up."""
    found: dict[str, int] = {}
    with house.desk() as desk:
        for name in objects or KEPT:
            for what, count in sync_flow(desk, desk.flow(name)).items():
                found[what] = found.get(what, 0) + count
    return {what: count for what, count in found.items() if count}


def synchronize(mappings: Path, objects: tuple[str, ...] = KEPT) -> None:
    """Let the scenario of a folder of mappings synchronize some objects."""
    file = mappings / "scenarios" / f"{SCENARIO}.yaml"
    text = file.read_text(encoding="utf-8")
    for name in objects:
        text = re.sub(rf"(object: {name},.*?level: )\w+(, guard: repair)?", r"\1synchronize", text)
    file.write_text(text, encoding="utf-8")


def persons(house: House, many: int) -> list[str]:
    """Return the numbers of some persons, as both systems spell them."""
    return [row[0] for row in house.ask("isu", "SELECT partner FROM but000 WHERE type = '1' ORDER BY 1 LIMIT %s", many)]


def marry(house: House, partner: str, ours: str = "", theirs: str = "") -> None:
    """Give a partner another last name in IS-U, in CRM, or another one in each."""
    today = f"{house.clock():%Y%m%d}"
    for system, name in (("isu", ours), ("crm", theirs)):
        if name:
            house.tell(
                system,
                "UPDATE but000 SET name_last = %s, chdat = %s, chusr = 'AGENT' WHERE partner = %s",
                name,
                today,
                partner,
            )
