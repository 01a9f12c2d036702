"""Who runs the private server: the caller, or an unprivileged account when the caller is root."""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from isthmus.errors import ConfigError

# `postgres` comes last: where a system server exists, its own administrator logs in by that account alone.
UNPRIVILEGED = ("isthmus", "nobody", "postgres")


@dataclass(frozen=True, slots=True)
class Account:
    """An operating system account; `other` is true when it is not the caller's own."""

    name: str
    uid: int
    gid: int
    other: bool

    def run(
        self, command: Sequence[str], *, feed: str = "", stderr: int = subprocess.PIPE
    ) -> subprocess.CompletedProcess[str]:
        """Run a command as this account, in a session of its own and the folder `/`, and return what it printed."""
        return subprocess.run(
            list(command),
            input=feed,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            cwd="/",
            env={"PATH": os.defpath, "LC_ALL": "C"},
            start_new_session=True,
            user=self.uid if self.other else None,
            group=self.gid if self.other else None,
            extra_groups=[] if self.other else None,
            check=False,
        )

    def reaches(self, path: Path) -> bool:
        """Tell whether this account can enter a folder or read a file, parents included."""
        test = "-x" if path.is_dir() else "-r"
        return not self.other or self.run(["/bin/sh", "-c", f'test {test} "$0"', str(path)]).returncode == 0

    def give(self, path: Path) -> None:
        """Make this account the owner of a path the caller just created."""
        if self.other:
            os.chown(path, self.uid, self.gid)


def server_account(data: Path) -> Account:
    """Return the account of the private server: PostgreSQL refuses to run as root, so root uses another one.

    Data that exist stay with the account that owns them. Raises ConfigError when they belong to another user, and
    when root finds no unprivileged account.
    """
    uid = os.geteuid()
    owner = data.stat().st_uid if data.exists() else None
    if uid != 0:
        if owner not in (None, uid):
            raise ConfigError(f"{data}: belongs to user id {owner}; start the store as the user who started it first")
        return Account(_name(uid), uid, os.getegid(), other=False)
    if owner:
        return Account(_name(owner), owner, data.stat().st_gid, other=True)
    for name in UNPRIVILEGED:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Account(name, entry.pw_uid, entry.pw_gid, other=True)
    raise ConfigError(
        f"private store: PostgreSQL does not run as root and none of the accounts {', '.join(UNPRIVILEGED)} exists; "
        "create one (useradd --system isthmus) or work as an ordinary user"
    )


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        raise ConfigError(
            f"private store: user id {uid} has no entry in the account database and PostgreSQL demands one; "
            "add the entry, or name a PostgreSQL of your own in ISTHMUS_DATABASE_URL"
        ) from None
