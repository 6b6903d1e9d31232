# SPDX-License-Identifier: Apache-2.0
"""The line to the server: one request, or a request repeated for ever with back-off and jitter."""

import json
import random
import threading
from collections.abc import Callable

from muster.agent.request import Answer, BadAnswer, request

_TIMEOUT = 20.0
_ANSWER_LIMIT = 32 * 1024 * 1024
_LONGEST_WAIT = 15.0


class LinkError(Exception):
    """Base of what the line raises.

    LinkError
    ├── Unreachable   no answer, or one that says "later" (5xx, 429): worth repeating
    └── Refused       an answer that repeating will not change; `status` is HTTP's
    """


class Unreachable(LinkError):
    """No usable answer now; `wait` is what the server asked for in seconds, else 0."""

    def __init__(self, message: str, wait: float = 0.0) -> None:
        super().__init__(message)
        self.wait = wait


class Refused(LinkError):
    """The server understood and said no."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"HTTP {status}: {message}")
        self.status = status


class Link:
    """Requests to one server; `token` is the session's, once there is one."""

    def __init__(self, server: str, say: Callable[[str], None]) -> None:
        self._host, _, path = server.removeprefix("http://").partition("/")
        self._path = f"/{path}".rstrip("/")
        self.token = ""
        self._say = say

    def once(self, path: str, body: bytes | None = None) -> bytes:
        """GET, or POST with a body; raises Unreachable or Refused."""
        headers = {} if body is None else {"Content-Type": "application/json"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        try:
            answer = request(
                self._host, self._path + path, body, headers,
                timeout=_TIMEOUT, limit=_ANSWER_LIMIT,
            )  # fmt: skip
        except (OSError, BadAnswer) as error:
            raise Unreachable(f"{path}: {error}") from error
        if answer.status >= 300:
            raise _http_error(answer)
        return answer.body

    def until_answered(
        self, path: str, body: bytes | None = None, *, stop: threading.Event | None = None
    ) -> bytes:
        """Repeat `once` until there is an answer; raises Refused, or Unreachable after `stop`."""
        wait = 0.5
        stop = stop or threading.Event()
        while True:
            try:
                return self.once(path, body)
            except Unreachable as error:
                if stop.is_set():
                    raise
                # Half of the wait is chance, so that a hall of machines does not come at once.
                pause = max(error.wait * (1 + random.random()), wait * (0.5 + random.random() / 2))
                self._say(f"{error}; again in {pause:.1f} s")
                stop.wait(pause)
                wait = min(wait * 2, _LONGEST_WAIT)


def _http_error(answer: Answer) -> LinkError:
    try:
        said = json.loads(answer.body[:65536])
        message = str(said.get("detail", said)) if isinstance(said, dict) else str(said)
    except ValueError:
        message = answer.reason
    if answer.status >= 500 or answer.status in (408, 429):
        asked = answer.headers.get("retry-after", "")
        return Unreachable(
            f"HTTP {answer.status}: {message}", float(asked) if asked.isdigit() else 0.0
        )
    return Refused(answer.status, message)
