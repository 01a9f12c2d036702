"""Defects between the systems: contracts that CRM already holds, and holds differently."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from landscape import codes, columns
from landscape.codes import CLIENT
from landscape.columns import Columns, choose, dats, padded, stamps
from landscape.defects.site import Site, defect, spelled
from landscape.draw import Ids
from landscape.load import batches, copy
from landscape.rows import keyed, update
from landscape.schema import tables


@defect(22, "repaired", "EVER-VERTRAG")
def item_starts_elsewhere(site: Site) -> Sequence[str]:
    """A contract sold in CRM starts there fifteen days after its move-in in IS-U."""
    chosen = site.choose(22)
    start, _ = site.world.tenancy(chosen)
    _sell(site, chosen, start + 15, site.world.contract(chosen))
    return site.numbers(chosen)


@defect(23, "warned", "EVER-VERTRAG")
def key_map_disagrees(site: Site) -> Sequence[str]:
    """IS-U's history names a CRM item that itself names another contract of IS-U."""
    chosen = site.choose(23)
    start, _ = site.world.tenancy(chosen)
    _sell(site, chosen, start, padded(900_000_000 + chosen, 10))
    return site.numbers(chosen)


def _sell(site: Site, contracts: Ids, start: Ids, back_office: object) -> None:
    """Create header, item, extension and status in CRM, and note their GUIDs in EVERH."""
    draw, world = site.world.draw, site.world
    header, item = columns.guid(draw, "crm.header", contracts), columns.guid(draw, "crm.item", contracts)
    for name, content in _order(site, contracts, start, header, item, back_office).items():
        table = tables("crm")[name]
        for batch in batches(table, [content]):
            copy(site.crm, table, batch)
    change = "contracthead = decode(v.b, 'hex'), contractpos = decode(v.c, 'hex')"
    hexes = [[value.hex() for value in column.to_pylist()] for column in (header, item)]
    update(site.isu, "everh", change, keyed(CLIENT, "vertrag"), spelled(world.contract(contracts)), *hexes)


def _order(
    site: Site, contracts: Ids, start: Ids, header: object, item: object, back_office: object
) -> dict[str, Columns]:
    world, plan = site.world, site.world.plan
    account, place = plan.account_of(contracts), site.place(contracts)
    partner, division = plan.partner_of(account), world.division(site.pod(contracts))
    sold = stamps(start - 20, np.full(len(contracts), 36_000))
    product = world.rate(place, 0)
    made = {"CREATED_AT": sold, "CREATED_BY": "AGENT05", "CHANGED_AT": sold, "CHANGED_BY": "AGENT05"}
    names = codes.PRODUCTS
    guids = columns.guid(world.draw, "product", np.arange(len(names)))
    _, end = world.tenancy(contracts)
    return {
        "CRMD_ORDERADM_H": {
            "CLIENT": CLIENT,
            "GUID": header,
            "OBJECT_ID": padded(5_000_000_000 + contracts, 10),
            "PROCESS_TYPE": "ISUC",
            "POSTING_DATE": dats(start - 20),
            "DESCRIPTION": "Utility contract",
            "DESCR_LANGUAGE": "E",
            "LOGICAL_SYSTEM": codes.CRM_SYSTEM,
            "OBJECT_TYPE": "BUS2000249",
            **made,
        },
        "CRMD_ORDERADM_I": {
            "CLIENT": CLIENT,
            "GUID": item,
            "HEADER": header,
            "PRODUCT": guids.take(product),
            "ORDERED_PROD": choose(names, product),
            "DESCRIPTION": choose(names, product),
            "NUMBER_INT": "0000000010",
            "ITM_TYPE": "UTIL",
            "OBJECT_TYPE": "BUS2000149",
            **made,
        },
        "CRMD_ISUEXTA4": {
            "CLIENT": CLIENT,
            "GUID": item,
            "A4TYPE": "1",
            "A4ISUCONTR": back_office,
            "A4ISULOGSYS": codes.ISU_SYSTEM,
            "A4PODGUID": world.pod(site.pod(contracts)),
            "A4DIVISION": choose(codes.DIVISIONS, division),
            "A4BUAGGUID": columns.guid(world.draw, "agreement", account),
            "A4BPNO": world.partner(partner),
            "A4BPGUID": columns.guid(world.draw, "partner", partner),
            "A4CONTSTART": dats(start),
            "A4CONTEND": dats(end),
        },
        "CRM_JEST": {"MANDT": CLIENT, "OBJNR": item, "STAT": "I1004", "CHGNR": "001"},
    }
