"""YAML is read as text, with exact places and within limits."""

from __future__ import annotations

import pytest

from isthmus.mapping.document import MAX_BYTES, Entries, Items, Node, Text, read_document


def read(text: str) -> Node:
    root, findings = read_document(text.encode(), "f.yaml")
    assert not findings
    assert root is not None
    return root


def value(text: str) -> Text:
    root = read(f"key: {text}")
    assert isinstance(root, Entries)
    found = root.get("key")
    assert isinstance(found, Text)
    return found


BARE = ("0123", "NO", "no", "ON", "off", "Y", "yes", "true", "1_000", "12:30", "12:30:45", "1e3", "0x10", "~", "=")


@pytest.mark.parametrize("text", BARE)
def test_a_bare_value_stays_as_it_was_typed(text: str) -> None:
    assert value(text).value == text


def test_nothing_a_blank_and_null_are_three_things() -> None:
    assert value("").empty
    assert not value('""').empty
    assert value("null").null
    assert not value('"null"').null


@pytest.mark.parametrize(
    ("text", "word", "line", "column"),
    [
        ("key: EVER.VERTRAG | padded(10)", "padded", 1, 21),
        ("key: 'EVER.VERTRAG | padded(10)'", "padded", 1, 22),
        ('key: "a \\"b\\" c"', "c", 1, 15),
        ("key: 'it''s here'", "here", 1, 13),
        ("key: EVER.VERTRAG |\n  padded(10)", "padded", 2, 3),
        ("über: Straße | trim", "trim", 1, 16),
        ("key: {other: x, deep: A | trim}", "trim", 1, 27),
        ("key: >\n  one\n  two", "two", 3, 3),
    ],
)
def test_a_word_inside_a_value_has_its_own_place(text: str, word: str, line: int, column: int) -> None:
    def texts(node: Node) -> list[Text]:
        if isinstance(node, Text):
            return [node]
        inside = node.items if isinstance(node, Items) else [part for _, part in node.pairs]
        return [text for part in inside for text in texts(part)]

    found = next(text for text in texts(read(text)) if word in text.value)
    place = found.at(found.value.index(word))
    assert (place.line, place.column) == (line, column)


def says(content: bytes) -> str:
    _, findings = read_document(content, "f.yaml")
    assert len(findings) == 1
    return str(findings[0])


def test_what_cannot_be_read_is_one_finding_in_plain_words() -> None:
    assert says(b"a: b\n\tc: d") == "f.yaml:2:1: a tab stands here. Indent with spaces."
    assert says(b"a: \xff").startswith("f.yaml:1:4: this is no UTF-8 text")
    assert says(b"").startswith("f.yaml:1:1: this file is empty")
    assert says(b"a: b\n---\nc: d").startswith("f.yaml:2:1: a second document starts here")
    assert says(b"a: @b").startswith("f.yaml:1:4: a value cannot start with this character")
    assert says(b"a: b\x07").startswith("f.yaml:1:5: an invisible control character")


def test_a_file_beyond_the_limits_is_refused_before_it_costs_anything() -> None:
    assert "Split it" in says(b"a" * (MAX_BYTES + 1))
    assert "nested deeper" in says(b"[" * 10_000)
    assert "too many values" in says(b"- a\n" * 60_000)


def test_the_file_may_be_saved_on_another_system() -> None:
    root, findings = read_document("\ufeffa: 1\r\nb: x | y\r\n".encode(), "f.yaml")
    assert isinstance(root, Entries)
    assert not findings
    assert [key.position.column for key, _ in root.pairs] == [1, 1]
