"""What the DAG is laid out from, and the references its tasks pass on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from isthmus.errors import ConfigError
from isthmus.levels.orchestrate import dealt, packages_in
from isthmus.levels.outline import outline
from isthmus.project import Project
from monitor.airflow_home import ROOT


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project folder with mappings and nothing else."""
    shutil.copytree(ROOT / "mappings", tmp_path / "mappings")
    shutil.copy(ROOT / "isthmus.yaml", tmp_path)
    return tmp_path


def test_parents_come_before_their_children(project: Path) -> None:
    order = list(outline(project).objects)
    for name, parents in outline(project).objects.items():
        assert all(order.index(parent) < order.index(name) for parent in parents)


def test_an_outline_is_kept_until_a_file_changes(project: Path) -> None:
    assert outline(project).scenario == "single_with_devices"
    kept = project / ".isthmus" / "cache" / "outline.json"
    said = json.loads(kept.read_text(encoding="utf-8"))
    said["outline"]["scenario"] = "from the cache"
    kept.write_text(json.dumps(said), encoding="utf-8")
    assert outline(project).scenario == "from the cache"
    file = project / "isthmus.yaml"
    file.write_text(file.read_text(encoding="utf-8").replace("15000", "10000"), encoding="utf-8")
    assert (outline(project).scenario, outline(project).package_rows) == ("single_with_devices", 10_000)


def test_every_object_is_loaded_in_the_pool_of_its_source(project: Path) -> None:
    pools = outline(project).pools
    assert (pools["contract"], pools["meter_reading"]) == ("isu", "nem")


def test_seats_at_a_system_are_a_whole_number(project: Path) -> None:
    file = project / "isthmus.yaml"
    file.write_text(file.read_text(encoding="utf-8").replace("speaks: isu,", "speaks: isu, seats: many,"), "utf-8")
    with pytest.raises(ConfigError, match="seats: many, expected a whole number"):
        Project.load(project)


def test_sets_are_references_that_name_every_package_once() -> None:
    packages = [f"device.isu.crm/meter/{n:05d}" for n in range(1, 11)] + ["device.isu.crm/info/00001"]
    references = dealt(packages, sets=4)
    assert references[0] == "device.isu.crm/meter/00001-00003"
    assert [package for reference in references for package in packages_in(reference)] == packages
    assert len(json.dumps(dealt([f"contract.isu.crm/{n:05d}" for n in range(1, 90_000)]))) < 2_048


def test_no_packages_make_no_sets() -> None:
    assert dealt([]) == []
