"""A group of a file read key by key: what is missing, unknown or of the wrong shape becomes a finding."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from isthmus.errors import Finding, did_you_mean
from isthmus.mapping.document import Entries, Items, Node, Text, Word, place
from isthmus.mapping.spec import NOWHERE, Position

YES = {"yes": True, "true": True, "no": False, "false": False}
LATER = {
    "find": "a lookup by other fields (`find`)",
    "chain": "a chain of rows (`chain`)",
    "status": "status rows (`status`)",
    "together": "pairs of objects (`together`)",
    "also": "other names of a key (`also`)",
    "language": "texts by language (`language`)",
    "on_change": "splitting slices (`on_change`)",
    "over": "a list over a chain (`over`)",
    "last": "a slice number (`last`)",
    "via": "a field by way of another (`via`)",
}


@dataclass(slots=True)
class Findings:
    """Collects findings."""

    found: list[Finding] = field(default_factory=list)

    def add(self, position: Position, message: str) -> None:
        """Note one mistake."""
        self.found.append(Finding(position.file, position.line, position.column, message))

    def known(self, word: str, names: Iterable[str], what: str, at: Position) -> bool:
        """Tell whether a word is among names; if not, note it with the nearest one, or those there are."""
        every = list(names)
        if word in every:
            return True
        self.add(place(word, at), f'{what} "{word}".{did_you_mean(word, every) or offered(every)}')
        return False

    def sorted(self) -> tuple[Finding, ...]:
        """Return each finding once, by file, line and column."""
        return tuple(sorted(set(self.found)))


def listed(names: Iterable[str], last: str = "or") -> str:
    """Return `"a", "b" or "c"`."""
    quoted = [f'"{name}"' for name in names]
    return f" {last} ".join([", ".join(quoted[:-1]), quoted[-1]]) if len(quoted) > 1 else "".join(quoted)


def offered(names: Iterable[str]) -> str:
    """Return ` Possible here: a, b.` for a few names, or nothing for many."""
    few = list(names)
    return f" Possible here: {', '.join(few)}." if 0 < len(few) <= 12 else ""


def kind(node: Node) -> str:
    """Say in words what shape a node has."""
    if isinstance(node, Text):
        return "one value"
    return "a list" if isinstance(node, Items) else "a group of keys"


class Form:
    """One group of keys; each is asked for by name and shape."""

    def __init__(self, node: Entries, what: str, known: Sequence[str], findings: Findings) -> None:
        """Take a group that may hold the `known` keys; `what` names it in messages, e.g. `a table`."""
        self.node, self.what, self.findings = node, what, findings
        for key, value in node.pairs:
            if known and key.value not in known:
                self._unknown(key, value, known)

    @property
    def position(self) -> Position:
        """Return where the group starts."""
        return self.node.position

    def where(self, name: str) -> Position:
        """Return where a key stands, or the group's own position."""
        key = self.node.key(name)
        return key.position if key else self.position

    def _unknown(self, key: Text, value: Node, known: Sequence[str]) -> None:
        if key.value in LATER:
            self.findings.add(key.position, f"{LATER[key.value]} is not part of the mapping language yet. Remove it.")
        elif not cut_off(key, value, self.findings):
            hint = did_you_mean(key.value, known) or (f" Possible here: {', '.join(known)}." if len(known) < 13 else "")
            self.findings.add(key.position, f'{self.what} has no key "{key.value}".{hint}')

    def has(self, name: str) -> bool:
        """Tell whether a key is there."""
        return self.node.get(name) is not None

    def scalar(self, name: str, required: bool = False) -> Text | None:
        """Return the one value of a key, or None where it is missing, empty or of another shape."""
        value = self.node.get(name)
        if value is None:
            if required:
                self.findings.add(self.position, f'{self.what} needs "{name}". Add it.')
            return None
        found = one_value(value, name, self.findings)
        if found and required and not found.value.strip():
            self.findings.add(found.position, f'"{name}" is blank. Write what it is.')
            return None
        return found

    def word(self, name: str, required: bool = False) -> Word:
        """Return the text of a key with its position; empty where there is none."""
        value = self.scalar(name, required)
        return value.word if value else Word("")

    def choice(self, name: str, choices: Sequence[str], default: str) -> Word:
        """Return one of a few words."""
        value = self.scalar(name)
        if value is None:
            return Word(default, self.where(name))
        if value.value not in choices:
            hint = did_you_mean(value.value, choices)
            self.findings.add(value.position, f'"{name}" is {listed(choices)}, not "{value.value}".{hint}')
            return Word(default, value.position)
        return value.word

    def yes(self, name: str, default: bool = False) -> bool:
        """Return a boolean written as yes or no."""
        value = self.scalar(name)
        if value is None:
            return default
        if value.value.lower() not in YES:
            self.findings.add(value.position, f'"{name}" is yes or no, not "{value.value}".')
        return YES.get(value.value.lower(), default)

    def number(self, name: str, default: float) -> float:
        """Return a number."""
        value = self.scalar(name)
        if value is None:
            return default
        try:
            return float(value.value)
        except ValueError:
            self.findings.add(value.position, f'"{name}" is a number, not "{value.value}".')
            return default

    def entries(self, name: str, required: bool = False) -> Entries:
        """Return the group under a key; empty where there is none."""
        value = self.node.get(name)
        if value is None:
            if required:
                self.findings.add(self.position, f'{self.what} needs "{name}". Add it.')
            return Entries((), self.position)
        return group(value, name, self.findings)

    def items(self, name: str) -> tuple[Node, ...]:
        """Return the entries of the list under a key."""
        value = self.node.get(name)
        if value is None or (isinstance(value, Text) and not one_value(value, name, self.findings)):
            return ()
        if isinstance(value, Items):
            return value.items
        self.findings.add(value.position, f'"{name}" is a list; this is {kind(value)}. Write each entry after a "-".')
        return ()

    def words(self, name: str) -> tuple[Word, ...]:
        """Return the words of a list under a key; one word counts as a list of one."""
        value = self.node.get(name)
        if isinstance(value, Text):
            found = one_value(value, name, self.findings)
            return (found.word,) if found else ()
        return tuple(text.word for node in self.items(name) if (text := one_value(node, name, self.findings)))

    def texts(self, name: str) -> Mapping[str, Text]:
        """Return a group of single values, by key."""
        pairs = [pair for pair in self.entries(name).pairs if not cut_off(*pair, self.findings)]
        found = {key.word: one_value(value, key.value, self.findings) for key, value in pairs}
        return {key: value for key, value in found.items() if value}


