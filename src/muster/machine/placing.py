# SPDX-License-Identifier: Apache-2.0
"""Which record is which row of the manifest, and what does not agree; each finding one sentence.

Evidence is weighted as identity weighs it; nothing of a record is changed here.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from muster.machine.cabling import Cabled, Neighbour, Wired, checked, port_key
from muster.machine.evidence import WEIGHTS
from muster.machine.manifest import Cable, Row

_WEIGHTS = {kind: WEIGHTS[kind] for kind in ("uuid", "mac", "bmc", "serial")} | {
    "address": 30, "name": 20,
}  # fmt: skip
_CALLED = {"uuid": "hardware UUID", "mac": "MAC", "bmc": "BMC's MAC", "serial": "serial number",
           "address": "BMC's address", "name": "name"}  # fmt: skip
_NOTHING: frozenset[str] = frozenset()
CERTAIN = frozenset({"uuid", "mac", "bmc", "serial"})
"""By these a machine may be given what its row says; an address or a name alone only suggests."""


@dataclass(frozen=True)
class Seen:
    """A machine's record. `bmc` are addresses, `bmc_macs` MACs of its BMC."""

    id: str
    name: str
    uuid: str = ""
    serial: str = ""
    product: str = ""
    pool: str = ""
    tags: frozenset[str] = frozenset()
    bmc: frozenset[str] = frozenset()
    bmc_macs: frozenset[str] = frozenset()
    wired: Wired = field(default_factory=Wired)

    def has(self) -> dict[str, frozenset[str]]:
        """What it is known by, in the manifest's normal form."""
        kinds = {
            "uuid": {self.uuid},
            "mac": set(self.wired.macs or ()),
            "bmc": set(self.bmc_macs),
            "serial": {self.serial.casefold()},
            "address": set(self.bmc),
            "name": {self.name},
        }
        return {kind: frozenset(v - {""}) for kind, v in kinds.items() if v - {""}}  # fmt: skip


@dataclass(frozen=True)
class Place:
    """The record of a row; `agree` the kinds of evidence that do, `rivals` who fits as well."""

    machine: Seen
    agree: tuple[str, ...]
    rivals: tuple[str, ...] = ()

    @property
    def certain(self) -> bool:
        """Whether more than an address or a name says so, of one machine alone."""
        return bool(CERTAIN & set(self.agree)) and not self.rivals

    @property
    def because(self) -> str:
        """In words."""
        return f"the same {' and '.join(_CALLED[kind] for kind in self.agree)}"


def wanted(row: Row) -> dict[str, frozenset[str]]:
    """What a row is found by, by kind."""
    more = {"address": frozenset({row.bmc} - {""}), "name": frozenset({row.name} - {""})}
    return {kind: values for kind, values in {**row.strong(), **more}.items() if values}


def place(rows: Sequence[Row], machines: Iterable[Seen]) -> dict[str, Place]:
    """The record of each row by its key; a record is that one's with which it agrees most."""
    known = {machine.id: machine for machine in machines}
    index: dict[tuple[str, str], list[str]] = {}
    has = {}
    for machine in known.values():
        has[machine.id] = machine.has()
        for kind, values in has[machine.id].items():
            for value in values:
                index.setdefault((kind, value), []).append(machine.id)
    pairs = []
    for row in rows:
        wants = wanted(row)
        near = {
            m for kind, values in wants.items() for v in values for m in index.get((kind, v), ())
        }
        pairs += [(_score(wants, has[one]), row.key, one) for one in near]
    return _greedy(pairs, known, {row.key: row for row in rows}, has)


def _greedy(
    pairs: list[tuple[int, str, str]], known: Mapping[str, Seen], rows: Mapping[str, Row],
    has: Mapping[str, Mapping[str, frozenset[str]]],
) -> dict[str, Place]:  # fmt: skip
    pairs.sort(key=lambda pair: (-pair[0], pair[1], pair[2]))
    found: dict[str, tuple[int, str]] = {}
    taken: set[str] = set()
    for score, key, machine in pairs:
        if key not in found and machine not in taken:
            found[key] = (score, machine)
            taken.add(machine)
    rivals: dict[str, list[str]] = {}
    for score, key, machine in pairs:
        if key in found and found[key][0] == score and machine not in taken:
            rivals.setdefault(key, []).append(known[machine].name)
    return {
        key: Place(known[machine], _agreeing(wanted(rows[key]), has[machine]),
                   tuple(sorted(rivals.get(key, ()))[:8]))
        for key, (_, machine) in found.items()
    }  # fmt: skip


