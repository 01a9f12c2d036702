"""`isthmus warehouse requests | held | correct | resubmit | dismiss | delete | reverse`: loads and their rest."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, cast

import typer

from isthmus.errors import ConfigError, did_you_mean
from warehouse import held as holding
from warehouse import orchestrate, requests, undo
from warehouse.depot import Depot
from warehouse.resubmit import resubmit as read_again
from warehouse.shown import By, Json, Scenario, Stores, Why, at_depot, print_rows, steps
from warehouse.spec import Store
from warehouse.tables import STATES, State

Number = Annotated[int, typer.Argument(metavar="REQUEST", help="Number of a request.")]
StoreName = Annotated[str, typer.Argument(metavar="STORE", help="A store.")]
COLUMNS = ["request", "store", "source", "mode", "state", "records", "excluded", "changed", "opened", "because"]


def list_requests(
    store: Annotated[str, typer.Argument(help="A store; none means all.")] = "",
    state: Annotated[list[str] | None, typer.Option(help="Only those in this state; may be said again.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the newest.")] = 30,
    as_json: Json = False,
) -> None:
    """List requests, the newest first: from where, how, in what state, how many records."""
    wanted = [_state(word) for word in state or ()]
    with at_depot() as depot:
        name = depot.store(store).name if store else None
        found = requests.list_requests(depot.connection, name, wanted or None, limit)
    rows = [{"request": item.id, "opened": item.created_at, **_shown(asdict(item))} for item in found]
    print_rows("Requests", COLUMNS, rows, as_json)


def _shown(said: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in said.items() if name not in ("id", "created_at", "already")}


def _state(word: str) -> State:
    if word.upper() not in STATES:
        raise ConfigError(f'"{word}" is no state.{did_you_mean(word.upper(), STATES)} States: {", ".join(STATES)}.')
    return cast(State, word.upper())


def list_held(stores: Stores = None, as_json: Json = False) -> None:
    """List the keys whose records are held back, since when and why; their followers wait with them."""
    with at_depot() as depot:
        chosen = [depot.store(name) for name in stores or depot.warehouse.stores]
        rows = [
            {"store": store.name, **asdict(entry)}
            for store in chosen
            for entry in holding.open_entries(depot.connection, store)
        ]
    print_rows("Held back", ["store", "source", "key", "since", "kinds", "requests", "reasons"], rows, as_json)


def correct(
    store: StoreName,
    key: Annotated[str, typer.Argument(help="A held key, as `held` lists it.")],
    by: By,
    why: Why,
    values: Annotated[
        list[str], typer.Option("--set", metavar="FIELD=VALUE", help="What is right; may be said again.")
    ],
    source: Annotated[str, typer.Option(help="The system it came from, where several deliver this key.")] = "",
    as_json: Json = False,
) -> None:
    """Put a held record right; who did so and why stays with it.  An empty value takes the field's value away."""
    overlay = dict(_pair(word) for word in values)
    with at_depot() as depot:
        meant = depot.store(store)
        made = holding.correct(
            depot.connection, meant, key, overlay, by=by, why=why,
            now=depot.clock(), as_of=depot.today, source=source or None,
        )  # fmt: skip
        _write_down(depot, by, "corrected", meant, key, why, {"request": made.id, "fields": sorted(overlay)})
        _go_on(depot, meant, [made], as_json)


def _pair(word: str) -> tuple[str, str | None]:
    name, equals, value = word.partition("=")
    if not equals or not name:
        raise ConfigError(f"--set {word}: expected FIELD=VALUE")
    return name.strip(), value or None


def resubmit(
    store: StoreName,
    by: By,
    why: Why,
    keys: Annotated[list[str] | None, typer.Argument(metavar="[KEY]...", help="Held keys; none means all.")] = None,
    scenario: Scenario = "",
    as_json: Json = False,
) -> None:
    """Read held keys from their source again; what stands there now takes the place of what was held."""
    with at_depot(scenario) as depot:
        meant = depot.store(store)
        found = read_again(depot, meant, keys or [], by=by, why=why)
        if not found and not as_json:
            typer.echo(f"Nothing of {store} is held.")
            return
        for item in found:
            said = {"source": item.source, "keys": len(item.keys), "request": item.request.id if item.request else None}
            _write_down(depot, by, "resubmitted", meant, None, why, said)
        _go_on(depot, meant, [item.request for item in found if item.request], as_json)
    unread = [{"source": item.source, "key": key, "because": because} for item in found for key, because in item.unread]
    if unread and not as_json:
        print_rows("Still not readable", ["source", "key", "because"], unread, False)


def dismiss(
    store: StoreName,
    key: Annotated[str, typer.Argument(help="A held key, as `held` lists it.")],
    by: By,
    why: Why,
    source: Annotated[str, typer.Option(help="The system it came from, where several deliver this key.")] = "",
    as_json: Json = False,
) -> None:
    """End the waiting of a key for which nothing will come, because a mended file brought it under another one."""
    with at_depot() as depot:
        meant = depot.store(store)
        ended = holding.dismiss(depot.connection, meant, key, by=by, why=why, now=depot.clock(), source=source or None)
        _write_down(depot, by, "dismissed", meant, key, why, {"entries": ended})
    print_rows("Dismissed", ["store", "key", "entries"], [{"store": store, "key": key, "entries": ended}], as_json)


def delete(request: Number, by: By, why: Why, as_json: Json = False) -> None:
    """Take a request back as if it had never been: the last one of its keys, while no cube has compressed it."""
    with at_depot() as depot:
        found = requests.request(depot.connection, request)
        meant = depot.store(found.store)
        done = undo.delete_request(depot.connection, depot.warehouse, meant, request, depot.clock())
        _write_down(depot, by, "request deleted", meant, None, why, {"request": request, "images": done.images})
    row = {"request": request, "store": found.store, "images": done.images, "delivered_again": done.again}
    title = "Taken back" if found.state != "DELETED" else "Nothing to do, it was taken back before"
    print_rows(title, ["request", "store", "images", "delivered_again"], [row], as_json)


def reverse(
    request: Number,
    by: By,
    why: Why,
    partial: Annotated[bool, typer.Option("--partial", help="Leave out keys that changed since.")] = False,
    as_json: Json = False,
) -> None:
    """Put every key of a request back to what it was, by another request: what was compressed cannot be deleted."""
    with at_depot() as depot:
        meant = depot.store(requests.request(depot.connection, request).store)
        made = undo.reverse_request(
            depot.connection, meant, request, now=depot.clock(), as_of=depot.today, partial=partial
        )
        _write_down(depot, by, "request reversed", meant, None, why, {"request": request, "by request": made.id})
        _go_on(depot, meant, [made], as_json)


def _go_on(depot: Depot, store: Store, made: list[requests.Request], as_json: bool) -> None:
    """Bring what was made into the cubes and show it."""
    orchestrate.check(depot, store)
    orchestrate.activate(depot, store)
    orchestrate.roll_up(depot, store)
    orchestrate.publish(depot)
    steps([orchestrate.told(depot, store, [item.id for item in made])], as_json)


def _write_down(
    depot: Depot, who: str, what: str, store: Store, key: str | None, why: str, details: dict[str, Any]
) -> None:
    depot.ledger.events.put(who, f"warehouse: {what}", object=store.name, key=key, details={"why": why, **details})
