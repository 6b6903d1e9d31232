# SPDX-License-Identifier: Apache-2.0
"""Expected machines: what a row of the manifest says, and what is wrong with a row or between two.

Rows come from people's tables, so every bad one is named by line, field and reason.
"""

import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from muster.machine import names, tagging
from muster.machine.identity import usable_mac, usable_serial, usable_uuid

ROWS = 50_000
_SEVERAL = 64
_TEXT = 256
_UNITS = 100
"""Units of a rack: the tallest sold have 58."""


@dataclass(frozen=True)
class Cable:
    """From a NIC (its name or MAC; "" is any) to a port of a switch ("": any port of it)."""

    nic: str
    switch: str
    port: str


@dataclass(frozen=True)
class Row:
    """One expected machine; what is "" or empty is not said. `position` is the lowest unit."""

    name: str = ""
    serial: str = ""
    uuid: str = ""
    macs: tuple[str, ...] = ()
    bmc: str = ""
    bmc_mac: str = ""
    product: str = ""
    rack: str = ""
    position: int | None = None
    height: int = 1
    cables: tuple[Cable, ...] = ()
    profile: str = ""
    pool: str = ""
    tags: tuple[str, ...] = ()
    comment: str = ""

    @property
    def key(self) -> str:
        """What the row is called: by its name, or what it is known by."""
        return self.name or self.serial or self.uuid or next(iter(self.macs), "") or self.bmc

    def strong(self) -> dict[str, frozenset[str]]:
        """What identifies it, in normal form, by kind."""
        kinds = {"uuid": {self.uuid}, "mac": set(self.macs), "bmc": {self.bmc_mac},
                 "serial": {self.serial.casefold()}}  # fmt: skip
        return {kind: frozenset(v - {""}) for kind, v in kinds.items() if v - {""}}

    def plain(self) -> dict[str, Any]:
        """As JSON holds it, the key first."""
        return {"key": self.key, **asdict(self)}


FIELDS = tuple(Row.__dataclass_fields__)


@dataclass(frozen=True)
class BadRow:
    """What is wrong in which line (of JSON: which item), and the remedy."""

    line: int
    field: str
    reason: str


@dataclass(frozen=True)
class Reading:
    """Good rows with their lines; `left_out` are columns that nobody knows."""

    rows: list[tuple[int, Row]] = field(default_factory=list)
    problems: list[BadRow] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


class BadManifest(ValueError):
    """A manifest that cannot be taken; `problems` say all that is wrong."""

    def __init__(self, problems: list[BadRow]) -> None:
        told = [f"line {p.line}: {p.field}: {p.reason}" for p in problems[:3]]
        more = f"; and {len(problems) - 3} more" if len(problems) > 3 else ""
        super().__init__(f"the manifest is refused: {'; '.join(told)}{more}")
        self.problems = problems


def row_of(line: int, said: Mapping[str, Any]) -> tuple[Row | None, list[BadRow]]:
    """A row from what a file says, by the names of FIELDS; None where anything is wrong."""
    found: dict[str, Any] = {}
    problems = []
    for name, value in said.items():
        try:
            found[name] = _READERS[name](value)
        except ValueError as error:
            problems.append(BadRow(line, name, str(error)))
    if isinstance(found.get("position"), tuple):
        found["position"], height = found["position"]
        found["height"] = height if height > 1 else found.get("height", 1)
    row = Row(**found)
    if not problems and not row.key:
        why = "says nothing to know a machine by: give it a name, serial number, UUID, MAC or BMC"
        problems.append(BadRow(line, "name", why))
    if row.position is not None and not row.rack:
        problems.append(BadRow(line, "rack", f"position U{row.position} needs a rack"))
    return (None if problems else row), problems


def between(rows: Iterable[tuple[int, Row]]) -> Iterator[BadRow]:
    """What two rows cannot both have; the later one is bad. Line 0 is a row that is kept."""
    seen: dict[tuple[str, str], tuple[int, str]] = {}
    for line, row in rows:
        for name, value in _single(row):
            first, key = seen.setdefault((name, value.casefold()), (line, row.key))
            if (first, key) != (line, row.key) or (first and first != line):
                where = f"in line {first}" if first else f"{key}'s in the manifest"
                yield BadRow(line, name, f"{value} is {where} already")


