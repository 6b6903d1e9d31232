"""Watchers of events: in order, each once, from where they were."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

from muster.lifecycle import broadcast
from muster.lifecycle.broadcast import Broadcaster, News
from muster.store import events
from muster.store.engine import Store
from muster.store.notices import Notice, tell

LIMIT_S = 10.0


def say(store: Store, now: Any, *messages: str) -> None:
    with store.write() as tx:
        for message in messages:
            events.add(tx, now, "test", message)


async def read(watch: AsyncIterator[News], count: int) -> list[str]:
    found: list[str] = []
    async for news in watch:
        found += [event.message for event in news.events]
        if len(found) >= count:
            return found
    raise AssertionError(f"the row ended after {found}")


def playing(store: Store, play: Callable[[Broadcaster], Any]) -> Any:
    async def scene() -> Any:
        broadcaster = Broadcaster(store)
        async with asyncio.timeout(LIMIT_S), broadcaster.running():
            return await play(broadcaster)

    return asyncio.run(scene())


EVENTS = frozenset({"event"})


def test_a_watcher_gets_what_is_new_and_one_that_comes_back_what_it_missed(
    store: Store, now: Any
) -> None:
    say(store, now, "before")

    async def play(broadcaster: Broadcaster) -> None:
        watch = broadcaster.watch(EVENTS, after=None, silence_s=5)
        assert (await anext(watch)).events == []
        say(store, now, "one", "two")
        assert await read(watch, 2) == ["one", "two"]
        back = broadcaster.watch(EVENTS, after=0, silence_s=5)
        assert await read(back, 3) == ["before", "one", "two"]
        await watch.aclose()
        await back.aclose()
        assert broadcaster.watchers() == 0

    playing(store, play)


def test_who_lags_behind_the_newest_reads_the_table_and_misses_nothing(
    store: Store, now: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr(broadcast, "RECENT", 10)
    monkeypatch.setattr(broadcast, "PAGE", 7)

    async def play(broadcaster: Broadcaster) -> None:
        slow = broadcaster.watch(EVENTS, after=None, silence_s=5)
        await anext(slow)
        names = [f"event {number}" for number in range(100)]
        for name in names:
            say(store, now, name)
        assert await read(slow, 100) == names

    playing(store, play)


def test_changes_are_told_once_and_too_many_as_lost(store: Store, monkeypatch: Any) -> None:
    monkeypatch.setattr(broadcast, "CHANGES", 5)

    async def play(broadcaster: Broadcaster) -> None:
        watch = broadcaster.watch(frozenset({"run"}), after=None, silence_s=5)
        await anext(watch)
        with store.write() as tx:
            for _ in range(9):
                tell(tx, "run", 1)
            tell(tx, "boot", "not asked for")
        news = await anext(watch)
        assert [(one.topic, one.key) for one in news.changes] == [("run", "1")]
        with store.write() as tx:
            for number in range(20):
                tell(tx, "run", number)
        assert (await anext(watch)).lost

    playing(store, play)


def test_what_was_rolled_back_is_not_told(store: Store, now: Any) -> None:
    async def play(broadcaster: Broadcaster) -> None:
        watch = broadcaster.watch(frozenset({"event", "run"}), after=None, silence_s=5)
        await anext(watch)
        try:
            with store.write() as tx:
                events.add(tx, now, "test", "never")
                tell(tx, "run", 1)
                raise ZeroDivisionError
        except ZeroDivisionError:
            say(store, now, "after")
        news = await anext(watch)
        assert ([e.message for e in news.events], news.changes) == (["after"], [])

    playing(store, play)


def test_events_of_another_process_are_heard_on_postgresql(
    postgresql_store: Store, now: Any
) -> None:
    other = Store(postgresql_store.url.render_as_string(hide_password=False))

    async def play(broadcaster: Broadcaster) -> None:
        watch = broadcaster.watch(frozenset({"event", "machine"}), after=None, silence_s=5)
        await anext(watch)
        ear = next(t for t in threading.enumerate() if t.name == "notices")
        assert await asyncio.to_thread(ear.ready.wait, LIMIT_S)
        with other.write() as tx:
            events.add(tx, now, "test", "from elsewhere")
            tell(tx, "machine", "m1")
        found, changed = [], []
        async for news in watch:
            found += [event.message for event in news.events]
            changed += [notice.key for notice in news.changes]
            if found and changed:
                break
        assert (found, changed) == (["from elsewhere"], ["m1"])

    playing(postgresql_store, play)
    other.close()


def test_a_number_whose_transaction_is_still_open_is_waited_for(
    postgresql_store: Store, now: Any, together: Callable[..., Any]
) -> None:
    store = postgresql_store
    second_done = threading.Event()

    def slow() -> None:
        with store.write() as tx:
            events.add(tx, now, "test", "first")
            first_has_its_number.set()
            assert second_done.wait(LIMIT_S)

    def quick() -> None:
        assert first_has_its_number.wait(LIMIT_S)
        say(store, now, "second")
        second_done.set()

    first_has_its_number = threading.Event()

    async def play(broadcaster: Broadcaster) -> None:
        watch = broadcaster.watch(EVENTS, after=None, silence_s=5)
        await anext(watch)
        work = asyncio.create_task(asyncio.to_thread(together, slow, quick))
        assert await read(watch, 2) == ["first", "second"]
        await work

    playing(store, play)


def test_it_ends_also_when_something_is_told_as_it_ends(store: Store) -> None:
    """wait_for() of Python 3.11 forgot the cancellation then, and the server never stopped."""
    never_comes = Notice("event", str(10**9))

    async def play(broadcaster: Broadcaster) -> None:
        broadcaster._heard([never_comes])
        await asyncio.to_thread(broadcaster._read_newest)
        while broadcaster._stir.is_set() or not broadcaster._stir._waiters:  # type: ignore[attr-defined]
            await asyncio.sleep(0)
        broadcaster._heard([never_comes])

    for _ in range(3):
        playing(store, play)
