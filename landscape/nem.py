"""The market's meters that live in the landscape: which NMI carries which serial number and registers.

Run as a script, it derives `nem_meters.csv` from a folder of NEM12 and NEM13 files.
"""

from __future__ import annotations

import csv
import io
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_DATA = Path(__file__).with_name("nem_meters.csv")


@dataclass(frozen=True, slots=True)
class Meter:
    """One meter: its point of delivery, its serial number and (suffix, unit) per register."""

    nmi: str
    serial: str
    registers: tuple[tuple[str, str], ...]
    home: bool


@cache
def meters() -> tuple[Meter, ...]:
    """Return every meter of the files, those with a home in the landscape and those unknown on purpose."""
    with _DATA.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return tuple(
        Meter(
            row["nmi"],
            row["serial"],
            tuple((part.split(":")[0], part.split(":")[1]) for part in row["registers"].split()),
            row["home"] == "yes",
        )
        for row in rows
    )


def homed() -> tuple[Meter, ...]:
    """Return the meters that live in the landscape."""
    return tuple(meter for meter in meters() if meter.home)


def _lines(folder: Path) -> Iterator[list[str]]:
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() == ".zip":
            with zipfile.ZipFile(path) as archive:
                for name in archive.namelist():
                    yield from csv.reader(io.StringIO(archive.read(name).decode("latin-1")))
        elif path.suffix.lower() == ".csv":
            yield from csv.reader(io.StringIO(path.read_text(encoding="latin-1")))


def _registers(folder: Path) -> dict[tuple[str, str], dict[str, str]]:
    found: dict[tuple[str, str], dict[str, str]] = {}
    for line in _lines(folder):
        if line and line[0] in ("200", "250") and len(line) > 7:
            unit = line[7] if line[0] == "200" else next(cell for cell in line[8:] if cell.upper().endswith("WH"))
            found.setdefault((line[1], line[6]), {}).setdefault(line[4], unit.upper())
    return found


def derive(folder: Path, target: Path) -> None:
    """Write the meters of a folder's files; two thirds get a home, each NMI and each serial number at most once."""
    homes: set[str] = set()
    rows = []
    for at, ((nmi, serial), registers) in enumerate(_registers(folder).items()):
        known = at % 8 not in (2, 5) and bool(serial) and nmi not in homes and serial not in homes and len(nmi) == 10
        homes |= {nmi, serial} if known else set()
        spelled = " ".join(f"{suffix}:{unit}" for suffix, unit in registers.items())
        rows.append((nmi, serial, spelled, "yes" if known else "no"))
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("nmi", "serial", "registers", "home"))
        writer.writerows(rows)


if __name__ == "__main__":
    derive(Path(sys.argv[1]), _DATA)
