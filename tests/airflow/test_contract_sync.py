"""The DAG `contract_sync` run in one process: both sides meet, what waits is skipped, who must know is told."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import psycopg
import pytest

from isthmus.store import store_url
from monitor.airflow_home import metadata_url
from tests.airflow.conftest import Airflow, Ended, Ground, asked

pytestmark = [pytest.mark.airflow, pytest.mark.slow]

KEPT = ("business_partner", "contract_account", "contract")
FLOW = "business_partner.isu.crm"
NAME = "SELECT name_last FROM but000 WHERE partner = %s"


def tell(url: str, statement: Any, *values: Any) -> list[tuple[Any, ...]]:
    """Say something to a database as a person would who knows nothing of us."""
    with psycopg.connect(url) as connection:
        cursor = connection.execute(statement, values)
        return cursor.fetchall() if cursor.description else []


def person(ground: Ground, number: int) -> str:
    """Return the key of a person both systems have."""
    found = tell(ground.connections["crm"], "SELECT partner FROM but000 WHERE type = '1' ORDER BY 1 LIMIT 20")
    return str(found[number][0])


def marry(ground: Ground, system: str, partner: str, name: str) -> None:
    """Change a last name in one system."""
    changed = "UPDATE but000 SET name_last = %s, chdat = %s WHERE partner = %s"
    tell(ground.connections[system], changed, name, f"{datetime.now(UTC):%Y%m%d}", partner)


@contextmanager
def flow(values: str, before: str) -> Iterator[None]:
    """Let the partners' flow stand otherwise for a while."""
    tell(store_url(), f"UPDATE ledger.flows SET {values} WHERE flow = '{FLOW}'")
    try:
        yield
    finally:
        tell(store_url(), f"UPDATE ledger.flows SET {before} WHERE flow = '{FLOW}'")


def events_of(run: str) -> dict[str, dict[str, Any]]:
    """Return what a run published: asset -> extra."""
    found = asked(
        "SELECT a.uri, e.extra FROM asset_event e JOIN asset a ON a.id = e.asset_id WHERE e.source_run_id = %s", run
    )
    return dict(found)


@pytest.fixture(scope="module")
def synced(airflow: Airflow, first: Ended, ground: Ground) -> Ended:
    """The first synchronization after the load; one partner was changed on each side."""
    marry(ground, "isu", person(ground, 0), "Inward")
    marry(ground, "crm", person(ground, 1), "Outward")
    return airflow.run(dag="contract_sync")


def test_changes_of_both_sides_arrive(synced: Ended, ground: Ground) -> None:
    assert synced.answer["result"] == "success", synced.answer["failed"]
    assert {state for name in KEPT for state in synced.tasks[name]} == {"success"}
    assert tell(ground.connections["crm"], NAME, person(ground, 0)) == [("Inward",)]
    assert tell(ground.connections["isu"], NAME, person(ground, 1)) == [("Outward",)]


def test_what_changed_is_published_with_counts_and_positions(synced: Ended) -> None:
    extra = events_of(synced.answer["run"])["isthmus://contract_sync/business_partner"]
    assert (extra["counts"]["fields_to_target"], extra["counts"]["fields_to_source"]) == (1, 1)
    assert set(extra["watermark"]) == {"isu", "crm"}


def test_the_next_run_writes_and_publishes_nothing(airflow: Airflow, synced: Ended) -> None:
    again = airflow.run(dag="contract_sync")
    assert again.answer["result"] == "success"
    assert events_of(again.answer["run"]) == {}
    asks = "SELECT value FROM xcom WHERE run_id = %s AND task_id = 'close' AND key = 'return_value'"
    ((totals,),) = asked(asks, again.answer["run"])
    assert totals["things"] == totals["unchanged"] > 0
    assert {name for name in totals if name.startswith(("updated", "created", "fields"))} == set()


def test_only_references_travel_between_tasks(synced: Ended) -> None:
    ((largest,),) = asked("SELECT max(length(value::text)) FROM xcom WHERE run_id = %s", synced.answer["run"])
    assert largest < 2_048


@pytest.mark.parametrize(
    ("values", "before"),
    [
        ("paused = true, paused_by = 'ops', paused_why = 'audit'", "paused = false"),
        ("state = 'loading', load_run = 'another'", "state = 'loaded'"),
    ],
)
def test_an_object_that_waits_is_skipped_and_the_others_go_on(
    airflow: Airflow, synced: Ended, values: str, before: str
) -> None:
    with flow(values, before):
        ended = airflow.run(dag="contract_sync")
    assert ended.answer["result"] == "success", ended.answer["failed"]
    assert ended.tasks["business_partner"] == {"skipped"}
    assert ended.tasks["contract"] == ended.tasks["close"] == {"success"}


def test_a_look_writes_nothing(airflow: Airflow, synced: Ended, ground: Ground) -> None:
    partner = person(ground, 2)
    marry(ground, "isu", partner, "Looked")
    ended = airflow.run(dag="contract_sync", what_if=True)
    assert ended.answer["result"] == "success", ended.answer["failed"]
    assert tell(ground.connections["crm"], NAME, partner) != [("Looked",)]
    assert ended.tasks["deltas_isu"] == {"skipped"}


