"""`mappings/codes/<name>.yaml` and `mappings/<system>/_system.yaml` into values."""

from __future__ import annotations

from collections.abc import Mapping

from isthmus.mapping.document import Entries, Items, Node, Text
from isthmus.mapping.form import Findings, Form, group, one_value
from isthmus.mapping.spec import CodeTable, SystemSettings

CODES = ("code", "about", "otherwise")


def load_codes(root: Entries, findings: Findings) -> CodeTable:
    """Read a code table; every key besides `code`, `about` and `otherwise` is a system."""
    form = Form(root, "a code table", (), findings)
    systems: dict[str, Mapping[str, tuple[str, ...]]] = {
        key.word: _values(group(node, key.value, findings), findings)
        for key, node in root.pairs
        if key.value not in CODES
    }
    return CodeTable(
        name=form.word("code", required=True),
        about=form.word("about", required=True),
        systems=systems,
        otherwise={key: text.word for key, text in form.texts("otherwise").items()},
        position=root.position,
    )


def _values(entries: Entries, findings: Findings) -> Mapping[str, tuple[str, ...]]:
    return {key.word: _spellings(key, node, findings) for key, node in entries.pairs}


def _spellings(key: Text, node: Node, findings: Findings) -> tuple[str, ...]:
    nodes = node.items if isinstance(node, Items) else (node,)
    if not nodes:
        findings.add(node.position, f'"{key.value}" has no spelling. Write at least one.')
    return tuple(text.word for item in nodes if (text := one_value(item, key.value, findings)))


def load_system(root: Entries, findings: Findings) -> SystemSettings:
    """Read what is said once for a kind of system."""
    form = Form(root, "a system", ("system", "about", "values", "codes"), findings)
    return SystemSettings(
        system=form.word("system", required=True),
        about=form.word("about", required=True),
        values={key: text.word for key, text in form.texts("values").items()},
        codes={
            key.word: _values(group(node, key.value, findings), findings) for key, node in form.entries("codes").pairs
        },
        position=root.position,
    )
