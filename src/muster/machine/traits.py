# SPDX-License-Identifier: Apache-2.0
"""The values by which machines are found, each once: a fleet of one model shares most of them.

A trait is a column's value in the form in which databases compare it. `narrowing.py` asks for
them; what it finds is then tried by `conditions.py`, so that a trait may be coarser than the value
(cut, rounded) and never finer.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from muster.machine.columns import COLUMNS, LISTS, Column, Facts, items
from muster.machine.quantities import Kind

TEXT_MOST = 160
"""Characters; what is as long may have been cut. PostgreSQL's B-tree takes 2,700 bytes."""
WORD_MOST = 64

OF_RECORD = frozenset(
    ("name", "uuid", "serial", "vendor", "product", "architecture", "firmware", "power_driver",
     "mac", "pool", "rack", "rack_unit")
)  # fmt: skip
"""Columns of the record itself that are traits; the others have few values or change too often."""
_IDENTIFIERS = ("name", "uuid", "mac", "serial", "wwn", "part", "ip")
"""Columns (or their last word) of which people know the end, or write without separators."""
_NOT_SEARCHED = frozenset(
    ("architecture", "firmware", "power_driver", "pool", "bios.vendor", "tpm.version", "disk.name",
     "disk.type", "nic.name", "nic.driver", "gpu.driver", "dimm.slot", "dimm.type")
)  # fmt: skip
"""Every machine has them; a search for "sda" would find them all."""
_BACKWARDS = "<"


@dataclass(frozen=True, order=True)
class Trait:
    """`text` is folded, or the number as text; `number` is None for texts."""

    column: str
    text: str
    number: float | None = None


def of_hardware(column: Column) -> bool:
    """Whether the column lies in the last resources document."""
    path = LISTS[column.of] if column.of else column.path
    return path[0] == "hardware"


KNOWN_LISTS = frozenset(of for of, path in LISTS.items() if path[0] == "hardware")
"""Lists that are not known of every machine; where one is, its name is a trait."""
HARDWARE = KNOWN_LISTS | {column.name for column in COLUMNS.values() if of_hardware(column)}
COVERED = OF_RECORD | HARDWARE
"""The columns that are traits."""


def traits(facts: Facts, columns: Iterable[str]) -> set[Trait]:
    """The traits of a machine in `columns`; `facts` as conditions take them."""
    found = set()
    for name in columns:
        if name in KNOWN_LISTS:
            if items(facts, name) is not None:
                found.add(Trait(name, "known"))
            continue
        column = COLUMNS[name]
        for value in _values(column, facts):
            found.add(trait(column, value))
    return found


def _values(column: Column, facts: Facts) -> Iterator[Any]:
    if not column.of:
        value = column.read(facts)
        if value is not None:
            yield value
        return
    for item in items(facts, column.of) or ():
        value = column.read(item) if column.path else (item if isinstance(item, str) else None)
        if value not in (None, ""):
            yield value


def trait(column: Column, value: Any) -> Trait:
    """A value of the column as a trait."""
    if column.kind is Kind.TEXT:
        return Trait(column.name, fold(value))
    return Trait(column.name, str(value)[:TEXT_MOST], number(value))


def fold(text: str) -> str:
    """As conditions compare texts, cut."""
    return text.casefold()[:TEXT_MOST]


def number(value: Any) -> float:
    """In the range of every database's floating point."""
    return max(-1e300, min(1e300, float(value)))


def words(trait: Trait) -> set[str]:
    """What a search finds the trait by: its beginnings, and of identifiers also their ends."""
    if trait.number is not None or trait.column in _NOT_SEARCHED | KNOWN_LISTS:
        return set()
    found = {word.strip("()[],;\"'") for word in trait.text.split()}
    found |= set(re.findall(r"[^\W_]+", trait.text))
    if trait.column.rpartition(".")[2] in _IDENTIFIERS:
        whole = squeezed(trait.text)
        found |= {whole, _BACKWARDS + whole[::-1]}
    return {word[:WORD_MOST] for word in found if len(word) > 1}


def squeezed(text: str) -> str:
    """Letters and digits only: 52:54:00:12:34:01 and 5254.0012.3401 are one address."""
    return "".join(c for c in text if c.isalnum())


def starts(term: str) -> list[str]:
    """The beginnings of words that a search for `term` looks for."""
    text = fold(term)[:WORD_MOST]
    whole = squeezed(text)
    # Two characters of an end would find one machine in 256, whatever they say.
    backwards = [_BACKWARDS + whole[::-1]] if len(whole) > 2 else []
    return list(dict.fromkeys(filter(None, (text, whole, *backwards))))
