"""A store of its own for tests that crash, stop or age it, with its true durability settings."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from isthmus.store.place import Place
from tests.conftest import new_home, remove_home


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """The place of a private store that was never started, in the project folder that the environment names."""
    folder = new_home()
    monkeypatch.setenv("ISTHMUS_HOME", str(folder))
    yield Place(folder / ".isthmus" / "store")
    remove_home(folder)
