"""Engines that are broken on purpose: each must be caught, or the histories prove nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from warehouse import activate, columns, inbound, posted, requests, shape_fill
from warehouse.statement import statements

Break = Callable[[pytest.MonkeyPatch], None]


@dataclass(frozen=True)
class Mutant:
    """A broken engine, and the first history that is known to catch it."""

    name: str
    breaks: Break
    seed: int = 0


def said(file: str, name: str, old: str, new: str) -> Break:
    """Return a break of one statement: some words of it are others."""

    def breaks(patch: pytest.MonkeyPatch) -> None:
        texts = statements(file).texts
        assert old in texts[name], f"{file}: {name} no longer says {old!r}"
        patch.setitem(texts, name, texts[name].replace(old, new))

    return breaks


def left_out(file: str, name: str) -> Break:
    """Return a break that leaves a statement out."""
    return lambda patch: patch.setitem(statements(file).texts, name, "SELECT WHERE false")


def posted_anew(patch: pytest.MonkeyPatch) -> None:
    """Before images carry what would be posted today."""
    made = activate._parts

    def today(*given: Any) -> dict[str, str]:
        parts = made(*given)
        looked_up = 'lookup_0."region"' in parts["posted"]
        return parts | {"former": parts["former"].replace('a."region"', 'lookup_0."region"')} if looked_up else parts

    patch.setattr(activate, "_parts", today)


def nothing_equals_nothing(patch: pytest.MonkeyPatch) -> None:
    """Full loads are compared by a plain inequality."""
    patch.setattr(inbound, "differ", lambda *given: columns.differ(*given).replace("IS DISTINCT FROM", "<>"))


def forgets_that_it_was_done(patch: pytest.MonkeyPatch) -> None:
    """An activation does not note that it happened."""
    patch.setattr(activate, "note", lambda *given, control, **more: requests.note(*given, **more))


def reversal_posts_anew(patch: pytest.MonkeyPatch) -> None:
    """A reversal looks attributes up as they are now."""
    look_up = posted.look_up

    def anew(connection: Any, warehouse: Any, store: Any, request: Any, *rest: Any, **more: Any) -> Any:
        return look_up(connection, warehouse, store, replace(request, mode="CORRECTION"), *rest, **more)

    patch.setattr(activate, "look_up", anew)


def days_ignored(patch: pytest.MonkeyPatch) -> None:
    """Attributes are posted as they are now, whatever the day of the record."""
    lookups = posted._lookups
    patch.setattr(posted, "_lookups", lambda *given: (replace(item, on="") for item in lookups(*given)))


def any_source(patch: pytest.MonkeyPatch) -> None:
    """Where two systems know a member, the last one named counts."""
    rank = shape_fill.rank
    patch.setattr(posted, "rank", lambda store, of: rank(replace(store, feeds=store.feeds[::-1]), of))


MUTANTS = (
    Mutant("no before images of changes", said("activate", "before images", "IN ('leaves', 'changes')", "= 'leaves'")),
    Mutant("before images count like after images", said("activate", "before images", "-1, ''", "1, ''")),
    Mutant("tombstones ignored", said("activate", "work", "THEN 'late'", "AND NOT a.deleted THEN 'late'"), 2),
    Mutant("late records taken", said("activate", "work", "THEN 'late'", "AND false THEN 'late'")),
    Mutant("equal records change", said("activate", "work", "AND {differ} THEN", "THEN")),
    Mutant("first record of a key counts", said("inbound", "effective", "DESC NULLS LAST", "ASC")),
    Mutant("held records taken", said("inbound", "unless held", "AND NOT", "AND true OR NOT")),
    Mutant("tombstones without sequence", said("activate", "leave", "w.sequence", "NULL")),
    Mutant("sequence does not move on", left_out("activate", "touch")),
    Mutant("unknown deletes leave nothing", left_out("activate", "keep out")),
    Mutant("before images posted anew", posted_anew),
    Mutant("attributes of today", days_ignored),
    Mutant("any source of a member", any_source),
    Mutant("activation not noted", forgets_that_it_was_done),
    Mutant("slices of one day pile up", left_out("history", "drop same day"), 4),
    Mutant("equal slices not joined", left_out("history", "extend"), 4),
    Mutant("rolled up twice", said("rollup", "is rolled up", "EXISTS", "NOT EXISTS")),
    Mutant("roll-up forgets before images", said("rollup", "images", "sign <> 0", "sign > 0")),
    Mutant("facts stay after compression", left_out("compress", "drop facts")),
    Mutant("compression overwrites", said("compress", "absorb", "t.records + excluded", "excluded")),
    Mutant("cells without records dropped", said("compress", "drop zeros", "{zero}", ""), 14),
    Mutant("deleted under later records", said("undo", "later", "GROUP BY", "AND false GROUP BY"), 10),
    Mutant("undo forgets tombstones", left_out("undo", "bury"), 4),
    Mutant("undo forgets sequences", left_out("undo", "untouch"), 6),
    Mutant("undo leaves what had entered", left_out("undo", "remove")),
    Mutant("undo leaves facts", left_out("undo", "drop facts")),
    Mutant("undo leaves history", said("undo", "turned", "WHERE", "WHERE false AND"), 4),
    Mutant("undo forgets what was held", left_out("requests", "reopen held"), 9),
    Mutant("reversal posts anew", reversal_posts_anew, 1),
    Mutant("reversal of what changed since", said("undo", "changed since", "AND u.sign", "AND false AND u.sign"), 4),
    Mutant("followers go on", said("held", "follow", "WHERE i.request_id", "WHERE false AND i.request_id")),
    Mutant("corrected from an older record", said("held", "newest", "i.request_id DESC", "i.request_id"), 9),
    Mutant("full loads delete nothing", said("inbound", "gone", "NOT a.deleted", "false")),
    Mutant("full loads delete what was unread", said("inbound", "gone", "h.state = 'open'", "false"), 2),
    Mutant("full loads compare nothing with nothing", nothing_equals_nothing, 1),
    Mutant("verify forgets what is not rolled up", said("verify", "not rolled up", "sign <> 0", "false"), 1),
    Mutant("rebuild forgets what is not published", said("verify", "not published", "sign <> 0", "false"), 5),
)
