# SPDX-License-Identifier: Apache-2.0
"""The only place of this room that opens files: bounded, never blocking, never raising.

A `Reader` belongs to one probe. What is absent is simply absent (None, "", 0, []); what is there
and cannot be read, or is nonsense, becomes a `Complaint`, and the probe goes on without it.
Paths are those of the machine ("/sys/class/net"), whatever the root.
"""

import errno
import os
import re
import stat
from itertools import islice

from muster.wire.section import Complaint

Root = os.PathLike[str] | str

ATTRIBUTE_LIMIT = 4096
"""Bytes: sysfs never gives more than a page for an attribute."""
FILE_LIMIT = 16 * 1024 * 1024
"""Bytes: /proc/cpuinfo of 4096 threads is 6 MiB, pci.ids is 1.3 MiB."""
ENTRIES_LIMIT = 65536
_PAGE = 4096
COMPLAINTS_LIMIT = 200

_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
# A driver answers ENODEV, ENXIO, EINVAL or EOPNOTSUPP for "no such value now", as sysfs `speed`
# and `carrier` do while a port is down.
_ABSENT = {
    errno.ENOENT,
    errno.ENOTDIR,
    errno.ENODEV,
    errno.ENXIO,
    errno.EINVAL,
    errno.EOPNOTSUPP,
}
_DECIMAL = re.compile(r"[0-9]{1,18}(?:\.[0-9]{1,18})?")
_DIGITS = re.compile(r"([0-9]+)")
_CPULIST_PART = re.compile(r"([0-9]{1,9})(?:-([0-9]{1,9}))?")
_ESCAPE = re.compile(r"\\x([0-9a-fA-F]{2})")


class _Unreadable(Exception):
    """Why a path was left alone; never leaves this file."""


class Reader:
    """Reads one machine under `root`; `live` when that is the running one."""

    def __init__(self, root: Root) -> None:
        real = os.path.realpath(root)
        self.live = real == "/"
        self.complaints: list[Complaint] = []
        self._root = "" if self.live else real
        # A root may want to know what is looked at: capture.py's does.
        self._watch = getattr(root, "watch", None)

    def complain(self, path: str, reason: str) -> None:
        """Note that `path` could not be read; beyond `COMPLAINTS_LIMIT` they are dropped."""
        if len(self.complaints) < COMPLAINTS_LIMIT:
            self.complaints.append(Complaint(path, reason))

    def raw(self, path: str, limit: int = ATTRIBUTE_LIMIT) -> bytes | None:
        """The bytes of a regular file; None if it is absent, unreadable or larger than `limit`."""
        data = self.head(path, limit + 1)
        if data is not None and len(data) > limit:
            self.complain(path, f"is larger than {limit} bytes")
            return None
        return data

    def head(self, path: str, size: int) -> bytes | None:
        """The first `size` bytes of a regular file; None if it is absent or unreadable."""
        try:
            place = self._place(path)
            if self.live and path.startswith("/sys/"):
                return _sysfs_bytes(place, size)
            return _first_bytes(place, size)
        except _Unreadable as why:
            self.complain(path, str(why))
        except OSError as error:
            self._complain_of(path, error)
        return None

    def device(self, path: str, flags: int) -> int | None:
        """A device file, open, for its own questions; None if it cannot be, or the root is no

        live one. The caller closes it.
        """
        if not self.live:
            return None
        try:
            return os.open(path, flags | os.O_CLOEXEC)
        except OSError as error:
            self.complain(path, error.strerror or str(error))
            return None

    def text(self, path: str, limit: int = ATTRIBUTE_LIMIT) -> str:
        """The file as stripped text without NULs; "" if it is absent or unreadable."""
        data = self.raw(path, limit)
        if data is None:
            return ""
        try:
            text = data.decode()
        except UnicodeDecodeError:
            self.complain(path, "is not UTF-8; the odd bytes are replaced")
            text = data.decode(errors="replace")
        return text.replace("\0", "").strip()

    def number(self, path: str, base: int = 10) -> int | None:
        """An integer of at most 64 bits; None if it is absent or nonsense."""
        text = self.text(path)
        if not text:
            return None
        try:
            return _parse_number(text, base)
        except ValueError:
            self.complain(path, f"is not a number: {text[:40]!r}")
            return None

    def count(self, path: str, base: int = 10) -> int:
        """An unsigned integer; 0 if it is absent, nonsense, or negative ("none" in sysfs)."""
        return max(0, self.number(path, base) or 0)

    def amount(self, path: str, unit: int) -> int:
        """An unsigned number of units of so many bytes, in bytes; 0 if that passes 64 bits."""
        number = self.count(path)
        if number * unit < 1 << 64:
            return number * unit
        self.complain(path, f"{number} times {unit} bytes are more than 2^64")
        return 0

    def decimal(self, path: str) -> float:
        """An unsigned number with or without a fraction ("1.5"); 0.0 if it is absent or not one."""
        text = self.text(path)
        if not text:
            return 0.0
        if not _DECIMAL.fullmatch(text):
            self.complain(path, f"is not a number: {text[:40]!r}")
            return 0.0
        return float(text)

    def names(self, path: str, prefix: str = "") -> list[str]:
        """What of a directory begins with `prefix`, in natural order (cpu2 before cpu10)."""
        try:
            with os.scandir(self._place(path, listed=True)) as entries:
                listed = islice(entries, ENTRIES_LIMIT)
                found = [entry.name for entry in listed if entry.name.startswith(prefix)]
        except _Unreadable as why:
            self.complain(path, str(why))
            return []
        except OSError as error:
            self._complain_of(path, error)
            return []
        good = [name for name in found if name.isprintable()]
        if len(good) < len(found):
            self.complain(path, "holds names that are not printable; they are left out")
        return sorted(good, key=_natural)

    def exists(self, path: str) -> bool:
        """Whether `path` leads to something."""
        try:
            return os.path.exists(self._place(path))
        except _Unreadable:
            return False

    def link(self, path: str) -> str:
        """The last part of where a symbolic link points, dangling or not; "" if there is none."""
        folder, _, last = path.rpartition("/")
        if self._watch:
            self._watch(path, listed=False)
        try:
            target = os.readlink(f"{self._place(folder)}/{last}")
        except _Unreadable as why:
            self.complain(path, str(why))
            return ""
        except OSError as error:
            self._complain_of(path, error)
            return ""
        name = target.rstrip("/").rsplit("/", 1)[-1]
        return name if name.isprintable() else ""

    def real(self, path: str) -> str:
        """`path` with every link followed, as the machine sees it; "" if that leaves the root."""
        try:
            place = self._place(path)
            return (_resolve_live if self.live else _resolve)(place)[len(self._root) :]
        except _Unreadable as why:
            self.complain(path, str(why))
            return ""

    def lines(self, path: str, limit: int = FILE_LIMIT) -> list[str]:
        """The file's lines; [] if it is absent or unreadable."""
        return self.text(path, limit).splitlines()

    def udev(self, device: str) -> dict[str, str]:
        """What udev knows of "b8:0", "n2" or "+pci:...": its E: properties.

        The links it made are under "DEVLINKS", without /dev and separated by spaces.
        """
        known: dict[str, str] = {}
        links: list[str] = []
        for line in self.lines(f"/run/udev/data/{device}", 65536):
            if line.startswith("E:"):
                key, _, value = line[2:].partition("=")
                known[key] = value
            elif line.startswith("S:"):
                links.append(line[2:])
        known["DEVLINKS"] = " ".join(links)
        return known

    def cpu_list(self, path: str) -> list[range]:
        """A kernel CPU list ("0-3,8") as ranges, which cost the same however wide they are."""
        text = self.text(path)
        ranges: list[range] = []
        for part in filter(None, text.split(",")):
            match = _CPULIST_PART.fullmatch(part.strip())
            if match is None:
                self.complain(path, f"is not a list of CPUs: {text[:40]!r}")
                return []
            ranges.append(range(int(match[1]), int(match[2] or match[1]) + 1))
        return ranges

    def colon_table(self, path: str) -> dict[str, str]:
        """A "key: value" file such as meminfo; lines without a colon are passed over."""
        pairs = (line.partition(":") for line in self.lines(path))
        return {key.strip(): value.strip() for key, colon, value in pairs if colon}

    def architecture(self) -> str:
        """The machine's name for its instruction set, as `uname -m`; "" if a tree is silent."""
        return os.uname().machine if self.live else self.text("/proc/sys/kernel/arch")

    def _place(self, path: str, *, listed: bool = False) -> str:
        """Where `path` is on this host. A recorded tree must not show us the host's own files."""
        place = self._root + path
        if self._watch:
            self._watch(path, listed=listed)
        if self.live:
            return place
        real = _resolve(place)
        if real != self._root and not real.startswith(self._root + "/"):
            raise _Unreadable("leads out of the root")
        return place

    def _complain_of(self, path: str, error: OSError) -> None:
        if error.errno not in _ABSENT:
            self.complain(path, error.strerror or str(error))


