"""Takes a planted tree for the running machine, and shows what was asked of its devices."""

import os
import stat
from pathlib import Path
from typing import ClassVar

from muster.collect.reading import Reader


class LiveReader(Reader):
    """Takes a planted tree for the running machine, with `channel` behind its devices."""

    channel: ClassVar[int] = -1
    opened: ClassVar[list[str]] = []

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.live = True

    def device(self, path: str, flags: int) -> int | None:
        if self.channel < 0:
            return super().device(path, flags)
        self.opened.append(path)
        return os.dup(self.channel)

    def _place(self, path: str, *, listed: bool = False) -> str:
        return self._root + path


def program(folder: Path, text: str) -> str:
    """A shell script in the place of smartctl."""
    place = folder / "smartctl"
    place.write_text(f"#!/bin/sh\n{text}\n")
    place.chmod(place.stat().st_mode | stat.S_IXUSR)
    return str(place)
