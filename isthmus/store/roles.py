"""The roles and databases of the private server, and the rights they have. Running it again changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import LiteralString

import psycopg
from psycopg import errors, sql

from isthmus.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Role:
    """A login of the private server; `limit` is its share of the connections, -1 for no limit."""

    name: str
    login: str
    database: str
    about: str
    limit: int = -1


ADMIN = Role("admin", "isthmus_admin", "isthmus", "superuser, for starting and upgrading the server")
ROLES = {
    role.name: role
    for role in (
        ADMIN,
        Role("owner", "isthmus_owner", "isthmus", "owns the ledger and the warehouse and migrates them"),
        Role("engine", "isthmus_engine", "isthmus", "reads and writes them, creates staging tables and landscapes"),
        Role("analyst", "isthmus_analyst", "isthmus", "reads"),
        Role("airflow", "isthmus_airflow", "airflow", "owns Airflow's metadata", limit=40),
    )
}

# What the owner creates later belongs to the engine's and the analyst's daily work without a further grant.
RIGHTS: tuple[LiteralString, ...] = (
    "GRANT CONNECT, TEMPORARY, CREATE ON DATABASE isthmus TO isthmus_engine",
    "GRANT CONNECT, TEMPORARY ON DATABASE isthmus TO isthmus_analyst",
    "GRANT USAGE, CREATE ON SCHEMA public TO isthmus_engine",
    "GRANT USAGE ON SCHEMA public TO isthmus_analyst",
    "ALTER DEFAULT PRIVILEGES FOR ROLE isthmus_owner GRANT USAGE, CREATE ON SCHEMAS TO isthmus_engine",
    "ALTER DEFAULT PRIVILEGES FOR ROLE isthmus_owner"
    " GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES ON TABLES TO isthmus_engine",
    "ALTER DEFAULT PRIVILEGES FOR ROLE isthmus_owner GRANT USAGE, SELECT ON SEQUENCES TO isthmus_engine",
    "ALTER DEFAULT PRIVILEGES FOR ROLE isthmus_owner, isthmus_engine GRANT USAGE ON SCHEMAS TO isthmus_analyst",
    "ALTER DEFAULT PRIVILEGES FOR ROLE isthmus_owner, isthmus_engine GRANT SELECT ON TABLES TO isthmus_analyst",
    "ALTER ROLE isthmus_analyst SET default_transaction_read_only = on",
    # The second lock on the airflow database: a runaway scheduler cannot take the engine's connections.
    "ALTER DATABASE airflow CONNECTION LIMIT 40",
)


def role_named(name: str) -> Role:
    """Return a role by its short name.

    Raises ConfigError for an unknown one.
    """
    try:
        return ROLES[name]
    except KeyError:
        raise ConfigError(f"store role {name!r} does not exist; the roles are {', '.join(ROLES)}") from None


def ensure_role(connection: psycopg.Connection[object], role: Role, password: str) -> None:
    """Create a role or bring its password and limit in line; the password itself never travels to the server."""
    verifier = connection.pgconn.encrypt_password(password.encode(), role.login.encode(), b"scram-sha-256").decode()
    known = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role.login]).fetchone()
    verb = sql.SQL("ALTER") if known else sql.SQL("CREATE")
    statement = sql.SQL("{} ROLE {} LOGIN CONNECTION LIMIT {} PASSWORD {}")
    connection.execute(statement.format(verb, sql.Identifier(role.login), sql.Literal(role.limit), verifier))


def ensure_database(connection: psycopg.Connection[object], name: str, owner: str) -> None:
    """Create a database that only its owner may enter, unless it exists; needs autocommit.

    Text is UTF-8 and sorts by code point (locale C), like SAP's.
    """
    known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone()
    if known:
        return
    database = sql.Identifier(name)
    try:
        connection.execute(
            sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'").format(
                database, sql.Identifier(owner)
            )
        )
    except (errors.DuplicateDatabase, errors.UniqueViolation):
        return  # somebody else created it between the two statements
    connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database))


def provision_server(connection: psycopg.Connection[object], passwords: dict[str, str]) -> None:
    """Create the missing roles and databases; `passwords` is by role name, `connection` is autocommit."""
    for role in ROLES.values():
        ensure_role(connection, role, passwords[role.name])
    ensure_database(connection, "isthmus", ROLES["owner"].login)
    ensure_database(connection, "airflow", ROLES["airflow"].login)
    connection.execute("REVOKE CONNECT ON DATABASE postgres, template1 FROM PUBLIC")


def provision_rights(connection: psycopg.Connection[object]) -> None:
    """Grant the roles what they need; `connection` is the superuser's, in the database isthmus."""
    for statement in RIGHTS:
        connection.execute(statement)
