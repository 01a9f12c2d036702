from __future__ import annotations

from pathlib import Path

from landscape import nem

FILES = Path(__file__).parents[1] / "data" / "nem12"


def test_the_list_of_meters_is_what_the_files_hold(tmp_path: Path) -> None:
    nem.derive(FILES, tmp_path / "meters.csv")
    assert (tmp_path / "meters.csv").read_text() == Path(nem.__file__).with_name("nem_meters.csv").read_text()


def test_about_two_thirds_of_the_meters_have_a_home() -> None:
    assert len(nem.meters()) == 85
    assert 0.6 < len(nem.homed()) / len(nem.meters()) < 0.72


def test_no_two_homes_share_a_serial_number_or_a_point_of_delivery() -> None:
    homes = nem.homed()
    assert len({meter.nmi for meter in homes}) == len({meter.serial for meter in homes}) == len(homes)


def test_the_files_keep_their_licence_and_attribution() -> None:
    assert "aguinane/nem-reader" in (FILES / "README.md").read_text()
    assert "MIT" in (FILES / "LICENSE").read_text()
