"""The demo's second half: a day of business on both sides, kept in step through Airflow, and a witness to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from isthmus.levels.download import Desk
from isthmus.levels.rounds import Round, finished, numbers, run_of, synchronized, with_refused
from isthmus.levels.route import flow_name
from isthmus.levels.summary import number, object_of
from isthmus.levels.sync_summary import both, travelled
from isthmus.store import store_url
from landscape.live import live
from landscape.live_day import Manifest, kept
from monitor.verdict import Promise
from monitor.witness import Agreement, Fared, Witness

CHANGES, MEANWHILE = 400, 60  # of the day on both sides, and in IS-U while the download runs again
OBJECTS = ("business_partner", "contract_account", "contract")  # of things, as the manifest calls them


class Business:
    """What people do on both sides on the demo's day, in two parts, and the witness who watches them."""

    def __init__(self, urls: Mapping[str, str]) -> None:
        """Take the databases of both sides; the same landscape on the same day lives the same."""
        self.urls = urls
        self.seed = 1 + len(kept(urls["isu"]))
        self.days: list[Manifest] = []

    def meanwhile(self) -> None:
        """Let IS-U go on working while CRM is being loaded."""
        self._play(MEANWHILE, during=True)

    def rest(self) -> None:
        """Play the rest of the day, on both sides."""
        self._play(CHANGES, during=False)

    @property
    def changes(self) -> int:
        """Return how many things were changed so far."""
        return sum(played.count for day in self.days for played in day.played)

    @contextmanager
    def watched(self) -> Iterator[Witness]:
        """Give a witness who has seen what both sides said of everybody who was met, before any of it travelled."""
        with Witness.at(self.urls["isu"], self.urls["crm"]) as witness:
            witness.look("before", [key for day in self.days for played in day.played for key in played.keys])
            yield witness

    def _play(self, changes: int, *, during: bool) -> None:
        day = live(self.urls["isu"], self.urls["crm"], changes, self.seed + len(self.days), during=during)
        self.days.append(day)


def rounds_of(desk: Desk, run: str) -> list[Round]:
    """Return what a run of `contract_sync` did to each synchronized flow, as the ledger tells it."""
    found = []
    for flow in synchronized(desk):
        name, own = flow_name(flow), run_of(run, flow)
        done = finished(desk, own)
        counts = with_refused(desk, name, own, numbers(done.summary)) if done else {}
        found.append(Round(name, own, counts, waits="" if done else "it did not run"))
    return found


def show_rounds(console: Console, rounds: Sequence[Round], seconds: float) -> None:
    """Print what travelled, object by object; it fits 80 columns."""
    title = f"Kept in step in {seconds:.0f} s (things; in brackets, fields that travelled)"
    table = _table(title, "", *(object_of(found.flow) for found in rounds))
    rows: dict[str, Callable[[Mapping[str, int]], str]] = {
        "reported by the feeds": lambda counts: number(both(counts, "polled")),
        "compared": lambda counts: number(counts.get("things", 0)),
        "from IS-U to CRM": lambda counts: travelled(counts, "target"),
        "from CRM to IS-U": lambda counts: travelled(counts, "source"),
        "made in CRM": lambda counts: number(counts.get("created_target", 0)),
        "made in IS-U": lambda counts: number(counts.get("created_source", 0)),
        "put right by the owner": lambda counts: number(counts.get("put_right", 0)),
        "held for a person": lambda counts: number(counts.get("conflicts", 0) - counts.get("refused", 0)),
        "refused by a rule": lambda counts: number(counts.get("refused", 0)),
        "parked": lambda counts: number(counts.get("parked", 0)),
        "rejected": lambda counts: number(counts.get("rejected", 0)),
        "the same on both sides": lambda counts: number(counts.get("unchanged", 0)),
    }
    for name, cell in rows.items():
        cells = [cell(found.counts) for found in rounds]
        if set(cells) != {"·"}:
            table.add_row(name, *cells)
    console.print(table)


def show_held(console: Console, desk: Desk, program: str) -> None:
    """Print what waits for a person and why, with the command that shows it."""
    table = _table("Waits for a person", "why", "object", "field", "things")
    because = {
        "both changed": "both sides changed it",
        "refused": "a rule of the business refuses it",
        "duplicate": "somebody like that is there already",
        "vanished": "it vanished on one side",
        "disagrees": "the sides name other counterparts",
    }
    found: Counter[tuple[str, str, str]] = Counter()
    for count in desk.ledger.conflicts.counts():
        if count.state == "open":
            found[count.kind, short(count.flow), count.field.replace("_", " ")] += count.conflicts
    for (kind, name, field), conflicts in sorted(found.items()):
        table.add_row(because.get(kind, kind), name, field or "the whole record", number(conflicts))
    console.print(table)
    said = f"  [cyan]{program} conflicts list[/cyan] shows them, and so does the DAG Conflict review in Airflow"
    console.print(said, soft_wrap=True)
    console.print()


