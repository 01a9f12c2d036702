"""Where the private server keeps its things, and how they are written.

`.isthmus/store/` belongs to the caller: location, port, layout, secrets. The server's own folder (data, log) is
beside them, or elsewhere when root runs the server by an account that cannot reach the project.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import secrets
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from isthmus.errors import ConfigError
from isthmus.home import private_folder
from isthmus.store.account import Account
from isthmus.store.process import alive, running


@dataclass(frozen=True, slots=True)
class Place:
    """The files of one private store; `folder` is `.isthmus/store` of a project."""

    folder: Path

    @property
    def home(self) -> Path:
        """The project folder this store belongs to."""
        return self.folder.parent.parent

    def read(self, name: str) -> str | None:
        """Return the content of a small file of the store, or None when it does not exist.

        Raises ConfigError when this user may not read it.
        """
        try:
            return (self.folder / name).read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            return None
        except PermissionError as error:
            raise ConfigError(
                f"{self.folder / name}: this user may not read it; the store belongs to the user who started it, "
                "work as that user or set ISTHMUS_DATABASE_URL"
            ) from error

    def write(self, name: str, text: str) -> None:
        """Write a small file of the store at once and whole, readable by its owner alone."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        new = path.with_name(path.name + ".new")
        new.unlink(missing_ok=True)
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text + "\n")
        new.replace(path)

    def secret(self, role: str) -> str:
        """Return a role's password, generating and keeping one when there is none."""
        kept = self.read(f"secrets/{role}")
        if kept is None:
            kept = secrets.token_urlsafe(24)
            self.write(f"secrets/{role}", kept)
        return kept

    @property
    def server_folder(self) -> Path:
        """The server's own folder, as recorded at its first start."""
        return Path(self.read("location") or self.folder / "server")

    @property
    def data(self) -> Path:
        """The PostgreSQL data directory."""
        return self.server_folder / "data"

    @contextlib.contextmanager
    def locked(self, progress: Callable[[str], None]) -> Iterator[None]:
        """Hold the store's lock: one process at a time starts or upgrades it, the others wait for their turn.

        Raises ConfigError when this user may not write into the store's folder.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o711)
            file = open(self.folder / "lock", "w", encoding="utf-8")  # noqa: SIM115
        except PermissionError as error:
            raise ConfigError(f"{self.folder}: this user may not write there; start the store as its owner") from error
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                progress("another process is starting the store; waiting for it")
                fcntl.flock(file, fcntl.LOCK_EX)
            yield


def private_place() -> Place:
    """Return the place of the current project's private store; nothing is created."""
    return Place(private_folder() / "store")


def elsewhere(place: Place) -> Path:
    """Return the folder outside the project that a server uses whose account cannot reach the project.

    The same project path always gives the same folder.
    """
    parent = Path("/var/lib") if os.access("/var/lib", os.W_OK) else Path(tempfile.gettempdir())
    return parent / f"isthmus-{hashlib.sha256(str(place.home).encode()).hexdigest()[:12]}"


def settle(place: Place, account: Account) -> list[str]:
    """Choose and create the server's folder at the first start, and return what a person should know about it.

    Raises ConfigError when the project folder is a copy of another one, or somebody else's folder is in the way.
    """
    if place.read("identity") is None:
        place.write("identity", secrets.token_hex(16))
    if place.read("location") is not None:
        _refuse_a_copy(place)
        return []
    inside = place.folder / "server"
    notes: list[str] = []
    if account.reaches(place.folder):
        chosen = inside
    else:
        chosen = elsewhere(place)
        notes.append(f"the account {account.name} cannot reach {place.home}; the store's data live in {chosen}")
        notes.extend(_set_aside(place, chosen))
    _create(chosen)
    if chosen != inside:
        place.write("location", str(chosen))
        _mark(place, chosen)
    return notes


def _create(folder: Path) -> None:
    """Create the server's folder. It stays the caller's, so that the server's account can plant nothing in it."""
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o711)
    if folder.is_symlink() or not folder.is_dir() or folder.stat().st_uid != os.geteuid():
        raise ConfigError(f"{folder}: expected a folder of this user, found something else; move it out of the way")


def _mark(place: Place, chosen: Path) -> None:
    marker = chosen / "project"
    marker.write_text(f"{place.home}\n{place.read('identity')}\n", encoding="utf-8")
    marker.chmod(0o600)


def _set_aside(place: Place, chosen: Path) -> list[str]:
    """Move data away whose `.isthmus` was deleted: without its secrets nobody asked for them to come back."""
    if not chosen.exists() or ((chosen / "project").is_file() and _marked(chosen)[1] == place.read("identity")):
        return []
    data = chosen / "data"
    server = running(data, data.stat().st_uid) if data.exists() else None
    if server is not None:
        server.send(signal.SIGINT)
        while alive(server.pid):
            time.sleep(0.05)
    number = 1
    while (aside := chosen.with_name(f"{chosen.name}.left-{number}")).exists():
        number += 1
    chosen.rename(aside)
    return [f"data of a deleted .isthmus folder were found and set aside in {aside}; remove them when not needed"]


def _marked(folder: Path) -> tuple[Path, str]:
    home, _, identity = (folder / "project").read_text(encoding="utf-8").strip().partition("\n")
    return Path(home), identity


def _refuse_a_copy(place: Place) -> None:
    """Let a moved project keep its data, but never let a copied one share them."""
    folder = place.server_folder
    if not (folder / "project").is_file():
        raise ConfigError(
            f"{place.folder / 'location'}: names {folder}, where no store is; restore that folder, or remove "
            f"{place.folder.parent} to begin with an empty store"
        )
    owner, _ = _marked(folder)
    if owner == place.home:
        return
    if Place(owner / ".isthmus" / "store").read("location") == str(folder):
        raise ConfigError(
            f"{place.home}: this project was copied from {owner} together with its .isthmus folder, whose data live "
            f"in {folder}; remove {place.folder.parent} to give the copy a store of its own"
        )
    _mark(place, folder)
