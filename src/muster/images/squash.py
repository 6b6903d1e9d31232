"""The root's tar becomes the squashfs that machines run from."""

import os
from pathlib import Path
from typing import Final

from muster.images import command
from muster.images.root import EPOCH

# Not sqfstar, which in 4.5 (Debian 12) refuses every -Xcompression-level.
# Level 15 is 9 % smaller than 3 and 4 % smaller than 9, for 52 CPU-s of a build instead of 2 and 6;
# 19 takes 118 for the last 0.6 %. All unpack alike, and each boot fetches and hashes every byte.
_OPTIONS: Final = (
    *("-tar", "-comp", "zstd", "-Xcompression-level", "15", "-b", "128K"),
    *("-mkfs-time", str(EPOCH), "-all-time", str(EPOCH), "-no-progress", "-quiet"),
    # The tar's own "./" is not taken over: / would be writable for all.
    *("-root-mode", "755"),
)


def build_squashfs(tar: Path, target: Path) -> None:
    """Write the squashfs of a root's tar; the same tar gives the same bytes."""
    target.unlink(missing_ok=True)
    # For the same reason / belongs to whoever runs mksquashfs, so an ordinary user becomes root in
    # a namespace (-root-uid is not heeded in 4.5).
    as_root = () if os.geteuid() == 0 else ("unshare", "--map-root-user")
    command.run("squashfs", [*as_root, "mksquashfs", "-", str(target), *_OPTIONS], stdin=tar)
