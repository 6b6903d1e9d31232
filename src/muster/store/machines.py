# SPDX-License-Identifier: Apache-2.0
"""Machines and the MACs on their records."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from muster.machine.identity import Claim, Known
from muster.machine.states import State
from muster.machine.traits import OF_RECORD
from muster.machine.traits import traits as traits_of
from muster.store import racks, traits
from muster.store.engine import Conflict, Missing, Tx
from muster.store.notices import tell
from muster.store.rows import all_to, columns, to
from muster.store.schema import machines, macs


@dataclass(frozen=True)
class Machine:
    """One machine's record. `summary` is what lifecycle.survey read from its last document."""

    id: str
    name: str
    state: State
    state_reason: str
    uuid: str
    serial: str
    vendor: str
    product: str
    architecture: str
    firmware: str
    permitted: bool
    denied_reason: str
    surveyed_at: datetime | None
    summary: dict[str, Any]
    power_driver: str
    power_parameters: dict[str, Any]
    created_at: datetime
    updated_at: datetime
    power_secret: str = ""
    bmc: str = ""
    pool: str = ""
    rack: str = ""
    rack_unit: int | None = None
    seen_at: datetime | None = None


# Made once: SQLAlchemy takes longer to put a statement together than SQLite to answer it.
_THIS: sa.BindParameter[Any] = sa.bindparam("this")
_FIND = sa.select(machines).where(sa.or_(machines.c.id == _THIS, machines.c.name == _THIS))
_UPDATE = machines.update().where(machines.c.id == _THIS)
_NAMED = sa.select(machines.c.id).where(machines.c.name == _THIS)


def find(tx: Tx, reference: str) -> Machine:
    """By id, else by name; raises Missing."""
    found = to(Machine, tx.execute(_FIND, {"this": reference}).first())
    if found is None:
        raise Missing(f"no machine has the id or name {reference!r}")
    return found


def lock(tx: Tx, machine: str) -> bool:
    """Other processes wait here until this transaction ends.

    False where nothing was waited for: on SQLite a transaction that writes has the database.
    Who changes several rows takes them in this order: boot, machine, then run, results and goal.
    Otherwise PostgreSQL ends one of two transactions that wait for each other.
    """
    if tx.dialect.name == "sqlite":
        return False
    query = sa.select(machines.c.id).where(machines.c.id == machine)
    tx.execute(query.with_for_update(key_share=True))
    return True


def find_for_update(tx: Tx, reference: str) -> Machine:
    """As `find`, and locked."""
    machine = find(tx, reference)
    return find(tx, machine.id) if lock(tx, machine.id) else machine


def lock_all(tx: Tx, references: Sequence[str]) -> None:
    """By ids or names, those that there are, in one order: two such callers wait in no ring."""
    where = sa.or_(machines.c.id.in_(references), machines.c.name.in_(references))
    query = sa.select(machines.c.id).where(where).order_by(machines.c.id)
    tx.execute(query.with_for_update(key_share=True))


def after(tx: Tx, machine: str, *, limit: int) -> list[Machine]:
    """The next machines by id behind `machine`."""
    query = sa.select(machines).where(machines.c.id > machine).order_by(machines.c.id)
    return all_to(Machine, tx.execute(query.limit(limit)))


def ids_after(tx: Tx, machine: str) -> list[str]:
    """Every id behind this one, in order."""
    query = sa.select(machines.c.id).where(machines.c.id > machine).order_by(machines.c.id)
    return list(tx.execute(query).scalars())


def of_model(tx: Tx, vendor: str, product: str, *, limit: int) -> list[Machine]:
    """Machines of one model by id; `vendor` "" is any."""
    query = sa.select(machines).where(machines.c.product == product).order_by(machines.c.id)
    if vendor:
        query = query.where(machines.c.vendor == vendor)
    return all_to(Machine, tx.execute(query.limit(limit)))