def test_an_object_that_fails_is_shown_and_the_others_go_on(airflow: Airflow, synced: Ended, ground: Ground) -> None:
    file = ground.folder / "mappings" / "isu" / "business_partner.yaml"
    right = file.read_text(encoding="utf-8")
    assert "BUT000.NAME_LAST" in right
    file.write_text(right.replace("BUT000.NAME_LAST", "BUT000.NAME_LOST"), encoding="utf-8")
    try:
        ended = airflow.run(dag="contract_sync", objects=["business_partner", "contract"])
    finally:
        file.write_text(right, encoding="utf-8")
    assert ended.answer["result"] == "failed"
    assert ended.tasks["business_partner"] == {"failed"}
    assert ended.tasks["contract"] == {"success"}
    assert ended.tasks["contract_account"] == {"skipped"}
    assert ended.tasks["close"] == {"upstream_failed"}


def test_deltas_of_one_way_flows_arrive_too(airflow: Airflow, synced: Ended, ground: Ground) -> None:
    isu, crm = ground.connections["isu"], ground.connections["crm"]
    ((premise,),) = tell(isu, "SELECT min(vstelle) FROM evbs")
    tell(isu, "UPDATE evbs SET aedat = %s, floor = '42' WHERE vstelle = %s", f"{datetime.now(UTC):%Y%m%d}", premise)
    ended = airflow.run(dag="contract_sync")
    assert ended.answer["result"] == "success", ended.answer["failed"]
    assert "isthmus://contract_sync/premise" in events_of(ended.answer["run"])
    assert crm


class Hook(BaseHTTPRequestHandler):
    """An address that remembers what is posted to it."""

    heard: ClassVar[list[dict[str, Any]]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.heard.append({"path": self.path, "token": self.headers["Authorization"], **json.loads(body)})
        self.send_response(204)
        self.end_headers()


class Mailbox(socketserver.StreamRequestHandler):
    """A mail server that takes everything."""

    heard: ClassVar[list[str]] = []

    def handle(self) -> None:
        self.wfile.write(b"220 here\r\n")
        for line in self.rfile:
            self.heard.append(line.decode())
            word = line[:4].upper()
            if word == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                for text in iter(self.rfile.readline, b".\r\n"):
                    self.heard.append(text.decode())
            self.wfile.write(b"221 bye\r\n" if word == b"QUIT" else b"250 fine\r\n")
            if word == b"QUIT":
                return


@contextmanager
def served(server: socketserver.TCPServer) -> Iterator[int]:
    """Let a server work while the test does."""
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()


def connect(name: str, kind: str, port: int, **more: Any) -> None:
    """Tell Airflow of a connection."""
    row = {"conn_id": name, "conn_type": kind, "host": "127.0.0.1", "port": port, **more}
    names, places = ", ".join(row), ", ".join(["%s"] * len(row))
    flags = "is_encrypted, is_extra_encrypted"
    tell(metadata_url(), f"INSERT INTO connection ({names}, {flags}) VALUES ({places}, false, false)", *row.values())


def test_an_alert_is_sent_once_by_mail_and_webhook(airflow: Airflow, synced: Ended, ground: Ground) -> None:
    with (
        served(ThreadingHTTPServer(("127.0.0.1", 0), Hook)) as hook,
        served(socketserver.TCPServer(("127.0.0.1", 0), Mailbox)) as mailbox,
    ):
        connect("chat", "http", hook, schema="http", password="secret", extra='{"path": "/isthmus"}')
        plain = '{"disable_ssl": true, "disable_tls": true, "from_email": "isthmus@example.org"}'
        connect("smtp_default", "smtp", mailbox, extra=plain)
        file = ground.folder / "isthmus.yaml"
        kept = file.read_text(encoding="utf-8")
        file.write_text(f"{kept}alerts: {{webhook: chat, email: [ops@example.org]}}\n", encoding="utf-8")
        asks = "INSERT INTO ledger.approvals (run, flow, what, share, asked_at) VALUES ('r', %s, 'mass', 0.4, now())"
        tell(store_url(), asks, FLOW)
        try:
            ended = [airflow.run(dag="contract_sync", objects=["contract"]) for _ in range(2)]
        finally:
            file.write_text(kept, encoding="utf-8")
            tell(store_url(), "DELETE FROM ledger.approvals WHERE run = 'r'")
    assert [run.answer["failed"] for run in ended] == [{}, {}]
    (heard,) = Hook.heard
    assert (heard["path"], heard["token"], heard["raised"]) == ("/isthmus", "Bearer secret", [f"approval {FLOW}"])
    assert "isthmus approve r" in heard["text"]
    assert [line.lower() for line in Mailbox.heard if line.lower().startswith("rcpt")] == [
        "rcpt to:<ops@example.org>\r\n"
    ]
