# SPDX-License-Identifier: Apache-2.0
"""A record for a machine that has none."""

from collections.abc import Mapping
from datetime import datetime

from muster.lifecycle import secrets
from muster.machine import names
from muster.machine.identity import Claim
from muster.machine.states import State
from muster.store import machines
from muster.store.engine import Tx
from muster.store.machines import Machine


def new(
    tx: Tx, claim: Claim, now: datetime, *, why: str, vendor: str = "", product: str = "",
    architecture: str = "", firmware: str = "", named: Mapping[str, str] | None = None,
    wanted: str = "", permitted: bool = False,
) -> Machine:  # fmt: skip
    """In state New, with MACs with the names of their interfaces.

    Its name is `wanted`, longer where that is taken, or a made-up one.
    """
    name = wanted = wanted or names.from_number(secrets.random_number())
    while machines.name_taken(tx, name):
        name = f"{wanted[:58]}-{secrets.new_id(4)}"
    machine = Machine(
        id=secrets.new_id(8),
        name=name,
        state=State.NEW,
        state_reason=why,
        uuid=claim.uuid,
        serial=claim.serial,
        vendor=vendor,
        product=product,
        architecture=architecture,
        firmware=firmware,
        permitted=permitted,
        denied_reason="",
        surveyed_at=None,
        summary={},
        power_driver="manual",
        power_parameters={},
        created_at=now,
        updated_at=now,
    )
    machines.add(tx, machine, named)
    return machine
