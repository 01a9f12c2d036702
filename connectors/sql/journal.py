"""Receipts kept in the target, in the transaction of the rows they prove."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from connectors.sql.client import PostgresClient, Settings
from isthmus.connector import Receipt
from isthmus.errors import ConfigError, ConflictError


def script() -> str:
    """Return the SQL a DBA runs once to make the journal."""
    return (files("connectors.sql") / "journal.sql").read_text(encoding="utf-8")


def installed(session: Any) -> bool:
    """Return whether the journal's table is there."""
    return bool(session.execute("SELECT to_regclass('isthmus.receipt') IS NOT NULL").fetchone()[0])


def install(client: PostgresClient) -> None:
    """Make the journal's schema and table; needs the right to create a schema."""
    with client.speaking() as session:
        session.execute(script())


def missing(settings: Settings) -> ConfigError:
    """Make the error for a journal that is asked for and not there."""
    return ConfigError(
        f"The {settings.place} keeps no receipts: the journal's table is missing. Run the script "
        f'connectors/sql/journal.sql there (or install_journal()), or set journal to "none".'
    )


def judge(stored: Receipt | None, receipt: Receipt) -> bool:
    """Return whether the package is there already; raises ConflictError when this writer is fenced off."""
    if stored is None or stored.epoch < receipt.epoch:
        return False
    if stored.epoch > receipt.epoch:
        raise ConflictError(
            f"Package {receipt.package} of run {receipt.run} was taken over: the target holds epoch {stored.epoch}, "
            f"this writer has {receipt.epoch}. Nothing was written; let the newer writer finish."
        )
    if stored.digest != receipt.digest:
        raise ConflictError(
            f"Package {receipt.package} of run {receipt.run} was written in epoch {receipt.epoch} with other content. "
            f"Nothing was written; claim the package anew, which gives it a newer epoch."
        )
    return True


def stored(session: Any, receipt: Receipt) -> Receipt | None:
    """Lock the package until the transaction ends and return the receipt that is there."""
    lock = "SELECT pg_advisory_xact_lock(hashtextextended(%s, 7411))"
    session.execute(lock, [f"{receipt.run}/{receipt.package}"])
    query = "SELECT epoch, digest, counts FROM isthmus.receipt WHERE run = %s AND package = %s"
    found = session.execute(query, [receipt.run, receipt.package]).fetchone()
    return Receipt(receipt.run, receipt.package, *found) if found else None


def leave(session: Any, receipt: Receipt, counts: Mapping[str, int]) -> None:
    """Leave the receipt, over that of an older epoch."""
    session.execute(
        "INSERT INTO isthmus.receipt (run, package, epoch, digest, counts) VALUES (%s, %s, %s, %s, %s) "
        "ON CONFLICT (run, package) DO UPDATE SET epoch = excluded.epoch, digest = excluded.digest, "
        "counts = excluded.counts, written_at = now()",
        [receipt.run, receipt.package, receipt.epoch, receipt.digest, json.dumps({**receipt.counts, **counts})],
    )


def of_run(client: PostgresClient, run: str) -> dict[str, Receipt]:
    """Return the receipts of a run, by package; empty without a journal."""
    with client.speaking() as session:
        if not installed(session):
            return {}
        query = "SELECT run, package, epoch, digest, counts FROM isthmus.receipt WHERE run = %s ORDER BY package"
        return {row[1]: Receipt(*row) for row in session.execute(query, [run])}


# --- any other database: one table beside the others ---------------------------------------------------------------

PORTABLE = (
    "CREATE TABLE IF NOT EXISTS isthmus_receipt (run VARCHAR(100) NOT NULL, package VARCHAR(200) NOT NULL, "
    "epoch BIGINT NOT NULL, digest VARCHAR(200) NOT NULL, counts VARCHAR(4000) NOT NULL, PRIMARY KEY (run, package))"
)


def portable_installed(connection: Any) -> bool:
    """Return whether the journal's table is there."""
    import sqlalchemy as sa

    return bool(sa.inspect(connection).has_table("isthmus_receipt"))


def portable_of(connection: Any, run: str, package: str | None = None) -> dict[str, Receipt]:
    """Return the receipts of a run, or the one of a package, by package."""
    import sqlalchemy as sa

    query = "SELECT run, package, epoch, digest, counts FROM isthmus_receipt WHERE run = :run"
    query += "" if package is None else " AND package = :package"
    rows = connection.execute(sa.text(f"{query} ORDER BY package"), {"run": run, "package": package})
    return {row[1]: Receipt(row[0], row[1], int(row[2]), row[3], json.loads(row[4])) for row in rows}


def portable_leave(connection: Any, receipt: Receipt, counts: Mapping[str, int]) -> None:
    """Leave the receipt, over that of an older epoch."""
    import sqlalchemy as sa

    values = {"run": receipt.run, "package": receipt.package, "epoch": receipt.epoch, "digest": receipt.digest}
    values["counts"] = json.dumps({**receipt.counts, **counts})
    connection.execute(sa.text("DELETE FROM isthmus_receipt WHERE run = :run AND package = :package"), values)
    statement = "INSERT INTO isthmus_receipt (run, package, epoch, digest, counts)"
    connection.execute(sa.text(f"{statement} VALUES (:run, :package, :epoch, :digest, :counts)"), values)
