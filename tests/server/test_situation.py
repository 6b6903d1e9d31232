"""Looks at the network while pages are answered."""

import threading
from datetime import UTC, datetime, timedelta

from muster.server.doctor import Finding
from muster.server.situation import OLD_S, Situation

LIMIT_S = 10


def test_nobody_waits_for_a_look_and_an_old_one_is_shown_until_the_next_has_ended() -> None:
    now = [datetime(2026, 3, 1, tzinfo=UTC)]
    begun, go = threading.Semaphore(0), threading.Semaphore(0)
    ended = threading.Event()
    looks: list[int] = []

    def look() -> list[Finding]:
        looks.append(1)
        begun.release()
        assert go.acquire(timeout=LIMIT_S)
        ended.set()
        return [Finding("dhcp", "ok", f"look {len(looks)}")]

    def seen(said: str) -> None:
        assert ended.wait(LIMIT_S)
        for thread in threading.enumerate():
            if thread.name == "situation":
                thread.join(LIMIT_S)
        assert [one.said for one in situation().findings] == [said]
        ended.clear()

    situation = Situation(look, lambda: now[0])
    assert situation().at is None
    assert begun.acquire(timeout=LIMIT_S)
    assert situation().at is None, "and no second look begins beside the first"
    go.release()
    seen("look 1")
    assert len(looks) == 1
    now[0] += timedelta(seconds=OLD_S + 1)
    assert [one.said for one in situation().findings] == ["look 1"]
    assert begun.acquire(timeout=LIMIT_S)
    go.release()
    seen("look 2")


def test_a_look_that_fails_is_taken_again() -> None:
    ended = threading.Event()
    looks = iter(([OSError("no such device")], [Finding("image", "ok", "there")]))

    def look() -> list[Finding]:
        told = next(looks)
        ended.set()
        if isinstance(told[0], OSError):
            raise told[0]
        return told

    situation = Situation(look, lambda: datetime(2026, 3, 1, tzinfo=UTC))
    for _ in range(2):
        situation()
        assert ended.wait(LIMIT_S)
        for thread in threading.enumerate():
            if thread.name == "situation":
                thread.join(LIMIT_S)
        ended.clear()
    assert [one.said for one in situation().findings] == ["there"]
