"""YAML as text: every scalar stays what was typed, every node knows its line and column.

No aliases, anchors or tags, one document per file, limits on bytes, depth and nodes; duplicate keys are findings.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from isthmus.errors import Finding
from isthmus.mapping.spec import NOWHERE, Position
from isthmus.mapping.yaml_words import in_plain_words

MAX_BYTES = 512_000
MAX_DEPTH = 16
MAX_NODES = 50_000
STANDARD = "tag:yaml.org,2002:"
_FAST = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Word(str):
    """A text that remembers where it stood."""

    __slots__ = ("position",)
    position: Position

    def __new__(cls, value: str, position: Position = NOWHERE) -> Word:
        """Make a word of a text and its position."""
        word = super().__new__(cls, value)
        word.position = position
        return word


def place(word: str, otherwise: Position = NOWHERE) -> Position:
    """Return where a word stood, or `otherwise` for a text that was never in a file."""
    found = getattr(word, "position", NOWHERE)
    return found if isinstance(found, Position) and found.line else otherwise


@dataclass(frozen=True, slots=True)
class Text:
    """A scalar: its text, whether it stood without quotes, and the source it was read from."""

    value: str
    position: Position = NOWHERE
    plain: bool = True
    source: str = ""

    @property
    def word(self) -> Word:
        """Return the text with its position."""
        return Word(self.value, self.at(0))

    @property
    def empty(self) -> bool:
        """Tell whether nothing was written at all; `""` is not empty."""
        return self.plain and not self.value.strip()

    @property
    def null(self) -> bool:
        """Tell whether this is a plain `null`."""
        return self.plain and self.value == "null"

    def at(self, offset: int) -> Position:
        """Return the position of a character of the value, through quotes, escapes and folded lines."""
        start, found = 0, 0
        for char in self.value[: offset + 1]:
            if not char.isspace():
                found = self.source.find(char, start)
                if found < 0:
                    return self.position
                start = found + 1
        if offset >= len(self.value):
            found = start
        before = self.source[:found]
        newlines = before.count("\n")
        column = found - before.rfind("\n") if newlines else self.position.column + found
        return Position(self.position.file, self.position.line + newlines, column)


@dataclass(frozen=True, slots=True)
class Items:
    """A list of nodes."""

    items: tuple[Node, ...]
    position: Position = NOWHERE


@dataclass(frozen=True, slots=True)
class Entries:
    """Keys with their values, in the order of the file; no key occurs twice."""

    pairs: tuple[tuple[Text, Node], ...]
    position: Position = NOWHERE

    def get(self, name: str) -> Node | None:
        """Return the value of a key, or None."""
        return next((value for key, value in self.pairs if key.value == name), None)

    def key(self, name: str) -> Text | None:
        """Return the key itself, for its position, or None."""
        return next((key for key, _ in self.pairs if key.value == name), None)


Node = Text | Items | Entries


@dataclass(slots=True)
class _Composer:
    """Builds nodes from parser events, within limits."""

    file: str
    source: str
    events: Iterator[Any]  # their types differ between the two parsers
    findings: list[Finding] = field(default_factory=list)
    nodes: int = 0

    def where(self, mark: Any) -> Position:
        return Position(self.file, mark.line + 1, mark.column + 1)

    def note(self, position: Position, message: str) -> None:
        self.findings.append(Finding(position.file, position.line, position.column, message))

    def document(self) -> Node | None:
        next(self.events)
        if isinstance(next(self.events), yaml.StreamEndEvent):
            self.note(Position(self.file, 1, 1), "this file is empty. Remove it or write what it is for.")
            return None
        node = self.node(next(self.events), 1)
        next(self.events)
        after = next(self.events)
        if not isinstance(after, yaml.StreamEndEvent):
            self.note(self.where(after.start_mark), 'a second document starts here ("---"). Use one file for each.')
        return node

    def node(self, event: Any, depth: int) -> Node | None:
        position = self.where(event.start_mark)
        self.nodes += 1
        if depth > MAX_DEPTH or self.nodes > MAX_NODES:
            raise _TooMuch(
                position, f"nested deeper than {MAX_DEPTH} levels" if depth > MAX_DEPTH else "too many values"
            )
        if isinstance(event, yaml.AliasEvent):
            self.note(position, f'aliases ("*{event.anchor}") are not allowed. Write the value out.')
            return None
        self.refuse_marks(event, position)
        if isinstance(event, yaml.SequenceStartEvent):
            return Items(tuple(self.items(depth)), position)
        if isinstance(event, yaml.MappingStartEvent):
            return Entries(tuple(self.pairs(depth)), position)
        plain = event.style not in ("'", '"', "|", ">")
        source = self.source[event.start_mark.index : event.end_mark.index]
        return Text(event.value, position, plain, source)

    def refuse_marks(self, event: Any, position: Position) -> None:
        if event.anchor is not None:
            self.note(position, f'anchors ("&{event.anchor}") are not allowed. Remove it and write values out.')
        if event.tag is not None:
            self.note(
                position,
                f'tags ("{event.tag.replace(STANDARD, "!!")}") are not allowed. Remove it; every value is a text.',
            )

    def items(self, depth: int) -> Iterator[Node]:
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            node = self.node(event, depth + 1)
            if node is not None:
                yield node

    def pairs(self, depth: int) -> Iterator[tuple[Text, Node]]:
        seen: dict[str, Position] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            key = self.node(event, depth + 1)
            value = self.node(next(self.events), depth + 1)
            if key is None or value is None:
                continue
            if not isinstance(key, Text):
                self.note(
                    key.position, "a key must be one word, not a list or a group. Put it in quotes if it is text."
                )
            elif key.value in seen:
                first = seen[key.value].line
                self.note(key.position, f'"{key.value}" stands here a second time (first in line {first}). Keep one.')
            else:
                seen[key.value] = key.position
                yield key, value


class _TooMuch(Exception):
    """A file beyond the limits."""

    def __init__(self, position: Position, what: str) -> None:
        super().__init__(what)
        self.position = position


def read_document(content: bytes, file: str) -> tuple[Node | None, tuple[Finding, ...]]:
    """Read one YAML document; return its root and what is wrong with it, None where it cannot be read at all."""
    if len(content) > MAX_BYTES:
        return None, (
            Finding(file, 1, 1, f"this file has {len(content):,} bytes; {MAX_BYTES:,} are allowed. Split it."),
        )
    try:
        source = content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        column = error.start - content.rfind(b"\n", 0, error.start)
        return None, (Finding(file, line, column, "this is no UTF-8 text. Save the file as UTF-8."),)
    try:
        return _compose(source, file, _FAST)
    except yaml.YAMLError:
        pass
    try:  # the parser written in Python explains better what it met
        return _compose(source, file, yaml.SafeLoader)
    except yaml.YAMLError as error:
        return None, (in_plain_words(error, file, source),)


def _compose(source: str, file: str, loader: type) -> tuple[Node | None, tuple[Finding, ...]]:
    composer = _Composer(file, source, iter(yaml.parse(source, Loader=loader)))
    try:
        root = composer.document()
    except _TooMuch as error:
        position = error.position
        return None, (Finding(file, position.line, position.column, f"this file is {error}. Make it simpler."),)
    return root, tuple(composer.findings)
