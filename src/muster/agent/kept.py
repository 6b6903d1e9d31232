# SPDX-License-Identifier: Apache-2.0
"""What survives a restart of the agent: the boot's secret, and where the run is."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from muster.wire.codec import BadMessage, decode, encode


@dataclass(frozen=True)
class Running:
    """A script's process; `started` (clock ticks since boot) tells it from a later one's pid."""

    result: int
    pid: int = 0
    started: str = ""


@dataclass(frozen=True)
class Kept:
    """`key` is made once a boot; results by number."""

    key: str
    running: list[Running] = field(default_factory=list)
    finished: list[int] = field(default_factory=list)


def find(folder: Path) -> Kept:
    """What the agent before this one kept, or a new key."""
    try:
        return decode(Kept, (folder / "session.json").read_bytes())
    except (OSError, BadMessage):
        return Kept(key=os.urandom(32).hex())


def keep(folder: Path, kept: Kept) -> None:
    """Whole or not at all."""
    part = folder / ".session.json"
    part.touch(mode=0o600)
    part.write_bytes(encode(kept))
    os.replace(part, folder / "session.json")
