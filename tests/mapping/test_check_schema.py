"""Mappings against tables as a system describes them: names, lengths and keys."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow as pa
import pytest

from isthmus.connector import Column, Table
from isthmus.errors import SystemUnavailable
from isthmus.mapping.check_schema import check_against
from isthmus.mapping.load import load_catalogue

GOOD = Path(__file__).parent / "good"
LENGTHS = {"PARTNER": 10, "VERTRAG": 10, "GPART": 10, "A4ISUCONTR": 10, "NAME": 40, "PRODUCT": 40}
TABLES = {
    "isu": {
        "BUT000": ("PARTNER", "NAME PARTNER_GUID CHDAT CRDAT"),
        "EVER": ("VERTRAG", "AEDAT ERDAT LOEVM KOFIZ VKONTO SPARTE EINZDAT AUSZDAT ABRSPERR"),
        "FKKVKP": ("VKONT", "GPART"),
        "EVERH": ("VERTRAG", "AB BIS PRODUCT"),
    },
    "crm": {
        "BUT000": ("PARTNER_GUID", "PARTNER NAME CHDAT"),
        "CRMD_ORDERADM_I": ("GUID", "OBJECT_TYPE OBJECT_ID CHANGED_AT"),
        "CRMD_ISUEXTA4": ("GUID", "A4ISULOGSYS A4ISUCONTR A4BPGUID A4DIVISION A4CONTSTART A4CONTEND"),
    },
}


def described(system: str, name: str) -> Table | None:
    if name not in TABLES[system]:
        return None
    key, rest = TABLES[system][name]
    columns = [Column(column, pa.string(), length=LENGTHS.get(column)) for column in f"{key} {rest}".split()]
    return Table(name, tuple(columns), (key,))


def said(folder: Path) -> list[str]:
    catalogue = load_catalogue(folder)
    return [str(item) for item in check_against(catalogue, described, lambda system: list(TABLES[system]))]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return shutil.copytree(GOOD, tmp_path / "project")


def change(project: Path, file: str, instead: str, write: str) -> None:
    path = project / "mappings" / file
    text = path.read_text(encoding="utf-8")
    assert instead in text
    path.write_text(text.replace(instead, write), encoding="utf-8")


def test_mappings_that_fit_their_tables_have_no_findings(project: Path) -> None:
    assert said(project) == []


@pytest.mark.parametrize(
    ("file", "instead", "write", "answer"),
    [
        (
            "isu/contract.yaml",
            "EVER.EINZDAT | date",
            "EVER.EINZDATE | date",
            'mappings/isu/contract.yaml:13:19: isu.EVER has no column "EINZDATE". Did you mean "EINZDAT"?',
        ),
        (
            "isu/contract.yaml",
            "FKKVKP: {tie: VKONT = EVER.VKONTO",
            "FKKVKP: {table: FKKVP, tie: VKONT = EVER.VKONTO",
            'mappings/isu/contract.yaml:6:19: isu has no table "FKKVP". Did you mean "FKKVKP"?',
        ),
        (
            "isu/contract.yaml",
            "changed: AEDAT + ERDAT",
            "changed: AEDAT + ERDATE",
            'mappings/isu/contract.yaml:5:29: isu.EVER has no column "ERDATE". Did you mean "ERDAT"?',
        ),
        (
            "isu/contract.yaml",
            "VKONT = EVER.VKONTO,",
            "VKONT = EVER.VKONT,",
            'mappings/isu/contract.yaml:6:30: isu.EVER has no column "VKONT". Did you mean "VKONTO"?',
        ),
        (
            "isu/contract.yaml",
            "EVER.KOFIZ",
            "EVER.KOFITZ",
            'mappings/isu/contract.yaml:9:13: isu.EVER has no column "KOFITZ". Did you mean "KOFIZ"?',
        ),
        (
            "crm/contract.yaml",
            "fixed: {OBJECT_TYPE:",
            "fixed: {OBJECT_TIPE:",
            'mappings/crm/contract.yaml:5:71: crm.CRMD_ORDERADM_I (item) has no column "OBJECT_TIPE". '
            'Did you mean "OBJECT_TYPE"?',
        ),
        (
            "isu/partner.yaml",
            "number: BUT000.PARTNER | padded(10)",
            "number: BUT000.PARTNER | padded(12)",
            'mappings/isu/partner.yaml:9:35: "padded(12)" pads to 12 places, but PARTNER has 10. Write padded(10).',
        ),
        (
            "model/partner.yaml",
            "text(40)",
            "text(60)",
            'mappings/crm/partner.yaml:11:18: field "name" may have 60 characters, but NAME holds 40. '
            "Shorten the field in the model, or take a longer column.",
        ),
    ],
)
def test_what_a_table_contradicts_is_found(project: Path, file: str, instead: str, write: str, answer: str) -> None:
    change(project, file, instead, write)
    assert answer in said(project)


def test_a_key_column_that_nothing_fills_is_found(project: Path) -> None:
    change(project, "crm/contract.yaml", "tie: GUID = item.GUID", "tie: A4ISUCONTR = item.OBJECT_ID")
    change(project, "crm/contract.yaml", "  number:    util.A4ISUCONTR | padded(10)\n", "")
    change(project, "model/contract.yaml", "owner: back_office, required: yes", "owner: back_office")
    change(project, "crm/contract.yaml", "gives: {number: 4711, ends_on: null}", "gives: {ends_on: null}")
    assert said(project) == [
        'mappings/crm/contract.yaml:6:3: nothing fills "util.GUID", a key column of CRMD_ISUEXTA4. '
        'Give it a field, a tie, "fixed" or "make".'
    ]


def test_a_system_that_does_not_answer_is_passed_over(project: Path) -> None:
    def silent(system: str, name: str) -> Table | None:
        if system == "isu":
            raise SystemUnavailable("isu sleeps")
        return described(system, name)

    assert check_against(load_catalogue(project), silent) == ()
