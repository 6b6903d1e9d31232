# SPDX-License-Identifier: Apache-2.0
"""Rows of the manifest, and of records what is compared with them.

Both sides are found by what they show, so that one row or machine is looked at without the others.
"""

import ipaddress
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeVar

import sqlalchemy as sa

from muster.machine.cabling import Wired, neighbour
from muster.machine.manifest import Cable, Row
from muster.machine.placing import Seen, wanted
from muster.machine.traits import Trait, fold
from muster.store import rules
from muster.store.engine import Missing, Tx
from muster.store.racks import following
from muster.store.schema import findings, machines, macs
from muster.store.schema_record import evidence, expected_evidence, expected_machines, machine_tags
from muster.store.schema_search import machine_traits
from muster.store.traits import VERSION, trait_id

T = TypeVar("T")
_AT_ONCE = 5000
"""Rows of four values stay below the parameters that SQLite (32,766) and PostgreSQL take."""
_OWN_BMC = ("redfish", "ipmi", "wedge")
"""Drivers whose power_address is the machine's own BMC; a PDU's or a hypervisor's is not."""


@dataclass(frozen=True)
class Kept:
    """A row, and the record that was given what it says."""

    row: Row
    machine_id: str | None


def every(tx: Tx, rack: str | None = None) -> list[Row]:
    """All rows, or those of a rack, by rack, place and key."""
    query = sa.select(expected_machines.c.row)
    if rack is not None:
        query = query.where(expected_machines.c.rack == rack)
    return in_order(map(_row, tx.execute(query).scalars()))


def in_order(rows: Iterable[Row]) -> list[Row]:
    """As lists show them."""
    return sorted(rows, key=lambda row: (row.rack, row.position or 0, row.key))


def racks(tx: Tx) -> list[str]:
    """Every rack's name, "" where a row says none."""
    query = sa.select(expected_machines.c.rack).distinct()
    return sorted(tx.execute(query).scalars())


def any_row(tx: Tx) -> bool:
    """Whether there is a manifest at all."""
    return tx.execute(sa.select(expected_machines.c.key).limit(1)).first() is not None


def find(tx: Tx, key: str) -> Kept:
    """By its key; raises Missing."""
    query = sa.select(expected_machines).where(expected_machines.c.key == key)
    found = tx.execute(query).first()
    if found is None:
        raise Missing(f"the manifest has no row {key!r}")
    return Kept(_row(found.row), found.machine_id)


def write(
    tx: Tx, *, gone: Iterable[str], rows: Sequence[tuple[str, Row]], actor: str, now: datetime
) -> None:
    """Take rows away by key and write `rows`, each in the place of the one with the key beside it

    ("" for a new one): what was given by that one stays told. All at once, as two rows may
    exchange names and numbers.
    """
    befores = [before for before, _ in rows if before]
    gone = list(gone)
    concerned = {*befores, *gone, *(row.key for _, row in rows)}
    with following(tx, [], concerned):
        _write(tx, [*befores, *gone], rows, actor, now)
    if any("rack" in rule.condition for rule in rules.some(tx) if rule.enabled):
        rules.begin_pass(tx)


def _write(
    tx: Tx, befores: Sequence[str], rows: Sequence[tuple[str, Row]], actor: str, now: datetime
) -> None:
    linked: dict[str, str | None] = {}
    for some in _portions(sorted(befores)):
        where = expected_machines.c.key.in_(some)
        query = sa.select(expected_machines.c.key, expected_machines.c.machine_id).where(where)
        linked |= {row.key: row.machine_id for row in tx.execute(query)}
        tx.execute(expected_machines.delete().where(where))
    values = [
        {"key": row.key, "row": row.plain(), "rack": row.rack, "machine_id": linked.get(before),
         "updated_by": actor, "updated_at": now}
        for before, row in rows
    ]  # fmt: skip
    pairs = [
        {"kind": kind, "value": value, "key": row.key}
        for _, row in rows for kind, several in wanted(row).items() for value in several
    ]  # fmt: skip
    for portion in _portions(values):
        tx.execute(expected_machines.insert(), portion)
    for pairs_of in _portions(pairs):
        tx.execute(expected_evidence.insert(), pairs_of)


def wanted_by(tx: Tx, shown: Mapping[str, Collection[str]]) -> list[Kept]:
    """The rows that state one of these (values by kind)."""
    keys: set[str] = set()
    for kind, values in shown.items():
        for some in _portions(sorted(values)):
            same = sa.and_(expected_evidence.c.kind == kind, expected_evidence.c.value.in_(some))
            keys |= set(tx.execute(sa.select(expected_evidence.c.key).where(same)).scalars())
    return of_keys(tx, keys)


def of_keys(tx: Tx, keys: Iterable[str]) -> list[Kept]:
    """Those of them that are there, by key."""
    found = []
    for some in _portions(sorted(keys)):
        query = sa.select(expected_machines).where(expected_machines.c.key.in_(some))
        found += [Kept(_row(item.row), item.machine_id) for item in tx.execute(query)]
    return sorted(found, key=lambda kept: kept.row.key)