def _agreeing(
    wants: Mapping[str, frozenset[str]], has: Mapping[str, frozenset[str]]
) -> tuple[str, ...]:
    return tuple(kind for kind in _WEIGHTS if wants.get(kind, _NOTHING) & has.get(kind, _NOTHING))


def _score(wants: Mapping[str, frozenset[str]], has: Mapping[str, frozenset[str]]) -> int:
    score = 0
    for kind, weight in _WEIGHTS.items():
        mine, theirs = wants.get(kind, _NOTHING), has.get(kind, _NOTHING)
        if mine & theirs:
            score += weight
        elif mine and theirs and kind != "name":
            score -= weight
    return score


@dataclass(frozen=True)
class Finding:
    """A row beside its record: matching, mismatching or missing."""

    row: Row
    status: str
    machine: Seen | None
    because: str
    mismatches: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    cables: tuple[Cabled, ...] = ()


class Manifest:
    """All rows beside all records."""

    def __init__(
        self,
        rows: Sequence[Row],
        machines: Sequence[Seen],
        places: Mapping[str, Place] | None = None,
    ) -> None:
        """`places` where they are known already; their machines may know less than `machines`."""
        known = {machine.id: machine for machine in machines}
        found = place(rows, machines) if places is None else places
        self.rows = rows
        self.places = {k: replace(p, machine=known[p.machine.id]) for k, p in found.items()}
        taken = {one.machine.id for one in self.places.values()}
        self.unexpected = [machine for machine in machines if machine.id not in taken]
        self._named = {row.name: row.key for row in rows if row.name}
        self._serials = {row.serial.casefold(): row.key for row in rows if row.serial}
        self._addresses = {row.bmc: row.key for row in rows if row.bmc}
        self._holders = {mac: m for m in machines for mac in m.wired.macs or ()}
        self._ports: dict[str, list[tuple[Cable, Row]]] = {}
        for row in rows:
            for cable in row.cables:
                if cable.port:
                    self._ports.setdefault(port_key(cable.port), []).append((cable, row))
        self._racks: dict[str, Counter[str]] = {}
        for row in rows:
            if row.rack and row.key in self.places:
                for switch in _switches(self.places[row.key].machine):
                    self._racks.setdefault(switch, Counter())[row.rack] += 1

    def finding(self, row: Row) -> Finding:
        """What is to be said of one row."""
        placed = self.places.get(row.key)
        if placed is None:
            return Finding(row, "missing", None, "", (f"{_known_by(row)} has come yet",))
        machine = placed.machine
        told = [*self._identity(row, placed), *self._holding(row, machine), *_given(row, machine)]
        cables, wrong, unknown = checked(row.cables, machine.wired)
        crossed = self._crossed(row, machine) if wrong else ""
        told += [crossed] if crossed else wrong
        if not row.cables and row.rack:
            told += self._rack(row, machine)
        status = "mismatching" if told else "matching"
        return Finding(row, status, machine, placed.because, tuple(told), tuple(unknown),
                       tuple(cables))  # fmt: skip

    def stranger(self, machine: Seen) -> str:
        """The sentence for a record that no row is about."""
        for heard in machine.wired.neighbours:
            row = self._expected_at(heard)
            if row is not None and row.key not in self.places:
                return f"not in the manifest; it is on {heard.told}, where {row.key} should be"
        return "not in the manifest"

    def _identity(self, row: Row, placed: Place) -> Iterator[str]:
        machine = placed.machine
        if placed.rivals:
            agree = " and ".join(_CALLED[kind] for kind in placed.agree)
            who = " and ".join((machine.name, *placed.rivals))
            yield f"which machine it is cannot be told: the same {agree} is on {who}"
        if row.uuid and machine.uuid and row.uuid != machine.uuid:
            yield f"hardware UUID {machine.uuid}, the manifest says {row.uuid}"
        pairs = (
            ("serial number", row.serial, machine.serial, self._serials),
            ("name", row.name, machine.name, self._named),
        )
        for called, should, is_, owners in pairs:
            if should and is_ and should.casefold() != is_.casefold():
                yield self._differs(row, called, should, is_, owners)
        if row.bmc and machine.bmc and row.bmc not in machine.bmc:
            has = sorted(machine.bmc)
            yield self._differs(row, "BMC address", row.bmc, has[0], self._addresses)

    def _differs(
        self, row: Row, called: str, should: str, is_: str, owners: Mapping[str, str]
    ) -> str:
        other = owners.get(is_.casefold())
        there = self.places.get(other) if other and other != row.key else None
        if there and should.casefold() in _all_of(there.machine, called):
            by = "by whoever named them" if called == "name" else "in the manifest, or in the rack"
            return f"its {called} is {other}'s, and {other} has its: swapped {by}"
        of = f", which the manifest gives to {other}" if there else ""
        return f"{called} {is_}{of}, the manifest says {should}"

    def _holding(self, row: Row, machine: Seen) -> Iterator[str]:
        for mac in row.macs:
            holder = self._holders.get(mac)
            if machine.wired.macs and mac not in machine.wired.macs:
                yield f"MAC {mac} is in {holder.name}" if holder else f"MAC {mac} is not in it"
        if row.bmc_mac and machine.bmc_macs and row.bmc_mac not in machine.bmc_macs:
            yield f"BMC's MAC {min(machine.bmc_macs)}, the manifest says {row.bmc_mac}"

    def _crossed(self, row: Row, machine: Seen) -> str:
        """Two machines that stand, or are cabled, in each other's place."""
        for heard in machine.wired.neighbours:
            other = self._expected_at(heard)
            there = self.places.get(other.key) if other and other.key != row.key else None
            if other is None or there is None:
                continue
            mine = any(n.at(c) for n in there.machine.wired.neighbours for c in row.cables)
            if mine:
                return (
                    f"it is on {other.key}'s {heard.told}, and {other.key} on its:"
                    " swapped in the rack, or the cables are"
                )
            return f"it is on {heard.told}, where {other.key} should be"
        return ""

    def _expected_at(self, heard: Neighbour) -> Row | None:
        for port in heard.ports:
            for cable, row in self._ports.get(port, ()):
                if heard.at(cable):
                    return row
        return None

    def _rack(self, row: Row, machine: Seen) -> Iterator[str]:
        """By its switch it stands among the machines of another rack."""
        for switch in sorted(_switches(machine)):
            seen = self._racks.get(switch, Counter()) - Counter([row.rack])
            # A switch of several racks, or one machine in the wrong place, says nothing.
            if len(seen) != 1 or row.rack in seen:
                return
            ((rack, number),) = seen.items()
            if number > 1:
                yield f"rack {row.rack} by the manifest, but its switch {switch} serves rack {rack}"
                return


