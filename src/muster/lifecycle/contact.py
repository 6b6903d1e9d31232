# SPDX-License-Identifier: Apache-2.0
"""A driver ready to be called for one machine: secrets opened, what is to be learned learned."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from muster.lifecycle.keyring import Keyring
from muster.lifecycle.switches import parameters_of
from muster.power import drivers
from muster.power.drivers import Driver, Known, Seen
from muster.store import events, machines
from muster.store.engine import Store
from muster.store.machines import Machine


@dataclass(frozen=True)
class Contact:
    """`parameters` hold the machine's secrets: never logged, never stored."""

    driver: Driver
    parameters: dict[str, str]

    async def look(self) -> Seen:
        """State and health; raises PowerError."""
        return await drivers.look(self.driver, self.parameters)


async def reach(
    store: Store, keyring: Keyring, machine: Machine, clock: Callable[[], datetime]
) -> Contact:
    """Raises PowerError or KeyringError."""
    driver = drivers.load(machine.power_driver)
    parameters = parameters_of(keyring, machine)
    if learner := drivers.learning(driver, parameters):
        known = Known(machine.uuid, machine.serial)
        learned = await learner.learn(parameters, known)
        await asyncio.to_thread(_keep, store, machine, learned, clock())
        parameters |= learned
    return Contact(driver, parameters)


def _keep(store: Store, machine: Machine, learned: dict[str, str], now: datetime) -> None:
    """Unless somebody has given other parameters meanwhile."""
    with store.write() as tx:
        machines.lock(tx, machine.id)
        found = machines.find(tx, machine.id)
        if found.power_parameters != machine.power_parameters:
            return
        kept = {**found.power_parameters, **learned}
        machines.update(tx, machine.id, power_parameters=kept, updated_at=now)
        words = ", ".join(f"{name}={value}" for name, value in learned.items())
        told = f"{machine.name}: first contact with its BMC: {words} from now on"
        events.add(tx, now, "power.learned", told, machine=machine.id)
