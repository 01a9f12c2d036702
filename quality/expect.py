"""Great Expectations, met in one place: imported once when first needed, silent, without a folder or the network."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
import re
import sys
import threading
from collections.abc import Sequence
from datetime import date
from functools import cache
from types import ModuleType
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from isthmus.errors import ConfigError
from isthmus.gate import NAMED, GateFinding
from quality.kinds import KINDS
from quality.suite import Expectation

_ONE_AT_A_TIME = threading.Lock()  # its context belongs to the process


@cache
def _library() -> Any:
    """Import Great Expectations; this takes seconds, so only what checks a package pays for it."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    for name in _SELDOM:
        _later(name)
    try:
        import great_expectations
    except ImportError as error:
        raise ConfigError(
            "The quality gate needs Great Expectations, which is not installed. Install the extra `quality`, or say "
            "`gate: off` in isthmus.yaml."
        ) from error
    logging.getLogger("great_expectations").setLevel(logging.CRITICAL)
    return great_expectations


_SELDOM = ("scipy.stats", "altair")


class _Later(ModuleType):
    """Stands for a module until something of it is asked for."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name != "__path__":
            raise AttributeError(name)
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)


def _later(name: str) -> None:
    """Import a module when it is first used: two that only distances of distributions need weigh 70 MB."""
    parent, _, child = name.rpartition(".")
    if name in sys.modules or importlib.util.find_spec(parent or name) is None:
        return
    stand_in = sys.modules[name] = _Later(name)
    if parent:
        setattr(importlib.import_module(parent), child, stand_in)


def _frames() -> Any:
    """Return what makes batches of pandas frames: a data source that lives in memory only.

    It is made anew for each package, because a data source keeps every frame it has seen.
    """
    gx = _library()
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.enable_analytics(False)
    context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
    return context.data_sources.add_pandas("package").add_dataframe_asset("rows")


def validate(expectations: Sequence[Expectation], frame: pa.RecordBatch, named: int = NAMED) -> tuple[GateFinding, ...]:
    """Evaluate expectations on the rows of a package, in order; bad data never raises.  Up to `named` keys are told.

    Raises ConfigError where the library is missing.  Of a package without rows only `rows` is judged.
    """
    judged = [line for line in expectations if frame.num_rows or line.kind == "rows"]
    if not judged:
        return tuple(_finding(line, {}) for line in expectations)
    gx = _library()
    with _ONE_AT_A_TIME:
        whole = _frames().add_batch_definition_whole_dataframe("all")
        batch = whole.get_batch({"dataframe": _pandas(judged, frame)})
        results = _run(gx, batch, judged, {"result_format": "BASIC", "partial_unexpected_count": 0})
        failed = [line for line in judged if KINDS[line.kind].rows and _count(results[id(line)])]
        told = _run(gx, batch, failed, {**_NAMED, "partial_unexpected_count": named}) if failed else {}
    keys = {line: _keys(told.get(line, {}), named) for line in map(id, failed)}
    return tuple(_finding(line, results.get(id(line), {}), keys.get(id(line), ())) for line in expectations)


_ERROR = re.compile(r"^(?:\w+\.)*(\w*(?:Error|Exception))\b", re.MULTILINE)
_NAMED = {
    "result_format": "SUMMARY",
    "unexpected_index_column_names": ["key"],
    "exclude_unexpected_values": True,
}


def _pandas(expectations: Sequence[Expectation], frame: pa.RecordBatch) -> Any:
    """Return a pandas frame of what the expectations look at, as slim as they allow.

    The library hashes every frame it gets and compares dates one by one in Python: dates go as days since 1970,
    and columns of which only presence is asked go as 1 or nothing.  Texts stay in Arrow's buffers.
    """
    valued = {name for line in expectations if line.kind != "not_null" for name in line.columns} | {"key"}
    columns = {
        name: _days(column) if name in valued else _there(column)
        for name, column in zip(frame.schema.names, frame.columns, strict=True)
    }
    return pa.table(columns).to_pandas()


def _days(column: pa.Array) -> pa.Array:
    return column.cast(pa.int32()) if pa.types.is_date32(column.type) else column


def _there(column: pa.Array) -> pa.Array:
    one = pa.scalar(1, pa.int8())
    return pc.if_else(pc.is_valid(column), one, pa.scalar(None, pa.int8()))


def _run(
    gx: Any, batch: Any, expectations: Sequence[Expectation], result_format: dict[str, Any]
) -> dict[int, dict[str, Any]]:
    """Run expectations and return what the library says of each, by the expectation's identity."""
    classes = [_built(gx, line, place) for place, line in enumerate(expectations)]
    try:
        report = batch.validate(gx.ExpectationSuite(name="package", expectations=classes), result_format=result_format)
    except Exception as error:  # the library raises of its own kinds and of others; none may stop a package
        return {id(line): {"error": type(error).__name__} for line in expectations}
    found = {result.expectation_config.meta["place"]: _plain(result) for result in report.results}
    return {id(line): found.get(place, {"error": "no result"}) for place, line in enumerate(expectations)}