def models(tx: Tx) -> list[tuple[str, str, int]]:
    """Vendor, product and how many machines, of each product that is told, the most first."""
    number = sa.func.count().label("number")
    query = sa.select(machines.c.vendor, machines.c.product, number).where(machines.c.product != "")
    grouped = query.group_by(machines.c.vendor, machines.c.product)
    rows = tx.execute(grouped.order_by(number.desc(), machines.c.product).limit(200))
    return [(vendor, product, int(count)) for vendor, product, count in rows]


def pools(tx: Tx) -> dict[str, int]:
    """How many machines are in each pool, by name."""
    query = sa.select(machines.c.pool, sa.func.count()).where(machines.c.pool != "")
    rows = tx.execute(query.group_by(machines.c.pool).order_by(machines.c.pool))
    return {pool: int(count) for pool, count in rows}


def lock_after(tx: Tx, machine: str, *, limit: int) -> list[Machine]:
    """The next machines by id behind `machine`, locked in that order."""
    query = sa.select(machines).where(machines.c.id > machine).order_by(machines.c.id)
    locked = query.limit(limit).with_for_update(key_share=True)
    return all_to(Machine, tx.execute(locked))


def some(tx: Tx, *, state: str = "", limit: int = 1000, after: str = "") -> list[Machine]:
    """Machines by name, `after` excluded, at most `limit`."""
    query = sa.select(machines).where(machines.c.name > after).order_by(machines.c.name)
    if state:
        query = query.where(machines.c.state == state)
    return all_to(Machine, tx.execute(query.limit(limit)))


def names(tx: Tx, ids: Collection[str]) -> dict[str, str]:
    """The names of the machines with these ids that there are."""
    query = sa.select(machines.c.id, machines.c.name).where(machines.c.id.in_(ids))
    return {row.id: row.name for row in tx.execute(query)}


def of_ids(tx: Tx, ids: Sequence[str]) -> list[Machine]:
    """The machines with these ids, in no order."""
    return all_to(Machine, tx.execute(sa.select(machines).where(machines.c.id.in_(ids))))


def macs_of(tx: Tx, ids: Sequence[str]) -> dict[str, list[str]]:
    """The MACs on the records of `ids`, sorted."""
    found: dict[str, list[str]] = {machine: [] for machine in ids}
    if not ids:
        return found
    query = sa.select(macs.c.machine_id, macs.c.mac).where(macs.c.machine_id.in_(ids))
    for machine, mac in tx.execute(query.order_by(macs.c.mac)):
        found[machine].append(mac)
    return found


def candidates(tx: Tx, claim: Claim) -> list[Known]:
    """The records that share the claim's UUID or one of its MACs; and those without a MAC that

    share its serial number.
    """
    owners = sa.select(macs.c.machine_id).where(macs.c.mac.in_(claim.macs))
    where: sa.ColumnElement[bool] = machines.c.id.in_(owners)
    if claim.uuid:
        where = sa.or_(where, machines.c.uuid == claim.uuid)
    if claim.serial:
        # Not "not in": that reads every MAC of the fleet.
        any_mac = sa.exists().where(macs.c.machine_id == machines.c.id)
        bare = sa.and_(machines.c.serial == claim.serial, sa.not_(any_mac))
        where = sa.or_(where, bare)
    query = sa.select(machines.c.id, machines.c.name, machines.c.uuid, machines.c.serial)
    rows = tx.execute(query.where(where)).all()
    known = macs_of(tx, [row.id for row in rows])
    return [Known(r.id, r.name, r.uuid, r.serial, frozenset(known[r.id])) for r in rows]


def of_bmc(tx: Tx, driver: str, bmc: str) -> list[Machine]:
    """The machines that are switched by this driver through this BMC."""
    where = sa.and_(machines.c.power_driver == driver, machines.c.bmc == bmc)
    return all_to(Machine, tx.execute(sa.select(machines).where(where)))


