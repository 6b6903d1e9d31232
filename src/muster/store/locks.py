# SPDX-License-Identifier: Apache-2.0
"""Locks one thing, whatever its kind: who looks at it and then writes meets nobody else's write."""

import sqlalchemy as sa

from muster.store import boots, machines
from muster.store.engine import Tx
from muster.store.schema import metadata


def lock(tx: Tx, table: str, key: str | int) -> None:
    """The row of `table` with this number, or with this id, name or key; nothing without one.

    The caller holds `Store.one_at_a_time`, which comes before every row.
    """
    columns = metadata.tables[table].c
    names = ("id",) if isinstance(key, int) else ("id", "name", "key")
    found = [c for n in names if (c := columns.get(n)) is not None and _fits(c, key)]
    where = sa.or_(*(column == key for column in found))
    if table == "machines":
        # The order of machines.lock: boots come first.
        for machine in tx.scalars(sa.select(columns.id).where(where)).all():
            boots.lock_of_machine(tx, machine)
            machines.lock(tx, machine)
        return
    tx.execute(sa.select(sa.literal(1)).select_from(columns.values()[0].table).where(where)
               .with_for_update())  # fmt: skip


def _fits(column: sa.Column[object], key: str | int) -> bool:
    return isinstance(column.type, sa.Integer) == isinstance(key, int)
