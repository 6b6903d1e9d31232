# SPDX-License-Identifier: Apache-2.0
"""Idempotency-Key: a request that is sent twice is done once.

As draft-ietf-httpapi-idempotency-key-header says it.
"""

import asyncio
import json
import re
from datetime import datetime
from functools import partial
from typing import Any, cast

from litestar import Request
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from muster.lifecycle import repeats
from muster.store import demands
from muster.store.answers import Answer
from muster.store.engine import Store
from muster.store.people import User
from muster.wire.codec import BadMessage

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
SECRET = "answers_with_a_secret"
"""In a handler's `opt`: no answer of it is ever kept."""

_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_KEPT = (b"content-type", b"location")
_CLAIM = "muster_claim"


class Replayed(Exception):
    """There is an answer already."""

    def __init__(self, answer: Answer) -> None:
        super().__init__("answered before")
        self.answer = answer


async def claim(request: Request[Any, Any, Any], store: Store, user: User, now: datetime) -> None:
    """Raises Replayed, OtherRequest, Conflict; or this is the request that is worked on."""
    key = request.headers.get(HEADER.lower())
    if key is None or request.method == "GET":
        return
    if not _KEY.fullmatch(key):
        raise BadMessage(HEADER, "must be 1 to 255 characters without spaces, as a UUID")
    if request.route_handler.opt.get(SECRET):
        raise BadMessage(HEADER, "this answer is a secret and is not kept; leave the header out")
    head = "\n".join((request.method, request.url.path, request.url.query))
    body = _canonical(await request.body())
    told = head.encode() + b"\n" + body
    answer, known = await asyncio.to_thread(repeats.claim, store, user.id, key, told, now=now)
    if known:
        raise Replayed(answer)
    request.scope["state"][_CLAIM] = answer
    demands.add(partial(repeats.mark, claimed=answer))


def _canonical(body: bytes) -> bytes:
    """The same for the same JSON, however it is written."""
    try:
        return json.dumps(json.loads(body), sort_keys=True).encode()
    except ValueError:
        return body


class Repeats(ASGIMiddleware):
    """Keeps the answer to a claimed request before it is sent."""

    scopes = (ScopeType.HTTP,)

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """An answer in one part, as all of these are."""
        asked = cast(HTTPScope, scope)
        state = asked["state"]
        store: Store = asked["litestar_app"].state.store
        heads: list[dict[str, Any]] = []

        async def keeping(message: Message) -> None:
            told = cast(dict[str, Any], message)
            if _CLAIM not in state:
                await send(message)
            elif told["type"] == "http.response.start":
                heads.append(told)
            else:
                claimed, head = state.pop(_CLAIM), heads.pop()
                kept = {n.decode(): v.decode() for n, v in head["headers"] if n.lower() in _KEPT}
                body = told.get("body", b"")
                # What the request demanded of its own transactions is not for this one.
                with demands.asking():
                    await asyncio.to_thread(
                        repeats.keep, store, claimed, head["status"], kept, body
                    )
                await send(cast(Message, head))
                await send(message)

        try:
            await next_app(scope, receive, keeping)
        finally:
            if (left := state.pop(_CLAIM, None)) is not None:
                await asyncio.to_thread(repeats.abandoned, store, left)