def _resolve(place: str) -> str:
    """realpath() calls itself for every link of a chain, and a hostile tree can hold thousands."""
    try:
        return os.path.realpath(place)
    except RecursionError as error:
        raise _Unreadable("is behind too many symbolic links") from error


def _resolve_live(place: str) -> str:
    """By the kernel: realpath() asks for every part of the path, a dozen questions in /sys."""
    try:
        handle = os.open(place, os.O_PATH | os.O_CLOEXEC)
        try:
            return os.readlink(f"/proc/self/fd/{handle}")
        finally:
            os.close(handle)
    except OSError:
        return _resolve(place)


def _first_bytes(place: str, size: int) -> bytes:
    """Opening a FIFO waits, opening a tape rewinds it: look before opening, and again after."""
    _regular(os.stat(place))
    handle = os.open(place, _FLAGS)
    try:
        _regular(os.fstat(handle))
        return _to_end(handle, size)
    finally:
        os.close(handle)


def _sysfs_bytes(place: str, size: int) -> bytes:
    """sysfs has nothing but attributes, and answers less than a page only at their end."""
    handle = os.open(place, _FLAGS)
    try:
        chunk = os.read(handle, size)
        return chunk if len(chunk) < _PAGE else chunk + _to_end(handle, size - len(chunk))
    finally:
        os.close(handle)


def _to_end(handle: int, size: int) -> bytes:
    chunks: list[bytes] = []
    while size > 0 and (chunk := os.read(handle, size)):
        chunks.append(chunk)
        size -= len(chunk)
    return b"".join(chunks)


def _regular(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise _Unreadable("is not a regular file")


def _parse_number(text: str, base: int) -> int:
    digits = text.removeprefix("-")
    # int() would also take "1_000", "+1" and the digits of every script.
    if not (digits.isascii() and digits.isalnum()):
        raise ValueError(text)
    value = int(text, base)
    if not -(1 << 63) <= value < 1 << 64:
        raise ValueError(text)
    return value


def _natural(name: str) -> list[str | int]:
    return [int(part) if place % 2 else part for place, part in enumerate(_DIGITS.split(name))]


def udev_unescape(text: str) -> str:
    """A udev *_ENC property as it was before: bytes outside a safe set are written \\xNN."""
    return _ESCAPE.sub(lambda match: chr(int(match[1], 16)), text).replace("\0", "").strip()