@dataclass(frozen=True)
class Plan:
    """What an import comes to; `changed` are pairs of the row that was and the one that is."""

    added: list[Row] = field(default_factory=list)
    changed: list[tuple[Row, Row]] = field(default_factory=list)
    unchanged: list[Row] = field(default_factory=list)
    removed: list[Row] = field(default_factory=list)
    problems: list[BadRow] = field(default_factory=list)


def plan(there: Sequence[Row], rows: Sequence[tuple[int, Row]], *, replacing: bool) -> Plan:
    """Rows of a file beside those that are kept; `replacing`: what the file has not is removed.

    A row is known again by its key, or by what identifies its machine: a new name is a change.
    """
    kept = {row.key: row for row in there}
    owners = {(kind, value): row.key for row in kept.values()
              for kind, values in row.strong().items() for value in values}  # fmt: skip
    own_keys = {row.key for _, row in rows}
    found = Plan()
    olds: dict[str, Row] = {}
    for _, row in rows:
        near = {owners[kind, value] for kind, values in row.strong().items() for value in values
                if (kind, value) in owners} - own_keys - olds.keys()  # fmt: skip
        old = row.key if row.key in kept else min(near, default="")
        if old:
            olds[old] = row
    news = {row.key: kept[old] for old, row in olds.items()}
    left = [row for key, row in kept.items() if key not in olds]
    remain = [] if replacing else left
    found.problems.extend(p for p in between([*((0, r) for r in remain), *rows]) if p.line)
    if bad := {problem.line for problem in found.problems}:
        # What a bad row was before stays, and others must not contradict that either.
        good = plan(there, [(n, row) for n, row in rows if n not in bad], replacing=replacing)
        good.problems.extend(found.problems)
        return good
    for _, row in rows:
        before = news.get(row.key)
        if before is None:
            found.added.append(row)
        elif before == row:
            found.unchanged.append(row)
        else:
            found.changed.append((before, row))
    found.removed.extend(left if replacing else [])
    return found


def changes(old: Row, new: Row) -> str:
    """What changed, in words: "position 17, now 18"."""
    told = []
    for name in FIELDS:
        was, now = getattr(old, name), getattr(new, name)
        if was != now:
            told.append(f"{name} {_told(was)}, now {_told(now)}")
    return "; ".join(told)


