"""Defects of contracts, move-ins and bills."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from landscape import codes
from landscape.codes import CLIENT
from landscape.columns import OPEN, dats, padded
from landscape.defects.site import Site, defect, spelled
from landscape.rows import copy_rows, keyed, update

_AGENT = "AGENT09"


def _change_documents(site: Site, keys: Sequence[str], first: int) -> None:
    """Write two change documents of yesterday for each contract, and stamp the contracts with that day."""
    yesterday = spelled(dats(np.array([site.world.now - 1])))[0]
    update(site.isu, "ever", f"aedat = '{yesterday}', aenam = '{_AGENT}'", keyed(CLIENT, "vertrag"), keys)
    for turn, clock in enumerate(("091500", "154500")):
        site.isu.execute(
            "INSERT INTO cdhdr (mandant, objectclas, objectid, changenr, username, udate, utime, tcode) "
            "SELECT %s, 'IUCONTRACT', k, lpad((%s + i * 2)::text, 10, '0'), %s, %s, %s, 'ES21' "
            "FROM unnest(%s::text[]) WITH ORDINALITY AS v(k, i)",
            (CLIENT, first + turn, _AGENT, yesterday, clock, list(keys)),
        )


@defect(4, "rejected", "EVER-VERTRAG")
def ends_before_it_starts(site: Site) -> Sequence[str]:
    """A contract's move-out date lies before its move-in date."""
    chosen = site.choose(4)
    keys, (start, _) = site.numbers(chosen), site.world.tenancy(chosen)
    update(site.isu, "ever", "auszdat = v.b", keyed(CLIENT, "vertrag"), keys, spelled(dats(start - 30)))
    return keys


@defect(9, "harmless", "EVER-VERTRAG")
def changed_twice_a_day(site: Site) -> Sequence[str]:
    """A contract was changed twice on one day; AEDAT alone cannot tell."""
    keys = site.numbers(site.choose(9))
    _change_documents(site, keys, 90_000_000)
    return keys


@defect(10, "warned", "EEIN-EINZBELEG")
def reversed_move_in(site: Site) -> Sequence[str]:
    """A move-in was reversed after its contract had been replicated; the contract still stands."""
    keys = spelled(padded(600_000_000 + site.choose(10), 12))
    for table in ("eein", "eeinv"):
        update(site.isu, table, "stornokz = 'X'", keyed(CLIENT, "einzbeleg"), keys)
    return keys


@defect(11, "warned", "EVER-VERTRAG")
def ended_inside_billed_period(site: Site) -> Sequence[str]:
    """A contract's end was moved back into a period that is already billed."""
    world = site.world
    former = site.contracts[world.plan.is_former(site.contracts)]
    second, _ = world.slices(site.place(former))
    chosen = site.choose(11, second >= OPEN, former)
    keys, (_, end) = site.numbers(chosen), world.tenancy(chosen)
    moved = spelled(dats(end - 60))
    update(site.isu, "ever", "auszdat = v.b, vende = v.b, loevm = ''", keyed(CLIENT, "vertrag"), keys, moved)
    update(site.isu, "everh", "bis = v.b", keyed(CLIENT, "vertrag"), keys, moved)
    return keys


@defect(17, "harmless", "EVER-VERTRAG")
def deletion_taken_back(site: Site) -> Sequence[str]:
    """A contract was marked for deletion and the mark was cleared again the same day."""
    keys = site.numbers(site.choose(17))
    _change_documents(site, keys, 170_000_000)
    site.isu.execute(
        "INSERT INTO cdpos (mandant, objectclas, objectid, changenr, tabname, tabkey, fname, chngind, "
        "value_new, value_old) "
        "SELECT mandant, objectclas, objectid, changenr, 'EVER', mandant || objectid, 'LOEVM', 'U', "
        "CASE WHEN utime < '12' THEN 'X' ELSE '' END, CASE WHEN utime < '12' THEN '' ELSE 'X' END "
        "FROM cdhdr WHERE mandant = %s AND objectclas = 'IUCONTRACT' AND objectid = ANY(%s)",
        (CLIENT, keys),
    )
    return keys


@defect(18, "harmless", "ERCH-BELNR")
def simulated_or_reversed_bill(site: Site) -> Sequence[str]:
    """A billing document was only simulated, or reversed later; neither may be counted."""
    start, end = site.world.tenancy(site.contracts)
    billed = np.minimum(end, site.world.now - 10) - start >= 365
    chosen = site.choose(18, billed)
    bills, copies = spelled(padded(20_000_000_000 + chosen, 12)), spelled(padded(900_000_000_000 + chosen, 12))
    simulated = ["X" if place % 2 == 0 else "" for place in range(len(chosen))]
    reversed_on = "CASE WHEN v.c = '' THEN to_char(to_date(t.belegdat, 'YYYYMMDD') + 5, 'YYYYMMDD') ELSE '00000000' END"
    changes = {"belnr": "v.b", "simulation": "v.c", "stornodat": reversed_on}
    copy_rows(site.isu, "erch", changes, keyed(CLIENT, "belnr"), bills, copies, simulated)
    return copies


@defect(20, "warned", "EANL-ANLAGE")
def half_a_pair(site: Site) -> Sequence[str]:
    """Of a pair of supply and grid usage only one contract exists; the key is the installation left without."""
    world, plan = site.world, site.world.plan
    if plan.dual:
        chosen = site.choose(20)
        contracts, places = spelled(world.contract(chosen, 1)), spelled(world.installation(site.place(chosen), 1))
    else:
        second = plan.first_installation_of(site.pod(site.contracts)) < site.place(site.contracts)
        chosen = site.choose(20, second)
        contracts, places = site.numbers(chosen), spelled(world.installation(site.place(chosen)))
        services = [codes.GRID[place] for place in world.division(site.pod(chosen))]
        update(site.isu, "eanl", "service = v.b", keyed(CLIENT, "anlage"), places, services)
    _without_bills(site, contracts)
    for table in ("ever", "everh", "erch", "eeinv"):
        site.isu.execute(f"DELETE FROM {table} WHERE mandt = %s AND vertrag = ANY(%s)", (CLIENT, contracts))
    beleg = spelled(padded(600_000_000 + (100_000_000 if plan.dual else 0) + chosen, 12))
    site.isu.execute("DELETE FROM eein WHERE mandt = %s AND einzbeleg = ANY(%s)", (CLIENT, beleg))
    return places


def _without_bills(site: Site, contracts: Sequence[str]) -> None:
    """Remove what hangs on the bills of contracts: print documents, invoicing, lines."""
    own = "SELECT belnr FROM erch WHERE mandt = %s AND vertrag = ANY(%s)"
    printed = "DELETE FROM erdk t USING erchc c WHERE t.mandt = c.mandt AND t.opbel = c.opbel"
    site.isu.execute(f"{printed} AND c.belnr IN ({own})", (CLIENT, contracts))
    for table in ("erchc", "dberchz1", "dberchz3"):
        site.isu.execute(f"DELETE FROM {table} WHERE belnr IN ({own})", (CLIENT, contracts))
