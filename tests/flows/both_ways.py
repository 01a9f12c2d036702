"""Houses whose partners, accounts and contracts are kept in step both ways, and what a test does to them."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from tests.flows.house import ROOT, SCENARIO, House

KEPT = ("business_partner", "contract_account", "contract")


def both_ways(house: House, objects: tuple[str, ...] = KEPT) -> House:
    """Give a house a scenario of its own that synchronizes some objects."""
    mappings = house.folder / "mappings"
    if mappings.is_symlink():
        mappings.unlink()
        shutil.copytree(ROOT / "mappings", mappings)
    synchronize(mappings, objects)
    return house


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
