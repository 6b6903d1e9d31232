# SPDX-License-Identifier: Apache-2.0
"""What conditions ask of each machine's hardware, read from its last document."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from muster.machine import traits as kinds
from muster.store import traits
from muster.store.engine import Tx
from muster.store.schema import hardware


def keep(tx: Tx, machine: str, facts: dict[str, Any]) -> None:
    """Instead of what was known before."""
    tx.execute(hardware.delete().where(hardware.c.machine_id == machine))
    tx.execute(hardware.insert().values(machine_id=machine, facts=facts))
    wanted = kinds.traits({"hardware": facts}, kinds.HARDWARE)
    traits.replace(tx, machine, wanted, kinds.HARDWARE)


def of(tx: Tx, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The facts of those of `ids` that sent a document."""
    query = sa.select(hardware.c.machine_id, hardware.c.facts)
    rows = tx.execute(query.where(hardware.c.machine_id.in_(ids)))
    return {row.machine_id: row.facts for row in rows}
