# SPDX-License-Identifier: Apache-2.0
"""Kinds of values that conditions compare, with their units: read, and told to people.

A size and a speed need their unit, because 512 may be meant in any: sizes are bytes (GiB is
binary, GB decimal), speeds Mbit/s.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum

Value = str | bool | int | Decimal | datetime


class Kind(StrEnum):
    """What a column holds, in words that errors use."""

    TEXT = "text"
    NUMBER = "a number"
    SIZE = "a size"
    SPEED = "a speed"
    FLAG = "yes or no"
    MOMENT = "a point in time"


SIZES = {
    "B": 1,
    **{f"{p}B": 1000**n for n, p in enumerate(("k", "M", "G", "T", "P"), start=1)},
    **{f"{p}iB": 1024**n for n, p in enumerate(("K", "M", "G", "T", "P"), start=1)},
}
SPEEDS = {"Mbit": 1, "Gbit": 1000, "Tbit": 1_000_000}
UNITS: Mapping[Kind, Mapping[str, int]] = {
    Kind.SIZE: SIZES,
    Kind.SPEED: {**SPEEDS, **{f"{unit}/s": factor for unit, factor in SPEEDS.items()}},
}
_UNITS_LOWER = {
    kind: {unit.lower(): factor for unit, factor in units.items()} for kind, units in UNITS.items()
}
ALL_UNITS = frozenset(unit for units in _UNITS_LOWER.values() for unit in units)

EXAMPLES = {
    Kind.TEXT: '"Mellanox"',
    Kind.NUMBER: "64",
    Kind.SIZE: "512GiB",
    Kind.SPEED: "25Gbit",
    Kind.FLAG: "yes",
    Kind.MOMENT: "2026-03-01",
}
_FLAGS = {"yes": True, "true": True, "no": False, "false": False}
TEXT_SHOWN = 60


class Unfit(ValueError):
    """A value that is not of its column's kind; the message says the remedy."""


def number(digits: str, unit: str, kind: Kind) -> Value:
    """`512`, `GiB` as a value of `kind`; raises Unfit."""
    if kind not in (Kind.NUMBER, Kind.SIZE, Kind.SPEED):
        raise Unfit(f"is {kind}, not a number: write it as {EXAMPLES[kind]}")
    value = Decimal(digits)
    if kind is Kind.NUMBER:
        if unit:
            raise Unfit(f"is a number without unit: leave {unit!r} out")
        return value
    if not unit:
        if value == 0:
            return value
        raise Unfit(f"is {kind} and needs a unit, as {EXAMPLES[kind]}")
    factor = _UNITS_LOWER[kind].get(unit.lower())
    if factor is None:
        raise Unfit(f"is {kind}: {unit!r} is none of its units ({', '.join(UNITS[kind])})")
    return value * factor


def words(text: str, kind: Kind) -> Value:
    """A quoted text or a bare word as a value of `kind`; raises Unfit."""
    if kind is Kind.TEXT:
        return text
    if kind is Kind.FLAG and text.lower() in _FLAGS:
        return _FLAGS[text.lower()]
    if kind is Kind.MOMENT:
        return moment(text)
    raise Unfit(f"is {kind}, not text: write it as {EXAMPLES[kind]}")


def moment(text: str) -> datetime:
    """An ISO 8601 date or time, UTC where it names no zone; raises Unfit."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise Unfit(f"is {Kind.MOMENT}: {text!r} is no date, write it as 2026-03-01") from error
    try:
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except OverflowError as error:
        raise Unfit(f"is {Kind.MOMENT}: {text!r} is outside the calendar") from error


def told(value: object, kind: Kind, *, decimal: bool = False) -> str:
    """A machine's value as people write it, safe to show; `decimal` is about sizes."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if kind is Kind.SIZE and isinstance(value, int):
        return size(value, decimal=decimal)
    if kind is Kind.SPEED and isinstance(value, int):
        return f"{value / 1000:g} Gbit/s" if value >= 1000 else f"{value} Mbit/s"
    if kind is Kind.MOMENT and isinstance(value, datetime):
        return value.isoformat(sep=" ")[:16]
    return f'"{shown(value)}"' if kind is Kind.TEXT else str(value)


def size(value: int, *, decimal: bool = False) -> str:
    """Bytes in binary units, or in decimal ones as disks are sold: 3.84 TB."""
    if value < 1000:
        return f"{value} B"
    if decimal:
        return _scaled(value, 1000, ("kB", "MB", "GB", "TB", "PB"))
    return _scaled(value, 1024, ("KiB", "MiB", "GiB", "TiB", "PiB"))


def _scaled(value: int, step: int, units: tuple[str, ...]) -> str:
    power = next((n for n in range(1, len(units)) if value < step ** (n + 1)), len(units))
    return f"{value / step**power:.2f}".rstrip("0").rstrip(".") + f" {units[power - 1]}"


def shown(value: object) -> str:
    """One short line without control or direction characters, whatever a vendor programmed."""
    text = str(value)[: TEXT_SHOWN + 1]
    if not text.isprintable():
        text = "".join(c if c.isprintable() else "\ufffd" for c in text)
    return text if len(text) <= TEXT_SHOWN else text[: TEXT_SHOWN - 1] + "…"
