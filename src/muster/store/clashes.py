# SPDX-License-Identifier: Apache-2.0
"""Contradictions between what machines say and what is on record, and what people decided."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from muster.store.engine import Missing, Tx
from muster.store.rows import all_to, to
from muster.store.schema_record import clashes


@dataclass(frozen=True)
class ClashRow:
    """A contradiction that waits for a person, or was decided (`decision` is not empty then).

    `evidence` is what the machine said, {} where two records were found to share something;
    `contested` are [kind, value] pairs claimed twice; `kept` is the record that was decided for.
    """

    id: int
    boot_id: str | None
    at: datetime
    machines: list[str]
    because: str
    evidence: dict[str, Any]
    contested: list[list[str]]
    decided_at: datetime | None
    decision: str
    decided_by: str
    kept: str


def add(
    tx: Tx, *, boot: str | None, now: datetime, machines: Sequence[str], because: str,
    evidence: object, contested: Sequence[Sequence[str]] = (),
) -> int:  # fmt: skip
    """Keep one; returns its number."""
    values = {
        "boot_id": boot, "at": now, "machines": list(machines), "because": because,
        "evidence": evidence, "contested": [list(pair) for pair in contested],
    }  # fmt: skip
    added = tx.execute(clashes.insert().values(values).returning(clashes.c.id))
    return int(added.scalar_one())


def find(tx: Tx, number: int) -> ClashRow:
    """By number; raises Missing."""
    query = sa.select(clashes).where(clashes.c.id == number)
    found = to(ClashRow, tx.execute(query).first())
    if found is None:
        raise Missing(f"no clash has the number {number}")
    return found


def some(tx: Tx, *, decided: bool = False, limit: int = 100, before: int = 0) -> list[ClashRow]:
    """Newest first: those that wait, or those that were decided; `before` a number."""
    known = clashes.c.decided_at.is_not(None) if decided else clashes.c.decided_at.is_(None)
    query = sa.select(clashes).where(known).order_by(clashes.c.id.desc()).limit(limit)
    if before:
        query = query.where(clashes.c.id < before)
    return all_to(ClashRow, tx.execute(query))


def because(tx: Tx, text: str) -> list[ClashRow]:
    """The undecided ones with this reason."""
    query = sa.select(clashes).where(clashes.c.because == text, clashes.c.decided_at.is_(None))
    return all_to(ClashRow, tx.execute(query))


def decide(tx: Tx, number: int, **values: Any) -> None:
    """Write a decision down, or take it back."""
    tx.execute(clashes.update().where(clashes.c.id == number).values(values))


def journal(tx: Tx, number: int) -> dict[str, Any]:
    """What undoing the decision needs."""
    query = sa.select(clashes.c.journal).where(clashes.c.id == number)
    return tx.execute(query).scalar_one() or {}
