# SPDX-License-Identifier: Apache-2.0
"""What `doctor` says of this server's network, looked at beside everything else.

A look listens 2.5 s for DHCP servers and hashes the image: no page waits for it. Pages get what
the last look saw, and the next one begins when somebody asks and it has become old.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog

from muster.server.doctor import Finding

log = structlog.get_logger("situation")

OLD_S = 30.0


@dataclass(frozen=True)
class Look:
    """`at` is None before the first look has ended."""

    findings: Sequence[Finding]
    at: datetime | None


class Situation:
    """Calls `look` in a thread of its own, never twice at once."""

    def __init__(
        self, look: Callable[[], Sequence[Finding]], clock: Callable[[], datetime]
    ) -> None:
        self._look = look
        self._clock = clock
        self._last = Look((), None)
        self._busy = threading.Lock()

    def __call__(self) -> Look:
        """The last look, at once."""
        last = self._last
        old = last.at is None or (self._clock() - last.at).total_seconds() > OLD_S
        if old and self._busy.acquire(blocking=False):
            threading.Thread(target=self._work, name="situation", daemon=True).start()
        return last

    def _work(self) -> None:
        try:
            self._last = Look(tuple(self._look()), self._clock())
        except Exception as error:
            # Whatever a network or a disk does: the pages go on, and the next look is due at once.
            log.error("the situation cannot be looked at", exc_info=error)
        finally:
            self._busy.release()
