"""A page of what the gate said in a run: one HTML file that needs nothing else, no script, no network."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from isthmus.ledger import Ledger
from quality.results import FlowResults, Line, Warned, results_of

KEYS_SHOWN = 20
STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, sans-serif; color: #1d2733; background: #fbfbf9; margin: 2rem auto; max-width: 70rem;
  padding: 0 1rem; }
h1 { font-size: 1.6rem; margin: 0 0 .2rem; } h2 { font-size: 1.15rem; margin: 2.2rem 0 .4rem; }
h3 { font-size: .95rem; margin: 1.1rem 0 .3rem; color: #55606c; }
p { margin: .2rem 0 .6rem; color: #55606c; }
table { border-collapse: collapse; width: 100%; background: #fff; border: 1px solid #e2e4e0; }
th, td { text-align: left; vertical-align: top; padding: .35rem .6rem; border-bottom: 1px solid #eceeea; }
th { font-weight: 600; background: #f3f4f0; font-size: .85rem; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
code { font: .85rem ui-monospace, monospace; } small { color: #55606c; }
.state { display: inline-block; padding: 0 .5rem; border-radius: .6rem; font-size: .8rem; white-space: nowrap; }
.passed { background: #e1f1e4; color: #1b5e2b; } .failed.warning { background: #fdf0d2; color: #7a5200; }
.failed.critical { background: #fbdfdc; color: #8c1d13; } .errored { background: #e6e2f5; color: #43318a; }
details summary { cursor: pointer; color: #2b5a8a; } details code { word-break: break-all; }
a { color: #2b5a8a; }
"""


def page(ledger: Ledger, run: str) -> str:
    """Return the page of a run's gate results; raises ConfigError for a run the ledger does not know."""
    begun = ledger.runs.get(run)
    flows = results_of(ledger, run)
    facts = f"{begun.scenario}, {begun.mode}, begun {begun.started_at:%Y-%m-%d %H:%M} UTC, {begun.state}"
    content = [
        f"<h1>Quality of run {escape(run)}</h1>",
        f"<p>{escape(facts)}. {_verdict(flows)}</p>",
        _overview(flows),
        *(_flow(found) for found in flows if found.told),
        "<h2>How to read this</h2>",
        "<p><b>failed, critical</b>: the package was withheld, nothing of it was written. "
        "<b>failed, warning</b>: carried and reported. <b>errored</b>: the expectation could not be evaluated, so it "
        "says nothing about the data. Keys are named, values never. Packages in which everything passed are counted "
        "and not listed.</p>",
    ]
    return _document(f"Quality of run {run}", content)


def _verdict(flows: Sequence[FlowResults]) -> str:
    withheld = sum(len(found.withheld) for found in flows)
    errored = sum(found.count("errored") for found in flows)
    warned = sum(warning.rows for found in flows for warning in found.warnings.values())
    if not withheld and not errored and not warned and not any(found.count("failed") for found in flows):
        return "Everything passed."
    said = [f"{withheld:,} packages withheld"] if withheld else ["No package was withheld"]
    said += [f"{errored:,} expectations could not be evaluated"] if errored else []
    said += [f"{warned:,} warnings"] if warned else []
    return "; ".join(said) + "."


def _overview(flows: Iterable[FlowResults]) -> str:
    head = (("flow", ""), *((name, "number") for name in ("packages", "rows read", "withheld", "failed", "errored")))
    rows = [
        (
            f'<a href="#{escape(found.flow)}">{escape(found.flow)}</a>' if found.told else escape(found.flow),
            f"{found.packages:,}",
            f"{found.rows:,}",
            f"{len(found.withheld):,}",
            f"{found.count('failed'):,}",
            f"{found.count('errored'):,}",
            f"{sum(warning.rows for warning in found.warnings.values()):,}",
        )
        for found in flows
    ]
    return _table((*head, ("warnings", "number")), rows)


def _flow(found: FlowResults) -> str:
    parts = [f'<h2 id="{escape(found.flow)}">{escape(found.flow)}</h2>']
    if found.withheld:
        parts.append(f"<p>Withheld: {', '.join(f'<code>{escape(name)}</code>' for name in found.withheld)}</p>")
    if found.lines:
        head = (("expectation", ""), ("state", ""), ("unexpected of checked", "number"), ("keys", ""))
        parts += ["<h3>Expectations and checks</h3>", _table(head, [_line(line) for line in found.lines.values()])]
    rows = [_warning(warning) for warning in found.warnings.values() if warning.code != "check"]
    if rows:
        head = (("field", ""), ("warning", ""), ("rows", "number"), ("keys", ""))
        parts += ["<h3>Carried with a warning</h3>", _table(head, rows)]
    return "\n".join(parts)


def _line(line: Line) -> tuple[str, ...]:
    details = "".join(f"<br><small>{escape(text)}</small>" for text in line.details)
    return (
        f"<code>{escape(line.expectation)}</code><br>{escape(line.about)}{details}",
        f'<span class="state {escape(line.state)} {escape(line.severity)}">{escape(line.state)}, '
        f"{escape(line.severity)}</span>",
        "" if line.state == "errored" else f"{line.unexpected:,} of {line.checked:,}",
        _keys(line.keys),
    )


def _warning(warning: Warned) -> tuple[str, ...]:
    name = f"<code>{escape(warning.place)}</code>"
    return name, escape(warning.message), f"{warning.rows:,}", _keys(warning.keys)


def _keys(keys: Iterable[str]) -> str:
    named = list(keys)
    if not named:
        return ""
    shown = ", ".join(escape(key) for key in named[:KEYS_SHOWN])
    more = " ..." if len(named) > KEYS_SHOWN else ""
    label = "1 key" if len(named) == 1 else f"{min(len(named), KEYS_SHOWN)} keys"
    return f"<details><summary>{label}</summary><code>{shown}{more}</code></details>"


def _table(head: Sequence[tuple[str, str]], rows: Iterable[Sequence[str]]) -> str:
    kinds = [f' class="{kind}"' if kind else "" for _, kind in head]
    top = "".join(f"<th{kind}>{escape(name)}</th>" for (name, _), kind in zip(head, kinds, strict=True))
    body = "\n".join(
        "<tr>" + "".join(f"<td{kind}>{cell}</td>" for cell, kind in zip(row, kinds, strict=True)) + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{top}</tr></thead><tbody>\n{body}\n</tbody></table>"


def _document(title: str, content: Iterable[str]) -> str:
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return "\n".join(
        (
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title><style>{STYLE}</style></head><body>",
            *content,
            "</body></html>\n",
        )
    )
