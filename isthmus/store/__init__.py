"""The PostgreSQL that Isthmus lives in: yours by `ISTHMUS_DATABASE_URL`, or a private one it starts.

Everybody but `isthmus store` only asks for a URL: `store_url()` for the store, `ensure_database()` for a landscape.
"""

from isthmus.store.server import Status, remove, start, status, stop
from isthmus.store.url import drop_database, ensure_database, store_url, unreachable

__all__ = [
    "Status",
    "drop_database",
    "ensure_database",
    "remove",
    "start",
    "status",
    "stop",
    "store_url",
    "unreachable",
]
