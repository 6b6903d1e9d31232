# SPDX-License-Identifier: Apache-2.0
"""Passwords offered to a machine's BMC, sealed, until the server has tried them from outside."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from muster.store.engine import Tx
from muster.store.rows import all_to, to
from muster.store.schema import bmc_offers


@dataclass(frozen=True)
class Offer:
    """`state`: offered, claimed (the machine says that its BMC took one), refused.

    `claim` is what the machine says of its BMC; `due_at` when it is to be tried from outside.
    """

    machine_id: str
    run_id: int
    sealed: str
    state: str
    claim: dict[str, Any]
    attempts: int
    detail: str
    due_at: datetime | None
    updated_at: datetime


def find(tx: Tx, machine: str) -> Offer | None:
    """What was offered to this machine's BMC."""
    query = sa.select(bmc_offers).where(bmc_offers.c.machine_id == machine)
    return to(Offer, tx.execute(query).first())


def put(tx: Tx, machine: str, *, run: int, sealed: str, now: datetime) -> None:
    """Offer; whatever was offered before is replaced. The caller has locked the machine."""
    forget(tx, machine)
    values = {"machine_id": machine, "run_id": run, "sealed": sealed, "state": "offered"}
    values |= {"claim": {}, "attempts": 0, "detail": "", "updated_at": now}
    tx.execute(bmc_offers.insert().values(values))


def update(tx: Tx, machine: str, **values: Any) -> None:
    """Change columns of one."""
    tx.execute(bmc_offers.update().where(bmc_offers.c.machine_id == machine).values(values))


def forget(tx: Tx, machine: str) -> None:
    """The password is the machine's own secret now, or nobody's."""
    tx.execute(bmc_offers.delete().where(bmc_offers.c.machine_id == machine))


def claim_due(tx: Tx, *, now: datetime, lease: timedelta, limit: int) -> list[Offer]:
    """Claimed ones to be tried now; due again after `lease`, should this process die."""
    query = (
        sa.select(bmc_offers)
        .where(bmc_offers.c.state == "claimed", bmc_offers.c.due_at <= now)
        .order_by(bmc_offers.c.due_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    found = all_to(Offer, tx.execute(query))
    where = bmc_offers.c.machine_id.in_([offer.machine_id for offer in found])
    tx.execute(bmc_offers.update().where(where).values(due_at=now + lease))
    return found


def sealed(tx: Tx) -> dict[str, str]:
    """All sealed texts, by machine."""
    rows = tx.execute(sa.select(bmc_offers.c.machine_id, bmc_offers.c.sealed))
    return {row.machine_id: row.sealed for row in rows}
