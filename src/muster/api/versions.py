# SPDX-License-Identifier: Apache-2.0
"""Versions of things (RFC 9110 section 13): ETag on what is shown, If-Match on what is changed.

A thing is what a path that ends with its name or number shows: /machines/{reference}. Its version
is the SHA-256 of what GET answers, so no noun has to count its changes. A request on the thing, or
on anything below its path, may say which version it knows (If-Match), or that there must be none
yet (If-None-Match: *). That is looked at when the request comes, and again in the transaction
that writes, with the thing locked.
"""

import asyncio
import hashlib
import inspect
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast, get_args

from litestar import Litestar, Request
from litestar.enums import ScopeType
from litestar.handlers import HTTPRouteHandler
from litestar.middleware import ASGIMiddleware
from litestar.serialization import encode_json, get_serializer
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from muster.store import demands
from muster.store.engine import Missing, Store, Tx
from muster.store.locks import lock
from muster.store.people import User
from muster.wire.codec import BadMessage

AnyRequest = Request[Any, Any, Any]
GONE = "none"
TABLES = {"manifest": "expected_machines"}
"""Where things are that their table is not called after."""
_TAG = re.compile(r'\s*(W/)?"([\x21\x23-\x7e]*)"\s*(?:,|$)')
_ROOT = "/api/v1/"
_MOST = 2**53
"""No number of a thing is larger; what a path says was not checked yet."""


class Changed(Exception):
    """What the request says it knows is no longer so; `was` and `now` are versions, or GONE."""

    def __init__(self, message: str, *, was: str, now: str) -> None:
        super().__init__(message)
        self.was = was
        self.now = now


@dataclass(frozen=True)
class Thing:
    """What a path names; `show` is its GET handler, `words` are the path's parameters."""

    table: str
    show: HTTPRouteHandler
    words: dict[str, Any]

    def version(self, tx: Tx, user: User, request: AnyRequest) -> str:
        """As GET would tell it from within `tx`; GONE when it would say 404."""
        if any(isinstance(word, int) and word > _MOST for word in self.words.values()):
            return GONE
        known = {"store": _Within(tx), "user": user, "keyring": request.app.state.keyring}
        # Litestar wraps what it calls in threads; this is a thread already.
        show = getattr(self.show.fn, "func", self.show.fn)
        wanted = inspect.signature(show).parameters
        try:
            shown = show(**{n: v for n, v in (known | self.words).items() if n in wanted})
        except Missing:
            return GONE
        hook = get_serializer(self.show.resolve_type_encoders())
        return version_of(encode_json(shown, hook))

    def lock(self, tx: Tx, store: Store) -> None:
        """Nobody else changes it until the end of `tx`."""
        store.one_at_a_time(tx)
        key = next(iter(self.words.values()))
        if not isinstance(key, int) or key <= _MOST:
            lock(tx, self.table, key)


class _Within:
    """In place of a Store: what reads does so in a transaction that is open."""

    def __init__(self, tx: Tx) -> None:
        self._tx = tx

    @contextmanager
    def read(self) -> Iterator[Tx]:
        yield self._tx


def version_of(body: bytes) -> str:
    """The version whose JSON this is, as ETag has it."""
    return f'"{hashlib.sha256(body).hexdigest()[:32]}"'


def thing_of(app: Litestar, template: str, words: dict[str, Any]) -> Thing | None:
    """The longest part of the path that GET shows and that ends with a parameter."""
    parts = template.removeprefix(_ROOT).split("/")
    for end in range(len(parts), 0, -1):
        if parts[end - 1].startswith("{") and (show := _shown(app).get("/".join(parts[:end]))):
            named = {part[1:-1] for part in parts[:end]}
            return Thing(
                TABLES.get(parts[0], parts[0]), show, {n: v for n, v in words.items() if n in named}
            )
    return None


def _shown(app: Litestar) -> dict[str, HTTPRouteHandler]:
    """The handlers that show a thing, by path; made once."""
    known: dict[str, HTTPRouteHandler] | None = app.state.get("shown")
    if known is None:
        known = {
            route.path_format.removeprefix(_ROOT): handler
            for route in app.routes
            for handler in getattr(route, "route_handlers", ())
            if isinstance(handler, HTTPRouteHandler) and "GET" in handler.http_methods
            if route.path_format.startswith(_ROOT) and route.path_format.endswith("}")
        }
        app.state.shown = known
    return known


