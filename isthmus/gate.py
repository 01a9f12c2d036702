"""The protocol of the quality gate: what splits a package before anything is written.

An implementation registers under the entry-point group `isthmus.gates`; the one that ships lives in `quality/`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from isthmus.errors import ConfigError, did_you_mean
from isthmus.mapping.plan import Records
from isthmus.mapping.slices import slice_faults

GROUP = "isthmus.gates"
NAMED = 20  # keys that a finding names unless more are asked for


@dataclass(frozen=True, slots=True)
class GateFinding:
    """What one expectation found in one package; `errored` is an expectation that could not be evaluated."""

    expectation: str
    about: str
    severity: Literal["critical", "warning"]
    state: Literal["passed", "failed", "errored"]
    unexpected: int = 0
    checked: int = 0
    detail: str = ""
    keys: tuple[str, ...] = ()  # some of the rows' keys, never their values


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gate says of one package."""

    findings: tuple[GateFinding, ...] = ()

    @property
    def withheld(self) -> str:
        """Return why the package must not be written, or ''."""
        bad = [f for f in self.findings if f.severity == "critical" and f.state != "passed"]
        return "; ".join(f"{f.expectation}: {f.about or f.detail}" for f in bad)


class Gate(Protocol):
    """What checks the mapped rows of a package against the suite of its object."""

    def has_suite(self, object_: str) -> bool:
        """Tell whether there is anything to check for this object."""

    def check(self, object_: str, frame: pa.RecordBatch, *, named: int = NAMED) -> Verdict:
        """Check one package; `frame` is what `frame_of` makes of its records.  Never raises for bad data.

        A finding names up to `named` of the rows it is about.
        """


class OpenGate:
    """The gate that lets everything pass: for flows that say `gate: off`."""

    def has_suite(self, object_: str) -> bool:
        """There is no suite."""
        return False

    def check(self, object_: str, frame: pa.RecordBatch, *, named: int = NAMED) -> Verdict:
        """Everything passes."""
        return Verdict()


def open_gate(folder: Path, kind: str = "great_expectations") -> Gate:
    """Build the gate registered under `kind` for the suites in `folder`; `off` lets everything pass."""
    if kind == "off":
        return OpenGate()
    known = {point.name: point for point in entry_points(group=GROUP)}
    if kind not in known:
        installed = ", ".join(sorted(known)) or "none"
        raise ConfigError(f'No gate "{kind}" is installed.{did_you_mean(kind, known)} Installed: {installed}.')
    gate: Gate = known[kind].load()(folder)
    return gate


def frame_of(records: Records) -> pa.RecordBatch:
    """Lay records out flat for a suite: `key`, every field, and for each list its count, overlaps and gaps.

    A list `rates` gives `rates_count` and, for histories, `rates_overlaps` and `rates_gaps` (int32 each).
    """
    size = records.root.num_rows
    columns: dict[str, pa.Array] = {"key": records.key}
    columns.update(zip(records.root.schema.names, records.root.columns, strict=True))
    for name, entry in records.lists.items():
        columns[f"{name}_count"] = _count(entry.parent, size)
        if "until" in entry.rows.schema.names:
            overlaps, gaps = slice_faults(entry.parent, entry.rows, _apart(records.apart, name))
            columns[f"{name}_overlaps"] = _count(overlaps, size)
            columns[f"{name}_gaps"] = _count(gaps, size)
    return pa.RecordBatch.from_pydict(columns)


def _apart(apart: Mapping[str, Sequence[str]], name: str) -> Sequence[str]:
    return apart.get(name, ())


def _count(positions: pa.Array, size: int) -> pa.Array:
    rows = np.asarray(pc.cast(positions, pa.int64())) if len(positions) else np.empty(0, dtype=np.int64)
    return pa.array(np.bincount(rows, minlength=size).astype(np.int32))
