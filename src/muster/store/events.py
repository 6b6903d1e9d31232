# SPDX-License-Identifier: Apache-2.0
"""What happened: one line an event, kept when the machine's record goes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from muster.store.engine import Tx
from muster.store.notices import tell
from muster.store.rows import all_to
from muster.store.schema import events


@dataclass(frozen=True)
class Event:
    """`kind` is a word to filter by; kinds that begin with `audit.` are about access."""

    id: int
    at: datetime
    kind: str
    message: str
    actor: str
    machine_id: str | None
    boot_id: str | None


def add(
    tx: Tx,
    at: datetime,
    kind: str,
    message: str,
    *,
    actor: str = "",
    machine: str | None = None,
    boot: str | None = None,
) -> None:
    """Write one event."""
    line = {"at": at, "kind": kind, "message": message, "actor": actor, "machine_id": machine,
            "boot_id": boot}  # fmt: skip
    inserted = tx.execute(events.insert(), line).inserted_primary_key
    assert inserted is not None
    tell(tx, "event", inserted[0])


def some(
    tx: Tx, *, machine: str = "", kind: str = "", after: int = 0, limit: int = 200
) -> list[Event]:
    """Events in order, `after` (an id) excluded; without it the newest `limit`."""
    query = sa.select(events)
    if machine:
        query = query.where(events.c.machine_id == machine)
    if kind:
        query = query.where(events.c.kind.startswith(kind, autoescape=True))
    if after:
        query = query.where(events.c.id > after).order_by(events.c.id)
        return all_to(Event, tx.execute(query.limit(limit)))
    newest = all_to(Event, tx.execute(query.order_by(events.c.id.desc()).limit(limit)))
    return newest[::-1]


def newest(tx: Tx) -> int:
    """The highest id; 0 when nothing happened yet."""
    return int(tx.execute(sa.select(sa.func.max(events.c.id))).scalar_one() or 0)


def these(tx: Tx, ids: Sequence[int]) -> list[Event]:
    """Events by their ids, in order."""
    query = sa.select(events).where(events.c.id.in_(ids)).order_by(events.c.id)
    return all_to(Event, tx.execute(query))


def following(tx: Tx, place: int, *, limit: int) -> list[Event]:
    """Events with higher ids than `place`, in order; 0 is before the first."""
    query = sa.select(events).where(events.c.id > place).order_by(events.c.id).limit(limit)
    return all_to(Event, tx.execute(query))
