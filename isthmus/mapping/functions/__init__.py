"""The closed registry of mapping functions: each is one Arrow kernel composition with its inverse, or none.

A function bound to its arguments is a `Step`.  Reading goes left to right: the raw columns (SAP text, bytes,
decimals) enter the first step, one model column leaves the last.  Writing goes right to left through the
inverses.  Null is the model's "nothing"; raw columns of SAP systems hold initial values instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from isthmus.mapping.spec import CodeTable

Arrays = tuple[pa.Array, ...]


@dataclass(frozen=True, slots=True)
class Converted:
    """The result of a kernel: one array per output and, where some rows failed, a boolean mask of them.

    `fault` is None when every row could be converted: a block without faults pays nothing.
    """

    arrays: Arrays
    fault: pa.BooleanArray | None = None

    @property
    def array(self) -> pa.Array:
        """Return the only output."""
        return self.arrays[0]


Kernel = Callable[[Arrays], Converted]


@dataclass(frozen=True, slots=True)
class Context:
    """What functions may depend on besides their arguments: the system, code tables, settings, what enters.

    `columns` is the number of arrays that enter (0: as many as the function takes by itself), `entering` their
    type; a pipe is bound left to right, so the second function is told what the first gives.
    """

    system: str
    codes: Mapping[str, CodeTable] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    columns: int = 0
    entering: pa.DataType = field(default_factory=pa.string)


@dataclass(frozen=True, slots=True)
class Step:
    """A function bound to its arguments.

    `inputs` and `outputs` are counts of arrays (raw side, model side).  `write` is None where there is no
    inverse.  `expects` completes "expected …" in a rejection.  `exact` says that two raw spellings are equal
    only if they are identical, so no canonical comparison is needed.
    `ref` names the object a foreign key points to; its kernels are the identity on canonical key text.

    Rows that fail are null on the model side and hold the initial value on the raw side, so no later step of the
    pipe reports them again.  `raw` are the types of the arrays `write` gives (empty: text).  `type` is a struct of
    the named outputs where there are several: `days` and `moments` give `from` and `until`, as two arrays.
    `expects_model` completes "expected …" for a value that cannot be written, where `expects` does not fit.
    """

    name: str
    read: Kernel
    write: Kernel | None
    type: pa.DataType  # of the model side
    expects: str
    inputs: int = 1
    exact: bool = False
    ref: str = ""
    outputs: int = 1
    raw: tuple[pa.DataType, ...] = ()
    expects_model: str = ""


@dataclass(frozen=True, slots=True)
class Function:
    """One entry of the registry: what it is for, how it is bound, one example that is its doc and its test.

    An example's raw bytes are given as hexadecimal digits; two outputs are joined by a slash, nothing is `..`.
    """

    name: str
    about: str
    bind: Callable[[tuple[str, ...], Context], Step]  # raises ValueError saying what is wrong with the arguments
    arguments: str = ""  # e.g. "n", "p.s", "table"
    example: tuple[tuple[str | None, ...], str | None] = ((), None)  # raw inputs -> model value, as text
    example_args: tuple[str, ...] = ()
