"""`python -m bench`: measure the initial download against its limit in the server and against other tools."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.console import Console

from bench import errors as bad_rows
from bench import measure, report, server
from bench.measure import Cost
from bench.runs import Bench

app = typer.Typer(help=__doc__, add_completion=False, invoke_without_command=True)
console = Console()
Contracts = Annotated[int, typer.Option(help="Contracts in the landscape.")]
Sizes = Annotated[
    list[int] | None, typer.Option("--contracts", help="Contracts in the landscape; may be given repeatedly.")
]
Pairs = Annotated[int, typer.Option(help="How often each pair A B is run.")]


@contextmanager
def running() -> Iterator[None]:
    """Keep the server up for a measurement and stop it afterwards."""
    server.start()
    try:
        yield
    finally:
        server.stop()


def show(name: str, text: str, costs: dict[str, list[Cost]]) -> None:
    """Print a result and keep it."""
    file = report.keep(name, text, dict(costs))
    typer.echo(text)
    typer.echo(f"kept in {file}")


@app.callback()
def default(context: typer.Context) -> None:
    """Run everything at 100,000 contracts when no command is named."""
    if context.invoked_subcommand is None:
        for command in (run, filled, delta, errors, peers):
            command()


@app.command()
def limit(contracts: Contracts = 100_000, pairs: Pairs = 5) -> None:
    """Measure the limit alone, into an empty and into a filled CRM."""
    with running():
        bench = Bench(contracts)
        empty = [bench.limit_into_empty() for _ in range(pairs)]
        lines = [report.line(f"limit into empty, {contracts:,}", empty)]
        costs = {"limit into empty": empty}
        for share in (0, 1, 50):
            costs[f"limit {share}"] = found = [bench.limit_into_filled(share) for _ in range(pairs)]
            lines.append(report.line(f"limit into filled, {share} % differ", found, base=empty))
        show("limit", report.table(lines), costs)


@app.command()
def run(contracts: Contracts = 100_000, pairs: Pairs = 5) -> None:
    """Measure limit, engine with the gate and without it, into an empty CRM: A B C A B C."""
    with running():
        bench = Bench(contracts)
        limits, gated, bare = [], [], []
        for _ in range(pairs):
            limits.append(bench.limit_into_empty())
            bare.append(bench.engine_into_empty("off"))
            gated.append(bench.engine_into_empty())
            console.print(f"  limit {limits[-1].wall:.1f}  engine {bare[-1].wall:.1f}  with gate {gated[-1].wall:.1f}")
        rows = sum(counts["read"] for counts in bare[0].said["counts"].values())
        lines = [
            report.line("limit (in-server)", limits, rows),
            report.line("engine, ledger and receipts on", bare, rows, limits, "≤ 1.3"),
            report.line("engine, Great Expectations as well", gated, rows, limits),
        ]
        text = f"### Into an empty CRM, {contracts:,} contracts, {rows:,} objects\n\n{report.table(lines)}\n"
        text += (
            report.load_of([*limits, *bare]) + "\n\n" + report.prices(bare, measure.median([c.wall for c in limits]))
        )
        show("run", report.machine() + "\n" + text, {"limit": limits, "engine": bare, "gate": gated})


@app.command()
def filled(contracts: Contracts = 100_000, pairs: Pairs = 5) -> None:
    """Measure runs into a filled CRM: the second run, and with 1 % and 50 % of the rows changed."""
    with running():
        bench = Bench(contracts)
        base = [bench.limit_into_empty() for _ in range(2)]
        bench.fill()
        lines, costs, notes = [report.line("limit into empty", base)], {"limit into empty": base}, []
        targets = {0: "≤ 0.9 (second run)", 1: "≤ 1.5", 50: "≤ 1.5"}
        for share, target in targets.items():
            merges, runs = measure.pairs(
                lambda share=share: bench.limit_into_filled(share),  # type: ignore[misc]
                lambda share=share: bench.engine_into_filled(share, "off"),  # type: ignore[misc]
                pairs,
            )
            costs |= {f"limit {share}": merges, f"engine {share}": runs}
            lines.append(report.line(f"limit's merge, {share} % differ", merges, base=base))
            lines.append(report.line(f"engine, {share} % differ", runs, base=base, target=target))
            lines.append(report.line(f"engine, {share} % differ, against the limit's merge", runs, base=merges))
            said = runs[-1].said
            notes.append(
                f"- {share} %: rows written in the target {said['target_rows']:,}, WAL records of its tables "
                f"{said['target_wal_records']:,}, new ledger rows {said['ledger_rows']}"
            )
        text = f"### Into a filled CRM, {contracts:,} contracts\n\n{report.table(lines)}\n" + "\n".join(notes) + "\n"
        show("filled", text, costs)


@app.command()
def second(contracts: Contracts = 100_000, pairs: Pairs = 5) -> None:
    """Measure the second run alone, against the limit into an empty CRM."""
    with running():
        bench = Bench(contracts)
        bench.fill()
        limits, runs = measure.pairs(bench.limit_into_empty, lambda: bench.engine_into_filled(0, "off"), pairs)
        lines = [report.line("limit into empty", limits), report.line("second run", runs, base=limits, target="≤ 0.9")]
        said = {key: runs[-1].said[key] for key in ("target_rows", "target_wal_records", "ledger_rows")}
        show("second", report.table(lines) + f"\n{said}\n", {"limit": limits, "second": runs})


@app.command()
def delta(contracts: Contracts = 100_000, rows: int = 10_000, pairs: Pairs = 5) -> None:
    """Measure a delta of changed contracts: in a warm process, and in a process of its own."""
    with running():
        bench = Bench(contracts)
        bench.fill()
        seconds, process = bench.delta(rows, pairs + 1)
        cold = [bench.cold_delta(rows) for _ in range(pairs)]
        warm = [Cost(wall=took, peak_mb=process.peak_mb) for took in seconds[1:]]
        lines = [
            report.line(f"delta of {rows:,}, warm process", warm, rows, target="≤ 1.5 s at 1M"),
            report.line(f"delta of {rows:,}, cold process", cold, rows),
        ]
        show("delta", f"### Delta, {contracts:,} contracts\n\n" + report.table(lines), {"warm": warm, "cold": cold})


@app.command("airflow")
def through_airflow(contracts: Contracts = 100_000, rows: int = 10_000, pairs: Pairs = 5) -> None:
    """Measure a delta through the real Airflow: from the commit in IS-U to the moment when CRM shows every row."""
    from bench import airflow

    with running():
        found = airflow.run(contracts, rows, pairs)
        lines = [report.line(f"{rows:,} contracts through Airflow", found, rows)]
        runs = measure.spread([cost.said["run"] for cost in found])
        text = f"### Through Airflow, {contracts:,} contracts\n\n{report.table(lines)}\nThe DAG's run took {runs} s.\n"
        show("airflow", text, {"airflow": found})


@app.command()
def errors(contracts: Contracts = 100_000, pairs: Pairs = 5) -> None:
    """Measure what one bad row in a block of 65,536 costs."""
    with running():
        Bench(contracts)
        found = bad_rows.run(contracts, pairs)
        lines = ["| one bad row, refused by | clean block s | with it s | ratio (target 1.3) |", "|---|---|---|---|"]
        for kind, sides in found.items():
            clean, wrong = (measure.spread(side) for side in sides)
            lines.append(f"| {kind} | {clean} | {wrong} | {bad_rows.ratio(sides):.2f} |")
        show("errors", "### One bad row in a block\n\n" + "\n".join(lines) + "\n", {})


@app.command()
def peers(contracts: Contracts = 100_000, pairs: Pairs = 5) -> None:
    """Measure contracts alone, side by side with dlt, pandas and ingestr: into empty tables, then again."""
    from bench.peers import run as others

    with running():
        bench = Bench(contracts)
        others.environment()
        tools = {"dlt": others.dlt_best, "pandas": others.pandas_copy, "ingestr (copy only)": others.ingestr_copy}
        costs: dict[str, list[Cost]] = {}
        for _ in range(pairs):
            costs.setdefault("limit", []).append(bench.limit_into_empty(["contract"]))
            costs.setdefault("engine", []).append(bench.engine_contracts_into_empty())
            costs.setdefault("engine, again", []).append(bench.engine(["contract"], gate="off"))
            for name, tool in tools.items():
                costs.setdefault(name, []).append(tool(bench))
                costs.setdefault(f"{name}, again", []).append(tool(bench, again=True))
        rows = costs["engine"][0].said["counts"]["contract"]["read"]
        lines = []
        for name, runs in costs.items():
            base = costs["engine, again" if name.endswith("again") else "engine"]
            lines.append(report.line(name, runs, rows, base, "≥ 2" if name.startswith(("dlt", "pandas")) else ""))
        text = f"### Contracts alone, {rows:,} of them; ratios against the engine\n\n{report.table(lines)}"
        show("peers", text, costs)


@app.command()
def sync(contracts: Sizes = None, changes: int = 10_000, rounds: int = 3) -> None:
    """Measure contracts kept in step: changes on both sides, 1 % conflicting, in landscapes of several sizes."""
    from bench import sync as both_ways

    contracts = contracts or [100_000, 1_000_000]
    with running():
        postmaster = server.start()
        found: dict[int, list[tuple[Cost, Cost]]] = {size: [] for size in contracts}
        for number in range(rounds):
            for size in contracts:  # side by side: what slows the machine slows them alike
                found[size].append(both_ways.run(size, changes, postmaster, f"{number} {report.stamp()}"))
        text = f"### {changes:,} contracts changed both ways\n\n" + both_ways.report(found, changes)
        costs = {f"{size}": [first for first, _ in pairs] for size, pairs in found.items()}
        text += "\n" + report.load_of([cost for runs in costs.values() for cost in runs]) + "\n"
        show("sync", text, costs)


@app.command()
def warehouse(
    lines: Annotated[list[int] | None, typer.Option(help="Billing lines; may be given repeatedly.")] = None,
    dbt: Annotated[bool, typer.Option(help="Run dbt beside it, in the same run.")] = True,
) -> None:
    """Measure the warehouse: initial load, deltas, questions, compression, and dbt doing the same."""
    from bench import warehouse as house

    with running():
        found = []
        for count in lines or [1_000_000, 10_000_000]:
            console.print(f"{count:,} lines")
            found.append(house.run(count, dbt=dbt, say=console.print))
        file = report.keep("warehouse", house.table(found), {})
        typer.echo(house.table(found))
        typer.echo(f"kept in {file}")


@app.command()
def remove() -> None:
    """Stop the benchmark's server and delete its databases for good."""
    from isthmus import store

    store.remove(server.PLACE)
    typer.echo("the benchmark's databases are gone")


if __name__ == "__main__":
    app()
