"""`mappings/scenarios/<name>.yaml` into a Scenario."""

from __future__ import annotations

from typing import Any, cast

from isthmus.mapping.document import Entries, Node
from isthmus.mapping.form import Findings, Form, group
from isthmus.mapping.spec import Flow, Scenario

SCENARIO = ("scenario", "about", "switches", "roles", "flows")
FLOW = (
    *("object", "from", "to", "level", "gate", "mass_change", "parked", "guard", "package_rows"),
    *("owners", "on_conflict", "if"),
)
LEVELS = ("replicate", "synchronize")


def load_scenario(root: Entries, findings: Findings) -> Scenario:
    """Read a named set of flows."""
    form = Form(root, "a scenario", SCENARIO, findings)
    switches = Form(form.entries("switches"), "switches", (), findings)
    return Scenario(
        name=form.word("scenario", required=True),
        about=form.word("about", required=True),
        switches={key.word: switches.yes(key.value) for key, _ in switches.node.pairs},
        flows=tuple(_flow(node, findings) for node in form.items("flows")),
        roles={key: text.word for key, text in form.texts("roles").items()},
        position=root.position,
    )


def _flow(node: Node, findings: Findings) -> Flow:
    form = Form(group(node, "flows", findings), "a flow", FLOW, findings)
    share, parked = form.number("mass_change", 0.2), form.number("parked", 0.01)
    if not 0 <= share <= 1:
        findings.add(form.where("mass_change"), '"mass_change" is a share between 0 and 1, such as 0.2.')
    rows = form.number("package_rows", 0)
    if rows < 0 or rows != rows or rows != int(min(rows, 1e9)):
        findings.add(form.where("package_rows"), '"package_rows" is a whole number of rows, such as 15000.')
        rows = 0
    there = bool(form.node.pairs)
    return Flow(
        object=form.word("object", required=there),
        source=form.word("from", required=there),
        target=form.word("to", required=there),
        level=cast(Any, form.choice("level", LEVELS, "replicate")),
        gate=cast(Any, form.choice("gate", ("package", "run", "off"), "package")),
        mass_change=share,
        parked=parked,
        guard=cast(Any, form.choice("guard", ("repair", "report"), "report")),
        package_rows=int(rows),
        owners=_words(form, "owners"),
        on_conflict=_words(form, "on_conflict"),
        condition=form.word("if"),
        position=form.position,
    )


def _words(form: Form, name: str) -> dict[str, str]:
    return {key: text.word for key, text in form.texts(name).items()}
