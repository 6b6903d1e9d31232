# SPDX-License-Identifier: Apache-2.0
"""A record for a machine that nobody has named yet."""

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
) -> Machine:  # fmt: skip
    """In state New, with a name of its own, and MACs with the names of their interfaces."""
    name = names.from_number(secrets.random_number())
    while machines.name_taken(tx, name):
        name = f"{names.from_number(secrets.random_number())}-{secrets.new_id(4)}"
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
        permitted=False,
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
