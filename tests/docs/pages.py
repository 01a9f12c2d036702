"""What stands in the pages: blocks of code, command lines, links."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`(isthmus [^`\n]+)`")
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)[^)]*\)")


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block: its language, and its text without the fences."""

    language: str
    text: str

    @property
    def title(self) -> str:
        """Return what the first line says after `# `, or nothing."""
        first = self.text.split("\n", 1)[0]
        return first.removeprefix("# ").strip() if first.startswith("# ") else ""


def read(name: str) -> str:
    """Return a page by its path in the project."""
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(text: str) -> list[Block]:
    """Return the fenced blocks of a page."""
    return [Block(language, inside) for language, inside in FENCE.findall(text)]


def command_lines(text: str) -> Iterator[list[str]]:
    """Yield the words after `isthmus` of every command line, in blocks without a language or shell, and in prose."""
    prose = FENCE.sub("", text)
    lines = [line.removeprefix("$ ") for block in blocks(text) if block.language in ("", "sh", "bash", "console")
             for line in block.text.splitlines()]  # fmt: skip
    spoken = [line for line in lines if line.startswith("isthmus ")]
    for line in (*spoken, *INLINE.findall(prose)):
        yield shlex.split(line.replace("'", ""), comments=True)[1:]


def links(text: str) -> Iterator[str]:
    """Yield the targets of relative links and pictures, without their anchors."""
    for target in LINK.findall(FENCE.sub("", text)):
        if not re.match(r"[a-z]+:|#", target):
            yield target.split("#")[0]
