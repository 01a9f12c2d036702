"""The tables of a mapping, and single lines, into values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from isthmus.errors import did_you_mean
from isthmus.mapping.document import Entries, Node, Text, Word
from isthmus.mapping.form import Findings, Form, group, one_value
from isthmus.mapping.grammar import Misread
from isthmus.mapping.pipe import read_call, read_columns, read_pipe, read_ties
from isthmus.mapping.spec import Call, MappedTable, Pipe, SystemSettings

TABLE = (
    "table tie lookup optional shared distinct valid at during fixed initial changed if".split()
)  # as the language lists them
NO_PIPE = Pipe(())  # of a line that could not be read: checks pass over it
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


def load_tables(node: Entries, settings: SystemSettings | None, findings: Findings) -> tuple[MappedTable, ...]:
    """Read the tables of a mapping or of a list."""
    return tuple(_table(key, value, settings, findings) for key, value in node.pairs)


def _table(key: Text, node: Node, settings: SystemSettings | None, findings: Findings) -> MappedTable:
    form = Form(group(node, key.value, findings), "a table", TABLE, findings)
    return MappedTable(
        alias=key.word,
        table=form.word("table") or key.word,
        ties=parsed(form.scalar("tie"), read_ties, (), findings),
        lookup=form.yes("lookup"),
        optional=form.yes("optional"),
        shared=form.yes("shared"),
        distinct=form.yes("distinct"),
        valid=parsed(form.scalar("valid"), read_columns, (), findings),
        at=form.word("at"),
        during=form.word("during"),
        fixed=constants(form, "fixed", settings),
        initial=constants(form, "initial", settings),
        changed=_changed(form, findings),
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


def constants(form: Form, name: str, settings: SystemSettings | None) -> Mapping[str, str]:
    """Read constants by column; `$system.value` becomes what the system's settings say."""
    return {key: resolved(text, settings, form.findings) for key, text in form.texts(name).items()}


def resolved(text: Text, settings: SystemSettings | None, findings: Findings) -> Word:
    """Return a value with `$system.value` replaced; one that is not settled is a finding."""
    if not text.value.startswith("$") or not text.plain:
        return text.word
    system, _, name = text.value[1:].partition(".")
    values = settings.values if settings else {}
    if settings is not None and system == settings.system and name in values:
        return Word(values[name], text.at(0))
    own = settings.system if settings else system
    hint = did_you_mean(text.value, [f"${own}.{value}" for value in values])
    findings.add(text.at(0), f'"{text.value}" is not among the values of {own}/_system.yaml. Add it there.{hint}')
    return Word("", text.at(0))


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
    pairs = form.entries(name).pairs
    return tuple((key, one_value(value, key.value, form.findings)) for key, value in pairs)
