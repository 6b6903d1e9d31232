# SPDX-License-Identifier: Apache-2.0
"""Rows of the manifest and records that have something in common, found from either side.

So one row or machine is looked at without all the others.
"""

import ipaddress
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import sqlalchemy as sa

from muster.machine.cabling import Wired
from muster.machine.manifest import Cable, Row
from muster.machine.placing import Seen, wanted
from muster.machine.traits import Trait, fold
from muster.store.engine import Tx
from muster.store.schema import machines, macs
from muster.store.schema_record import evidence, expected_evidence, expected_machines, machine_tags
from muster.store.schema_search import machine_traits
from muster.store.traits import trait_id

T = TypeVar("T")
AT_ONCE = 5000
"""Rows of four values stay below the parameters that SQLite (32,766) and PostgreSQL take."""
_OWN_BMC = ("redfish", "ipmi", "wedge")
"""Drivers whose power_address is the machine's own BMC; a PDU's or a hypervisor's is not."""


@dataclass(frozen=True)
class Kept:
    """A row, and the record that was given what it says."""

    row: Row
    machine_id: str | None


@dataclass
class Together:
    """Rows by key and records by id, with all that shares evidence with any of them."""

    rows: dict[str, Kept] = field(default_factory=dict)
    seen: dict[str, Seen] = field(default_factory=dict)


def together(tx: Tx, keys: Iterable[str] = (), ids: Iterable[str] = ()) -> Together:
    """These rows and records with whatever shares evidence with them, or with what does: who is

    whose can be told of them alone. Who was given a row hangs together with it, too.
    """
    found = Together()
    rows, fresh = of_keys(tx, keys), set(ids)
    while rows or fresh:
        found.rows |= {kept.row.key: kept for kept in rows}
        fresh |= holders(tx, united(wanted(kept.row) for kept in rows))
        fresh |= {kept.machine_id for kept in rows if kept.machine_id}
        new = records(tx, sorted(fresh - found.seen.keys()))
        found.seen |= {one.id: one for one in new}
        near = _stating(tx, united(one.has() for one in new)) | _given_to(tx, [m.id for m in new])
        rows, fresh = of_keys(tx, near - found.rows.keys()), set()
    return found


def united(many: Iterable[Mapping[str, frozenset[str]]]) -> dict[str, set[str]]:
    """Values by kind, of all."""
    found: dict[str, set[str]] = {}
    for one in many:
        for kind, values in one.items():
            found.setdefault(kind, set()).update(values)
    return found


def _stating(tx: Tx, shown: Mapping[str, Collection[str]]) -> set[str]:
    """Keys of the rows that state one of these (values by kind)."""
    keys: set[str] = set()
    for kind, values in shown.items():
        for some in portions(sorted(values)):
            same = sa.and_(expected_evidence.c.kind == kind, expected_evidence.c.value.in_(some))
            keys |= set(tx.execute(sa.select(expected_evidence.c.key).where(same)).scalars())
    return keys


def _given_to(tx: Tx, ids: Sequence[str]) -> set[str]:
    found: set[str] = set()
    for some in portions(ids):
        query = sa.select(expected_machines.c.key).where(expected_machines.c.machine_id.in_(some))
        found |= set(tx.execute(query).scalars())
    return found


def wanted_by(tx: Tx, shown: Mapping[str, Collection[str]]) -> list[Kept]:
    """The rows that state one of these (values by kind)."""
    return of_keys(tx, _stating(tx, shown))


def of_keys(tx: Tx, keys: Iterable[str]) -> list[Kept]:
    """Those of them that are there, by key."""
    found = []
    for some in portions(sorted(keys)):
        query = sa.select(expected_machines).where(expected_machines.c.key.in_(some))
        found += [Kept(row_from(item.row), item.machine_id) for item in tx.execute(query)]
    return sorted(found, key=lambda kept: kept.row.key)