def _all_of(machine: Seen, called: str) -> frozenset[str]:
    if called == "BMC address":
        return machine.bmc
    return frozenset({machine.name if called == "name" else machine.serial.casefold()})


def _switches(machine: Seen) -> set[str]:
    return {heard.switch for heard in machine.wired.neighbours if heard.switch}


def _given(row: Row, machine: Seen) -> Iterator[str]:
    if row.product and machine.product and row.product.casefold() != machine.product.casefold():
        yield f"model {machine.product}, the manifest says {row.product}"
    if row.pool and row.pool != machine.pool:
        is_in = f"pool {machine.pool}" if machine.pool else "no pool"
        yield f"in {is_in}, the manifest says {row.pool}"
    if lacks := [tag for tag in row.tags if tag not in machine.tags]:
        yield f"has not the tag {' and '.join(lacks)} of the manifest"


def _known_by(row: Row) -> str:
    words = [f"serial number {row.serial}" if row.serial else "",
             f"UUID {row.uuid}" if row.uuid and not row.serial else "",
             f"MAC {row.macs[0]}" if row.macs else "",
             f"BMC {row.bmc}" if row.bmc else "",
             f"name {row.name}" if row.name else ""]  # fmt: skip
    return f"nothing with its {' or '.join(list(filter(None, words))[:2])}"
