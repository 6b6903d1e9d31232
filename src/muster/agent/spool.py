# SPDX-License-Identifier: Apache-2.0
"""The events that the server does not have yet, as small files in a memory file system.

Bounded: when it is full, whoever adds waits, so the script that floods is slowed by its own pipe
and nothing is lost. A restarted agent finds it as it was.
"""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

from muster.wire.codec import decode, encode
from muster.wire.events import Event

LIMIT = 32 * 1024 * 1024
"""Bytes of waiting events; a third of what the smallest machine (1 GiB) has left."""

_PAGE = 4096
"""What even the smallest file takes of a memory file system."""


class Spool:
    """Events in order of `seq`; the scripts' threads add, another sends."""

    def __init__(self, folder: Path, *, limit: int = LIMIT) -> None:
        self._folder = folder
        self._limit = limit
        self._changed = threading.Condition()
        self._sizes: dict[int, int] = {}
        self._closed = False
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._acked = self._read_acked()
        for file in folder.glob("*.json"):
            seq = int(file.stem)
            if seq <= self._acked:
                file.unlink()
            else:
                self._sizes[seq] = _space(file.stat().st_size)
        self._next = max(self._sizes, default=self._acked) + 1

    def _read_acked(self) -> int:
        try:
            return int(json.loads((self._folder / "acked").read_text()))
        except (OSError, ValueError):
            return 0

    def add(self, **event: Any) -> None:
        """Number an event and keep it; waits while the spool is full."""
        with self._changed:
            while sum(self._sizes.values()) > self._limit and not self._closed:
                self._changed.wait()
            body = encode(Event(seq=self._next, **event))
            self._write(f"{self._next:012d}.json", body)
            self._sizes[self._next] = _space(len(body))
            self._next += 1
            self._changed.notify_all()

    def waiting(self, *, bytes_limit: int = 1024 * 1024, count: int = 500) -> list[Event]:
        """The oldest events, at most these many; at least one when there is any."""
        with self._changed:
            chosen: list[int] = []
            size = 0
            for seq in sorted(self._sizes):
                size += self._sizes[seq]
                if chosen and (size > bytes_limit or len(chosen) >= count):
                    break
                chosen.append(seq)
        return [decode(Event, (self._folder / f"{seq:012d}.json").read_bytes()) for seq in chosen]

    def acknowledge(self, seq: int) -> None:
        """The server has everything up to `seq`."""
        with self._changed:
            if seq > self._acked:
                self._acked = seq
                self._write("acked", str(seq).encode())
            for stored in [number for number in self._sizes if number <= seq]:
                (self._folder / f"{stored:012d}.json").unlink()
                del self._sizes[stored]
            self._changed.notify_all()

    def wait_for_event(self, timeout: float) -> bool:
        """True when something waits to be sent, at the latest after `timeout` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: bool(self._sizes) or self._closed, timeout)

    def wait_until_empty(self, timeout: float | None = None) -> None:
        """Until the server has everything, or `close`, or `timeout` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: not self._sizes or self._closed, timeout)

    def close(self) -> None:
        """Let everybody go who waits here."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _write(self, name: str, body: bytes) -> None:
        """Whole or not at all, also when the agent is killed in between."""
        # pathlib's "*.json" also finds ".1.json": the name of a part may not end so.
        part = self._folder / f"{name}.part"
        part.write_bytes(body)
        os.replace(part, self._folder / name)


def _space(size: int) -> int:
    return -(-size // _PAGE) * _PAGE
