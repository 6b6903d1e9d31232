# SPDX-License-Identifier: Apache-2.0
"""What a test measured, beside the same on other machines of its model: who is the odd one out."""

import re
import statistics
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from muster.scripts.outcome import unit
from muster.store.runs import Measured

_MODEL = re.compile(r"^[^(]*\((.+?)(?:, serial .*)?\)$")
_MOST = 1e300
_MAC = re.compile(r"(?:[0-9a-f]{2}:){5}[0-9a-f]{2}", re.IGNORECASE)


@dataclass(frozen=True)
class Number:
    """How far one number goes in a group."""

    name: str
    unit: str
    least: float
    median: float
    most: float


@dataclass(frozen=True)
class Sample:
    """One result; `off` is by how many per cent a number differs from the group's median."""

    result: int
    machine: str
    name: str
    device: str
    state: str
    at: datetime
    values: dict[str, float]
    off: dict[str, float]


@dataclass(frozen=True)
class Group:
    """Machines of one vendor and product and, where a disk was tested, one model of it.

    Only results of the same bytes of the script (`sha256`) are compared.
    """

    vendor: str
    product: str
    model: str
    sha256: str
    numbers: list[Number]
    samples: list[Sample]


def compare(rows: Iterable[Measured]) -> list[Group]:
    """The newest result of each machine and device, in groups; those with most samples first."""
    kinds: defaultdict[tuple[str, str, str, str], list[Measured]] = defaultdict(list)
    for row in rows:
        kinds[row.vendor, row.product, model_of(row.device), row.sha256].append(row)
    groups = [_group(kind, members) for kind, members in kinds.items()]
    return sorted(groups, key=lambda group: (-len(group.samples), group.vendor, group.product))


def model_of(device: str) -> str:
    """ "Acme S1" of "sda (Acme S1, serial 7)"; "" of a NIC, which is told by its MAC."""
    found = _MODEL.match(device)
    return found[1] if found and not _MAC.fullmatch(found[1]) else ""


def _group(kind: tuple[str, str, str, str], members: list[Measured]) -> Group:
    known = [(row, numbers(row.values)) for row in members]
    names = dict.fromkeys(name for _, found in known for name in found)
    titles = {name: about["title"] for name, about in members[0].spec.get("results", {}).items()}
    spread = {}
    for name in names:
        all_of = [found[name] for _, found in known if name in found]
        spread[name] = Number(
            name, unit(titles.get(name, "")), min(all_of), statistics.median(all_of), max(all_of)
        )
    samples = [
        Sample(
            row.id, row.machine_id, row.machine, row.device, row.state, row.ended_at, found,
            {name: _off(value, spread[name].median) for name, value in found.items()},
        )
        for row, found in known
    ]  # fmt: skip
    samples.sort(key=lambda sample: (sample.name, sample.device))
    return Group(*kind, list(spread.values()), samples)


def numbers(values: dict[str, Any]) -> dict[str, float]:
    """What can be compared; of a list (disks behind one controller) its median."""
    found = {}
    for name, value in values.items():
        of = [one for one in (value if isinstance(value, list) else [value]) if _is_number(one)]
        if of:
            found[name] = float(statistics.median(of))
    return found


def _is_number(value: object) -> bool:
    """Not so large either that the middle of two were infinite."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and abs(value) < _MOST  # type: ignore[arg-type]


def _off(value: float, median: float) -> float:
    return round((value - median) / abs(median) * 100, 1) if median else 0.0
