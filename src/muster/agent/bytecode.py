# SPDX-License-Identifier: Apache-2.0
"""Unpacks the packed agent where Python keeps what it has compiled.

From a zip every start compiles all sources anew: more than half of the time of a survey, and of
each test of a disk. The first start of an unpacked one keeps what it needed; compiling all of it
beforehand would cost one emulated processor more than that.
"""

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
    except (OSError, zipfile.BadZipFile):
        return pack
    return str(home)
