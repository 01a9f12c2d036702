"""A day of business with partners: moves, names, new people, people entered twice."""

from __future__ import annotations

import numpy as np

from landscape import words
from landscape.codes import CLIENT
from landscape.live_day import CRM_USER, ISU_USER, Day, Made, kind
from landscape.rows import Connection, keyed, update

PLACE = ("street", "house_number", "house_suffix", "postal_code", "city", "country", "region", "city_code",
         "street_code", "time_zone")  # fmt: skip
PARTNER = keyed(CLIENT, "partner", "client")
ADDRESS = (
    f"t.client = '{CLIENT}' AND t.date_from = '00010101' AND t.nation = '' AND t.addrnumber = (SELECT b.addrnumber "
    f"FROM but020 b WHERE b.client = '{CLIENT}' AND b.partner = v.a AND b.xdfadr = 'X' LIMIT 1)"
)
CRM_NUMBERS, ISU_NUMBERS = ("7000000000", "7999999999"), ("0000000001", "6999999999")


def places(day: Day, stream: str, count: int) -> dict[str, list[str]]:
    """Draw addresses in streets of the regional structure, as columns of ADRC."""
    ids, streets = np.arange(count), len(words.STREETS)
    at = day.draw.below(f"{stream}.city", ids, len(words.CITIES))
    street = day.draw.below(f"{stream}.street", ids, streets)
    names = np.array([words.streets_of(city) for city in words.CITIES], object)
    codes = np.array([[words.street_code(c, s) for s in range(streets)] for c in range(len(words.CITIES))], object)
    cities = {
        "city1": [city.name for city in words.CITIES],
        "post_code1": [city.postal for city in words.CITIES],
        "country": [city.country for city in words.CITIES],
        "region": [city.region for city in words.CITIES],
        "city_code": [words.city_code(c) for c in range(len(words.CITIES))],
        "time_zone": [city.zone for city in words.CITIES],
    }
    return {
        "street": names[at, street].tolist(),
        "strt_code": codes[at, street].tolist(),
        # Numbers above those of the landscape: a move always changes something.
        "house_num1": (200 + day.draw.below(f"{stream}.number", ids, 700)).astype(str).tolist(),
        **{name: np.array(values, object)[at].tolist() for name, values in cities.items()},
    }


def stamped(connection: Connection, day: Day, keys: list[str], user: str, change: str = "", *lists: list[str]) -> None:
    """Change partners and note who did it, as both systems do."""
    said = f"{change}{', ' if change else ''}chusr = '{user}', chdat = '{day.date}', chtim = '{day.time}'"
    update(connection, "but000", said, PARTNER, keys, *lists)


def _move(connection: Connection, day: Day, keys: list[str], user: str, stream: str) -> None:
    columns = places(day, stream, len(keys))
    change = ", ".join(f"{name} = v.{chr(ord('b') + place)}" for place, name in enumerate(columns))
    update(connection, "adrc", f"{change}, house_num2 = ''", ADDRESS, keys, *columns.values())
    stamped(connection, day, keys, user)


@kind("business_partner", "person", "to isu", *PLACE, weight=4)
def moved_told_to_crm(day: Day, keys: list[str]) -> None:
    """A customer moves and tells the service center."""
    _move(day.crm, day, keys, CRM_USER, "move.crm")


@kind("business_partner", "person", "to crm", *PLACE, weight=2, during=True)
def moved_told_to_isu(day: Day, keys: list[str]) -> None:
    """A customer moves and tells the back office."""
    _move(day.isu, day, keys, ISU_USER, "move.isu")


@kind("business_partner", "person", "to crm", "house_suffix", during=True, stamped=False)
def address_corrected_unnoticed(day: Day, keys: list[str]) -> None:
    """A programme of the back office corrects addresses and stamps no partner: only pointers or snapshots tell."""
    update(day.isu, "adrc", "house_num2 = CASE t.house_num2 WHEN 'z' THEN 'y' ELSE 'z' END", ADDRESS, keys)


@kind("business_partner", "person", "to isu", "house_suffix", stamped=False)
def address_corrected_unnoticed_in_crm(day: Day, keys: list[str]) -> None:
    """A programme of CRM corrects addresses and stamps no partner: only pointers or snapshots tell."""
    update(day.crm, "adrc", "house_num2 = CASE t.house_num2 WHEN 'w' THEN 'x' ELSE 'w' END", ADDRESS, keys)


def _renamed(suffix: str) -> str:
    """Return the change of a last name into a double one, cut where the column ends."""
    return (
        f"name_last = left(t.name_last, {39 - len(suffix)}) || '-{suffix}', "
        f"bu_sort1 = upper(left(t.name_last || '-{suffix}', 20))"
    )