async def demand(request: AnyRequest, store: Store, user: User) -> None:
    """Raises Changed now, or later, in the transaction that writes."""
    match, absent = (request.headers.get(name, "") for name in ("if-match", "if-none-match"))
    if request.method == "GET" or not (match or absent.strip() == "*"):
        return
    thing = thing_of(request.app, request.scope["path_template"], request.path_params)
    if thing is None:
        raise BadMessage("If-Match", "this path names nothing that has a version; leave it out")
    known = _tags("If-Match", match) if match else None

    def look(tx: Tx) -> None:
        now = thing.version(tx, user, request)
        _compare(known, now, making=request.method == "PUT")

    def look_and_hold(tx: Tx) -> None:
        thing.lock(tx, store)
        look(tx)

    def first() -> None:
        with store.read() as tx:
            look(tx)

    await asyncio.to_thread(first)
    demands.add(look_and_hold)


def _compare(known: list[str] | None, now: str, *, making: bool) -> None:
    if known is None:
        if now != GONE:
            told = f"If-None-Match: *: it is there already, as {now}; GET it, then send If-Match"
            raise Changed(told, was=GONE, now=now)
    elif now == GONE:
        # What answers 404 by itself does so (RFC 9110 section 13.2.1).
        if making:
            told = "If-Match: it is not there any more; to make it anew leave the header out"
            raise Changed(told, was=", ".join(known), now=now)
    elif "*" not in known and now not in known:
        was = ", ".join(known)
        told = (
            f"If-Match: it was changed by somebody else: you know {was}, it is {now} now;"
            " GET it again, look what changed, then repeat with the new ETag"
        )
        raise Changed(told, was=was, now=now)


def _tags(header: str, text: str) -> list[str]:
    """The strong ETags of a header, or ["*"]; a weak one matches nothing."""
    if text.strip() == "*":
        return ["*"]
    found = []
    place = 0
    while place < len(text):
        one = _TAG.match(text, place)
        if one is None:
            raise BadMessage(header, f'{text[place : place + 40]!r}: write "ETAG" in quotes, or *')
        found.append(f'"{one[2]}"' if not one[1] else f'W/"{one[2]}"')
        place = one.end()
    return found


class Versions(ASGIMiddleware):
    """Puts ETag on every answer that shows a thing, and answers 304 to who has it."""

    scopes = (ScopeType.HTTP,)

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """The head of the answer waits for the body."""
        asked = cast(HTTPScope, scope)
        heads: list[dict[str, Any]] = []

        async def tagging(message: Message) -> None:
            told = cast(dict[str, Any], message)
            if told["type"] == "http.response.start":
                heads.append(told)
                return
            if heads:
                head, body = _tagged(asked, heads.pop(), told.get("body", b""))
                told |= {"body": body}
                await send(cast(Message, head))
            await send(cast(Message, told))

        with demands.asking():
            await next_app(scope, receive, tagging if _shows(asked) else send)


def _shows(scope: HTTPScope) -> bool:
    thing = thing_of(scope["litestar_app"], scope["path_template"], scope["path_params"])
    if thing is None:
        return False
    handler = cast(HTTPRouteHandler, scope["route_handler"])
    if scope["method"] == "GET":
        # Some of its fields are no version of it.
        return handler is thing.show and not scope["query_string"]
    done, shown = (h.parsed_fn_signature.return_type.annotation for h in (handler, thing.show))
    return done == shown or done in get_args(shown)


def _tagged(scope: HTTPScope, head: dict[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
    """Head and body with the ETag; 304 and nothing when the caller has this version."""
    if not 200 <= head["status"] < 300:
        return head, body
    tag = version_of(body)
    headers = [*head["headers"], (b"etag", tag.encode())]
    asked = dict(scope["headers"]).get(b"if-none-match", b"").decode("latin-1")
    if scope["method"] == "GET" and (tag in asked or asked.strip() == "*"):
        kept = [h for h in headers if h[0] not in (b"content-length", b"content-type")]
        return head | {"status": 304, "headers": kept}, b""
    return head | {"headers": headers}, body
