"""The root's tar becomes the squashfs that machines run from."""

import os
from pathlib import Path
from typing import Final

from muster.images import command
from muster.images.root import EPOCH

# Not sqfstar, which in 4.5 (Debian 12) refuses every -Xcompression-level.
# Level 15 is 9 % smaller than 3 and 4 % smaller than 9, for 52 CPU-s of a build instead of 2 and 6;
# 19 takes 118 for the last 0.6 %. All unpack alike, and each boot fetches and hashes every byte.
_PACKED: Final = {
    "root": ("-comp", "zstd", "-Xcompression-level", "15", "-b", "128K"),
    # In every initrd: 3 % less than as the root.
    "swift": ("-comp", "zstd", "-Xcompression-level", "19", "-b", "256K"),
    # Few of them are read, behind the hello, so size counts alone: an eighth less than zstd's.
    "drivers": ("-comp", "xz", "-b", "1M"),
}
_OPTIONS: Final = (
    *("-mkfs-time", str(EPOCH), "-all-time", str(EPOCH), "-no-progress", "-quiet"),
    # The tar's own "./" is not taken over: / would be writable for all.
    *("-root-mode", "755"),
)


_BRANCHES: Final = {"amd64": "x86"}
"""xz's filter for the machine code of an architecture; squashfs-tools 4.5 have none for arm64."""


def build_squashfs(tar: Path, target: Path, kind: str = "root", *, arch: str = "amd64") -> None:
    """Write the squashfs of a tar (root, swift or drivers); the same tar gives the same bytes."""
    target.unlink(missing_ok=True)
    # For the same reason / belongs to whoever runs mksquashfs, so an ordinary user becomes root in
    # a namespace (-root-uid is not heeded in 4.5).
    as_root = () if os.geteuid() == 0 else ("unshare", "--map-root-user")
    filters = ("-Xbcj", _BRANCHES[arch]) if kind == "drivers" and arch in _BRANCHES else ()
    words = ["mksquashfs", "-", str(target), "-tar", *_PACKED[kind], *filters, *_OPTIONS]
    command.run("squashfs", [*as_root, *words], stdin=tar)
