# SPDX-License-Identifier: Apache-2.0
"""How much an address may cost: so many a minute, so that no stranger can fill a table."""

import time
from collections.abc import Callable

WINDOW_S = 60.0


class Budget:
    """At most `each` a minute for one address and `total` for all of them together.

    Bounded itself: it remembers the present minute only, and no more addresses than `total`.
    """

    def __init__(
        self, each: int, *, total: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._each = each
        self._total = total
        self._clock = clock
        self._since = clock()
        self._spent: dict[str, int] = {}

    def spent(self, address: str) -> bool:
        """True when this address, or everybody, has had all of this minute."""
        if self._clock() - self._since >= WINDOW_S:
            self._since = self._clock()
            self._spent.clear()
        used = self._spent.get(address, 0)
        return used >= self._each or sum(self._spent.values()) >= self._total

    def spend(self, address: str) -> bool:
        """Take one; False when there is none left."""
        if self.spent(address):
            return False
        self._spent[address] = self._spent.get(address, 0) + 1
        return True