def add(tx: Tx, machine: Machine, named: Mapping[str, str] | None = None) -> None:
    """A new record with its MACs as `learn_macs` puts them; raises Conflict for a taken name."""
    if name_taken(tx, machine.name):
        raise Conflict(f"the name {machine.name!r} is taken by another machine")
    values = {c.name: getattr(machine, c.name) for c in columns(Machine, machines)}
    values["seen_at"] = machine.seen_at or machine.created_at
    values |= _sizes(machine.summary) | {"traits_version": traits.VERSION}
    tx.execute(machines.insert(), values)
    known = vars(machine) | {"macs": _put_macs(tx, machine.id, named or {})[0]}
    traits.link(tx, ((machine.id, trait) for trait in traits_of(known, OF_RECORD)))
    racks.settle(tx, [machine.id])
    tell(tx, "machine", machine.id)


def name_taken(tx: Tx, name: str) -> bool:
    """True when a machine has this name."""
    return tx.execute(_NAMED, {"this": name}).first() is not None


def learn_macs(tx: Tx, machine: str, named: dict[str, str]) -> list[str]:
    """Put MACs (mac -> interface name) on the record; one that another record has stays there.

    Returns the MACs that were refused for that reason.
    """
    fresh, refused = _put_macs(tx, machine, named)
    if fresh:
        traits.replace_record(tx, machine)
        racks.settle(tx, [machine])
    return refused


def _put_macs(tx: Tx, machine: str, named: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Those that were on no record, and those that are on another one."""
    if not named:
        return [], []
    query = sa.select(macs.c.mac, macs.c.machine_id).where(macs.c.mac.in_(named))
    owner = {row.mac: row.machine_id for row in tx.execute(query)}
    fresh = [mac for mac in named if mac not in owner]
    if fresh:
        rows = [{"mac": mac, "machine_id": machine, "name": named[mac]} for mac in fresh]
        tx.execute(macs.insert(), rows)
    return fresh, sorted(mac for mac, who in owner.items() if who != machine)


def move_mac(tx: Tx, mac: str, source: str, target: str) -> bool:
    """From one record to another, by a person's decision; False when `source` has it not."""
    where = sa.and_(macs.c.mac == mac, macs.c.machine_id == source)
    with racks.following(tx, [source, target]):
        moved = tx.execute(macs.update().where(where).values(machine_id=target)).rowcount > 0
        for machine in (source, target):
            traits.replace_record(tx, machine)
    return moved


def forget_macs(tx: Tx, machine: str, some_macs: Sequence[str]) -> None:
    """Take MACs from a record; they are on none then."""
    where = sa.and_(macs.c.machine_id == machine, macs.c.mac.in_(some_macs))
    with racks.following(tx, [machine]):
        tx.execute(macs.delete().where(where))
        traits.replace_record(tx, machine)


def update(tx: Tx, machine: str, **values: Any) -> None:
    """Change columns of one record."""
    values |= _sizes(values.get("summary", {}))
    identifies = not racks.CHANGED_BY.isdisjoint(values)
    with racks.following(tx, [machine]) if identifies else nullcontext():
        tx.execute(_UPDATE, {"this": machine, **values})
        tell(tx, "machine", machine)
        if OF_RECORD & values.keys():
            traits.replace_record(tx, machine)


def _sizes(summary: dict[str, Any]) -> dict[str, int]:
    """What lists are sorted by has columns of its own."""
    names = {"cores": "cores", "memory": "memory_bytes"}
    return {column: int(summary[name]) for column, name in names.items() if name in summary}


def sealed(tx: Tx) -> dict[str, str]:
    """The sealed power secrets of the machines that have any, by id."""
    query = sa.select(machines.c.id, machines.c.power_secret).where(machines.c.power_secret != "")
    return {row.id: row.power_secret for row in tx.execute(query)}


def rename(tx: Tx, machine: str, name: str, *, now: datetime) -> None:
    """Raises Conflict when the name is taken."""
    if name_taken(tx, name):
        raise Conflict(f"the name {name!r} is taken by another machine")
    update(tx, machine, name=name, updated_at=now)


def delete(tx: Tx, machine: str) -> None:
    """Remove the record and what hangs on it; events stay."""
    with racks.following(tx, [machine]):
        tx.execute(machines.delete().where(machines.c.id == machine))
    tell(tx, "machine", machine)
