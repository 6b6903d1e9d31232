# SPDX-License-Identifier: Apache-2.0
"""People's notes on machines."""

from datetime import datetime

from muster.store import events, machines, notes
from muster.store.engine import Store
from muster.store.notes import Note
from muster.wire.codec import BadMessage


def add(store: Store, reference: str, text: str, *, actor: str, now: datetime) -> Note:
    """A note on a machine; raises BadMessage for an empty one."""
    if not text.strip():
        raise BadMessage("text", "is empty: write what others should know")
    with store.write() as tx:
        machine = machines.find_for_update(tx, reference)
        note = notes.add(tx, machine.id, author=actor, text=text, now=now)
        told = f"{actor} wrote note {note.id} on {machine.name}"
        events.add(tx, now, "note.added", told, actor=actor, machine=machine.id)
    return note


def delete(store: Store, number: int, *, actor: str, now: datetime) -> None:
    """Take a note away; that it was there stays told."""
    with store.write() as tx:
        note = notes.find(tx, number)
        notes.delete(tx, number)
        told = f"{actor} deleted note {number} of {note.author}"
        events.add(tx, now, "note.deleted", told, actor=actor, machine=note.machine_id)
