"""What the compiler refuses, and what a pipe says of rows that are not there."""

from __future__ import annotations

import pyarrow as pa
import pytest

from isthmus.errors import SpecError
from isthmus.mapping.functions import Context
from isthmus.mapping.functions.registry import bind_all
from isthmus.mapping.spec import Call
from tests.flows.house import House, edit


def test_a_column_that_the_target_lacks_is_found_before_anything_is_read(clean: House) -> None:
    edit(clean, "crm/contract.yaml", "util.A4CONTSTART", "util.A4CONTSTRT")
    edit(clean, "crm/contract.yaml", "ITM_TYPE: UTIL", "ITM_TIPE: UTIL")
    with pytest.raises(SpecError):
        clean.load(["contract"])
    with clean.desk() as desk, pytest.raises(SpecError) as caught, desk.route(desk.flow("contract")):
        pass  # the compiler itself finds it too, for callers that did not check
    found = {finding.message: finding for finding in caught.value.findings}
    wrong = next(finding for message, finding in found.items() if '"A4CONTSTRT"' in message)
    lines = (clean.folder / "mappings/crm/contract.yaml").read_text(encoding="utf-8").splitlines()
    assert lines[wrong.line - 1].lstrip().startswith("starts_on:")
    assert 'Did you mean "A4CONTSTART"?' in wrong.message.upper().replace("DID YOU MEAN", "Did you mean")
    assert any('"ITM_TIPE"' in message for message in found)
    assert len(clean.ask("ledger", "SELECT FROM ledger.runs")) == 1


def test_a_join_with_a_part_that_is_nothing_is_nothing() -> None:
    (step,) = bind_all((Call("join", ("/",)),), 2, Context("isu", {}, {}))
    read = step.read((pa.array(["NMI1", None, "", None]), pa.array(["M1", "M2", "M3", None])))
    assert read.arrays[0].to_pylist() == ["NMI1/M1", None, "/M3", None]
    assert read.fault is None
