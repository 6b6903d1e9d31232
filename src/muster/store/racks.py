# SPDX-License-Identifier: Apache-2.0
"""Keeps on each record the rack and unit that the manifest says, so that lists are found by them.

A record is a row's by evidence that is certain, as machine/placing.py weighs it among all who show
it, else because a person or the policy gave it what the row says. Whoever changes rows or evidence
settles those that were concerned before and those that are concerned now.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import sqlalchemy as sa

from muster.machine.cabling import Wired
from muster.machine.manifest import Row
from muster.machine.placing import Seen, place
from muster.machine.traits import Trait, fold
from muster.machine.traits import traits as traits_of
from muster.store import traits
from muster.store.engine import Tx
from muster.store.notices import tell
from muster.store.schema import machines, macs
from muster.store.schema_record import evidence, expected_evidence, expected_machines
from muster.store.schema_search import machine_traits

T = TypeVar("T")

KEPT = ("rack", "rack_unit")
_AT_ONCE = 500
_TOLD_BY = ("name", "serial", "uuid", "bmc", "bmc_mac", "rack", "position")
_KNOWN_BY = ("id", "name", "uuid", "serial", "rack", "rack_unit")
Pair = tuple[str, str]

_ANY = sa.select(expected_machines.c.key).limit(1)
Stand = tuple[str, int | None]


@dataclass
class _Near:
    """Rows and records that share evidence, with all that they share it with."""

    rows: dict[str, Row] = field(default_factory=dict)
    given: dict[str, str] = field(default_factory=dict)
    seen: dict[str, Seen] = field(default_factory=dict)
    stood: dict[str, Stand] = field(default_factory=dict)


def settle(tx: Tx, ids: Iterable[str], keys: Iterable[str] = ()) -> None:
    """Write where these records, and those that show what these rows state, stand now."""
    ids, keys = sorted(set(ids)), sorted(set(keys))
    if tx.execute(_ANY).first() is None:
        return
    for some in _portions(ids):
        _settle(tx, some, ())
    for some in _portions(keys):
        _settle(tx, (), some)


@contextmanager
def following(tx: Tx, ids: Collection[str], keys: Collection[str] = ()) -> Iterator[None]:
    """Around a change that takes evidence or rows away: who shared it is settled too."""
    near = _Near()
    if tx.execute(_ANY).first() is not None:
        near = _near(tx, ids, keys)
    yield
    settle(tx, {*ids, *near.seen}, {*keys, *near.rows})
    # Without any row nobody stands anywhere.
    left = {one: stood for one, stood in near.stood.items() if stood != ("", None)}
    if left and tx.execute(_ANY).first() is None:
        _write(tx, dict.fromkeys(sorted(left), ("", None)))


def _settle(tx: Tx, ids: Collection[str], keys: Collection[str]) -> None:
    near = _near(tx, ids, keys)
    placed = {key: one for key, one in place(list(near.rows.values()), near.seen.values()).items()
              if one.certain}  # fmt: skip
    stands = {one.machine.id: _stand(near.rows[key]) for key, one in placed.items()}
    for key, machine in near.given.items():
        if key not in placed and machine in near.seen:
            stands.setdefault(machine, _stand(near.rows[key]))
    found = {one: stands.get(one, ("", None)) for one in sorted(near.seen)}
    _write(tx, {one: stand for one, stand in found.items() if stand != near.stood[one]})


def _stand(row: Row) -> Stand:
    return row.rack, row.position


def _write(tx: Tx, stands: dict[str, Stand]) -> None:
    if not stands:
        return
    query = machines.update().where(machines.c.id == sa.bindparam("this"))
    tx.execute(query.values(rack=sa.bindparam("in_rack"), rack_unit=sa.bindparam("at_unit")),
               [{"this": one, "in_rack": rack, "at_unit": unit}
                for one, (rack, unit) in stands.items()])  # fmt: skip
    has = machine_traits.c
    for some in _portions(list(stands)):
        own = sa.and_(has.machine_id.in_(some), has.column.in_(KEPT))
        tx.execute(machine_traits.delete().where(own))
    traits.link(tx, ((one, trait) for one, (rack, unit) in stands.items()
                     for trait in traits_of({"rack": rack, "rack_unit": unit}, KEPT)))  # fmt: skip
    for one in stands:
        tell(tx, "machine", one)


def _near(tx: Tx, ids: Collection[str], keys: Collection[str]) -> _Near:
    near, ids, keys = _Near(), set(ids), set(keys)
    while ids or keys:
        fresh = _seen(tx, sorted(ids), near)
        keys |= _rows_of(tx, fresh)
        rows = _rows(tx, sorted(keys - near.rows.keys()), near)
        ids = _showing(tx, rows) | {m for row in rows if (m := near.given.get(row.key))}
        ids, keys = ids - near.seen.keys(), set()
    return near


def _seen(tx: Tx, ids: Sequence[str], near: _Near) -> list[Seen]:
    """These records with what they are known by."""
    nics: dict[str, dict[str, str]] = {}
    bmcs: dict[str, set[str]] = {}
    fresh = []
    for some in _portions(ids):
        for machine, mac in tx.execute(_macs_of(some)):
            nics.setdefault(machine, {})[mac] = ""
        for machine, value in tx.execute(_bmcs_of(some)):
            bmcs.setdefault(machine, set()).add(value)
        query = sa.select(*(machines.c[name] for name in _KNOWN_BY))
        for row in tx.execute(query.where(machines.c.id.in_(some))):
            fresh.append(Seen(
                row.id, row.name, row.uuid, row.serial,
                bmc_macs=frozenset(bmcs.get(row.id, ())), wired=Wired(macs=nics.get(row.id, {})),
            ))  # fmt: skip
            near.stood[row.id] = (row.rack, row.rack_unit)
    near.seen |= {one.id: one for one in fresh}
    return fresh


def _macs_of(ids: Sequence[str]) -> sa.Select[Any]:
    return sa.select(macs.c.machine_id, macs.c.mac).where(macs.c.machine_id.in_(ids))


def _bmcs_of(ids: Sequence[str]) -> sa.Select[Any]:
    where = sa.and_(evidence.c.machine_id.in_(ids), evidence.c.kind == "bmc")
    return sa.select(evidence.c.machine_id, evidence.c.value).where(where)


def _rows_of(tx: Tx, seen: Sequence[Seen]) -> set[str]:
    """Keys of rows that state what these show, or that they were given."""
    found: set[str] = set()
    pairs = {(kind, value) for one in seen for kind, values in one.has().items()
             for value in values}  # fmt: skip
    stated = expected_evidence.c
    for kind in ("uuid", "mac", "bmc", "serial"):
        for some in _portions(sorted(value for its, value in pairs if its == kind)):
            where = sa.and_(stated.kind == kind, stated.value.in_(some))
            found |= set(tx.execute(sa.select(stated.key).where(where)).scalars())
    for ids in _portions(sorted(one.id for one in seen)):
        given = sa.select(expected_machines.c.key)
        found |= set(tx.execute(given.where(expected_machines.c.machine_id.in_(ids))).scalars())
    return found


def _rows(tx: Tx, keys: Sequence[str], near: _Near) -> list[Row]:
    fresh = []
    for some in _portions(keys):
        query = sa.select(expected_machines).where(expected_machines.c.key.in_(some))
        for kept in tx.execute(query):
            said = {name: kept.row[name] for name in _TOLD_BY if name in kept.row}
            row = Row(**said, macs=tuple(kept.row.get("macs", ())))
            near.rows[kept.key] = row
            if kept.machine_id:
                near.given[kept.key] = kept.machine_id
            fresh.append(row)
    return fresh


def _showing(tx: Tx, rows: Sequence[Row]) -> set[str]:
    """Ids of the records that show what these rows state."""
    stated = [row.strong() for row in rows]
    queries = {
        "uuid": (machines.c.id, machines.c.uuid),
        "mac": (macs.c.machine_id, macs.c.mac),
        "bmc": (evidence.c.machine_id, evidence.c.value),
        # By its trait: people write serial numbers in upper and lower case.
        "serial": (machine_traits.c.machine_id, machine_traits.c.trait_id),
    }
    found: set[str] = set()
    for kind, (whose, column) in queries.items():
        values: list[Any] = sorted({v for one in stated for v in one.get(kind, ())})
        if kind == "serial":
            values = [traits.trait_id(Trait("serial", fold(value))) for value in values]
        for some in _portions(values):
            where: sa.ColumnElement[bool] = column.in_(some)
            if kind == "bmc":
                where = sa.and_(where, evidence.c.kind == "bmc")
            found |= set(tx.execute(sa.select(whose).where(where)).scalars())
    return found


def _portions(all_of: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(all_of), _AT_ONCE):
        yield all_of[start : start + _AT_ONCE]
