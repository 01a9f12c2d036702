"""Defects of time slices, devices and readings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from landscape import swap
from landscape.codes import CLIENT
from landscape.columns import OPEN, Days, dats, padded
from landscape.defects.site import Site, defect, spelled
from landscape.draw import Mask
from landscape.plan import BLOCK, SWAPPED
from landscape.rows import keyed, update


def _changed_rate_once(site: Site) -> tuple[Mask, Days]:
    """Return which contracts have exactly two product slices, and the first day of the second."""
    start, end = site.world.tenancy(site.contracts)
    second, third = site.world.slices(site.place(site.contracts))
    once = (second > start + 20) & (second + 40 < np.minimum(end, site.world.now)) & (third >= OPEN)
    return once, second


@defect(3, "warned", "EUITRANS-INT_UI")
def broken_slices(site: Site) -> Sequence[str]:
    """Two slices of a point of delivery's external id overlap by ten days, or leave a gap of ten days."""
    chosen = site.pod(site.choose(3, site.world.renamed(site.pod(site.contracts))))
    start = site.world.renamed_on(chosen)
    shift = np.where(np.arange(len(chosen)) % 2 == 0, -10, 10)
    keys, match = spelled(site.world.pod(chosen)), f"{keyed(CLIENT, 'int_ui')} AND t.dateto = '99991231'"
    update(site.isu, "euitrans", "datefrom = v.b", match, keys, spelled(dats(start + shift)))
    return keys


@defect(12, "harmless", "EVERH-VERTRAG")
def rate_change_collapsed(site: Site) -> Sequence[str]:
    """The rate changed during a contract, but its product history holds one slice only."""
    mask, _ = _changed_rate_once(site)
    chosen = site.choose(12, mask)
    keys, (start, _) = site.numbers(chosen), site.world.tenancy(chosen)
    site.isu.execute("DELETE FROM everh WHERE mandt = %s AND vertrag = ANY(%s) AND num = '0001'", (CLIENT, keys))
    change = "ab = v.b, num = '0001'"
    update(site.isu, "everh", change, keyed(CLIENT, "vertrag"), keys, spelled(dats(start)))
    return keys


@defect(13, "harmless", "ETDZ-EQUNR")
def swap_keeps_logical_numbers(site: Site) -> Sequence[str]:
    """A meter was replaced and its successor inherited the logical device and register numbers."""
    world = site.world
    places = np.unique(site.place(site.choose(13, ~np.isin(site.place(site.contracts) % BLOCK, SWAPPED))))
    old, new = spelled(world.device(places)), spelled(world.device(700_000_000 + places))
    last, first = spelled(dats(world.now - np.array([200, 199])))
    swap.replace(site.isu, old, new, last, first, technical=world.devices)
    return new


@defect(14, "harmless", "EABL-ABLBELNR")
def register_rollover(site: Site) -> Sequence[str]:
    """A register ran over: the last reading is lower than the one before."""
    if site.world.readings < 2:
        return ()
    register = (10_000_000 + site.place(site.choose(14))) * 4
    last = spelled(padded(register * 100 + site.world.readings - 1, 20))
    before = spelled(padded(register * 100 + site.world.readings - 2, 20))
    update(site.isu, "eabl", "v_zwstand = 999876", keyed(CLIENT, "ablbelnr"), before)
    update(site.isu, "eabl", "v_zwstand = 42", keyed(CLIENT, "ablbelnr"), last)
    return last


@defect(21, "warned", "EQUI-EQUNR")
def available_but_installed(site: Site) -> Sequence[str]:
    """A device's status says available while an open slice still binds it to an installation."""
    if not site.world.devices:
        return ()
    keys = spelled(site.world.device(np.unique(site.place(site.choose(21)))))
    update(site.isu, "jest", "stat = 'I0099'", f"t.mandt = '{CLIENT}' AND t.objnr = 'IE' || v.a", keys)
    return keys


@defect(24, "repaired", "EUITRANS-INT_UI")
def open_slice_without_end_of_day(site: Site) -> Sequence[str]:
    """The open slice of an external id ends at midnight instead of 23:59:59."""
    keys = spelled(site.world.pod(np.unique(site.pod(site.choose(24)))))
    match = f"{keyed(CLIENT, 'int_ui')} AND t.dateto = '99991231'"
    update(site.isu, "euitrans", "timeto = '000000'", match, keys)
    return keys
