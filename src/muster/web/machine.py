# SPDX-License-Identifier: Apache-2.0
"""One machine's page."""

from typing import Any

from muster.store import boots, machines, runs
from muster.store.engine import Store


def content(store: Store, reference: str) -> dict[str, Any]:
    """What machine.html shows; raises Missing."""
    with store.read() as tx:
        machine = machines.find(tx, reference)
        latest = boots.some(tx, machine=machine.id, limit=3)
        lines = boots.timeline(tx, [boot.id for boot in latest])
        recent = runs.some(tx, machine.id, limit=3)
        return {
            "machine": machine,
            "macs": machines.macs_of(tx, [machine.id])[machine.id],
            "boots": [(boot, lines[boot.id]) for boot in latest],
            "runs": [(run, runs.results_of(tx, run.id)) for run in recent],
        }
