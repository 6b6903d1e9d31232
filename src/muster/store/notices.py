# SPDX-License-Identifier: Apache-2.0
"""What a transaction changed, told after its commit: to this process, and on PostgreSQL to all.

On SQLite one process has the database. On PostgreSQL the words go with the transaction (NOTIFY),
so that who hears them can read what they are about.
"""

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import psycopg
import sqlalchemy as sa

CHANNEL = "muster"
_KEPT = "notices"
_PAYLOAD = 7000
"""Bytes of one NOTIFY; PostgreSQL takes 8000."""
_PAUSE_S = 1.0


@dataclass(frozen=True)
class Notice:
    """`topic` is event, boot, machine, run, output or operation; `key` its id. "lost": anything

    may have changed.
    """

    topic: str
    key: str


LOST = Notice("lost", "")

Listener = Callable[[Sequence[Notice]], None]


def tell(tx: sa.Connection, topic: str, key: object) -> None:
    """Say after the commit that this changed; the same said twice is told once."""
    tx.info.setdefault(_KEPT, {})[Notice(topic, str(key))] = None


def begin(tx: sa.Connection) -> None:
    """Forget what a transaction that was rolled back on this connection would have told."""
    tx.info.pop(_KEPT, None)


def told(tx: sa.Connection) -> list[Notice]:
    """What the transaction has to tell."""
    return list(tx.info.pop(_KEPT, ()))


def send(tx: sa.Connection, house: str, notices: Sequence[Notice]) -> None:
    """NOTIFY other processes at the commit; `house` is this process's own mark."""
    for payload in _payloads(house, notices):
        tx.execute(sa.select(sa.func.pg_notify(CHANNEL, payload)))


def _payloads(house: str, notices: Sequence[Notice]) -> Iterator[str]:
    part: list[tuple[str, str]] = []
    size = 0
    for notice in notices:
        size += len(notice.topic) + len(notice.key) + 12
        if size > _PAYLOAD and part:
            yield json.dumps([house, part])
            part, size = [], 0
        part.append((notice.topic, notice.key))
    yield json.dumps([house, part])


class Ear(threading.Thread):
    """Hears other processes on PostgreSQL; says "lost" when it may have missed something."""

    def __init__(self, url: str, house: str, listener: Listener) -> None:
        super().__init__(name="notices", daemon=True)
        self._url = url
        self._house = house
        self._listener = listener
        self._over = threading.Event()
        self.ready = threading.Event()

    def run(self) -> None:
        """Until `stop`; a broken connection is made again."""
        while not self._over.is_set():
            try:
                self._listen()
            except psycopg.Error:
                self._listener([LOST])
                self._over.wait(_PAUSE_S)

    def _listen(self) -> None:
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute(f"LISTEN {CHANNEL}")
            if self.ready.is_set():
                self._listener([LOST])
            self.ready.set()
            while not self._over.is_set():
                for heard in connection.notifies(timeout=0.5):
                    house, part = json.loads(heard.payload)
                    if house != self._house:
                        self._listener([Notice(topic, key) for topic, key in part])

    def stop(self) -> None:
        """Returns within a second."""
        self._over.set()
        self.join(5)
