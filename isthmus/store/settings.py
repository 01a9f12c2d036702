"""The private server's configuration, written anew at every start; `local.conf` in the store's folder adds to it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

SHARED_MEMORY = Path("/dev/shm")
MEBIBYTE = 1024 * 1024

HBA = """\
# Written by `isthmus store start`.
# TYPE  DATABASE  USER  ADDRESS       METHOD
host    all       all   127.0.0.1/32  scram-sha-256
"""


@dataclass(frozen=True, slots=True)
class Settings:
    """What differs between two private servers; everything else is the same for all."""

    port: int
    data: Path
    hba: Path
    lz4: bool
    local: str = ""

    def text(self) -> str:
        """Return postgresql.conf."""
        return CONFIGURATION.format(
            port=self.port,
            data=_quoted(self.data),
            hba=_quoted(self.hba),
            wal_compression="lz4" if self.lz4 else "off",
            dynamic_shared_memory="posix" if shared_memory() >= 256 * MEBIBYTE else "mmap",
            local=self.local,
        )


def shared_memory() -> int:
    """Return the size of /dev/shm in bytes, 0 where there is none; containers often have only 64 MB."""
    try:
        facts = os.statvfs(SHARED_MEMORY)
    except OSError:
        return 0
    return facts.f_frsize * facts.f_blocks


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"


CONFIGURATION = """\
# Written by `isthmus store start`; your own settings go into local.conf in .isthmus/store.
data_directory = {data}
hba_file = {hba}
cluster_name = 'isthmus'

# Reached by TCP on this machine alone: a socket file would have to live in a folder others can enter.
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = ''
max_connections = 100
password_encryption = 'scram-sha-256'
# A client that was killed does not keep its locks until its statement ends.
client_connection_check_interval = '5s'
tcp_keepalives_idle = 60

shared_buffers = '256MB'
work_mem = '32MB'
maintenance_work_mem = '256MB'
effective_cache_size = '2GB'
dynamic_shared_memory_type = {dynamic_shared_memory}
jit = off

# Nothing of durability is given up: the ledger's promises rest on it.
fsync = on
synchronous_commit = on
full_page_writes = on
# `minimal` would spare the log of some loads, but then neither a base backup nor a standby is possible, and
# figures measured here would not hold on a production server.
wal_level = replica
max_wal_size = '4GB'
min_wal_size = '256MB'
checkpoint_timeout = '15min'
wal_compression = {wal_compression}

timezone = 'UTC'
log_timezone = 'UTC'
lc_messages = 'C'
log_startup_progress_interval = '1s'
log_line_prefix = '%m [%p] %d %u '
# Statements, details and contexts carry field values, and no personal value belongs in a log.
log_error_verbosity = terse
log_min_error_statement = panic
log_parameter_max_length_on_error = 0
{local}
"""
