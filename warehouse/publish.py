"""Publication: everything that is rolled up becomes visible in all cubes at once."""

from __future__ import annotations

from datetime import datetime

from warehouse.locks import lock_publication
from warehouse.statement import Connection, statements


def publish(connection: Connection, run: str, now: datetime) -> int:
    """Publish every ROLLED_UP request and return the number of the publication.

    Nothing to publish makes no publication: the last one's number is returned, 0 when there never was one.
    """
    sql = statements("publish")
    with connection.transaction():
        lock_publication(connection)
        if not sql.rows(connection, "ready", {})[0][0]:
            return int(sql.rows(connection, "last", {})[0][0])
        number = int(sql.rows(connection, "publication", {}, now=now, run=run, requests=0)[0][0])
        requests = sql.count(connection, "publish", {}, publication=number)
        sql.run(connection, "count", {}, publication=number, requests=requests)
        return number
