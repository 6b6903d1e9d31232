# SPDX-License-Identifier: Apache-2.0
"""Unpacks the packed agent where Python keeps what it has compiled.

From a zip every start compiles all sources anew: more than half of the time of a survey, which
starts the same files again as a script of its own.
"""

import subprocess
import sys
import zipfile
from pathlib import Path


def unfold(pack: str, folder: Path) -> str:
    """Unpack the zip `pack` below `folder`; returns what to start: the new folder.

    That is `pack` itself where it is no zip or the memory is full.
    """
    home = folder / "agent"
    try:
        with zipfile.ZipFile(pack) as packed:
            packed.extractall(home)
        subprocess.Popen(
            compiling(home),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    except (OSError, zipfile.BadZipFile):
        return pack
    return str(home)


def compiling(home: Path) -> list[str]:
    """The command that compiles it: at the lowest priority, while the agent talks to the server."""
    return ["nice", "-n", "19", sys.executable, "-I", "-S", "-m", "compileall", "-q", str(home)]