def _told(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(f"{v.nic}={v.switch}:{v.port}" if isinstance(v, Cable) else v
                         for v in value) or "none"  # fmt: skip
    return "none" if value in ("", None) else str(value)


def _single(row: Row) -> Iterator[tuple[str, str]]:
    yield "name" if row.name else "key", row.key
    for kind, values in row.strong().items():
        called = {"mac": "macs", "bmc": "bmc_mac"}.get(kind, kind)
        yield from ((called, value) for value in sorted(values))
    if row.bmc:
        yield "bmc", row.bmc
    if row.position is not None:
        yield from (("position", f"{row.rack} U{row.position + n}") for n in range(row.height))
    for cable in row.cables:
        if cable.port:
            yield "cables", f"{cable.switch} {cable.port}"


def _text(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(f"must be a text, not {type(value).__name__}")
    # Excel writes an apostrophe before what shall stay text.
    text = str(value).strip().removeprefix("'").strip()
    if len(text) > _TEXT:
        raise ValueError(f"{len(text)} characters, the limit is {_TEXT}")
    if not text.isprintable():
        raise ValueError(f"{text[:40]!r} holds characters that cannot be printed")
    return text


def _name(value: Any) -> str:
    text = _text(value).lower()
    if text and not names.valid(text):
        raise ValueError(f"{text[:80]!r} is no DNS label (a-z, 0-9 and -, at most 63)")
    return text


def _serial(value: Any) -> str:
    text = _text(value)
    if text and not usable_serial(text):
        raise ValueError(f"{text!r} is a vendor's filler, which many machines have: leave it empty")
    return text


def _uuid(value: Any) -> str:
    text = _text(value)
    uuid, why = usable_uuid(text) if text else ("", "")
    if text and not uuid:
        raise ValueError(why)
    return uuid


def _mac(value: Any) -> str:
    text = _text(value)
    # aabb.ccdd.eeff is how switches write it, aabbccddeeff how labels do.
    bare = re.sub(r"[.:-]", "", text).lower()
    mac = usable_mac(":".join(re.findall("..", bare))) if len(bare) == 12 else ""
    if text and not mac:
        raise ValueError(f"{text[:40]!r} is no MAC of a NIC (aa:bb:cc:dd:ee:ff)")
    return mac


def _several(value: Any) -> list[Any]:
    found = value if isinstance(value, list) else re.split(r"[\s,;|]+", _long(value))
    if len(found) > _SEVERAL:
        raise ValueError(f"{len(found)} of them, the limit is {_SEVERAL}")
    return [one for one in found if one != ""]


def _long(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"must be a text or a list, not {type(value).__name__}")
    return value


def _macs(value: Any) -> tuple[str, ...]:
    return tuple(dict.fromkeys(filter(None, map(_mac, _several(value)))))


def _address(value: Any) -> str:
    text = _text(value)
    try:
        return str(ipaddress.ip_address(text)) if text else ""
    except ValueError:
        raise ValueError(f"{text[:40]!r} is no IP address") from None


def _label(value: Any) -> str:
    text = _text(value)
    if text and not tagging.valid(text):
        raise ValueError(f"{text[:80]!r} is no name: {tagging.REMEDY}")
    return text


def _tags(value: Any) -> tuple[str, ...]:
    return tuple(dict.fromkeys(filter(None, map(_label, _several(value)))))


def _position(value: Any) -> tuple[int | None, int]:
    """The lowest unit, and how many: "17", "U17", "17-18"."""
    if value is None or value == "":
        return None, 1
    found = re.fullmatch(
        r"(?:R?U)?\s*(\d{1,3})(?:\s*-\s*(?:R?U)?\s*(\d{1,3}))?", _text(value), re.I
    )
    if not found:
        raise ValueError(f"{str(value)[:40]!r} is no rack unit (17, U17 or 17-18)")
    ends = sorted((int(found[1]), int(found[2] or found[1])))
    if not 1 <= ends[0] <= ends[1] <= _UNITS:
        raise ValueError(f"{str(value)[:40]!r} must lie between 1 and {_UNITS}")
    return ends[0], ends[1] - ends[0] + 1


def _height(value: Any) -> int:
    found = re.fullmatch(r"(\d{1,2})\s*(?:R?U)?", _text(value), re.I) if value != "" else None
    if value == "":
        return 1
    if not found or not 1 <= int(found[1]) <= _UNITS:
        raise ValueError(f"{str(value)[:40]!r} is no number of units (2 or 2U)")
    return int(found[1])


def _cables(value: Any) -> tuple[Cable, ...]:
    """A list of objects, or "eno1=sw1:Ethernet1/5; sw2"."""
    items = value if isinstance(value, list) else [
        one for one in re.split(r"[;|\n]", _long(value)) if one.strip()
    ]  # fmt: skip
    if len(items) > _SEVERAL:
        raise ValueError(f"{len(items)} of them, the limit is {_SEVERAL}")
    return tuple(dict.fromkeys(_cable(item) for item in items))


def _cable(item: Any) -> Cable:
    if isinstance(item, dict):
        strange = set(item) - {"nic", "switch", "port"}
        if strange:
            raise ValueError(f"{min(map(str, strange))[:40]!r} is none of nic, switch, port")
        nic, switch, port = (_text(item.get(name, "")) for name in ("nic", "switch", "port"))
    else:
        nic, found, rest = _text(item).rpartition("=")
        switch, _, port = (rest if found else _text(item)).partition(":")
        nic, switch, port = nic.strip(), switch.strip(), port.strip()
    if not switch:
        raise ValueError(f"{str(item)[:40]!r} names no switch (eno1=sw1:Ethernet1/5)")
    try:
        nic = _mac(nic) or nic
    except ValueError:
        nic = nic.lower()
    return replace(Cable("", switch, port), nic=nic)


_READERS: dict[str, Any] = {
    "name": _name,
    "serial": _serial,
    "uuid": _uuid,
    "macs": _macs,
    "bmc": _address,
    "bmc_mac": _mac,
    "product": _text,
    "rack": _text,
    "position": _position,
    "height": _height,
    "cables": _cables,
    "profile": _label,
    "pool": _label,
    "tags": _tags,
    "comment": _text,
}
