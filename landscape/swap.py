"""Replacement of meters: the old one is removed, its successor inherits the logical numbers."""

from __future__ import annotations

from collections.abc import Sequence

from landscape.codes import CLIENT
from landscape.rows import Connection, copy_rows, keyed, update

_OPEN = f"{keyed(CLIENT, 'equnr')} AND t.bis = '99991231'"
_NO_NUMBER = f"'{'0' * 18}'"


def replace(isu: Connection, old: Sequence[str], new: Sequence[str], last: str, first: str, *, technical: bool) -> None:
    """Replace meters `old` by new equipment numbers: the old hang until `last`, the new from `first` (DATS).

    The installation structure stays as it is, because it names logical numbers.
    """
    _create(isu, old, new, first, technical)
    history = "egerh" if technical else "egerr"
    nowhere = {"logiknr": _NO_NUMBER, "einbdat": "'00000000'", "ausbdat": "'00000000'"}
    if technical:
        nowhere["devloc"] = "''"
    for table, gone in ((history, nowhere), ("etdz", {"logikzw": _NO_NUMBER})):
        removed_on = f", ausbdat = '{last}', aedat = '{last}'" if table == history else ""
        update(isu, table, f"bis = '{last}'{removed_on}", _OPEN, old)
        ended = f"{keyed(CLIENT, 'equnr')} AND t.bis = '{last}'"
        copy_rows(isu, table, {**gone, "ab": f"'{first}'", "bis": "'99991231'"}, ended, old)


def _create(isu: Connection, old: Sequence[str], new: Sequence[str], first: str, technical: bool) -> None:
    serial, since = "'S' || right(v.b, 9)", f"'{first}'"
    slice_of = {"equnr": "v.b", "ab": since}
    fitted = {**slice_of, "einbdat": since, "erdat": since, "aedat": "'00000000'"}
    copy_rows(isu, "etdz", slice_of, _OPEN, old, new)
    if not technical:
        copy_rows(isu, "egerr", {**fitted, "geraet": serial}, _OPEN, old, new)
        return
    copy_rows(isu, "egerh", fitted, _OPEN, old, new)
    status = f"t.mandt = '{CLIENT}' AND t.objnr = 'IE' || v.a"
    own = {"equnr": "v.b", "sernr": serial, "objnr": "'IE' || v.b", "ansdt": since, "inbdt": since, "erdat": since}
    copy_rows(isu, "equi", own, keyed(CLIENT, "equnr"), old, new)
    copy_rows(isu, "egers", {"equnr": "v.b"}, keyed(CLIENT, "equnr"), old, new)
    copy_rows(isu, "jest", {"objnr": "'IE' || v.b"}, status, old, new)
    update(isu, "jest", "stat = 'I0099'", status, old)
