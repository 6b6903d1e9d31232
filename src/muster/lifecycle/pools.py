# SPDX-License-Identifier: Apache-2.0
"""Puts machines into pools; a pool is there while a machine is in it. And renames them beside."""

from datetime import datetime

from muster.lifecycle.commission import rename_in
from muster.lifecycle.tags import check_name
from muster.store import events, machines
from muster.store.engine import Store, Tx
from muster.store.machines import Machine


def put(store: Store, reference: str, pool: str, *, actor: str, now: datetime) -> None:
    """Into `pool`, "" for none; raises BadMessage."""
    if pool:
        check_name("pool", pool)
    with store.write() as tx:
        move(tx, machines.find_for_update(tx, reference), pool, actor=actor, now=now)


def change(
    store: Store, reference: str, *, pool: str | None, name: str | None, actor: str, now: datetime
) -> Machine:
    """Into another pool and under another name, both or neither; None: as it is."""
    if pool:
        check_name("pool", pool)
    with store.write() as tx:
        machine = machines.find_for_update(tx, reference)
        if pool is not None:
            move(tx, machine, pool, actor=actor, now=now)
        if name is not None:
            rename_in(tx, machine, name, actor=actor, now=now)
    return machine


def move(tx: Tx, machine: Machine, pool: str, *, actor: str, now: datetime) -> None:
    """As `put`, in the caller's transaction."""
    if machine.pool == pool:
        return
    machines.update(tx, machine.id, pool=pool, updated_at=now)
    told = f"{machine.name} is now in {f'pool {pool}' if pool else 'no pool'}"
    events.add(tx, now, "machine.pool", told, actor=actor, machine=machine.id)
