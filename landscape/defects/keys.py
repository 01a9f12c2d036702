"""Defects of keys, references and identifying values."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from landscape import codes
from landscape.codes import CLIENT, OTHER_CLIENT
from landscape.columns import dats, padded
from landscape.defects.site import Site, defect, spelled
from landscape.fill.partners import organisations
from landscape.rows import copy_rows, keyed, update
from landscape.words import NON_LATIN


@defect(1, "parked", "EUIHEAD-INT_UI")
def missing_parent(site: Site) -> Sequence[str]:
    """The premise of a point of delivery does not exist; installations and contracts behind it wait with it."""
    pods = np.unique(site.pod(site.choose(1)))
    keys = spelled(site.world.pod(pods))
    update(site.isu, "euihead", "vstelle = v.b", keyed(CLIENT, "int_ui"), keys, spelled(padded(pods, 8, "99")))
    return keys


@defect(2, "warned", "BUT000-PARTNER")
def duplicate_partner(site: Site) -> Sequence[str]:
    """The same person, born on the same day at the same address, exists under a second number."""
    plan, world = site.world.plan, site.world
    person = ~organisations(world, plan.partner_of(plan.account_of(site.contracts)))
    chosen = np.unique(plan.partner_of(plan.account_of(site.choose(2, person))))
    old, new = spelled(world.partner(chosen)), spelled(padded(900_000_000 + chosen, 10))
    address, copied = spelled(padded(10_000_000 + chosen, 10)), spelled(padded(800_000_000 + chosen, 10))
    same, guid = keyed(CLIENT, "partner", "client"), "decode(md5(v.b), 'hex')"
    copy_rows(site.isu, "but000", {"partner": "v.b", "partner_guid": guid, "bpext": "''"}, same, old, new)
    copy_rows(site.isu, "but020", {"partner": "v.b", "addrnumber": "v.c", "address_guid": guid}, same, old, new, copied)
    copy_rows(site.isu, "adrc", {"addrnumber": "v.b"}, keyed(CLIENT, "addrnumber", "client"), address, copied)
    return new


@defect(5, "repaired", "EVER-VERTRAG")
def unpadded_key(site: Site) -> Sequence[str]:
    """A contract number was stored without its leading zeros, by an old migration."""
    keys = site.numbers(site.choose(5))
    bare = [key.lstrip("0") for key in keys]
    for table in ("ever", "everh", "eeinv", "erch"):
        update(site.isu, table, "vertrag = v.b", keyed(CLIENT, "vertrag"), keys, bare)
    return bare


@defect(6, "repaired", "EHAUISU-HAUS")
def lower_case_house(site: Site) -> Sequence[str]:
    """A connection object's key was stored in lower case, while its premises name it in upper case."""
    plan = site.world.plan
    keys = spelled(site.world.house(np.unique(plan.house_of(plan.premise_of(site.pod(site.choose(6)))))))
    for table, column in (("iflot", "tplnr"), ("iloa", "tplnr"), ("iflotx", "tplnr"), ("ehauisu", "haus")):
        update(site.isu, table, f"{column} = lower(v.a)", keyed(CLIENT, column), keys)
    return [key.lower() for key in keys]


@defect(7, "warned", "EUITRANS-EXT_UI")
def external_id_reused(site: Site) -> Sequence[str]:
    """The external id of a decommissioned point of delivery lives on at another one."""
    world, former = site.world, site.contracts[site.world.plan.is_former(site.contracts)]
    idle = former[former % 100 >= 98]
    givers = site.choose(7, ~world.renamed(world.plan.pod_of(idle)), idle)
    takers = site.choose(7, ~world.renamed(site.pod(site.contracts)))[: len(givers)]
    given, taking = spelled(world.pod(world.plan.pod_of(givers))), spelled(world.pod(site.pod(takers)))
    ended, before, after = spelled(dats(world.now - np.array([500, 401, 400])))
    still_open = f"{keyed(CLIENT, 'int_ui')} AND t.dateto = '99991231'"
    update(site.isu, "euitrans", f"dateto = '{ended}'", still_open, given)
    update(site.isu, "euitrans", f"dateto = '{before}'", still_open, taking)
    reused = f"(SELECT g.ext_ui FROM euitrans g WHERE g.mandt = '{CLIENT}' AND g.int_ui = v.b)"
    closed = f"{keyed(CLIENT, 'int_ui')} AND t.dateto = '{before}'"
    successor = {"dateto": "'99991231'", "datefrom": f"'{after}'", "ext_ui": reused}
    copy_rows(site.isu, "euitrans", successor, closed, taking, given)
    query = "SELECT ext_ui FROM euitrans WHERE mandt = %s AND int_ui = ANY(%s)"
    return [row[0] for row in site.isu.execute(query, (CLIENT, given))]


