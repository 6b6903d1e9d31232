# SPDX-License-Identifier: Apache-2.0
"""Where the agent runs, and what it asks of the first process when that is not enough.

In a swift start the agent begins in the initrd's small root (`inventory`), goes on in the large
one without systemd (`tools`), and under systemd (`system`) only for a script that needs it. It is
started anew at each step, with all state in its folder. images/files/initrd/bin/swift is the other
side: it reads `orders` (a FIFO) and, when the agent ends, `next`.
"""

import os
import threading
import time
from collections.abc import Iterable
from pathlib import Path

from muster.wire.hello import ScriptItem

LEVELS = ("inventory", "tools", "system")
NAMED_S = 10.0
READY_S = 45.0
"""Seconds that the first process may take to find all devices; udev itself gives up after 30."""


class Stage:
    """One level in one folder; "system" has nobody to ask and nothing to wait for."""

    def __init__(self, folder: Path, level: str = "system") -> None:
        self._folder = folder
        self.level = level if level in LEVELS else "system"

    @property
    def alone(self) -> bool:
        """Whether systemd is the first process, so that the agent acts for itself."""
        return self.level == "system"

    def can(self, item: ScriptItem) -> bool:
        """Whether this script finds here what it needs."""
        return LEVELS.index(item.needs) <= LEVELS.index(self.level)

    def beyond(self, items: Iterable[ScriptItem]) -> str:
        """The level that all of these need, "" when they need no other."""
        needed = max((LEVELS.index(item.needs) for item in items), default=0)
        return LEVELS[needed] if needed > LEVELS.index(self.level) else ""

    def order(self, word: str) -> None:
        """Say a word to the first process; without one, or with one that hangs, nothing."""
        if self.alone:
            return
        try:
            fifo = os.open(self._folder / "orders", os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            return
        try:
            os.write(fifo, f"{word}\n".encode())
        except BlockingIOError:
            return
        finally:
            os.close(fifo)

    def leave(self, following: str) -> None:
        """What the first process does when this agent has ended."""
        if not self.alone:
            (self._folder / "next").write_text(following)

    def wait_for_names(self, limit_s: float = NAMED_S) -> bool:
        """Until NICs have the names that udev gives them; False when that takes too long."""
        return self._wait_for("named", limit_s)

    def wait_for_devices(self, aborted: threading.Event, limit_s: float = READY_S) -> bool:
        """Until every device has its driver; False when that takes longer than the limit.

        While drivers are still fetched (`coming`) there is no limit: without them a machine would
        seem to have no disks. The first process says on the timeline what keeps them.
        """
        return self._wait_for("ready", limit_s, aborted)

    def _wait_for(self, name: str, limit_s: float, aborted: threading.Event | None = None) -> bool:
        end = time.monotonic() + limit_s
        while self.level == "inventory" and not (self._folder / name).exists():
            if (self._folder / "coming").exists():
                end = time.monotonic() + limit_s
            if time.monotonic() >= end or (aborted and aborted.is_set()):
                return False
            time.sleep(0.05)
        return True

    def wait_for_root(self, aborted: threading.Event) -> bool:
        """Until the large root is there, however long that takes; False when the run is aborted.

        The agent stays meanwhile: somebody must tell the server that the machine lives.
        """
        self.order("tools")
        while not (self._folder / "tools").exists():
            if aborted.wait(0.1):
                return False
        return True
