# SPDX-License-Identifier: Apache-2.0
"""Agents that come while too many others are being worked on are told to come later.

What waits longer than an agent does (20 s) would be worked on for nobody. Loaders and the initrd
are never told so: they take an error for the end. boot/admission.py is for them.
"""

import json
import random

from litestar.types import ASGIApp, Message, Receive, Scope, Send
from prometheus_client import Counter, Gauge

NOW = Gauge("muster_agent_requests", "Requests of agents that are being worked on.")
LATER = Counter("muster_agent_later", "Requests of agents answered with 503 and Retry-After.")

LONGEST_S = 5


class Gate:
    """How many requests of agents are being worked on; one for all routes."""

    def __init__(self, at_once: int) -> None:
        self.at_once = at_once
        self.open = 0


class Valve:
    """ASGI middleware of the routes that agents POST to."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer it here."""
        gate: Gate = scope["litestar_app"].state.agents
        if scope.get("method") != "POST":
            await self._app(scope, receive, send)
            return
        if gate.open >= gate.at_once:
            LATER.inc()
            for message in _later():
                await send(message)
            return
        gate.open += 1
        NOW.set(gate.open)
        try:
            await self._app(scope, receive, send)
        finally:
            gate.open -= 1
            NOW.set(gate.open)


def _later() -> tuple[Message, Message]:
    detail = "many machines report at once; ask again"
    body = json.dumps({"status_code": 503, "detail": detail}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"retry-after", str(random.randint(1, LONGEST_S)).encode()),
    ]
    return (
        {"type": "http.response.start", "status": 503, "headers": headers},
        {"type": "http.response.body", "body": body, "more_body": False},
    )
