"""What a YAML parser complains about, said so that the writer of the file knows what to do."""

from __future__ import annotations

import yaml

from isthmus.errors import Finding

# part of the parser's problem text -> what to tell; the first that fits is taken
WORDS = (
    ("found character '\\t'", "a tab stands here. Indent with spaces."),
    (
        "mapping values are not allowed",
        'a ":" with a space after it starts a new key. Put the whole value in quotes, or check the indentation.',
    ),
    ("found duplicate", "something stands here twice. Keep one."),
    ("expected chomping", 'a "|" cannot start a value. Write columns first: "A + B | function".'),
    (
        "expected a comment or a line break",
        'a "|" cannot stand here. Write columns first, without brackets: "A + B | function".',
    ),
    ("expected ',' or ']'", 'the list is not closed with "]", or a comma is missing before this.'),
    (
        "expected ',' or '}'",
        'the group is not closed with "}", a comma is missing, or a value with commas needs quotes.',
    ),
    (
        "expected <block end>",
        "this does not fit the lines above. Check the indentation, quotes and brackets before it.",
    ),
    ("could not find expected ':'", 'a ":" is missing after the key. Write "key: value".'),
    ("unexpected end of stream", "a quote is opened here and never closed. Close it."),
    ("unknown escape character", "a backslash is special inside double quotes. Use single quotes."),
    ("undefined alias", "aliases are not allowed. Write the value out."),
    ("expected alphabetic or numeric character", 'a value cannot start with "*" or "&". Put it in quotes.'),
    ("that cannot start any token", "a value cannot start with this character. Put it in quotes."),
    ("expected a single document", 'a second document starts here ("---"). Use one file for each.'),
    ("special characters are not allowed", "an invisible control character stands here. Remove it."),
)
DEFAULT = "this cannot be read as YAML. Check quotes, brackets and indentation before it."


def in_plain_words(error: yaml.YAMLError, file: str, source: str) -> Finding:
    """Turn a parser's error into a finding at the place where it can be put right."""
    if isinstance(error, yaml.reader.ReaderError):
        return _at(file, source, int(error.position), _said(str(error.reason)))
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem is None:
        return Finding(file, 1, 1, DEFAULT)
    mark = error.problem_mark or error.context_mark
    if "unexpected end of stream" in error.problem and error.context_mark is not None:
        mark = error.context_mark
    if mark is None:
        return Finding(file, 1, 1, DEFAULT)
    tab = _tab_in_indentation(source, mark.line)
    if tab:
        return Finding(file, mark.line + 1, tab, WORDS[0][1])
    return Finding(file, mark.line + 1, mark.column + 1, _said(error.problem))


def _said(problem: str) -> str:
    return next((words for part, words in WORDS if part in problem), DEFAULT)


def _tab_in_indentation(source: str, line: int) -> int:
    """Return the column of a tab before the first word of a line (counted from 0), or 0."""
    lines = source.split("\n")
    text = lines[line] if line < len(lines) else ""
    indent = text[: len(text) - len(text.lstrip())]
    return indent.find("\t") + 1


def _at(file: str, source: str, index: int, message: str) -> Finding:
    before = source[:index]
    return Finding(file, before.count("\n") + 1, index - before.rfind("\n"), message)
