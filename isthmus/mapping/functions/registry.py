"""The registry itself: every function by its name, and the binding of calls to steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from isthmus.errors import did_you_mean
from isthmus.mapping.functions import Context, Function, Step, codes, dates, keys, numbers, periods, text
from isthmus.mapping.spec import Call

REGISTRY: Mapping[str, Function] = MappingProxyType(
    {
        function.name: function
        for family in (text, keys, dates, periods, numbers, codes)
        for function in family.FUNCTIONS
    }
)


def bind(call: Call, context: Context) -> Step:
    """Bind one call of a pipe; ValueError says what is wrong with it and what to write instead.

    An argument like `$isu.zone` or `$zone` is taken from the system's settings.
    """
    function = REGISTRY.get(call.name)
    if function is None:
        raise ValueError(f'no function is called "{call.name}".{did_you_mean(call.name, REGISTRY)}')
    try:
        step = function.bind(tuple(_resolved(argument, context) for argument in call.args), context)
    except ValueError as wrong:
        raise ValueError(f'"{call.name}" {wrong}') from None
    if context.columns and context.columns != step.inputs:
        raise ValueError(f'"{call.name}" takes {_columns(step.inputs)}, but {_columns(context.columns)} enter')
    return step


def bind_all(calls: Sequence[Call], columns: int, context: Context) -> tuple[Step, ...]:
    """Bind the calls of a pipe that `columns` columns enter; each is told what the one before gives."""
    steps: list[Step] = []
    for call in calls:
        step = bind(call, replace(context, columns=columns))
        context = replace(context, entering=step.type)
        columns = step.outputs
        steps.append(step)
    return tuple(steps)


def _columns(count: int) -> str:
    return "1 column" if count == 1 else f"{count} columns"


def _resolved(argument: str, context: Context) -> str:
    if not argument.startswith("$"):
        return argument
    name = argument[1:].removeprefix(f"{context.system}.")
    if name not in context.settings:
        raise ValueError(f'finds no setting "{name}" of {context.system}.{did_you_mean(name, context.settings)}')
    return context.settings[name]
