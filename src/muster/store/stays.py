# SPDX-License-Identifier: Apache-2.0
"""Where each component with a serial number has been: one row for each stay in one place."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import sqlalchemy as sa

from muster.machine.parts import Part
from muster.store.engine import Tx
from muster.store.rows import all_to
from muster.store.schema import machines, stays

T = TypeVar("T")

_AT_ONCE = 10_000
"""Below the number of parameters that SQLite (32,766) and PostgreSQL (65,535) take."""


@dataclass(frozen=True)
class Stay:
    """`last_at` is the last document that has it there; `gone_at` the first that has it no more.

    `machine_name` is its name now, or the one it had where its record was deleted.
    """

    id: int
    kind: str
    serial: str
    machine_id: str
    machine_name: str
    place: str
    model: str
    first_at: datetime
    last_at: datetime
    gone_at: datetime | None


def record(
    tx: Tx, machine: str, name: str, parts: Iterable[Part], kinds: set[str], now: datetime
) -> None:
    """What a machine's document shows; stays of other kinds than `kinds` are left as they are."""
    present = {(part.kind, part.serial, part.place): part for part in parts if part.serial}
    query = sa.select(stays).where(stays.c.machine_id == machine, stays.c.gone_at.is_(None))
    known = {(s.kind, s.serial, s.place): s.id for s in all_to(Stay, tx.execute(query))}
    _update(tx, [known[key] for key in present if key in known], last_at=now)
    left = [at for key, at in known.items() if key not in present and key[0] in kinds]
    _update(tx, left, gone_at=now)
    fresh = [
        {"kind": part.kind, "serial": part.serial, "machine_id": machine, "machine_name": name,
         "place": part.place, "model": part.title[:256], "first_at": now, "last_at": now}
        for key, part in present.items() if key not in known
    ]  # fmt: skip
    if fresh:
        tx.execute(stays.insert(), fresh)


def of_serial(tx: Tx, serial: str, *, limit: int = 1000) -> list[Stay]:
    """Every stay of components with this serial number, oldest first."""
    query = _named().where(stays.c.serial == serial)
    return all_to(Stay, tx.execute(query.order_by(stays.c.first_at, stays.c.id).limit(limit)))


def elsewhere(tx: Tx, machine: str, serials: Sequence[str]) -> list[Stay]:
    """Stays in other machines, oldest first."""
    found: list[Stay] = []
    for some in _portions(serials):
        query = _named().where(stays.c.serial.in_(some), stays.c.machine_id != machine)
        found += all_to(Stay, tx.execute(query.order_by(stays.c.last_at, stays.c.id)))
    return found


def _named() -> sa.Select[Any]:
    name = sa.func.coalesce(machines.c.name, stays.c.machine_name).label("machine_name")
    rest = [column for column in stays.c if column.name != "machine_name"]
    both = stays.outerjoin(machines, machines.c.id == stays.c.machine_id)
    return sa.select(*rest, name).select_from(both)


def _update(tx: Tx, ids: list[int], **values: datetime) -> None:
    for some in _portions(ids):
        tx.execute(stays.update().where(stays.c.id.in_(some)).values(values))


def _portions(all_of: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(all_of), _AT_ONCE):
        yield all_of[start : start + _AT_ONCE]
