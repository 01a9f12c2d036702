"""Billing lines by the million, drawn column by column: what the warehouse's benchmark loads, and its deltas.

A contract has eight lines: half of the lines belong to yearly bills (thirteen calendar months), half to monthly ones.
Rate category decides division, product and class, as it does in a utility, so that cells are as many as there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from landscape.columns import decimals

PACKAGE = 100_000
PER_CONTRACT = 8
PER_DOCUMENT = 4
RATES = 10
MONTHS = 24
REGIONS = ("north", "east", "south", "west", "centre")
FIRST_POSTING = np.datetime64("2024-01-05")
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Lines:
    """So many lines; numbers above are new ones of later deltas."""

    count: int

    @property
    def contracts(self) -> int:
        """Return how many contracts they belong to."""
        return max(1, self.count // PER_CONTRACT)

    def packages(self) -> Iterator[pa.RecordBatch]:
        """Yield all lines, as a system tells of them."""
        for start in range(0, self.count, PACKAGE):
            yield lines(np.arange(start, min(start + PACKAGE, self.count)), self.contracts)

    def delta(self, rows: int, seed: int) -> pa.RecordBatch:
        """Return a delta: 80 % corrections (one in four moves to another rate), 15 % new lines, 5 % deletes."""
        draw = np.random.default_rng(seed)
        old = draw.choice(self.count, rows - rows * 15 // 100, replace=False)
        gone, fixed = old[: rows // 20], old[rows // 20 :]
        new = self.count * (1 + seed) + np.arange(rows - len(old))
        parts = [
            lines(fixed, self.contracts, turn=seed),
            lines(new, self.contracts),
            with_mode(lines(gone, self.contracts), "D"),
        ]
        return pa.Table.from_batches(parts).combine_chunks().to_batches()[0]

    def members(self) -> Iterator[tuple[str, pa.RecordBatch]]:
        """Yield the records of the stores whose attributes lines keep as posted: customers, then contracts."""
        customers, contracts = np.arange(self.contracts * 3 // 4 + 1), np.arange(self.contracts)
        yield (
            "customer",
            pa.RecordBatch.from_pydict(
                {
                    "number": numbered(customers, 10),
                    "segment": chosen(("0001", "0002", "0003"), customers % 3),
                    "region": chosen(REGIONS, customers % len(REGIONS)),
                }
            ),
        )
        yield (
            "contract",
            pa.RecordBatch.from_pydict(
                {
                    "number": numbered(contracts, 10),
                    "product_id": chosen([f"PRODUCT{number}" for number in range(RATES)], contracts * 7 % RATES),
                    "customer": numbered(contracts * 3 // 4, 10),
                    "installation": numbered(contracts, 10),
                    "starts_on": pa.repeat(pa.scalar(date(2020, 1, 1)), len(contracts)),
                }
            ),
        )


def with_mode(batch: pa.RecordBatch, mode: str) -> pa.RecordBatch:
    """Set the record mode."""
    at = batch.schema.names.index("record_mode")
    return batch.set_column(at, "record_mode", pa.repeat(pa.scalar(mode), batch.num_rows))


def lines(ids: Ints, contracts: int, turn: int = 0) -> pa.RecordBatch:
    """Return lines by number; `turn` corrects their amounts, of every fourth the rate category too."""
    contract = ids // PER_CONTRACT % contracts
    rate = (contract * 7 + np.where(ids % 4 == 0, turn, 0)) % RATES
    yearly = ids % 2 == 0
    posted = FIRST_POSTING + (contract * 31 + ids // PER_DOCUMENT * 13) % (MONTHS * 30)
    until = posted - 3
    since = np.where(yearly, until - 364, until - 29)
    quantity = (contract % 400 + 20) * np.where(yearly, 12_000, 1_000) + ids % 1_000  # in thousandths
    cents = quantity * (25 + rate) // 1_000 + turn
    division = np.where(rate < 6, 0, np.where(rate < 9, 1, 2))
    return pa.RecordBatch.from_pydict(
        {
            "record_mode": pa.repeat(pa.scalar(""), len(ids)),
            "document": numbered(ids // PER_DOCUMENT, 12),
            "line": numbered(ids % PER_DOCUMENT + 1, 6),
            "contract": numbered(contract, 10),
            "account": numbered(contract, 12),
            "customer": numbered(contract * 3 // 4, 10),
            "installation": numbered(contract, 10),
            "division": chosen(("electricity", "gas", "water"), division),
            "rate_category": chosen([f"RATE{number}" for number in range(RATES)], rate),
            "rate_type": chosen([f"T{number}" for number in range(RATES)], rate),
            "billing_class": chosen(("HH", "COM"), rate % 2),
            "account_class": chosen(("01", "02"), rate % 2),
            "company": pa.repeat(pa.scalar("1000"), len(ids)),
            "kind": chosen(("energy", "energy", "energy", "flat"), ids % 4),
            "posted_on": pa.array(posted.astype("datetime64[D]")),
            "period_from": pa.array(since.astype("datetime64[D]")),
            "period_to": pa.array(until.astype("datetime64[D]")),
            "quantity": decimals(np.where(ids % 4 == 3, 0, quantity), 17, 3),
            "unit": chosen(("kwh", "kwh", "m3"), division),
            "amount": decimals(cents, 15, 2),
            "currency": pa.repeat(pa.scalar("EUR"), len(ids)),
            "reversed": pa.array(contract % 97 == 0),
            "grid": pa.repeat(pa.scalar(False), len(ids)),
        }
    )


def numbered(numbers: Ints, width: int) -> pa.Array:
    """Return numbers as text with zeros in front."""
    return pc.utf8_lpad(pc.cast(pa.array(numbers), pa.string()), width, "0")


def chosen(words: tuple[str, ...] | list[str], at: Ints) -> pa.Array:
    """Return a word by number."""
    return pa.array(list(words)).take(pa.array(at))