def show_day(console: Console, fared: Sequence[Fared]) -> None:
    """Print every kind of change of the day, and how many of them fared as expected."""
    summed: dict[tuple[str, str], tuple[int, int]] = {}
    about: dict[tuple[str, str], str] = {}
    for item in sorted(fared, key=lambda item: OBJECTS.index(item.played.object)):
        what = item.played.object, item.played.kind
        right, times = summed.get(what, (0, 0))
        summed[what] = right + item.as_expected, times + item.played.count
        about[what] = item.played.expected if item.played.stamped else f"{item.played.expected}, no stamp"
    table = _table("The day, and what became of it", "", "object", "what happened", "as expected", "expected")
    for (name, kind), (right, times) in summed.items():
        mark = "[green]✓[/green]" if right == times else "[bold red]✗[/bold red]"
        table.add_row(mark, short(name), kind.replace("_", " "), f"{right:,} of {times:,}", about[name, kind])
    console.print(table)


def short(flow: str) -> str:
    """Return the last word of an object's name.

    >>> short("business_partner.isu.crm")
    'partner'
    """
    return object_of(flow).rpartition(" ")[2]


def show_agreement(console: Console, found: Sequence[Agreement]) -> None:
    """Print how both sides stand, by a comparison in SQL that knows nothing of the engine."""
    table = _table(
        "Both sides, laid side by side by SQL of its own", "object", "pairs", "values", "held", "differ", "one-sided"
    )
    for item in found:
        alone = f"{number(item.held_in_isu + item.held_in_crm)} held" if item.held_in_isu + item.held_in_crm else "·"
        table.add_row(
            object_of(item.object),
            number(item.pairs),
            number(item.values),
            number(item.held),
            number(item.unexplained),
            alone if not item.alone else f"{alone}, {item.alone:,} not",
        )
    console.print(table)


def owners(desk: Desk) -> dict[tuple[str, str], str]:
    """Return the system that owns each field of what is synchronized."""
    models, roles = desk.project.catalogue.models, desk.scenario.roles
    return {
        (flow.object, field.name): roles.get(flow.owners.get(field.name, field.owner), "")
        for flow in synchronized(desk)
        for field in models[flow.object].fields
    }


def written(rounds: Sequence[Round]) -> int:
    """Return how many rows a run wrote on either side."""
    return sum(found.changed for found in rounds)


def promises(
    fared: Sequence[Fared],
    agreement: Sequence[Agreement],
    first: Sequence[Round],
    again: Sequence[Round],
    late: int = 0,
) -> list[Promise]:
    """Say whether the day ended as promised; `late` are rows that a run between first and last wrote."""
    wrong = [
        f"{item.played.kind.replace('_', ' ')} {', '.join(item.wrong)}"
        for item in fared
        if item.as_expected != item.played.count
    ]
    done, kinds = sum(item.as_expected for item in fared), len({item.played.kind for item in fared})
    apart = [object_of(item.object) for item in agreement if not item.agrees]
    values, held = sum(item.values for item in agreement), sum(item.held for item in agreement)
    wrote = written(again)
    between = f", after a second run told IS-U {late:,} numbers that CRM had given" if late else ""
    compared = sum(found.counts.get("things", 0) for found in again)
    ran = all(not found.waits for found in (*first, *again))
    return [
        Promise(
            "Every change of the day fares as expected",
            not wrong,
            f"not so: {'; '.join(wrong)}" if wrong else f"{done:,} changes of {kinds} kinds",
        ),
        Promise(
            "Both sides agree, says plain SQL",
            not apart,
            f"they differ in {', '.join(apart)}"
            if apart
            else f"{values:,} values compared, {held:,} of them held for a person",
        ),
        Promise(
            "The next synchronization writes nothing",
            ran and not wrote,
            f"{compared:,} compared once more, {wrote:,} written{between}" if ran else "it did not run",
        ),
    ]


def agreement(witness: Witness, desk: Desk) -> list[Agreement]:
    """Look at both sides after all, and compare them."""
    witness.look("after")
    return witness.agreement(store_url("engine"), [flow.object for flow in synchronized(desk)])


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", header_style="bold", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    left = ("", "why", "object", "field", "what happened", "expected")
    for name in columns:
        table.add_column(name, justify="left" if name in left else "right", no_wrap=True)
    return table
