# SPDX-License-Identifier: Apache-2.0
"""Evidence on records beside MACs, and evidence that people called not identifying."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import sqlalchemy as sa

from muster.store import racks
from muster.store.engine import Tx
from muster.store.schema import machines, macs, stays
from muster.store.schema_record import evidence, ignored_evidence

Pair = tuple[str, str]
"""Kind and value."""


def replace(tx: Tx, machine: str, found: Mapping[str, Iterable[str]]) -> None:
    """What the machine shows now, of the kinds that it states; the others stay as they were."""
    kinds = [kind for kind in found if kind != "mac"]
    with racks.following(tx, [machine]) if "bmc" in kinds else nullcontext():
        _replace(tx, machine, found, kinds)


def _replace(
    tx: Tx, machine: str, found: Mapping[str, Iterable[str]], kinds: Sequence[str]
) -> None:
    where = sa.and_(evidence.c.machine_id == machine, evidence.c.kind.in_(kinds))
    tx.execute(evidence.delete().where(where))
    rows = [
        {"kind": kind, "value": value, "machine_id": machine}
        for kind in kinds
        for value in set(found[kind])
    ]
    if rows:
        tx.execute(evidence.insert(), rows)


def forget(tx: Tx, machine: str, pair: Pair) -> bool:
    """Take one evidence from a record; False when it had none."""
    where = sa.and_(
        evidence.c.machine_id == machine, evidence.c.kind == pair[0], evidence.c.value == pair[1]
    )
    with racks.following(tx, [machine]):
        return tx.execute(evidence.delete().where(where)).rowcount > 0


def give(tx: Tx, machine: str, pair: Pair) -> None:
    """Put one evidence on a record."""
    forget(tx, machine, pair)
    values = {"kind": pair[0], "value": pair[1], "machine_id": machine}
    tx.execute(evidence.insert().values(values))
    racks.settle(tx, [machine])


def of(tx: Tx, ids: Sequence[str]) -> dict[str, dict[str, set[str]]]:
    """All of each record by kind: MACs, and the disks and modules that were last in it too."""
    found: dict[str, dict[str, set[str]]] = {machine: {} for machine in ids}
    queries = (
        sa.select(evidence.c.machine_id, evidence.c.kind, evidence.c.value),
        sa.select(macs.c.machine_id, sa.literal("mac"), macs.c.mac),
        sa.select(machines.c.id, sa.literal("uuid"), machines.c.uuid),
        sa.select(stays.c.machine_id, stays.c.kind, stays.c.serial).where(
            stays.c.kind.in_(("disk", "DIMM"))
        ),
    )
    for query in queries:
        for machine, kind, value in tx.execute(query.where(query.selected_columns[0].in_(ids))):
            if value:
                found[machine].setdefault(kind, set()).add(value)
    return found


def others_with(tx: Tx, machine: str, found: Mapping[str, Iterable[str]]) -> dict[Pair, list[str]]:
    """Of this evidence what is on other records too, and on which; ignored ones are left out."""
    pairs = [(kind, value) for kind, values in found.items() for value in values]
    known = ignored(tx, pairs)
    shared: dict[Pair, list[str]] = {}
    for query in _queries(found):
        whose = query.selected_columns[2]
        for kind, text, other in tx.execute(query.where(whose != machine).order_by(whose)):
            if (kind, text) not in known:
                shared.setdefault((kind, text), []).append(other)
    return shared


def _queries(found: Mapping[str, Iterable[str]]) -> Iterator[sa.Select[Any]]:
    """Kind, value and machine of what is there of `found`."""
    for kind, whose, value in (
        ("mac", macs.c.machine_id, macs.c.mac),
        ("uuid", machines.c.id, machines.c.uuid),
    ):
        if kind in found:
            yield sa.select(sa.literal(kind), value, whose).where(value.in_(list(found[kind])))
    others = [
        sa.and_(evidence.c.kind == kind, evidence.c.value.in_(list(values)))
        for kind, values in found.items() if kind not in ("mac", "uuid")
    ]  # fmt: skip
    if others:
        columns = (evidence.c.kind, evidence.c.value, evidence.c.machine_id)
        yield sa.select(*columns).where(sa.or_(*others))


def ignored(tx: Tx, pairs: Iterable[Pair]) -> dict[Pair, int]:
    """Those of `pairs` that are not identifying, by the number of the decision."""
    values = {value for _, value in pairs}
    if not values:
        return {}
    query = sa.select(ignored_evidence).where(ignored_evidence.c.value.in_(values))
    return {(row.kind, row.value): row.clash_id for row in tx.execute(query)}


def ignore(tx: Tx, pairs: Iterable[Pair], clash: int) -> list[Pair]:
    """From now on not identifying; returns those that were so before."""
    pairs = list(pairs)
    known = ignored(tx, pairs)
    fresh = [
        {"kind": kind, "value": value, "clash_id": clash}
        for kind, value in pairs if (kind, value) not in known
    ]  # fmt: skip
    if fresh:
        tx.execute(ignored_evidence.insert(), fresh)
    return [pair for pair in pairs if pair in known]


def heed(tx: Tx, clash: int) -> None:
    """What that decision said to ignore is identifying again."""
    tx.execute(ignored_evidence.delete().where(ignored_evidence.c.clash_id == clash))
