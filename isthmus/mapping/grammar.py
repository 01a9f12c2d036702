"""Reading one line from left to right: words, signs and quoted texts, each with its place."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from isthmus.mapping.document import Text, Word
from isthmus.mapping.spec import NOWHERE, Position

NAME = re.compile(r"[A-Za-z_/][A-Za-z0-9_/]*")
ARGUMENT = re.compile(r"[^\s,()|\"'=<>]+")
SPACE = re.compile(r"\s*")
QUOTED = re.compile(r'"(?:[^"]|"")*"|\'(?:[^\']|\'\')*\'')
MAX_LINE = 4_000
MAX_NESTING = 20


class Misread(Exception):
    """A line that does not follow the grammar: where, and what to say about it."""

    def __init__(self, position: Position, message: str) -> None:
        super().__init__(message)
        self.position, self.message = position, message


@dataclass(slots=True)
class Line:
    """A line being read; `offset` is the next character."""

    text: str
    at: Callable[[int], Position]
    offset: int = 0

    @classmethod
    def of(cls, source: Text | str) -> Line:
        """Start reading a value of a file, or a bare text."""
        line = cls(source.value, source.at) if isinstance(source, Text) else cls(source, _column)
        if len(line.text) > MAX_LINE:
            raise Misread(
                line.at(0), f"this line has {len(line.text):,} characters; {MAX_LINE:,} are allowed. Split it."
            )
        line.skip()
        return line

    @property
    def here(self) -> Position:
        """Return the position of the next word or sign."""
        return self.at(self.offset)

    @property
    def done(self) -> bool:
        """Tell whether the whole line was read."""
        return self.offset >= len(self.text)

    def skip(self) -> None:
        """Go on to the next word or sign."""
        match = SPACE.match(self.text, self.offset)
        self.offset = match.end() if match else self.offset

    def word(self, pattern: re.Pattern[str] = NAME) -> Word | None:
        """Take a word, or nothing."""
        match = pattern.match(self.text, self.offset)
        if match is None:
            return None
        word = Word(match.group(), self.here)
        self.offset = match.end()
        self.skip()
        return word

    def quoted(self) -> Word | None:
        """Take a text in quotes, or nothing; a quote that is never closed is a mistake."""
        if self.text[self.offset : self.offset + 1] not in ('"', "'"):
            return None
        word = self.word(QUOTED)
        if word is None:
            raise Misread(self.here, "a quote is opened here and never closed. Close it.")
        mark = word[0]
        return Word(word[1:-1].replace(mark * 2, mark), word.position)

    def sign(self, *signs: str) -> str:
        """Take one of the signs, or return an empty text."""
        found = next((sign for sign in signs if self.text.startswith(sign, self.offset)), "")
        if found:
            self.offset += len(found)
            self.skip()
        return found

    def keyword(self, *words: str) -> str:
        """Take the words one after the other (any case) if all stand here, else nothing."""
        before = self.offset
        for wanted in words:
            word = self.word()
            if word is None or word.lower() != wanted:
                self.offset = before
                return ""
        return " ".join(words)

    def arguments(self, name: str) -> tuple[Word, ...]:
        """Take the arguments of a function, in parentheses; none where no parenthesis is opened."""
        found: list[Word] = []
        if not self.sign("("):
            return ()
        while not self.sign(")"):
            argument = self.quoted()
            if argument is None:
                argument = self.word(ARGUMENT)
            if argument is None:
                raise self.expected(f'")" of {name}(')
            found.append(argument)
            self.sign(",")
        return tuple(found)

    def expected(self, what: str) -> Misread:
        """Return the complaint that something else stands here."""
        found = self.text[self.offset :].split()
        said = f'found "{found[0][:24]}"' if found else "the line ends"
        return Misread(self.here, f"{what} is expected here, but {said}.")


def _column(offset: int) -> Position:
    """Return a place inside a line that stands in no file."""
    return Position("", 1, offset + 1) if offset >= 0 else NOWHERE