def holders(tx: Tx, shown: Mapping[str, Collection[str]]) -> set[str]:
    """The records (ids) that have one of these (values by kind), and perhaps a few more."""
    found: set[str] = set()
    for kind, values in shown.items():
        for some in _portions(sorted(values)):
            found |= set(tx.execute(_holding(kind, some)).scalars())
    if shown.get("serial"):
        # Since an upgrade; server's catch_up is at them.
        behind = sa.select(machines.c.id).where(machines.c.traits_version < VERSION)
        found |= set(tx.execute(behind).scalars())
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


def at_switches(tx: Tx, switches: Iterable[str]) -> list[Row]:
    """The rows with a cable to one of these (by `switch_key`), and perhaps a few more."""
    found: dict[str, Row] = {}
    for switch in switches:
        query = sa.select(expected_machines.c.row).where(_holds(expected_machines.c.row, switch))
        for row in map(_row, tx.execute(query).scalars()):
            found[row.key] = row
    return list(found.values())


def that_heard(tx: Tx, switches: Iterable[str]) -> set[str]:
    """The records (ids) that heard one of these by LLDP, and perhaps a few more."""
    found: set[str] = set()
    for switch in switches:
        query = sa.select(findings.c.machine_id).where(findings.c.name == "lldp")
        found |= set(tx.execute(query.where(_holds(findings.c.body, switch))).scalars())
    return found


def _holds(column: sa.Column[Any], text: str) -> sa.ColumnElement[bool]:
    """Whether the JSON may hold the text, in whatever case.

    No index: 100,000 short documents are read through in a tenth of a second.
    """
    # JSON escapes what is not ASCII, and quotes: the longest part without any.
    part = max(re.findall(r"[ !#-\[\]-~]+", text), key=len, default="")
    return sa.func.lower(sa.cast(column, sa.Text)).contains(part.lower(), autoescape=True)


def given(tx: Tx, key: str, machine: str) -> None:
    """The record has been given what the row says."""
    where = expected_machines.c.key == key
    with following(tx, [machine], [key]):
        tx.execute(expected_machines.update().where(where).values(machine_id=machine))


def records(tx: Tx, only: Sequence[str] | None = None) -> list[Seen]:
    """Every record (or those with these ids) with what it is known by, by id."""
    keys = ("id", "name", "uuid", "serial", "product", "pool", "power_driver", "bmc")
    query = sa.select(*(machines.c[name] for name in keys)).order_by(machines.c.id)
    if only is not None and len(only) > _AT_ONCE:
        return [one for some in _portions(sorted(only)) for one in records(tx, some)]
    if only is not None:
        query = query.where(machines.c.id.in_(only))
    rows = tx.execute(query).all()
    nics, tags, bmcs = _macs(tx, only), _of(tx, machine_tags, "tag", only), _bmcs(tx, only)
    return [
        Seen(
            row.id, row.name, row.uuid, row.serial, row.product, row.pool,
            tags=frozenset(tags.get(row.id, ())),
            bmc=_addresses([row.bmc] if row.power_driver in _OWN_BMC else ()),
            bmc_macs=frozenset(bmcs.get(row.id, ())),
            wired=Wired(macs=nics.get(row.id, {})),
        )
        for row in rows
    ]  # fmt: skip


def wired(tx: Tx, seen: Sequence[Seen]) -> list[Seen]:
    """The same with what their NICs heard, and their BMCs' addresses from within."""
    known: dict[str, dict[str, Any]] = {}
    links: dict[str, dict[str, bool]] = {}
    for some in _portions([one.id for one in seen]):
        query = sa.select(findings.c.machine_id, findings.c.name, findings.c.body)
        told = findings.c.name.in_(("lldp", "bmc"))
        for machine, name, body in tx.execute(query.where(findings.c.machine_id.in_(some), told)):
            known.setdefault(machine, {})[name] = body
        summaries = sa.select(machines.c.id, machines.c.summary).where(machines.c.id.in_(some))
        for machine, summary in tx.execute(summaries):
            links[machine] = {nic["name"]: nic["link"] for nic in summary.get("nics", ())}
    return [_wire(one, known.get(one.id, {}), links.get(one.id, {})) for one in seen]


def _wire(one: Seen, told: Mapping[str, Any], links: Mapping[str, bool]) -> Seen:
    heard = told.get("lldp")
    bmc = _addresses((told.get("bmc") or {}).get("addresses", ()))
    neighbours = tuple(neighbour(item) for item in heard or ())
    wire = Wired(neighbours, heard is not None, one.wired.macs, links)
    return replace(one, bmc=one.bmc | bmc, wired=wire)


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


def _addresses(texts: Iterable[Any]) -> frozenset[str]:
    """Those that are IP addresses; a BMC may be known by a host's name."""
    found = set()
    for text in texts:
        try:
            found.add(str(ipaddress.ip_address(str(text))))
        except ValueError:
            continue
    return frozenset(found)


def _row(item: Mapping[str, Any]) -> Row:
    said = {name: item[name] for name in Row.__dataclass_fields__ if name in item}
    for name in ("macs", "tags"):
        said[name] = tuple(said.get(name, ()))
    said["cables"] = tuple(Cable(**cable) for cable in said.get("cables", ()))
    return Row(**said)


def _portions(all_of: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(all_of), _AT_ONCE):
        yield all_of[start : start + _AT_ONCE]
