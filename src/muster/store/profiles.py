# SPDX-License-Identifier: Apache-2.0
"""What hardware is expected, by name."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from muster.store.engine import Missing, Tx
from muster.store.rows import all_to, to
from muster.store.schema_record import profiles


@dataclass(frozen=True)
class ProfileRow:
    """`condition` says for which machines, "" for all; `expected` as machine.profiles has it."""

    name: str
    condition: str
    expected: dict[str, Any]
    comment: str
    updated_by: str
    updated_at: datetime


def some(tx: Tx) -> list[ProfileRow]:
    """All by name."""
    return all_to(ProfileRow, tx.execute(sa.select(profiles).order_by(profiles.c.name)))


def find(tx: Tx, name: str) -> ProfileRow:
    """By name; raises Missing."""
    query = sa.select(profiles).where(profiles.c.name == name)
    found = to(ProfileRow, tx.execute(query).first())
    if found is None:
        raise Missing(f"there is no profile {name!r}")
    return found


def put(tx: Tx, row: ProfileRow) -> None:
    """A new one, or instead of the one of this name."""
    delete(tx, row.name)
    tx.execute(profiles.insert().values(vars(row)))


def delete(tx: Tx, name: str) -> None:
    """Take one away."""
    tx.execute(profiles.delete().where(profiles.c.name == name))
