"""Find files under one root and open them safely: no path leaves the root, no archive grows without bound."""

from __future__ import annotations

import fnmatch
import io
import os
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, BinaryIO, cast

if TYPE_CHECKING:
    from typing_extensions import Buffer

UNFINISHED = (".part", ".partial", ".filepart", ".tmp", ".crdownload", ".swp")
ARCHIVES = (".zip", ".gz", ".bz2", ".xz", ".7z", ".rar", ".tar", ".tgz", ".zst")
SMALL = 1 << 20  # below this the ratio of an archive says nothing: a short file of zeros packs very well


class FileFault(Exception):
    """A file or archive member that is withheld whole; `code` names why, the text explains it."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(message)


@dataclass(frozen=True, slots=True, order=True)
class Note:
    """What was found wrong: the file, its line from 1, a code for machines and a sentence without values."""

    file: str
    line: int
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Limits:
    """What one archive may hold: members, unpacked bytes in all, and unpacked bytes per packed byte."""

    members: int = 10_000
    bytes: int = 4 << 30
    ratio: int = 200


@dataclass(frozen=True, slots=True)
class Stamp:
    """Size in bytes and time of last change in ns; a file whose stamp moves is still being written."""

    size: int
    changed: int


@dataclass(frozen=True, slots=True)
class File:
    """One file below the root: its name relative to the root (with `/`), where it lies, and its stamp."""

    name: str
    path: Path
    stamp: Stamp

    @property
    def zipped(self) -> bool:
        """Say whether the file is a zip archive by its name."""
        return self.path.suffix.lower() == ".zip"


@dataclass(frozen=True, slots=True)
class Part:
    """One readable stream: a plain file or an archive member.  `fault` is set where it must not be read."""

    name: str
    open: Callable[[], AbstractContextManager[BinaryIO]]
    fault: FileFault | None = None


def stamp_of(path: Path) -> Stamp:
    """Return the stamp of a file as it is now; raises OSError when it is gone."""
    status = path.stat()
    return Stamp(status.st_size, status.st_mtime_ns)


def within(root: Path, path: Path) -> bool:
    """Say whether a path, all links followed, is still below the root."""
    return path.resolve().is_relative_to(root.resolve())


def find(root: Path, patterns: tuple[str, ...], *, before_ns: int | None = None) -> tuple[list[File], list[str]]:
    """List the files below the root whose name matches, by name; and the names of those that lead outside it.

    A pattern is compared without regard to case: with a `/` against the whole relative name, else against the
    last part.  Hidden files, unfinished ones (`.part`, `.tmp`) and those changed after `before_ns` are left out.
    """
    found: list[File] = []
    outside: list[str] = []
    for folder, folders, names in os.walk(root, followlinks=False):
        linked = [name for name in folders if (Path(folder) / name).is_symlink()]
        outside += [_relative(root, Path(folder) / name) for name in linked if not within(root, Path(folder) / name)]
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in linked)
        for path in (Path(folder) / name for name in sorted(names)):
            name = _relative(root, path)
            if not matches(name, patterns):
                continue
            if not within(root, path):
                outside.append(name)
            elif path.is_file() and (before_ns is None or path.stat().st_mtime_ns <= before_ns):
                found.append(File(name, path, stamp_of(path)))
    return sorted(found, key=lambda file: file.name), sorted(outside)


def _relative(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix()


def matches(name: str, patterns: tuple[str, ...]) -> bool:
    """Say whether a name is wanted: it matches a pattern, is not hidden and not unfinished."""
    folded = name.lower()
    last = folded.rpartition("/")[2]
    if last.startswith(".") or last.endswith(UNFINISHED):
        return False
    return any(fnmatch.fnmatchcase(folded if "/" in one else last, one.lower()) for one in patterns)


def parts(file: File, limits: Limits) -> Iterator[Part]:
    """Yield the streams of a file: itself, or each member of a zip; raises FileFault for a damaged archive."""
    if not file.zipped:
        yield Part(file.name, lambda: cast(AbstractContextManager[BinaryIO], file.path.open("rb")))
        return
    try:
        with zipfile.ZipFile(file.path) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            if len(members) > limits.members:
                raise FileFault("zip_members", f"the archive holds {len(members)} files, {limits.members} are allowed")
            budget = _Budget(limits)
            for member in members:
                yield _member(file, archive, member, budget)
    except (zipfile.BadZipFile, EOFError) as error:
        raise FileFault("zip_damaged", "the archive cannot be read; it is cut short or not a zip file") from error


def _member(file: File, archive: zipfile.ZipFile, member: zipfile.ZipInfo, budget: _Budget) -> Part:
    pieces = member.filename.replace("\\", "/").split("/")
    name = f"{file.name}/{'/'.join(piece for piece in pieces if piece not in ('', '.', '..'))}"
    fault = None
    if pieces[0] in ("", "..") or ".." in pieces or ":" in pieces[0]:
        fault = FileFault("member_path", "the name of the member leaves the archive")
    elif pieces[-1].lower().endswith(ARCHIVES):
        fault = FileFault("zip_nested", "an archive inside an archive is not opened; unpack it first")
    elif member.flag_bits & 0x1:
        fault = FileFault("zip_encrypted", "the member is encrypted; deliver it unencrypted over a safe channel")
    return Part(name, lambda: _opened(archive, member, budget), fault)


@contextmanager
def _opened(archive: zipfile.ZipFile, member: zipfile.ZipInfo, budget: _Budget) -> Iterator[BinaryIO]:
    try:
        with archive.open(member) as stream:
            yield cast(BinaryIO, io.BufferedReader(_Guarded(stream, member, budget), 1 << 20))
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise FileFault("zip_damaged", "the member cannot be unpacked; deliver the archive again") from error


class _Budget:
    """The bytes an archive may still unpack, shared by its members."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.left = limits.bytes


class _Guarded(io.RawIOBase):
    """A member's stream that counts what comes out of it: the sizes written in an archive are only claims."""

    def __init__(self, stream: IO[bytes], member: zipfile.ZipInfo, budget: _Budget) -> None:
        super().__init__()
        self._stream = stream
        self._packed = max(member.compress_size, 1)
        self._budget = budget
        self._read = 0

    def readable(self) -> bool:
        """Say that the stream can be read."""
        return True

    def readinto(self, target: Buffer) -> int:
        """Read into a buffer and return how many bytes; raises FileFault beyond the limits."""
        view = memoryview(target)
        block = self._stream.read(len(view))
        if not self._read and block.startswith((b"PK\x03\x04", b"\x1f\x8b")):
            raise FileFault("zip_nested", "an archive inside an archive is not opened; unpack it first")
        self._read += len(block)
        self._budget.left -= len(block)
        limits = self._budget.limits
        if self._budget.left < 0:
            raise FileFault("zip_size", f"the archive unpacks to more than {limits.bytes} bytes")
        if self._read > SMALL and self._read > limits.ratio * self._packed:
            raise FileFault("zip_ratio", f"the member unpacks to more than {limits.ratio} times its size")
        view[: len(block)] = block
        return len(block)
