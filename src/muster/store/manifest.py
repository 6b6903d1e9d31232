# SPDX-License-Identifier: Apache-2.0
"""Rows of the manifest; and of records and switches what they are compared with."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from muster.machine.cabling import Wired, neighbour
from muster.machine.manifest import Row
from muster.machine.placing import Seen, wanted
from muster.store import rules
from muster.store.engine import Missing, Tx
from muster.store.racks import following
from muster.store.schema import findings, machines
from muster.store.schema_record import expected_evidence, expected_machines
from muster.store.sharing import Kept, addresses, portions, row_from


def every(tx: Tx, rack: str | None = None) -> list[Row]:
    """All rows, or those of a rack, by rack, place and key."""
    query = sa.select(expected_machines.c.row)
    if rack is not None:
        query = query.where(expected_machines.c.rack == rack)
    return in_order(map(row_from, tx.execute(query).scalars()))


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
    return Kept(row_from(found.row), found.machine_id)


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
    for some in portions(sorted(befores)):
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
    for portion in portions(values):
        tx.execute(expected_machines.insert(), portion)
    for pairs_of in portions(pairs):
        tx.execute(expected_evidence.insert(), pairs_of)


def at_switches(tx: Tx, switches: Iterable[str]) -> list[Row]:
    """The rows with a cable to one of these (by `switch_key`), and perhaps a few more."""
    found: dict[str, Row] = {}
    for switch in switches:
        query = sa.select(expected_machines.c.row).where(_holds(expected_machines.c.row, switch))
        for row in map(row_from, tx.execute(query).scalars()):
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


def wired(tx: Tx, seen: Sequence[Seen]) -> list[Seen]:
    """The same with what their NICs heard, and their BMCs' addresses from within."""
    known: dict[str, dict[str, Any]] = {}
    links: dict[str, dict[str, bool]] = {}
    for some in portions([one.id for one in seen]):
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
    bmc = addresses((told.get("bmc") or {}).get("addresses", ()))
    neighbours = tuple(neighbour(item) for item in heard or ())
    wire = Wired(neighbours, heard is not None, one.wired.macs, links)
    return replace(one, bmc=one.bmc | bmc, wired=wire)
