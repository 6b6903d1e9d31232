# SPDX-License-Identifier: Apache-2.0
"""Keeps on each record the rack and unit that the manifest says, so that lists are found by them.

A record is a row's by evidence that is certain, as machine/placing.py weighs it among all who show
it, else because a person or the policy gave it what the row says. Whoever changes rows or evidence
settles those that were concerned before and those that are concerned now.
"""

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from muster.machine.manifest import Row
from muster.machine.placing import place
from muster.machine.traits import traits as traits_of
from muster.store import traits
from muster.store.engine import Tx
from muster.store.notices import tell
from muster.store.schema import machines
from muster.store.schema_record import expected_machines
from muster.store.schema_search import machine_traits
from muster.store.sharing import Together, portions, together

KEPT = ("rack", "rack_unit")
CHANGED_BY = frozenset({"uuid", "serial", "name", "bmc", "power_driver"})
"""Columns of a record by which it is found to be a row's, beside what has a table of its own."""
_AT_ONCE = 500

_ANY = sa.select(expected_machines.c.key).limit(1)
Stand = tuple[str, int | None]
_NOWHERE: Stand = ("", None)


def settle(tx: Tx, ids: Iterable[str], keys: Iterable[str] = ()) -> None:
    """Write where these records, and those that show what these rows state, stand now."""
    if tx.execute(_ANY).first() is None:
        return
    for some in portions(sorted(set(ids)), _AT_ONCE):
        _settle(tx, together(tx, ids=some))
    for some in portions(sorted(set(keys)), _AT_ONCE):
        _settle(tx, together(tx, keys=some))


@contextmanager
def following(tx: Tx, ids: Collection[str], keys: Collection[str] = ()) -> Iterator[None]:
    """Around a change that takes evidence or rows away: who shared it is settled too."""
    near = Together()
    if tx.execute(_ANY).first() is not None:
        near = together(tx, keys, ids)
    yield
    settle(tx, {*ids, *near.seen}, {*keys, *near.rows})
    if near.seen and tx.execute(_ANY).first() is None:
        # Without any row nobody stands anywhere.
        _write(tx, dict.fromkeys(sorted(near.seen), _NOWHERE))


def _settle(tx: Tx, near: Together) -> None:
    rows = [kept.row for kept in near.rows.values()]
    placed = {key: one for key, one in place(rows, near.seen.values()).items() if one.certain}
    stands = {one.machine.id: _stand(near.rows[key].row) for key, one in placed.items()}
    for key, kept in near.rows.items():
        if key not in placed and kept.machine_id in near.seen:
            stands.setdefault(kept.machine_id, _stand(kept.row))
    _write(tx, {one: stands.get(one, _NOWHERE) for one in sorted(near.seen)})


def _stand(row: Row) -> Stand:
    return row.rack, row.position


def _write(tx: Tx, stands: dict[str, Stand]) -> None:
    stood = _stood(tx, list(stands))
    stands = {one: stand for one, stand in stands.items() if stand != stood.get(one, stand)}
    if not stands:
        return
    query = machines.update().where(machines.c.id == sa.bindparam("this"))
    tx.execute(query.values(rack=sa.bindparam("in_rack"), rack_unit=sa.bindparam("at_unit")),
               [{"this": one, "in_rack": rack, "at_unit": unit}
                for one, (rack, unit) in stands.items()])  # fmt: skip
    has = machine_traits.c
    for some in portions(list(stands), _AT_ONCE):
        own = sa.and_(has.machine_id.in_(some), has.column.in_(KEPT))
        tx.execute(machine_traits.delete().where(own))
    traits.link(tx, ((one, trait) for one, (rack, unit) in stands.items()
                     for trait in traits_of({"rack": rack, "rack_unit": unit}, KEPT)))  # fmt: skip
    for one in stands:
        tell(tx, "machine", one)


def _stood(tx: Tx, ids: list[str]) -> dict[str, Stand]:
    """Where they stand by their records; who is gone is left out."""
    query = sa.select(machines.c.id, machines.c.rack, machines.c.rack_unit)
    return {row.id: (row.rack, row.rack_unit) for some in portions(ids)
            for row in tx.execute(query.where(machines.c.id.in_(some)))}  # fmt: skip
