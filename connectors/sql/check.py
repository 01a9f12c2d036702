"""Try a connection step by step; says what to do, never raises, never shows a secret."""

from __future__ import annotations

import socket
from collections.abc import Callable
from urllib.parse import urlsplit

from connectors.sql.client import PortableClient, PostgresClient, Settings, first_line
from isthmus.connector import Check
from isthmus.errors import ConfigError, IsthmusError

STEPS = ("resolve", "connect", "authenticate", "read", "write")
MAY_WRITE = """
SELECT has_database_privilege(current_database(), 'TEMPORARY') AND current_setting('transaction_read_only') = 'off'
   AND EXISTS (SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
               WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
                 AND has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'INSERT'))
"""


def steps(settings: Settings, client: PostgresClient | PortableClient, names: Callable[[], list[str]]) -> list[Check]:
    """Run the steps of a check in order; those after a failure are not tried."""
    done: list[Check] = []
    tries: dict[str, Callable[[], str]] = {
        "resolve": lambda: _resolve(settings),
        "connect": lambda: _connect(client),
        "authenticate": lambda: "",
        "read": lambda: f"{len(names())} tables can be seen",
        "write": lambda: _write(client),
    }
    for step in STEPS:
        if any(check.state != "ok" for check in done):
            done.append(Check(step, "not tried"))
            continue
        try:
            done.append(Check(step, "ok", tries[step]()))
        except ConfigError as error:
            # A log-on that was refused has reached the server.
            if step == "connect" and "Logging on" in str(error):
                done += [Check("connect", "ok"), Check("authenticate", "failed", str(error))]
                done += [Check(later, "not tried") for later in STEPS[3:]]
                return done
            done.append(Check(step, "failed", settings.masked(str(error))))
        except IsthmusError as error:
            done.append(Check(step, "failed", settings.masked(str(error))))
        except Exception as error:  # a check reports whatever happens
            done.append(Check(step, "failed", settings.masked(first_line(error))))
    return done


def _resolve(settings: Settings) -> str:
    host = urlsplit(settings.url).hostname
    if host:
        try:
            socket.getaddrinfo(host, None)
        except OSError:
            raise ConfigError(
                f'The host "{host}" has no address. Check its name in the URL, or the name server.'
            ) from None
    return ""


def _connect(client: PostgresClient | PortableClient) -> str:
    with client.speaking():
        return ""


def _write(client: PostgresClient | PortableClient) -> str:
    if isinstance(client, PortableClient):
        return "permissions of this database are seen at the first write"
    with client.speaking() as session:
        if not session.execute(MAY_WRITE).fetchone()[0]:
            raise ConfigError(
                "No table may be written, or no temporary table be made. Ask the DBA for both permissions."
            )
    return ""
