# SPDX-License-Identifier: Apache-2.0
"""What scripts found about a machine beside its inventory document; the newest of each kind."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from muster.store.engine import Tx
from muster.store.rows import all_to
from muster.store.schema import findings


@dataclass(frozen=True)
class Finding:
    """One kind of finding ("lldp", "virtuality"); `result_id` is the result it was read from."""

    name: str
    result_id: int
    taken_at: datetime
    body: Any


def _put(fresh: sqlite.Insert | postgresql.Insert) -> sa.Insert:
    changed = {column: fresh.excluded[column] for column in ("result_id", "taken_at", "body")}
    return fresh.on_conflict_do_update(index_elements=["machine_id", "name"], set_=changed)


_PUT = {
    "sqlite": _put(sqlite.insert(findings)),
    "postgresql": _put(postgresql.insert(findings)),
}


def put(tx: Tx, machine: str, name: str, body: object, *, result: int, now: datetime) -> None:
    """Replace what was known; the caller has locked the machine."""
    row = {"machine_id": machine, "name": name, "result_id": result, "taken_at": now, "body": body}
    tx.execute(_PUT[tx.dialect.name], row)


def of_machine(tx: Tx, machine: str) -> list[Finding]:
    """All of a machine, by name."""
    query = sa.select(findings).where(findings.c.machine_id == machine)
    return all_to(Finding, tx.execute(query.order_by(findings.c.name)))


def body(tx: Tx, machine: str, name: str) -> Any:
    """One of them, or None."""
    query = sa.select(findings.c.body).where(findings.c.machine_id == machine)
    return tx.execute(query.where(findings.c.name == name)).scalar_one_or_none()


def results(tx: Tx, ids: Sequence[str], name: str) -> dict[str, int]:
    """The result that a finding was read from, by machine; without those that have none."""
    query = sa.select(findings.c.machine_id, findings.c.result_id).where(findings.c.name == name)
    return {row.machine_id: row.result_id for row in tx.execute(
        query.where(findings.c.machine_id.in_(ids)))}  # fmt: skip


def of_all(tx: Tx, name: str, *, limit: int) -> dict[str, Any]:
    """One kind of finding of every machine that has it, by the machine's id."""
    query = sa.select(findings.c.machine_id, findings.c.body).where(findings.c.name == name)
    rows = tx.execute(query.order_by(findings.c.machine_id).limit(limit))
    return {row.machine_id: row.body for row in rows}


def bodies(tx: Tx, ids: Sequence[str], name: str) -> dict[str, Any]:
    """One kind of finding of these machines; without those that have none."""
    query = sa.select(findings.c.machine_id, findings.c.body).where(findings.c.name == name)
    rows = tx.execute(query.where(findings.c.machine_id.in_(ids)))
    return {row.machine_id: row.body for row in rows}
