"""The newc cpio format that the kernel unpacks (Documentation/driver-api/early-userspace).

Names sorted, owner root, time zero, inode numbers counted: same files, same bytes.
"""

import stat
from collections.abc import Mapping


def archive(files: Mapping[str, tuple[int, bytes]]) -> bytes:
    """Return a cpio of files by name, each with its mode (type included) and its content.

    The folders above each file are added; a symbolic link's content is its target.
    """
    entries = {parent: (stat.S_IFDIR | 0o755, b"") for name in files for parent in _above(name)}
    entries |= files
    parts = [
        _entry(number, name, *entries[name]) for number, name in enumerate(sorted(entries), start=1)
    ]
    return b"".join([*parts, _entry(0, "TRAILER!!!", 0, b"")])


def _above(name: str) -> list[str]:
    steps = name.split("/")[:-1]
    return ["/".join(steps[: count + 1]) for count in range(len(steps))]


def _entry(number: int, name: str, mode: int, content: bytes) -> bytes:
    encoded = name.encode() + b"\0"
    links = 2 if stat.S_ISDIR(mode) else 1
    fields = (number, mode, 0, 0, links, 0, len(content), 0, 0, 0, 0, len(encoded), 0)
    header = b"070701" + b"".join(b"%08X" % field for field in fields)
    return _padded(header + encoded) + _padded(content)


def _padded(block: bytes) -> bytes:
    return block + b"\0" * (-len(block) % 4)
