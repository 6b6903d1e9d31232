# SPDX-License-Identifier: Apache-2.0
"""One request to the server's API, with the key that `muster login` kept.

Server and key come from MUSTER_SERVER and MUSTER_KEY, else from the credentials file.
"""

import json
import os
import sys
import urllib.parse
from pathlib import Path
from typing import Any, NoReturn

import muster.client
from muster.cli.words import plain
from muster.client import TIMEOUT, ApiError

__all__ = ["ApiError", "Client", "credentials_file", "fail", "machine_path"]


def credentials_file() -> Path:
    """Where login keeps server and key, readable for its owner only."""
    config = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(config) / "muster" / "credentials.json"


class Client(muster.client.Client):
    """Talks to the server that is named, or to the one of `muster login`."""

    def __init__(self, server: str = "", key: str = "", *, timeout: float = TIMEOUT) -> None:
        kept = _kept()
        meant = (server or os.environ.get("MUSTER_SERVER") or kept.get("server", "")).rstrip("/")
        # A key goes to its own server only, also when another one is named.
        named = "" if server else os.environ.get("MUSTER_KEY", "")
        own = kept.get("key", "") if meant == kept.get("server") else ""
        super().__init__(meant, key or named or own, timeout=timeout)
        if not self.server:
            fail("no server is known: muster login http://SERVER:8472 --user admin")
        if not self.server.startswith(("http://", "https://")):
            fail(f"{self.server!r} is no server's address: write http://SERVER:8472")

    def get(self, path: str, **query: Any) -> Any:
        """GET as JSON."""
        return self._json(self.raw("GET", path, **query)[0])

    def send(self, method: str, path: str, body: object = None) -> Any:
        """Any other method as JSON."""
        answer = self.raw(method, path, body)[0]
        return self._json(answer) if answer else None


def machine_path(reference: str, rest: str = "") -> str:
    """The path of a machine, whatever was typed."""
    return f"/machines/{urllib.parse.quote(reference, safe='')}{rest}"


def fail(message: str) -> NoReturn:
    """Say why and leave with status 1."""
    print(f"muster: {plain(message)}", file=sys.stderr)
    sys.exit(1)


def _kept() -> dict[str, str]:
    try:
        kept = json.loads(credentials_file().read_text())
    except (OSError, ValueError):
        return {}
    return kept if isinstance(kept, dict) else {}
