"""The quality gate: suites of expectations on the mapped rows of each package, run by Great Expectations."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from isthmus.gate import NAMED, GateFinding, Verdict
from quality.suite import Expectation, Suite, load_suites


class GreatExpectationsGate:
    """Checks packages against `quality/suites/<object>.yaml` of a project folder, and the warehouse's requests
    (`warehouse.<store>`) against `quality/warehouse/<store>.yaml`.

    Great Expectations is imported by the first package that is checked, not before.
    """

    def __init__(self, folder: Path) -> None:
        """Read the suites of a project folder; raises SpecError with every finding."""
        self._suites = load_suites(folder)

    def has_suite(self, object_: str) -> bool:
        """Tell whether there is anything to check for this object."""
        return object_ in self._suites and bool(self._suites[object_].expectations)

    def check(self, object_: str, frame: pa.RecordBatch, *, named: int = NAMED) -> Verdict:
        """Check one package as `frame_of` lays it out; never raises for bad data, raises ConfigError without the
        library.  An expectation on a column that the package does not have is `errored`; a failed one names up to
        `named` rows.
        """
        if not self.has_suite(object_):
            return Verdict()
        from quality.expect import validate

        suite = self._suites[object_]
        there = set(frame.schema.names)
        # a package without rows has no lists either; there is nothing to look for in it
        able = [line for line in suite.expectations if there.issuperset(line.columns) or not frame.num_rows]
        found = dict(zip(map(id, able), validate(able, _narrow(suite, frame), named), strict=True))
        return Verdict(tuple(found.get(id(line)) or _errored(line, there) for line in suite.expectations))


def _narrow(suite: Suite, frame: pa.RecordBatch) -> pa.RecordBatch:
    """Keep the columns the suite looks at; the others never leave Arrow."""
    return frame.select([name for name in suite.columns if name in frame.schema.names])


def _errored(line: Expectation, there: set[str]) -> GateFinding:
    missing = ", ".join(name for name in line.columns if name not in there)
    return GateFinding(
        line.name, line.about, line.severity, "errored", detail=f"could not be evaluated: the package has no {missing}"
    )
