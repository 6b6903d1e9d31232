# SPDX-License-Identifier: Apache-2.0
"""The first page: every machine, and what is starting right now."""

from datetime import datetime
from typing import Any

from muster.store import boots, machines
from muster.store.engine import Store

SHOWN = 500
STARTING = 12


def content(store: Store, now: datetime) -> dict[str, Any]:
    """What machines.html shows."""
    with store.read() as tx:
        found = machines.some(tx, limit=SHOWN)
        macs = machines.macs_of(tx, [one.id for one in found])
        counted = machines.count_by_state(tx)
        latest = boots.some(tx, limit=STARTING)
        lines = boots.timeline(tx, [boot.id for boot in latest])
    names = {one.id: one.name for one in found}
    return {
        "machines": found,
        "macs": macs,
        "counted": sorted(counted.items()),
        "boots": [(boot, names.get(boot.machine_id or ""), lines[boot.id]) for boot in latest],
        "now": now,
    }
