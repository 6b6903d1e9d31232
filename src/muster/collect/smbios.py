# SPDX-License-Identifier: Apache-2.0
"""The raw SMBIOS table (DSP0134) as structures whose every field may be missing or wrong.

Firmware writes this table and often badly: lengths run over the end, string sets never end, a
count promises what is not there. What is sound before and after such a place is kept.
"""

import re
from collections.abc import Callable, Sequence
from functools import partial

from muster.collect.reading import Reader

_TABLES = "/sys/firmware/dmi/tables"
_ENTRIES = "/sys/firmware/dmi/entries"
_TABLE_LIMIT = 4 * 1024 * 1024
_STRUCTURES_LIMIT = 16384
_STRING_LIMIT = 255
_HEADER = 4
_END_OF_TABLE = 127
_ENTRY = re.compile(r"[0-9]{1,3}-[0-9]{1,5}")

Complain = Callable[[str], None]


class Structure:
    """One structure; a field beyond its length reads as 0 or "", as older versions lack it."""

    def __init__(self, body: bytes, strings: Sequence[bytes]) -> None:
        self.type = body[0]
        self.handle = int.from_bytes(body[2:4], "little")
        self.body = body
        self._strings = strings

    def number(self, offset: int, size: int = 1) -> int:
        """The unsigned number of `size` bytes at `offset`; 0 if not all of it is there."""
        field = self.body[offset : offset + size]
        return int.from_bytes(field, "little") if len(field) == size else 0

    def has(self, offset: int, size: int = 1) -> bool:
        """Whether the structure is long enough for this field."""
        return offset + size <= len(self.body)

    def text(self, offset: int) -> str:
        """The string whose number is at `offset`; 0 is none, and so is a number too high."""
        index = self.number(offset)
        if not 0 < index <= len(self._strings):
            return ""
        text = self._strings[index - 1][:_STRING_LIMIT].decode(errors="replace")
        return "".join(c if c.isprintable() else " " for c in text).strip()

    def word(self, offset: int, names: Sequence[str]) -> str:
        """The meaning of the number at `offset`: the first of `names` is that of 1.

        A number without a name reads as "".
        """
        index = self.number(offset)
        return names[index - 1] if 0 < index <= len(names) else ""


def structures(reader: Reader) -> list[Structure]:
    """All structures of the machine, in the table's order; [] without SMBIOS or without root."""
    path = f"{_TABLES}/DMI"
    table = reader.raw(path, _TABLE_LIMIT)
    if table is None:
        return _from_entries(reader)
    return parse(table, partial(reader.complain, path))


def version(reader: Reader) -> str:
    """The specification's version that the entry point names ("3.4"), "" if there is none.

    DSP0134 5.2: "_SM_" has it in bytes 6 and 7, "_SM3_" in 7 and 8.
    """
    entry = reader.raw(f"{_TABLES}/smbios_entry_point") or b""
    for anchor, place in ((b"_SM3_", 7), (b"_SM_", 6)):
        if entry.startswith(anchor) and len(entry) >= place + 2:
            return f"{entry[place]}.{entry[place + 1]}"
    return ""


def parse(table: bytes, complain: Complain) -> list[Structure]:
    """The sound structures of a table; the reason why reading ended early goes to `complain`."""
    found: list[Structure] = []
    place = 0
    while place + _HEADER <= len(table) and len(found) < _STRUCTURES_LIMIT:
        length = table[place + 1]
        if length < _HEADER:
            complain(f"the structure at byte {place} says it has {length} bytes")
            break
        body = table[place : place + length]
        if len(body) < length:
            complain(f"the structure at byte {place} runs over the end of the table")
            break
        strings, place = _strings(table, place + length, complain)
        found.append(Structure(body, strings))
        if body[0] == _END_OF_TABLE:
            break
    return found


def _strings(table: bytes, start: int, complain: Complain) -> tuple[list[bytes], int]:
    """The string set at `start` and where the next structure begins: behind a double NUL."""
    end = table.find(b"\0\0", start)
    if end < 0:
        complain(f"the strings at byte {start} do not end")
        end = len(table)
    return (table[start:end].split(b"\0") if end > start else []), end + 2


def _from_entries(reader: Reader) -> list[Structure]:
    """The kernel's own list, for trees that were recorded without the whole table."""
    found: list[Structure] = []
    for name in filter(_ENTRY.fullmatch, reader.names(_ENTRIES)):
        path = f"{_ENTRIES}/{name}/raw"
        raw = reader.raw(path, 65536) or b""
        found += parse(raw, partial(reader.complain, path))[:1]
    return found


def named(flags: int, names: Sequence[str]) -> list[str]:
    """The names of the bits set in `flags`; the first of `names` is that of bit 1."""
    return [name for bit, name in enumerate(names, 1) if flags >> bit & 1]