def holders(tx: Tx, shown: Mapping[str, Collection[str]]) -> set[str]:
    """The records (ids) that have one of these (values by kind), and perhaps a few more."""
    found: set[str] = set()
    for kind, values in shown.items():
        for some in portions(sorted(values)):
            found |= set(tx.execute(_holding(kind, some)).scalars())
    return found


def _holding(kind: str, values: Sequence[str]) -> sa.Select[Any]:
    if kind == "mac":
        return sa.select(macs.c.machine_id).where(macs.c.mac.in_(values))
    if kind == "bmc":
        same = sa.and_(evidence.c.kind == "bmc", evidence.c.value.in_(values))
        return sa.select(evidence.c.machine_id).where(same)
    if kind == "serial":
        ids = [trait_id(Trait("serial", fold(value))) for value in values]
        return sa.select(machine_traits.c.machine_id).where(machine_traits.c.trait_id.in_(ids))
    column = machines.c[{"address": "bmc"}.get(kind, kind)]
    return sa.select(machines.c.id).where(column.in_(values))


def records(tx: Tx, only: Sequence[str] | None = None) -> list[Seen]:
    """Every record (or those with these ids) with what it is known by, by id."""
    keys = ("id", "name", "uuid", "serial", "product", "pool", "power_driver", "bmc")
    query = sa.select(*(machines.c[name] for name in keys)).order_by(machines.c.id)
    if only is not None and len(only) > AT_ONCE:
        return [one for some in portions(sorted(only)) for one in records(tx, some)]
    if only is not None:
        query = query.where(machines.c.id.in_(only))
    rows = tx.execute(query).all()
    nics, tags, bmcs = _macs(tx, only), _of(tx, machine_tags, "tag", only), _bmcs(tx, only)
    return [
        Seen(
            row.id, row.name, row.uuid, row.serial, row.product, row.pool,
            tags=frozenset(tags.get(row.id, ())),
            bmc=addresses([row.bmc] if row.power_driver in _OWN_BMC else ()),
            bmc_macs=frozenset(bmcs.get(row.id, ())),
            wired=Wired(macs=nics.get(row.id, {})),
        )
        for row in rows
    ]  # fmt: skip


def _macs(tx: Tx, only: Sequence[str] | None) -> dict[str, dict[str, str]]:
    query = sa.select(macs.c.machine_id, macs.c.mac, macs.c.name)
    if only is not None:
        query = query.where(macs.c.machine_id.in_(only))
    found: dict[str, dict[str, str]] = {}
    for machine, mac, name in tx.execute(query):
        found.setdefault(machine, {})[mac] = name
    return found


def _bmcs(tx: Tx, only: Sequence[str] | None) -> dict[str, set[str]]:
    return _of(tx, evidence, "value", only, evidence.c.kind == "bmc")


def _of(
    tx: Tx, table: sa.Table, name: str, only: Sequence[str] | None, *where: sa.ColumnElement[bool]
) -> dict[str, set[str]]:
    query = sa.select(table.c.machine_id, table.c[name]).where(*where)
    if only is not None:
        query = query.where(table.c.machine_id.in_(only))
    found: dict[str, set[str]] = {}
    for machine, value in tx.execute(query):
        found.setdefault(machine, set()).add(value)
    return found


def addresses(texts: Iterable[Any]) -> frozenset[str]:
    """Those that are IP addresses; a BMC may be known by a host's name."""
    found = set()
    for text in texts:
        try:
            found.add(str(ipaddress.ip_address(str(text))))
        except ValueError:
            continue
    return frozenset(found)


def row_from(item: Mapping[str, Any]) -> Row:
    """Of the JSON that `Row.plain` made."""
    said = {name: item[name] for name in Row.__dataclass_fields__ if name in item}
    for name in ("macs", "tags"):
        said[name] = tuple(said.get(name, ()))
    said["cables"] = tuple(Cable(**cable) for cable in said.get("cables", ()))
    return Row(**said)


def portions(all_of: Sequence[T], number: int = AT_ONCE) -> Iterator[Sequence[T]]:
    """As many at once as a statement takes."""
    for start in range(0, len(all_of), number):
        yield all_of[start : start + number]
