"""The quality gate before activation: bad records of a request are held one by one, the rest goes on.

A critical finding about single records holds those; one about the whole request, or about most of it, holds the
request: it stays LOADED until the suite or the source is put right, or the request is deleted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass

import pyarrow as pa
import pyarrow.compute as pc

from isthmus.errors import DataError
from isthmus.gate import Gate, GateFinding, Verdict
from warehouse.depot import Depot
from warehouse.held import checked, hold
from warehouse.inbound import request_frame
from warehouse.requests import Request, request
from warehouse.spec import Store
from warehouse.tables import DELETE, REVERSE

MOST = 0.5  # of the records of a request; more that are bad are no bad records but a wrong suite or a wrong source
FEW = 20  # records; of so few most may be bad
FINDINGS = pa.schema(
    [
        ("package_no", pa.int32()),
        ("record_no", pa.int64()),
        ("field", pa.string()),
        ("code", pa.string()),
        ("message", pa.string()),
    ]
)


@dataclass(frozen=True, slots=True)
class Checked:
    """What the gate said of a request: how many records it held, and its findings that are not passed."""

    request: int
    held: int = 0
    findings: tuple[GateFinding, ...] = ()


def suite_of(store: Store) -> str:
    """Return how the gate calls the suite of a store: `quality/warehouse/<store>.yaml`."""
    return f"warehouse.{store.name}"


def check_request(depot: Depot, store: Store, gate: Gate, found: Request) -> Checked:
    """Let a LOADED request through the gate and call it CHECKED, less what is held and what follows it.

    Raises DataError where the gate withholds it as a whole; it stays LOADED then.
    """
    verdict, bad, rows = Verdict(), FINDINGS.empty_table(), 0
    if gate.has_suite(suite_of(store)):
        for frame in request_frame(depot.connection, store, found):
            framed = _framed(frame)
            one = gate.check(suite_of(store), framed, named=framed.num_rows)
            verdict = Verdict((*verdict.findings, *one.findings))
            bad = pa.concat_tables([bad, *_records(one)])
            rows += framed.num_rows
        _keep(depot, store, found, verdict)
        _refuse_whole(store, found, verdict, bad, rows)
    if bad.num_rows:
        hold(depot.connection, store, found, bad, depot.clock())
    checked(depot.connection, store, found, depot.clock())
    held = request(depot.connection, found.id).excluded
    return Checked(found.id, held, tuple(item for item in verdict.findings if item.state != "passed"))


def _framed(frame: pa.RecordBatch) -> pa.RecordBatch:
    """Return what the gate sees: `key` names the record, deletes have no values to judge."""
    gone = pc.is_in(frame.column("record_mode"), pa.array([DELETE, REVERSE]))
    frame = frame.filter(pc.invert(pc.fill_null(gone, False)))
    numbers = [frame.column(name).cast(pa.string()) for name in ("package_no", "record_no")]
    names = [name for name in frame.schema.names if name not in ("package_no", "record_no", "sequence", "source")]
    columns = [pc.binary_join_element_wise(*numbers, "/"), *(frame.column(name) for name in names)]
    return pa.RecordBatch.from_arrays(columns, names=["key", *names])


def _records(verdict: Verdict) -> Iterator[pa.Table]:
    """Yield the records that a critical finding names, with the reason."""
    for item in verdict.findings:
        if item.severity != "critical" or item.state != "failed" or not item.keys:
            continue
        kind, _, columns = item.expectation.rstrip(")").partition("(")
        numbers = [key.split("/") for key in item.keys]  # as many as there are bad records
        said = item.about or item.detail
        yield pa.table(
            [
                pa.array([int(package) for package, _ in numbers], pa.int32()),
                pa.array([int(record) for _, record in numbers], pa.int64()),
                *(pa.repeat(pa.scalar(text), len(numbers)) for text in (columns, kind, said)),
            ],
            schema=FINDINGS,
        )


def _refuse_whole(store: Store, found: Request, verdict: Verdict, bad: pa.Table, rows: int) -> None:
    whole = [item for item in verdict.findings if _is_whole(item)]
    why = "; ".join(f"{item.expectation}: {item.about or item.detail}" for item in whole)
    records = bad.group_by(["package_no", "record_no"]).aggregate([]).num_rows if bad.num_rows else 0
    if not why and rows > FEW and records > MOST * rows:
        said = sorted(set(zip(bad["code"].to_pylist(), bad["message"].to_pylist(), strict=True)))
        why = f"{records:,} of {rows:,} records are bad: " + "; ".join(f"{code}: {text}" for code, text in said)
    if why:
        raise DataError(
            f"request {found.id} of store {store.name} is withheld by the gate, nothing of it counts: {why}. "
            f"Correct the source or quality/warehouse/{store.name}.yaml and check it again, or take the load back: "
            f"`isthmus warehouse delete {found.id}`"
        )


def _is_whole(item: GateFinding) -> bool:
    return item.severity == "critical" and (item.state == "errored" or (item.state == "failed" and not item.keys))


def _keep(depot: Depot, store: Store, found: Request, verdict: Verdict) -> None:
    """Keep what the gate said with the ledger's other verdicts; never the keys of single records."""
    said = [{**asdict(item), "keys": len(item.keys)} for item in verdict.findings]
    failed = [item for item in verdict.findings if item.state != "passed"]
    worst = "critical" if any(item.severity == "critical" for item in failed) else "warning" if failed else "passed"
    depot.ledger.gate_results.put(suite_of(store), worst, {"findings": said}, found.run, str(found.id))