@defect(8, "warned", "FKKVK-VKONT")
def account_outside_range(site: Site) -> Sequence[str]:
    """A contract account's number lies outside the external number range of business agreements."""
    accounts = np.unique(site.world.plan.account_of(site.choose(8)))
    old = spelled(site.world.account(accounts))
    new = spelled(padded(codes.ACCOUNTS[1] + 20_000_000 + accounts, 12))
    named = {table: "vkont" for table in ("fkkvk", "fkkvkp", "eein", "erch", "erdk")}
    for table, column in {**named, "ever": "vkonto"}.items():
        update(site.isu, table, f"{column} = v.b", keyed(CLIENT, column), old, new)
    return new


@defect(15, "warned", "ADRC-ADDRNUMBER")
def unknown_street(site: Site) -> Sequence[str]:
    """The street code of a connection object's address is not in the regional structure."""
    plan = site.world.plan
    houses = np.unique(plan.house_of(plan.premise_of(site.pod(site.choose(15)))))
    keys = spelled(padded(500_000_000 + houses, 10))
    codes_ = spelled(padded(houses, 8, "9999"))
    update(site.isu, "adrc", "strt_code = v.b", keyed(CLIENT, "addrnumber", "client"), keys, codes_)
    return keys


@defect(16, "harmless", "BUT000-PARTNER")
def unusual_name(site: Site) -> Sequence[str]:
    """A name in another script, or one cut off at 40 characters."""
    plan, world = site.world.plan, site.world
    person = ~organisations(world, plan.partner_of(plan.account_of(site.contracts)))
    chosen = np.unique(plan.partner_of(plan.account_of(site.choose(16, person))))
    long_name = "von Hohenlohe-Waldenburg-Schillingsfürst-Neuenstein"[:40]
    names = [NON_LATIN[i // 2 % len(NON_LATIN)] if i % 2 == 0 else ("Maria", long_name) for i in range(len(chosen))]
    keys = spelled(world.partner(chosen))
    first, last = [name for name, _ in names], [name for _, name in names]
    change = "name_first = v.b, name_last = v.c"
    update(site.isu, "but000", change, keyed(CLIENT, "partner", "client"), keys, first, last)
    return keys


@defect(19, "harmless", "BUT000-PARTNER")
def other_client(site: Site) -> Sequence[str]:
    """Rows of another client stand in the same tables under the same keys and must not be read."""
    world, plan, chosen = site.world, site.world.plan, site.choose(19)
    accounts, places, pods = plan.account_of(chosen), site.place(chosen), site.pod(chosen)
    premises = plan.premise_of(pods)
    partners = spelled(world.partner(np.unique(plan.partner_of(accounts))))
    renamed = {"name_last": "'Training'", "name_first": "'Client'", "partner_guid": "decode(md5(v.a), 'hex')"}
    theirs = f"'{OTHER_CLIENT}'"
    copy_rows(site.isu, "but000", {"client": theirs, **renamed}, keyed(CLIENT, "partner", "client"), partners)
    copies = (
        ("fkkvk", "vkont", world.account(np.unique(accounts))),
        ("fkkvkp", "vkont", world.account(np.unique(accounts))),
        ("ehauisu", "haus", world.house(np.unique(plan.house_of(premises)))),
        ("iflot", "tplnr", world.house(np.unique(plan.house_of(premises)))),
        ("evbs", "vstelle", world.premise(np.unique(premises))),
        ("euihead", "int_ui", world.pod(np.unique(pods))),
        ("eanl", "anlage", world.installation(places)),
        ("ever", "vertrag", world.contract(chosen)),
        ("everh", "vertrag", world.contract(chosen)),
        *((("equi", "equnr", world.device(places)),) if world.devices else ()),
    )
    for table, column, keys in copies:
        copy_rows(site.isu, table, {"mandt": theirs}, keyed(CLIENT, column), spelled(keys))
    return partners
