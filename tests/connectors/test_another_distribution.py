"""A connector that comes with another distribution: found, built and used without a change to this one."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from isthmus.connector import Connector, KeyRange, Query, Source, connect
from isthmus.errors import ConfigError

MODULE = """
import pyarrow as pa
from isthmus.connector import Capabilities, Check, Column, KeyRange, Table

class Abacus:
    def __init__(self, settings): self.count = int(settings["count"])
    def capabilities(self): return Capabilities()
    def check(self): return [Check("resolve", "ok")]
    def discover(self): return ["BEADS"]
    def describe(self, table): return Table("BEADS", (Column("BEAD", pa.string()),), ("BEAD",))
    def partitions(self, query, rows, within=None): return [KeyRange(None, None, self.count)]
    def read(self, query, where):
        yield pa.RecordBatch.from_pydict({"B.BEAD": [str(i) for i in range(self.count)]})
    def write(self, change): raise NotImplementedError
    def receipts(self, run): return {}
    def close(self): pass
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "abacus_connector.py").write_text(MODULE, encoding="utf-8")
    info = tmp_path / "abacus-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: abacus\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text("[isthmus.connectors]\nabacus = abacus_connector:Abacus\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    monkeypatch.delitem(sys.modules, "abacus_connector", raising=False)


@pytest.mark.usefixtures("installed")
def test_a_connector_of_another_distribution_is_built_from_settings_and_read() -> None:
    abacus = connect("abacus", {"count": "3"})
    assert isinstance(abacus, Connector)
    query = Query((Source("B", "BEADS"),), (), ())
    assert [block.num_rows for block in abacus.read(query, KeyRange())] == [3]


@pytest.mark.usefixtures("installed")
def test_a_misspelt_kind_names_it_like_any_built_in() -> None:
    with pytest.raises(ConfigError, match='Did you mean "abacus"'):
        connect("abacuss", {})