@kind("business_partner", "person", "to crm", "last_name", "search_1", weight=2, during=True)
def name_corrected_in_isu(day: Day, keys: list[str]) -> None:
    """The back office corrects a name, and with it the search term."""
    stamped(day.isu, day, keys, ISU_USER, _renamed("Thal"))


@kind("business_partner", "person", "to isu", "last_name", "search_1", weight=2)
def name_corrected_in_crm(day: Day, keys: list[str]) -> None:
    """The service center corrects a name, and with it the search term."""
    stamped(day.crm, day, keys, CRM_USER, _renamed("Bergh"))


@kind("business_partner", "person", "agreed", "born_on")
def birthday_corrected_on_both(day: Day, keys: list[str]) -> None:
    """Both sides enter the same date of birth."""
    born = day.draw.below("born", np.arange(len(keys)), 20_000)
    dates = [f"{date:%Y%m%d}" for date in (np.datetime64("1940-01-01") + born).astype("O")]
    for connection, user in ((day.isu, ISU_USER), (day.crm, CRM_USER)):
        stamped(connection, day, keys, user, "birthdt = v.b", dates)


@kind("business_partner", "person", "conflict", "last_name", also={"house_suffix": "to isu"})
def name_changed_differently_on_both(day: Day, keys: list[str]) -> None:
    """Two people give one customer two different last names; a house number corrected in CRM goes its way."""
    stamped(day.isu, day, keys, ISU_USER, "name_last = left(t.name_last, 34) || '-Back'")
    update(day.crm, "adrc", "house_num2 = CASE t.house_num2 WHEN 'w' THEN 'x' ELSE 'w' END", ADDRESS, keys)
    stamped(day.crm, day, keys, CRM_USER, "name_last = left(t.name_last, 34) || '-Front'")


@kind("business_partner", "person", "to isu", "blocked")
def blocked_in_crm(day: Day, keys: list[str]) -> None:
    """The service center blocks a customer, or lifts the block."""
    stamped(day.crm, day, keys, CRM_USER, "xblck = CASE t.xblck WHEN 'X' THEN '' ELSE 'X' END")


@kind("business_partner", "person", "to crm", "deleted", weight=0.5, during=True)
def archived_in_isu(day: Day, keys: list[str]) -> None:
    """The back office flags a partner for archiving."""
    stamped(day.isu, day, keys, ISU_USER, "xdele = 'X'")


@kind("business_partner", "person", "put right", "grouping")
def grouping_edited_in_crm(day: Day, keys: list[str]) -> None:
    """The service center edits the grouping, which the back office alone may change."""
    stamped(day.crm, day, keys, CRM_USER, "bu_group = CASE t.bu_group WHEN 'EDIT' THEN 'EDI2' ELSE 'EDIT' END")


# --- new partners -------------------------------------------------------------------------------------------------


def _numbers(connection: Connection, table: str, column: str, within: tuple[str, str], count: int) -> list[str]:
    """Return the next free numbers of a range."""
    row = connection.execute(
        f"SELECT max({column}) FROM {table} WHERE client = '{CLIENT}' AND {column} BETWEEN %s AND %s "
        f"AND {column} ~ '^[0-9]{{10}}$'",
        within,
    ).fetchone()
    last = int(row[0]) if row and row[0] else int(within[0])
    return [f"{last + 1 + place:010d}" for place in range(count)]


def _insert(connection: Connection, day: Day, user: str, system: str, people: dict[str, list[str]]) -> None:
    """Insert partners with their standard address; `people` has columns of BUT000 and ADRC by name."""
    names = ", ".join(people)
    source = f"FROM unnest({', '.join('%s::text[]' for _ in people)}) AS v({names})"
    guid = f"decode(md5('{system}.{day.seed}.{day.stamp}.' || v.partner), 'hex')"
    place = f"decode(md5('{system}.address.{day.seed}.{day.stamp}.' || v.partner), 'hex')"
    address = [name for name in people if name not in ("partner", "addrnumber", "title", "born", "last", "first")]
    statements = (
        "INSERT INTO but000 (client, partner, type, bu_group, bu_sort1, title, name_last, name_first, birthdt, "
        f"partner_guid, crusr, crdat, crtim) SELECT '{CLIENT}', v.partner, '1', 'UTIL', upper(left(v.last, 18)), "
        f"v.title, v.last, v.first, v.born, {guid}, '{user}', '{day.date}', '{day.time}' {source}",
        "INSERT INTO but020 (client, partner, addrnumber, xdfadr, address_guid, addr_valid_from, addr_valid_to) "
        f"SELECT '{CLIENT}', v.partner, v.addrnumber, 'X', {place}, 10101000000, 99991231235959 {source}",
        f"INSERT INTO adrc (client, addrnumber, date_from, date_to, name1, langu, {', '.join(address)}) "
        f"SELECT '{CLIENT}', v.addrnumber, '00010101', '99991231', left(v.first || ' ' || v.last, 40), "
        f"'E', {', '.join(f'v.{name}' for name in address)} {source}",
    )
    for statement in statements:
        connection.execute(statement, tuple(people.values()))


