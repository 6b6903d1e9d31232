# SPDX-License-Identifier: Apache-2.0
"""One request to the server's API, with the key that `muster login` kept.

Server and key come from MUSTER_SERVER and MUSTER_KEY, else from the credentials file.
"""

import http.client
import json
import os
import sys
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any, NoReturn

from muster.cli.words import plain

TIMEOUT = 30.0


class ApiError(Exception):
    """The server said no; `status` is HTTP's, `wrong` each field that is, with why."""

    def __init__(
        self, status: int, message: str, wrong: list[dict[str, str]] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.wrong = wrong or []


def credentials_file() -> Path:
    """Where login keeps server and key, readable for its owner only."""
    config = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(config) / "muster" / "credentials.json"


class Client:
    """Talks to one server."""

    def __init__(self, server: str = "", key: str = "", *, timeout: float = TIMEOUT) -> None:
        self._timeout = timeout
        kept = _kept()
        self.server = (server or os.environ.get("MUSTER_SERVER") or kept.get("server", "")).rstrip(
            "/"
        )
        # A key goes to its own server only, also when another one is named.
        named = "" if server else os.environ.get("MUSTER_KEY", "")
        own = kept.get("key", "") if self.server == kept.get("server") else ""
        self._key = key or named or own
        if not self.server:
            fail("no server is known: muster login http://SERVER:8472 --user admin")
        if not self.server.startswith(("http://", "https://")):
            fail(f"{self.server!r} is no server's address: write http://SERVER:8472")

    def raw(
        self, method: str, path: str, body: object = None, **query: Any
    ) -> tuple[bytes, dict[str, str]]:
        """The answer's bytes and headers; raises ApiError."""
        query = {name: value for name, value in query.items() if value not in ("", None)}
        url = f"{self.server}/api/v1{path}"
        if query:
            url += "?" + urllib.parse.urlencode(query)
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data=data, method=method)
        if data is not None:
            request.add_header("Content-Type", "application/json")
        if self._key:
            request.add_header("Authorization", f"Bearer {self._key}")
        try:
            with urllib.request.urlopen(request, timeout=self._timeout) as answer:
                return answer.read(), {k.lower(): v for k, v in answer.headers.items()}
        except urllib.error.HTTPError as error:
            raise ApiError(error.code, *_detail(error)) from error
        except ValueError as error:
            raise ApiError(0, f"{self.server}: not a server's address: {error}") from error
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            raise ApiError(0, f"{self.server} does not answer: {reason}") from error

    def get(self, path: str, **query: Any) -> Any:
        """GET as JSON."""
        return self._json(self.raw("GET", path, **query)[0])

    def send(self, method: str, path: str, body: object = None) -> Any:
        """Any other method as JSON."""
        answer = self.raw(method, path, body)[0]
        return self._json(answer) if answer else None

    def _json(self, answer: bytes) -> Any:
        try:
            return json.loads(answer)
        except ValueError as error:
            raise ApiError(0, f"{self.server} answers, but not as muster does: {error}") from error

    def every(self, path: str, **query: Any) -> list[Any]:
        """Every page of a list."""
        items: list[Any] = []
        while True:
            page = self.get(path, **query)
            items += page["items"]
            if not page["next"]:
                return items
            query["after"] = page["next"]


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


def _detail(error: urllib.error.HTTPError) -> tuple[str, list[dict[str, str]]]:
    with error:
        try:
            told = json.loads(error.read())
            return str(told["detail"]), told.get("wrong", [])
        except (ValueError, KeyError, TypeError, OSError):
            return f"HTTP {error.code} {error.reason}", []
