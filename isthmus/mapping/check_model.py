"""Checks of the shared model: keys, references, code tables, cycles."""

from __future__ import annotations

from collections.abc import Sequence

from isthmus.mapping import check_refuse
from isthmus.mapping.document import place
from isthmus.mapping.scope import Scope
from isthmus.mapping.spec import Field, ListField, Model


def check(scope: Scope) -> None:
    """Check every object of the model."""
    for model in scope.catalogue.models.values():
        _key_and_match_name_fields(model, scope)
        _variants_name_a_code_field(model, scope)
        _types_name_what_exists(model.fields, scope)
        check_refuse.check(model, scope)
        for entry in model.lists:
            _types_name_what_exists(entry.fields, scope)
            _list_is_sound(model, entry, scope)
    _references_form_no_cycle(scope)


def _key_and_match_name_fields(model: Model, scope: Scope) -> None:
    names = [field.name for field in model.fields]
    scored = (*model.scoring.weights, *model.scoring.block) if model.scoring else ()
    for word in (model.key, *(name for group in model.match for name in group), *scored):
        if word and names:
            scope.known(word, names, f"{model.object} has no field", model.position)


def _variants_name_a_code_field(model: Model, scope: Scope) -> None:
    if not model.variants:
        return
    if not scope.known(model.variants, [field.name for field in model.fields], "there is no field", model.position):
        return
    field = model.field(model.variants)
    if field and field.type != "code" and field.args:
        message = f'"{model.variants}" tells variants apart, so its values must be known. Make its type code(...).'
        scope.add(place(model.variants, model.position), message)


def _types_name_what_exists(fields: Sequence[Field], scope: Scope) -> None:
    tables = sorted(name for folder, name in scope.exist if folder == "codes")
    for field in fields:
        if field.type == "code" and field.args:
            scope.known(field.args[0], tables, "there is no code table", field.position)
        if field.type == "ref" and field.args:
            scope.object(field.args[0], field.position)


def _list_is_sound(model: Model, entry: ListField, scope: Scope) -> None:
    names = [field.name for field in entry.fields]
    if model.field(entry.name):
        scope.add(entry.position, f'"{entry.name}" is a field already. Give the list another name.')
    for field in entry.fields:
        if entry.history and field.name in ("from", "until"):
            scope.add(field.position, f'a list with history has "{field.name}" by itself. Remove this line.')
    for word in entry.match:
        every = [*names, "from", "until"] if entry.history else names
        scope.known(word, every, f"{model.object}.{entry.name} has no field", entry.position)


def _references_form_no_cycle(scope: Scope) -> None:
    """An object may refer to its own kind (a hierarchy), but no load order exists for a ring of objects."""
    seen: set[frozenset[str]] = set()
    for name in scope.catalogue.models:
        ring = _ring(scope, name, (name,), set())
        if ring and frozenset(ring) not in seen:
            seen.add(frozenset(ring))
            field = _field_to(scope.catalogue.models[ring[0]], ring[1])
            path = " -> ".join((*ring, ring[0]))
            message = f"objects refer to each other in a ring: {path}. Turn one of the references into a text."
            scope.add(place(field.args[0], field.position), message)


def _ring(scope: Scope, start: str, path: tuple[str, ...], visited: set[str]) -> tuple[str, ...]:
    for parent in scope.catalogue.parents(path[-1]):
        if parent == start and len(path) > 1:
            return path
        if parent in visited or parent not in scope.catalogue.models or parent == path[-1]:
            continue
        visited.add(parent)
        ring = _ring(scope, start, (*path, parent), visited)
        if ring:
            return ring
    return ()


def _field_to(model: Model, parent: str) -> Field:
    fields = (*model.fields, *(field for entry in model.lists for field in entry.fields))
    return next(field for field in fields if field.type == "ref" and field.args[:1] == (parent,))