def _people(day: Day, stream: str, numbers: list[str], addresses: list[str]) -> dict[str, list[str]]:
    count = len(numbers)
    first, second = (day.chosen(f"{stream}.{part}", words.LAST_NAMES, count) for part in ("last", "second"))
    born = np.datetime64("1945-01-01") + day.draw.below(f"{stream}.born", np.arange(count), 21_000)
    return {
        "partner": numbers,
        "addrnumber": addresses,
        "title": day.chosen(f"{stream}.title", ("0001", "0002"), count),
        "last": [f"{one}-{two}" for one, two in zip(first, second, strict=True)],
        "first": day.chosen(f"{stream}.first", words.FIRST_NAMES, count),
        "born": [f"{date:%Y%m%d}" for date in born.astype("O")],
        **places(day, stream, count),
    }


@kind("business_partner", "none", "created in isu", weight=2)
def born_in_crm(day: Day, keys: list[str]) -> Made:
    """The service center enters new customers; the back office does not know them yet."""
    numbers = _numbers(day.crm, "but000", "partner", CRM_NUMBERS, len(keys))
    addresses = _numbers(day.crm, "but020", "addrnumber", CRM_NUMBERS, len(keys))
    _insert(day.crm, day, CRM_USER, "crm", _people(day, "born.crm", numbers, addresses))
    return Made(tuple(numbers))


@kind("business_partner", "none", "created in crm", weight=2, during=True)
def born_in_isu(day: Day, keys: list[str]) -> Made:
    """The back office enters new customers."""
    numbers = _numbers(day.isu, "but000", "partner", ISU_NUMBERS, len(keys))
    addresses = _numbers(day.isu, "but020", "addrnumber", ISU_NUMBERS, len(keys))
    _insert(day.isu, day, ISU_USER, "isu", _people(day, "born.isu", numbers, addresses))
    return Made(tuple(numbers))


def _again(day: Day, keys: list[str], changes: dict[str, str]) -> Made:
    """Enter existing partners of CRM once more under new numbers, some columns spelled differently."""
    numbers = _numbers(day.crm, "but000", "partner", CRM_NUMBERS, len(keys))
    addresses = _numbers(day.crm, "but020", "addrnumber", CRM_NUMBERS, len(keys))
    said = {
        "title": "t.title",
        "last": "t.name_last",
        "first": "t.name_first",
        "born": "t.birthdt",
        **{name: f"a.{name}" for name in ("street", "strt_code", "house_num1", "city1", "post_code1", "country",
                                          "region", "city_code", "time_zone")},
        **changes,
    }  # fmt: skip
    rows = day.crm.execute(
        f"SELECT v.n, v.s, v.k, {', '.join(said.values())} "
        "FROM unnest(%s::text[], %s::text[], %s::text[]) AS v(n, s, k) "
        f"JOIN but000 t ON t.client = '{CLIENT}' AND t.partner = v.k "
        f"JOIN but020 b ON b.client = '{CLIENT}' AND b.partner = v.k AND b.xdfadr = 'X' "
        f"JOIN adrc a ON a.client = '{CLIENT}' AND a.addrnumber = b.addrnumber AND a.nation = '' ORDER BY v.n",
        (numbers, addresses, keys),
    ).fetchall()
    columns = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in range(3 + len(said))]
    people = dict(zip(("partner", "addrnumber", *said), [columns[0], columns[1], *columns[3:]], strict=True))
    _insert(day.crm, day, CRM_USER, "crm", people)
    return Made(tuple(columns[0]), tuple(columns[2]))


@kind("business_partner", "person", "duplicate")
def entered_again_in_crm(day: Day, keys: list[str]) -> Made:
    """The service center enters a customer again who is there already, in capitals."""
    return _again(day, keys, {"last": "upper(t.name_last)", "street": "upper(a.street)"})


@kind("business_partner", "person", "duplicate")
def entered_again_with_another_spelling(day: Day, keys: list[str]) -> Made:
    """The service center enters a customer again, the first name cut to its initial and the street abbreviated."""
    street = "replace(replace(a.street, 'straße', 'str.'), 'gasse', 'g.')"
    return _again(day, keys, {"first": "left(t.name_first, 1) || '.'", "street": street})
