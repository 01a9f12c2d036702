"""What can go wrong, ordered by who can put it right.

IsthmusError
├── SpecError            fix a file            (exit 2)
├── ConfigError          fix a setting         (exit 3)
├── DataError            look at the rejects   (exit 4)
├── ConflictError        a person decides      (exit 5)
└── SystemUnavailable    try again later       (exit 6; Airflow retries only this)
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


class IsthmusError(Exception):
    """The root of every error Isthmus raises on purpose; its text says where, what was found, what to do."""

    exit_code = 1


class SpecError(IsthmusError):
    """Files that cannot be used as they are; carries every finding at once."""

    exit_code = 2

    def __init__(self, findings: Sequence[Finding]) -> None:
        self.findings = tuple(findings)
        super().__init__("\n".join(str(finding) for finding in self.findings))


class ConfigError(IsthmusError):
    """A setting, secret or installation that is missing or wrong."""

    exit_code = 3


class DataError(IsthmusError):
    """Rows that could not be carried as asked; the ledger holds each with its reason."""

    exit_code = 4


class ConflictError(IsthmusError):
    """Two truths that only a person may choose between, or a change too large to make unasked."""

    exit_code = 5


class SystemUnavailable(IsthmusError):
    """A system that did not answer; nothing is lost and the same call may go through later."""

    exit_code = 6


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One mistake in a file, at a position counted from 1."""

    file: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.message}"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ` Did you mean "x"?` for the nearest known name, or an empty string.

    >>> did_you_mean("EINZDATE", ["EINZDAT", "AUSZDAT"])
    ' Did you mean "EINZDAT"?'
    """
    names = {candidate.casefold(): candidate for candidate in known}
    near = difflib.get_close_matches(name.casefold(), list(names), n=1, cutoff=0.6)
    return f' Did you mean "{names[near[0]]}"?' if near else ""
