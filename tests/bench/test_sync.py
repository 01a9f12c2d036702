"""What the benchmark of synchronization measures is true: a multiplied landscape is in step, and changes arrive."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from bench import landscapes, server, sync, synchronized
from isthmus.store.place import Place

LOADED, CONTRACTS, CHANGES = 1_000, 3_000, 200
BOTH = """
SELECT x.a4isucontr, h.description, x.a4contend, i.ordered_prod FROM crmd_isuexta4 x
JOIN crmd_orderadm_i i ON i.client = x.client AND i.guid = x.guid
JOIN crmd_orderadm_h h ON h.client = i.client AND h.guid = i.header WHERE x.a4isucontr = ANY(%s) ORDER BY 1
"""
BACK = """
SELECT vertrag, vbez, auszdat, (SELECT crm_product FROM everh h WHERE h.mandt = e.mandt AND h.vertrag = e.vertrag
    AND h.bis = '99991231') FROM ever e WHERE vertrag = ANY(%s) ORDER BY 1
"""


@pytest.fixture(scope="module")
def names(store: Place) -> Iterator[dict[str, str]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server, "PLACE", store)
        patch.setattr(synchronized, "LOADED", LOADED)
        made = synchronized.databases(CONTRACTS)
        yield made
        base = [f"bench_sync_base_{part}_{LOADED}" for part in synchronized.PARTS]
        for name in (*made.values(), *base, landscapes.LEDGER):
            server.drop(name)


def carried(names: dict[str, str]) -> dict[str, int]:
    counts: dict[str, int] = sync.once(names, server.start()).said["runs"][0]["counts"]
    return counts


def writes(counts: dict[str, int]) -> int:
    return sum(count for name, count in counts.items() if name.startswith(("updated", "created")))


def ask(database: str, statement: str, keys: list[str]) -> list[tuple[object, ...]]:
    with psycopg.connect(server.url(database)) as connection:
        return connection.execute(statement.encode(), [keys]).fetchall()


def test_a_multiplied_landscape_is_in_step(names: dict[str, str]) -> None:
    touched = synchronized.touch(names, CONTRACTS, 500, "touched")
    assert {key[:5] for key in touched} == {"00001", "00011", "00021"}  # of every copy
    counts = carried(names)
    assert (counts["things"], counts["unchanged"], writes(counts)) == (500, 500, 0)


def test_changes_arrive_on_the_other_side_and_conflicts_are_held(names: dict[str, str]) -> None:
    made = synchronized.change(names, CONTRACTS, CHANGES, "changed")
    counts = carried(names)
    assert counts["things"] == CHANGES
    assert counts["conflicts"] == len(made.both_text) == 2
    assert counts["updated_target"] == len([*made.back_text, *made.back_end])
    # Along with any change IS-U hears of its counterpart in CRM, which the load has not told it.
    assert counts["updated_source"] == CHANGES - len(made.both_text)
    agreed = [*made.back_text, *made.back_end, *made.front_text, *made.front_end, *made.front_product]
    assert len(ask(names["isu"], BACK, agreed)) == len(agreed)
    assert ask(names["isu"], BACK, agreed) == ask(names["crm"], BOTH, agreed)
    held = list(made.both_text)
    assert ask(names["isu"], BACK, held) != ask(names["crm"], BOTH, held)


def test_the_run_after_it_writes_nothing(names: dict[str, str]) -> None:
    synchronized.change(names, CONTRACTS, CHANGES, "again")
    assert writes(carried(names)) > 0
    assert writes(carried(names)) == 0
