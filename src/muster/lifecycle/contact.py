# SPDX-License-Identifier: Apache-2.0
"""A driver ready to be called for one machine: secrets opened, what is to be learned learned."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from muster.lifecycle.keyring import Keyring
from muster.lifecycle.switches import parameters_of
from muster.power import drivers
from muster.power.drivers import Driver, Known, Poller, PowerError, Seen
from muster.store import events, machines
from muster.store.engine import Store
from muster.store.machines import Machine

# LXD: first a certificate of our own, then the host's trust in it.
_LESSONS = 3


@dataclass(frozen=True)
class Contact:
    """`parameters` hold the machine's secrets: never logged, never stored."""

    driver: Driver
    parameters: dict[str, str]

    async def look(self) -> Seen:
        """State and health; raises PowerError."""
        return await drivers.look(self.driver, self.parameters)


class Pollers:
    """Looks for those who look again and again; what drivers keep for that is closed here."""

    def __init__(self) -> None:
        self._open: dict[Driver, Poller] = {}

    async def look(self, reached: Contact) -> Seen:
        """As Contact.look; raises PowerError."""
        driver = reached.driver
        poller = self._open.get(driver) or drivers.poller(driver)
        if poller is None:
            return await reached.look()
        return await self._open.setdefault(driver, poller).look(reached.parameters)

    async def close(self) -> None:
        """What the drivers keep."""
        await asyncio.gather(*(poller.close() for poller in self._open.values()))
        self._open.clear()


async def reach(
    store: Store, keyring: Keyring, machine: Machine, clock: Callable[[], datetime]
) -> Contact:
    """Raises PowerError or KeyringError."""
    driver = drivers.load(machine.power_driver)
    parameters = parameters_of(keyring, machine)
    for _ in range(_LESSONS):
        if not (learner := drivers.learning(driver, parameters)):
            break
        learned = await learner.learn(parameters, Known(machine.uuid, machine.serial))
        parameters |= learned
        kept = await asyncio.to_thread(_keep, store, keyring, machine, parameters, learned, clock())
        if kept is None:
            raise PowerError("somebody gave other power parameters meanwhile; it is tried again")
        machine = kept
    return Contact(driver, parameters)


def _keep(
    store: Store,
    keyring: Keyring,
    machine: Machine,
    parameters: dict[str, str],
    learned: dict[str, str],
    now: datetime,
) -> Machine | None:
    """The record with what was learned; None when somebody has given other parameters meanwhile."""
    plain, secret = drivers.split(machine.power_driver, parameters)
    with store.write() as tx:
        # A rotation holds the same lock: no secret is sealed with a key that it forgets.
        store.one_at_a_time(tx)
        machines.lock(tx, machine.id)
        found = machines.find(tx, machine.id)
        if (found.power_parameters, found.power_secret) != (
            machine.power_parameters,
            machine.power_secret,
        ):
            return None
        values: dict[str, object] = {"power_parameters": plain}
        if set(learned) - set(plain):
            values["power_secret"] = keyring.seal(secret, of=machine.id)
        machines.update(tx, machine.id, updated_at=now, **values)
        words = ", ".join(drivers.told(machine.power_driver, learned))
        told = f"{machine.name}: first contact with its BMC: {words} from now on"
        events.add(tx, now, "power.learned", told, machine=machine.id)
        return machines.find(tx, machine.id)
