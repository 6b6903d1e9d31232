"""The root's tar becomes the squashfs that machines run from."""

from pathlib import Path
from typing import Final

from muster.images import command
from muster.images.root import EPOCH

LEVEL: Final = 15


def build_squashfs(tar: Path, target: Path) -> None:
    """Write the squashfs of a root's tar; the same tar gives the same bytes."""
    target.unlink(missing_ok=True)
    command.run(
        "squashfs",
        [
            # Not sqfstar, which in 4.5 (Debian 12) refuses every -Xcompression-level.
            *(
                "mksquashfs",
                "-",
                str(target),
                "-tar",
                "-comp",
                "zstd",
                "-Xcompression-level",
                str(LEVEL),
                "-b",
                "128K",
            ),
            *("-mkfs-time", str(EPOCH), "-all-time", str(EPOCH), "-no-progress", "-quiet"),
            # A tar's "./" is not taken over: / would belong to the builder, writable for all.
            *("-root-mode", "755", "-root-uid", "0", "-root-gid", "0"),
        ],
        stdin=tar,
    )
