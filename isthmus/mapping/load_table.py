"""The tables of a mapping, and single lines, into values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from isthmus.mapping.document import Entries, Node, Text, Word
from isthmus.mapping.form import Findings, Form, cut_off, group, one_value
from isthmus.mapping.grammar import Misread
from isthmus.mapping.pipe import read_call, read_columns, read_pipe, read_ties
from isthmus.mapping.spec import Call, MappedTable, Pipe, Tie

TABLE = (
    *("table", "tie", "lookup", "optional", "shared", "distinct", "valid", "at", "split", "fill_in", "during"),
    *("fixed", "initial", "changed", "by", "if"),
)
NO_PIPE = Pipe(())  # of a line that could not be read: checks pass over it
NO_TIE = (Tie("", "", ""),)
Read = TypeVar("Read")


def parsed(text: Text | None, read: Callable[[Text], Read], otherwise: Read, findings: Findings) -> Read:
    """Read a line by its grammar; a mistake is a finding and gives `otherwise`."""
    if text is None:
        return otherwise
    try:
        return read(text)
    except Misread as error:
        findings.add(error.position, error.message)
        return otherwise


def pipe_at(text: Text | None, findings: Findings) -> Pipe:
    """Read a pipe, or give the empty one."""
    return parsed(text, read_pipe, NO_PIPE, findings)


def load_tables(node: Entries, findings: Findings) -> tuple[MappedTable, ...]:
    """Read the tables of a mapping or of a list."""
    return tuple(_table(key, value, findings) for key, value in node.pairs)


def _table(key: Text, node: Node, findings: Findings) -> MappedTable:
    form = Form(group(node, key.value, findings), "a table", TABLE, findings)
    return MappedTable(
        alias=key.word,
        table=form.word("table") or key.word,
        ties=parsed(form.scalar("tie"), read_ties, NO_TIE, findings) if form.has("tie") else (),
        lookup=form.yes("lookup"),
        optional=form.yes("optional"),
        shared=form.yes("shared"),
        distinct=form.yes("distinct"),
        valid=parsed(form.scalar("valid"), read_columns, (), findings),
        at=form.word("at"),
        split=form.yes("split"),
        fill_in=parsed(form.scalar("fill_in"), read_columns, (), findings),
        during=form.word("during"),
        fixed=_constants(form, "fixed"),
        initial=_constants(form, "initial"),
        changed=_changed(form, findings),
        by=parsed(form.scalar("by"), read_columns, (), findings),
        condition=form.word("if"),
        position=key.position,
    )


def _changed(form: Form, findings: Findings) -> Word:
    """Read `none`, `with <alias>` or a pipe over the table's own columns; it stays a text."""
    text = form.scalar("changed")
    if text is None:
        return Word("")
    if text.value == "none" or (text.value.startswith("with ") and len(text.value.split()) == 2):
        return text.word
    pipe = parsed(text, lambda line: read_pipe(line, "this"), NO_PIPE, findings)
    return text.word if pipe.columns else Word("none", text.at(0))


def _constants(form: Form, name: str) -> Mapping[str, str]:
    """Read constants by column; `$system.value` is resolved by the compiler."""
    return {key: text.word for key, text in form.texts(name).items()}


def load_make(form: Form) -> Mapping[str, Call]:
    """Read `ALIAS.COL: call` lines of columns made when an object is new."""
    found: dict[str, Call] = {}
    for key, text in form.texts("make").items():
        if _is_column(key, form.findings):
            call = parsed(text, read_call, Call(""), form.findings)
            if call.name:
                found[key] = call
    return found


def _is_column(key: str, findings: Findings) -> bool:
    word = key if isinstance(key, Word) else Word(key)
    source = Text(word, word.position, True, word)
    return bool(pipe_at(source, findings).columns)


def load_fields(form: Form, name: str) -> tuple[tuple[Text, Text | None], ...]:
    """Return the `field: line` pairs under a key; a line that is no single value is None with a finding."""
    pairs = [pair for pair in form.entries(name).pairs if not cut_off(*pair, form.findings)]
    return tuple((key, one_value(value, key.value, form.findings)) for key, value in pairs)
