"""The arguments of functions as they stand in a mapping file: checked once, when a function is bound."""

from __future__ import annotations

from collections.abc import Iterable
from zoneinfo import ZoneInfo

from isthmus.errors import did_you_mean


def no_arguments(args: tuple[str, ...]) -> None:
    """Raise ValueError if there are arguments."""
    if args:
        raise ValueError(f"takes no argument, found {', '.join(args)}")


def one_argument(args: tuple[str, ...], meaning: str) -> str:
    """Return the only argument; ValueError says what it should have been."""
    if len(args) != 1 or not args[0]:
        raise ValueError(f"takes one argument: {meaning}")
    return args[0]


def choice(args: tuple[str, ...], known: Iterable[str]) -> str:
    """Return the only argument, which must be one of those known."""
    names = tuple(known)
    value = one_argument(args, " or ".join(names))
    if value not in names:
        raise ValueError(f'knows {", ".join(names)}, not "{value}".{did_you_mean(value, names)}')
    return value


def whole_number(text: str, meaning: str, highest: int) -> int:
    """Return the text as a number from 1 to `highest`."""
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= highest):
        raise ValueError(f'takes {meaning}, a whole number from 1 to {highest}, not "{text}"')
    return int(text)


def precision_and_scale(args: tuple[str, ...]) -> tuple[int, int]:
    """Return `13.2` (or two arguments) as (13, 2): digits in all and digits after the point."""
    parts = args[0].split(".") if len(args) == 1 else list(args)
    if len(parts) not in (1, 2) or not all(part.isascii() and part.isdigit() for part in parts):
        raise ValueError(
            f"takes digits in all and digits after the point, like 13.2, not {', '.join(args) or 'nothing'}"
        )
    digits, scale = int(parts[0]), int(parts[1]) if len(parts) == 2 else 0
    if not (1 <= digits <= 38 and scale <= digits):
        raise ValueError(f"takes 1 to 38 digits of which some stand after the point, not {digits}.{scale}")
    return digits, scale


def zone(args: tuple[str, ...]) -> str:
    """Return the time zone named by the only argument, UTC without one."""
    if not args:
        return "UTC"
    name = one_argument(args, "a time zone like Europe/Berlin")
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        raise ValueError(f'knows no time zone "{name}"; take a name like Europe/Berlin') from None
    return name