def _built(gx: Any, line: Expectation, place: int) -> Any:
    known = KINDS[line.kind]
    arguments = known.build({name: _comparable(value) for name, value in line.arguments.items()})
    if known.rows:
        arguments["mostly"] = line.mostly
    return getattr(gx.expectations, known.name)(**arguments, meta={"place": place})


def _comparable(value: Any) -> Any:
    """Return a bound as the columns hold it: a date as days since 1970."""
    return (value - date(1970, 1, 1)).days if isinstance(value, date) else value


def _plain(result: Any) -> dict[str, Any]:
    info = result.exception_info or {}
    faults = [info] if "raised_exception" in info else [part for part in info.values() if isinstance(part, dict)]
    raised = [part for part in faults if part.get("raised_exception", True)]
    if raised:
        return {"error": _kind_of(raised[0])}
    return {"success": bool(result.success), **result.result}


def _kind_of(fault: dict[str, Any]) -> str:
    """Return the kind of an exception; its text may hold values of the rows, so only known texts are passed on."""
    message = str(fault.get("exception_message") or "")
    if "does not exist" in message and "column" in message:
        return "the package has no such column"
    raised = _ERROR.findall(str(fault.get("exception_traceback") or ""))
    own = [name for name in raised if not name.startswith("Metric")]
    return str((own or raised or ["unknown error"])[0])


def _count(result: dict[str, Any]) -> int:
    return int(result.get("unexpected_count") or 0)


def _keys(result: dict[str, Any], named: int) -> tuple[str, ...]:
    found = [key for entry in result.get("partial_unexpected_index_list") or () for key in _listed(entry["key"])]
    return tuple(dict.fromkeys(str(key) for key in found))[:named]


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _finding(line: Expectation, result: dict[str, Any], keys: tuple[str, ...] = ()) -> GateFinding:
    if "error" in result:
        detail = f"could not be evaluated: {result['error']}"
        return GateFinding(line.name, line.about, line.severity, "errored", detail=detail)
    checked = int(result.get("element_count") or 0) - int(result.get("missing_count") or 0)
    state: Literal["passed", "failed"] = "passed" if result.get("success", True) else "failed"
    if KINDS[line.kind].rows:
        return GateFinding(line.name, line.about, line.severity, state, _count(result), checked, _share(line), keys)
    return GateFinding(line.name, line.about, line.severity, state, detail=_observed(line, result))


def _share(line: Expectation) -> str:
    return f"at least {line.mostly:.1%} must hold" if line.mostly < 1 else ""


def _observed(line: Expectation, result: dict[str, Any]) -> str:
    if "observed_value" not in result:
        return ""
    bounds = [f"{word} {line.arguments[word]}" for word in ("from", "to") if word in line.arguments]
    found = result["observed_value"]
    return f"found {found:,.4g}, expected {' '.join(bounds)}" if isinstance(found, int | float) else ""
