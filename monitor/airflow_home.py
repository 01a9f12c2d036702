"""The environment Airflow runs in: one block of settings for the demo, the launcher and the tests.

Everything generated stands under `.isthmus/airflow`, secrets in files of mode 0600.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from isthmus.home import home, private_folder
from isthmus.store import ensure_database, store_url
from isthmus.store.url import VARIABLE

ROOT = Path(__file__).resolve().parent.parent
DATABASE = "isthmus_airflow"  # beside a store of your own; the private server brings a database `airflow`
USERS = {"admin": "admin", "op": "op", "user": "user", "viewer": "viewer"}  # name: role


@dataclass(frozen=True, slots=True)
class AirflowHome:
    """The folder Airflow works in, `.isthmus/airflow` of a project."""

    folder: Path

    @classmethod
    def of_project(cls) -> AirflowHome:
        """Return the project's Airflow home, created when it is not there."""
        folder = private_folder() / "airflow"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return cls(folder)

    @property
    def logs(self) -> Path:
        """Where the components write what they have to say."""
        return self.folder.parent / "logs"

    @property
    def passwords_file(self) -> Path:
        """The file that SimpleAuthManager reads the users' passwords from."""
        return self.folder / "passwords.json"

    @property
    def dags(self) -> Path:
        """The project's DAGs, else those that come with Isthmus."""
        own = home() / "dags"
        return own if own.is_dir() else ROOT / "dags"

    def passwords(self) -> dict[str, str]:
        """Return every user's password; those who have none get one, the others keep theirs."""
        kept: dict[str, str] = {}
        if self.passwords_file.is_file():
            kept = json.loads(self.passwords_file.read_text(encoding="utf-8") or "{}")
        known = {name: kept.get(name) or secrets.token_urlsafe(12) for name in USERS}
        if known != kept or self.passwords_file.stat().st_mode & 0o077:
            write_secret(self.passwords_file, json.dumps(known))
        return known

    def secret(self, name: str, new: str) -> str:
        """Return a kept secret; `new` is kept when there is none."""
        file = self.folder / name
        if not file.is_file():
            write_secret(file, new)
        return file.read_text(encoding="utf-8").strip()

    @property
    def ports_file(self) -> Path:
        """The file that keeps which ports the servers listen on."""
        return self.folder / "ports.json"

    def environment(self, ports: Mapping[str, int] | None = None) -> dict[str, str]:
        """Return the variables of Airflow's processes; with `ports` those of the servers as well.

        Raises ConfigError where there is no store.
        """
        self.passwords()
        database = f"postgresql+psycopg{metadata_url().removeprefix('postgresql')}"
        said = {
            "core": {
                "dags_folder": str(self.dags),
                "load_examples": "False",
                "executor": "LocalExecutor",
                "parallelism": str(max(4, 2 * (os.cpu_count() or 2))),
                "dags_are_paused_at_creation": "False",
                "fernet_key": self.secret("fernet", base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()),
                "auth_manager": "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager",
                "simple_auth_manager_users": ",".join(f"{name}:{role}" for name, role in USERS.items()),
                "simple_auth_manager_passwords_file": str(self.passwords_file),
                "test_connection": "Enabled",
            },
            # One driver for both: psycopg speaks synchronously and asynchronously.
            "database": {"sql_alchemy_conn": database, "sql_alchemy_conn_async": database},
            "api": {"host": "127.0.0.1", "workers": "1", "secret_key": self.secret("session", secrets.token_hex(32))},
            "api_auth": {"jwt_secret": self.secret("jwt", secrets.token_hex(64))},
            "scheduler": {"scheduler_idle_sleep_time": "0.2", "task_instance_heartbeat_timeout": "60"},
            # How long a supervisor may sleep when the end of its task escaped it.
            "workers": {"min_heartbeat_interval": "1"},
            "dag_processor": {"refresh_interval": "10", "min_file_process_interval": "15"},
            "logging": {"base_log_folder": str(self.logs / "tasks")},
        }
        if ports:
            url = f"http://127.0.0.1:{ports['api']}"
            said["api"] |= {"port": str(ports["api"]), "base_url": url}
            said["core"]["execution_api_server_url"] = f"{url}/execution/"
            said["logging"] |= {
                "worker_log_server_port": str(ports["worker_log"]),
                "trigger_log_server_port": str(ports["trigger_log"]),
            }
        block = {
            f"AIRFLOW__{part}__{name}".upper(): value for part, names in said.items() for name, value in names.items()
        }
        return {"AIRFLOW_HOME": str(self.folder), "ISTHMUS_HOME": str(home()), **block}


def metadata_url() -> str:
    """Return the URL of Airflow's metadata: a database of its own on the store's server.

    With a store of your own it is `ISTHMUS_DATABASE_URL_AIRFLOW`, else created beside it when allowed.
    """
    if os.environ.get(VARIABLE) and not os.environ.get(f"{VARIABLE}_AIRFLOW"):
        return _plain(ensure_database(DATABASE))
    return _plain(store_url("airflow"))


def _plain(url: str) -> str:
    """Name the dialect alone, whatever driver or old spelling the URL comes with."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(scheme="postgresql"))


def child_environment(block: Mapping[str, str]) -> dict[str, str]:
    """Return the whole environment of a child: ours and the block; Airflow's other variables stay as you set them."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**inherited, **block}


def write_secret(file: Path, text: str) -> None:
    """Write a file at once and whole that its owner alone can read."""
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_name(f"{file.name}.{os.getpid()}.new")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as stream:
        stream.write(text + "\n")
    new.replace(file)
