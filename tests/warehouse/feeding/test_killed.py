"""Killed behind any statement and run again, a load brings what changed, once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from tests.flows.house import ROOT, House
from tests.warehouse.feeding.conftest import depot_of, live, rows
from warehouse import orchestrate

WORK = "import sys; from warehouse.command import app; app(sys.argv[1:])"
POINTS = (
    "requests/note package",
    "requests/set pointer",
    "derive/write",
    "rollup/facts",
    "publish/publish",
)


def die(house: House, point: str) -> int:
    """Load in a process that dies behind a statement, and return how it ended."""
    command = [sys.executable, "-c", WORK, "load", "contract", "account_size"]
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, "ISTHMUS_FAILPOINT": point}, capture_output=True, check=False
    ).returncode


@pytest.mark.slow
def test_a_load_that_is_killed_anywhere_goes_on_and_loses_nothing(stocked: House) -> None:
    with depot_of(stocked) as depot:
        orchestrate.bring_up(depot)
        orchestrate.publish(depot)
    for number, point in enumerate(POINTS):
        key = stocked.ask("isu", "SELECT vertrag FROM ever ORDER BY 1 OFFSET %s LIMIT 1", number)[0][0]
        account = stocked.ask("isu", "SELECT vkonto FROM ever ORDER BY 1 DESC LIMIT 1")[0][0]
        day = f"203{number}1231"
        stocked.tell("isu", "UPDATE ever SET auszdat = %s, vkonto = %s WHERE vertrag = %s", day, account, key)
        assert die(stocked, point) == -signal.SIGKILL, point
        with depot_of(stocked) as depot:
            assert not [step.wrong for step in orchestrate.bring_up(depot) if step.wrong], point
            orchestrate.publish(depot)
            held = dict(live(depot, "contract", "number, ends_on::text || ' ' || account"))
            assert held[key.lstrip("0")] == f"203{number}-12-31 {account.lstrip('0')}", point
            sizes = rows(depot, "SELECT sum(size) FROM warehouse.active_account_size WHERE NOT deleted")
            assert sizes == [(len(held),)], point
            assert orchestrate.verify(depot).differing == [], point
            images = "SELECT count(*) FROM warehouse.changes_contract WHERE number = %s AND image = ''"
            assert rows(depot, images, key.lstrip("0")) == [(1,)], point
