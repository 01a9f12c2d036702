"""Names of invented people, firms and streets, and real cities, from which addresses are put together."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import yaml

_WORDS = yaml.load(Path(__file__).with_name("words.yaml").read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
FIRST_NAMES = tuple(_WORDS["first_names"].split())
LAST_NAMES = tuple(_WORDS["last_names"].split())
TRADES = tuple(_WORDS["trades"].split())
STREETS = tuple(_WORDS["streets"].split(", "))
LEGAL_FORMS = ("GmbH", "KG", "AG", "e.U.", "OG", "GmbH & Co. KG", "Pty Ltd")
ENGLISH_STREETS = tuple(
    f"{name} {kind}"
    for kind in ("Street", "Road", "Avenue")
    for name in ("Church", "Station", "Victoria", "King", "Wattle", "Banksia", "Collins", "George", "Harbour", "Mill")
)
FLOORS = ("EG", "1.OG", "2.OG", "3.OG", "4.OG", "DG", "")
NON_LATIN = (
    ("Αλέξανδρος", "Παπαδόπουλος"),
    ("Наталья", "Кузнецова"),
    ("明", "王"),
    ("محمد", "الأحمد"),
    ("Γιώργος", "Ιωάννου"),
)


class City(NamedTuple):
    """A city of the regional structure."""

    name: str
    postal: str
    country: str
    region: str
    zone: str


CITIES = tuple(
    City(*line.split("|"))
    for line in """Wien|1100|AT|W|CET
Graz|8010|AT|STM|CET
Linz|4020|AT|OOE|CET
Salzburg|5020|AT|SBG|CET
Innsbruck|6020|AT|TIR|CET
Klagenfurt|9020|AT|KTN|CET
Villach|9500|AT|KTN|CET
Wels|4600|AT|OOE|CET
St. Pölten|3100|AT|NOE|CET
Dornbirn|6850|AT|VBG|CET
Berlin|10115|DE|11|CET
Hamburg|20095|DE|02|CET
München|80331|DE|09|CET
Köln|50667|DE|05|CET
Frankfurt am Main|60311|DE|06|CET
Stuttgart|70173|DE|08|CET
Düsseldorf|40213|DE|05|CET
Leipzig|04109|DE|14|CET
Dortmund|44135|DE|05|CET
Nürnberg|90402|DE|09|CET
Bremen|28195|DE|04|CET
Hannover|30159|DE|03|CET
Münster|48143|DE|05|CET
Lübeck|23552|DE|01|CET
Freiburg im Breisgau|79098|DE|08|CET
Melbourne|3000|AU|VIC|AUSVIC
Geelong|3220|AU|VIC|AUSVIC
Ballarat|3350|AU|VIC|AUSVIC
Sydney|2000|AU|NSW|AUSNSW
Newcastle|2300|AU|NSW|AUSNSW""".splitlines()
)


def streets_of(city: City) -> tuple[str, ...]:
    """Return the thirty streets of a city."""
    return ENGLISH_STREETS if city.country == "AU" else STREETS


def street_code(city: int, street: int) -> str:
    """Return the code of a city's street in the regional structure."""
    return f"{(city + 1) * 100 + street:012d}"


def city_code(city: int) -> str:
    """Return the code of a city in the regional structure."""
    return f"{city + 1:012d}"
