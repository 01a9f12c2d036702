"""What all documents of CRM's one-order model have: header, sets and how they are found, statuses and their changes."""

from __future__ import annotations

from typing import Any

import numpy as np

from landscape.codes import CLIENT, CRM_SYSTEM
from landscape.columns import Columns, Days, dats, stamps, text, tims
from landscape.draw import Ids

HEADER, ITEM = "05", "06"
PARTNERS, ORGANIZATION, SUBJECTS = "07", "21", "29"
CURRENCY = "EUR"
MONTHS = 720
"""The days that documents go back."""
_HEX = np.array([[*f"{byte:02X}".encode()] for byte in range(256)], dtype=np.uint8)


def header(guid: Any, number: Any, kind: str, process: str, made: Days, seconds: Ids, changed: Days) -> Columns:
    """Return headers of one object type; `changed` may be the day they were made."""
    return {
        "CLIENT": CLIENT,
        "GUID": guid,
        "OBJECT_ID": number,
        "PROCESS_TYPE": process,
        "POSTING_DATE": dats(made),
        "DESCR_LANGUAGE": "E",
        "LOGICAL_SYSTEM": CRM_SYSTEM,
        "OBJECT_TYPE": kind,
        **written(made, seconds, changed),
    }


def written(made: Days, seconds: Ids, changed: Days) -> Columns:
    """Return when rows were made and changed last; a change comes later than the making, also on the same day."""
    return {
        "CREATED_AT": stamps(made, seconds),
        "CHANGED_AT": stamps(changed, np.where(changed > made, seconds, np.minimum(seconds + 240, 86_399))),
        "CHANGED_BY": "SYSTEM",
    }


def links(high: Any, sets: Any, of: str, kind: str) -> Columns:
    """Return the links from headers or items to their sets of one kind."""
    return {"CLIENT": CLIENT, "GUID_HI": high, "GUID_SET": sets, "OBJTYPE_HI": of, "OBJTYPE_SET": kind}


def subjects(sets: Any, group: str, code: Any) -> Columns:
    """Return the one subject of each set."""
    return {"CLIENT": CLIENT, "GUID": sets, "KATALOGART": "CR", "CODEGRUPPE": group, "CODE": code}


def spelled(guids: Any) -> Any:
    """Return GUIDs as 32 hexadecimal digits, as CHAR columns hold them."""
    data = np.frombuffer(guids.buffers()[2], np.uint8)[guids.offset * 16 : (guids.offset + len(guids)) * 16]
    return text(_HEX[data].reshape(len(guids), 32))


def statuses(objects: Any, status: Any, *, active: bool = True) -> Columns:
    """Return one status of each object; one that is not active any more has been changed once since it was set."""
    row = {"MANDT": CLIENT, "OBJNR": objects, "STAT": status}
    return {**row, "CHGNR": "001"} if active else {**row, "INACT": "X", "CHGNR": "002"}


def status_changes(objects: Any, status: Any, day: Days, seconds: Ids, *, active: bool = True) -> Columns:
    """Return the change documents that belong to `statuses`."""
    return {
        "MANDT": CLIENT,
        "OBJNR": objects,
        "STAT": status,
        "CHGNR": "001" if active else "002",
        "INACT": "" if active else "X",
        "USNAM": "SYSTEM",
        "UDATE": dats(day),
        "UTIME": tims(seconds),
    }
