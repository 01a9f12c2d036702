"""Checks of stores: key, types, history, and what they take of the shared model."""

from __future__ import annotations

from collections.abc import Mapping

from isthmus.errors import did_you_mean
from isthmus.mapping.document import place
from isthmus.mapping.spec import Field, Model
from warehouse.check_scope import TEXTS, Scope, shorter, unknown_code
from warehouse.expression import NUMBERS, scale
from warehouse.grammar import UNREAD
from warehouse.load_store import source_fields
from warehouse.spec import Store, StoreField, Type


def check(store: Store, scope: Scope) -> None:
    """Check a store by itself and against the model."""
    _key_and_history_name_fields(store, scope)
    for field in store.fields:
        _type_is_sound(field, store, scope)
    if scope.catalogue is not None:
        _fields_are_of_the_model(store, scope)


def code_table(type_: Type, scope: Scope) -> None:
    """Check that the code table of a type exists."""
    if type_.kind == "code" and scope.catalogue is not None:
        scope.known(type_.args[0], scope.catalogue.codes, "there is no code table", place(type_.args[0]))


def _key_and_history_name_fields(store: Store, scope: Scope) -> None:
    names = [field.name for field in store.fields]
    for word in (*store.key, *store.history):
        if word in store.history and word in [item.name for item in store.posted]:
            message = f'"{word}" is looked up, and its history is kept where it comes from. Remove it here.'
            scope.add(place(word, store.position), message)
        elif names:
            scope.known(word, names, f"{store.name} has no field", store.position)
    for word in store.key:
        found = store.field(word)
        if found and found.type.kind in NUMBERS and found.type.kind != "integer":
            message = f'"{word}" is {found.type}, and no key: it says how much, not which.'
            scope.add(place(word, store.position), f"{message} Name fields that identify a record.")
    for word in store.history:
        if word in store.key:
            message = f'"{word}" is part of the key, so it never changes and has no history. Remove it here.'
            scope.add(place(word, store.position), message)


def _type_is_sound(field: StoreField, store: Store, scope: Scope) -> None:
    code_table(field.type, scope)
    if field.type.kind == "count":
        scope.add(field.position, f'"count" is a type of figures. A record has a whole number: {field.name}: integer.')
    if field.type.kind in ("amount", "quantity"):
        what = "currency" if field.type.kind == "amount" else "unit"
        names = [item.name for item in store.fields if item.type.kind in TEXTS]
        word = field.type.args[0]
        other = store.field(word)
        if other is not None and other.type.kind not in TEXTS:
            message = f'"{word}" is {other.type}, and no {what} of "{field.name}". Name a field of type text or code.'
            scope.add(place(word, field.position), message)
        elif other is None:
            hint = did_you_mean(word, names) or f" Add the field: no {field.type.kind} stands without its {what}."
            message = f'"{field.name}" is in the {what} "{word}", which is no field of {store.name}.{hint}'
            scope.add(place(word, field.position), message)


def _fields_are_of_the_model(store: Store, scope: Scope) -> None:
    assert scope.catalogue is not None
    if not store.object:
        if store.list:
            scope.add(place(store.list), '"list" is a list of an object, but no object is named. Add "object".')
        return
    if not scope.known(store.object, scope.catalogue.models, "the model has no object", store.position):
        return
    model = scope.catalogue.models[store.object]
    lists = [entry.name for entry in model.lists]
    if store.list and not scope.known(store.list, lists, f"{model.object} has no list", store.position):
        return
    known = source_fields(model, store.list)
    for field in store.fields:
        _field_is_of_the_model(field, model, known, scope)


def _field_is_of_the_model(field: StoreField, model: Model, known: Mapping[str, Field], scope: Scope) -> None:
    said = known.get(field.source)
    at = place(field.source, field.position)
    if said is None:
        _no_such_field(field, model, known, scope)
    elif said.personal:
        message = f'"{said.name}" of {model.object} is personal, and the warehouse holds no personal data.'
        scope.add(at, f"{message} Remove it; take what says less, such as a region or a segment.")
    elif field.type is not UNREAD and field.type.kind != "count" and not unknown_code(field.type, scope):
        wrong = _type_fault(field.type, said)
        if wrong:
            scope.add(place(field.type.args[0] if field.type.args else "", field.position), wrong)


def _no_such_field(field: StoreField, model: Model, known: Mapping[str, Field], scope: Scope) -> None:
    near = did_you_mean(field.source, known)
    hint = near or f" Possible are {', '.join(known)}."
    if field.source == field.name and not near:
        hint += f' If it is called otherwise there, say so: {field.name}: {{type: {field.type}, from: "…"}}.'
    in_list = next((entry.name for entry in model.lists if any(f.name == field.source for f in entry.fields)), "")
    if in_list:
        hint = f' Its list "{in_list}" has one. For a store of its entries add list: {in_list}.'
    scope.add(place(field.source, field.position), f'{model.object} has no field "{field.source}".{hint}')


def _type_fault(type_: Type, said: Field) -> str:
    """Return what is wrong with keeping a field of the model as a type, or an empty text."""
    is_ = f'the model\'s "{said.name}" is {said.type}{f"({said.args[0]})" if said.args else ""}'
    if said.type == "decimal" and type_.kind == "decimal":
        return _digits_fault(type_, Type("decimal", said.args), is_)
    if said.type == "text" and shorter(Type("text", said.args), type_):
        return f"{is_}; {type_} would cut it. Write text({said.args[0]})."
    if said.type == "code" and type_.kind == "code" and type_.args != said.args:
        return f"{is_}, not {type_}. Write code({said.args[0]})."
    if type_.kind in _possible(said):
        return ""
    return f"{is_}, which cannot be kept as {type_}. Write {_instead(said)}."


def _possible(said: Field) -> tuple[str, ...]:
    """Return the types of the warehouse that hold a type of the model."""
    numbers = ("decimal", "amount", "quantity")  # what has more digits than an amount is refused as it comes
    kept: dict[str, tuple[str, ...]] = {"code": TEXTS, "ref": ("text",), "time": ("text",), "decimal": numbers}
    days = said.name in ("from", "until") and said.type == "date"  # a slice counts in days or in moments
    return ("date", "moment") if days else kept.get(said.type, (said.type,))


def _instead(said: Field) -> str:
    if said.type == "decimal":
        return f"decimal({said.args[0]}), amount(…) or quantity(…)"
    if said.type in ("ref", "time"):
        return "text(10) or longer: the key as people know it" if said.type == "ref" else "text(8)"
    return f"{said.type}({said.args[0]})" if said.args else said.type


def _digits_fault(type_: Type, given: Type, is_: str) -> str:
    after, before = scale(given), int(given.args[0].partition(".")[0]) - scale(given)
    room = int(type_.args[0].partition(".")[0]) - scale(type_)
    if after <= scale(type_) and before <= room:
        return ""
    has = f"{type_} has {room} digits before the point and {scale(type_)} after it"
    return f"{is_}; {has}. Write decimal({given.args[0]})."
