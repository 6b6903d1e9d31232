# SPDX-License-Identifier: Apache-2.0
"""Events as they happen (server-sent events, HTML standard section 9.2), with resume."""

import asyncio
import json
from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any
from weakref import WeakKeyDictionary

from litestar import get
from litestar.exceptions import ValidationException
from litestar.params import HeaderParameter, Parameter
from litestar.types import Receive, Scope, Send

from muster import __version__
from muster.api.access import AnyRequest, key_or_cookie
from muster.lifecycle import people, secrets
from muster.lifecycle.broadcast import Broadcaster, News
from muster.lifecycle.secrets import Forbidden
from muster.store.engine import Store
from muster.store.events import Event

TOPICS = ("event", "boot", "machine", "run", "output", "operation")
SILENCE_S = 15.0
"""Between two signs of life; proxies end connections that are silent for a minute."""

STUCK_S = 20.0
"""A reader that takes nothing for so long is dropped; it resumes with Last-Event-ID."""

_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    # nginx would keep events until its buffer is full.
    (b"x-accel-buffering", b"no"),
    (b"x-content-type-options", b"nosniff"),
]

HOUSE = secrets.new_id(8)
"""Another one after a restart: pages say so."""


class EventStream:
    """An ASGI application that sends news until the reader goes, lags or may read no more."""

    def __init__(
        self, store: Store, broadcaster: Broadcaster, key: str, topics: frozenset[str],
        after: int | None,
    ) -> None:  # fmt: skip
        self._store = store
        self._broadcaster = broadcaster
        self._key = key
        self._topics = topics
        self._after = after
        self._sending_at = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until one of both ends it."""
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        reader = asyncio.create_task(self._gone(receive))
        writer = asyncio.create_task(self._write(send))
        guard = asyncio.create_task(self._stuck())
        try:
            await asyncio.wait({reader, writer, guard}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            guard.cancel()
            reader.cancel()
            writer.cancel()
            await asyncio.gather(reader, writer, guard, return_exceptions=True)

    async def _gone(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    async def _write(self, send: Send) -> None:
        # A run is an operation, under another name.
        heard = self._topics | {"run"} if "operation" in self._topics else self._topics
        watch = self._broadcaster.watch(heard, after=self._after, silence_s=SILENCE_S)
        hello = json.dumps({"server": HOUSE, "version": __version__})
        begin = f"retry: 1000\nevent: hello\ndata: {hello}\n\n".encode()
        try:
            async for news in watch:
                # The place in the row is taken before the hello: what comes after it is told.
                body = begin + _framed(self._broadcaster, news, self._topics)
                if not body and not await asyncio.to_thread(self._still_open):
                    await self._send(send, b"event: signed-out\ndata: {}\n\n", more=False)
                    return
                await self._send(send, body or b": silence\n\n")
                begin = b""
        except TimeoutError:
            # It reads nothing: the connection ends with the application, and it may come back.
            return
        await self._send(send, b"event: restart\ndata: {}\n\n", more=False)

    async def _send(self, send: Send, body: bytes, *, more: bool = True) -> None:
        message: Any = {"type": "http.response.body", "body": body, "more_body": more}
        self._sending_at = asyncio.get_running_loop().time()
        await send(message)
        self._sending_at = 0.0

    async def _stuck(self) -> None:
        """Ends when it reads nothing: the connection ends with the application, it may resume.

        One timer a stream, not one for each of 12,500 sends a second.
        """
        loop = asyncio.get_running_loop()
        while not self._sending_at or loop.time() - self._sending_at < STUCK_S:
            await asyncio.sleep(STUCK_S / 4)

    def _still_open(self) -> bool:
        try:
            return bool(people.owner_of(self._store, self._key, datetime.now(UTC)))
        except Forbidden:
            return False


FRAMES = 64
"""What 500 pages are told at once is mostly the same: it is encoded once, and the newest kept."""

_frames: WeakKeyDictionary[Broadcaster, dict[object, bytes]] = WeakKeyDictionary()


def _framed(broadcaster: Broadcaster, news: News, topics: frozenset[str]) -> bytes:
    """News on the wire; nothing for no news."""
    if not news.events and not news.changes and not news.lost:
        return b""
    known = _frames.setdefault(broadcaster, {})
    ids = tuple(event.id for event in news.events)
    key = (ids, tuple(news.changes), news.lost, topics)
    found = known.get(key)
    if found is None:
        if len(known) >= FRAMES:
            del known[next(iter(known))]
        found = known[key] = framed(news, topics)
    return found


def framed(news: News, topics: frozenset[str]) -> bytes:
    """One frame of what somebody who hears these topics is told."""
    parts = [_event(event) for event in news.events]
    changed = [[n.topic, n.key] for n in news.changes if n.topic in topics]
    if "operation" in topics:
        changed += [["operation", f"run-{n.key}"] for n in news.changes if n.topic == "run"]
    if changed:
        changes = json.dumps(changed)
        parts.append(f"event: change\ndata: {changes}\n\n".encode())
    if news.lost:
        parts.append(b"event: lost\ndata: {}\n\n")
    return b"".join(parts)


def _event(event: Event) -> bytes:
    body = asdict(event) | {"at": event.at.isoformat()}
    return f"id: {event.id}\ndata: {json.dumps(body)}\n\n".encode()


# A stream without an end is nothing that tools which try every operation could try.
@get("/events/stream", media_type="text/event-stream", include_in_schema=False)
async def stream_events(
    request: AnyRequest,
    store: Store,
    now: datetime,
    topics: Annotated[
        str, Parameter(max_length=64, description=f"Of {', '.join(TOPICS)}, with commas.")
    ] = "event",
    after: Annotated[int | None, Parameter(ge=0, le=2**53)] = None,
    last_event_id: Annotated[
        str, HeaderParameter(name="Last-Event-ID", max_length=20, pattern="^[0-9]*$")
    ] = "",
) -> EventStream:
    """Events as they happen, each with its id; goes on behind Last-Event-ID or `after`.

    Topics other than `event` tell what changed: `event: change`, data [["machine", ID], ...];
    `event: lost` when there was more than can be told, `event: restart` when the server stops.
    """
    wanted = frozenset(_checked(topics.split(",")))
    key = key_or_cookie(request)
    await asyncio.to_thread(people.owner_of, store, key, now)
    place = int(last_event_id) if last_event_id else after
    broadcaster: Broadcaster = request.app.state.broadcaster
    return EventStream(store, broadcaster, key, wanted, place)


def _checked(topics: Iterable[str]) -> Iterable[str]:
    for topic in topics:
        if topic not in TOPICS:
            raise ValidationException(
                extra=[{"key": "topics", "message": f"{topic!r}: of {', '.join(TOPICS)}"}]
            )
        yield topic
