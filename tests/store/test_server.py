"""The private server: whoever comes and goes, it stays; whatever is killed, nothing that was committed is lost."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import psycopg
import pytest

from isthmus.errors import ConfigError
from isthmus.store import drop_database, ensure_database, server, store_url
from isthmus.store.place import Place
from isthmus.store.process import alive
from tests.store import loads


def test_a_command_beside_a_running_load_disturbs_nothing(own: Place) -> None:
    server.start(own)
    url = ensure_database("scratch")
    loads.create(url)
    load = loads.begin(url)
    before = server.status(own)
    assert loads.isthmus("store", "start").returncode == 0
    assert loads.isthmus("store", "status").returncode == 0
    assert loads.isthmus("store", "url").returncode == 0
    assert server.status(own) == before
    assert loads.let_go(load) == (0, "loaded")
    assert loads.rows(url) == 60_000


def test_the_server_survives_the_process_that_started_it(own: Place) -> None:
    code = "from isthmus import store; import os, signal; store.start(); os.kill(os.getpid(), signal.SIGKILL)"
    environment = {**os.environ, "PYTHONPATH": str(loads.ROOT)}
    done = subprocess.run([sys.executable, "-c", code], check=False, env=environment)
    assert done.returncode == -signal.SIGKILL
    assert server.status(own).state == "running"
    with psycopg.connect(store_url()) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_killing_a_client_during_a_load_leaves_no_row_and_no_lock(own: Place) -> None:
    server.start(own)
    url = ensure_database("scratch")
    loads.create(url)
    before = server.status(own)
    loads.kill(loads.begin(url))
    loads.wait_until_alone(url)
    assert loads.rows(url) == 0
    assert server.status(own) == before
    assert loads.let_go(loads.begin(url)) == (0, "loaded")


def test_killing_the_server_during_a_load_loses_only_what_was_not_committed(own: Place) -> None:
    pid = server.start(own).pid
    url = ensure_database("scratch")
    loads.create(url)
    with psycopg.connect(url) as connection:
        connection.execute("INSERT INTO load VALUES (-1, 'committed')")
    load = loads.begin(url)
    with psycopg.connect(url) as connection:
        found = connection.execute("SELECT pid FROM pg_stat_activity WHERE query LIKE 'COPY load%'").fetchone()
    assert pid is not None and found is not None
    os.kill(pid, signal.SIGKILL)
    wait_for_end(found[0])  # a session notices the end of its server when it waits for its client
    assert loads.let_go(load)[0] != 0
    wait_for_end(pid)
    assert server.status(own).state == "stopped"
    again = server.start(own)
    assert again.state == "running" and again.pid != pid
    assert loads.rows(url) == 1


@pytest.mark.slow
def test_a_recovery_of_more_than_ten_seconds_is_waited_for(own: Place) -> None:
    server.start(own)
    url = ensure_database("scratch")
    loads.create(url)
    assert loads.let_go(loads.begin(url)) == (0, "loaded")
    gate = crash_into_a_recovery_behind_a_gate(own)
    said: list[str] = []
    threading.Timer(10.5, gate.touch).start()
    began = time.monotonic()
    found = server.start(own, said.append)
    assert time.monotonic() - began > 10
    assert found.state == "running"
    assert any("the store is starting, 10 s" in text for text in said)
    assert loads.rows(url) == 60_000


def crash_into_a_recovery_behind_a_gate(place: Place) -> Path:
    """Kill the server, and let its next recovery ask an archive for the log that answers when the gate file exists."""
    gate = place.home / "gate"
    wait = f"while test ! -e {gate}; do sleep 0.1; done; false"
    place.write("local.conf", f"restore_command = '{wait}'\nhot_standby = off")
    pid = server.status(place).pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    wait_for_end(pid)
    (place.data / "recovery.signal").touch()
    os.chown(place.data / "recovery.signal", place.data.stat().st_uid, place.data.stat().st_gid)
    return gate


def wait_for_end(pid: int) -> None:
    while alive(pid):
        time.sleep(0.02)


def test_a_second_start_waits_for_a_recovery_that_the_first_began(own: Place) -> None:
    server.start(own)
    gate = crash_into_a_recovery_behind_a_gate(own)
    first = threading.Thread(target=server.start, args=(own,))
    first.start()
    deadline = time.monotonic() + 30
    while server.status(own).state == "stopped" and time.monotonic() < deadline:
        time.sleep(0.01)
    assert server.status(own).state == "starting"
    threading.Timer(0.5, gate.touch).start()
    said: list[str] = []
    assert server.start(own, said.append).state == "running"
    assert "another process is starting the store; waiting for it" in said
    first.join()


def test_two_starts_at_once_make_one_server(own: Place) -> None:
    command = [sys.executable, "-m", "isthmus.cli", "store", "start"]
    environment = {**os.environ, "PYTHONPATH": str(loads.ROOT)}
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) for _ in range(2)]
    said = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert said[0] == said[1]
    assert f"process {server.status(own).pid}," in said[0]


def test_stop_ends_sessions_and_a_second_stop_finds_nothing_to_do(own: Place) -> None:
    server.start(own)
    with psycopg.connect(store_url()) as session:
        assert server.stop(own)
        with pytest.raises(psycopg.OperationalError):
            session.execute("SELECT 1")
    assert server.status(own).state == "stopped"
    assert not server.stop(own)


def test_stop_without_patience_ends_a_server_that_would_not_leave(own: Place) -> None:
    found = server.start(own)
    assert found.pid is not None
    assert server.stop(own, patience=0.0)
    assert not alive(found.pid)
    assert server.start(own).state == "running"


def test_a_pid_file_of_a_dead_or_another_process_is_not_believed(own: Place) -> None:
    found = server.start(own)
    server.stop(own)
    owner = own.data.stat()
    with contextlib.ExitStack() as stack:
        other = subprocess.Popen(["sleep", "60"], **({"user": owner.st_uid} if os.geteuid() == 0 else {}))  # type: ignore[call-overload]
        stack.callback(other.wait)
        stack.callback(other.kill)
        dead = subprocess.Popen(["true"])
        stack.callback(dead.wait)  # until then it stays in the table of processes, ended but not collected
        for pid in (dead.pid, os.getpid(), other.pid):
            stale = own.data / "postmaster.pid"
            stale.write_text(f"{pid}\n{own.data}\n0\n{found.port}\n\n127.0.0.1\n\nready\n", encoding="ascii")
            os.chown(stale, owner.st_uid, owner.st_gid)
            assert server.status(own).state == "stopped"
            assert not server.stop(own)
            assert server.start(own).state == "running"
            server.stop(own)


def test_another_port_is_chosen_when_somebody_else_took_ours(own: Place) -> None:
    port = server.start(own).port
    server.stop(own)
    assert port is not None
    with socket.socket() as squatter:
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        squatter.bind(("127.0.0.1", port))
        squatter.listen()
        again = server.start(own)
        assert again.port != port
    server.stop(own)
    assert server.start(own).port == again.port
    with psycopg.connect(store_url()) as connection:
        assert connection.info.port == again.port


def test_remove_deletes_everything(own: Place) -> None:
    server.start(own)
    folder = own.server_folder
    server.remove(own)
    assert server.status(own).state == "absent"
    assert not own.folder.exists() and not folder.exists()


def test_a_creation_that_was_interrupted_begins_again(own: Place) -> None:
    half = own.folder / "server" / "data.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n", encoding="ascii")
    own.folder.chmod(0o711)
    assert server.start(own).state == "running"
    assert not half.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs another account; run the tests as root to see it")
class TestAsRoot:
    def test_the_server_runs_as_an_ordinary_user_in_a_folder_of_its_own(self, own: Place) -> None:
        pid = server.start(own).pid
        assert Path(f"/proc/{pid}").stat().st_uid != 0
        assert own.data.stat().st_uid == Path(f"/proc/{pid}").stat().st_uid
        assert own.data.stat().st_mode & 0o777 == 0o700
        assert own.server_folder.stat().st_uid == 0

    def test_a_closed_project_folder_stays_closed(self, own: Place) -> None:
        own.home.chmod(0o700)
        server.start(own)
        try:
            assert own.home.stat().st_mode & 0o777 == 0o700
            assert own.home not in own.data.parents
            assert own.read("location") == str(own.server_folder)
            with psycopg.connect(store_url()) as connection:
                assert connection.execute("SELECT 1").fetchone() == (1,)
        finally:
            server.remove(own)
        assert not own.server_folder.exists()

    def test_a_copied_project_does_not_share_the_store_of_the_original(self, own: Place) -> None:
        own.home.chmod(0o700)
        server.start(own)
        copy = Place(own.home / "copy" / ".isthmus" / "store")
        for name in ("identity", "location", "layout", "port"):
            copy.write(name, own.read(name) or "")
        with pytest.raises(ConfigError, match="was copied from"):
            server.start(copy)


def test_drop_refuses_the_databases_of_the_store(store: Place) -> None:
    with pytest.raises(ConfigError, match="belongs to the store itself"):
        drop_database("isthmus", place=store)
