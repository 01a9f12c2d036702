"""Print pip's settings as shell exports for uv, for `eval`; what is already set for uv stays.

pip merges its files and PIP_ variables itself; it is asked, so that no rule of its is repeated here.
"""

from __future__ import annotations

import ast
import os
import shlex
import subprocess
import sys

NAMES = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "cert": "SSL_CERT_FILE",
    "trusted-host": "UV_INSECURE_HOST",
    "timeout": "UV_HTTP_TIMEOUT",
    "default-timeout": "UV_HTTP_TIMEOUT",
    "proxy": "ALL_PROXY",
}
SECTIONS = ("global", "install", ":env:")  # the later one wins, as in pip


def pip_settings() -> dict[str, str]:
    """Return pip's effective settings for an installation, by option name."""
    asked = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True)
    found: dict[tuple[str, str], str] = {}
    for line in asked.stdout.splitlines():
        name, _, value = line.partition("=")
        section, _, option = name.partition(".")
        if value:
            found[section, option.replace("_", "-")] = str(ast.literal_eval(value))
    return {option: found[section, option] for section in SECTIONS for at, option in found if at == section}


def exports(settings: dict[str, str]) -> dict[str, str]:
    """Return uv's variables for pip's settings; all hashes are checked, so every index is as good as another."""
    variables = {"UV_INDEX_STRATEGY": "unsafe-best-match"}
    if settings.get("no-index", "").lower() in ("1", "true", "yes", "on"):
        variables["UV_FLAGS"] = "--no-index"  # uv knows no variable for it; our scripts pass it on
    for option, value in settings.items():
        if option in NAMES:
            variables[NAMES[option]] = ("," if option == "find-links" else " ").join(value.split())
    return {name: value for name, value in variables.items() if name not in os.environ}


if __name__ == "__main__":
    for variable, text in exports(pip_settings()).items():
        print(f"export {variable}={shlex.quote(text)}")
