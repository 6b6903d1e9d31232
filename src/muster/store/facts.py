# SPDX-License-Identifier: Apache-2.0
"""What a condition may ask of a machine, put together from its record, MACs, tags and hardware."""

from collections.abc import Sequence
from typing import Any

from muster.store import hardware, machines, tags
from muster.store.engine import Tx
from muster.store.machines import Machine


def of(tx: Tx, found: Sequence[Machine]) -> dict[str, dict[str, Any]]:
    """The facts of each machine, by its id; machine.columns names them."""
    ids = [machine.id for machine in found]
    macs, given, known = machines.macs_of(tx, ids), tags.of(tx, ids), hardware.of(tx, ids)
    return {
        machine.id: vars(machine)
        | {
            "macs": macs[machine.id],
            "tags": given[machine.id],
            "hardware": known.get(machine.id, {}),
        }
        for machine in found
    }
