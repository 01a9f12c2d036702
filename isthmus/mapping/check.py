"""Check a catalogue: what every file says must hold together with what the others say."""

from __future__ import annotations

from isthmus.mapping import (
    check_codes,
    check_flows,
    check_mapping,
    check_model,
    check_pipes,
    check_rules,
    check_writes,
)
from isthmus.mapping.load import Reading
from isthmus.mapping.scope import Scope
from isthmus.mapping.spec import Catalogue


def check(catalogue: Catalogue, reading: Reading) -> None:
    """Add to the reading's findings whatever does not hold."""
    scope = Scope(catalogue, reading.findings, _exist(catalogue, reading), frozenset(reading.folders))
    check_model.check(scope)
    check_codes.check(scope)
    for specs in catalogue.mappings.values():
        for spec in specs:
            check_mapping.check(spec, scope)
            check_pipes.check(spec, scope)
            check_rules.check(spec, scope)
            check_writes.check(spec, scope)
    check_flows.check(scope)


def _exist(catalogue: Catalogue, reading: Reading) -> frozenset[tuple[str, str]]:
    """Return every (folder, name) there is a file for, also of files that could not be read."""
    read = {(file.folder, file.name) for file in reading.files}
    return frozenset(read | reading.unreadable)
