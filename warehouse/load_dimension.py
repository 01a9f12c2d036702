"""`warehouse/dimensions/<dimension>.yaml` into a Dimension."""

from __future__ import annotations

from isthmus.mapping.document import Entries
from isthmus.mapping.form import Findings, Form
from warehouse.spec import Dimension

DIMENSION = ("dimension", "about", "store", "key", "text", "attributes")


def load_dimension(root: Entries, findings: Findings) -> Dimension:
    """Read a shared dimension."""
    form = Form(root, "a dimension", DIMENSION, findings)
    return Dimension(
        name=form.word("dimension", required=True),
        about=form.word("about", required=True),
        store=form.word("store", required=True),
        key=form.word("key", required=True),
        text=form.word("text"),
        attributes=form.words("attributes"),
        position=root.position,
    )
