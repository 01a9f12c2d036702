"""Airflow's API as the launcher and the tests use it: health, a token, DAGs and runs."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from typing import Any

# No proxy of the environment stands between us and our own machine.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass
class Api:
    """The API server at one URL; tokens are kept by user."""

    url: str
    tokens: dict[str, str] = field(default_factory=dict)

    def call(self, path: str, body: Any = None, token: str = "", method: str = "", seconds: float = 30) -> Any:
        """Send a request and return the answer's JSON; raises urllib.error.URLError when there is none."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, method=method or None)
        request.add_header("Content-Type", "application/json")
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        with _OPENER.open(request, timeout=seconds) as answer:
            return json.loads(answer.read() or b"null")

    def token(self, user: str, password: str) -> str:
        """Return a token for a user; raises urllib.error.HTTPError for a wrong password."""
        if user not in self.tokens:
            said = self.call("/auth/token", {"username": user, "password": password})
            self.tokens[user] = said["access_token"]
        return self.tokens[user]

    def answers(self) -> bool:
        """Tell whether the server answers at all."""
        return bool(self._health())

    def healthy(self, component: str) -> bool:
        """Tell whether a component is healthy; the server answers before its components do."""
        return bool(self._health().get(component, {}).get("status") == "healthy")

    def warm(self) -> None:
        """Let the server build the API for tasks now: the first task would wait for it half a minute."""
        try:
            self.call("/execution/health", seconds=120)
        except (urllib.error.URLError, OSError):
            return  # a slower first task is no reason to stop

    def knows(self, dag: str, user: str, password: str) -> bool:
        """Tell whether a DAG, or an error in one, has been read."""
        try:
            self.call(f"/api/v2/dags/{dag}", token=self.token(user, password))
        except urllib.error.HTTPError:
            return bool(self.import_errors(user, password))
        except OSError:
            return False
        return True

    def import_errors(self, user: str, password: str) -> dict[str, str]:
        """Return the text of every error in a DAG file, by file."""
        found = self.call("/api/v2/importErrors", token=self.token(user, password))
        return {error["filename"]: error["stack_trace"] for error in found["import_errors"]}

    def _health(self) -> dict[str, Any]:
        try:
            said = self.call("/api/v2/monitor/health", seconds=10)
        except (urllib.error.URLError, OSError, ValueError):
            return {}
        return said if isinstance(said, dict) else {}
