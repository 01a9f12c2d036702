"""What every connector must keep, as a pytest class to inherit: it reads the capabilities and tests what is claimed.

class TestMine(ConnectorSuite):
    @pytest.fixture
    def connector(self): ...       # open, on a scratch system
    @pytest.fixture
    def place(self): ...           # puts rows into a scratch object, past the connector
"""

# ruff: noqa: D102 - the names of the tests are sentences

from __future__ import annotations

import pytest

from isthmus.conformance.conditional import Conditional
from isthmus.conformance.feeds import Feeding
from isthmus.conformance.material import Place, Scratch, ids
from isthmus.conformance.reading import Reading
from isthmus.conformance.writing import Writing
from isthmus.connector import Connector


class ConnectorSuite(Reading, Writing, Conditional, Feeding):
    """The suite; a subclass gives the fixtures `connector` and `place`, and others where they differ."""

    def test_a_check_of_a_working_system_passes(self, connector: Connector) -> None:
        assert {step.state for step in connector.check()} <= {"ok", "not tried"}
        assert connector.check()[0].state == "ok"

    def test_a_check_never_raises_and_never_shows_a_secret(self, unreachable: tuple[Connector, str] | None) -> None:
        if unreachable is None:
            pytest.skip("there is no such thing as an address that does not answer")
        connector, secret = unreachable
        steps = connector.check()
        assert any(step.state == "failed" for step in steps)
        assert steps[-1].state != "ok"
        assert secret not in str(steps)

    def test_a_connector_may_be_closed_twice(self, connector: Connector) -> None:
        connector.discover()
        connector.close()
        connector.close()


__all__ = ["ConnectorSuite", "Place", "Scratch", "ids"]