def cut_off(key: Text, value: Node, findings: Findings) -> bool:
    """Tell whether a key is the end of a line that a comma inside {...} cut in two; if so, say it."""
    if not (isinstance(value, Text) and value.empty and any(sign in key.value for sign in "|()")):
        return False
    hint = 'Inside {...} a comma ends a value: join columns by "+", and put a line with commas in quotes.'
    findings.add(key.position, f'"{key.value}" was cut off by the comma before it. {hint}')
    return True


def one_value(node: Node, name: str, findings: Findings) -> Text | None:
    """Return a node that must be one value; an empty one is a finding."""
    if not isinstance(node, Text):
        findings.add(node.position, f'"{name}" is one value; this is {kind(node)}.')
        return None
    if node.empty:
        findings.add(node.position, f'the value of "{name}" is missing. Write one ("" is a blank), or remove the key.')
        return None
    return node


def group(node: Node, name: str, findings: Findings) -> Entries:
    """Return a node that must be a group of keys, empty (with a finding) where it is none."""
    if isinstance(node, Entries):
        return node
    if isinstance(node, Text) and node.empty:
        findings.add(node.position, f'"{name}" is empty. Write {{}} if nothing is to be said, or remove the key.')
    elif not (isinstance(node, Text) and not node.plain and not node.source):
        findings.add(node.position, f'"{name}" is a group of "key: value" lines; this is {kind(node)}.')
    return Entries((), node.position if node.position.line else NOWHERE)
