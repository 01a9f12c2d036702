"""What a file connection may say: folder, format, pattern, key, spelling of the files, limits."""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

from connectors.files.source import Limits
from isthmus.errors import ConfigError, did_you_mean

Format = Literal["csv", "parquet", "jsonl", "nem12"]
PATTERNS: Mapping[str, tuple[str, ...]] = {
    "csv": ("*.csv",),
    "parquet": ("*.parquet",),
    "jsonl": ("*.jsonl", "*.ndjson"),
    "nem12": ("*.csv", "*.zip", "*.txt", "*.dat", "*.v[0-9][0-9]"),
}
OPTIONS = (
    "path",
    "format",
    "pattern",
    "key",
    "columns",
    "delimiter",
    "encoding",
    "settle_seconds",
    "max_members",
    "max_bytes",
    "max_ratio",
    "memory",
)
ELSEWHERE = ("client", "system", "kind")  # said of every system; a folder has no use for them


@dataclass(frozen=True, slots=True)
class Settings:
    """The checked settings of one connection.

    `keys` gives the key columns by table, with `*` for every other table; `columns`, for JSON lines, those a
    table has even where no line names them.  `settle` is how many seconds a file must have rested.  `memory`
    bounds what sorting may hold, in DuckDB's spelling.
    """

    root: Path
    format: Format
    patterns: tuple[str, ...]
    keys: Mapping[str, tuple[str, ...]]
    delimiter: str = ","
    encoding: str = "utf-8"
    settle: float = 0.0
    limits: Limits = field(default_factory=Limits)
    memory: str = "128MB"
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def key(self, table: str) -> tuple[str, ...]:
        """Return the key columns of a table; empty where none were said."""
        return self.keys.get(table, self.keys.get("*", ()))

    @property
    def writable(self) -> bool:
        """Say whether this kind of file can be written: meter data cannot, nor any encoding but UTF-8."""
        return self.format != "nem12" and codecs.lookup(self.encoding).name in ("utf-8", "utf-8-sig")


def parse(settings: Mapping[str, Any]) -> Settings:
    """Check raw settings; raises ConfigError that says what is wrong and what is allowed."""
    unknown = sorted(set(settings) - set(OPTIONS) - set(ELSEWHERE))
    if unknown:
        raise ConfigError(f'Files have no setting "{unknown[0]}".{did_you_mean(unknown[0], OPTIONS)}')
    kind = str(settings.get("format", ""))
    if kind not in PATTERNS:
        raise ConfigError(f'The format of files is "{kind}"; it must be one of {", ".join(PATTERNS)}.')
    if not settings.get("path"):
        raise ConfigError("Files need a path: the folder they lie in.")
    if settings.get("columns") and kind != "jsonl":
        raise ConfigError(f'The setting "columns" is for JSON lines; files of format {kind} name their columns.')
    limits = Limits()
    return Settings(
        root=Path(str(settings["path"])).expanduser().absolute(),
        format=cast(Format, kind),
        patterns=_texts(settings.get("pattern")) or PATTERNS[kind],
        keys={"*": ("READING_ID",)} if kind == "nem12" else _by_table(settings.get("key")),
        delimiter=_delimiter(settings.get("delimiter", ",")),
        encoding=_encoding(settings.get("encoding", "utf-8")),
        settle=_number(settings, "settle_seconds", 0),
        limits=Limits(
            int(_number(settings, "max_members", limits.members)),
            int(_number(settings, "max_bytes", limits.bytes)),
            int(_number(settings, "max_ratio", limits.ratio)),
        ),
        memory=str(settings.get("memory", "128MB")),
        columns=_by_table(settings.get("columns")),
    )


def _texts(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else tuple(str(one) for one in cast("list[object]", value))


def _by_table(value: object) -> Mapping[str, tuple[str, ...]]:
    if isinstance(value, Mapping):
        return {str(table): _texts(columns) for table, columns in value.items()}
    return {"*": _texts(value)}


def _delimiter(value: object) -> str:
    text = {"tab": "\t", "\\t": "\t"}.get(str(value), str(value))
    if len(text) != 1 or text in '"\r\n':
        raise ConfigError('The delimiter of files must be one character other than a quote or a line end, or "tab".')
    return text


def _encoding(value: object) -> str:
    try:
        return codecs.lookup(str(value)).name
    except LookupError:
        raise ConfigError(f'The encoding "{value}" is not known; say for example utf-8, latin-1 or cp1252.') from None


def _number(settings: Mapping[str, Any], name: str, default: float) -> float:
    try:
        number = float(settings.get(name, default))
    except (TypeError, ValueError):
        number = -1
    if number < 0:
        raise ConfigError(f'The setting "{name}" of files must be a number from 0.')
    return number
