# SPDX-License-Identifier: Apache-2.0
"""One reader of the events for everybody who watches, and what changed for the pages.

A watcher holds a place in the row of events and a few words; not a copy of what it has not read.
Who falls behind the newest few hundred reads the table from its place on. So a watcher costs the
same whether it is quick or slow, and after a restart it goes on from the id it saw last.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import structlog

from muster.store import events
from muster.store.engine import Store
from muster.store.events import Event
from muster.store.notices import LOST, Notice

log = structlog.get_logger("broadcast")

GATHER_S = 0.04
"""What comes within this time is told together: 100 events a second to 500 pages are 12,500 sends
a second instead of 50,000."""

RECENT = 1000
PAGE = 500
CHANGES = 256
"""Different things that one watcher is told of at once; more are told as "lost"."""

WAIT_S = 2.0
"""On PostgreSQL a number whose transaction is still open is waited for so long: watchers get
events in order. One that comes later is told out of order; a rolled back one never comes."""


@dataclass(frozen=True)
class News:
    """What one watcher has not seen: events in order, and what changed; or nothing, in silence."""

    events: list[Event] = field(default_factory=list)
    changes: list[Notice] = field(default_factory=list)
    lost: bool = False


class Watch:
    """One watcher's place; made by `Broadcaster.watch`."""

    def __init__(self, topics: frozenset[str], after: int) -> None:
        self.topics = topics
        self.after = after
        self.changes: dict[Notice, None] = {}
        self.late: list[Event] = []
        self.lost = False
        self.awake = asyncio.Event()
        self.told_at = asyncio.get_running_loop().time()

    async def remind(self, silence_s: float) -> None:
        """Wakes it after each silence; one timer for all of its waits, as each costs as much as

        telling.
        """
        while True:
            left = self.told_at + silence_s - asyncio.get_running_loop().time()
            if left <= 0:
                self.awake.set()
            await asyncio.sleep(left if left > 0 else silence_s)

    def tell(self, notices: Sequence[Notice]) -> None:
        """Keep what this watcher asked for, each once, and no more than `CHANGES`."""
        for notice in notices:
            if notice.topic not in self.topics and notice is not LOST:
                continue
            if notice is LOST or len(self.changes) >= CHANGES:
                self.lost = True
                self.changes.clear()
            else:
                self.changes[notice] = None
            self.awake.set()


class Broadcaster:
    """Reads what is new once for all watchers of this process."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._watches: set[Watch] = set()
        self._recent: deque[Event] = deque(maxlen=RECENT)
        self._newest = 0
        self._noticed: set[int] = set()
        self._pending: dict[Notice, None] = {}
        self._stir = asyncio.Event()
        self._closed = False
        self._held = (0, 0.0)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Hears the store and tells the watchers as long as this is entered."""
        loop = asyncio.get_running_loop()
        self._closed = False
        self._newest = await asyncio.to_thread(self._read_newest)

        def heard(notices: Sequence[Notice]) -> None:
            with contextlib.suppress(RuntimeError):
                # The loop may have ended while another thread still wrote.
                loop.call_soon_threadsafe(self._heard, notices)

        end = self._store.hear(heard)
        task = asyncio.create_task(self._work())
        try:
            yield
        finally:
            self.close()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await asyncio.to_thread(end)

    def close(self) -> None:
        """Every watcher's row ends: the server stops."""
        self._closed = True
        for watch in self._watches:
            watch.awake.set()

    def watchers(self) -> int:
        """How many watch now."""
        return len(self._watches)

    async def watch(
        self, topics: frozenset[str], *, after: int | None, silence_s: float
    ) -> AsyncIterator[News]:
        """News as it comes; an empty one after each `silence_s` of nothing.

        `after`: the id of the last event that was seen; None for only what is new.
        """
        watch = Watch(topics, self._newest if after is None else min(after, self._newest))
        self._watches.add(watch)
        reminder = asyncio.create_task(watch.remind(silence_s))
        try:
            while not self._closed:
                yield await self._next(watch)
                watch.told_at = asyncio.get_running_loop().time()
                if "event" in topics and watch.after < self._newest:
                    continue
                await watch.awake.wait()
                watch.awake.clear()
        finally:
            reminder.cancel()
            self._watches.discard(watch)

    async def _next(self, watch: Watch) -> News:
        found: list[Event] = []
        if "event" in watch.topics:
            found, watch.late = watch.late, []
            fresh = await self._after(watch.after)
            if fresh:
                watch.after = fresh[-1].id
            found = found + fresh
        changes, watch.changes = list(watch.changes), {}
        lost, watch.lost = watch.lost, False
        return News(found, changes, lost)

    async def _after(self, place: int) -> list[Event]:
        if place >= self._newest:
            return []
        if self._recent and self._recent[0].id <= place + 1:
            return [event for event in self._recent if event.id > place][:PAGE]
        found = await asyncio.to_thread(self._read, place)
        # What is newer than the newest told waits for those before it.
        return [event for event in found if event.id <= self._newest]

    def _heard(self, notices: Sequence[Notice]) -> None:
        for notice in notices:
            self._pending[notice] = None
            if notice.topic == "event":
                self._noticed.add(int(notice.key))
        self._stir.set()

    async def _work(self) -> None:
        """Gather, read once, wake everybody; one failed look at the database ends nothing."""
        while not self._closed:
            # A number that is waited for is looked at again without anybody's word. Not by
            # wait_for(): before Python 3.12 it forgets a cancellation that meets the event.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(WAIT_S / 8 if self._noticed else None):
                    await self._stir.wait()
            self._stir.clear()
            pending, self._pending = list(self._pending), {}
            if LOST in pending or self._noticed:
                try:
                    await self._catch_up()
                except Exception as error:
                    log.error("the events cannot be read", exc_info=error)
                    pending = [LOST]
            self._wake(pending)
            await asyncio.sleep(GATHER_S)

    def _wake(self, pending: Sequence[Notice]) -> None:
        changes = [notice for notice in pending if notice.topic != "event"]
        for watch in self._watches:
            if changes:
                watch.tell(changes)
            if "event" in watch.topics and (watch.after < self._newest or watch.late):
                watch.awake.set()

    async def _catch_up(self) -> None:
        late = sorted(number for number in self._noticed if number <= self._newest)
        self._noticed.difference_update(late)
        if late:
            for event in await asyncio.to_thread(self._read_these, late):
                for watch in self._watches:
                    if event.id <= watch.after:
                        watch.late.append(event)
        while fresh := self._in_order(await asyncio.to_thread(self._read, self._newest)):
            self._recent.extend(fresh)
            self._newest = fresh[-1].id
            self._noticed = {number for number in self._noticed if number > self._newest}
            if len(fresh) < PAGE:
                break

    def _in_order(self, found: list[Event]) -> list[Event]:
        """Those up to the first number that is missing and may still come."""
        if self._store.is_sqlite or not found:
            return found
        last = self._newest
        for index, event in enumerate(found):
            if event.id != last + 1 and not self._waited(event):
                return found[:index]
            last = event.id
        return found

    def _waited(self, event: Event) -> bool:
        """True when this event has been held back long enough."""
        now = asyncio.get_running_loop().time()
        if self._held[0] != event.id:
            self._held = (event.id, now)
        return now - self._held[1] >= WAIT_S

    def _read(self, place: int) -> list[Event]:
        with self._store.read() as tx:
            return events.following(tx, place, limit=PAGE)

    def _read_these(self, ids: list[int]) -> list[Event]:
        with self._store.read() as tx:
            return events.these(tx, ids)

    def _read_newest(self) -> int:
        with self._store.read() as tx:
            return events.newest(tx)
