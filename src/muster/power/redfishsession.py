# SPDX-License-Identifier: Apache-2.0
"""Sessions with Redfish services (DSP0266, 13.3.4): a token in place of the password.

BMCs check a password slowly and many write each check into their log, but have few sessions: one
is kept for each BMC that is polled, used until the BMC ends it, and closed when the server stops or
polls that BMC no more. A BMC without sessions, or with none left, is asked with the password.
"""

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

from muster.power import https
from muster.power.drivers import PowerError
from muster.power.https import Link, NotLetIn, Peer

PATH = "/redfish/v1/SessionService/Sessions"
# BMCs end a session that is not used after some 30 minutes.
UNUSED_S = 900.0
WITHOUT_S = 3600.0
CLOSE_S = 8.0
_CLOSED_AT_ONCE = 64


@dataclass
class Session:
    """`peer` has no password any more: the token is enough to end it."""

    peer: Peer
    token: str = field(repr=False)
    path: str
    used_at: float = 0.0


@asynccontextmanager
async def signed_in(link: Link) -> AsyncIterator[None]:
    """A session for what asks many times, closed at the end; else with the password."""
    session = await _begin(link)
    try:
        yield
    finally:
        if session is not None:
            await _end(link, session)


class Sessions:
    """One kept for each BMC and user, for those who ask again and again; close it."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Session] = OrderedDict()
        # Until when no session is asked for.
        self._without: dict[str, float] = {}
        self._beginning: set[str] = set()
        self._ending: set[asyncio.Task[None]] = set()

    async def get(self, peer: Peer, path: str) -> dict[str, Any]:
        """GET with the session kept, one that is begun now, or the password; raises PowerError."""
        self._leave_unused()
        async with https.connect(peer) as link:
            key = _key(peer)
            if session := self._kept.get(key):
                session.used_at = time.monotonic()
                self._kept.move_to_end(key)
                link.use_token(session.token)
                try:
                    return (await link.get(path)).body
                except NotLetIn:
                    # It was ended over there: too old, a restart, somebody else.
                    self._kept.pop(key, None)
                    link.use_password()
            await self._try_to_begin(link, key)
            return (await link.get(path)).body

    async def close(self) -> None:
        """End them; what a BMC has not confirmed after CLOSE_S it ends itself, some time later."""
        sessions = list(self._kept.values())
        self._kept.clear()
        gate = asyncio.Semaphore(_CLOSED_AT_ONCE)

        async def one(session: Session) -> None:
            async with gate:
                await _leave(session)

        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await asyncio.gather(*map(one, sessions), *self._ending)

    async def _try_to_begin(self, link: Link, key: str) -> None:
        """At most one at a time for a BMC that switches several machines."""
        if key in self._beginning or self._without.get(key, 0) > time.monotonic():
            return
        self._beginning.add(key)
        try:
            session = await _begin(link)
        finally:
            self._beginning.discard(key)
        if session is None:
            self._without[key] = time.monotonic() + WITHOUT_S
            return
        session.used_at = time.monotonic()
        self._kept[key] = session

    def _leave_unused(self) -> None:
        before = time.monotonic() - UNUSED_S
        while self._kept and next(iter(self._kept.values())).used_at < before:
            _, session = self._kept.popitem(last=False)
            task = asyncio.create_task(_leave(session))
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)


async def _begin(link: Link) -> Session | None:
    """None for a BMC without sessions, or with none left."""
    body = {"UserName": link.peer.user, "Password": link.peer.password}
    try:
        made = await link.send("POST", PATH, body)
    except NotLetIn:
        # Not a second time with the same password: BMCs lock accounts.
        raise
    except PowerError:
        return None
    headers = {name.lower(): value for name, value in made.headers.items()}
    token, path = headers.get("x-auth-token"), made.body.get("@odata.id") or headers.get("location")
    if not token or not isinstance(path, str):
        return None
    link.use_token(token)
    return Session(replace(link.peer, password=""), token, path)


async def _leave(session: Session) -> None:
    with suppress(PowerError):
        async with https.connect(session.peer) as link:
            link.use_token(session.token)
            await _end(link, session)


async def _end(link: Link, session: Session) -> None:
    with suppress(PowerError):
        await link.send("DELETE", session.path)


def _key(peer: Peer) -> str:
    words = (str(peer.url), peer.tls, peer.fingerprint, peer.user, peer.password)
    return hashlib.sha256(repr(words).encode()).hexdigest()
