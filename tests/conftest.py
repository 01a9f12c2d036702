"""The servers that tests run against: one private store a session, and what else answers on this machine."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pymysql
import pytest
from xdist.scheduler import LoadFileScheduling

from isthmus.store import drop_database, ensure_database, server
from isthmus.store.place import Place
from isthmus.store.process import alive

# A test store forgets everything anyway. Tests of crashes start a server of their own, with its true settings.
# Logging on by 4,096 rounds of SCRAM costs more than what most tests then ask.
FAST = (
    "fsync = off\nsynchronous_commit = off\nfull_page_writes = off\nshared_buffers = '64MB'\nmax_wal_size = '1GB'\n"
    "scram_iterations = 1"
)
POSTGRES = os.environ.get("ISTHMUS_TEST_POSTGRES_URL", "postgresql://postgres@127.0.0.1:5432/postgres")
MARIADB = os.environ.get("ISTHMUS_TEST_MARIADB_URL", "mysql+pymysql://root@127.0.0.1:3306/test")
PREFIX = "isthmus-tests-"
MEMORY, PLENTY = Path("/dev/shm"), 8 << 30


FOLDERS = ("airflow", "sim", "flows", "warehouse")  # the longest first, or the last worker would be alone with them
ALONE = "test_launch.py"  # asks about whatever other tests left behind
UNTOUCHED = "test_initial_download.py"  # counts a landscape that nobody has changed yet, so it begins


class ByFile(LoadFileScheduling):  # type: ignore[misc]
    """Keeps the tests of a file on one worker, and all of Airflow's but those that need a landscape of their own."""

    def _split_scope(self, nodeid: str) -> str:
        file = str(super()._split_scope(nodeid))
        shares = file.startswith("tests/airflow/") and not file.endswith(ALONE)
        return "tests/airflow" if shares else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    """Have tests handed out by file."""
    return ByFile(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest."""
    rank = {folder: place for place, folder in enumerate(FOLDERS)}
    folders = {item: item.path.relative_to(Path(__file__).parent).parts[0] for item in items}
    items.sort(key=lambda item: (rank.get(folders[item], len(FOLDERS)), item.path.name != UNTOUCHED))


@pytest.fixture(autouse=True)
def _no_store_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep tests away from a store that the caller's environment names."""
    for name in [name for name in os.environ if name.startswith("ISTHMUS_DATABASE_URL")]:
        monkeypatch.delenv(name)


def new_home() -> Path:
    """Return an empty project folder that the server's account can reach, also when root runs the tests."""
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=_room())).resolve()
    folder.chmod(0o755)
    (folder / "owner").write_text(str(os.getpid()), encoding="ascii")
    return folder


def _room() -> Path:
    """Return a folder in memory where there is plenty of it: databases are copied there in a sixth of the time."""
    with contextlib.suppress(OSError):
        if shutil.disk_usage(MEMORY).free > PLENTY:
            return MEMORY
    return Path(tempfile.gettempdir())


def remove_home(folder: Path) -> None:
    """Stop the store of a test's project folder and remove both."""
    server.remove(Place(folder / ".isthmus" / "store"))
    shutil.rmtree(folder, ignore_errors=True)


def _remove_left_over() -> None:
    """Remove the stores of test runs that were killed."""
    for folder in (*MEMORY.glob(f"{PREFIX}*"), *Path(tempfile.gettempdir()).glob(f"{PREFIX}*")):
        with contextlib.suppress(OSError, ValueError):
            if not alive(int((folder / "owner").read_text(encoding="ascii"))):
                remove_home(folder.resolve())


@pytest.fixture(scope="session")
def store() -> Iterator[Place]:
    """A running private store that all tests of the session share; pass it as `place` to isthmus.store's functions."""
    _remove_left_over()
    folder = new_home()
    place = Place(folder / ".isthmus" / "store")
    place.write("local.conf", FAST)
    place.folder.chmod(0o711)
    try:
        server.start(place)
        yield place
    finally:
        remove_home(folder)


@pytest.fixture
def fresh_database(store: Place) -> Iterator[str]:
    """The URL of a new empty database in the shared store, owned by the engine and dropped afterwards."""
    name = _name()
    yield ensure_database(name, place=store)
    drop_database(name, place=store)


def end_sessions(server: psycopg.Connection[Any], *, within: str = "") -> None:
    """End the other sessions with this server's database, or those `within` a state; its own workers are left alone."""
    server.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = current_database()"
        " AND pid <> pg_backend_pid() AND backend_type = 'client backend' AND %(within)s IN ('', state)",
        {"within": within},
    )


@pytest.fixture(params=["embedded", "server"])
def any_postgres(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a new empty database: once in the private store, once in a real PostgreSQL where one answers."""
    if request.param == "embedded":
        yield request.getfixturevalue("fresh_database")
        return
    name = _name()
    try:
        connection = psycopg.connect(POSTGRES, autocommit=True, connect_timeout=3)
    except psycopg.OperationalError:
        missing(
            "postgres",
            "no PostgreSQL at 127.0.0.1:5432 for user postgres; start one (docker run -p 5432:5432 "
            "-e POSTGRES_HOST_AUTH_METHOD=trust postgres) or set ISTHMUS_TEST_POSTGRES_URL",
        )
    with contextlib.closing(connection):
        connection.execute(
            psycopg.sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(psycopg.sql.Identifier(name))
        )
        try:
            yield urlunsplit(urlsplit(POSTGRES)._replace(path=f"/{name}"))
        finally:
            connection.execute(psycopg.sql.SQL("DROP DATABASE {} WITH (FORCE)").format(psycopg.sql.Identifier(name)))


@pytest.fixture
def mariadb_url() -> Iterator[str]:
    """The SQLAlchemy URL of a new empty database in MariaDB, dropped afterwards."""
    parts, name = urlsplit(MARIADB), _name()
    try:
        connection = pymysql.connect(
            host=parts.hostname or "127.0.0.1",
            port=parts.port or 3306,
            user=parts.username or "root",
            password=parts.password or "",
            connect_timeout=3,
        )
    except pymysql.err.OperationalError:
        missing(
            "mariadb",
            "no MariaDB at 127.0.0.1:3306 for root without password; start one (docker run -p 3306:3306 "
            "-e MARIADB_ALLOW_EMPTY_ROOT_PASSWORD=1 mariadb) or set ISTHMUS_TEST_MARIADB_URL",
        )
    with contextlib.closing(connection), connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
        try:
            yield urlunsplit(parts._replace(path=f"/{name}"))
        finally:
            cursor.execute(f"DROP DATABASE {name}")


def missing(service: str, reason: str) -> NoReturn:
    """Skip the test, or fail it where ISTHMUS_REQUIRE_SERVICES says that this service must be there."""
    required = os.environ.get("ISTHMUS_REQUIRE_SERVICES", "").replace(",", " ").split()
    if service in required:
        pytest.fail(f"{reason} (required by ISTHMUS_REQUIRE_SERVICES)")
    pytest.skip(reason)


def _name() -> str:
    return f"isthmus_test_{uuid.uuid4().hex[:12]}"
