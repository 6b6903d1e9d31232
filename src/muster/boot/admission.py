# SPDX-License-Identifier: Apache-2.0
"""How many machines fetch at once; the others are told when to ask again, and are never refused.

When a hall of machines is powered on, the wire is shared: 1,000 machines that fetch together all
wait 400 s at 1 Gbit/s, and firmware gives up; in turns the first has its kernel after seconds.
Firmware takes an error as final, so waiting is an answer like any other: a script that sleeps.
"""

import math
import random
import threading
import time
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable
from itertools import islice

from prometheus_client import Counter, Gauge

INSIDE = Gauge("muster_turns_taken", "Machines that fetch now.", ["what"])
WAITING = Gauge("muster_turns_waiting", "Machines that were told to ask again.", ["what"])
TOLD = Counter("muster_turns_told_to_wait", "Answers that said to ask again.", ["what"])

HOLD_S = 120.0
"""A machine that was let in and is heard of no more makes room after this."""
SHORTEST_S, LONGEST_S = 2.0, 30.0
_GRACE_S = 20.0
"""Later than it was told to ask by this, a machine has gone."""
_GUESS_S = 5.0
"""In so many seconds all who are inside make room, while nobody has been seen to."""
_NEAR = 0.1
"""Room is held for a machine that is due within this part of the time one needs inside, or is late

by no more. Held for all who came before, however long they were told to sleep, room stays empty:
1,000 machines that 16 at a time serve in 50 s then took 752 s. Held for none, newcomers take it: of
6,000 at 64 a time the unluckiest hundredth waited 72 s instead of 46.
"""
_REMEMBERED = 50_000


class Turnstile:
    """At most `at_once` are inside; who came first is told the soonest time, and finds room then.

    Of one process, for any thread.
    """

    def __init__(
        self,
        what: str,
        at_once: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._inside_metric = INSIDE.labels(what)
        self._waiting_metric = WAITING.labels(what)
        self._told_metric = TOLD.labels(what)
        self._at_once = at_once
        self._clock = clock
        self._chance = chance
        self._lock = threading.Lock()
        self._inside: dict[str, float] = {}
        self._names: dict[str, str] = {}
        self._waiting: dict[str, tuple[int, float]] = {}
        self._due: list[tuple[float, int, str]] = []
        self._came = 0
        self._left: deque[float] = deque(maxlen=64)

    @property
    def waiting(self) -> int:
        """Machines that were told to ask again, and some that were switched off since."""
        return len(self._waiting)

    def again(self, who: str) -> float:
        """As `ask` for somebody who waits already; 0 says nothing about anybody else."""
        return self.ask(who) if who in self._waiting and not self._is_next(who) else 0.0

    def ask(self, who: str) -> float:
        """0: `who` is inside now. Else the seconds after which to ask again."""
        with self._lock:
            now = self._clock()
            self._forget(now)
            if who in self._inside or self._next(who, now):
                self._undue(who)
                self._waiting.pop(who, None)
                self._inside.pop(who, None)
                self._inside[who] = now
                wait = 0.0
            else:
                wait = self._wait(who, now)
            self._inside_metric.set(len(self._inside))
            self._waiting_metric.set(len(self._waiting))
        return wait

    def named(self, who: str, name: str) -> None:
        """Give who is inside a second name, by which it will be told to leave."""
        with self._lock:
            if who in self._inside:
                self._names[name] = who

    def leave(self, name: str) -> None:
        """Who has this name, or second name, needs the wire no more."""
        with self._lock:
            who = self._names.pop(name, name)
            if self._inside.pop(who, None) is not None:
                self._left.append(self._clock())
                self._inside_metric.set(len(self._inside))

    def _is_next(self, who: str) -> bool:
        with self._lock:
            now = self._clock()
            self._forget(now)
            return self._next(who, now)

    def _next(self, who: str, now: float) -> bool:
        """Whether there is room for `who` and for those who came before and are due."""
        room = self._at_once - len(self._inside)
        mine, _ = self._waiting.get(who, (self._came + 1, now))
        near = _NEAR * self._at_once / self._rate(now)
        first = bisect_left(self._due, (now - near,))
        for due, number, _ in islice(self._due, first, None):
            if due > now + near or room <= 0:
                break
            room -= number < mine
        return room > 0

    def _undue(self, who: str) -> None:
        if place := self._waiting.get(who):
            number, due = place
            del self._due[bisect_left(self._due, (due, number, who))]

    def _wait(self, who: str, now: float) -> float:
        self._told_metric.inc()
        self._came += 1
        number, _ = self._waiting.get(who, (self._came, now))
        oldest = next(iter(self._waiting.values()), (number, now))[0]
        before = min(number - oldest, len(self._waiting)) + 1
        expected = before / self._rate(now)
        # A quarter more or less, so that those who came together do not come together again.
        wait = min(LONGEST_S, max(SHORTEST_S, expected)) * (0.75 + 0.5 * self._chance())
        # Loaders sleep whole seconds.
        wait = float(math.ceil(wait))
        if who in self._waiting or len(self._waiting) < _REMEMBERED:
            self._undue(who)
            # Who waits already keeps its place in the dict's order.
            self._waiting[who] = (number, now + wait)
            insort(self._due, (now + wait, number, who))
        return wait

    def _rate(self, now: float) -> float:
        """Machines a second that make room, as of late."""
        if len(self._left) < 2:
            return self._at_once / _GUESS_S
        return len(self._left) / max(0.5, now - self._left[0])

    def _forget(self, now: float) -> None:
        while self._inside and next(iter(self._inside.values())) + HOLD_S < now:
            del self._inside[next(iter(self._inside))]
        while self._due and self._due[0][0] + _GRACE_S < now:
            del self._waiting[self._due.pop(0)[2]]
        while self._left and self._left[0] + HOLD_S < now:
            self._left.popleft()
        if len(self._names) > 2 * (len(self._inside) + self._at_once):
            self._names = {n: who for n, who in self._names.items() if who in self._inside}
