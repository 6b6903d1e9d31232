# SPDX-License-Identifier: Apache-2.0
"""Keeps which machine has which traits; machine/traits.py says what they are."""

import hashlib
import struct
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import sqlalchemy as sa

from muster.machine.columns import Facts
from muster.machine.traits import COVERED, OF_RECORD, Trait, words
from muster.machine.traits import traits as traits_of
from muster.store.engine import Tx
from muster.store.schema import hardware, machines, macs
from muster.store.schema_search import machine_traits, trait_words, traits

T = TypeVar("T")

VERSION = 1
"""Counted up when traits of the same facts change; `catch_up` makes them anew."""
_AT_ONCE = 5000
"""Rows of four values: below the parameters that SQLite (32,766) and PostgreSQL take."""


def trait_id(trait: Trait) -> int:
    """63 bits; among 10 million traits two share one with a chance of 1 in 180,000."""
    digest = hashlib.blake2b(f"{trait.column}\0{trait.text}".encode(), digest_size=8).digest()
    return int(struct.unpack(">q", digest)[0]) & 0x7FFFFFFFFFFFFFFF


def link(tx: Tx, found: Iterable[tuple[str, Trait]]) -> None:
    """Machines (by id) have these traits, whatever else they have."""
    pairs = list(found)
    ids = {trait: trait_id(trait) for _, trait in pairs}
    fresh = {number: trait for trait, number in ids.items()}
    for some in _portions(sorted(fresh)):
        known = tx.execute(sa.select(traits.c.id).where(traits.c.id.in_(some))).scalars()
        for number in known:
            del fresh[number]
    # In one order everywhere: two transactions that wait for each other's rows would be ended.
    rows = [(number, t.column, t.text, t.number) for number, t in sorted(fresh.items())]
    _insert(tx, traits, rows)
    _insert(tx, trait_words, sorted((w, number) for number, t in fresh.items() for w in words(t)))
    _insert(tx, machine_traits, sorted({(m, t.column, ids[t]) for m, t in pairs}))


def replace(tx: Tx, machine: str, wanted: set[Trait], columns: Collection[str]) -> None:
    """A machine's traits in `columns` are these and no others."""
    has = machine_traits.c
    query = sa.select(has.trait_id, has.column).where(has.machine_id == machine)
    known = {row.trait_id for row in tx.execute(query) if row.column in columns}
    ids = {trait_id(trait): trait for trait in wanted}
    for gone in _portions(sorted(known - ids.keys())):
        where = sa.and_(has.machine_id == machine, has.trait_id.in_(gone))
        tx.execute(machine_traits.delete().where(where))
    link(tx, [(machine, trait) for number, trait in ids.items() if number not in known])


def replace_record(tx: Tx, machine: str) -> None:
    """As `replace`, of what the machine's own row says now."""
    wanted = traits_of(facts(tx, [machine])[machine], OF_RECORD)
    replace(tx, machine, wanted, OF_RECORD)


def renew(tx: Tx, ids: Sequence[str]) -> None:
    """Make the traits of machines anew from all that is on record now."""
    tx.execute(machine_traits.delete().where(machine_traits.c.machine_id.in_(ids)))
    link(tx, ((machine, trait) for machine, known in facts(tx, ids).items()
              for trait in traits_of(known, COVERED)))  # fmt: skip
    where = machines.c.id.in_(ids)
    tx.execute(machines.update().where(where).values(traits_version=VERSION))


def facts(tx: Tx, ids: Sequence[str]) -> dict[str, Facts]:
    """By machine, what conditions ask of it."""
    found: dict[str, dict[str, Any]] = {}
    for row in tx.execute(sa.select(machines).where(machines.c.id.in_(ids))).mappings():
        found[row["id"]] = {**row, "macs": [], "hardware": {}}
    query = sa.select(macs.c.machine_id, macs.c.mac).where(macs.c.machine_id.in_(ids))
    for machine, mac in tx.execute(query):
        found[machine]["macs"].append(mac)
    about = sa.select(hardware.c.machine_id, hardware.c.facts)
    for machine, read in tx.execute(about.where(hardware.c.machine_id.in_(ids))):
        found[machine]["hardware"] = read
    return {machine: whole for machine, whole in found.items()}


def catch_up(tx: Tx, *, limit: int = 500) -> list[str]:
    """Make the traits of machines that have none of this version; returns their ids."""
    query = sa.select(machines.c.id).where(machines.c.traits_version < VERSION).limit(limit)
    ids = list(tx.execute(query).scalars())
    if ids:
        renew(tx, ids)
    return ids


def _insert(tx: Tx, table: sa.Table, rows: Sequence[tuple[Any, ...]]) -> None:
    """Rows that may be there already, with a value for every column of `table`."""
    names = ", ".join(f'"{column.name}"' for column in table.columns)
    sqlite = tx.dialect.name == "sqlite"
    for some in _portions(rows):
        if sqlite:
            marks = ", ".join("?" * len(table.columns))
            into = f"INSERT OR IGNORE INTO {table.name} ({names}) VALUES ({marks})"  # noqa: S608
            tx.exec_driver_sql(into, list(some))
            continue
        # One statement: psycopg's executemany sends one for each row, 10 times the CPU.
        kinds = (c.type.compile(tx.dialect).split(" COLLATE")[0] for c in table.columns)
        arrays = ", ".join(f"%s::{kind}[]" for kind in kinds)
        into = f"INSERT INTO {table.name} ({names}) SELECT * FROM unnest({arrays})"  # noqa: S608
        values = tuple(list(column) for column in zip(*some, strict=True))
        tx.exec_driver_sql(f"{into} ON CONFLICT DO NOTHING", values)


def _portions(all_of: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(all_of), _AT_ONCE):
        yield all_of[start : start + _AT_ONCE]
