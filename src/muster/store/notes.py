# SPDX-License-Identifier: Apache-2.0
"""What people wrote about a machine."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from muster.store.engine import Missing, Tx
from muster.store.rows import all_to, to
from muster.store.schema_record import notes


@dataclass(frozen=True)
class Note:
    """Text of `author`, which is the user's name at that time."""

    id: int
    machine_id: str
    at: datetime
    author: str
    text: str


def add(tx: Tx, machine: str, *, author: str, text: str, now: datetime) -> Note:
    """A new note."""
    values = {"machine_id": machine, "at": now, "author": author, "text": text}
    added = tx.execute(notes.insert().values(values).returning(notes.c.id)).scalar_one()
    return Note(added, machine, now, author, text)


def of_machine(tx: Tx, machine: str, *, limit: int) -> list[Note]:
    """Newest first."""
    query = sa.select(notes).where(notes.c.machine_id == machine).order_by(notes.c.id.desc())
    return all_to(Note, tx.execute(query.limit(limit)))


def find(tx: Tx, note: int) -> Note:
    """By number; raises Missing."""
    found = to(Note, tx.execute(sa.select(notes).where(notes.c.id == note)).first())
    if found is None:
        raise Missing(f"no note has the number {note}")
    return found


def delete(tx: Tx, note: int) -> None:
    """Take one away."""
    tx.execute(notes.delete().where(notes.c.id == note))
