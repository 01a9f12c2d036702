"""The documentation that is made of the content: a sheet per object, the list of functions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from isthmus.mapping import sheet
from isthmus.mapping.check_pipes import typed
from isthmus.mapping.functions import Context, Function
from isthmus.mapping.functions.registry import REGISTRY
from isthmus.mapping.spec import Catalogue, CodeTable, Field, Model

MADE = "<!-- Made by `isthmus docs` from `mappings/`; changes here are lost. -->\n"
INVERSE = {True: "yes", False: "no, so `reads` only"}


def documents(catalogue: Catalogue) -> Mapping[str, str]:
    """Return every document by its path below `docs/`."""
    found = {f"mappings/{name}.md": object_page(catalogue, name) for name in sorted(catalogue.models)}
    return {**found, "mappings/index.md": _index(catalogue), "functions.md": functions_page()}


def out_of_date(catalogue: Catalogue, folder: Path) -> tuple[str, ...]:
    """Return the documents below `folder` that are missing, differ, or describe an object that is gone."""
    return stale_pages(documents(catalogue), folder, "mappings")


def write_documents(catalogue: Catalogue, folder: Path) -> tuple[str, ...]:
    """Write what is out of date below `folder` and remove what is left over; return the paths touched."""
    return write_pages(documents(catalogue), folder, "mappings")


def stale_pages(pages: Mapping[str, str], folder: Path, place: str) -> tuple[str, ...]:
    """Return the pages below `folder` that are missing or differ, and those in `place` that nothing makes any more."""
    differ = [name for name, text in pages.items() if _read(folder / name) != text]
    left = [f"{place}/{path.name}" for path in sorted((folder / place).glob("*.md"))]
    return (*differ, *(name for name in left if name not in pages))


def write_pages(pages: Mapping[str, str], folder: Path, place: str) -> tuple[str, ...]:
    """Write the pages that are stale, remove those that nothing makes any more, and return the paths touched."""
    touched = stale_pages(pages, folder, place)
    for name in touched:
        path = folder / name
        if name in pages:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(pages[name], encoding="utf-8")
        else:
            path.unlink()
    return touched


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""


# --- objects ------------------------------------------------------------------------------------------------------


def object_page(catalogue: Catalogue, object_: str) -> str:
    """Write the page of an object: its model, and a sheet for each way it flows."""
    model = catalogue.models[object_]
    parts = [MADE, f"# {object_}\n", f"{model.about}\n", _model(model)]
    for source, target in routes(catalogue, object_):
        parts.append(sheet.markdown(sheet.compose(catalogue, object_, source, target)))
    return "\n".join(parts)


def routes(catalogue: Catalogue, object_: str) -> tuple[tuple[str, str], ...]:
    """Return the (source, target) pairs that scenarios name; without any, each system with itself."""
    flows = [flow for scenario in catalogue.scenarios.values() for flow in scenario.flows]
    named = [(flow.source, flow.target) for flow in flows if flow.object == object_]
    alone = [(system, system) for system, name in catalogue.mappings if name == object_]
    return tuple(dict.fromkeys(named or alone))


def _model(model: Model) -> str:
    lines = ["| field | type | meaning | owner | |", "|---|---|---|---|---|"]
    for name, field in _fields(model):
        marks = [word for word, on in (("required", field.required), ("personal", field.personal)) if on]
        unit = f" ({field.unit})" if field.unit else ""
        owner = field.owner.replace("_", " ")
        lines.append(f"| `{name}` | `{typed(field)}` | {field.meaning}{unit} | {owner} | {', '.join(marks)} |")
    return "\n".join(lines) + "\n"


def _fields(model: Model) -> Iterator[tuple[str, Field]]:
    yield from ((field.name, field) for field in model.fields)
    for entry in model.lists:
        yield from ((f"{entry.name}.{field.name}", field) for field in entry.fields)


def _index(catalogue: Catalogue) -> str:
    lines = [MADE, "# Mapping sheets\n", "| object | what it is | flows |", "|---|---|---|"]
    for name in catalogue.order(tuple(sorted(catalogue.models))):
        ways = ", ".join(f"{a} to {b}" if a != b else f"{a} only" for a, b in routes(catalogue, name))
        lines.append(f"| [{name}]({name}.md) | {catalogue.models[name].about} | {ways} |")
    return "\n".join(lines) + "\n"


# --- functions ----------------------------------------------------------------------------------------------------


def functions_page() -> str:
    """Write the page of the function registry: what each does, shown by its own example."""
    lines = [
        MADE,
        "# Functions of the mapping language\n",
        "A line is read from left to right: `ALIAS.COLUMN | function | function(argument)`. A function with an inverse "
        "may stand in `fields`, which are also written; one without may stand in `reads` and `changed` only.\n",
        "| function | what it gives | raw | model | inverse |",
        "|---|---|---|---|---|",
    ]
    for name, function in sorted(REGISTRY.items()):
        raw, model = function.example
        before = " + ".join(f"`{_shown(value)}`" for value in raw)
        lines.append(
            f"| `{_signature(name, function)}` | {_escaped(function.about)} | {before} | "
            f"`{_shown(model)}` | {_inverse(function)} |"
        )
    return "\n".join(lines) + "\n"


def _signature(name: str, function: Function) -> str:
    return _escaped(f"{name}({function.arguments})" if function.arguments else name)


def _shown(value: str | None) -> str:
    return _escaped("null" if value is None else f'"{value}"' if value != value.strip() or not value else value)


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


def _inverse(function: Function) -> str:
    raw, model = function.example
    table = CodeTable("", "", {"": {model or "x": (raw[0] or "",)}}) if raw else CodeTable("", "", {"": {}})
    codes = {name: table for name in function.example_args}
    step = function.bind(function.example_args, Context("", codes, columns=len(raw)))
    return INVERSE[step.write is not None]
