"""`warehouse/cubes/<cube>.yaml` into a Cube."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from isthmus.mapping.document import Entries, Node, Text, Word
from isthmus.mapping.form import Findings, Form, group, one_value
from isthmus.mapping.load_table import parsed
from isthmus.mapping.predicate import read_predicate
from warehouse.grammar import NO_EXPRESSION, read_expression, read_formula
from warehouse.load_store import filled, type_of
from warehouse.spec import Balance, Calculated, Cube, CubeDimension, Distinct, Expression, Figure, Posting, Spread

CUBE = ("cube", "about", "dimensions", "figures", "postings", "calculated", "balances", "distinct")
DIMENSION = ("type", "meaning", "dimension")
FIGURE = ("type", "meaning")
POSTING = ("store", "when", "spread", "dimensions", "figures")
SPREAD = ("from", "until", "figures")


def load_cube(root: Entries, findings: Findings) -> Cube:
    """Read a cube."""
    form = Form(root, "a cube", CUBE, findings)
    dimensions, figures = form.entries("dimensions", required=True), form.entries("figures", required=True)
    if not form.has("postings"):
        findings.add(form.position, f'{form.what} needs "postings": what each record of a store adds to it. Add it.')
    for name, what in (("dimensions", "dimensions"), ("figures", "figures"), ("postings", "what records add")):
        filled(form, name, what)
    return Cube(
        name=form.word("cube", required=True),
        about=form.word("about", required=True),
        dimensions=tuple(_dimension(key, node, findings) for key, node in dimensions.pairs),
        figures=tuple(_figure(key, node, findings) for key, node in figures.pairs),
        postings=tuple(_posting(node, findings) for node in form.items("postings")),
        calculated=tuple(_calculated(form)),
        balances=tuple(_balances(form)),
        distincts=tuple(_distincts(form)),
        position=root.position,
    )


def _dimension(key: Text, node: Node, findings: Findings) -> CubeDimension:
    if isinstance(node, Text):
        return CubeDimension(key.word, type_of(one_value(node, key.value, findings), findings), position=key.position)
    form = Form(group(node, key.value, findings), "a dimension of a cube", DIMENSION, findings)
    type_ = type_of(form.scalar("type", required=bool(form.node.pairs)), findings)
    return CubeDimension(key.word, type_, form.word("meaning"), form.word("dimension"), key.position)


def _figure(key: Text, node: Node, findings: Findings) -> Figure:
    if isinstance(node, Text):
        return Figure(key.word, type_of(one_value(node, key.value, findings), findings), position=key.position)
    form = Form(group(node, key.value, findings), "a figure", FIGURE, findings)
    type_ = type_of(form.scalar("type", required=bool(form.node.pairs)), findings)
    return Figure(key.word, type_, form.word("meaning"), key.position)


def _posting(node: Node, findings: Findings) -> Posting:
    form = Form(group(node, "postings", findings), "a posting", POSTING, findings)
    return Posting(
        store=form.word("store", required=bool(form.node.pairs)),
        dimensions=_expressions(form, "dimensions"),
        figures=_expressions(form, "figures"),
        when=parsed(form.scalar("when"), read_predicate, None, findings),
        spread=_spread(form, findings) if form.has("spread") else None,
        position=form.position,
    )


def _expressions(form: Form, name: str) -> Mapping[str, Expression]:
    lines = form.texts(name).items()
    return {key: parsed(text, read_expression, NO_EXPRESSION, form.findings) for key, text in lines}


def _spread(form: Form, findings: Findings) -> Spread:
    spread = Form(form.entries("spread"), '"spread"', SPREAD, findings)
    there = bool(spread.node.pairs)
    if there and not spread.has("figures"):
        findings.add(spread.position, f'{spread.what} needs "figures", those that are shared out. Add it.')
    first, last = spread.word("from", required=there), spread.word("until", required=there)
    return Spread(first, last, spread.words("figures"), form.where("spread"))


def _calculated(form: Form) -> Iterator[Calculated]:
    for key, entry in _entries(form, "calculated", "a calculated figure", ("formula", "meaning", "unit")):
        text = entry.scalar("formula", required=bool(entry.node.pairs))
        read = parsed(text, read_formula, None, form.findings)
        formula = text.word if text and read else Word("")
        yield Calculated(key.word, formula, entry.word("meaning"), entry.word("unit"), key.position)


def _balances(form: Form) -> Iterator[Balance]:
    for key, entry in _entries(form, "balances", "a balance", ("of", "over", "by", "meaning")):
        there = bool(entry.node.pairs)
        of, over = entry.word("of", required=there), entry.word("over", required=there)
        yield Balance(key.word, of, over, entry.word("meaning"), key.position, entry.words("by"))


def _distincts(form: Form) -> Iterator[Distinct]:
    for key, entry in _entries(form, "distinct", "a distinct count", ("count", "meaning")):
        count = entry.word("count", required=bool(entry.node.pairs))
        yield Distinct(key.word, count, entry.word("meaning"), key.position)


def _entries(form: Form, name: str, what: str, known: tuple[str, ...]) -> Iterator[tuple[Text, Form]]:
    for key, node in form.entries(name).pairs:
        yield key, Form(group(node, key.value, form.findings), what, known, form.findings)
